//! Files read and written past the system's cache (`O_DIRECT`). Half a megabyte that goes through the cache costs 128 fresh pages and
//! two copies; what is written once and seldom read soon is better off without.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{FileExt, OpenOptionsExt},
    },
    path::Path,
};

use crate::source::ReadAt;

/// What is read or written in one go begins at a multiple of this and has such a length: disks and file systems then take it
/// without a copy of their own.
pub(crate) const BLOCK_BYTES: usize = 4096;
/// Bytes of one call, about: beyond it longer ones cost no less.
pub(crate) const CALL_BYTES: usize = 2 << 20;
const BLOCK: u64 = BLOCK_BYTES as u64;
/// Pieces of a file that lie this near to each other are read together.
const GAP_BYTES: u64 = 16 << 10;
/// Bytes read at once of what is not a file.
const COPY_BYTES: usize = 128 << 10;

/// Opens a file past the cache; an error where the file system has no such thing.
pub(crate) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let flags = i32::try_from(rustix::fs::OFlags::DIRECT.bits()).unwrap_or_default();
    options.custom_flags(flags).open(path)
}

/// Memory that begins at a block. Nothing is taken until it is used.
pub(crate) struct Blocks {
    bytes: Vec<u8>,
    length: usize,
}

impl Blocks {
    pub(crate) fn new(length: usize) -> Self {
        Self {
            bytes: Vec::new(),
            length,
        }
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes.resize(self.length + BLOCK_BYTES, 0);
        }
        let start = self.bytes.as_ptr().align_offset(BLOCK_BYTES);
        self.bytes.get_mut(start..start + self.length).unwrap_or_default()
    }
}

/// Fills `bytes`, which are whole blocks, from `offset`, a block, as far as the file goes.
fn read(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, offset + filled as u64) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(0) => break,
            Ok(read) => filled += read,
        }
        if !filled.is_multiple_of(BLOCK_BYTES) {
            break;
        }
    }
    Ok(filled)
}

/// A file that is read from its beginning to its end.
pub(crate) fn read_all(file: &File, blocks: &mut Blocks, mut take: impl FnMut(&[u8])) -> io::Result<()> {
    let bytes = blocks.bytes();
    let mut offset = 0;
    loop {
        let filled = read(file, bytes, offset)?;
        take(bytes.get(..filled).unwrap_or_default());
        offset += filled as u64;
        if filled < bytes.len() {
            return Ok(());
        }
    }
}

/// What lies in memory of one file after the other.
pub(crate) struct Reader {
    blocks: Blocks,
    /// The file that was read from, by its number, and where in it the bytes begin.
    of: Option<(i32, u64)>,
    filled: usize,
}

impl Reader {
    pub(crate) fn new() -> Self {
        Self {
            blocks: Blocks::new(CALL_BYTES),
            of: None,
            filled: 0,
        }
    }

    /// Reads pieces to their ends, one after the other, past the cache where they are files. `take` is given the number of the
    /// piece and the next bytes of it.
    ///
    /// # Errors
    /// As [`Reader::next`]; what `take` says.
    pub(crate) fn read_pieces(
        &mut self,
        pieces: &[&dyn ReadAt],
        mut take: impl FnMut(usize, &[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        // A number of a file may have become that of another since.
        self.of = None;
        for (at, piece) in pieces.iter().enumerate() {
            let mut from = 0;
            if let Some((source, start)) = piece.as_direct_file() {
                let later = pieces.get(at + 1..).unwrap_or_default();
                let ahead = adjoining(later, source, start + piece.len());
                while from < piece.len() {
                    match self.next(source, start + from, piece.len() - from, ahead) {
                        // A file system that takes no direct reads after all.
                        Err(error) if error.kind() == io::ErrorKind::InvalidInput => break,
                        read => {
                            let bytes = read?;
                            take(at, bytes)?;
                            from += bytes.len() as u64;
                        }
                    }
                }
            }
            while from < piece.len() {
                let bytes = piece.read_at(from, COPY_BYTES)?;
                if bytes.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                take(at, &bytes)?;
                from += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// Bytes of a file, which begin at `from` and of which there are `length`: as many of them as are at hand. When some have
    /// to be read, `ahead` more are read with them as far as there is room.
    ///
    /// # Errors
    /// `UnexpectedEof` when the file ends before; what the file system says.
    fn next(&mut self, file: &File, from: u64, length: u64, ahead: u64) -> io::Result<&[u8]> {
        let number = file.as_raw_fd();
        let at_hand = match self.of {
            Some((of, start)) if of == number && (start..start + self.filled as u64).contains(&from) => start,
            _ => {
                let start = from / BLOCK * BLOCK;
                let end = (from + length + ahead).next_multiple_of(BLOCK);
                let bytes = self.blocks.bytes();
                let wanted = usize::try_from(end - start).unwrap_or(usize::MAX).min(bytes.len());
                self.of = None;
                self.filled = read(file, bytes.get_mut(..wanted).unwrap_or_default(), start)?;
                self.of = Some((number, start));
                start
            }
        };
        let skipped = usize::try_from(from - at_hand).map_err(io::Error::other)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let filled = self.filled;
        let known = self.blocks.bytes().get(skipped..filled).unwrap_or_default();
        match known.get(..known.len().min(length)) {
            Some(known) if !known.is_empty() => Ok(known),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Bytes behind `end` that hold the next pieces, as far as they lie together in the same file.
fn adjoining(pieces: &[&dyn ReadAt], file: &File, end: u64) -> u64 {
    let mut last = end;
    for piece in pieces {
        let Some((source, start)) = piece.as_direct_file() else {
            // What stands between pieces of files is in memory.
            continue;
        };
        let is_next = source.as_raw_fd() == file.as_raw_fd() && (last..last + GAP_BYTES).contains(&start);
        if !is_next || start + piece.len() - end > CALL_BYTES as u64 {
            break;
        }
        last = start + piece.len();
    }
    last - end
}

/// A new file that is written from its beginning to its end.
pub(crate) struct Writer<'a> {
    file: File,
    blocks: &'a mut Blocks,
    filled: usize,
    written: u64,
}

impl<'a> Writer<'a> {
    /// Over `file`, which was opened past the cache and is empty.
    pub(crate) fn new(file: File, blocks: &'a mut Blocks) -> Self {
        Self {
            file,
            blocks,
            filled: 0,
            written: 0,
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// `InvalidInput` where the file system takes no direct writes after all; what else it says.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let blocks = self.blocks.bytes();
            let (now, later) = bytes.split_at(bytes.len().min(blocks.len() - self.filled));
            if let Some(room) = blocks.get_mut(self.filled..self.filled + now.len()) {
                room.copy_from_slice(now);
            }
            self.filled += now.len();
            bytes = later;
            if self.filled == blocks.len() {
                self.file.write_all_at(blocks, self.written)?;
                self.written += self.filled as u64;
                self.filled = 0;
            }
        }
        Ok(())
    }

    /// Writes what is left, and makes all of it durable.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub(crate) fn end(self) -> io::Result<()> {
        let length = self.written + self.filled as u64;
        let whole = self.filled.next_multiple_of(BLOCK_BYTES);
        let blocks = self.blocks.bytes();
        if let Some(rest) = blocks.get_mut(self.filled..whole) {
            rest.fill(0);
        }
        self.file
            .write_all_at(blocks.get(..whole).unwrap_or_default(), self.written)?;
        if whole != self.filled {
            self.file.set_len(length)?;
        }
        self.file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|at| (at.wrapping_mul(31) >> 3) as u8).collect()
    }

    fn new(path: &Path) -> io::Result<File> {
        open(path, OpenOptions::new().read(true).write(true).create_new(true))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn what_is_written_in_any_pieces_is_read_in_any(
            pieces in proptest::collection::vec(0..3 * CALL_BYTES / 2, 0..6),
            from in 0.0..1.0f64, length in 0.0..1.0f64, ahead in 0u64..100_000,
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("file");
            let Ok(file) = new(&path) else { return Ok(()) };
            let whole = pattern(pieces.iter().sum());
            let mut blocks = Blocks::new(CALL_BYTES);
            let mut writer = Writer::new(file, &mut blocks);
            let mut rest = &whole[..];
            for piece in pieces {
                writer.write(&rest[..piece]).unwrap();
                rest = &rest[piece..];
            }
            writer.end().unwrap();
            prop_assert!(std::fs::read(&path).unwrap() == whole);

            let file = open(&path, OpenOptions::new().read(true)).unwrap();
            let mut read = Vec::new();
            read_all(&file, &mut blocks, |bytes| read.extend_from_slice(bytes)).unwrap();
            prop_assert!(read == whole);

            let from = (from * whole.len() as f64) as usize;
            let length = (length * (whole.len() - from) as f64) as usize;
            let (mut reader, mut read) = (Reader::new(), Vec::new());
            while read.len() < length {
                let at = from + read.len();
                let next = reader.next(&file, at as u64, (from + length - at) as u64, ahead).unwrap();
                read.extend_from_slice(next);
            }
            prop_assert!(read == whole[from..from + length]);
            let beyond = reader.next(&file, whole.len() as u64, 1, 0);
            prop_assert_eq!(beyond.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        }
    }
}
