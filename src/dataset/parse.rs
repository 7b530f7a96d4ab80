//! Reading small data sets whole.

use bytes::Bytes;
use filmroom_storage::model::{Attributes, TransferSyntaxUid};

use super::{
    DataSetError,
    feed::inflate,
    file_head::EXPLICIT_VR_LITTLE_ENDIAN,
    normal::{Keep, Rest, normalize},
    transfer_syntax::is_deflated_uid,
};

/// Reads a whole small data set (a query identifier, an action's information) in any transfer syntax into normal form.
/// Nothing is left out; more than `max_bytes` (of the inflated data set, for a deflated one) is refused.
///
/// # Errors
/// [`DataSetError`].
pub fn parse(
    data_set: &Bytes,
    transfer_syntax: &TransferSyntaxUid,
    max_bytes: usize,
) -> Result<Attributes, DataSetError> {
    if data_set.len() > max_bytes {
        return Err(DataSetError::Limit("the length that is allowed here"));
    }
    if is_deflated_uid(transfer_syntax.as_str()) {
        let inflated = inflate(data_set, max_bytes)?;
        return Ok(normalize(&inflated, EXPLICIT_VR_LITTLE_ENDIAN, Keep::ALL, Rest::Refused)?.attributes);
    }
    let normal = normalize(data_set, transfer_syntax.as_str(), Keep::ALL, Rest::Refused)?;
    if normal.bulk.is_empty() {
        Ok(normal.attributes)
    } else {
        // Only fragments are left out here, and they belong to instances.
        Err(DataSetError::Malformed(
            "encapsulated pixel data where none can be".into(),
        ))
    }
}
