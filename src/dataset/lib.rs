//! Data sets (PS3.5): a bounded scanner, character sets, normal form, and the encodings that doors speak.
//!
//! Everything here takes a peer's bytes and is bounded: no allocation before a length was checked against what remains,
//! no recursion by input.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod builder;
mod bulk_paths;
mod charset;
mod describe;
mod dictionary;
mod encode;
mod feed;
mod file_head;
mod fold;
mod frames;
mod identify;
mod items;
mod json_series;
mod json_write;
pub mod levels;
mod normal;
mod number;
mod parse;
mod quirks;
mod read;
mod reencode;
mod same_content;
mod scan;
mod transfer_syntax;
pub mod vr;
mod xml_write;

pub use builder::Builder;
pub use describe::{DataSetDescriber, describe};
pub use dictionary::{attribute_by_name, keyword};
pub use encode::{CharacterSet, encode};
pub use feed::inflate;
pub use file_head::{FileHead, read_file_head, write_file_head};
pub use fold::fold;
pub use identify::{Identity, identify};
pub use items::{Items, items};
pub use json_series::JsonSeries;
pub use json_write::{write_json, write_json_attributes};
pub use parse::parse;
pub use read::{BulkReference, ReadDataSet, read_json, read_xml};
pub use reencode::{Piece, PixelDataIs, Reencoder};
pub use same_content::{BulkPair, same_header};
pub use transfer_syntax::is_deflated;
pub use xml_write::write_xml;

/// Why bytes are no data set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataSetError {
    /// The bytes end inside an element, or a length points past the end.
    #[error("the data set ends inside {0}")]
    Truncated(String),
    /// The bytes follow no encoding rule.
    #[error("not a data set: {0}")]
    Malformed(String),
    /// A bound of the scanner was met.
    #[error("the data set exceeds {0}")]
    Limit(&'static str),
    /// The bytes could not be read.
    #[error("the data set cannot be read: {0}")]
    Unreadable(String),
    /// An element that identifies an instance is missing or unusable.
    #[error("{0}")]
    Identity(String),
}

/// Version of the implementation, stable for allow lists: (0002,0012).
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.298163519487120946812310498105377519233";
/// (0002,0013), at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = "FILMROOM_0_1";

#[cfg(test)]
mod tests;
