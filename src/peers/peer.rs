//! One other application entity.

use std::{collections::BTreeSet, net::Ipv6Addr};

use filmroom_storage::model::TransferSyntaxUid;
use serde::{Deserialize, Serialize};

use super::{AeTitle, CertificateName};
use filmroom_dataset::CharacterSet;

/// Most transfer syntaxes of one peer: there are fewer in PS3.6.
const TRANSFER_SYNTAXES_MAX: usize = 64;

/// How a peer is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Plain TCP.
    Plain,
    /// TLS (PS3.15 §B.12).
    Tls,
}

/// What a peer may ask of this archive. C-ECHO is answered to all who may do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// C-STORE.
    Store,
    /// C-FIND.
    Find,
    /// C-MOVE.
    Move,
    /// C-GET.
    Get,
    /// Storage commitment.
    Commit,
    /// The modality worklist and performed procedure steps.
    Worklist,
    /// Send rejection notes, and see what is rejected. Only who is named for it may.
    Reject,
}

impl Permission {
    /// What a peer may of which nothing else is said.
    pub const USUAL: [Self; 6] = [
        Self::Store,
        Self::Find,
        Self::Move,
        Self::Get,
        Self::Commit,
        Self::Worklist,
    ];
}

/// What a peer needs that others do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quirk {
    /// It loses its way with several presentation contexts for one SOP class: all transfer syntaxes go into one.
    OneContextPerClass,
    /// It takes reports of storage commitment over the association that asked, and only later over one of their own.
    ReportOnSameAssociation,
}

/// A node that this one may call, and that may call this one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Form", into = "Form")]
pub struct Peer {
    /// By what name it is called.
    pub ae_title: AeTitle,
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// How it is called.
    pub transport: Transport,
    /// What its certificate has to say, when it calls and when it is called; then plain TCP is refused.
    pub certificate: Option<CertificateName>,
    /// What it may ask for. Nothing: its associations are rejected.
    pub may: BTreeSet<Permission>,
    /// Transfer syntaxes that it takes; empty when nothing is known, then it is asked.
    pub transfer_syntaxes: Vec<TransferSyntaxUid>,
    /// Defined terms (PS3.3 §C.12.1.1.2) of what it reads when its query does not say; empty is UTF-8.
    pub character_set: String,
    /// What it needs.
    pub quirks: BTreeSet<Quirk>,
    /// It is asked for storage commitment of what is forwarded to it.
    pub is_asked_to_commit: bool,
}

/// Why a text is no peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PeerError(String);

/// A peer as JSON and TOML have it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    ae_title: AeTitle,
    address: String,
    #[serde(default)]
    tls: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<CertificateName>,
    #[serde(default = "everything")]
    may: BTreeSet<Permission>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    transfer_syntaxes: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    character_set: String,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    quirks: BTreeSet<Quirk>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    commit: bool,
}

fn everything() -> BTreeSet<Permission> {
    Permission::USUAL.into()
}

impl Peer {
    /// A peer that is called over plain TCP and may ask for everything but to reject.
    #[must_use]
    pub fn new(ae_title: AeTitle, host: impl Into<String>, port: u16) -> Self {
        Self {
            ae_title,
            host: host.into(),
            port,
            transport: Transport::Plain,
            certificate: None,
            may: everything(),
            transfer_syntaxes: Vec::new(),
            character_set: String::new(),
            quirks: BTreeSet::new(),
            is_asked_to_commit: false,
        }
    }

    /// Understands `AET=HOST:PORT`.
    ///
    /// # Errors
    /// One phrase.
    pub fn parse(text: &str) -> Result<Self, PeerError> {
        let (title, address) = text
            .split_once('=')
            .ok_or_else(|| PeerError(format!("\"{text}\" is not of the form AET=HOST:PORT")))?;
        let ae_title =
            AeTitle::new(title).map_err(|error| PeerError(format!("\"{title}\" is no AE title: {error}")))?;
        let (host, port) = host_and_port(address)?;
        Ok(Self::new(ae_title, host, port))
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// True when nothing is said of it but its title and address.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::new(self.ae_title.clone(), self.host.clone(), self.port)
    }

    /// The character set that it reads when it does not say.
    #[must_use]
    pub fn character_set(&self) -> CharacterSet {
        match self.character_set.as_str() {
            "" | "ISO_IR 6" | "ISO_IR 192" => CharacterSet::Utf8,
            terms => CharacterSet::Terms(terms.to_owned()),
        }
    }
}

/// Understands `HOST:PORT`, an IPv6 address in brackets.
fn host_and_port(address: &str) -> Result<(String, u16), PeerError> {
    let (host, port) = address
        .rsplit_once(':')
        .ok_or_else(|| PeerError(format!("\"{address}\" has no port")))?;
    let port = port.parse().ok().filter(|port| *port != 0);
    let port = port.ok_or_else(|| PeerError(format!("\"{address}\" has no port from 1 to 65535")))?;
    let host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(inner) if inner.parse::<Ipv6Addr>().is_ok() => inner,
        Some(inner) => return Err(PeerError(format!("\"{inner}\" is no IPv6 address"))),
        None if host.contains(':') => {
            return Err(PeerError(format!(
                "put the IPv6 address into brackets: [{host}]:{port}"
            )));
        }
        None => host,
    };
    let is_name =
        !host.is_empty() && host.len() <= 253 && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c));
    if !is_name && !host.contains(':') {
        return Err(PeerError(format!(
            "\"{host}\" is neither a host name nor an IP address"
        )));
    }
    Ok((host.to_owned(), port))
}

impl TryFrom<Form> for Peer {
    type Error = PeerError;

    fn try_from(form: Form) -> Result<Self, PeerError> {
        let (host, port) = host_and_port(&form.address)?;
        if form.transfer_syntaxes.len() > TRANSFER_SYNTAXES_MAX {
            return Err(PeerError(format!(
                "{} transfer syntaxes; at most {TRANSFER_SYNTAXES_MAX}",
                form.transfer_syntaxes.len()
            )));
        }
        let syntaxes = form.transfer_syntaxes.iter().map(|uid| {
            TransferSyntaxUid::new(uid).map_err(|error| PeerError(format!("transfer syntax \"{uid}\": {error}")))
        });
        let is_terms = |text: &str| {
            text.len() <= 128
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b' ' | b'\\' | b'-'))
        };
        if !is_terms(&form.character_set) {
            return Err(PeerError("character_set holds no defined terms".to_owned()));
        }
        Ok(Self {
            ae_title: form.ae_title,
            host,
            port,
            transport: if form.tls { Transport::Tls } else { Transport::Plain },
            certificate: form.certificate,
            may: form.may,
            transfer_syntaxes: syntaxes.collect::<Result<_, _>>()?,
            character_set: form.character_set,
            quirks: form.quirks,
            is_asked_to_commit: form.commit,
        })
    }
}

impl From<Peer> for Form {
    fn from(peer: Peer) -> Self {
        Self {
            address: peer.address(),
            ae_title: peer.ae_title,
            tls: peer.transport == Transport::Tls,
            certificate: peer.certificate,
            may: peer.may,
            transfer_syntaxes: peer.transfer_syntaxes.iter().map(ToString::to_string).collect(),
            character_set: peer.character_set,
            quirks: peer.quirks,
            commit: peer.is_asked_to_commit,
        }
    }
}
