//! Filmroom: a medical imaging archive and DICOM server.
//!
//! `architecture.md` beside this file is the map: doors (`dimse`, `dicomweb`, `console`) speak protocols and own no rule;
//! rooms (`ingest`, `query`, `retrieve`, `render`, `peers`, `access`, `commitment`, `forwarding`) own the rules and know no protocol; `filmroom_storage` keeps the bytes.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

pub mod access;
pub mod api;
pub mod cli;
pub mod commitment;
pub mod config;
pub mod console;
pub mod dataset;
pub mod dicomweb;
pub mod dimse;
pub mod forwarding;
pub mod ingest;
pub mod peers;
pub mod query;
pub mod render;
pub mod retrieve;
