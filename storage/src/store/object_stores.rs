//! Which object store a data folder belongs to.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use super::{StoreError, StoreOptions, encryption::Sealing, settle::from_objects};
use crate::{
    intake::{medium::sync_folder, space::Space},
    metrics::Counters,
    objects::{CachedObjects, LateObjects, LocalObjects, ObjectStore, S3Objects, S3Options, encrypted::is_encrypted},
    state::StatePlace,
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

/// The second store, where one is wanted. A bucket is opened when it is there.
pub(super) fn replica(
    options: &StoreOptions,
    runtime: &tokio::runtime::Handle,
) -> Result<Option<Arc<dyn ObjectStore>>, StoreError> {
    if let Some(folder) = &options.replica {
        return Ok(Some(Arc::new(LocalObjects::open(folder.clone())?)));
    }
    let Some(s3) = options.replica_s3.clone() else {
        return Ok(None);
    };
    let late = Arc::new(LateObjects::new(Box::new(move || {
        let s3 = (*s3).clone();
        Box::pin(async move {
            let opened = S3Objects::open(s3).await;
            opened.map(|objects| Arc::new(objects) as Arc<dyn ObjectStore>)
        })
    })));
    let first = Arc::clone(&late);
    runtime.spawn(async move {
        if let Err(error) = first.list("", None, 1).await {
            tracing::error!(%error, "the replica cannot be reached; it catches up when it can be");
        }
    });
    Ok(Some(late))
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
    if let Some(s3) = &options.replica_s3 {
        let in_replica = |error| match from_store(error) {
            StoreError::Objects(why) => StoreError::Objects(format!("the replica (replica.s3): {why}")),
            other => other,
        };
        let objects = S3Objects::open((**s3).clone()).await.map_err(in_replica)?;
        objects.list("", None, 1).await.map_err(in_replica)?;
    }
    Ok(())
}

/// Why the place of small state is wanted, by one who does not open the whole store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateAccess {
    /// To read; another process may have the data folder.
    Look,
    /// To write; this process has the lock of the data folder.
    Change,
}

/// Where small state lies, without opening the store. What seals it where the archive is encrypted follows from the archive's
/// key, which lies in the object store.
///
/// # Errors
/// [`StoreError::Keys`] when the master keys are not those of the store; [`StoreError`] when the object store fails.
pub async fn state_place(options: &StoreOptions, access: StateAccess) -> Result<StatePlace, StoreError> {
    let plain = StatePlace::from(&options.data);
    let Some(encryption) = options.encryption.as_ref() else {
        return Ok(plain);
    };
    let objects: Arc<dyn ObjectStore> = match &options.objects {
        ObjectsEngine::Local if access == StateAccess::Look => {
            Arc::new(LocalObjects::beside(options.data.join("objects")))
        }
        ObjectsEngine::Local => Arc::new(LocalObjects::open(options.data.join("objects"))?),
        ObjectsEngine::S3(s3) => Arc::new(S3Objects::open((**s3).clone()).await.map_err(from_store)?),
    };
    if access == StateAccess::Look && !is_encrypted(objects.as_ref()).await.map_err(from_objects)? {
        // Nothing has been sealed yet.
        return Ok(plain);
    }
    let encryption = encryption.clone();
    let data = options.data.clone();
    let runtime = tokio::runtime::Handle::current();
    let opened = tokio::task::spawn_blocking(move || {
        let sealing = Sealing::open(&objects, Some(&encryption), &runtime)?;
        let keys = sealing.local_keys(&runtime)?;
        Ok(StatePlace::new(&data, keys.state.as_ref()).map_err(io::Error::from)?)
    });
    opened.await.map_err(io::Error::other)?
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
