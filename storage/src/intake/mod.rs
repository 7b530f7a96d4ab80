//! Intake: the append-only log that makes instances durable, and what stands around it.

mod applier;
pub(crate) mod budget;
mod committer;
#[cfg(test)]
mod crash_test;
pub(crate) mod entry;
pub(crate) mod incoming;
mod log;
pub(crate) mod medium;
pub(crate) mod recover;
mod seal;
pub(crate) mod segment;
mod segments;
mod shelf;
pub(crate) mod space;
pub(crate) mod staged;
mod turnstile;
mod waiting;

pub(crate) use self::{
    applier::index_failed,
    committer::{Order, Parts, Pending, start},
    log::Log,
    segments::{Retired, Segments},
    shelf::Shelf,
    turnstile::Turnstile,
    waiting::{SeriesKey, Waiting, WaitingEntry},
};
