//! Reading data sets that doors take in as JSON (PS3.18 Annex F) or as a Native DICOM Model (PS3.19 §A.1).

mod assembly;
mod json;
mod json_tokens;
mod values;
mod xml;

use filmroom_storage::model::Attributes;

pub use json::read_json;
pub use xml::read_xml;

/// A value that a metadata document refers to instead of holding it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkReference {
    /// As [`filmroom_storage::model::BulkValue::path`].
    pub path: String,
    /// The value representation.
    pub vr: [u8; 2],
    /// As the document has it.
    pub uri: String,
}

/// One data set of a metadata document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadDataSet {
    /// The elements; those that are referred to are of length zero.
    pub attributes: Attributes,
    /// What is referred to, in order of the document.
    pub bulk: Vec<BulkReference>,
}

/// More data sets than this in one document are refused.
const MAX_DATA_SETS: usize = 100_000;

#[cfg(test)]
mod tests;
