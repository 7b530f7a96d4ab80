//! An engine that forgets: the model that others are tested against.

use std::{collections::BTreeMap, ops::Bound, sync::RwLock};

use super::{Batch, Engine, IndexError, Visit};

/// Rows in memory.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    rows: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

fn poisoned<T>(_: T) -> IndexError {
    IndexError::Engine("a thread panicked while it wrote".into())
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        Ok(self.rows.read().map_err(poisoned)?.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), IndexError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(());
        }
        let rows = self.rows.read().map_err(poisoned)?;
        let to = to.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, value) in rows.range::<[u8], _>((Bound::Included(from), to)) {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        let mut rows = self.rows.write().map_err(poisoned)?;
        for (key, value) in batch.rows {
            match value {
                Some(value) => rows.insert(key, value),
                None => rows.remove(&key),
            };
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }

    fn recover(&self) -> Result<(), IndexError> {
        Ok(())
    }

    fn rewrite(&self) -> Result<(), IndexError> {
        Ok(())
    }
}
