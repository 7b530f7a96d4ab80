//! The block of headers beside a pack: whole headers in groups that are compressed together and can be read apart.
//!
//! `FRhdrs1\n`, bytes of the directory (4), its CRC-32 (4), the directory, then the groups. The directory and each group are
//! zstd frames. The block can be made again from the pack.

use bytes::Bytes;

use crate::{
    index::codec::{Decoder, Encoder, Undecodable},
    model::{Attributes, BulkValue, Header},
};

const MAGIC: [u8; 8] = *b"FRhdrs1\n";
/// Bytes before the directory.
const FIXED_BYTES: usize = 16;
/// Headers in one group: enough alike to compress well, few enough to read one.
const GROUP: usize = 32;
/// Fast; neighbours in a series are so alike that more effort gains little.
const LEVEL: i32 = 1;
/// Read first: most directories fit.
pub(crate) const FIRST_READ_BYTES: u64 = 8 << 10;
/// A directory or group larger than this, inflated, is damage.
const INFLATED_MAX_BYTES: usize = 256 << 20;

/// Where the headers of a pack's members stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    groups: Vec<Group>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    /// From the start of the block.
    offset: u64,
    length: u64,
    crc32: u32,
    /// First byte of each member's Part 10 file in the pack, ascending.
    members: Vec<u64>,
}

/// A place in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) group: usize,
    pub(crate) index: usize,
}

/// Makes the block for members that begin at these ascending offsets in their pack.
///
/// # Errors
/// What the compressor says.
pub(crate) fn encode(headers: &[(u64, &Header)]) -> std::io::Result<Bytes> {
    let mut groups = Vec::new();
    let mut bodies = Vec::new();
    for chunk in headers.chunks(GROUP) {
        let mut group = Encoder::with_capacity(
            chunk
                .iter()
                .map(|(_, header)| header.attributes.as_bytes().len() + 64)
                .sum(),
        );
        for (_, header) in chunk {
            encode_header(&mut group, header);
        }
        let body = zstd::bulk::compress(&group.finish(), LEVEL)?;
        let members = chunk.iter().map(|(offset, _)| *offset).collect();
        groups.push(Group {
            offset: 0,
            length: body.len() as u64,
            crc32: crc32fast::hash(&body),
            members,
        });
        bodies.push(body);
    }
    let directory = zstd::bulk::compress(&encode_directory(&groups), LEVEL)?;
    let mut block = Vec::with_capacity(FIXED_BYTES + directory.len() + bodies.iter().map(Vec::len).sum::<usize>());
    block.extend_from_slice(&MAGIC);
    block.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    block.extend_from_slice(&crc32fast::hash(&directory).to_le_bytes());
    block.extend_from_slice(&directory);
    for body in bodies {
        block.extend_from_slice(&body);
    }
    Ok(block.into())
}

fn encode_directory(groups: &[Group]) -> Vec<u8> {
    let mut directory = Encoder::default();
    directory.number(groups.len() as u64);
    let mut last = 0;
    for group in groups {
        directory
            .number(group.length)
            .raw(&group.crc32.to_le_bytes())
            .number(group.members.len() as u64);
        for offset in &group.members {
            directory.number(offset.saturating_sub(last));
            last = *offset;
        }
    }
    directory.finish()
}

fn encode_header(out: &mut Encoder, header: &Header) {
    out.counted(header.attributes.as_bytes())
        .number(header.bulk.len() as u64);
    for value in &header.bulk {
        out.text(&value.path).text(&value.vr);
        out.number(value.offset)
            .number(value.length)
            .byte(u8::from(value.encapsulated));
    }
}

fn decode_header(from: &mut Decoder<'_>, group: &Bytes) -> Result<Header, Undecodable> {
    let attributes = Attributes::from_normal_form(group.slice_ref(from.counted()?));
    let mut bulk = Vec::new();
    for _ in 0..from.count()? {
        bulk.push(BulkValue {
            path: from.text()?.to_owned(),
            vr: from.text()?.to_owned(),
            offset: from.number()?,
            length: from.number()?,
            encapsulated: from.byte()? != 0,
        });
    }
    Ok(Header { attributes, bulk })
}

/// How many bytes from the start of a block hold its directory; `None` when these are not the first bytes of a block.
pub(crate) fn directory_end(start: &[u8]) -> Option<u64> {
    let (magic, rest) = start.split_first_chunk::<8>()?;
    let length = u32::from_le_bytes(*rest.first_chunk()?);
    (*magic == MAGIC).then_some(FIXED_BYTES as u64 + u64::from(length))
}

impl Directory {
    /// Reads the directory from the first bytes of a block, all up to [`directory_end`] at least.
    ///
    /// # Errors
    /// [`Undecodable`] when it is damaged.
    pub(crate) fn decode(start: &[u8]) -> Result<Self, Undecodable> {
        let mut fixed = Decoder::new(start, "the directory of a block of headers");
        fixed.raw(8)?;
        let length = u32::from_le_bytes(fixed.array()?) as usize;
        let crc32 = u32::from_le_bytes(fixed.array()?);
        let bytes = fixed.raw(length)?;
        if crc32fast::hash(bytes) != crc32 {
            return fixed.fail();
        }
        let directory = inflate(bytes)?;
        let mut directory = Decoder::new(&directory, "the directory of a block of headers");
        let mut groups = Vec::new();
        let mut offset = (FIXED_BYTES + length) as u64;
        let mut last = 0_u64;
        for _ in 0..directory.count()? {
            let length = directory.number()?;
            let crc32 = u32::from_le_bytes(directory.array()?);
            let mut members = Vec::new();
            for _ in 0..directory.count()? {
                last = last.wrapping_add(directory.number()?);
                members.push(last);
            }
            groups.push(Group {
                offset,
                length,
                crc32,
                members,
            });
            offset = offset.saturating_add(length);
        }
        Ok(Self { groups })
    }

    /// Where the header of the member that begins at `offset` in the pack stands.
    pub(crate) fn find(&self, offset: u64) -> Option<Place> {
        let group = self
            .groups
            .partition_point(|group| group.members.first().is_some_and(|first| *first <= offset));
        let group = group.checked_sub(1)?;
        let index = self.groups.get(group)?.members.binary_search(&offset).ok()?;
        Some(Place { group, index })
    }

    /// The bytes of a group in its block.
    pub(crate) fn range(&self, group: usize) -> Option<std::ops::Range<u64>> {
        let group = self.groups.get(group)?;
        Some(group.offset..group.offset.saturating_add(group.length))
    }

    /// Reads a group.
    ///
    /// # Errors
    /// [`Undecodable`] when it is damaged.
    pub(crate) fn decode_group(&self, group: usize, bytes: &[u8]) -> Result<Vec<Header>, Undecodable> {
        let damaged = Undecodable("a group of headers");
        let group = self.groups.get(group).ok_or(damaged)?;
        if bytes.len() as u64 != group.length || crc32fast::hash(bytes) != group.crc32 {
            return Err(damaged);
        }
        let inflated = Bytes::from(inflate(bytes)?);
        let mut from = Decoder::new(&inflated, "a group of headers");
        group
            .members
            .iter()
            .map(|_| decode_header(&mut from, &inflated))
            .collect()
    }
}

fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Undecodable> {
    let damaged = Undecodable("a block of headers");
    // The frame says its size; it is believed only within reason.
    let size = zstd::zstd_safe::get_frame_content_size(bytes)
        .ok()
        .flatten()
        .ok_or(damaged)?;
    let size = usize::try_from(size)
        .ok()
        .filter(|size| *size <= INFLATED_MAX_BYTES)
        .ok_or(damaged)?;
    zstd::bulk::decompress(bytes, size).map_err(|_| damaged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header(n: usize) -> Header {
        let text = format!("value {n:020}");
        let mut bytes = vec![0x10, 0, 0x10, 0, b'P', b'N', text.len() as u8, 0];
        bytes.extend_from_slice(text.as_bytes());
        let bulk = BulkValue {
            path: "7FE00010".into(),
            vr: "OW".into(),
            offset: n as u64 * 7,
            length: 1 << 40,
            encapsulated: n.is_multiple_of(2),
        };
        Header {
            attributes: Attributes::from_normal_form(bytes.into()),
            bulk: vec![bulk; n % 3],
        }
    }

    fn block(count: usize) -> (Vec<(u64, Header)>, Bytes) {
        let headers: Vec<_> = (0..count).map(|n| (1536 + n as u64 * 5000, header(n))).collect();
        let borrowed: Vec<_> = headers.iter().map(|(offset, header)| (*offset, header)).collect();
        let block = encode(&borrowed).unwrap();
        (headers, block)
    }

    #[track_caller]
    fn check(count: usize) {
        let (headers, block) = block(count);
        let end = directory_end(&block).unwrap() as usize;
        let directory = Directory::decode(&block[..end]).unwrap();
        for (offset, header) in &headers {
            let place = directory.find(*offset).unwrap();
            let range = directory.range(place.group).unwrap();
            let group = &block[range.start as usize..range.end as usize];
            assert_eq!(
                &directory.decode_group(place.group, group).unwrap()[place.index],
                header
            );
        }
        assert_eq!(directory.find(3), None);
        assert_eq!(directory.find(u64::MAX), None);
    }

    #[test]
    fn headers_come_back() {
        for count in [0, 1, 31, 32, 33, 100] {
            check(count);
        }
    }

    proptest! {
        #[test]
        fn damaged_blocks_never_panic(at: prop::sample::Index, bit in 0..8_u8) {
            let (_, block) = block(40);
            let mut bytes = block.to_vec();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Some(end) = directory_end(&bytes)
                && let Some(start) = bytes.get(..end as usize)
                && let Ok(directory) = Directory::decode(start)
            {
                for group in 0..3 {
                    let range = directory.range(group).unwrap_or_default();
                    let _ = directory.decode_group(group, bytes.get(range.start as usize..range.end as usize).unwrap_or_default());
                }
            }
        }
    }
}
