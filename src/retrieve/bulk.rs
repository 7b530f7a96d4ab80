//! Bulk values: found by their path, read in ranges.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use filmroom_storage::{
    model::{BulkValue, FrameRange, FrameTable, InstanceRecord, PixelData},
    store::StoreError,
};
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use super::{
    Retrieve, RetrieveError, fragments,
    frame::{EXPLICIT_VR_BIG_ENDIAN, pixel_word_bytes},
    swap,
};

/// An encapsulated value that is no pixel data of the instance itself (that of an icon, say) is read as a whole up to here.
const ENCAPSULATED_MAX_BYTES: u64 = 64 << 20;
/// A value is given in one piece up to here.
const COLLECT_MAX_BYTES: u64 = 1 << 30;
/// (0028,0100).
const BITS_ALLOCATED: u32 = 0x0028_0100;

/// A bulk value, found and not yet read.
#[derive(Clone)]
pub struct Bulk {
    room: Retrieve,
    instance: InstanceRecord,
    length: u64,
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// Bytes of the data set from here on, in words of so many bytes to be turned.
    Run { offset: u64, word: usize },
    /// Frames of encapsulated pixel data.
    Frames(Vec<FrameRange>),
    /// Already read.
    Read(Bytes),
}

pub(super) async fn bulk(room: &Retrieve, instance: &InstanceRecord, path: &str) -> Result<Bulk, RetrieveError> {
    let is_big_endian = instance.transfer_syntax_uid.as_str() == EXPLICIT_VR_BIG_ENDIAN;
    if let Some(pixel_data) = instance.pixel_data.as_ref()
        && !is_big_endian
        && path == pixel_data_path(pixel_data)
    {
        return Ok(of_pixel_data(room, instance, pixel_data));
    }
    let header = room.header(instance).await?;
    let value = header
        .bulk
        .iter()
        .find(|value| value.path.eq_ignore_ascii_case(path))
        .ok_or_else(|| {
            RetrieveError::NotFound(format!("bulk data {path} of instance {}", instance.sop_instance_uid))
        })?;
    if value.encapsulated {
        return match &instance.pixel_data {
            Some(pixel_data) if value.path == pixel_data_path(pixel_data) => {
                Ok(of_pixel_data(room, instance, pixel_data))
            }
            _ => encapsulated(room, instance, value).await,
        };
    }
    let bits = header
        .attributes
        .get(BITS_ALLOCATED)
        .and_then(|element| element.value.first_chunk::<2>().copied());
    let word = match (is_big_endian, value.path.as_str()) {
        (false, _) => 1,
        (true, "7FE00010") => pixel_word_bytes(&value.vr, bits.map_or(16, u16::from_le_bytes)),
        (true, _) => swap::word_bytes(&value.vr),
    };
    Ok(Bulk {
        room: room.clone(),
        instance: instance.clone(),
        length: value.length,
        place: Place::Run {
            offset: value.offset,
            word,
        },
    })
}

/// The path of the instance's own pixel data.
fn pixel_data_path(pixel_data: &PixelData) -> String {
    format!("{:08X}", pixel_data.tag)
}

fn of_pixel_data(room: &Retrieve, instance: &InstanceRecord, pixel_data: &PixelData) -> Bulk {
    let (length, place) = match &pixel_data.frames {
        FrameTable::Native { .. } => (
            pixel_data.length,
            Place::Run {
                offset: pixel_data.offset,
                word: 1,
            },
        ),
        FrameTable::Encapsulated(frames) => (frames.iter().map(content_length).sum(), Place::Frames(frames.clone())),
    };
    Bulk {
        room: room.clone(),
        instance: instance.clone(),
        length,
        place,
    }
}

fn content_length(frame: &FrameRange) -> u64 {
    frame.length.saturating_sub(8 * u64::from(frame.fragments))
}

async fn encapsulated(room: &Retrieve, instance: &InstanceRecord, value: &BulkValue) -> Result<Bulk, RetrieveError> {
    if value.length > ENCAPSULATED_MAX_BYTES {
        return Err(RetrieveError::Decode(format!(
            "an encapsulated value of {} bytes is longer than {ENCAPSULATED_MAX_BYTES}",
            value.length
        )));
    }
    let whole = room
        .read(instance, value.offset..value.offset.saturating_add(value.length))
        .await?;
    let content = fragments::without_item_headers(&fragments::behind_offset_table(&whole)?)?;
    Ok(Bulk {
        room: room.clone(),
        instance: instance.clone(),
        length: content.len() as u64,
        place: Place::Read(content),
    })
}

impl Bulk {
    /// Bytes of the whole value, without item headers.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// True for encapsulated pixel data, whose frames are better asked for one by one.
    #[must_use]
    pub fn is_frames(&self) -> bool {
        matches!(self.place, Place::Frames(_))
    }

    /// A range of the value in pieces of bounded size, little endian; what lies behind its end is left out.
    #[must_use]
    pub fn stream(&self, range: Range<u64>) -> BoxStream<'static, Result<Bytes, RetrieveError>> {
        let range = range.start.min(self.length)..range.end.min(self.length);
        if range.is_empty() {
            return stream::empty().boxed();
        }
        match &self.place {
            Place::Run { offset, word } => self.run(*offset, *word, range),
            Place::Frames(frames) => self.frames(frames, &range),
            Place::Read(bytes) => {
                let part = bytes.slice(range.start as usize..range.end as usize);
                stream::once(async { Ok(part) }).boxed()
            }
        }
    }

    fn run(&self, offset: u64, word: usize, range: Range<u64>) -> BoxStream<'static, Result<Bytes, RetrieveError>> {
        if word == 1 {
            return self
                .room
                .stream(&self.instance, offset + range.start..offset + range.end);
        }
        let step = word as u64;
        let wide = range.start / step * step..(range.end.div_ceil(step) * step).min(self.length);
        let pieces = self.room.stream(&self.instance, offset + wide.start..offset + wide.end);
        cut(
            swap::swapped_stream(pieces, word),
            range.start - wide.start..range.end - wide.start,
        )
    }

    fn frames(&self, frames: &[FrameRange], range: &Range<u64>) -> BoxStream<'static, Result<Bytes, RetrieveError>> {
        let mut wanted = Vec::new();
        let mut begin = 0;
        for frame in frames {
            let end = begin + content_length(frame);
            if begin < range.end && range.start < end {
                let part = range.start.saturating_sub(begin)..range.end.min(end) - begin;
                wanted.push((*frame, part));
            }
            begin = end;
        }
        let (room, instance) = (self.room.clone(), self.instance.clone());
        stream::iter(wanted)
            .then(move |(frame, part)| {
                let (room, instance) = (room.clone(), instance.clone());
                async move {
                    let range = frame.offset..frame.offset.saturating_add(frame.length);
                    let content = fragments::without_item_headers(&room.read(&instance, range).await?)?;
                    let end = (part.end as usize).min(content.len());
                    Ok(content.slice((part.start as usize).min(end)..end))
                }
            })
            .boxed()
    }
}

/// The bytes of a stream that lie within a range.
fn cut(
    pieces: BoxStream<'static, Result<Bytes, RetrieveError>>,
    range: Range<u64>,
) -> BoxStream<'static, Result<Bytes, RetrieveError>> {
    let mut at = 0_u64;
    pieces
        .map_ok(move |piece| {
            let length = piece.len() as u64;
            let from = range.start.saturating_sub(at).min(length);
            let to = range.end.saturating_sub(at).min(length).max(from);
            at += length;
            piece.slice(from as usize..to as usize)
        })
        .boxed()
}

/// Reads a whole value, or a range of it, into one piece.
pub(super) async fn collect(bulk: Bulk, range: Option<Range<u64>>) -> Result<(Bytes, u64), RetrieveError> {
    let whole = bulk.length();
    let range = range.unwrap_or(0..whole);
    if range.start > whole {
        return Err(StoreError::Range(range).into());
    }
    let length = range.end.min(whole).saturating_sub(range.start);
    if length > COLLECT_MAX_BYTES {
        return Err(RetrieveError::Decode(format!(
            "a bulk value of {length} bytes is longer than {COLLECT_MAX_BYTES}: read it in ranges"
        )));
    }
    let mut pieces: Vec<Bytes> = bulk.stream(range).try_collect().await?;
    if pieces.len() == 1 {
        return Ok((pieces.swap_remove(0), whole));
    }
    let mut joined = BytesMut::with_capacity(length as usize);
    pieces.iter().for_each(|piece| joined.extend_from_slice(piece));
    Ok((joined.freeze(), whole))
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_cut_stream_is_the_range(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            size in 1_usize..9,
            from in 0_u64..70,
            length in 0_u64..70,
        ) {
            let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let got: Vec<Bytes> = cut(stream::iter(pieces).boxed(), from..from + length).try_collect().now_or_never().unwrap().unwrap();
            let end = (from + length).min(bytes.len() as u64) as usize;
            let start = (from as usize).min(end);
            prop_assert_eq!(got.concat(), &bytes[start..end]);
        }
    }
}
