//! Data sets as they are kept and as they are given by programs: DICOM JSON (PS3.18 annex F).

use filmroom_dataset::{DataSetError, read_json, write_json_attributes};
use filmroom_storage::model::{Attributes, Elements, Tag};
use serde_json::Value;

/// The data set of a JSON object.
pub(super) fn from_json(value: &Value) -> Result<Attributes, DataSetError> {
    let mut read = read_json(value.to_string().as_bytes())?;
    match (read.pop(), read.pop()) {
        (Some(one), None) if one.bulk.is_empty() => Ok(one.attributes),
        (Some(_), None) => Err(DataSetError::Malformed("a BulkDataURI where values are needed".into())),
        _ => Err(DataSetError::Malformed(
            "one data set is needed, as a JSON object".into(),
        )),
    }
}

/// A data set as a JSON object.
#[must_use]
pub fn to_json(attributes: &Attributes) -> Value {
    let mut out = Vec::with_capacity(attributes.as_bytes().len() * 2);
    write_json_attributes(&mut out, attributes);
    serde_json::from_slice(&out).unwrap_or_default()
}

/// The text of an element within an item.
pub(super) fn text_of(item: &[u8], tag: Tag) -> &str {
    Elements::new(item)
        .find(|element| element.tag == tag)
        .map(|element| element.text().trim())
        .unwrap_or_default()
}
