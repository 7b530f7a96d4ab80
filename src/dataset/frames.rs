//! Where each frame of the pixel data lies (PS3.5 §8 and annex A.4).

use filmroom_storage::{
    model::{Attributes, FrameRange, FrameTable, PixelData},
    source::ReadAt,
};

use super::{
    normal::PixelPlace,
    quirks::Quirks,
    scan::Fragment,
    transfer_syntax::{is_deflated_uid, is_native, is_video},
};

const NUMBER_OF_FRAMES: u32 = 0x0028_0008;
const EXTENDED_OFFSET_TABLE: u32 = 0x7FE0_0001;
/// An offset table is read up to this length: four million frames.
const OFFSET_TABLE_MAX_BYTES: usize = 32 << 20;

/// Makes the frame table. `attributes`: the header; `source`: the data set, for offset tables and the first bytes of fragments.
pub(crate) fn locate(
    found: PixelPlace,
    attributes: &Attributes,
    extended_offset_table: Option<(u64, u64)>,
    source: &dyn ReadAt,
    transfer_syntax: &str,
    quirks: &mut Quirks,
) -> PixelData {
    let number_of_frames = number_of_frames(attributes, quirks);
    let frames = match found.fragments {
        None => native(attributes, &found.place, number_of_frames, transfer_syntax, quirks),
        Some(fragments) => {
            if is_native(transfer_syntax) {
                quirks.note_whole("encapsulated pixel data in a native transfer syntax");
            }
            let mut finder = Finder {
                fragments: &fragments,
                number_of_frames,
                attributes,
                extended_offset_table,
                source,
            };
            if is_deflated_uid(transfer_syntax) {
                // The bytes lie in the inflated data set, which cannot be read here and there.
                finder.source = &EMPTY;
            }
            FrameTable::Encapsulated(finder.find(is_video(transfer_syntax), quirks))
        }
    };
    PixelData {
        tag: found.place.tag,
        offset: found.place.offset,
        length: found.place.length,
        number_of_frames,
        frames,
    }
}

static EMPTY: bytes::Bytes = bytes::Bytes::new();

fn number_of_frames(attributes: &Attributes, quirks: &mut Quirks) -> u32 {
    let text = attributes.text(NUMBER_OF_FRAMES);
    let first = text.split('\\').next().unwrap_or_default().trim();
    if first.is_empty() {
        return 1;
    }
    match first.parse::<f64>() {
        Ok(number) if number >= 1.0 && number <= f64::from(u32::MAX) => number as u32,
        _ => {
            quirks.note("unusable number of frames", NUMBER_OF_FRAMES);
            1
        }
    }
}

fn number(attributes: &Attributes, tag: u32) -> Option<u64> {
    let element = attributes.get(tag)?;
    match &element.vr {
        b"US" | b"SS" => element
            .value
            .first_chunk()
            .map(|bytes| u64::from(u16::from_le_bytes(*bytes))),
        b"UL" | b"SL" => element
            .value
            .first_chunk()
            .map(|bytes| u64::from(u32::from_le_bytes(*bytes))),
        _ => element.text().split('\\').next()?.trim().parse().ok(),
    }
}

/// Bits of one frame of native pixel data.
fn native(
    attributes: &Attributes,
    place: &super::scan::Place,
    number_of_frames: u32,
    transfer_syntax: &str,
    quirks: &mut Quirks,
) -> FrameTable {
    let whole_bits = place.length.saturating_mul(8);
    if !is_native(transfer_syntax) {
        quirks.note_whole("native pixel data in an encapsulated transfer syntax");
        return FrameTable::Native {
            frame_length_bits: whole_bits / u64::from(number_of_frames),
        };
    }
    let bits_allocated = match place.tag {
        0x7FE0_0008 => 32,
        0x7FE0_0009 => 64,
        _ => number(attributes, 0x0028_0100).unwrap_or(0),
    };
    let rows = number(attributes, 0x0028_0010).unwrap_or(0);
    let columns = number(attributes, 0x0028_0011).unwrap_or(0);
    let samples = number(attributes, 0x0028_0002).unwrap_or(1).max(1);
    let samples_bits = rows
        .saturating_mul(columns)
        .saturating_mul(samples)
        .saturating_mul(bits_allocated);
    if samples_bits == 0 {
        quirks.note_whole("pixel data without rows, columns or bits allocated");
        return FrameTable::Native {
            frame_length_bits: whole_bits / u64::from(number_of_frames),
        };
    }
    // PS3.3 C.7.6.3.1.2: two pixels share their chrominance.
    let photometric = attributes.text(0x0028_0004);
    let subsampled = samples == 3 && matches!(photometric, "YBR_FULL_422" | "YBR_PARTIAL_422");
    let all_samples = samples_bits.saturating_mul(u64::from(number_of_frames));
    let frame_length_bits = match subsampled {
        // Some writers name the subsampling that the pixels had before they were decompressed.
        true if whole_bits < all_samples => samples_bits / 3 * 2,
        true => {
            quirks.note_whole("pixel data as long as without the subsampling of its photometric interpretation");
            samples_bits
        }
        false => samples_bits,
    };
    if frame_length_bits.saturating_mul(u64::from(number_of_frames)) > whole_bits {
        quirks.note_whole("pixel data shorter than rows, columns and frames ask for");
    }
    FrameTable::Native { frame_length_bits }
}

struct Finder<'a> {
    /// The Basic Offset Table's item first.
    fragments: &'a [Fragment],
    number_of_frames: u32,
    attributes: &'a Attributes,
    extended_offset_table: Option<(u64, u64)>,
    source: &'a dyn ReadAt,
}

impl Finder<'_> {
    fn find(&self, video: bool, quirks: &mut Quirks) -> Vec<FrameRange> {
        let Some((table, fragments)) = self.fragments.split_first() else {
            quirks.note_whole("encapsulated pixel data without any item");
            return Vec::new();
        };
        let frames = self.number_of_frames as usize;
        if fragments.is_empty() {
            quirks.note_whole("encapsulated pixel data without fragments");
            return Vec::new();
        }
        if frames == 1 || video {
            return vec![range(fragments)];
        }
        if fragments.len() == frames {
            return fragments.chunks(1).map(range).collect();
        }
        if let Some(ranges) = self.by_offset_tables(table, fragments) {
            return ranges;
        }
        if let Some(ranges) = self.by_codestreams(fragments) {
            quirks.note_whole("frames found by their codestreams, for want of an offset table");
            return ranges;
        }
        if fragments.len() < frames {
            quirks.note_whole("fewer fragments than frames");
            return fragments.chunks(1).map(range).collect();
        }
        quirks.note_whole("frames cannot be told apart");
        Vec::new()
    }

    fn by_offset_tables(&self, table: &Fragment, fragments: &[Fragment]) -> Option<Vec<FrameRange>> {
        let extended = self.read_extended();
        let starts = extended.and_then(|offsets| starts(fragments, &offsets, self.number_of_frames));
        let starts = match starts {
            Some(starts) => starts,
            None => {
                let bytes = self.read(table.offset + 8, u64::from(table.length))?;
                let offsets: Vec<u64> = bytes
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|bytes| u64::from(u32::from_le_bytes(*bytes)))
                    .collect();
                starts_of_basic(fragments, &offsets, self.number_of_frames)?
            }
        };
        Some(ranges(fragments, &starts))
    }

    fn read_extended(&self) -> Option<Vec<u64>> {
        let element = self.attributes.get(EXTENDED_OFFSET_TABLE)?;
        let bytes = match self.extended_offset_table {
            Some((offset, length)) => self.read(offset, length)?,
            None => bytes::Bytes::copy_from_slice(element.value),
        };
        Some(
            bytes
                .as_chunks::<8>()
                .0
                .iter()
                .map(|bytes| u64::from_le_bytes(*bytes))
                .collect(),
        )
    }

    fn read(&self, offset: u64, length: u64) -> Option<bytes::Bytes> {
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= OFFSET_TABLE_MAX_BYTES)?;
        let bytes = self.source.read_at(offset, length).ok()?;
        (bytes.len() == length).then_some(bytes)
    }

    /// Frames begin where a fragment begins with the start of a codestream: JPEG and JPEG-LS (SOI), JPEG 2000 (SOC, or a
    /// JP2 box), JPEG XL; or after a fragment that ends with an end of image.
    fn by_codestreams(&self, fragments: &[Fragment]) -> Option<Vec<FrameRange>> {
        if fragments.len() < self.number_of_frames as usize {
            return None;
        }
        let mut starts = Vec::new();
        let mut after_end = vec![0];
        for (place, fragment) in fragments.iter().enumerate() {
            let head = self.read(fragment.offset + 8, u64::from(fragment.length.min(4)))?;
            if matches!(
                head.as_ref(),
                [0xFF, 0xD8, 0xFF, _] | [0xFF, 0x4F, 0xFF, 0x51] | [0xFF, 0x0A, ..] | [0, 0, 0, 0x0C]
            ) {
                starts.push(place);
            }
            let end = fragment.length.min(4);
            let tail = self.read(fragment.offset + 8 + u64::from(fragment.length - end), u64::from(end))?;
            if ends_codestream(&tail) && place + 1 < fragments.len() {
                after_end.push(place + 1);
            }
        }
        let frames = self.number_of_frames as usize;
        if starts.first() == Some(&0) && starts.len() == frames {
            return Some(ranges(fragments, &starts));
        }
        (after_end.len() == frames).then(|| ranges(fragments, &after_end))
    }
}

/// An end of image (JPEG) or of codestream (JPEG 2000), perhaps padded.
fn ends_codestream(tail: &[u8]) -> bool {
    let mut tail = tail;
    while let Some((0, rest)) = tail.split_last() {
        tail = rest;
    }
    tail.ends_with(&[0xFF, 0xD9])
}

/// The fragments at which frames start, by offsets from the first fragment's item header. Offsets must ascend and each must
/// point to a fragment.
fn starts(fragments: &[Fragment], offsets: &[u64], number_of_frames: u32) -> Option<Vec<usize>> {
    let base = fragments.first()?.offset;
    if offsets.len() != number_of_frames as usize || offsets.first() != Some(&0) {
        return None;
    }
    let mut starts: Vec<usize> = Vec::with_capacity(offsets.len());
    for offset in offsets {
        let place = fragments
            .binary_search_by_key(&base.checked_add(*offset)?, |fragment| fragment.offset)
            .ok()?;
        if starts.last().is_some_and(|last| *last >= place) {
            return None;
        }
        starts.push(place);
    }
    Some(starts)
}

/// As [`starts`]; 32-bit offsets wrap around where the pixel data are longer than 4 GiB.
fn starts_of_basic(fragments: &[Fragment], offsets: &[u64], number_of_frames: u32) -> Option<Vec<usize>> {
    let mut wide = Vec::with_capacity(offsets.len());
    let mut wraps = 0u64;
    let mut last = 0;
    for offset in offsets {
        if *offset < last {
            wraps += 1 << 32;
        }
        last = *offset;
        wide.push(offset + wraps);
    }
    starts(fragments, &wide, number_of_frames)
}

fn ranges(fragments: &[Fragment], starts: &[usize]) -> Vec<FrameRange> {
    let ends = starts.iter().skip(1).copied().chain([fragments.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| fragments.get(*start..end))
        .map(range)
        .collect()
}

fn range(fragments: &[Fragment]) -> FrameRange {
    let (Some(first), Some(last)) = (fragments.first(), fragments.last()) else {
        return FrameRange {
            offset: 0,
            length: 0,
            fragments: 0,
        };
    };
    FrameRange {
        offset: first.offset,
        length: last.offset + 8 + u64::from(last.length) - first.offset,
        fragments: u32::try_from(fragments.len()).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fragments(lengths: &[u32]) -> Vec<Fragment> {
        let mut offset = 100;
        let mut out = Vec::new();
        for length in lengths {
            out.push(Fragment {
                offset,
                length: *length,
            });
            offset += 8 + u64::from(*length);
        }
        out
    }

    #[test]
    fn groups_fragments_by_an_offset_table() {
        let fragments = fragments(&[10, 20, 30, 40]);
        let starts = starts(&fragments, &[0, 18, 18 + 28 + 38], 3).unwrap();
        assert_eq!(starts, [0, 1, 3]);
        let ranges = ranges(&fragments, &starts);
        assert_eq!(
            ranges[1],
            FrameRange {
                offset: 118,
                length: 28 + 38,
                fragments: 2
            }
        );
        assert_eq!(
            ranges[2],
            FrameRange {
                offset: 184,
                length: 48,
                fragments: 1
            }
        );
    }

    #[test]
    fn refuses_an_offset_table_that_points_nowhere() {
        let fragments = fragments(&[10, 20, 30]);
        assert_eq!(starts(&fragments, &[0, 17], 2), None);
        assert_eq!(starts(&fragments, &[0, 0], 2), None);
        assert_eq!(starts(&fragments, &[18, 0], 2), None);
        assert_eq!(starts(&fragments, &[0], 2), None);
        assert_eq!(starts(&fragments, &[0, u64::MAX], 2), None);
    }
}
