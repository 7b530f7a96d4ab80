//! One entry of the intake log: a checked frame, what is known about the instance, and its Part 10 file.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | `FRe2`; `FRe1` where every description has a SHA-256 |
//! | 4 | bytes of the description that follows |
//! | 8 | bytes of the Part 10 file after it; 0 where it lies in a staged file |
//! | 8 | offset of this entry in its segment |
//! | 4 | CRC-32 of the segment's salt, the fields above and the description |
//!
//! In an encrypted segment description and Part 10 file are sealed ([`super::seal`]).
//!
//! Offset and salt stand in the checksum, so that bytes which a peer sends, or an older use of the disk's blocks, never pass
//! for an entry. The CRC-32 of the Part 10 file is part of the description. Numbers are little endian.

use time::OffsetDateTime;

use crate::{
    index::codec::{Decoder, Encoder, Undecodable},
    model::{Door, Origin, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid},
};

const MAGIC: [u8; 4] = *b"FRe2";
/// Of entries from before the SHA-256 was made when an instance settles. They are read, and written no more.
const MAGIC_ALWAYS_HASHED: [u8; 4] = *b"FRe1";
/// Bytes of an entry before its description.
pub(crate) const FRAME_BYTES: usize = 28;
/// A description longer than this is damage.
const DESCRIPTION_MAX_BYTES: u32 = 1 << 20;

/// Differs for every segment.
pub(crate) type Salt = [u8; 16];

/// What an entry says about its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The staged file that holds the Part 10 file; `None` when it follows in the log.
    pub(crate) staged: Option<u64>,
    pub(crate) study: StudyInstanceUid,
    pub(crate) series: SeriesInstanceUid,
    pub(crate) sop_instance: SopInstanceUid,
    pub(crate) sop_class: SopClassUid,
    pub(crate) transfer_syntax: TransferSyntaxUid,
    /// Bytes of the Part 10 file.
    pub(crate) length: u64,
    pub(crate) data_set_offset: u64,
    /// Of the data set; `None` until it settles.
    pub(crate) sha256: Option<[u8; 32]>,
    /// Of the Part 10 file.
    pub(crate) crc32: u32,
    pub(crate) received_at: OffsetDateTime,
    pub(crate) origin: Origin,
}

/// The fixed start of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame {
    is_always_hashed: bool,
    pub(crate) description_length: u32,
    pub(crate) body_length: u64,
    checksum: u32,
}

impl Entry {
    /// What is known about the instance, as bytes.
    pub(crate) fn describe(&self) -> Vec<u8> {
        let mut description = Encoder::with_capacity(512);
        description.number(self.staged.map_or(0, |file| file.saturating_add(1)));
        description
            .text(self.study.as_str())
            .text(self.series.as_str())
            .text(self.sop_instance.as_str());
        description
            .text(self.sop_class.as_str())
            .text(self.transfer_syntax.as_str());
        description.number(self.length).number(self.data_set_offset);
        match &self.sha256 {
            Some(sha256) => description.byte(1).raw(sha256),
            None => description.byte(0),
        };
        description.raw(&self.crc32.to_le_bytes());
        description.signed((self.received_at.unix_timestamp_nanos() / 1000) as i64);
        encode_origin(&mut description, &self.origin);
        description.finish()
    }

    /// Frame and description, which may be sealed; `body_length` bytes follow.
    pub(crate) fn frame(salt: &Salt, position: u64, body_length: u64, description: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FRAME_BYTES + description.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&(description.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&body_length.to_le_bytes());
        bytes.extend_from_slice(&position.to_le_bytes());
        let checksum = checksum(salt, &bytes, description);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.extend_from_slice(description);
        bytes
    }

    /// Reads the description of `frame`, whose checksum was right.
    pub(crate) fn decode(frame: &Frame, description: &[u8]) -> Result<Self, Undecodable> {
        let mut entry = Decoder::new(description, "an entry of the intake log");
        let uid = Undecodable("a UID of the intake log");
        Ok(Self {
            staged: entry.number()?.checked_sub(1),
            study: StudyInstanceUid::new(entry.text()?).map_err(|_| uid)?,
            series: SeriesInstanceUid::new(entry.text()?).map_err(|_| uid)?,
            sop_instance: SopInstanceUid::new(entry.text()?).map_err(|_| uid)?,
            sop_class: SopClassUid::new(entry.text()?).map_err(|_| uid)?,
            transfer_syntax: TransferSyntaxUid::new(entry.text()?).map_err(|_| uid)?,
            length: entry.number()?,
            data_set_offset: entry.number()?,
            sha256: if frame.is_always_hashed || entry.byte()? == 1 {
                Some(entry.array()?)
            } else {
                None
            },
            crc32: u32::from_le_bytes(entry.array()?),
            received_at: OffsetDateTime::from_unix_timestamp_nanos(i128::from(entry.signed()?) * 1000)
                .map_err(|_| Undecodable("a time of the intake log"))?,
            origin: decode_origin(&mut entry)?,
        })
    }
}

impl Frame {
    /// Reads the frame at `position`; `None` when there is none.
    pub(crate) fn decode(bytes: &[u8; FRAME_BYTES], position: u64) -> Option<Self> {
        let mut frame = Decoder::new(bytes, "a frame");
        let magic: [u8; 4] = frame.array().ok()?;
        let description_length = u32::from_le_bytes(frame.array().ok()?);
        let body_length = u64::from_le_bytes(frame.array().ok()?);
        let own_position = u64::from_le_bytes(frame.array().ok()?);
        let checksum = u32::from_le_bytes(frame.array().ok()?);
        let is_always_hashed = magic == MAGIC_ALWAYS_HASHED;
        let is_known = is_always_hashed || magic == MAGIC;
        let fits = is_known && own_position == position && description_length <= DESCRIPTION_MAX_BYTES;
        fits.then_some(Self {
            is_always_hashed,
            description_length,
            body_length,
            checksum,
        })
    }

    /// True when frame and description are as they were written.
    pub(crate) fn agrees(&self, salt: &Salt, frame: &[u8; FRAME_BYTES], description: &[u8]) -> bool {
        let (fields, _) = frame.split_at(FRAME_BYTES - 4);
        checksum(salt, fields, description) == self.checksum
    }
}

fn checksum(salt: &Salt, fields: &[u8], description: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(salt);
    hasher.update(fields);
    hasher.update(description);
    hasher.finalize()
}

fn encode_origin(out: &mut Encoder, origin: &Origin) {
    out.byte(match origin.door {
        Door::Dimse => 0,
        Door::Dicomweb => 1,
        Door::Import => 2,
    });
    out.text(&origin.sender).text(&origin.receiver).text(&origin.address);
}

fn decode_origin(from: &mut Decoder<'_>) -> Result<Origin, Undecodable> {
    let door = match from.byte()? {
        0 => Door::Dimse,
        1 => Door::Dicomweb,
        2 => Door::Import,
        _ => return from.fail(),
    };
    Ok(Origin {
        door,
        sender: from.text()?.to_owned(),
        receiver: from.text()?.to_owned(),
        address: from.text()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::origin;

    fn entry(sha256: Option<[u8; 32]>) -> Entry {
        Entry {
            staged: None,
            study: StudyInstanceUid::new("1.2.3").unwrap(),
            series: SeriesInstanceUid::new("1.2.3.4").unwrap(),
            sop_instance: SopInstanceUid::new("1.2.3.4.5").unwrap(),
            sop_class: SopClassUid::new("1.2.840.10008.5.1.4.1.1.2").unwrap(),
            transfer_syntax: TransferSyntaxUid::new("1.2.840.10008.1.2.1").unwrap(),
            length: 525_000,
            data_set_offset: 340,
            sha256,
            crc32: 77,
            received_at: OffsetDateTime::from_unix_timestamp(1_700_000_000).unwrap(),
            origin: origin(),
        }
    }

    #[track_caller]
    fn read_back(frame: &[u8], salt: &Salt) -> Entry {
        let (fields, description) = frame.split_first_chunk::<FRAME_BYTES>().unwrap();
        let frame = Frame::decode(fields, 4096).unwrap();
        assert!(frame.agrees(salt, fields, description));
        Entry::decode(&frame, description).unwrap()
    }

    #[test]
    fn entries_come_back_with_and_without_a_checksum() {
        let salt = [7; 16];
        for entry in [entry(None), entry(Some([9; 32]))] {
            let frame = Entry::frame(&salt, 4096, entry.length, &entry.describe());
            assert_eq!(read_back(&frame, &salt), entry);
        }
    }

    #[test]
    fn entries_from_before_are_read() {
        let (salt, entry) = ([7; 16], entry(Some([9; 32])));
        // They had no byte that says whether the SHA-256 follows.
        let mut description = entry.describe();
        let flag = description
            .windows(33)
            .position(|bytes| bytes[0] == 1 && bytes[1..] == [9; 32])
            .unwrap();
        description.remove(flag);
        let mut frame = Entry::frame(&salt, 4096, entry.length, &description);
        frame[..4].copy_from_slice(&MAGIC_ALWAYS_HASHED);
        let sum = checksum(&salt, &frame[..FRAME_BYTES - 4], &description);
        frame[FRAME_BYTES - 4..FRAME_BYTES].copy_from_slice(&sum.to_le_bytes());
        assert_eq!(read_back(&frame, &salt), entry);
    }
}
