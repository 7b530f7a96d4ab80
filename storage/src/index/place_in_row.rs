//! What a row of an instance begins with: where the bytes lie, and whether their SHA-256 is known.

use super::codec::{Decoder, Encoder, Undecodable};
use crate::model::Location;

/// The same row with another location in front, and with the SHA-256, which is known by then.
pub(crate) fn relocate(bytes: &[u8], location: &Location, sha256: &[u8; 32]) -> Result<Vec<u8>, Undecodable> {
    let mut row = Decoder::new(bytes, "an instance");
    let (_, has_sha256) = decode_start(&mut row)?;
    let (sop_class, transfer_syntax) = (row.number()?, row.number()?);
    let (length, data_set_offset) = (row.number()?, row.number()?);
    let crc32: [u8; 4] = row.array()?;
    if has_sha256 {
        row.array::<32>()?;
    }
    let rest = row.rest();
    let mut moved = Encoder::with_capacity(rest.len() + 96);
    encode_start(&mut moved, location, Some(sha256));
    moved.number(sop_class).number(transfer_syntax);
    moved.number(length).number(data_set_offset);
    moved.raw(&crc32).raw(sha256).raw(rest);
    Ok(moved.finish())
}

/// The location in front of a row.
pub(crate) fn location_of(bytes: &[u8]) -> Result<Location, Undecodable> {
    decode_start(&mut Decoder::new(bytes, "an instance")).map(|(location, _)| location)
}

/// Beside the kind of a location: the row has no SHA-256.
const NO_SHA256: u8 = 0x80;

pub(super) fn encode_start(row: &mut Encoder, location: &Location, sha256: Option<&[u8; 32]>) {
    let flag = if sha256.is_none() { NO_SHA256 } else { 0 };
    match *location {
        Location::Intake { segment, entry, offset } => row
            .byte(flag)
            .number(segment)
            .number(entry)
            .number(offset.saturating_sub(entry)),
        Location::Staged { file, offset } => row.byte(1 | flag).number(file).number(offset),
        Location::Pack { pack, offset } => row.byte(2 | flag).number(pack).number(offset),
    };
}

/// The location, and whether the row has a SHA-256.
pub(super) fn decode_start(row: &mut Decoder<'_>) -> Result<(Location, bool), Undecodable> {
    let kind = row.byte()?;
    let location = match kind & !NO_SHA256 {
        0 => {
            let (segment, entry) = (row.number()?, row.number()?);
            Location::Intake {
                segment,
                entry,
                offset: entry.saturating_add(row.number()?),
            }
        }
        1 => Location::Staged {
            file: row.number()?,
            offset: row.number()?,
        },
        2 => Location::Pack {
            pack: row.number()?,
            offset: row.number()?,
        },
        _ => return row.fail(),
    };
    Ok((location, kind & NO_SHA256 == 0))
}
