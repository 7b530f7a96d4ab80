//! `filmroom commit`, and what `filmroom send --commit` does in the end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use clap::Args;
use filmroom_storage::store::Store;
use futures_util::StreamExt;
use tokio::net::TcpListener;

use super::{PeerArgument, Selected, failed};
use crate::{
    cli::{
        failure::{Failure, Status},
        logging, runtime, server,
        settings_flags::SettingsFlags,
        standard_output,
    },
    config::{Config, Value},
};
use filmroom_commitment::Reference;
use filmroom_dimse::{
    DimseConfig, Peer,
    scu::{self, AwaitedReports, CommitError, CommitReport},
};
use filmroom_retrieve::Retrieve;

/// Instances of one request; PS3.4 sets no bound, peers do.
const AT_A_TIME: usize = 5_000;
/// Instances that are not safe are named up to so many.
const NAMED_MAX: usize = 20;

/// How a report is waited for.
#[derive(Debug, Args)]
pub struct Waiting {
    /// Longest wait for the peer's report, such as 30 s or 5 min
    #[arg(long, value_name = "TIME", default_value = "60 s", value_parser = duration)]
    wait: Duration,
    /// Address and port where the peer calls back with its report [dicom.listen]
    #[arg(long, value_name = "ADDR:PORT")]
    report_to: Option<SocketAddr>,
}

fn duration(text: &str) -> Result<Duration, String> {
    Duration::from_text(text)
}

/// Arguments of `commit`.
#[derive(Debug, Args)]
pub struct Commit {
    #[command(flatten)]
    peer: PeerArgument,
    #[command(flatten)]
    what: Selected,
    #[command(flatten)]
    waiting: Waiting,
}

impl Commit {
    /// Storage commitment (PS3.4 §J) for what the data folder holds: does the peer keep it?
    ///
    /// # Errors
    /// [`Failure`] when the peer does not say, or the data folder cannot be had.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        logging::start(&config.log);
        let (peer, dimse) = self.peer.resolve(&config)?;
        let runtime = runtime::build(&config.run)?;
        let store = runtime.block_on(server::open_store(&config))?;
        let references = runtime.block_on(references(&store, &self.what));
        runtime.block_on(server::close_store(&store, &config.data.folder))?;
        let references = references?;
        runtime.block_on(ask(&peer, dimse, &config, &references, &self.waiting))
    }
}

async fn references(store: &Store, what: &Selected) -> Result<Vec<Reference>, Failure> {
    let mut found = Retrieve::new(store.clone()).select(what.selection());
    let mut references = Vec::new();
    while let Some(record) = found.next().await {
        let record = record.map_err(|error| {
            Failure::new(
                Status::InputOutput,
                error.to_string(),
                "`filmroom verify` says what is wrong",
            )
        })?;
        references.push(Reference {
            sop_class_uid: record.sop_class_uid.to_string(),
            sop_instance_uid: record.sop_instance_uid.to_string(),
        });
    }
    if references.is_empty() {
        return Err(super::nothing_named());
    }
    Ok(references)
}

/// Asks the peer and prints what it answers for.
pub(super) async fn ask(
    peer: &Peer,
    dimse: Arc<DimseConfig>,
    config: &Config,
    references: &[Reference],
    waiting: &Waiting,
) -> Result<Status, Failure> {
    let reports = AwaitedReports::default();
    let address = waiting.report_to.unwrap_or(config.dicom.listen);
    let asked = async {
        let mut whole = CommitReport::default();
        for references in references.chunks(AT_A_TIME) {
            let report = scu::commit(peer, dimse.clone(), references, &reports, waiting.wait).await?;
            whole.safe.extend(report.safe);
            whole.not_safe.extend(report.not_safe);
        }
        Ok::<CommitReport, CommitError>(whole)
    };
    let report = match TcpListener::bind(address).await {
        Ok(listener) => tokio::select! {
            report = asked => report,
            never = scu::take_calls(listener, peer.clone(), dimse.clone(), &reports) => match never {},
        },
        Err(error) if waiting.report_to.is_some() => {
            return Err(Failure::new(
                Status::Unavailable,
                format!("cannot listen on {address}: {error}"),
                "choose another address with --report-to",
            ));
        }
        Err(error) => {
            tracing::warn!(%address, %error, "the peer cannot call back; its report has to come over the association that asks");
            asked.await
        }
    };
    match report {
        Ok(report) => Ok(told(references, &report)),
        Err(CommitError::Scu(error)) => Err(failed(peer, &error)),
        Err(error @ CommitError::NoReport(_)) => Err(Failure::new(
            Status::TryLater,
            format!("{} at {}: {error}", peer.ae_title, peer.address()),
            "does it know our AE title, and that we listen at --report-to? ask again with a longer --wait",
        )),
    }
}

fn told(references: &[Reference], report: &CommitReport) -> Status {
    let safe: std::collections::HashSet<&str> = report.safe.iter().map(String::as_str).collect();
    let unsafe_ones: Vec<&Reference> = references
        .iter()
        .filter(|reference| !safe.contains(reference.sop_instance_uid.as_str()))
        .collect();
    standard_output(&format!(
        "{} committed, {} not\n",
        references.len() - unsafe_ones.len(),
        unsafe_ones.len()
    ));
    for reference in unsafe_ones.iter().take(NAMED_MAX) {
        let uid = &reference.sop_instance_uid;
        let reason = report.not_safe.iter().find(|(failed, _)| failed == uid);
        match reason {
            Some((_, reason)) => eprintln!("  {uid}: failure reason {reason}"),
            None => eprintln!("  {uid}: the report does not name it"),
        }
    }
    if unsafe_ones.is_empty() {
        Status::Done
    } else {
        Status::Partly
    }
}
