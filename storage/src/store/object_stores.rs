//! Which object store a data folder belongs to.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use super::{StoreError, StoreOptions, settle::from_objects};
use crate::{
    intake::{medium::sync_folder, space::Space},
    metrics::Counters,
    objects::{CachedObjects, LocalObjects, ObjectStore, S3Objects, S3Options},
};

/// The cache does not grow when less than this would be left above the minimum of free space.
const CACHE_LEAVES_BYTES: u64 = 256 << 20;

/// Where settled instances lie.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ObjectsEngine {
    /// In `objects/` of the data folder.
    #[default]
    Local,
    /// In a bucket.
    S3(Box<S3Options>),
}

impl ObjectsEngine {
    /// What tells this place from another. The endpoint may change its name, the bucket may not.
    fn place(&self) -> String {
        match self {
            Self::Local => "local".into(),
            Self::S3(options) => {
                let prefix = options.prefix.trim_matches('/');
                format!("s3 {} {prefix}", options.bucket).trim_end().to_owned()
            }
        }
    }
}

/// Opens the store of the objects. Blocks.
pub(super) fn open(
    options: &StoreOptions,
    runtime: &tokio::runtime::Handle,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    check_place(&options.data, &options.objects.place())?;
    Ok(match &options.objects {
        ObjectsEngine::Local => Arc::new(LocalObjects::open(options.data.join("objects"))?),
        ObjectsEngine::S3(s3) => {
            let opened = runtime.block_on(S3Objects::open((**s3).clone()));
            Arc::new(opened.map_err(from_store)?)
        }
    })
}

/// The store with a cache before it, where it is not on this machine.
pub(super) fn cached(
    options: &StoreOptions,
    stored: &Arc<dyn ObjectStore>,
    space: &Arc<Space>,
    counters: &Counters,
) -> Result<Arc<dyn ObjectStore>, StoreError> {
    if options.objects == ObjectsEngine::Local || options.cache_bytes == 0 {
        return Ok(Arc::clone(stored));
    }
    let space = Arc::clone(space);
    let cached = CachedObjects::open(
        Arc::clone(stored),
        &options.data.join("cache"),
        options.cache_bytes,
        Arc::clone(&counters.cache),
        // The cache makes no instance wait for room.
        move || space.check(CACHE_LEAVES_BYTES).is_ok(),
    )?;
    Ok(Arc::new(cached))
}

/// Reaches the object store of these options and lists what is in it, without opening the data folder.
///
/// # Errors
/// [`StoreError::Objects`] with what to do.
pub async fn check_objects(options: &StoreOptions) -> Result<(), StoreError> {
    if let ObjectsEngine::S3(s3) = &options.objects {
        let objects = S3Objects::open((**s3).clone()).await.map_err(from_store)?;
        objects.list("", None, 1).await.map_err(from_store)?;
    }
    Ok(())
}

/// The sentence of a store that is opened stands for itself.
fn from_store(error: crate::objects::ObjectError) -> StoreError {
    match error {
        crate::objects::ObjectError::Remote(why) => StoreError::Objects(why),
        other => from_objects(other),
    }
}

/// An index that points into one store must not be opened with another: every instance would seem lost.
fn check_place(data: &Path, wanted: &str) -> Result<(), StoreError> {
    let path = data.join("objects.place");
    let known = match fs::read_to_string(&path) {
        Ok(place) => Some(place.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let has_packs = data.join("objects").join("studies").exists();
            has_packs.then(|| "local".to_owned())
        }
        Err(error) => return Err(error.into()),
    };
    match known {
        Some(known) if known == wanted => Ok(()),
        Some(known) => Err(StoreError::Unavailable(format!(
            "the objects of {} are in \"{known}\", and the settings say \"{wanted}\": set objects.engine and objects.s3 back, or \
             copy all objects there first and remove {}",
            data.display(),
            path.display()
        ))),
        None => {
            let mut file = File::create(&path)?;
            writeln!(file, "{wanted}")?;
            file.sync_all()?;
            Ok(sync_folder(data)?)
        }
    }
}
