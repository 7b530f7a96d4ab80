//! `filmroom peer`: the registry of peers, by way of the archive where one runs on the data folder, else in the folder.

use clap::{Args, Subcommand};
use filmroom_storage::store::StateAccess;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};

use super::{
    failure::{Failure, Status},
    running::{self, Running},
    server,
    settings_flags::SettingsFlags,
    standard_output,
};
use crate::config::Config;
use filmroom_peers::{AeTitle, Expected, Peer, Peers, PeersError, Permission, Source};

/// Arguments of `peer`.
#[derive(Debug, Args)]
pub struct PeerCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List all peers
    List {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Register a peer, or change one that is registered
    Add(Add),
    /// Forget a peer that was registered
    Remove {
        /// Its AE title
        ae_title: AeTitle,
    },
}

#[derive(Debug, Args)]
struct Add {
    /// AE title and address
    #[arg(value_name = "AET=HOST:PORT")]
    peer: String,
    /// It is called by TLS
    #[arg(long)]
    tls: bool,
    /// What its certificate has to say: cn:NAME, dns:NAME, ip:ADDRESS, uri:URI or sha256:SUM; then it may only call by TLS
    #[arg(long, value_name = "NAME")]
    certificate: Option<String>,
    /// What it may ask for: store, find, move, get, commit, worklist, reject (send rejection notes, see what is
    /// rejected), or nothing (then it is turned away) [all but reject]
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    may: Option<Vec<String>>,
    /// A transfer syntax that it takes; repeatable [it is asked]
    #[arg(long = "transfer-syntax", value_name = "UID")]
    transfer_syntaxes: Vec<String>,
    /// Defined terms of the character set that it reads when its query does not say [UTF-8]
    #[arg(long, value_name = "TERMS")]
    character_set: Option<String>,
    /// one-context-per-class or report-on-same-association; repeatable
    #[arg(long = "quirk", value_name = "QUIRK")]
    quirks: Vec<String>,
    /// It is asked for storage commitment of what is forwarded to it
    #[arg(long)]
    commit: bool,
}

impl PeerCommand {
    /// Runs.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        match &self.action {
            Action::List { json } => list(&config, *json)?,
            Action::Add(add) => {
                let peer = add.peer()?;
                match Running::find(&config)? {
                    Some(archive) => {
                        let body = serde_json::to_value(&peer).unwrap_or_default();
                        archive.ask("PUT", &path(&peer.ae_title), Some(&body))?.done(ADVICE)?;
                    }
                    None => in_folder(&config, |peers| peers.put(peer.clone(), &Expected::Any).map(|_| ()))?,
                }
                standard_output(&format!("{} is at {}\n", peer.ae_title, peer.address()));
            }
            Action::Remove { ae_title } => {
                match Running::find(&config)? {
                    Some(archive) => drop(archive.ask("DELETE", &path(ae_title), None)?.done(ADVICE)?),
                    None => in_folder(&config, |peers| peers.remove(ae_title, &Expected::Any))?,
                }
                standard_output(&format!("{ae_title} is forgotten\n"));
            }
        }
        Ok(Status::Done)
    }
}

const ADVICE: &str = "`filmroom peer list` lists all peers";

fn path(title: &AeTitle) -> String {
    format!("peers/{}", utf8_percent_encode(title.as_str(), NON_ALPHANUMERIC))
}

impl Add {
    fn peer(&self) -> Result<Peer, Failure> {
        let wrong = |why: String| Failure::new(Status::Usage, why, "`filmroom peer add --help` lists what can be said");
        let plain = Peer::parse(&self.peer).map_err(|error| wrong(error.to_string()))?;
        let mut fields = Map::new();
        fields.insert("ae_title".into(), plain.ae_title.as_str().into());
        fields.insert("address".into(), plain.address().into());
        fields.insert("tls".into(), self.tls.into());
        if let Some(certificate) = &self.certificate {
            fields.insert("certificate".into(), certificate.as_str().into());
        }
        if let Some(may) = &self.may {
            let words: Vec<&str> = may
                .iter()
                .map(String::as_str)
                .filter(|word| *word != "nothing")
                .collect();
            fields.insert("may".into(), words.into());
        }
        fields.insert("transfer_syntaxes".into(), self.transfer_syntaxes.clone().into());
        fields.insert("quirks".into(), self.quirks.clone().into());
        fields.insert("commit".into(), self.commit.into());
        if let Some(terms) = &self.character_set {
            fields.insert("character_set".into(), terms.as_str().into());
        }
        serde_json::from_value(Value::Object(fields)).map_err(|error| wrong(error.to_string()))
    }
}

fn in_folder(config: &Config, change: impl FnOnce(&Peers) -> Result<(), PeersError>) -> Result<(), Failure> {
    let _lock = running::take(config)?;
    let state = server::state_place(config, StateAccess::Change)?;
    let peers = Peers::open(config.dicom.peers.clone(), state).map_err(|error| failed(&error.into()))?;
    change(&peers).map_err(|error| failed(&error))
}

fn failed(error: &PeersError) -> Failure {
    let (status, advice) = match error {
        PeersError::InSettings => (Status::Usage, "change dicom.peers"),
        PeersError::Unknown => (Status::NoInput, "`filmroom peer list` lists all"),
        PeersError::NotAsExpected => (Status::TryLater, "somebody else has changed it: look again"),
        PeersError::TooMany | PeersError::State(_) => (Status::InputOutput, "check the disk"),
    };
    Failure::new(status, error.to_string(), advice)
}

fn list(config: &Config, json: bool) -> Result<(), Failure> {
    let state = server::state_place(config, StateAccess::Look)?;
    let peers = Peers::look(config.dicom.peers.clone(), state).map_err(|error| failed(&error.into()))?;
    let mut text = String::new();
    for (peer, source) in peers.list() {
        let value = serde_json::to_value(&peer).unwrap_or_default();
        if json {
            text.push_str(&format!("{value}\n"));
            continue;
        }
        let source = match source {
            Source::Settings => "settings",
            Source::Registered => "registered",
        };
        text.push_str(&format!(
            "{:<16} {:<24} {source}",
            peer.ae_title.to_string(),
            peer.address()
        ));
        for (key, value) in value.as_object().into_iter().flatten() {
            let is_usual = matches!(key.as_str(), "ae_title" | "address")
                || *value == Value::Bool(false)
                || (key == "may"
                    && value.as_array().is_some_and(|may| {
                        may.len() == Permission::USUAL.len() && !may.iter().any(|may| may == "reject")
                    }));
            if !is_usual {
                text.push_str(&format!("  {key}={}", value.to_string().replace('"', "")));
            }
        }
        text.push('\n');
    }
    standard_output(&text);
    Ok(())
}
