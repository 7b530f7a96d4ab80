//! The archive's vocabulary: identifiers, data sets in normal form, and the records of the index.

mod attributes;
mod name_words;
mod record;
mod uid;

pub use attributes::{Attributes, Element, Elements, Tag, has_long_length};
pub use name_words::{NameWord, each_word, is_word_break, is_word_joint, name_words, word_letters};
pub use record::{
    BulkValue, Description, Door, FrameRange, FrameTable, Header, InstanceRecord, Location, Origin, PixelData,
    SeriesRecord, StudyKeys, StudyRecord,
};
pub use uid::{
    SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid, UidError, check_uid,
};
