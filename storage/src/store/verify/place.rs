//! How far a verification was when it was stopped: a file of the data folder, sealed where the archive is encrypted, since it
//! names objects and instances.

use std::{
    fs,
    io::{self, Write},
};

use serde::{Serialize, de::DeserializeOwned};

use super::{VerifyPosition, VerifyReport};
use crate::{
    intake::medium::sync_folder,
    store::{Inner, Store},
};

/// Where `filmroom verify` goes on.
const VERIFY: &str = "verify.json";

impl Inner {
    /// What was written down under a name. What does not read is none: it is no more than a place to go on from.
    pub(super) fn read_place<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let bytes = fs::read(self.options.data.join(name)).ok()?;
        let opened = self.state.open_either(name, bytes);
        match opened.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string())) {
            Ok(place) => Some(place),
            Err(why) => {
                tracing::warn!(name, why, "how far a verification was does not read; it begins anew");
                None
            }
        }
    }

    pub(super) fn write_place<T: Serialize>(&self, name: &str, place: &T) -> io::Result<()> {
        let path = self.options.data.join(name);
        let new = path.with_extension("new");
        let mut file = fs::File::create(&new)?;
        file.write_all(&self.state.seal(name, serde_json::to_vec_pretty(place)?)?)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        sync_folder(&self.options.data)
    }
}

impl Store {
    /// Where a verification that was stopped goes on.
    #[must_use]
    pub fn stopped_verification(&self) -> Option<VerifyReport> {
        let report: VerifyReport = self.inner.read_place(VERIFY)?;
        (report.position != VerifyPosition::End).then_some(report)
    }

    /// Writes down how far a verification is.
    ///
    /// # Errors
    /// What the file system says: it costs no more than reading again.
    pub fn remember_verification(&self, report: &VerifyReport) -> io::Result<()> {
        self.inner.write_place(VERIFY, report)
    }

    /// The verification came to its end.
    ///
    /// # Errors
    /// What the file system says.
    pub fn forget_verification(&self) -> io::Result<()> {
        match fs::remove_file(self.inner.options.data.join(VERIFY)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
