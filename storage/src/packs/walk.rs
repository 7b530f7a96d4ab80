//! Reads the heads of a pack's members, one after the other, and nothing of their content.

use super::tar::{BLOCK, Head, Member, TRAILER_BYTES, padding, read_head, read_member};
use crate::source::ReadAt;

/// What a walk found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Each member and the first byte of its Part 10 file.
    pub(crate) members: Vec<(Member, u64)>,
    /// CRC-32 that the whole pack has when every member has its own.
    pub(crate) crc32: u32,
    /// Bytes up to the end of the trailer.
    pub(crate) length: u64,
}

/// Walks through a pack. Blocks.
///
/// # Errors
/// One sentence on what is wrong with the pack, and where.
pub(crate) fn walk(pack: &dyn ReadAt) -> Result<Walked, String> {
    let mut members = Vec::new();
    let mut crc32 = crc32fast::Hasher::new();
    let mut position = 0;
    let mut pax = None;
    loop {
        let at = |reason: String| format!("at byte {position}: {reason}");
        let block = read(pack, position, BLOCK).map_err(at)?;
        let block: [u8; BLOCK] = block
            .as_ref()
            .try_into()
            .map_err(|_| at("a block is cut short".into()))?;
        match read_head(&block).map_err(at)? {
            Head::Pax(size) => {
                let padded = size + padding(size) as u64;
                let records = read(pack, position + BLOCK as u64, padded as usize).map_err(at)?;
                crc32.update(&block);
                crc32.update(&records);
                position += BLOCK as u64 + padded;
                pax = Some(records.slice(..(size as usize).min(records.len())));
            }
            Head::Member(name, size) => {
                let records = pax.take().ok_or_else(|| at("a member has no PAX header".into()))?;
                let member = read_member(&records, &name, size).map_err(at)?;
                let content = position + BLOCK as u64;
                let end = content
                    .checked_add(member.length)
                    .and_then(|end| end.checked_add(padding(member.length) as u64));
                let end = end
                    .filter(|end| *end <= pack.len())
                    .ok_or_else(|| at(format!("{name} is cut short")))?;
                crc32.update(&block);
                crc32.combine(&crc32fast::Hasher::new_with_initial_len(member.crc32, member.length));
                crc32.update(&vec![0; padding(member.length)]);
                members.push((member, content));
                position = end;
            }
            Head::End => {
                let trailer = read(pack, position, TRAILER_BYTES).map_err(at)?;
                if trailer.len() != TRAILER_BYTES || trailer.iter().any(|byte| *byte != 0) {
                    return Err(at("the end is cut short".into()));
                }
                crc32.update(&trailer);
                let length = position + TRAILER_BYTES as u64;
                return Ok(Walked {
                    members,
                    crc32: crc32.finalize(),
                    length,
                });
            }
        }
    }
}

fn read(pack: &dyn ReadAt, offset: u64, length: usize) -> Result<bytes::Bytes, String> {
    let room = usize::try_from(pack.len().saturating_sub(offset)).unwrap_or(usize::MAX);
    pack.read_at(offset, length.min(room))
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use bytes::Bytes;
    use proptest::prelude::*;
    use time::OffsetDateTime;

    use super::*;
    use crate::packs::compose::{Composed, compose};

    fn member(n: usize, content: &[u8]) -> Member {
        Member {
            sop_instance: format!("1.2.3.{n}"),
            length: content.len() as u64,
            data_set_offset: 0,
            transfer_syntax: "1.2.840.10008.1.2.1".into(),
            sha256: [n as u8; 32],
            crc32: crc32fast::hash(content),
            received_at: OffsetDateTime::from_unix_timestamp(1_700_000_000 + n as i64).unwrap(),
            origin: None,
            reason: None,
        }
    }

    fn pack(contents: &[Vec<u8>]) -> (Composed, Vec<u8>) {
        let members = contents.iter().enumerate();
        let members = members
            .map(|(n, content)| (member(n, content), Bytes::from(content.clone())))
            .collect();
        let composed = compose(members).unwrap();
        let bytes: Vec<u8> = composed
            .body
            .pieces()
            .iter()
            .flat_map(|piece| piece.read_at(0, usize::MAX).unwrap())
            .collect();
        (composed, bytes)
    }

    proptest! {
        #[test]
        fn what_was_composed_is_found(contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2000), 0..6)) {
            let (composed, bytes) = pack(&contents);
            prop_assert_eq!(composed.crc32, crc32fast::hash(&bytes));
            let walked = walk(&Bytes::from(bytes.clone())).unwrap();
            prop_assert_eq!(walked.crc32, composed.crc32);
            prop_assert_eq!(walked.length, bytes.len() as u64);
            for (n, ((found, offset), content)) in walked.members.iter().zip(&contents).enumerate() {
                prop_assert_eq!(found, &member(n, content));
                prop_assert_eq!(*offset, composed.offsets[n]);
                prop_assert_eq!(&bytes[*offset as usize..*offset as usize + content.len()], &content[..]);
            }
        }

        #[test]
        fn damaged_packs_never_panic(at in 0..4000_usize, bit in 0..8_u8, cut in 0..5000_usize) {
            let (_, mut bytes) = pack(&[vec![1; 700], vec![2; 300]]);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            bytes.truncate(cut.max(1));
            let _ = walk(&Bytes::from(bytes));
        }
    }

    #[test]
    fn the_systems_tar_unpacks_it_without_a_word() {
        let folder = tempfile::tempdir().unwrap();
        let contents = [vec![1; 700], vec![], vec![2; 1024]];
        std::fs::write(folder.path().join("pack.tar"), pack(&contents).1).unwrap();
        let output = Command::new("tar")
            .args(["-xf", "pack.tar"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        for (n, content) in contents.iter().enumerate() {
            assert_eq!(
                &std::fs::read(folder.path().join(format!("1.2.3.{n}.dcm"))).unwrap(),
                content
            );
        }
    }
}
