//! POSIX tar with PAX headers (IEEE Std 1003.1-2017, `pax`): what a pack is made of.
//!
//! Each member is a Part 10 file `<SOP Instance UID>.dcm`. What the archive knows beside the bytes stands in the member's
//! PAX header as extended attributes `user.filmroom.*` (the `SCHILY.xattr` keywords that common tars know), so that
//! unpacking needs no Filmroom and warns of nothing. The time of the file is the time of receipt.

use time::OffsetDateTime;

use crate::{
    hexadecimal::{from_hexadecimal, hexadecimal},
    model::{Door, Origin},
};

/// Tar counts in blocks of this size.
pub(crate) const BLOCK: usize = 512;
/// Two blocks of zeros end an archive.
pub(crate) const TRAILER_BYTES: usize = 2 * BLOCK;
/// Room for the head of a single member, kept free at the start of a staged file.
pub(crate) const STAGED_HEAD_BYTES: usize = 16 * BLOCK;

const ATTRIBUTE: &str = "SCHILY.xattr.user.filmroom.";
/// The size field of a header holds eleven octal digits; a longer member has its size in the PAX header.
const SIZE_FIELD_MAX: u64 = 0o77_777_777_777;
/// A PAX header longer than this is damage.
const PAX_MAX_BYTES: u64 = 1 << 20;

/// What a pack says about one of its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) sop_instance: String,
    /// Bytes of the Part 10 file.
    pub(crate) length: u64,
    /// Bytes before the data set.
    pub(crate) data_set_offset: u64,
    pub(crate) transfer_syntax: String,
    /// Of the data set.
    pub(crate) sha256: [u8; 32],
    /// Of the Part 10 file.
    pub(crate) crc32: u32,
    pub(crate) received_at: OffsetDateTime,
    pub(crate) origin: Option<Origin>,
    /// Why the instance was kept apart.
    pub(crate) reason: Option<String>,
}

/// Bytes after a member's content up to the next block.
pub(crate) fn padding(length: u64) -> usize {
    let used = (length % BLOCK as u64) as usize;
    if used == 0 { 0 } else { BLOCK - used }
}

/// All that stands before a member's Part 10 file; filled up to `exactly` bytes when given.
/// `None` when it does not fit into `exactly`.
pub(crate) fn member_head(member: &Member, exactly: Option<usize>) -> Option<Vec<u8>> {
    let mut records = Vec::with_capacity(768);
    if member.length > SIZE_FIELD_MAX {
        pax_record(&mut records, "size", &member.length.to_string());
    }
    let nanos = member.received_at.unix_timestamp_nanos();
    let (seconds, micros) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000) / 1000);
    pax_record(&mut records, "mtime", &format!("{seconds}.{micros:06}"));
    attribute(&mut records, "transfer_syntax", &member.transfer_syntax);
    attribute(&mut records, "data_set_offset", &member.data_set_offset.to_string());
    attribute(&mut records, "sha256", &hexadecimal(&member.sha256));
    attribute(&mut records, "crc32", &format!("{:08x}", member.crc32));
    if let Some(origin) = &member.origin {
        attribute(&mut records, "door", door_name(origin.door));
        attribute(&mut records, "sender", &origin.sender);
        attribute(&mut records, "receiver", &origin.receiver);
        attribute(&mut records, "address", &origin.address);
    }
    if let Some(reason) = &member.reason {
        attribute(&mut records, "reason", reason);
    }
    if let Some(exactly) = exactly {
        let room = exactly.checked_sub(2 * BLOCK)?;
        fill(&mut records, room)?;
    }

    let mut head = Vec::with_capacity(2 * BLOCK + records.len() + BLOCK);
    let seconds = u64::try_from(seconds).unwrap_or(0);
    let name = format!("{}.dcm", member.sop_instance);
    head.extend_from_slice(&header(
        b'x',
        &format!("PaxHeaders/{}", member.sop_instance),
        records.len() as u64,
        seconds,
    ));
    let records_length = records.len() as u64;
    head.append(&mut records);
    head.resize(head.len() + padding(records_length), 0);
    head.extend_from_slice(&header(b'0', &name, member.length.min(SIZE_FIELD_MAX), seconds));
    Some(head)
}

fn attribute(records: &mut Vec<u8>, name: &str, value: &str) {
    pax_record(records, &format!("{ATTRIBUTE}{name}"), value);
}

/// `length keyword=value\n`, where the length counts itself.
fn pax_record(records: &mut Vec<u8>, keyword: &str, value: &str) {
    // Extended attributes with nothing in them, and NUL anywhere, confuse readers.
    if value.is_empty() {
        return;
    }
    let value = value.replace('\0', " ");
    let bare = keyword.len() + value.len() + 3;
    let mut length = bare + digits(bare);
    if digits(length) != digits(bare) {
        length = bare + digits(length);
    }
    records.extend_from_slice(format!("{length} {keyword}={value}\n").as_bytes());
}

fn digits(number: usize) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// Adds a comment, so that the records take exactly `room` bytes.
fn fill(records: &mut Vec<u8>, room: usize) -> Option<()> {
    let missing = room.checked_sub(records.len())?;
    if missing == 0 {
        return Some(());
    }
    // A record's own length has no more digits than the room: with that many the value's length follows.
    let fixed = missing.checked_sub(" comment=\n".len() + digits(missing))?;
    let comment = format!("{missing} comment={}\n", " ".repeat(fixed));
    records.extend_from_slice(comment.as_bytes());
    (records.len() == room).then_some(())
}

fn header(kind: u8, name: &str, size: u64, seconds: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| {
        for (place, byte) in block.iter_mut().skip(at).zip(bytes) {
            *place = *byte;
        }
    };
    put(0, name.as_bytes().get(..100).unwrap_or(name.as_bytes()));
    put(100, b"0000640\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, format!("{:011o}\0", seconds.min(SIZE_FIELD_MAX)).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    for (place, byte) in block.iter_mut().skip(148).zip(format!("{sum:06o}\0 ").bytes()) {
        *place = byte;
    }
    block
}

fn door_name(door: Door) -> &'static str {
    match door {
        Door::Dimse => "dimse",
        Door::Dicomweb => "dicomweb",
        Door::Import => "import",
    }
}

fn door_of(name: &str) -> Option<Door> {
    [Door::Dimse, Door::Dicomweb, Door::Import]
        .into_iter()
        .find(|door| door_name(*door) == name)
}

/// What stands at one place of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Head {
    /// A PAX header whose records take so many bytes after this block.
    Pax(u64),
    /// A member; name and size as the header says.
    Member(String, u64),
    /// Zeros: the end.
    End,
}

/// Reads one header block.
///
/// # Errors
/// One sentence on what is wrong with it.
pub(crate) fn read_head(block: &[u8; BLOCK]) -> Result<Head, String> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(Head::End);
    }
    let field = |from: usize, length: usize| block.get(from..from + length).unwrap_or_default();
    let said = octal(field(148, 8)).ok_or("a header without checksum")?;
    let sum = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) });
    if sum.sum::<u64>() != said {
        return Err("a header whose checksum is wrong".into());
    }
    let size = octal(field(124, 12)).ok_or("a header without size")?;
    match block.get(156) {
        Some(b'x') if size <= PAX_MAX_BYTES => Ok(Head::Pax(size)),
        Some(b'0' | 0) => {
            let name = field(0, 100).split(|byte| *byte == 0).next().unwrap_or_default();
            Ok(Head::Member(String::from_utf8_lossy(name).into_owned(), size))
        }
        _ => Err("a header of a kind that packs do not have".into()),
    }
}

fn octal(field: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(field).ok()?.trim_matches([' ', '\0']);
    u64::from_str_radix(digits, 8).ok()
}

/// Puts together what a PAX header and the member's own header say.
///
/// # Errors
/// One sentence on what is missing.
pub(crate) fn read_member(pax: &[u8], name: &str, size: u64) -> Result<Member, String> {
    let mut member = Member {
        sop_instance: name
            .strip_suffix(".dcm")
            .ok_or("a member whose name does not end in .dcm")?
            .to_owned(),
        length: size,
        data_set_offset: 0,
        transfer_syntax: String::new(),
        sha256: [0; 32],
        crc32: 0,
        received_at: OffsetDateTime::UNIX_EPOCH,
        origin: None,
        reason: None,
    };
    let mut origin = Origin {
        door: Door::Import,
        sender: String::new(),
        receiver: String::new(),
        address: String::new(),
    };
    let (mut has_sha256, mut has_crc32, mut has_origin) = (false, false, false);
    let mut rest = pax;
    while !rest.is_empty() {
        let (keyword, value, after) = next_record(rest).ok_or("a damaged PAX header")?;
        rest = after;
        match keyword.strip_prefix(ATTRIBUTE).unwrap_or(keyword) {
            "size" => member.length = value.parse().map_err(|_| "a size that is no number")?,
            "mtime" => member.received_at = read_time(value).ok_or("a time that is none")?,
            "transfer_syntax" => value.clone_into(&mut member.transfer_syntax),
            "data_set_offset" => {
                member.data_set_offset = value.parse().map_err(|_| "a data set offset that is no number")?;
            }
            "sha256" => (member.sha256, has_sha256) = (from_hexadecimal(value).ok_or("a damaged SHA-256")?, true),
            "crc32" => {
                let crc32 = u32::from_str_radix(value, 16).map_err(|_| "a damaged CRC-32")?;
                (member.crc32, has_crc32) = (crc32, true);
            }
            "door" => (origin.door, has_origin) = (door_of(value).ok_or("an unknown door")?, true),
            "sender" => value.clone_into(&mut origin.sender),
            "receiver" => value.clone_into(&mut origin.receiver),
            "address" => value.clone_into(&mut origin.address),
            "reason" => member.reason = Some(value.to_owned()),
            _ => {}
        }
    }
    if !has_sha256 || !has_crc32 {
        return Err(format!("{name} has no checksum"));
    }
    member.origin = has_origin.then_some(origin);
    Ok(member)
}

fn next_record(bytes: &[u8]) -> Option<(&str, &str, &[u8])> {
    let space = bytes.iter().take(8).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(bytes.get(..space)?).ok()?.parse().ok()?;
    let record = std::str::from_utf8(bytes.get(space + 1..length)?).ok()?;
    let (keyword, value) = record.strip_suffix('\n')?.split_once('=')?;
    Some((keyword, value, bytes.get(length..)?))
}

fn read_time(value: &str) -> Option<OffsetDateTime> {
    let (seconds, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let micros = format!("{fraction:0<6}").get(..6)?.parse::<i128>().ok()?;
    let nanos = i128::from(seconds.parse::<i64>().ok()?) * 1_000_000_000 + micros * 1000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(length: u64) -> Member {
        Member {
            sop_instance: "1.2.840.113619.2.55.3.604688119.971.1234567890.123".into(),
            length,
            data_set_offset: 340,
            transfer_syntax: "1.2.840.10008.1.2.1".into(),
            sha256: [0xAB; 32],
            crc32: 0x0102_0304,
            received_at: OffsetDateTime::from_unix_timestamp_nanos(1_700_000_000_123_456_000).unwrap(),
            origin: Some(Origin {
                door: Door::Dimse,
                sender: "CT_1".into(),
                receiver: "FILMROOM".into(),
                address: "127.0.0.1:4242".into(),
            }),
            reason: None,
        }
    }

    #[track_caller]
    fn read_back(head: &[u8]) -> Member {
        let mut blocks = head.chunks(BLOCK).map(|block| <[u8; BLOCK]>::try_from(block).unwrap());
        let Head::Pax(size) = read_head(&blocks.next().unwrap()).unwrap() else {
            panic!("no PAX header first")
        };
        let pax = &head[BLOCK..BLOCK + size as usize];
        let Head::Member(name, size) = read_head(&blocks.next_back().unwrap()).unwrap() else {
            panic!("no member last")
        };
        read_member(pax, &name, size).unwrap()
    }

    #[test]
    fn a_member_comes_back() {
        for length in [0, 1, 525_000, 10 << 30] {
            assert_eq!(read_back(&member_head(&member(length), None).unwrap()), member(length));
        }
    }

    proptest! {
        #[test]
        fn a_head_fills_its_room(sender in "\\PC{0,300}", length in 0..20_u64 << 30) {
            let mut member = member(length);
            member.origin.as_mut().unwrap().sender = sender;
            let head = member_head(&member, Some(STAGED_HEAD_BYTES)).unwrap();
            prop_assert_eq!(head.len(), STAGED_HEAD_BYTES);
            prop_assert_eq!(read_back(&head), member);
        }

        #[test]
        fn damaged_headers_never_panic(bytes in proptest::collection::vec(any::<u8>(), BLOCK), pax: Vec<u8>) {
            let block = <[u8; BLOCK]>::try_from(bytes).unwrap();
            let _ = read_head(&block);
            let _ = read_member(&pax, "1.2.dcm", 3);
        }
    }
}
