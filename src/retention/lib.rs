//! How long a study has to be kept, and why: retention rules as data, and a pure function that decides by them.
//!
//! [`decide`] takes what is known of a study ([`StudyFacts`]), the rules that are in force ([`Policies`]), the holds on it
//! ([`Hold`]) and a day, and gives a [`Decision`]: the same for the same input, without a clock, a disk or a network. Nothing here
//! destroys anything: that a study may go is where the work of people begins.
//!
//! In doubt a study is kept: a date that is known in part counts as its latest plausible day, a rule that may apply applies, and
//! what is not known at all is a reason to keep and a task for somebody.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod date;
mod decide;
mod digest;
mod explain;
mod facts;
mod hold;
mod policy;
mod simulate;
pub mod templates;
#[cfg(test)]
mod tests;
mod vocabulary;
mod words;

pub use date::{NotADate, NotAPeriod, PartialDate, Period, full_years};
pub use decide::{Assumption, Conflict, Considered, Decision, HeldBy, Review, Status, decide};
pub use explain::{Traced, Verdict, trace};
pub use facts::{Death, Encounter, Flag, OtherStudy, PatientFacts, StudyFacts};
pub use hold::{Cap, Hold, HoldEffect, HoldKind};
pub use policy::{
    AgeRange, Approval, ApprovalStep, Binding, Condition, DeathWithin, Keep, LaterStudy, Lint, Pack, Policies, Rule,
    Severity, read_json, read_toml,
};
pub use simulate::{Change, Shift, Simulation};
pub use vocabulary::{Anchor, Class, Combine, FLAGS, Purpose, Source, is_flag};
