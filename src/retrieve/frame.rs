//! One frame, read as one range.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use filmroom_storage::model::{FrameTable, InstanceRecord, PixelData};

use super::{Retrieve, RetrieveError, fragments, swap};

/// Explicit VR Big Endian (PS3.5 §A.3), retired.
pub(super) const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";
/// (0028,0100).
const BITS_ALLOCATED: u32 = 0x0028_0100;
/// A frame is held in memory as one piece: longer ones are not read.
const FRAME_MAX_BYTES: u64 = 1 << 30;

pub(super) async fn frame(
    room: &Retrieve,
    instance: &InstanceRecord,
    frame_index: u32,
) -> Result<Bytes, RetrieveError> {
    let missing = || {
        let number = u64::from(frame_index) + 1;
        RetrieveError::NotFound(format!("frame {number} of instance {}", instance.sop_instance_uid))
    };
    let pixel_data = instance.pixel_data.as_ref().ok_or_else(missing)?;
    match &pixel_data.frames {
        FrameTable::Encapsulated(frames) => {
            let place = frames.get(frame_index as usize).ok_or_else(missing)?;
            let range = place.offset..place.offset.saturating_add(place.length);
            check_length(&range)?;
            fragments::without_item_headers(&room.read(instance, range).await?)
        }
        FrameTable::Native { frame_length_bits } => {
            if frame_index >= pixel_data.number_of_frames.max(1) {
                return Err(missing());
            }
            let bits = NativeFrame::new(*frame_length_bits, frame_index, pixel_data.length).ok_or_else(missing)?;
            native(room, instance, pixel_data, bits).await
        }
    }
}

fn check_length(range: &Range<u64>) -> Result<(), RetrieveError> {
    if range.end.saturating_sub(range.start) > FRAME_MAX_BYTES {
        return Err(RetrieveError::Decode(format!(
            "a frame of {} bytes is longer than {FRAME_MAX_BYTES}: retrieve the instance instead",
            range.end - range.start
        )));
    }
    Ok(())
}

/// The place of a frame in native pixel data.
#[derive(Debug, Clone, PartialEq, Eq)]
struct NativeFrame {
    /// The bytes that hold it.
    bytes: Range<u64>,
    /// Its first bit, in the first of these bytes.
    first_bit: u32,
    length_bits: u64,
}

impl NativeFrame {
    /// `None` when the value, which may be shorter than its attributes say, ends before the frame begins.
    fn new(length_bits: u64, frame_index: u32, value_bytes: u64) -> Option<Self> {
        let first = length_bits.checked_mul(u64::from(frame_index))?;
        let end = first.checked_add(length_bits)?;
        let bytes = first / 8..end.div_ceil(8).min(value_bytes);
        (bytes.start < bytes.end).then_some(Self {
            bytes,
            first_bit: (first % 8) as u32,
            length_bits,
        })
    }
}

async fn native(
    room: &Retrieve,
    instance: &InstanceRecord,
    pixel_data: &PixelData,
    frame: NativeFrame,
) -> Result<Bytes, RetrieveError> {
    check_length(&frame.bytes)?;
    let word = match instance.transfer_syntax_uid.as_str() {
        EXPLICIT_VR_BIG_ENDIAN => pixel_word(room, instance, pixel_data).await?,
        _ => 1,
    };
    // Words are turned from the start of the value on: the range is widened to whole words and cut again.
    let step = word as u64;
    let from = frame.bytes.start / step * step;
    let to = (frame.bytes.end.div_ceil(step) * step).min(pixel_data.length);
    let bytes = room
        .read(instance, pixel_data.offset + from..pixel_data.offset + to)
        .await?;
    let bytes = if word > 1 { swap::swapped(&bytes, word) } else { bytes };
    let cut_front = (frame.bytes.start - from) as usize;
    let cut_back = (frame.bytes.end - from) as usize;
    let bytes = bytes.slice(cut_front.min(bytes.len())..cut_back.min(bytes.len()));
    if frame.first_bit == 0 && frame.length_bits.is_multiple_of(8) {
        return Ok(bytes);
    }
    Ok(shifted(&bytes, frame.first_bit, frame.length_bits))
}

/// Bytes of one word of the pixel data of a big endian instance.
async fn pixel_word(
    room: &Retrieve,
    instance: &InstanceRecord,
    pixel_data: &PixelData,
) -> Result<usize, RetrieveError> {
    let header = room.header(instance).await?;
    let path = format!("{:08X}", pixel_data.tag);
    let vr = header
        .bulk
        .iter()
        .find(|value| value.path == path)
        .map(|value| value.vr.as_str());
    let bits = header
        .attributes
        .get(BITS_ALLOCATED)
        .and_then(|element| element.value.first_chunk::<2>().copied());
    Ok(pixel_word_bytes(
        vr.unwrap_or("OW"),
        bits.map_or(16, u16::from_le_bytes),
    ))
}

/// Samples of more than 16 bits are words of their own size; others are turned as their value representation says.
pub(super) fn pixel_word_bytes(vr: &str, bits_allocated: u16) -> usize {
    match (vr, bits_allocated) {
        ("OW", 32) => 4,
        ("OW", 64) => 8,
        _ => swap::word_bytes(vr),
    }
}

/// Moves a frame that begins within a byte to the start of one; what is left of the last byte is zero.
fn shifted(bytes: &[u8], first_bit: u32, length_bits: u64) -> Bytes {
    let length = usize::try_from(length_bits.div_ceil(8))
        .unwrap_or(usize::MAX)
        .min(bytes.len());
    let mut moved = BytesMut::with_capacity(length);
    for at in 0..length {
        let low = bytes.get(at).copied().unwrap_or_default();
        let high = bytes.get(at + 1).copied().unwrap_or_default();
        let pair = u16::from_le_bytes([low, high]) >> first_bit;
        let [byte, _] = pair.to_le_bytes();
        moved.extend_from_slice(&[byte]);
    }
    let rest = (length_bits % 8) as u32;
    if rest > 0
        && length as u64 == length_bits.div_ceil(8)
        && let Some(last) = moved.last_mut()
    {
        *last &= 0xFF_u8.unbounded_shr(8 - rest);
    }
    moved.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_whole_bytes_is_where_it_should_be() {
        let frame = NativeFrame::new(16 * 100, 2, 1000).unwrap();
        assert_eq!((frame.bytes, frame.first_bit), (400..600, 0));
        assert_eq!(NativeFrame::new(16 * 100, 5, 1000), None);
        assert_eq!(NativeFrame::new(u64::MAX, 2, 1000), None);
    }

    #[test]
    fn a_value_that_is_too_short_gives_what_there_is() {
        assert_eq!(NativeFrame::new(80, 1, 15).unwrap().bytes, 10..15);
    }

    #[test]
    fn frames_of_single_bits_begin_within_bytes() {
        // Three frames of 3 × 3 pixels: 0b1_1111_1111, 0b0_0000_0001, 0b1_0000_0000.
        let value = (0b1_1111_1111_u64 | 1 << 9 | 0b1_0000_0000 << 18).to_le_bytes();
        let frame = |index| {
            let frame = NativeFrame::new(9, index, 4).unwrap();
            let range = frame.bytes.start as usize..frame.bytes.end as usize;
            shifted(&value[range], frame.first_bit, frame.length_bits)
        };
        assert_eq!(&frame(0)[..], [0xFF, 0x01]);
        assert_eq!(&frame(1)[..], [0x01, 0x00]);
        assert_eq!(&frame(2)[..], [0x00, 0x01]);
    }

    #[test]
    fn words_of_pixels_follow_their_size() {
        assert_eq!(pixel_word_bytes("OW", 16), 2);
        assert_eq!(pixel_word_bytes("OW", 8), 2);
        assert_eq!(pixel_word_bytes("OW", 32), 4);
        assert_eq!(pixel_word_bytes("OB", 8), 1);
        assert_eq!(pixel_word_bytes("OF", 32), 4);
    }
}
