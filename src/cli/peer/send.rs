//! `filmroom send`.

use std::sync::Arc;

use clap::Args;

use super::{
    PeerArgument, Selected,
    commit::{self, Waiting},
    failed, nothing_named,
};
use crate::cli::{
    failure::{Failure, Status},
    logging, runtime, server,
    settings_flags::SettingsFlags,
    standard_output,
    trail::AuditTrail,
};
use filmroom_commitment::Reference;
use filmroom_dimse::{DimseConfig, scu};
use filmroom_retrieve::Retrieve;

/// Refused instances are named up to so many.
const NAMED_MAX: usize = 20;

/// Arguments of `send`.
#[derive(Debug, Args)]
pub struct Send {
    #[command(flatten)]
    peer: PeerArgument,
    #[command(flatten)]
    what: Selected,
    /// Then ask the peer to commit itself to what it was sent (storage commitment)
    #[arg(long)]
    commit: bool,
    #[command(flatten)]
    waiting: Waiting,
}

impl Send {
    /// C-STORE (PS3.4 §B) of what the data folder holds, and where asked for storage commitment (§J) of what was sent.
    ///
    /// # Errors
    /// [`Failure`] when nothing could be sent, or the data folder cannot be had.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        logging::start(&config.log);
        let (peer, dimse) = self.peer.resolve(&config)?;
        let runtime = runtime::build(&config.run)?;
        let store = runtime.block_on(server::open_store(&config))?;
        let trail = runtime.block_on(AuditTrail::open(&config, &store))?;
        let mut recording = DimseConfig::clone(&dimse);
        recording.trail = trail.trail().clone();
        let retrieve = Retrieve::new(store.clone());
        let mut taken = Vec::new();
        let sent = runtime.block_on(scu::send(
            &peer,
            Arc::new(recording),
            &retrieve,
            self.what.selection(),
            |record, status| {
                if self.commit && (status == filmroom_dimse::Status::SUCCESS || status.is_warning()) {
                    taken.push(Reference {
                        sop_class_uid: record.sop_class_uid.to_string(),
                        sop_instance_uid: record.sop_instance_uid.to_string(),
                    });
                }
            },
        ));
        drop(retrieve);
        runtime.block_on(trail.close(&config.data.folder))?;
        runtime.block_on(server::close_store(&store, &config.data.folder))?;
        let sent = sent.map_err(|error| failed(&peer, &error))?;
        if sent.sent == 0 && sent.failed.is_empty() {
            return Err(nothing_named());
        }
        standard_output(&format!("{} sent, {} failed\n", sent.sent, sent.failed.len()));
        for (uid, why) in sent.failed.iter().take(NAMED_MAX) {
            eprintln!("  {uid}: {why}");
        }
        if !taken.is_empty() {
            let committed = runtime.block_on(commit::ask(&peer, dimse, &config, &taken, &self.waiting))?;
            if committed != Status::Done {
                return Ok(committed);
            }
        }
        Ok(if sent.failed.is_empty() {
            Status::Done
        } else {
            Status::Partly
        })
    }
}
