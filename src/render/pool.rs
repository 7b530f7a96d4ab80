//! Blocking work, bounded in number, in memory and in who waits for it.
//!
//! It runs on threads of its own, few and always the same: an allocator keeps what each thread has freed for that thread, and
//! frames are large. On the runtime's many blocking threads some hundred megabytes would lie idle.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{RenderError, RenderOptions};

/// Memory is counted in pieces of this size.
const PIECE: usize = 1 << 20;

pub(super) struct Pool {
    workers: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    pieces: u32,
    wait_max: Duration,
    work: mpsc::Sender<Work>,
}

type Work = Box<dyn FnOnce() + Send>;

/// The right to work; dropped when the work is done.
pub(super) struct Admission {
    _worker: OwnedSemaphorePermit,
    _memory: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(options: &RenderOptions) -> Self {
        let pieces = u32::try_from(options.memory_max_bytes / PIECE)
            .unwrap_or(u32::MAX)
            .clamp(1, 1 << 20);
        let workers = options.workers.max(1);
        let (work, waiting) = mpsc::channel::<Work>();
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..workers {
            let waiting = waiting.clone();
            // They end with the pool, which holds the other end.
            let spawned = std::thread::Builder::new()
                .name("render".into())
                .spawn(move || work_off(&waiting));
            if let Err(error) = spawned {
                tracing::error!(%error, "a thread for rendering cannot be started");
            }
        }
        Self {
            work,
            workers: Arc::new(Semaphore::new(workers)),
            waiting: Arc::new(Semaphore::new(options.waiting_max.max(1))),
            memory: Arc::new(Semaphore::new(pieces as usize)),
            pieces,
            wait_max: options.wait_max,
        }
    }

    /// Waits for a worker and for memory. Work that needs more than there is gets all of it.
    pub(super) async fn admit(&self, bytes: usize) -> Result<Admission, RenderError> {
        let _place = self
            .waiting
            .clone()
            .try_acquire_owned()
            .map_err(|_| RenderError::Busy)?;
        let pieces = u32::try_from(bytes.div_ceil(PIECE))
            .unwrap_or(u32::MAX)
            .clamp(1, self.pieces);
        let both = async {
            let memory = self.memory.clone().acquire_many_owned(pieces).await;
            (memory, self.workers.clone().acquire_owned().await)
        };
        match tokio::time::timeout(self.wait_max, both).await {
            Ok((Ok(memory), Ok(worker))) => Ok(Admission {
                _worker: worker,
                _memory: memory,
            }),
            _ => Err(RenderError::Busy),
        }
    }

    /// Runs work on a thread of the pool. The admission is kept until the work ends, even when nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        admission: Admission,
        work: impl FnOnce() -> Result<T, RenderError> + Send + 'static,
    ) -> Result<T, RenderError> {
        let (done, result) = oneshot::channel();
        let runtime = tokio::runtime::Handle::current();
        let work = Box::new(move || {
            let _entered = runtime.enter();
            // Who asked may have gone.
            let _ = done.send(work());
            drop(admission);
        });
        let ended = || RenderError::Failed("the thread ended without an answer".into());
        self.work.send(work).map_err(|_| ended())?;
        result.await.map_err(|_| ended())?
    }
}

/// Does one piece of work after the other until the pool is gone.
fn work_off(waiting: &Mutex<mpsc::Receiver<Work>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            tracing::error!("rendering panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn refuses_who_would_wait_too_long() {
        let pool = Pool::new(&RenderOptions {
            workers: 1,
            waiting_max: 1,
            wait_max: Duration::from_millis(20),
            ..RenderOptions::default()
        });
        let first = pool.admit(1).await.unwrap();
        assert!(matches!(pool.admit(1).await, Err(RenderError::Busy)));
        drop(first);
        assert!(pool.admit(usize::MAX).await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_ends_the_work_and_not_the_worker() {
        let pool = Pool::new(&RenderOptions {
            workers: 1,
            ..RenderOptions::default()
        });
        for _ in 0..3 {
            let admission = pool.admit(1).await.unwrap();
            let ended: Result<(), _> = pool.run(admission, || panic!("as a codec might")).await;
            assert!(matches!(ended, Err(RenderError::Failed(_))));
        }
        let admission = pool.admit(1).await.unwrap();
        assert_eq!(pool.run(admission, || Ok(7)).await.unwrap(), 7);
    }
}
