//! What a film says of itself: the boxes of an MP4 file (ISO 14496-12, -14, -15), the sequence header of MPEG-2 (ISO 13818-2).

use std::io;

use super::{Codestream, Size, be16, be32};
use crate::stow::spool::Spooled;

/// Bytes in which an MPEG-2 stream shows its first sequence header.
const HEAD_BYTES: u64 = 64 << 10;
/// Boxes of a file that are looked at, and of one box.
const BOXES_MAX: usize = 4096;
/// The box that describes a film is no longer, of a film of hours.
const DESCRIPTION_MAX_BYTES: u64 = 16 << 20;

/// Reads what describes a film; nothing where it is not understood.
///
/// # Errors
/// Those of reading the part.
pub(in crate::stow) async fn read(content: &Spooled) -> io::Result<Codestream> {
    let head = content.read(0..HEAD_BYTES).await?;
    if head.get(4..8) != Some(b"ftyp") {
        return Ok(mpeg2(&head).unwrap_or_default());
    }
    let mut at = 0;
    for _ in 0..BOXES_MAX {
        let head = content.read(at..at + 16).await?;
        let Some((kind, header_bytes, length)) = box_head(&head, content.length() - at.min(content.length())) else {
            break;
        };
        if &kind == b"moov" && length <= DESCRIPTION_MAX_BYTES {
            let end = (at + length).min(content.length());
            let mut description = Vec::new();
            let mut from = at + header_bytes;
            while from < end {
                let piece = content.read(from..end).await?;
                if piece.is_empty() {
                    break;
                }
                from += piece.len() as u64;
                description.extend_from_slice(&piece);
            }
            return Ok(movie(&description).unwrap_or_default());
        }
        at += length;
    }
    Ok(Codestream::default())
}

/// Kind, length of the header and length of a box with its header, at least the header's. `left`: bytes to the end.
fn box_head(head: &[u8], left: u64) -> Option<([u8; 4], u64, u64)> {
    let kind: [u8; 4] = head.get(4..8)?.try_into().ok()?;
    let (header_bytes, length) = match be32(head, 0)? {
        0 => (8, left),
        1 => {
            let length: [u8; 8] = head.get(8..16)?.try_into().ok()?;
            (16, u64::from_be_bytes(length))
        }
        length => (8, u64::from(length)),
    };
    (header_bytes <= length && length <= left).then_some((kind, header_bytes, length))
}

/// The boxes within a box.
fn boxes(within: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = within;
    std::iter::from_fn(move || {
        let (kind, header_bytes, length) = box_head(rest, rest.len() as u64)?;
        let (this, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        rest = after;
        Some((kind, this.get(usize::try_from(header_bytes).ok()?..)?))
    })
    .take(BOXES_MAX)
}

fn inside<'a>(within: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(within)
        .find(|(found, _)| found == kind)
        .map(|(_, content)| content)
}

/// The first video track of a movie.
fn movie(movie: &[u8]) -> Option<Codestream> {
    boxes(movie)
        .filter(|(kind, _)| kind == b"trak")
        .find_map(|(_, track)| video_track(inside(track, b"mdia")?))
}

fn video_track(media: &[u8]) -> Option<Codestream> {
    if inside(media, b"hdlr")?.get(8..12)? != b"vide" {
        return None;
    }
    let header = inside(media, b"mdhd")?;
    let ticks_a_second = match header.first()? {
        1 => be32(header, 20)?,
        _ => be32(header, 12)?,
    };
    let table = inside(inside(media, b"minf")?, b"stbl")?;
    let (number_of_frames, ticks) = durations(inside(table, b"stts")?);
    // A full box with a count, then the descriptions.
    let (kind, entry) = boxes(inside(table, b"stsd")?.get(8..)?).next()?;
    let (columns, rows) = (be16(entry, 24)?, be16(entry, 26)?);
    let (transfer_syntax_uid, bits) = coding(&kind, entry.get(78..)?)?;
    let frame_time_ms = (number_of_frames > 0 && ticks_a_second > 0)
        .then(|| ticks as f64 * 1000.0 / f64::from(ticks_a_second) / f64::from(number_of_frames));
    Some(Codestream {
        transfer_syntax_uid: Some(transfer_syntax_uid),
        size: (rows > 0 && columns > 0).then_some(Size {
            rows,
            columns,
            samples: 3,
            bits,
        }),
        photometric_interpretation: Some("YBR_PARTIAL_420"),
        number_of_frames: (number_of_frames > 0).then_some(number_of_frames),
        frame_time_ms,
        ..Codestream::default()
    })
}

/// How many pictures there are, and how long they last together.
fn durations(times: &[u8]) -> (u32, u64) {
    let entries = times.get(8..).unwrap_or_default().chunks_exact(8);
    entries.fold((0, 0), |(count, ticks), entry| {
        let (pictures, each) = (be32(entry, 0).unwrap_or_default(), be32(entry, 4).unwrap_or_default());
        (
            u32::saturating_add(count, pictures),
            u64::saturating_add(ticks, u64::from(pictures) * u64::from(each)),
        )
    })
}

/// Transfer syntax by profile and level (PS3.5 §8.2.7 to §8.2.11), and bits of a sample.
fn coding(kind: &[u8; 4], within: &[u8]) -> Option<(&'static str, u16)> {
    match kind {
        b"avc1" | b"avc3" => {
            let configuration = inside(within, b"avcC")?;
            let (profile, level) = (*configuration.get(1)?, *configuration.get(3)?);
            Some(match (profile, level) {
                (118 | 128, _) => ("1.2.840.10008.1.2.4.106", 8),
                (_, 42..) => ("1.2.840.10008.1.2.4.104", 8),
                _ => ("1.2.840.10008.1.2.4.102", 8),
            })
        }
        b"hvc1" | b"hev1" => {
            let profile = inside(within, b"hvcC")?.get(1)? & 0x1F;
            Some(match profile {
                2 => ("1.2.840.10008.1.2.4.108", 10),
                _ => ("1.2.840.10008.1.2.4.107", 8),
            })
        }
        _ => None,
    }
}

/// The first sequence header (ISO 13818-2 §6.2.2.1).
fn mpeg2(head: &[u8]) -> Option<Codestream> {
    const FRAMES_A_SECOND: [f64; 8] = [
        24_000.0 / 1001.0,
        24.0,
        25.0,
        30_000.0 / 1001.0,
        30.0,
        50.0,
        60_000.0 / 1001.0,
        60.0,
    ];
    let at = memchr::memmem::find(head, &[0, 0, 1, 0xB3])?;
    let header = be32(head, at + 4)?;
    let (columns, rows) = ((header >> 20) as u16, (header >> 8 & 0xFFF) as u16);
    let rate = FRAMES_A_SECOND.get((header & 0xF).checked_sub(1)? as usize)?;
    Some(Codestream {
        transfer_syntax_uid: Some(if columns > 720 {
            "1.2.840.10008.1.2.4.101"
        } else {
            "1.2.840.10008.1.2.4.100"
        }),
        size: (rows > 0 && columns > 0).then_some(Size {
            rows,
            columns,
            samples: 3,
            bits: 8,
        }),
        photometric_interpretation: Some("YBR_PARTIAL_420"),
        frame_time_ms: Some(1000.0 / rate),
        ..Codestream::default()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boxed(kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 8).to_be_bytes()[..], kind, content].concat()
    }

    fn film(entry: &[u8; 4], configuration: Vec<u8>) -> Vec<u8> {
        let mut described = vec![0; 78];
        described[24..28].copy_from_slice(&[2, 128, 1, 224]);
        described.extend(configuration);
        let table = [
            boxed(
                b"stsd",
                &[&[0, 0, 0, 0, 0, 0, 0, 1][..], &boxed(entry, &described)].concat(),
            ),
            boxed(b"stts", &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 50, 0, 0, 2, 0]),
        ]
        .concat();
        let mut time = vec![0; 24];
        time[14..16].copy_from_slice(&[0x32, 0]);
        let media = [
            boxed(b"mdhd", &time),
            boxed(b"hdlr", b"\0\0\0\0\0\0\0\0vide\0\0\0\0"),
            boxed(b"minf", &boxed(b"stbl", &table)),
        ]
        .concat();
        boxed(b"trak", &boxed(b"mdia", &media))
    }

    #[track_caller]
    fn check(entry: &[u8; 4], configuration: Vec<u8>, transfer_syntax: &str) {
        let told = movie(&film(entry, configuration)).unwrap();
        assert_eq!(told.transfer_syntax_uid, Some(transfer_syntax));
        let size = told.size.unwrap();
        assert_eq!((size.columns, size.rows, told.number_of_frames), (640, 480, Some(50)));
        assert_eq!(told.frame_time_ms, Some(40.0));
    }

    #[test]
    fn films_tell_profile_level_and_time() {
        check(b"avc1", boxed(b"avcC", &[1, 100, 0, 41]), "1.2.840.10008.1.2.4.102");
        check(b"avc1", boxed(b"avcC", &[1, 100, 0, 42]), "1.2.840.10008.1.2.4.104");
        check(b"avc3", boxed(b"avcC", &[1, 128, 0, 40]), "1.2.840.10008.1.2.4.106");
        check(b"hvc1", boxed(b"hvcC", &[1, 1]), "1.2.840.10008.1.2.4.107");
        check(b"hev1", boxed(b"hvcC", &[1, 2]), "1.2.840.10008.1.2.4.108");
        assert_eq!(movie(&film(b"vp09", Vec::new())), None);
    }

    #[test]
    fn mpeg2_tells_its_size_and_rate() {
        let told = mpeg2(&[9, 0, 0, 1, 0xB3, 0x2D, 0x02, 0x40, 0x33, 0]).unwrap();
        assert_eq!(told.transfer_syntax_uid, Some("1.2.840.10008.1.2.4.100"));
        assert_eq!(told.size.map(|size| (size.columns, size.rows)), Some((720, 576)));
        assert_eq!(told.frame_time_ms, Some(40.0));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..200) {
            let _ = (movie(&bytes), mpeg2(&bytes));
            let mut film = film(b"avc1", boxed(b"avcC", &[1, 100, 0, 41]));
            let length = film.len();
            for (offset, byte) in bytes.iter().take(4).enumerate() {
                film[(at + offset) % length] = *byte;
            }
            let _ = movie(&film);
        }
    }
}
