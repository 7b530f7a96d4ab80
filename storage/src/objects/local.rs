//! Objects as files of a local folder.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, IoSliceMut, Read},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::{
    fs::{CWD, Mode, OFlags, ResolveFlags},
    io::ReadWriteFlags,
};

use super::{Body, ObjectError, ObjectName, ObjectStore};
use crate::{
    buffers::Buffer,
    direct::{self, Blocks},
    intake::medium::sync_folder,
    source::ReadAt,
};

/// Objects under way lie here, and are swept when the store opens.
const UNDER_WAY: &str = ".put";
/// Written bytes go to the device in portions of this size, so that a large object holds nobody else up at its end.
const SYNC_EVERY_BYTES: u64 = 8 << 20;
const COPY_BYTES: usize = 128 << 10;
/// Objects from this length on are written, and read back, past the system's cache.
const DIRECT_FROM_BYTES: u64 = 128 << 10;
/// Scratches that lie ready at most.
const SCRATCH_MAX: usize = 2;
/// Shorter pieces are put together before they are written: a call to the system costs more than they do.
const TOGETHER_BELOW_BYTES: u64 = 64 << 10;

/// Objects as files of a local folder; durable by `fsync` of file and folder, atomic by `rename`.
#[derive(Debug, Clone)]
pub struct LocalObjects {
    folder: Arc<Folder>,
}

#[derive(Debug)]
struct Folder {
    root: PathBuf,
    next: AtomicU64,
    /// What lies ready for the next object.
    scratch: Mutex<Vec<Scratch>>,
}

/// Memory for direct reads and writes of one object.
struct Scratch {
    blocks: Blocks,
    reader: direct::Reader,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch")
    }
}

impl LocalObjects {
    /// Opens or makes the folder and sweeps what a crash left half written.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(root: PathBuf) -> io::Result<Self> {
        let under_way = root.join(UNDER_WAY);
        fs::create_dir_all(&under_way)?;
        for entry in fs::read_dir(&under_way)? {
            fs::remove_file(entry?.path())?;
        }
        Ok(Self::beside(root))
    }

    /// The same without sweeping: another process may have the folder, and what it has half written.
    pub(crate) fn beside(root: PathBuf) -> Self {
        Self {
            folder: Arc::new(Folder {
                root,
                next: AtomicU64::new(0),
                scratch: Mutex::default(),
            }),
        }
    }
}

impl Folder {
    fn with_scratch<T>(&self, work: impl FnOnce(&mut Scratch) -> T) -> T {
        let pool = || self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = pool().pop();
        let mut scratch = taken.unwrap_or_else(|| Scratch {
            blocks: Blocks::new(direct::CALL_BYTES),
            reader: direct::Reader::new(),
        });
        let done = work(&mut scratch);
        let mut pool = pool();
        if pool.len() < SCRATCH_MAX {
            pool.push(scratch);
        }
        done
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn new_path(&self) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.root.join(UNDER_WAY).join(number.to_string())
    }

    /// Moves a whole object to its name and makes the name durable.
    fn publish(&self, from: &Path, name: &ObjectName) -> io::Result<()> {
        let target = self.path(name);
        let folder = target.parent().unwrap_or(&self.root);
        create_folders(&self.root, folder)?;
        fs::rename(from, &target)?;
        sync_folder(folder)
    }
}

/// Makes the folders down to `folder`, each name durable.
fn create_folders(root: &Path, folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent().filter(|_| folder != root) else {
        return fs::create_dir_all(folder);
    };
    create_folders(root, parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_folder(parent),
    }
}

/// Writes an object. What is large goes past the system's cache: then also what is read back comes from the device.
fn write_body(folder: &Folder, path: &Path, body: &Body) -> io::Result<()> {
    if body.len() < DIRECT_FROM_BYTES {
        return write_cached(path, body);
    }
    let opened = direct::open(path, OpenOptions::new().write(true).create_new(true));
    // A file system that takes no direct writes says so here, or with the first of them.
    let written = opened.and_then(|file| folder.with_scratch(|scratch| write_direct(file, body, scratch)));
    match written {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            write_cached(path, body)
        }
        written => written,
    }
}

fn write_direct(file: File, body: &Body, scratch: &mut Scratch) -> io::Result<()> {
    let Scratch { blocks, reader } = scratch;
    let mut writer = direct::Writer::new(file, blocks);
    let pieces: Vec<&dyn ReadAt> = body.pieces().iter().map(AsRef::as_ref).collect();
    reader.read_pieces(&pieces, |_, bytes| writer.write(bytes))?;
    writer.end()
}

fn write_cached(path: &Path, body: &Body) -> io::Result<()> {
    let file = OpenOptions::new().write(true).create_new(true).open(path)?;
    let (mut written, mut synced) = (0, 0);
    let mut small = Vec::new();
    for piece in body.pieces() {
        let mut from = 0;
        if piece.len() < TOGETHER_BELOW_BYTES {
            read_all(piece.as_ref(), &mut small)?;
            from = piece.len();
        }
        if small.len() >= COPY_BYTES || (from < piece.len() && !small.is_empty()) {
            file.write_all_at(&small, written)?;
            written += small.len() as u64;
            small.clear();
            if written - synced >= SYNC_EVERY_BYTES {
                file.sync_data()?;
                synced = written;
            }
        }
        while from < piece.len() {
            let portion = (piece.len() - from).min(SYNC_EVERY_BYTES);
            copy(piece.as_ref(), from, portion, &file, written)?;
            from += portion;
            written += portion;
            if written - synced >= SYNC_EVERY_BYTES {
                file.sync_data()?;
                synced = written;
            }
        }
    }
    file.write_all_at(&small, written)?;
    file.sync_all()
}

fn read_all(source: &dyn ReadAt, into: &mut Vec<u8>) -> io::Result<()> {
    let mut from = 0;
    while from < source.len() {
        let piece = source.read_at(from, COPY_BYTES)?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        into.extend_from_slice(&piece);
        from += piece.len() as u64;
    }
    Ok(())
}

/// Copies within the kernel where both ends are files.
fn copy(source: &dyn ReadAt, from: u64, length: u64, file: &File, to: u64) -> io::Result<()> {
    let mut done = 0;
    if let Some((source_file, start)) = source.as_file() {
        while done < length {
            let (mut from, mut to) = (start + from + done, to + done);
            let wanted = usize::try_from(length - done).unwrap_or(usize::MAX);
            match rustix::fs::copy_file_range(source_file, Some(&mut from), file, Some(&mut to), wanted) {
                Ok(copied) if copied > 0 => done += copied as u64,
                // An end that came too early, or file systems that cannot: reading tells.
                _ => break,
            }
        }
    }
    while done < length {
        let wanted = usize::try_from(length - done).unwrap_or(usize::MAX).min(COPY_BYTES);
        let piece = source.read_at(from + done, wanted)?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(&piece, to + done)?;
        done += piece.len() as u64;
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn missing(name: &ObjectName) -> impl Fn(io::Error) -> ObjectError + use<> {
    let name = name.clone();
    move |error| {
        if error.kind() == io::ErrorKind::NotFound {
            ObjectError::Missing(name.clone())
        } else {
            error.into()
        }
    }
}

#[async_trait]
impl ObjectStore for LocalObjects {
    async fn put(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        let (store, name) = (Arc::clone(&self.folder), name.clone());
        blocking(move || {
            let path = store.new_path();
            let put = write_body(&store, &path, &body).and_then(|()| store.publish(&path, &name));
            if put.is_err() {
                // Room is what is short now: the rest is not left lying.
                let _ = fs::remove_file(&path);
            }
            Ok(put?)
        })
        .await
    }

    async fn put_file(&self, name: &ObjectName, path: &Path) -> Result<(), ObjectError> {
        let (store, name, path) = (Arc::clone(&self.folder), name.clone(), path.to_owned());
        blocking(move || {
            let link = store.new_path();
            if fs::hard_link(&path, &link).is_err() {
                // Another file system, or one without links.
                fs::copy(&path, &link)?;
                File::open(&link)?.sync_all()?;
            }
            let published = store.publish(&link, &name);
            // Renaming one link over another of the same file does nothing, not even away with the first.
            let _ = fs::remove_file(&link);
            Ok(published?)
        })
        .await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        let (path, missing) = (self.folder.path(name), missing(name));
        blocking(move || {
            let file = File::open(path).map_err(missing)?;
            let end = range.end.min(file.metadata()?.len());
            let length = usize::try_from(end.saturating_sub(range.start)).map_err(io::Error::other)?;
            let mut buffer = Buffer::new(length);
            file.read_exact_at(buffer.bytes_mut(), range.start)?;
            Ok(buffer.freeze(length))
        })
        .await
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError> {
        let path = self.folder.path(name);
        blocking(move || match fs::metadata(path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        })
        .await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        let (store, prefix) = (Arc::clone(&self.folder), prefix.to_owned());
        let after = after.map(|name| name.as_str().to_owned()).unwrap_or_default();
        blocking(move || Ok(list(&store.root, &prefix, &after, limit)?)).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        let path = self.folder.path(name);
        blocking(move || {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            }
            Ok(path.parent().map_or(Ok(()), sync_folder)?)
        })
        .await
    }

    async fn crc32(&self, name: &ObjectName) -> Result<u32, ObjectError> {
        let (store, name) = (Arc::clone(&self.folder), name.clone());
        blocking(move || {
            let (path, missing) = (store.path(&name), missing(&name));
            let mut file = File::open(&path).map_err(missing)?;
            if file.metadata()?.len() >= DIRECT_FROM_BYTES
                && let Ok(direct) = direct::open(&path, OpenOptions::new().read(true))
            {
                let mut hasher = crc32fast::Hasher::new();
                let read = store.with_scratch(|scratch| {
                    direct::read_all(&direct, &mut scratch.blocks, |bytes| hasher.update(bytes))
                });
                match read {
                    Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                    read => return Ok(read.map(|()| hasher.finalize())?),
                }
            }
            let mut hasher = crc32fast::Hasher::new();
            // Small enough to stay in the processor's cache.
            let mut buffer = vec![0; COPY_BYTES];
            loop {
                let read = file.read(&mut buffer)?;
                if read == 0 {
                    return Ok(hasher.finalize());
                }
                hasher.update(buffer.get(..read).unwrap_or_default());
            }
        })
        .await
    }

    fn get_range_at_once(&self, name: &ObjectName, range: Range<u64>) -> Option<Bytes> {
        read_cached(&self.folder.path(name), range).ok()
    }

    fn local_file(&self, name: &ObjectName) -> Option<Result<File, ObjectError>> {
        Some(File::open(self.folder.path(name)).map_err(missing(name)))
    }
}

/// Reads a range that the system has in memory, file name and all; an error when it would have to wait for the disk, when
/// the range is not whole, or when the system cannot tell.
fn read_cached(path: &Path, range: Range<u64>) -> io::Result<Bytes> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED)?;
    let mut buffer = Buffer::new(length);
    let into = &mut [IoSliceMut::new(buffer.bytes_mut())];
    let read = rustix::io::preadv2(&file, into, range.start, ReadWriteFlags::NOWAIT)?;
    if read < length {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    Ok(buffer.freeze(length))
}

/// Walks the folders in the order of whole names, leaving out those that hold nothing wanted.
fn list(root: &Path, prefix: &str, after: &str, limit: usize) -> io::Result<Vec<(ObjectName, u64)>> {
    let mut found = Vec::new();
    let mut ahead = entries(root, "")?;
    while let Some((name, is_folder)) = ahead.pop() {
        if found.len() >= limit {
            break;
        }
        if is_folder {
            let holds_prefix = name.starts_with(prefix) || prefix.starts_with(&name);
            let is_behind = !after.starts_with(&name) && name.as_str() < after;
            if holds_prefix && !is_behind {
                ahead.extend(entries(root, &name)?);
            }
        } else if name.starts_with(prefix)
            && name.as_str() > after
            && let Some(object) = ObjectName::new(&name)
        {
            match fs::metadata(root.join(&name)) {
                Ok(metadata) => found.push((object, metadata.len())),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

/// The entries of a folder, folders with `/` at the end, last name first.
fn entries(root: &Path, folder: &str) -> io::Result<Vec<(String, bool)>> {
    let mut names = Vec::new();
    let reading = match fs::read_dir(root.join(folder)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
        other => other?,
    };
    for entry in reading {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if name.starts_with('.') {
            continue;
        }
        let is_folder = entry.file_type()?.is_dir();
        names.push((format!("{folder}{name}{}", if is_folder { "/" } else { "" }), is_folder));
    }
    names.sort_unstable_by(|a, b| b.cmp(a));
    Ok(names)
}
