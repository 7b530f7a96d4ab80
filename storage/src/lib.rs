//! Filmroom's store: an intake log, packs of settled series, object stores and an index.
//!
//! It knows neither a protocol nor a rule: what a data set means is told to it by a [`store::Describer`].
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

/// A place where crash tests end the process; nothing outside of tests.
macro_rules! crash_point {
    ($name:literal) => {
        #[cfg(test)]
        crate::testing::crash::point($name);
    };
}

mod buffers;
mod direct;
pub mod encryption;
#[doc(hidden)]
pub mod fuzzing;
mod hexadecimal;
pub mod index;
mod intake;
pub mod journal;
pub mod metrics;
pub mod model;
pub mod objects;
mod packs;
pub mod source;
pub mod state;
pub mod store;
#[cfg(test)]
mod testing;
