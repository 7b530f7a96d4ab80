//! Puts a pack together without reading its members: their checksums are known, and the whole's follows from them.

use std::{io, sync::Arc};

use bytes::Bytes;

use super::tar::{Member, TRAILER_BYTES, member_head, padding};
use crate::{objects::Body, source::ReadAt};

/// A pack ready to be put.
pub(crate) struct Composed {
    pub(crate) body: Body,
    /// CRC-32 of the whole.
    pub(crate) crc32: u32,
    /// First byte of each member's Part 10 file, in order.
    pub(crate) offsets: Vec<u64>,
}

/// Puts members together; `crc32` of each must be that of its bytes as they were received.
///
/// # Errors
/// When a member cannot have a tar header.
pub(crate) fn compose(members: Vec<(Member, impl ReadAt + 'static)>) -> io::Result<Composed> {
    let mut body = Body::default();
    let mut crc32 = crc32fast::Hasher::new();
    let mut offsets = Vec::with_capacity(members.len());
    for (member, source) in members {
        let head = member_head(&member, None).ok_or_else(|| io::Error::other("a member has no tar header"))?;
        crc32.update(&head);
        body.push(Bytes::from(head));
        offsets.push(body.len());
        crc32.combine(&crc32fast::Hasher::new_with_initial_len(member.crc32, member.length));
        body.push(source);
        let zeros = vec![0; padding(member.length)];
        crc32.update(&zeros);
        body.push(Bytes::from(zeros));
    }
    let trailer = Bytes::from(vec![0; TRAILER_BYTES]);
    crc32.update(&trailer);
    body.push(trailer);
    Ok(Composed {
        body,
        crc32: crc32.finalize(),
        offsets,
    })
}

/// A part of a source that is shared.
pub(crate) struct SharedPart {
    pub(crate) whole: Arc<dyn ReadAt>,
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

impl ReadAt for SharedPart {
    fn len(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let wanted = usize::try_from(self.length.saturating_sub(offset))
            .unwrap_or(usize::MAX)
            .min(length);
        self.whole.read_at(self.offset.saturating_add(offset), wanted)
    }

    fn as_file(&self) -> Option<(&std::fs::File, u64)> {
        self.whole.as_file().map(|(file, start)| (file, start + self.offset))
    }

    fn as_direct_file(&self) -> Option<(&std::fs::File, u64)> {
        self.whole
            .as_direct_file()
            .map(|(file, start)| (file, start + self.offset))
    }
}
