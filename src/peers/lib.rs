//! The room that knows other application entities: where they are, how they are spoken to, and what they may do here.
//!
//! Those of the settings stand as long as the process runs; others are registered while it runs and kept in the data folder.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod ae_title;
mod certificate;
mod peer;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, RwLock},
};

use filmroom_storage::state::{StateError, StateFolder, StatePlace};
use sha2::{Digest, Sha256};

pub use ae_title::{AeTitle, AeTitleError};
pub use certificate::{Certificate, CertificateName};
pub use peer::{Peer, PeerError, Permission, Quirk, Transport};

/// The kind under which peers are kept.
const KIND: &str = "peers";
/// Most peers that are registered: each is a row for a person to look at.
const PEERS_MAX: usize = 10_000;

/// Where a peer is known from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The settings; cannot be changed while the archive runs.
    Settings,
    /// Registered, and kept in the data folder.
    Registered,
}

/// What a change expects to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Anything.
    Any,
    /// No peer of this title.
    Nothing,
    /// A peer with one of these tags ([`tag_of`]); `*` is any.
    Tags(Vec<String>),
}

/// Why peers were not changed.
#[derive(Debug, thiserror::Error)]
pub enum PeersError {
    /// The peer is not as the change expects it.
    #[error("the peer has been changed, or is not there")]
    NotAsExpected,
    /// The settings name the peer.
    #[error("the settings name this peer; change it there")]
    InSettings,
    /// There is no such peer.
    #[error("there is no such peer")]
    Unknown,
    /// There are as many as there may be.
    #[error("there are {PEERS_MAX} peers, which is the most")]
    TooMany,
    /// It could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The registry.
#[derive(Debug, Default)]
pub struct Peers {
    settings: BTreeMap<AeTitle, Peer>,
    registered: RwLock<BTreeMap<AeTitle, Peer>>,
    /// Where registered peers are kept; held while they are changed. `None`: only those of the settings.
    folder: Mutex<Option<StateFolder>>,
}

impl Peers {
    /// The peers of the settings alone.
    #[must_use]
    pub fn of_settings(peers: impl IntoIterator<Item = Peer>) -> Self {
        Self {
            settings: by_title(peers),
            ..Self::default()
        }
    }

    /// The peers of the settings, and those of a data folder, which this process alone must have.
    ///
    /// # Errors
    /// [`StateError`] when the folder cannot be read. A record that is damaged is logged and left out.
    pub fn open(settings: impl IntoIterator<Item = Peer>, state: impl Into<StatePlace>) -> Result<Self, StateError> {
        let (folder, loaded) = StateFolder::open(state, KIND)?;
        for damaged in &loaded.damaged {
            tracing::error!(path = %damaged.path.display(), why = damaged.why, "a peer is not known any more: register it again");
        }
        Ok(Self {
            settings: by_title(settings),
            registered: RwLock::new(by_title(loaded.records.into_iter().map(|(_, peer)| peer))),
            folder: Mutex::new(Some(folder)),
        })
    }

    /// As [`Peers::open`], for reading only: another process may have the data folder.
    ///
    /// # Errors
    /// As [`Peers::open`].
    pub fn look(settings: impl IntoIterator<Item = Peer>, state: impl Into<StatePlace>) -> Result<Self, StateError> {
        let loaded = StateFolder::look(state, KIND)?;
        Ok(Self {
            settings: by_title(settings),
            registered: RwLock::new(by_title(loaded.records.into_iter().map(|(_, peer)| peer))),
            folder: Mutex::new(None),
        })
    }

    /// The peer of a title; padding does not count.
    #[must_use]
    pub fn get(&self, ae_title: &str) -> Option<Peer> {
        let title = AeTitle::new(ae_title).ok()?;
        self.find(&title).map(|(peer, _)| peer)
    }

    /// The peer of a title, and where it is known from. The settings win.
    #[must_use]
    pub fn find(&self, title: &AeTitle) -> Option<(Peer, Source)> {
        if let Some(peer) = self.settings.get(title) {
            return Some((peer.clone(), Source::Settings));
        }
        let registered = self.registered.read().unwrap_or_else(PoisonError::into_inner);
        registered.get(title).map(|peer| (peer.clone(), Source::Registered))
    }

    /// All peers, by title.
    #[must_use]
    pub fn list(&self) -> Vec<(Peer, Source)> {
        let registered = self.registered.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: BTreeMap<&AeTitle, (&Peer, Source)> = registered
            .iter()
            .map(|(title, peer)| (title, (peer, Source::Registered)))
            .collect();
        all.extend(
            self.settings
                .iter()
                .map(|(title, peer)| (title, (peer, Source::Settings))),
        );
        all.into_values().map(|(peer, source)| (peer.clone(), source)).collect()
    }

    /// Registers a peer, or changes one. True when it is new. Blocks; durable when it returns.
    ///
    /// # Errors
    /// [`PeersError`]; nothing was changed.
    pub fn put(&self, peer: Peer, expected: &Expected) -> Result<bool, PeersError> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.check(&peer.ae_title, expected)?;
        let registered = || self.registered.read().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() && registered().len() >= PEERS_MAX {
            return Err(PeersError::TooMany);
        }
        if let Some(folder) = folder.as_ref() {
            folder.put(peer.ae_title.as_str(), &peer)?;
        }
        let mut registered = self.registered.write().unwrap_or_else(PoisonError::into_inner);
        registered.insert(peer.ae_title.clone(), peer);
        Ok(known.is_none())
    }

    /// Forgets a registered peer. Blocks; durable when it returns.
    ///
    /// # Errors
    /// As [`Peers::put`]; [`PeersError::Unknown`] when there is none.
    pub fn remove(&self, title: &AeTitle, expected: &Expected) -> Result<(), PeersError> {
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        self.check(title, expected)?.ok_or(PeersError::Unknown)?;
        if let Some(folder) = folder.as_ref() {
            folder.remove(title.as_str())?;
        }
        let mut registered = self.registered.write().unwrap_or_else(PoisonError::into_inner);
        registered.remove(title);
        Ok(())
    }

    fn check(&self, title: &AeTitle, expected: &Expected) -> Result<Option<Peer>, PeersError> {
        let known = match self.find(title) {
            Some((_, Source::Settings)) => return Err(PeersError::InSettings),
            Some((peer, Source::Registered)) => Some(peer),
            None => None,
        };
        let as_expected = match (expected, &known) {
            (Expected::Any, _) | (Expected::Nothing, None) => true,
            (Expected::Nothing, Some(_)) | (Expected::Tags(_), None) => false,
            (Expected::Tags(tags), Some(peer)) => {
                let tag = tag_of(peer);
                tags.iter().any(|expected| expected == "*" || *expected == tag)
            }
        };
        if as_expected {
            Ok(known)
        } else {
            Err(PeersError::NotAsExpected)
        }
    }
}

/// What tells one state of a peer from another: the same for the same content, also after a restart.
#[must_use]
pub fn tag_of(peer: &Peer) -> String {
    let encoded = serde_json::to_vec(peer).unwrap_or_default();
    let digest = Sha256::digest(&encoded);
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn by_title(peers: impl IntoIterator<Item = Peer>) -> BTreeMap<AeTitle, Peer> {
    peers.into_iter().map(|peer| (peer.ae_title.clone(), peer)).collect()
}
