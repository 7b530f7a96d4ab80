//! Data sets (PS3.5): a bounded scanner, character sets, normal form, and the encodings that doors speak.
//!
//! Everything here takes a peer's bytes and is bounded: no allocation before a length was checked against what remains,
//! no recursion by input.

use bytes::Bytes;
use filmroom_storage::{
    model::{Attributes, Description, Header, TransferSyntaxUid},
    source::ReadAt,
    store::Describer,
};

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

/// Builds data sets in normal form. Elements may come in any order; the last value given for a tag wins.
#[derive(Debug, Clone, Default)]
pub struct Builder;

impl Builder {
    /// An empty data set.
    #[must_use]
    pub fn new() -> Self {
        unimplemented!()
    }
    /// Begins with the elements of another data set.
    #[must_use]
    pub fn from_attributes(_attributes: &Attributes) -> Self {
        unimplemented!()
    }
    /// Sets a text value (already joined with `\` where there are several); the VR comes from the dictionary.
    pub fn text(&mut self, _tag: u32, _value: &str) -> &mut Self {
        unimplemented!()
    }
    /// Sets a value by its VR and encoded bytes (little endian; padded here).
    pub fn value(&mut self, _tag: u32, _vr: [u8; 2], _value: &[u8]) -> &mut Self {
        unimplemented!()
    }
    /// Sets one US value.
    pub fn us(&mut self, _tag: u32, _value: u16) -> &mut Self {
        unimplemented!()
    }
    /// Sets an element of length zero.
    pub fn empty(&mut self, _tag: u32) -> &mut Self {
        unimplemented!()
    }
    /// Sets a sequence.
    pub fn sequence(&mut self, _tag: u32, _items: &[Attributes]) -> &mut Self {
        unimplemented!()
    }
    /// Removes an element.
    pub fn remove(&mut self, _tag: u32) -> &mut Self {
        unimplemented!()
    }
    /// The finished data set.
    #[must_use]
    pub fn build(&self) -> Attributes {
        unimplemented!()
    }
}

/// Tag and VR of an attribute by keyword or by eight hexadecimal digits (any case).
#[must_use]
pub fn attribute_by_name(_keyword_or_tag: &str) -> Option<(u32, [u8; 2])> {
    unimplemented!()
}

/// The start of a Part 10 file (PS3.10 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHead {
    /// (0002,0002), empty when absent.
    pub media_storage_sop_class_uid: String,
    /// (0002,0003), empty when absent.
    pub media_storage_sop_instance_uid: String,
    /// (0002,0010).
    pub transfer_syntax_uid: TransferSyntaxUid,
    /// Bytes before the data set.
    pub data_set_offset: usize,
}

/// Reads preamble and file meta information; `None` when more bytes are needed to tell. Bytes without a preamble, or
/// without file meta information, are understood where their transfer syntax can be told from the first elements.
///
/// # Errors
/// [`DataSetError`] when the bytes are no DICOM.
pub fn read_file_head(_bytes: &[u8]) -> Result<Option<FileHead>, DataSetError> {
    unimplemented!()
}

/// Writes an empty preamble, `DICM` and file meta information (PS3.10 §7.1) with Filmroom's implementation identifiers.
#[must_use]
pub fn write_file_head(
    _sop_class_uid: &str,
    _sop_instance_uid: &str,
    _transfer_syntax_uid: &str,
    _source_application_entity_title: &str,
) -> Bytes {
    unimplemented!()
}

/// Appends one data set as a DICOM JSON object (PS3.18 Annex F). Elements that were left out become `BulkDataURI`
/// `<bulk_base>/<path>`; `bulk_base` is the URI of the instance's `bulkdata` resource.
pub fn write_json(_out: &mut Vec<u8>, _header: &Header, _bulk_base: &str) {
    unimplemented!()
}

/// Appends one data set of a query answer as a DICOM JSON object.
pub fn write_json_attributes(_out: &mut Vec<u8>, _attributes: &Attributes) {
    unimplemented!()
}

/// Appends one data set as a Native DICOM Model document (PS3.19 §A.1).
pub fn write_xml(_out: &mut Vec<u8>, _header: &Header, _bulk_base: &str) {
    unimplemented!()
}

/// Folds a text for matching: lower case, no diacritics, compatibility forms unified, `^` kept.
#[must_use]
pub fn fold(_text: &str) -> String {
    unimplemented!()
}

/// Version of the implementation, stable for allow lists: (0002,0012).
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.298163519487120946812310498105377519233";
/// (0002,0013), at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = "FILMROOM_0_1";
