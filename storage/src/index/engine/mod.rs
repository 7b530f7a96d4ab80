//! What the index needs of an embedded engine: an ordered map of bytes that takes batches.

mod fjall;
mod gathering;
mod memory;
mod sealed;
mod sled;

pub use self::{
    fjall::FjallEngine, gathering::GatheringEngine, memory::MemoryEngine, sealed::SealedEngine, sled::SledEngine,
};

use std::{collections::HashMap, ops::ControlFlow, path::Path, sync::Arc};

use super::IndexError;

/// Which embedded engine the index is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Default)]
pub enum EngineKind {
    /// sled 0.34.
    #[default]
    Sled,
    /// fjall 3.
    Fjall,
}

impl EngineKind {
    /// All engines.
    pub const ALL: [Self; 2] = [Self::Sled, Self::Fjall];

    /// Its name in settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Fjall => "fjall",
        }
    }

    /// Opens or makes an index in `folder`, with `cache_bytes` of memory for its cache.
    ///
    /// # Errors
    /// [`IndexError::InUse`] while it is open already; [`IndexError::Engine`] when it does not open.
    pub fn open(self, folder: &Path, cache_bytes: u64) -> Result<Arc<dyn Engine>, IndexError> {
        Ok(match self {
            Self::Sled => Arc::new(SledEngine::open(folder, cache_bytes)?),
            Self::Fjall => Arc::new(FjallEngine::open(folder, cache_bytes)?),
        })
    }
}

/// Rows to write: a value, or `None` to remove the key. A later entry for a key wins.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) rows: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Batch {
    /// Sets a row.
    pub fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.rows.push((key, Some(value)));
    }

    /// Removes a row.
    pub fn remove(&mut self, key: Vec<u8>) {
        self.rows.push((key, None));
    }

    /// The last row of each key, in no order.
    fn last_of_each(self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
        let mut last: HashMap<Vec<u8>, Option<Vec<u8>>> = HashMap::with_capacity(self.rows.len());
        last.extend(self.rows);
        last.into_iter()
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Called with key and value of each row; says whether to go on.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// An ordered map of bytes.
///
/// Contract: [`Engine::apply`] is atomic, also across a crash: after it either all rows of a batch are there or none, and a
/// batch is there only if all batches before it are. What was applied is seen by the next read. What was applied before
/// [`Engine::flush`] returned is on stable storage.
pub trait Engine: Send + Sync {
    /// One row.
    ///
    /// # Errors
    /// [`IndexError::Engine`].
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;

    /// Visits the rows from `from` (included) to `to` (left out; `None` is the end) in ascending order of key; rows whose keys
    /// hold a patient's name may come in another order.
    ///
    /// # Errors
    /// [`IndexError::Engine`].
    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), IndexError>;

    /// Writes a batch.
    ///
    /// # Errors
    /// [`IndexError::Engine`]: none of it was written.
    fn apply(&self, batch: Batch) -> Result<(), IndexError>;

    /// Brings all that was applied to stable storage.
    ///
    /// # Errors
    /// [`IndexError::Engine`].
    fn flush(&self) -> Result<(), IndexError>;

    /// Takes the engine up again after a write or a flush failed, from what is on stable storage: what was applied since
    /// the last flush may be there or not, and nothing may be assumed of it. Reads wait meanwhile.
    ///
    /// # Errors
    /// [`IndexError::Engine`]: it is to be tried again.
    fn recover(&self) -> Result<(), IndexError>;

    /// Writes all rows to a place of their own and goes on there: no trace is left of rows that are gone. Nobody applies
    /// anything meanwhile.
    ///
    /// # Errors
    /// [`IndexError::Engine`]: all is as it was.
    fn rewrite(&self) -> Result<(), IndexError>;
}
