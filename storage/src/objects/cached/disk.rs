//! Threads of the cache's own for its disk. Readers may hold all threads of the runtime's blocking pool while they wait for
//! the cache; were it to wait for one of these, nobody would go on.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, Sender, channel},
    },
    thread::Builder,
};

use tokio::sync::oneshot;

/// What a local disk does at the same time.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// A few threads that end with this.
pub(super) struct DiskThreads {
    jobs: Sender<Job>,
}

impl DiskThreads {
    pub(super) fn start() -> io::Result<Self> {
        let (jobs, receiver) = channel();
        let receiver: Arc<Mutex<Receiver<Job>>> = Arc::new(Mutex::new(receiver));
        for _ in 0..THREADS {
            let receiver = Arc::clone(&receiver);
            Builder::new().name("cache".into()).spawn(move || {
                loop {
                    let job = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(job) = job else { return };
                    // Whoever waits for it is told by the loss of the answer.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            })?;
        }
        Ok(Self { jobs })
    }

    pub(super) async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (done, answer) = oneshot::channel();
        let job: Job = Box::new(move || {
            // One who went away needs no answer.
            let _ = done.send(work());
        });
        self.jobs.send(job).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())
    }
}

fn ended() -> io::Error {
    io::Error::other("a thread of the read cache ended")
}
