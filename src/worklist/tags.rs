//! The attributes that are named here, by their keywords.

use filmroom_storage::model::Tag;

pub(super) const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;
pub(super) const SOP_CLASS_UID: Tag = 0x0008_0016;
pub(super) const SOP_INSTANCE_UID: Tag = 0x0008_0018;
pub(super) const ACCESSION_NUMBER: Tag = 0x0008_0050;
pub(super) const MODALITY: Tag = 0x0008_0060;
pub(super) const REFERENCED_PATIENT_SEQUENCE: Tag = 0x0008_1120;
pub(super) const REFERENCED_IMAGE_SEQUENCE: Tag = 0x0008_1140;
#[cfg(test)]
pub(super) const REFERENCED_SOP_CLASS_UID: Tag = 0x0008_1150;
pub(super) const REFERENCED_SOP_INSTANCE_UID: Tag = 0x0008_1155;
pub(super) const PATIENT_NAME: Tag = 0x0010_0010;
pub(super) const PATIENT_ID: Tag = 0x0010_0020;
pub(super) const PATIENT_BIRTH_DATE: Tag = 0x0010_0030;
pub(super) const PATIENT_SEX: Tag = 0x0010_0040;
pub(super) const STUDY_INSTANCE_UID: Tag = 0x0020_000D;
pub(super) const SERIES_INSTANCE_UID: Tag = 0x0020_000E;
pub(super) const STUDY_ID: Tag = 0x0020_0010;
#[cfg(test)]
pub(super) const SCHEDULED_STATION_AE_TITLE: Tag = 0x0040_0001;
pub(super) const SCHEDULED_PROCEDURE_STEP_START_DATE: Tag = 0x0040_0002;
pub(super) const SCHEDULED_PROCEDURE_STEP_START_TIME: Tag = 0x0040_0003;
pub(super) const SCHEDULED_PROCEDURE_STEP_ID: Tag = 0x0040_0009;
pub(super) const SCHEDULED_PROCEDURE_STEP_STATUS: Tag = 0x0040_0020;
pub(super) const SCHEDULED_PROCEDURE_STEP_SEQUENCE: Tag = 0x0040_0100;
pub(super) const REFERENCED_NON_IMAGE_COMPOSITE_SOP_INSTANCE_SEQUENCE: Tag = 0x0040_0220;
pub(super) const PERFORMED_STATION_AE_TITLE: Tag = 0x0040_0241;
pub(super) const PERFORMED_STATION_NAME: Tag = 0x0040_0242;
pub(super) const PERFORMED_LOCATION: Tag = 0x0040_0243;
pub(super) const PERFORMED_PROCEDURE_STEP_START_DATE: Tag = 0x0040_0244;
pub(super) const PERFORMED_PROCEDURE_STEP_START_TIME: Tag = 0x0040_0245;
#[cfg(test)]
pub(super) const PERFORMED_PROCEDURE_STEP_END_DATE: Tag = 0x0040_0250;
#[cfg(test)]
pub(super) const PERFORMED_PROCEDURE_STEP_END_TIME: Tag = 0x0040_0251;
pub(super) const PERFORMED_PROCEDURE_STEP_STATUS: Tag = 0x0040_0252;
pub(super) const PERFORMED_PROCEDURE_STEP_ID: Tag = 0x0040_0253;
pub(super) const SCHEDULED_STEP_ATTRIBUTES_SEQUENCE: Tag = 0x0040_0270;
pub(super) const PERFORMED_SERIES_SEQUENCE: Tag = 0x0040_0340;
