//! Commands that talk to another application entity: `echo`, `find`, `move`, `get`, `send`, `commit`.

mod commit;
mod echo;
mod find;
mod get;
mod move_to;
mod send;

use std::{path::PathBuf, sync::Arc};

use clap::{Args, ValueEnum};
use filmroom_storage::{
    model::{Attributes, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid},
    store::StateAccess,
};

pub use self::{commit::Commit, echo::Echo, find::Find, get::Get, move_to::MoveTo, send::Send};
use super::{
    failure::{Failure, Status},
    server,
};
use crate::config::{Config, Value};
use filmroom_dataset::Builder;
use filmroom_dimse::{DimseConfig, Peer, QueryModel, scu, tls::TlsClient};
use filmroom_peers::{CertificateName, Peers, Transport};
use filmroom_retrieve::Selection;

/// (0008,0052).
const QUERY_RETRIEVE_LEVEL: u32 = 0x0008_0052;

/// Whom a command talks to, and as whom.
#[derive(Debug, Args)]
pub struct PeerArgument {
    /// AE title of a peer in the settings, or AET=HOST:PORT
    #[arg(value_name = "PEER")]
    peer: String,
    /// Our own AE title in this conversation [dicom.ae_title]
    #[arg(long, value_name = "TITLE")]
    calling: Option<String>,
    /// Speak TLS; a peer that is known to speak it is called so in any case
    #[arg(long)]
    tls: bool,
    /// PEM file with our certificate, to show when the peer asks for one [dicom.tls_certificate]
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// PEM file with the private key of the certificate [dicom.tls_key]
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// PEM file with the authorities that vouch for the peer, or with its certificate itself [dicom.tls_authorities]
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// What the peer's certificate has to say instead of the host's name: cn:NAME, dns:NAME, ip:ADDRESS, uri:URI or
    /// sha256:SUM
    #[arg(long, value_name = "NAME", requires = "tls")]
    bound_to: Option<CertificateName>,
}

impl PeerArgument {
    fn resolve(&self, config: &Config) -> Result<(Peer, Arc<DimseConfig>), Failure> {
        let wrong = |why: String| Failure::new(Status::Usage, why, "name a peer, or write AET=HOST:PORT");
        let mut dimse = config.dimse();
        // Also those that a running archive has registered.
        let state = server::state_place(config, StateAccess::Look)?;
        dimse.peers =
            Arc::new(Peers::look(config.dicom.peers.clone(), state).map_err(|error| {
                Failure::new(Status::InputOutput, error.to_string(), "name the peer as AET=HOST:PORT")
            })?);
        if let Some(calling) = &self.calling {
            dimse.ae_title = Value::from_text(calling).map_err(wrong)?;
        }
        let mut peer = match dimse.peer(&self.peer) {
            Some(peer) => peer,
            None if self.peer.contains('=') => Peer::from_text(&self.peer).map_err(wrong)?,
            None => {
                let known: Vec<String> = dimse
                    .peers
                    .list()
                    .iter()
                    .map(|(peer, _)| peer.ae_title.to_string())
                    .collect();
                let known = if known.is_empty() {
                    "none".to_owned()
                } else {
                    known.join(", ")
                };
                return Err(wrong(format!("there is no peer {} (there are: {known})", self.peer)));
            }
        };
        if self.tls {
            peer.transport = Transport::Tls;
        }
        if self.bound_to.is_some() {
            peer.certificate = self.bound_to.clone();
        }
        dimse.tls = self.tls_client(config)?.map(Arc::new);
        if dimse.tls.is_none() && (peer.transport == Transport::Tls || peer.certificate.is_some()) {
            return Err(Failure::new(
                Status::Usage,
                format!(
                    "{} is called by TLS, and nobody is named who could vouch for it",
                    peer.ae_title
                ),
                "name a PEM file of authorities, or the peer's own certificate, with --ca",
            ));
        }
        Ok((peer, Arc::new(dimse)))
    }

    fn tls_client(&self, config: &Config) -> Result<Option<TlsClient>, Failure> {
        let mut config = config.clone();
        if let Some(authorities) = &self.ca {
            config.dicom.tls_authorities = Some(authorities.clone());
        }
        if self.cert.is_some() {
            config.dicom.tls_certificate.clone_from(&self.cert);
            config.dicom.tls_key.clone_from(&self.key);
        }
        config.tls_client().map_err(|error| {
            Failure::new(
                Status::NoInput,
                error.to_string(),
                "certificates and keys are PEM files",
            )
        })
    }
}

/// A query/retrieve information model (PS3.4 §C.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Model {
    /// Patient Root
    Patient,
    /// Study Root
    Study,
}

impl From<Model> for QueryModel {
    fn from(model: Model) -> Self {
        match model {
            Model::Patient => Self::PatientRoot,
            Model::Study => Self::StudyRoot,
        }
    }
}

/// A query/retrieve level (PS3.4 §C.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// One answer a patient
    Patient,
    /// One answer a study
    Study,
    /// One answer a series
    Series,
    /// One answer an instance
    Image,
}

/// What is asked for.
#[derive(Debug, Args)]
pub struct Identifier {
    /// Query/retrieve level
    #[arg(long, value_enum, default_value_t = Level::Study)]
    level: Level,
    /// Information model
    #[arg(long, value_enum, default_value_t = Model::Study)]
    model: Model,
    /// Attributes by keyword or tag: `PatientName=DOE*`, `StudyDate=20260101-`, `0020000D=1.2.3`
    #[arg(value_name = "KEY=VALUE")]
    keys: Vec<String>,
}

impl Identifier {
    fn build(&self, and_return: &[u32]) -> Result<Attributes, Failure> {
        if self.level == Level::Patient && self.model == Model::Study {
            return Err(Failure::new(
                Status::Usage,
                "the Study Root model has no patient level",
                "add --model patient",
            ));
        }
        let mut identifier = Builder::new();
        for tag in and_return {
            identifier.empty(*tag);
        }
        let level = match self.level {
            Level::Patient => "PATIENT",
            Level::Study => "STUDY",
            Level::Series => "SERIES",
            Level::Image => "IMAGE",
        };
        identifier.text(QUERY_RETRIEVE_LEVEL, level);
        for key in &self.keys {
            let (name, value) = key.split_once('=').unwrap_or((key, ""));
            let Some((tag, _)) = filmroom_dataset::attribute_by_name(name) else {
                return Err(Failure::new(
                    Status::Usage,
                    format!("{name} is no attribute"),
                    "write its keyword (PatientID) or its tag (00100020)",
                ));
            };
            match value {
                "" => identifier.empty(tag),
                value => identifier.text(tag, value),
            };
        }
        Ok(identifier.build())
    }
}

/// What of the data folder is meant.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["patient_id", "study"]))]
pub struct Selected {
    /// Patient ID; repeatable
    #[arg(long, value_name = "ID")]
    patient_id: Vec<String>,
    /// Study Instance UID; repeatable
    #[arg(long, value_name = "UID")]
    study: Vec<StudyInstanceUid>,
    /// Series Instance UID within the studies; repeatable
    #[arg(long, value_name = "UID")]
    series: Vec<SeriesInstanceUid>,
    /// SOP Instance UID within the series; repeatable
    #[arg(long, value_name = "UID")]
    instance: Vec<SopInstanceUid>,
}

impl Selected {
    fn selection(&self) -> Selection {
        Selection {
            sight: filmroom_privacy::Sight::all(),
            patient_ids: self.patient_id.clone(),
            studies: self.study.clone(),
            series: self.series.clone(),
            instances: self.instance.clone(),
        }
    }
}

fn nothing_named() -> Failure {
    let sentence = "the data folder holds nothing of what was named";
    Failure::new(Status::NoInput, sentence, "check the UIDs, and the folder (--data)")
}

/// An operation that did not come to a status.
fn failed(peer: &Peer, error: &scu::ScuError) -> Failure {
    let address = format!("{} at {}:{}", peer.ae_title, peer.host, peer.port);
    let advice = match error {
        scu::ScuError::Association(_) => {
            "is it running, is the port right, and does it know our AE title (--calling) and address?"
        }
        scu::ScuError::Refused(_) => "PS3.7 Annex C says what the status means; the peer's log says why",
        scu::ScuError::NotOffered(_) => "its conformance statement says what it offers",
        scu::ScuError::DataSet(_) => "what it sent, or what it was to be sent, is no data set",
        scu::ScuError::Retrieve(_) => "`filmroom serve` shows what the archive holds",
    };
    Failure::new(Status::Unavailable, format!("{address}: {error}"), advice)
}

/// An operation that the peer ended with a failure.
fn refused(peer: &Peer, ended: &scu::Ended) -> Failure {
    let comment = match ended.error_comment.as_str() {
        "" => String::new(),
        comment => format!(": {comment}"),
    };
    Failure::new(
        Status::Unavailable,
        format!("{} answered with status {}{comment}", peer.ae_title, ended.status),
        "PS3.4 and PS3.7 Annex C say what the status means; the peer's log says why",
    )
}
