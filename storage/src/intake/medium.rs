//! The folder that the intake log lies in, behind a trait, so that a failing disk can be put in its place.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSlice},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The file of one segment.
///
/// Contract: what was written before [`MediumFile::sync`] returned survives a loss of power; of what was written after the
/// last sync any part may survive, in any order.
pub(crate) trait MediumFile: Send + Sync {
    /// Writes all of `pieces`, one after the other, from `offset`.
    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()>;
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    fn sync(&self) -> io::Result<()>;
    fn set_len(&self, length: u64) -> io::Result<()>;
    fn len(&self) -> io::Result<u64>;
    /// The file itself, where it is one of the local disk.
    fn as_file(&self) -> Option<&File> {
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
}

/// A folder of the local disk.
pub(crate) struct DiskMedium {
    folder: PathBuf,
}

impl DiskMedium {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:016}.log"))
    }
}

impl Medium for DiskMedium {
    fn create(&self, number: u64) -> io::Result<Arc<dyn MediumFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.path(number))?;
        sync_folder(&self.folder)?;
        Ok(Arc::new(file))
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn MediumFile>> {
        Ok(Arc::new(
            OpenOptions::new().read(true).write(true).open(self.path(number))?,
        ))
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
}

impl MediumFile for File {
    fn write_at(&self, pieces: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        // The kernel takes at most 1,024 pieces at once.
        for pieces in pieces.chunks_mut(1024) {
            let mut pieces = pieces;
            IoSlice::advance_slices(&mut pieces, 0);
            while !pieces.is_empty() {
                match rustix::io::pwritev(self, pieces, offset) {
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
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buffer, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn len(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    fn as_file(&self) -> Option<&File> {
        Some(self)
    }
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
