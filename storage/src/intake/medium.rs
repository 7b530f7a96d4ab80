//! The folder that the intake log lies in, behind a trait, so that a failing disk can be put in its place.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSlice},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    direct::{self, Blocks},
    encryption::MasterKeys,
};

pub(crate) use crate::direct::BLOCK_BYTES;

/// Bytes put together for one direct write.
const DIRECT_BYTES: usize = 4 << 20;

/// The file of one segment.
///
/// Contract: what was written before [`MediumFile::sync`] returned survives a loss of power; of what was written after the
/// last sync any part may survive, in any order.
pub(crate) trait MediumFile: Send + Sync {
    /// Writes all of `pieces`, one after the other, from `offset`: whole blocks, both of them.
    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    fn set_len(&self, length: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    /// The file itself, where it is one of the local disk.
    fn as_file(&self) -> Option<&File> {
        None
    }
    /// The file itself, opened past the system's cache, where it is one of the local disk.
    fn as_direct_file(&self) -> Option<&File> {
        None
    }
}

/// The folder of the segments.
pub(crate) trait Medium: Send + Sync {
    /// Makes a segment that is not there yet; its name is durable when this returns.
    fn create(&self, number: u64) -> io::Result<Arc<dyn MediumFile>>;
    fn open(&self, number: u64) -> io::Result<Arc<dyn MediumFile>>;
    fn remove(&self, number: u64) -> io::Result<()>;
    /// Numbers of all segments, ascending.
    fn list(&self) -> io::Result<Vec<u64>>;
    /// The keys under which new segments are encrypted; `None` where they are not.
    fn master_keys(&self) -> Option<&Arc<MasterKeys>> {
        None
    }
}

/// A folder of the local disk.
pub(crate) struct DiskMedium {
    folder: PathBuf,
    assembly: Arc<Mutex<Blocks>>,
    master: Option<Arc<MasterKeys>>,
}

impl DiskMedium {
    pub(crate) fn new(folder: PathBuf, master: Option<Arc<MasterKeys>>) -> Self {
        Self {
            folder,
            assembly: Arc::new(Mutex::new(Blocks::new(DIRECT_BYTES))),
            master,
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:016}.log"))
    }
}

impl Medium for DiskMedium {
    fn create(&self, number: u64) -> io::Result<Arc<dyn MediumFile>> {
        let path = self.path(number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        sync_folder(&self.folder)?;
        // Where there are no direct writes they are as all others.
        let direct = direct::open(&path, OpenOptions::new().read(true).write(true)).ok();
        Ok(Arc::new(DiskFile {
            file,
            direct,
            indirect: AtomicBool::new(false),
            assembly: Arc::clone(&self.assembly),
        }))
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn MediumFile>> {
        let path = self.path(number);
        Ok(Arc::new(DiskFile {
            file: OpenOptions::new().read(true).write(true).open(&path)?,
            direct: direct::open(&path, OpenOptions::new().read(true)).ok(),
            indirect: AtomicBool::new(true),
            assembly: Arc::clone(&self.assembly),
        }))
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        fs::remove_file(self.path(number))?;
        sync_folder(&self.folder)
    }

    fn list(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            if let Some(number) = name
                .to_str()
                .and_then(|name| name.strip_suffix(".log"))
                .and_then(|n| n.parse().ok())
            {
                numbers.push(number);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn master_keys(&self) -> Option<&Arc<MasterKeys>> {
        self.master.as_ref()
    }
}

/// A segment on the local disk.
///
/// Written past the system's cache (`O_DIRECT`) where the file system allows: the log is written once and seldom read, and
/// filling the cache with it costs more than all else that is done for an instance.
struct DiskFile {
    file: File,
    direct: Option<File>,
    /// No direct write is tried any more: the file system took no direct write.
    indirect: AtomicBool,
    assembly: Arc<Mutex<Blocks>>,
}

impl DiskFile {
    /// Pieces that are whole blocks already are written from where they are; what lies between them is put together first.
    fn write_direct(&self, direct: &File, pieces: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut assembly = self.assembly.lock().unwrap_or_else(PoisonError::into_inner);
        let blocks = assembly.bytes();
        let mut batch = Batch {
            direct,
            offset,
            parts: Vec::with_capacity(PARTS_MAX),
        };
        let mut filled = 0usize;
        for piece in pieces {
            if filled.is_multiple_of(BLOCK_BYTES) && is_whole_blocks(piece) {
                batch.parts.push(Part::Piece(piece));
                if batch.parts.len() + 1 >= PARTS_MAX {
                    batch.write(blocks)?;
                    filled = 0;
                }
                continue;
            }
            let mut rest: &[u8] = piece;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(blocks.len() - filled));
                if let Some(room) = blocks.get_mut(filled..filled + now.len()) {
                    room.copy_from_slice(now);
                }
                batch.assembled(filled..filled + now.len());
                filled += now.len();
                rest = later;
                if filled == blocks.len() {
                    batch.write(blocks)?;
                    filled = 0;
                }
            }
        }
        batch.write(blocks)
    }
}

/// Parts of one direct write; the kernel takes at most 1,024.
const PARTS_MAX: usize = 1000;

/// True for bytes that a direct write takes from where they are.
fn is_whole_blocks(piece: &[u8]) -> bool {
    !piece.is_empty() && piece.len().is_multiple_of(BLOCK_BYTES) && piece.as_ptr().align_offset(BLOCK_BYTES) == 0
}

enum Part<'a> {
    /// A range of the assembly.
    Assembled(Range<usize>),
    Piece(&'a [u8]),
}

/// What the next direct write takes.
struct Batch<'a> {
    direct: &'a File,
    offset: u64,
    parts: Vec<Part<'a>>,
}

impl Batch<'_> {
    fn assembled(&mut self, range: Range<usize>) {
        match self.parts.last_mut() {
            Some(Part::Assembled(last)) => last.end = range.end,
            _ => self.parts.push(Part::Assembled(range)),
        }
    }

    fn write(&mut self, blocks: &[u8]) -> io::Result<()> {
        let mut slices: Vec<_> = self
            .parts
            .drain(..)
            .map(|part| match part {
                Part::Assembled(range) => IoSlice::new(blocks.get(range).unwrap_or_default()),
                Part::Piece(piece) => IoSlice::new(piece),
            })
            .collect();
        self.offset = write_pieces(self.direct, &mut slices, self.offset)?;
        Ok(())
    }
}

impl MediumFile for DiskFile {
    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        if let Some(direct) = &self.direct
            && !self.indirect.load(Ordering::Relaxed)
        {
            match self.write_direct(direct, pieces, offset) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.indirect.store(true, Ordering::Relaxed);
                }
                written => return written,
            }
        }
        write_pieces(&self.file, pieces, offset).map(drop)
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn len(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }

    fn as_file(&self) -> Option<&File> {
        Some(&self.file)
    }

    fn as_direct_file(&self) -> Option<&File> {
        self.direct.as_ref()
    }
}

/// Returns where the next write goes.
fn write_pieces(file: &File, pieces: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<u64> {
    // The kernel takes at most 1,024 pieces at once.
    for pieces in pieces.chunks_mut(1024) {
        let mut pieces = pieces;
        IoSlice::advance_slices(&mut pieces, 0);
        while !pieces.is_empty() {
            match rustix::io::pwritev(file, pieces, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    offset += written as u64;
                    IoSlice::advance_slices(&mut pieces, written);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(offset)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Bytes of the file system that this process may still use.
pub(crate) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let space = rustix::fs::statvfs(folder)?;
    Ok(space.f_bavail.saturating_mul(space.f_frsize))
}
