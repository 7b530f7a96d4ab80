//! Certificates and keys from files, read again when the files change.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::TlsError;

/// Longest file, in bytes: bundles of every public authority have 250 kB.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Reads the certificates of a PEM file, one at least.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = read(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|error| wrong(path, &error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong(path, "there is no certificate in it (PEM)"));
    }
    Ok(certificates)
}

/// Reads the private key of a PEM file.
pub(super) fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|error| {
        wrong(
            path,
            &format!("there is no unencrypted private key in it (PEM): {error}"),
        )
    })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let length = fs::metadata(path)
        .map_err(|error| wrong(path, &error.to_string()))?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(wrong(path, &format!("{length} bytes are too many")));
    }
    fs::read(path).map_err(|error| wrong(path, &error.to_string()))
}

fn wrong(path: &Path, why: &str) -> TlsError {
    TlsError::File {
        path: path.to_owned(),
        why: why.to_owned(),
    }
}

/// What tells one state of a file from another without reading it; `None` when it is not there.
type Stamp = Option<(i64, i64, u64, u64)>;

fn stamp(path: &Path) -> Stamp {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.mtime(), metadata.mtime_nsec(), metadata.size(), metadata.ino()))
}

/// Something made of files, made again when they change. While the new files do not do, the old thing stays.
pub(super) struct Reloaded<T> {
    paths: Vec<PathBuf>,
    current: Mutex<(Vec<Stamp>, Arc<T>)>,
}

impl<T> Reloaded<T> {
    pub(super) fn new(paths: Vec<PathBuf>, first: impl FnOnce() -> Result<T, TlsError>) -> Result<Self, TlsError> {
        let stamps = paths.iter().map(|path| stamp(path)).collect();
        let current = Mutex::new((stamps, Arc::new(first()?)));
        Ok(Self { paths, current })
    }

    /// The thing as the files are now.
    pub(super) fn get(&self, again: impl FnOnce() -> Result<T, TlsError>) -> Arc<T> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let stamps: Vec<Stamp> = self.paths.iter().map(|path| stamp(path)).collect();
        if stamps != current.0 {
            match again() {
                Ok(thing) => {
                    tracing::info!("certificates were read again");
                    current.1 = Arc::new(thing);
                }
                // Certificate and key are replaced one after the other: the next change brings the other.
                Err(error) => tracing::warn!(%error, "changed certificates cannot be used; those before stay"),
            }
            current.0 = stamps;
        }
        current.1.clone()
    }
}
