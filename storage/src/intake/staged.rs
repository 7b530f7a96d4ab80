//! Staged files: large instances on their way in, each in a file of its own that is a pack already.
//!
//! Room for the tar headers is kept at the front and filled in at the end, so that settling is a rename.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::task::JoinHandle;

use super::medium::sync_folder;
use crate::{
    packs::tar::{self, Member, STAGED_HEAD_BYTES, TRAILER_BYTES},
    source::ReadAt,
};

/// Bytes gathered before they are written.
const CHUNK_BYTES: usize = 1 << 20;
/// Written bytes are brought to the device in portions, so that the end of a large instance does not wait for all of it.
const SYNC_EVERY_BYTES: u64 = 32 << 20;

/// The folder of staged files.
#[derive(Debug)]
pub(crate) struct StagedFolder {
    folder: PathBuf,
    next: AtomicU64,
}

impl StagedFolder {
    /// Opens or makes the folder. Numbers begin at `next`, above all that the log knows.
    pub(crate) fn new(folder: PathBuf, next: u64) -> Arc<Self> {
        Arc::new(Self {
            folder,
            next: AtomicU64::new(next),
        })
    }

    /// Numbers of all staged files.
    pub(crate) fn list(folder: &Path) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder)? {
            let name = entry?.file_name();
            if let Some(number) = name
                .to_str()
                .and_then(|name| name.strip_suffix(".tar"))
                .and_then(|n| n.parse().ok())
            {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn create(&self) -> io::Result<(u64, PathBuf, File)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let path = staged_path(&self.folder, number);
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok((number, path, file))
    }
}

/// The path of a staged file.
pub(crate) fn staged_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.tar"))
}

/// A staged file that is being written.
#[derive(Debug)]
pub(crate) struct StagedWriter {
    file: StagedFile,
    written: u64,
    chunk: Vec<u8>,
    writing: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

/// A staged file. Removed when dropped, unless it is kept.
#[derive(Debug)]
pub(crate) struct StagedFile {
    pub(crate) number: u64,
    file: Arc<File>,
    path: PathBuf,
    folder: PathBuf,
    kept: AtomicBool,
    /// Where the data set begins in the file, and its length.
    data_set: (u64, u64),
}

impl StagedWriter {
    /// Begins with the Part 10 file's head and the part of the data set that came so far.
    pub(crate) async fn begin(
        folder: Arc<StagedFolder>,
        file_head: Bytes,
        so_far: impl AsRef<[u8]> + Send + 'static,
    ) -> io::Result<Self> {
        blocking(move || {
            let (number, path, file) = folder.create()?;
            let data_set = (STAGED_HEAD_BYTES as u64 + file_head.len() as u64, 0);
            let folder = folder.folder.clone();
            let staged = StagedFile {
                number,
                file: Arc::new(file),
                path,
                folder,
                kept: AtomicBool::new(false),
                data_set,
            };
            staged.file.write_all_at(&file_head, STAGED_HEAD_BYTES as u64)?;
            staged.file.write_all_at(so_far.as_ref(), data_set.0)?;
            let written = data_set.0 + so_far.as_ref().len() as u64;
            Ok(Self {
                file: staged,
                written,
                chunk: Vec::with_capacity(CHUNK_BYTES),
                writing: None,
            })
        })
        .await
    }

    /// Takes the next bytes. One chunk is written while the next one is gathered.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = CHUNK_BYTES.saturating_sub(self.chunk.len()).min(bytes.len());
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.chunk.extend_from_slice(now);
            bytes = later;
            if self.chunk.len() >= CHUNK_BYTES {
                self.flush_chunk().await?;
            }
        }
        Ok(())
    }

    async fn flush_chunk(&mut self) -> io::Result<()> {
        let spare = self.wait_for_chunk().await?;
        let chunk = std::mem::replace(&mut self.chunk, spare);
        let (file, offset) = (Arc::clone(&self.file.file), self.written);
        self.written += chunk.len() as u64;
        let crosses = offset / SYNC_EVERY_BYTES != self.written / SYNC_EVERY_BYTES;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            file.write_all_at(&chunk, offset)?;
            if crosses {
                file.sync_data()?;
            }
            let mut chunk = chunk;
            chunk.clear();
            Ok(chunk)
        }));
        Ok(())
    }

    async fn wait_for_chunk(&mut self) -> io::Result<Vec<u8>> {
        match self.writing.take() {
            Some(writing) => writing.await.map_err(io::Error::other)?,
            None => Ok(Vec::with_capacity(CHUNK_BYTES)),
        }
    }

    /// All bytes are written; not yet durable.
    pub(crate) async fn end(mut self) -> io::Result<StagedFile> {
        self.flush_chunk().await?;
        self.wait_for_chunk().await?;
        self.file.data_set.1 = self.written - self.file.data_set.0;
        Ok(self.file)
    }
}

impl StagedFile {
    /// Fills in the tar headers and makes file and name durable. Blocks.
    pub(crate) fn make_durable(&self, member: &Member) -> io::Result<()> {
        let head = tar::member_head(member, Some(STAGED_HEAD_BYTES))
            .ok_or_else(|| io::Error::other("the origin of a staged instance is too long for its headers"))?;
        self.file.write_all_at(&head, 0)?;
        let end = STAGED_HEAD_BYTES as u64 + member.length;
        let trailer = vec![0; tar::padding(member.length) + TRAILER_BYTES];
        self.file.write_all_at(&trailer, end)?;
        self.file.sync_all()?;
        sync_folder(&self.folder)
    }

    /// The log knows the file: it stays.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl ReadAt for StagedFile {
    fn len(&self) -> u64 {
        self.data_set.1
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let wanted = usize::try_from(self.data_set.1.saturating_sub(offset))
            .unwrap_or(usize::MAX)
            .min(length);
        let mut buffer = vec![0; wanted];
        self.file.read_exact_at(&mut buffer, self.data_set.0 + offset)?;
        Ok(buffer.into())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Relaxed)
            && let Err(error) = fs::remove_file(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file = self.number, "a staged file that nobody needs could not be removed");
        }
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
