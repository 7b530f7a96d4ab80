//! Which attributes the index keeps at which level, for queries to match and return (PS3.4 §C.6.2.1, PS3.18 §10.6.3.3).

use bytes::Bytes;
use filmroom_storage::model::{Attributes, Element, Tag};

use super::builder::push_element;

/// The index's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// The study's record, the patient's attributes in it.
    Study,
    /// The series' record.
    Series,
    /// The instance's record.
    Instance,
}

/// A value longer than this is not kept in a record of the index; the header has it.
const VALUE_MAX_BYTES: usize = 1024;
/// At instance level, of which there are most.
const INSTANCE_VALUE_MAX_BYTES: usize = 256;

/// The levels at which an attribute is kept; some are at two.
#[must_use]
pub const fn levels(tag: Tag) -> &'static [Level] {
    use Level::{Instance, Series, Study};
    match tag {
        // Institution and time zone are the series' own, and asked for at either level.
        0x0008_0080 | 0x0008_0201 => &[Study, Series],
        // General Study and Patient Study (PS3.3 §C.7.2)
        0x0008_0020 | 0x0008_0030 | 0x0008_0050 | 0x0008_0051 | 0x0008_0081 | 0x0008_0090 | 0x0008_0092
        | 0x0008_0094 | 0x0008_0096 | 0x0008_009C | 0x0008_009D | 0x0008_1030 | 0x0008_1032 | 0x0008_1048
        | 0x0008_1049 | 0x0008_1060 | 0x0008_1062 | 0x0008_1080 | 0x0008_1084 | 0x0008_1110 | 0x0010_1010
        | 0x0010_1020 | 0x0010_1021 | 0x0010_1030 | 0x0010_21A0 | 0x0010_21C0 | 0x0010_21D0 | 0x0010_2000
        | 0x0010_2110 | 0x0010_2180 | 0x0010_21B0 | 0x0010_21F0 | 0x0020_000D | 0x0020_0010 | 0x0032_000A
        | 0x0032_000C | 0x0032_1032 | 0x0032_1033 | 0x0032_1060 | 0x0032_1064 | 0x0032_4000 | 0x0038_0010
        | 0x0038_0014 | 0x0038_0060 | 0x0038_0064 | 0x0038_0300 | 0x0038_0500 | 0x0040_1012 | 0x4008_0212
        // Patient (§C.7.1)
        | 0x0010_0010 | 0x0010_0020 | 0x0010_0021 | 0x0010_0022 | 0x0010_0024 | 0x0010_0030 | 0x0010_0032
        | 0x0010_0033 | 0x0010_0034 | 0x0010_0035 | 0x0010_0040 | 0x0010_0200 | 0x0010_1000 | 0x0010_1001
        | 0x0010_1002 | 0x0010_1005 | 0x0010_1040 | 0x0010_1060 | 0x0010_2160 | 0x0010_2201 | 0x0010_2202
        | 0x0010_2203 | 0x0010_2292 | 0x0010_2297 | 0x0010_4000 | 0x0012_0010 | 0x0012_0020 | 0x0012_0021
        | 0x0012_0030 | 0x0012_0031 | 0x0012_0040 | 0x0012_0042 | 0x0012_0050 | 0x0012_0051 | 0x0012_0062
        | 0x0012_0063 => &[Study],
        // General Series (§C.7.3) and General Equipment (§C.7.5)
        0x0008_0021 | 0x0008_0031 | 0x0008_0060 | 0x0008_0064 | 0x0008_0068 | 0x0008_0070 | 0x0008_103E
        | 0x0008_103F | 0x0008_1010 | 0x0008_1040 | 0x0008_1050 | 0x0008_1052 | 0x0008_1070 | 0x0008_1072
        | 0x0008_1090 | 0x0008_1111 | 0x0018_0015 | 0x0018_0010 | 0x0018_1000 | 0x0018_1020 | 0x0018_1030
        | 0x0018_5100 | 0x0020_000E | 0x0020_0011 | 0x0020_0052 | 0x0020_0060 | 0x0020_1040 | 0x0040_0244
        | 0x0040_0245 | 0x0040_0250 | 0x0040_0251 | 0x0040_0253 | 0x0040_0254 | 0x0040_0260 | 0x0040_0275
        | 0x0040_0280 => &[Series],
        // SOP Common (§C.12.1), General Image, Image Pixel, SR and presentation documents
        0x0008_0008 | 0x0008_0012 | 0x0008_0013 | 0x0008_0014 | 0x0008_0016 | 0x0008_0018 | 0x0008_001A
        | 0x0008_0022 | 0x0008_0023 | 0x0008_0032 | 0x0008_0033 | 0x0008_002A | 0x0020_0012 | 0x0020_0013
        | 0x0020_0032 | 0x0020_1041 | 0x0020_4000 | 0x0028_0002 | 0x0028_0004 | 0x0028_0008
        | 0x0028_0010 | 0x0028_0011 | 0x0028_0030 | 0x0028_0100 | 0x0028_0101 | 0x0028_0102 | 0x0028_0103
        | 0x0028_0301 | 0x0028_1050 | 0x0028_1051 | 0x0028_2110 | 0x0040_A043
        | 0x0040_A491 | 0x0040_A493 | 0x0040_A496 | 0x0042_0010 | 0x0042_0012 | 0x0070_0080 | 0x0070_0081
        | 0x0070_0082 | 0x0070_0083 | 0x0070_0084 | 0x0100_0410 => &[Instance],
        _ => &[],
    }
}

/// The records' shares of a header: study, series, instance.
pub(crate) fn split(header: &Attributes) -> [Attributes; 3] {
    let [mut study, mut series, mut instance] = [const { Vec::new() }; 3];
    for element in header.iter() {
        // The names of groups after this one are in no record.
        if element.tag > 0x4008_FFFF {
            break;
        }
        for level in levels(element.tag) {
            let (out, limit) = match level {
                Level::Study => (&mut study, VALUE_MAX_BYTES),
                Level::Series => (&mut series, VALUE_MAX_BYTES),
                Level::Instance => (&mut instance, INSTANCE_VALUE_MAX_BYTES),
            };
            push(out, &element, limit);
        }
    }
    [study, series, instance].map(|bytes| Attributes::from_normal_form(Bytes::from(bytes)))
}

/// An element whose value is too long is cut where it is text, at a value's or character's end, and left out otherwise.
fn push(out: &mut Vec<u8>, element: &Element<'_>, limit: usize) {
    if element.value.len() <= limit {
        push_element(out, element.tag, element.vr, element.value);
        return;
    }
    if &element.vr == b"SQ" {
        return;
    }
    let text = element.text();
    let Some(cut) = text.get(..text.floor_char_boundary(limit)) else {
        return;
    };
    let cut = cut.rsplit_once('\\').map_or(cut, |(whole, _)| whole);
    let mut value = cut.as_bytes().to_vec();
    if value.len() % 2 == 1 {
        value.push(super::vr::padding(element.vr));
    }
    if !value.is_empty() {
        push_element(out, element.tag, element.vr, &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Builder;

    #[test]
    fn gives_each_record_its_share() {
        let mut builder = Builder::new();
        builder
            .text(0x0010_0010, "Müller")
            .text(0x0008_0060, "CT")
            .text(0x0020_0013, "5")
            .text(0x0018_0060, "120");
        let [study, series, instance] = split(&builder.build());
        assert_eq!(study.text(0x0010_0010), "Müller");
        assert_eq!(series.text(0x0008_0060), "CT");
        assert_eq!(instance.text(0x0020_0013), "5");
        assert_eq!(
            [study.iter().count(), series.iter().count(), instance.iter().count()],
            [1, 1, 1]
        );
    }

    #[test]
    fn keeps_records_small() {
        let mut builder = Builder::new();
        builder
            .text(0x0020_4000, &"ä".repeat(5000))
            .text(0x0008_1060, &"Ä\\".repeat(5000));
        let [study, _, instance] = split(&builder.build());
        assert_eq!(instance.text(0x0020_4000).len(), 256);
        assert!(study.text(0x0008_1060).ends_with('Ä'));
        assert!(study.as_bytes().len() < 1100);
    }
}
