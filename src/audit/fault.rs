//! Where tests have writing fail; nothing outside of tests.

#[cfg(test)]
mod inject {
    use std::{cell::RefCell, io};

    thread_local! {
        static FAILING: RefCell<Option<(&'static str, super::Failing)>> = const { RefCell::new(None) };
    }

    pub(super) fn check(_place: &str) -> io::Result<()> {
        FAILING.with_borrow(|failing| match failing {
            Some((place, failing)) if *place == _place && failing.is_on() => {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            _ => Ok(()),
        })
    }

    /// Has the writer that runs on this thread fail at a place while the switch is on.
    pub(crate) fn fail_at(place: &'static str, failing: super::Failing) {
        FAILING.with_borrow_mut(|known| *known = Some((place, failing)));
    }
}

#[cfg(test)]
pub(crate) use inject::fail_at;

/// A switch of a test.
#[cfg(test)]
#[derive(Clone, Default)]
pub(crate) struct Failing(std::sync::Arc<std::sync::atomic::AtomicBool>);

#[cfg(test)]
impl Failing {
    pub(crate) fn set(&self, is_on: bool) {
        self.0.store(is_on, std::sync::atomic::Ordering::SeqCst);
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

/// Fails where a test has it fail.
pub(crate) fn check(place: &str) -> std::io::Result<()> {
    #[cfg(test)]
    inject::check(place)?;
    let _ = place;
    Ok(())
}
