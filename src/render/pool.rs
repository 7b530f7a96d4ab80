//! Blocking work, bounded in number, in memory and in who waits for it.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{RenderError, RenderOptions};

/// Memory is counted in pieces of this size.
const PIECE: usize = 1 << 20;

pub(super) struct Pool {
    workers: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    memory: Arc<Semaphore>,
    pieces: u32,
    wait_max: Duration,
}

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
        Self {
            workers: Arc::new(Semaphore::new(options.workers.max(1))),
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

    /// Runs work on a blocking thread. The admission is kept until the work ends, even when nobody waits for it any more.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        admission: Admission,
        work: impl FnOnce() -> Result<T, RenderError> + Send + 'static,
    ) -> Result<T, RenderError> {
        tokio::task::spawn_blocking(move || {
            let result = work();
            drop(admission);
            result
        })
        .await
        .map_err(|error| RenderError::Failed(error.to_string()))?
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
}
