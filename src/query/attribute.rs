//! What the data dictionary (PS3.6) says of an attribute.

use filmroom_storage::model::Tag;

/// The VR of an attribute; `UN` for private and unknown ones.
pub(super) fn vr_of(tag: Tag) -> [u8; 2] {
    filmroom_dataset::attribute_by_name(&format!("{tag:08X}")).map_or(*b"UN", |(_, vr)| vr)
}

/// The keyword of an attribute, else `(gggg,eeee)`.
pub(super) fn keyword_of(tag: Tag) -> String {
    filmroom_dataset::keyword(tag).map_or_else(|| format!("({:04X},{:04X})", tag >> 16, tag & 0xFFFF), str::to_owned)
}

/// The names along a path: `RequestAttributesSequence.ScheduledProcedureStepID`.
pub(super) fn path_name(path: &[Tag]) -> String {
    path.iter().map(|tag| keyword_of(*tag)).collect::<Vec<_>>().join(".")
}
