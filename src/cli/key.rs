//! `filmroom key`: master keys of an encrypted archive.

use clap::{Args, Subcommand};
use filmroom_storage::{encryption::MasterKeys, store::Store};

use super::{
    failure::{Failure, Status},
    logging, runtime, server,
    settings_flags::SettingsFlags,
    standard_output,
};
use crate::config::Config;

/// Arguments of `key`.
#[derive(Debug, Args)]
pub struct Key {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print a new master key, as encryption.master_key takes it
    New,
    /// Say which master keys there are and how many keys of the archive each wraps
    List,
    /// Wrap every key of the archive with the first master key, so that the others can be given up
    Rotate,
}

impl Key {
    /// Makes, lists or rotates. Listing and rotating need the data folder, so that no server may run on it.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        if matches!(self.action, Action::New) {
            let (text, id) = MasterKeys::new_text().map_err(|error| Failure::master_key(&error))?;
            standard_output(&format!("{text}\n"));
            eprintln!(
                "master key {id}: keep a copy apart from the archive; without it nothing in the archive can be read"
            );
            return Ok(Status::Done);
        }
        let config = settings.load(None)?.config;
        logging::start(&config.log);
        runtime::build(&config.run)?.block_on(async {
            let store = server::open_store(&config).await?;
            let done = match self.action {
                Action::Rotate => rotate(&config, &store).await,
                _ => list(&config, &store).await,
            };
            let closed = server::close_store(&store, &config.data.folder).await;
            done.and(closed)?;
            Ok(Status::Done)
        })
    }
}

async fn list(config: &Config, store: &Store) -> Result<(), Failure> {
    let folder = &config.data.folder;
    let counts = store
        .keys_by_master()
        .await
        .map_err(|error| Failure::store(folder, &error))?;
    let mut text = String::new();
    let given = server::master_keys(config)?;
    let ids: Vec<_> = given.iter().flat_map(|keys| keys.ids()).collect();
    for (at, id) in ids.iter().enumerate() {
        let count = counts.iter().find_map(|(of, count)| (of == id).then_some(*count));
        let role = if at == 0 { "wraps what is new" } else { "only opens" };
        text.push_str(&format!(
            "{id}  {role}; {} keys of the archive\n",
            count.unwrap_or_default()
        ));
    }
    for (id, count) in counts.iter().filter(|(id, _)| !ids.contains(id)) {
        text.push_str(&format!(
            "{id}  NOT GIVEN; {count} keys of the archive do not open without it\n"
        ));
    }
    standard_output(&text);
    Ok(())
}

async fn rotate(config: &Config, store: &Store) -> Result<(), Failure> {
    let folder = &config.data.folder;
    let rotation = store
        .rotate_keys(|_| ())
        .await
        .map_err(|error| Failure::store(folder, &error))?;
    let given = server::master_keys(config)?;
    let first = given
        .as_ref()
        .map(|keys| keys.first_id().to_string())
        .unwrap_or_default();
    standard_output(&format!(
        "{} of {} keys were wrapped anew; all are under master key {first}\n",
        rotation.wrapped, rotation.keys
    ));
    eprintln!("start Filmroom with that master key alone before the others are given up");
    Ok(())
}
