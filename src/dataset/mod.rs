//! Data sets (PS3.5): a bounded scanner, character sets, normal form, and the encodings that doors speak.
//!
//! Everything here takes a peer's bytes and is bounded: no allocation before a length was checked against what remains,
//! no recursion by input.

mod builder;
mod bulk_paths;
mod dictionary;
mod file_head;
mod fold;
mod items;
mod json_write;
mod number;
pub(crate) mod vr;

use bytes::Bytes;
use filmroom_storage::{
    model::{Attributes, Description, Header, TransferSyntaxUid},
    source::ReadAt,
    store::Describer,
};

pub use builder::Builder;
pub use dictionary::{attribute_by_name, keyword};
pub use file_head::{FileHead, read_file_head, write_file_head};
pub use fold::fold;
pub use items::{Items, items};
pub use json_write::{write_json, write_json_attributes};

/// Appends one data set as a Native DICOM Model document (PS3.19 §A.1).
pub fn write_xml(_out: &mut Vec<u8>, _header: &Header, _bulk_base: &str) {
    unimplemented!()
}

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
    /// An element that identifies an instance is missing or unusable.
    #[error("{0}")]
    Identity(String),
}

/// Describes data sets for the store and for `ingest`.
#[derive(Debug, Clone, Default)]
pub struct DataSetDescriber;

impl Describer for DataSetDescriber {
    fn describe(&self, _data_set: &dyn ReadAt, _transfer_syntax: &TransferSyntaxUid) -> Result<Description, String> {
        unimplemented!()
    }
}

/// Reads a whole small data set (a query identifier, an action's information) in any transfer syntax into normal form.
/// Nothing is left out; more than `max_bytes` is refused.
///
/// # Errors
/// [`DataSetError`].
pub fn parse(
    _data_set: &Bytes,
    _transfer_syntax: &TransferSyntaxUid,
    _max_bytes: usize,
) -> Result<Attributes, DataSetError> {
    unimplemented!()
}

/// The character sets that an answer can be encoded in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CharacterSet {
    /// `ISO_IR 192`.
    Utf8,
    /// What the data set's own text was in, or another defined term list of (0008,0005), such as `ISO_IR 100` or
    /// `\ISO 2022 IR 87`. Falls back to UTF-8 for a data set that cannot be written in it.
    Terms(String),
}

/// Encodes normal form in an uncompressed transfer syntax (implicit or explicit little endian, explicit big endian, or deflated).
///
/// # Errors
/// [`DataSetError::Malformed`] for a transfer syntax that is none of these.
pub fn encode(
    _attributes: &Attributes,
    _transfer_syntax: &TransferSyntaxUid,
    _character_set: &CharacterSet,
) -> Result<Bytes, DataSetError> {
    unimplemented!()
}

/// Version of the implementation, stable for allow lists: (0002,0012).
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.298163519487120946812310498105377519233";
/// (0002,0013), at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = "FILMROOM_0_1";
