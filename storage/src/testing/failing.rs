//! An index that cannot be written while a test says so.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::index::{
    IndexError,
    engine::{Batch, Engine, Visit},
};

static SWITCHES: Mutex<Option<HashMap<PathBuf, Arc<AtomicBool>>>> = Mutex::new(None);

/// What makes the index of a data folder fail.
pub(crate) fn switch(data: &Path) -> Arc<AtomicBool> {
    let mut switches = SWITCHES.lock().unwrap();
    let switches = switches.get_or_insert_default();
    Arc::clone(switches.entry(data.to_owned()).or_default())
}

pub(crate) fn wrap(inner: Arc<dyn Engine>, data: &Path) -> Arc<dyn Engine> {
    Arc::new(Failing {
        inner,
        fails: switch(data),
    })
}

struct Failing {
    inner: Arc<dyn Engine>,
    fails: Arc<AtomicBool>,
}

impl Failing {
    fn check(&self) -> Result<(), IndexError> {
        if self.fails.load(Ordering::SeqCst) {
            return Err(IndexError::Engine("no space is left on the device".into()));
        }
        Ok(())
    }
}

impl Engine for Failing {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.inner.get(key)
    }

    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), IndexError> {
        self.inner.scan(from, to, visit)
    }

    fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        self.check()?;
        self.inner.apply(batch)
    }

    fn flush(&self) -> Result<(), IndexError> {
        self.check()?;
        self.inner.flush()
    }

    fn recover(&self) -> Result<(), IndexError> {
        self.check()?;
        self.inner.recover()
    }

    fn rewrite(&self) -> Result<(), IndexError> {
        self.inner.rewrite()
    }
}
