//! `filmroom encrypt`.

use std::{
    fs,
    time::{Duration, Instant},
};

use clap::Args;
use filmroom_storage::store::EncryptedSoFar;
use indicatif::BinaryBytes;

use super::{
    failure::{Failure, Status},
    logging, runtime, server,
    settings_flags::SettingsFlags,
    standard_output, trail,
};

/// A line comes so often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Arguments of `encrypt`.
#[derive(Debug, Args)]
pub struct Encrypt {}

impl Encrypt {
    /// Encrypts what is in the archive from before encryption was turned on.
    ///
    /// # Errors
    /// [`Failure`]: what was encrypted stays so, and it goes on there when it is run again.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        let folder = &config.data.folder;
        // A name that is mistyped must not become an empty archive.
        fs::metadata(folder).map_err(|error| Failure::io("read the data folder", folder, &error))?;
        if server::master_keys(&config)?.is_none() {
            return Err(Failure::new(
                Status::Config,
                "encryption is not turned on",
                "set encryption.master_key; `filmroom key new` makes a key",
            ));
        }
        logging::start(&config.log);
        runtime::build(&config.run)?.block_on(async {
            let store = server::open_store(&config).await?;
            let mut last_line = Instant::now();
            let progress = |so_far: EncryptedSoFar| {
                if last_line.elapsed() >= LINE_EVERY {
                    last_line = Instant::now();
                    eprintln!("encrypt: {}", summary(so_far));
                }
            };
            let settled = store.settle_now().await;
            let done = match settled {
                Ok(()) => store.encrypt_objects(progress).await,
                Err(error) => Err(error),
            };
            let log = folder.join(trail::FOLDER);
            let sealed = match store.audit_key() {
                Some(key) => filmroom_audit::seal(&log, &key).map_err(|error| trail::failure(folder, &error)),
                None => Ok(0),
            };
            let closed = server::close_store(&store, folder).await;
            let done = done.map_err(|error| Failure::store(folder, &error))?;
            let sealed = sealed?;
            closed?;
            standard_output(&format!("{}, {sealed} entries of the audit log\n", summary(done)));
            Ok(Status::Done)
        })
    }
}

fn summary(so_far: EncryptedSoFar) -> String {
    format!("{} objects encrypted ({})", so_far.objects, BinaryBytes(so_far.bytes))
}
