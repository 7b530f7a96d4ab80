//! The room that keeps the audit trail: who did what to which patient's data, from where, when, what for, with what outcome.
//!
//! [`Audit::record`] puts an event into an append-only log and returns when it is written. The entries are the leaves of a
//! Merkle tree (RFC 6962); checkpoints over it are signed, so that nothing can be changed, taken out or cut off unnoticed. What
//! tells of a patient stands beside the tree, which has salted commitments to it: it can be erased, and every proof still holds.
//!
//! ```text
//! in the folder          what
//! <index>.log            segments of entries (segment.rs, frame.rs)
//! <index>.find           what finds the entries of a full segment (postings.rs); can be thrown away
//! tree                   hashes of the tree (tree.rs); written behind each entry, before it is acknowledged
//! checkpoints            signed notes (checkpoint.rs)
//! signing.key            Ed25519, PKCS #8
//! search.key             what facets are hashed with
//! damage.json            damage that nobody has acknowledged
//! reserve                room for the log on a full disk (reserve.rs)
//! sent/<destination>     how far the log was sent (forward.rs)
//! ```
//!
//! | crash after | on disk | repair at start |
//! |---|---|---|
//! | a part of a batch written | a torn entry, whole ones before it | cut; whole ones stay, though nobody was told of them |
//! | all of it, not its hashes | whole entries | their hashes are added to the tree |
//! | the hashes | all | nothing |
//!
//! An entry whose hash is in the tree and that is not there, or is another, is damage: it is said, recording goes on behind it,
//! and nothing is destroyed until a person has acknowledged it.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod checkpoint;
mod codes;
mod entry;
mod erase;
mod error;
mod event;
pub mod events;
mod facets;
mod fault;
pub mod fhir;
pub mod forward;
mod frame;
mod log;
pub mod merkle;
mod postings;
mod protected;
mod recover;
mod reserve;
mod seal;
mod search;
mod segment;
mod shared;
pub mod syslog;
#[cfg(test)]
mod tests;
mod trail;
pub mod transfers;
mod tree;
mod verify;
mod writer;
pub mod xml;

pub use checkpoint::{Checkpoint, Verifier};
pub use codes::{Action, Code, EventId, EventType, Outcome, Purpose, Role};
pub use entry::Entry;
pub use erase::Erased;
pub use error::AuditError;
pub use event::{
    Detail, Event, INSTANCES_MAX, Network, Object, Order, Participant, Patient, Query, Security, SecurityKind,
    SopClass, Study,
};
pub use log::{Audit, Log, Options, Proof, Recorded};
pub use protected::Protected;
pub use seal::seal;
pub use search::{Cursor, Order as SearchOrder, PAGE_ENTRIES_MAX, Page, Search};
pub use shared::Damage;
pub use trail::{Caller, Subject, Subjects, Trail, Way};
pub use verify::Verified;
pub use writer::Wait;
