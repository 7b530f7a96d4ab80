//! Places where a child process of a crash test ends itself, as if it had been killed there.

/// The environment variable that names the place, and after how many passes.
pub(crate) const VARIABLE: &str = "FILMROOM_TEST_CRASH_AT";

/// Ends the process here when a test asks for it: `name:passes`.
pub(crate) fn point(name: &str) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static PASSES: AtomicU64 = AtomicU64::new(0);
    let Ok(wanted) = std::env::var(VARIABLE) else { return };
    let Some((place, passes)) = wanted.split_once(':') else {
        return;
    };
    if place == name && PASSES.fetch_add(1, Ordering::SeqCst) + 1 >= passes.parse().unwrap() {
        // No destructor runs and nothing is flushed, as with kill -9.
        std::process::abort();
    }
}
