//! Filmroom: a medical imaging archive and DICOM server.
//!
//! `architecture.md` beside this file is the map. Each part of the archive is a crate of its own below this folder; what stands in
//! this one builds the rooms, hands them to the doors, and stops both.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod cli;
pub mod config;
