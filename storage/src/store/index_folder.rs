//! The index on the disk: opened, and made anew where it cannot be relied on.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use time::OffsetDateTime;
use tokio::runtime::Handle;

use super::{
    Describer, StoreError,
    rebuild::{Rebuild, RebuildReport},
    settle::from_objects,
};
use crate::{
    encryption::Secret,
    index::{
        Catalog, CatalogWriter, IndexError,
        engine::{Engine, EngineKind, GatheringEngine, SealedEngine},
    },
    intake::medium::sync_folder,
    model::SopInstanceUid,
    objects::ObjectStore,
};

/// Stands behind the name of an engine whose rows are encrypted.
const ENCRYPTED: &str = " encrypted";

/// The open index.
pub(super) struct OpenIndex {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) writer: CatalogWriter,
    /// What was found, if it was made anew.
    pub(super) rebuilt: Option<RebuildReport>,
}

/// Whether the index is made anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Only where it cannot be relied on.
    IfNeeded,
    /// In any case.
    Always,
}

/// The folder of the index, and what it can be made from.
pub(super) struct IndexFolder<'a> {
    pub(super) data: &'a Path,
    pub(super) engine: EngineKind,
    pub(super) cache_bytes: u64,
    /// The key of its rows, where the archive is encrypted.
    pub(super) key: Option<Secret>,
    /// The batch that the index must have reached.
    pub(super) mark: u64,
    pub(super) objects: &'a Arc<dyn ObjectStore>,
    pub(super) runtime: &'a Handle,
    pub(super) describer: &'a dyn Describer,
    /// What was destroyed, by decision.
    pub(super) tombstones: &'a [(u64, Vec<SopInstanceUid>)],
}

impl IndexFolder<'_> {
    fn path(&self) -> PathBuf {
        self.data.join("index")
    }

    /// Stands as long as a rebuild has not come to its end.
    fn unfinished(&self) -> PathBuf {
        self.data.join("index.unfinished")
    }

    /// Says, beside the index, what it is.
    fn made_by(&self) -> PathBuf {
        self.data.join("index.made-by")
    }

    /// What the index is to be.
    fn make(&self) -> String {
        let suffix = if self.key.is_some() { ENCRYPTED } else { "" };
        format!("{}{suffix}", self.engine.name())
    }

    /// What it is; `None` when there is none.
    fn made(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(self.made_by()) {
            Ok(made) => Ok(Some(made.trim().to_owned())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            // Before there was a choice.
            Err(_) => match fs::read_dir(self.path()) {
                Ok(mut entries) => Ok(entries.next().map(|_| EngineKind::Sled.name().to_owned())),
                Err(_) => Ok(None),
            },
        }
    }

    fn made_otherwise(&self) -> io::Result<Option<String>> {
        Ok(self.made()?.filter(|made| *made != self.make()))
    }

    fn say_make(&self) -> io::Result<()> {
        if fs::read_to_string(self.made_by()).is_ok_and(|made| made.trim() == self.make()) {
            return Ok(());
        }
        let new = self.made_by().with_extension("new");
        fs::write(&new, self.make() + "\n")?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, self.made_by())?;
        sync_folder(self.data)
    }

    /// Opens the index. One that does not open, or lacks what it is known to have had, is put aside and made anew.
    pub(super) fn open(
        &self,
        when: When,
        progress: &mut (dyn FnMut(&RebuildReport) + Send),
    ) -> Result<OpenIndex, StoreError> {
        let doubt = if when == When::Always {
            "it was asked for".to_owned()
        } else if self.unfinished().exists() {
            "making it anew was cut short".to_owned()
        } else if let Some(made) = self.made_otherwise()? {
            format!("it is {made}, and {} is wanted", self.make())
        } else {
            match self.open_engine() {
                Ok(index) => match self.doubt(&index.writer)? {
                    None => {
                        self.say_make()?;
                        return Ok(index);
                    }
                    Some(doubt) => doubt,
                },
                Err(error @ IndexError::InUse(_)) => return Err(error.into()),
                Err(error) => error.to_string(),
            }
        };
        tracing::warn!(reason = doubt, "makes the index anew from the packs");
        self.rebuild(progress)
    }

    /// Why an index that opened is not to be relied on.
    fn doubt(&self, writer: &CatalogWriter) -> Result<Option<String>, StoreError> {
        if writer.generation() < self.mark {
            let (has, needs) = (writer.generation(), self.mark);
            return Ok(Some(format!(
                "the index has come back with batch {has} and had reached {needs}"
            )));
        }
        if writer.generation() == 0 {
            let any = self
                .runtime
                .block_on(self.objects.list("studies/", None, 1))
                .map_err(from_objects)?;
            return Ok((!any.is_empty()).then(|| "the index is empty, and there are packs".to_owned()));
        }
        Ok(None)
    }

    fn open_engine(&self) -> Result<OpenIndex, IndexError> {
        let engine = self.engine.open(&self.path(), self.cache_bytes)?;
        #[cfg(test)]
        let engine = crate::testing::failing::wrap(engine, self.data);
        let engine: Arc<dyn Engine> = match &self.key {
            Some(key) => Arc::new(SealedEngine::new(engine, key)?),
            None => engine,
        };
        let engine: Arc<dyn Engine> = Arc::new(GatheringEngine::new(engine)?);
        let catalog = Arc::new(Catalog::open(Arc::clone(&engine))?);
        let writer = CatalogWriter::new(Arc::clone(&catalog))?;
        Ok(OpenIndex {
            engine,
            catalog,
            writer,
            rebuilt: None,
        })
    }

    fn rebuild(&self, progress: &mut (dyn FnMut(&RebuildReport) + Send)) -> Result<OpenIndex, StoreError> {
        self.put_aside()?;
        let mut index = self.open_engine()?;
        let rebuild = Rebuild {
            objects: self.objects,
            runtime: self.runtime,
            describer: self.describer,
            catalog: &index.catalog,
            writer: &mut index.writer,
            tombstones: self.tombstones,
            progress,
        };
        index.rebuilt = Some(rebuild.run()?);
        index.writer.raise_generation(self.mark)?;
        index.engine.flush()?;
        self.say_make()?;
        remove_if_there(&self.unfinished())?;
        sync_folder(self.data)?;
        Ok(index)
    }

    /// Moves the index away. The latest one is kept for whoever wants to know what was wrong with it.
    fn put_aside(&self) -> Result<(), StoreError> {
        fs::write(self.unfinished(), b"")?;
        sync_folder(self.data)?;
        let is_empty = match fs::read_dir(self.path()) {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => true,
        };
        if is_empty {
            return Ok(());
        }
        remove_aside(self.data)?;
        if self.key.is_some() && !self.made()?.is_some_and(|made| made.ends_with(ENCRYPTED)) {
            // What it shows of patients is not to stay.
            fs::remove_dir_all(self.path())?;
            fs::create_dir_all(self.path())?;
            return Ok(sync_folder(self.data)?);
        }
        let aside = format!("index.aside-{}", OffsetDateTime::now_utc().unix_timestamp());
        fs::rename(self.path(), self.data.join(aside))?;
        fs::create_dir_all(self.path())?;
        Ok(sync_folder(self.data)?)
    }
}

/// Removes the index that was put aside last.
pub(super) fn remove_aside(data: &Path) -> io::Result<()> {
    for entry in fs::read_dir(data)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("index.aside-") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
