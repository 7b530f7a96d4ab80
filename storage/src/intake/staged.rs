//! Staged files: large instances on their way in, each in a file of its own that is a pack already.
//!
//! Room for the tar headers is kept at the front and filled in at the end, so that settling is a rename. Where the archive is
//! encrypted the file is a head with its own key, wrapped by a master key, and the Part 10 file in sealed chunks; settling then
//! puts it together like any other pack.

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
    encryption::{ChunkKey, MasterKeys, OpenedSource, Secret, WRAPPED_BYTES, wrap},
    packs::{
        compose::SharedPart,
        tar::{self, Member, STAGED_HEAD_BYTES, TRAILER_BYTES},
    },
    source::{FileSection, ReadAt},
};

/// Bytes gathered before they are written.
const CHUNK_BYTES: usize = 1 << 20;
/// Written bytes are brought to the device in portions, so that the end of a large instance does not wait for all of it.
const SYNC_EVERY_BYTES: u64 = 32 << 20;

/// Bytes that are sealed together.
const SEALED_FROM: usize = crate::encryption::chunks::CHUNK_BYTES as usize;

/// Whether more bytes of an instance come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    Follows,
    Ends,
}

fn sealed_length_of_part(length: usize) -> u64 {
    crate::encryption::sealed_length(length as u64)
}

/// The folder of staged files.
#[derive(Debug)]
pub(crate) struct StagedFolder {
    folder: PathBuf,
    next: AtomicU64,
    master: Option<Arc<MasterKeys>>,
}

/// What an encrypted staged file begins with; its wrapped key follows.
const SEALED_MAGIC: [u8; 8] = *b"FRstg\x001\n";
const SEALED_HEAD_BYTES: u64 = (SEALED_MAGIC.len() + WRAPPED_BYTES) as u64;

fn context(number: u64) -> Vec<u8> {
    [b"filmroom staged".as_slice(), &number.to_le_bytes()].concat()
}

impl StagedFolder {
    /// Opens or makes the folder. Numbers begin at `next`, above all that the log knows.
    pub(crate) fn new(folder: PathBuf, next: u64, master: Option<Arc<MasterKeys>>) -> Arc<Self> {
        Arc::new(Self {
            folder,
            next: AtomicU64::new(next),
            master,
        })
    }

    /// True where new instances are encrypted on their way in.
    pub(crate) fn is_sealing(&self) -> bool {
        self.master.is_some()
    }

    /// The Part 10 file of `length` bytes in a staged file. Blocks.
    pub(crate) fn part_10(&self, number: u64, length: u64) -> io::Result<SharedPart> {
        staged_part_10(&self.folder, number, length, self.master.as_deref())
    }

    /// True for a staged file that is encrypted. Blocks.
    pub(crate) fn is_sealed(&self, number: u64) -> io::Result<bool> {
        sealed_key(&File::open(staged_path(&self.folder, number))?).map(|key| key.is_some())
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

/// The wrapped key of an encrypted staged file.
fn sealed_key(file: &File) -> io::Result<Option<[u8; WRAPPED_BYTES]>> {
    let mut head = [0; SEALED_HEAD_BYTES as usize];
    match file.read_exact_at(&mut head, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    Ok(head
        .strip_prefix(&SEALED_MAGIC)
        .and_then(|wrapped| wrapped.try_into().ok()))
}

/// The Part 10 file of `length` bytes in a staged file. Blocks.
pub(crate) fn staged_part_10(
    folder: &Path,
    number: u64,
    length: u64,
    master: Option<&MasterKeys>,
) -> io::Result<SharedPart> {
    let file = File::open(staged_path(folder, number))?;
    let file_length = file.metadata()?.len();
    let wrapped = sealed_key(&file)?;
    let file = FileSection::new(file, 0, file_length);
    let Some(wrapped) = wrapped else {
        return Ok(SharedPart {
            whole: Arc::new(file),
            offset: STAGED_HEAD_BYTES as u64,
            length,
        });
    };
    let unreadable = |why: &dyn std::fmt::Display| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("staged file {number} cannot be read: {why}"),
        )
    };
    let master = master.ok_or_else(|| unreadable(&"it is encrypted, and there is no master key"))?;
    let key = master.unwrap_key(&wrapped, &context(number));
    let key = ChunkKey::new(&key.map_err(|error| unreadable(&error))?, length)?;
    Ok(SharedPart {
        whole: Arc::new(OpenedSource::new(Arc::new(file), SEALED_HEAD_BYTES, Arc::new(key))),
        offset: 0,
        length,
    })
}

/// A staged file that is being written.
#[derive(Debug)]
pub(crate) struct StagedWriter {
    file: StagedFile,
    written: u64,
    chunk: Vec<u8>,
    writing: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// Where the file is encrypted: its key, and the bytes of the Part 10 file that are sealed.
    sealing: Option<(Secret, u64)>,
}

/// A staged file. Removed when dropped, unless it is kept.
#[derive(Debug)]
pub(crate) struct StagedFile {
    pub(crate) number: u64,
    file: Arc<File>,
    path: PathBuf,
    folder: PathBuf,
    kept: AtomicBool,
    /// Where the data set begins in the file, or in the Part 10 file where it is encrypted, and its length.
    data_set: (u64, u64),
    /// The whole Part 10 file where it is encrypted, once all of it is written.
    opened: Option<Arc<OpenedSource>>,
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
            let begin = if folder.is_sealing() {
                0
            } else {
                STAGED_HEAD_BYTES as u64
            };
            let data_set = (begin + file_head.len() as u64, 0);
            let staged = StagedFile {
                number,
                file: Arc::new(file),
                path,
                folder: folder.folder.clone(),
                kept: AtomicBool::new(false),
                data_set,
                opened: None,
            };
            let mut writer = Self {
                file: staged,
                written: data_set.0 + so_far.as_ref().len() as u64,
                chunk: Vec::with_capacity(CHUNK_BYTES),
                writing: None,
                sealing: None,
            };
            let file = &writer.file.file;
            if let Some(master) = &folder.master {
                let key = Secret::random()?;
                let wrapped = wrap(master, &key, &context(number))?;
                file.write_all_at(&[SEALED_MAGIC.as_slice(), &wrapped].concat(), 0)?;
                writer.sealing = Some((key, 0));
                writer.written = SEALED_HEAD_BYTES;
                writer.seal_and_write(&[&file_head, so_far.as_ref()])?;
            } else {
                file.write_all_at(&file_head, STAGED_HEAD_BYTES as u64)?;
                file.write_all_at(so_far.as_ref(), data_set.0)?;
            }
            Ok(writer)
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
                self.flush_chunk(More::Follows).await?;
            }
        }
        Ok(())
    }

    /// Seals the first bytes at once, as far as they fill sealed chunks and more will follow; the rest waits.
    fn seal_and_write(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        for piece in pieces {
            self.chunk.extend_from_slice(piece);
        }
        let whole = self.chunk.len().saturating_sub(1) / SEALED_FROM * SEALED_FROM;
        let Some((key, sealed)) = &mut self.sealing else {
            return Ok(());
        };
        let rest = self.chunk.split_off(whole);
        let bytes = ChunkKey::growing(key)?.seal_more(*sealed, &self.chunk)?;
        *sealed += whole as u64;
        self.chunk = rest;
        self.file.file.write_all_at(&bytes, self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    async fn flush_chunk(&mut self, more: More) -> io::Result<()> {
        let spare = self.wait_for_chunk().await?;
        let mut chunk = std::mem::replace(&mut self.chunk, spare);
        let (file, offset) = (Arc::clone(&self.file.file), self.written);
        let mut seal = None;
        if let Some((key, sealed)) = &mut self.sealing {
            if more == More::Follows {
                // At least a byte stays for the chunk that will be the last.
                let whole = chunk.len().saturating_sub(1) / SEALED_FROM * SEALED_FROM;
                self.chunk.extend_from_slice(chunk.get(whole..).unwrap_or_default());
                chunk.truncate(whole);
            }
            let end = *sealed + chunk.len() as u64;
            let chunk_key = match more {
                More::Follows => ChunkKey::growing(key)?,
                More::Ends => ChunkKey::new(key, end)?,
            };
            seal = Some((chunk_key, *sealed));
            self.written += sealed_length_of_part(chunk.len());
            *sealed = end;
        } else {
            self.written += chunk.len() as u64;
        }
        let crosses = offset / SYNC_EVERY_BYTES != self.written / SYNC_EVERY_BYTES;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            match seal {
                Some((key, from)) => file.write_all_at(&key.seal_more(from, &chunk)?, offset)?,
                None => file.write_all_at(&chunk, offset)?,
            }
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
        self.flush_chunk(More::Ends).await?;
        self.wait_for_chunk().await?;
        let end = match &self.sealing {
            None => self.written,
            Some((key, end)) => {
                let file = FileSection::new(self.file.file.try_clone()?, 0, self.written);
                let key = ChunkKey::new(key, *end)?;
                let opened = OpenedSource::new(Arc::new(file), SEALED_HEAD_BYTES, Arc::new(key));
                self.file.opened = Some(Arc::new(opened));
                *end
            }
        };
        self.file.data_set.1 = end - self.file.data_set.0;
        Ok(self.file)
    }
}

impl StagedFile {
    /// Fills in the tar headers, where the file is not encrypted, and makes file and name durable. Blocks.
    pub(crate) fn make_durable(&self, member: &Member) -> io::Result<()> {
        if self.opened.is_some() {
            self.file.sync_all()?;
            return sync_folder(&self.folder);
        }
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

    /// The Part 10 file, where the staged file is encrypted and so no tar.
    pub(crate) fn opened(&self) -> Option<SharedPart> {
        self.opened.as_ref().map(|opened| SharedPart {
            whole: Arc::clone(opened) as Arc<dyn ReadAt>,
            offset: 0,
            length: opened.len(),
        })
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
        if let Some(opened) = &self.opened {
            return opened.read_at(self.data_set.0 + offset, wanted);
        }
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
