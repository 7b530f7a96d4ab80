//! The real binary, driven by clients that are not made here: DCMTK, pynetdicom, dicomweb-client, OHIF; and by peers that mean no good.
//!
//! `tests/run` installs what these tests need.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    missing_docs,
    reason = "a test ends with what is wrong"
)]

mod access;
mod attacks;
mod audit;
mod browser;
mod certificates;
mod commit;
mod crash;
mod dcmtk;
mod demo;
mod encryption;
mod fixtures;
mod full_disk;
mod harness;
mod hl7;
mod hostile;
mod hostile_web;
mod import;
mod integrity;
mod orthanc;
mod packs;
mod privacy;
mod pynetdicom;
mod rebuild;
mod records;
mod rejection;
mod s3;
mod scu;
mod serve;
mod tls;
mod web;
mod web_clients;
mod worklist;
