//! The threads that a command runs on.

use tokio::runtime::{Builder, Runtime};

use super::failure::{Failure, Status};
use crate::config::Run;

/// Builds the runtime of a command.
///
/// # Errors
/// [`Failure`] when the system gives no threads.
pub fn build(settings: &Run) -> Result<Runtime, Failure> {
    let mut builder = Builder::new_multi_thread();
    builder
        .enable_all()
        .max_blocking_threads(settings.blocking_threads_max as usize)
        .thread_name("filmroom");
    if settings.worker_threads > 0 {
        builder.worker_threads(settings.worker_threads as usize);
    }
    builder.build().map_err(|error| {
        Failure::new(
            Status::Software,
            format!("the operating system gives no threads: {error}"),
            "raise the limit of processes of this user (ulimit -u)",
        )
    })
}
