//! At which level an attribute lives, and what each level always returns (PS3.4 §C.3, PS3.18 tables 10.6.3-3 to -5).

use filmroom_storage::model::Tag;

use filmroom_dataset::levels::{Level as RecordLevel, levels as record_levels};

use super::Level;

/// Whether an attribute that the archive does not know stands in an answer with length zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It does.
    Required,
    /// It is left out.
    IfKnown,
}

use Presence::{IfKnown, Required};

/// What answers of a level hold in any case.
pub(super) fn always_returned(level: Level) -> &'static [(Tag, Presence)] {
    match level {
        Level::Patient => &[
            (0x0010_0010, Required),
            (0x0010_0020, Required),
            (0x0010_0021, IfKnown),
            (0x0010_0030, Required),
            (0x0010_0040, Required),
        ],
        Level::Study => &[
            (0x0008_0020, Required),
            (0x0008_0030, Required),
            (0x0008_0050, Required),
            (0x0008_0056, Required),
            (0x0008_0061, Required),
            (0x0008_0090, Required),
            (0x0008_0201, IfKnown),
            (0x0008_1190, IfKnown),
            (0x0010_0010, Required),
            (0x0010_0020, Required),
            (0x0010_0030, Required),
            (0x0010_0040, Required),
            (0x0020_000D, Required),
            (0x0020_0010, Required),
            (0x0020_1206, Required),
            (0x0020_1208, Required),
        ],
        Level::Series => &[
            (0x0008_0060, Required),
            (0x0008_0201, IfKnown),
            (0x0008_103E, Required),
            (0x0008_1190, IfKnown),
            (0x0020_000E, Required),
            (0x0020_0011, Required),
            (0x0020_1209, Required),
            (0x0040_0244, IfKnown),
            (0x0040_0245, IfKnown),
            (0x0040_0275, IfKnown),
        ],
        Level::Instance => &[
            (0x0008_0016, Required),
            (0x0008_0018, Required),
            (0x0008_0056, Required),
            (0x0008_0201, IfKnown),
            (0x0008_1190, IfKnown),
            (0x0008_3002, IfKnown),
            (0x0020_0013, Required),
            (0x0028_0008, IfKnown),
            (0x0028_0010, IfKnown),
            (0x0028_0011, IfKnown),
            (0x0028_0100, IfKnown),
        ],
    }
}

/// The level whose records hold an attribute, as asked for at a level: the nearest above it where there are several.
/// `None` when only headers hold it.
pub(super) fn home(tag: Tag, asked_at: Level) -> Option<Level> {
    let homes = record_levels(tag).iter().map(|level| match level {
        RecordLevel::Study if is_of_the_patient(tag) => Level::Patient,
        RecordLevel::Study => Level::Study,
        RecordLevel::Series => Level::Series,
        RecordLevel::Instance => Level::Instance,
    });
    homes
        .clone()
        .filter(|level| *level <= asked_at)
        .max()
        .or_else(|| homes.min())
}

/// Attributes of the Patient module and of the clinical trial subject (PS3.3 §C.7.1); the rest of the study's record is about
/// the study or about the patient at its time (§C.7.2.2).
fn is_of_the_patient(tag: Tag) -> bool {
    match tag >> 16 {
        0x0010 => !matches!(tag, 0x0010_1010..=0x0010_1030 | 0x0010_2000..=0x0010_2110 | 0x0010_2180..=0x0010_21F0),
        0x0012 => !matches!(tag, 0x0012_0050 | 0x0012_0051),
        _ => false,
    }
}
