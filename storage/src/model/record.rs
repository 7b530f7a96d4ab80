//! What the store keeps about instances, series and studies.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{Attributes, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid};

/// Where an instance came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The door it came through.
    pub door: Door,
    /// The sender by its own name: calling AE title, user, or path of a medium. Empty when unknown.
    pub sender: String,
    /// The receiver as the sender named it: called AE title or URL path. Empty when not named.
    pub receiver: String,
    /// Network address of the sender; empty for a medium.
    pub address: String,
}

impl Origin {
    /// What stands before the name of a user in [`Origin::sender`], where programs give names of their own too.
    pub const USER: &str = "user:";
}

/// The doors that take instances in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// C-STORE.
    Dimse,
    /// STOW-RS.
    Dicomweb,
    /// `filmroom import`.
    Import,
}

/// All that reading a data set tells about it: made by the archive's describer from the bytes alone, so that it can be made
/// again from the objects at any time.
#[derive(Debug, Clone)]
pub struct Description {
    /// (0020,000D).
    pub study_instance_uid: StudyInstanceUid,
    /// (0020,000E).
    pub series_instance_uid: SeriesInstanceUid,
    /// (0008,0018).
    pub sop_instance_uid: SopInstanceUid,
    /// (0008,0016).
    pub sop_class_uid: SopClassUid,
    /// As negotiated or as the file meta information says.
    pub transfer_syntax_uid: TransferSyntaxUid,
    /// Patient and study level attributes that queries match and return.
    pub study: Attributes,
    /// Series level attributes that queries match and return.
    pub series: Attributes,
    /// Instance level attributes that queries match and return.
    pub instance: Attributes,
    /// What the index finds a study by.
    pub keys: StudyKeys,
    /// The whole header.
    pub header: Header,
    /// Where the frames lie; `None` for an object without pixel data.
    pub pixel_data: Option<PixelData>,
    /// What was odd and let pass, one short phrase each.
    pub quirks: Vec<String>,
}

/// Secondary keys of a study, already folded by the describer: lower case, no diacritics, width-folded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyKeys {
    /// (0010,0020), not folded.
    pub patient_id: String,
    /// (0010,0021), not folded.
    pub issuer_of_patient_id: String,
    /// Folded component groups of (0010,0010): alphabetic, ideographic, phonetic; those that are empty left out.
    pub patient_names: Vec<String>,
    /// (0008,0050), not folded.
    pub accession_number: String,
    /// (0008,0020) as `YYYYMMDD`; empty when absent or not a date.
    pub study_date: String,
}

/// All elements of an instance but bulk data, and where the bulk data lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The elements. A bulk value stands as an element of length zero.
    pub attributes: Attributes,
    /// The values that were left out, in order of their place in the data set. Pixel data are among them.
    pub bulk: Vec<BulkValue>,
}

/// A value that was left out of the header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkValue {
    /// Tags and item indices (from 0) from the top of the data set: `7FE00010`, or `54000100.0.54001010`.
    pub path: String,
    /// Two letters: the value representation.
    pub vr: String,
    /// First byte of the value (for encapsulated pixel data: of the Basic Offset Table item's header), counted from the
    /// start of the data set; of the inflated data set for a deflated transfer syntax.
    pub offset: u64,
    /// Bytes of the value; for encapsulated pixel data up to, not including, the sequence delimiter.
    pub length: u64,
    /// True for encapsulated pixel data (PS3.5 §A.4).
    pub encapsulated: bool,
}

/// Where the frames of an instance lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PixelData {
    /// (7FE0,0010), (7FE0,0008) or (7FE0,0009).
    pub tag: u32,
    /// First byte of the value, counted as in [`BulkValue::offset`].
    pub offset: u64,
    /// Bytes of the value.
    pub length: u64,
    /// (0028,0008), 1 when absent.
    pub number_of_frames: u32,
    /// Where each frame lies.
    pub frames: FrameTable,
}

/// Where each frame lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FrameTable {
    /// Uncompressed: frame `i` (from 0) begins at bit `i * frame_length_bits` of the value.
    Native {
        /// rows × columns × samples × bits allocated.
        frame_length_bits: u64,
    },
    /// Encapsulated: a range for each frame, in order, from the Extended or Basic Offset Table or a scan of the fragments.
    Encapsulated(Vec<FrameRange>),
}

/// The fragments of one encapsulated frame as one range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrameRange {
    /// First byte of the first fragment's item header, counted as in [`BulkValue::offset`].
    pub offset: u64,
    /// Bytes up to the end of the last fragment, item headers included.
    pub length: u64,
    /// Number of fragments.
    pub fragments: u32,
}

/// Where the bytes of an instance lie now. Only the store looks inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Location {
    /// An entry of the intake log.
    Intake {
        /// Number of the segment.
        segment: u64,
        /// First byte of the entry in the segment.
        entry: u64,
        /// First byte of the Part 10 file in the segment.
        offset: u64,
    },
    /// A staged file of its own, not yet settled.
    Staged {
        /// Number of the staged file.
        file: u64,
        /// First byte of the Part 10 file in the staged file.
        offset: u64,
    },
    /// A settled pack.
    Pack {
        /// Number of the pack within its series.
        pack: u64,
        /// First byte of the Part 10 file in the pack.
        offset: u64,
    },
}

/// An instance as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceRecord {
    /// (0020,000D).
    pub study_instance_uid: StudyInstanceUid,
    /// (0020,000E).
    pub series_instance_uid: SeriesInstanceUid,
    /// (0008,0018).
    pub sop_instance_uid: SopInstanceUid,
    /// (0008,0016).
    pub sop_class_uid: SopClassUid,
    /// (0002,0010).
    pub transfer_syntax_uid: TransferSyntaxUid,
    /// Instance level attributes that queries match and return.
    pub attributes: Attributes,
    /// Where the bytes lie.
    pub location: Location,
    /// Bytes of the Part 10 file: preamble, file meta information and data set.
    pub length: u64,
    /// Bytes before the data set in the Part 10 file.
    pub data_set_offset: u64,
    /// SHA-256 of the data set as it was received; `None` until the instance lies in a pack.
    pub sha256: Option<[u8; 32]>,
    /// CRC-32 of the Part 10 file.
    pub crc32: u32,
    /// Where the frames lie.
    pub pixel_data: Option<PixelData>,
    /// When the bytes were acknowledged.
    pub received_at: OffsetDateTime,
}

impl InstanceRecord {
    /// Bytes of the data set.
    #[must_use]
    pub fn data_set_length(&self) -> u64 {
        self.length.saturating_sub(self.data_set_offset)
    }

    /// What tells this content from any other that has or had the same UID, for caches and entity tags: the same before and after
    /// the instance settles, and in an index that was made anew. It proves nothing about the bytes, as a checksum would.
    #[must_use]
    pub fn version(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(self.sop_instance_uid.as_str());
        hasher.update([0]);
        hasher.update(self.transfer_syntax_uid.as_str());
        hasher.update([0]);
        hasher.update(self.length.to_le_bytes());
        hasher.update(self.crc32.to_le_bytes());
        hasher.finalize().into()
    }
}

/// A series as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesRecord {
    /// (0020,000D).
    pub study_instance_uid: StudyInstanceUid,
    /// (0020,000E).
    pub series_instance_uid: SeriesInstanceUid,
    /// Series level attributes.
    pub attributes: Attributes,
    /// (0020,1209), kept as instances come.
    pub number_of_instances: u64,
    /// Bytes of all Part 10 files.
    pub length: u64,
    /// When the first instance was acknowledged.
    pub first_received_at: OffsetDateTime,
    /// When the latest instance was acknowledged.
    pub last_received_at: OffsetDateTime,
}

/// A study as the index knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StudyRecord {
    /// (0020,000D).
    pub study_instance_uid: StudyInstanceUid,
    /// Patient and study level attributes, as the first instance had them.
    pub attributes: Attributes,
    /// What the index finds the study by.
    pub keys: StudyKeys,
    /// (0008,0061), sorted.
    pub modalities_in_study: Vec<String>,
    /// (0008,0062), sorted.
    pub sop_classes_in_study: Vec<SopClassUid>,
    /// (0020,1206).
    pub number_of_series: u64,
    /// (0020,1208).
    pub number_of_instances: u64,
    /// Bytes of all Part 10 files.
    pub length: u64,
    /// When the first instance was acknowledged.
    pub first_received_at: OffsetDateTime,
    /// When the latest instance was acknowledged.
    pub last_received_at: OffsetDateTime,
}
