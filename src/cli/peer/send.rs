//! `filmroom send`.

use clap::Args;
use filmroom_storage::model::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid};

use super::{PeerArgument, failed};
use crate::cli::{
    failure::{Failure, Status},
    logging, runtime, server,
    settings_flags::SettingsFlags,
    standard_output,
};
use filmroom_dimse::scu;
use filmroom_retrieve::{Retrieve, Selection};

/// Refused instances are named up to so many.
const NAMED_MAX: usize = 20;

/// Arguments of `send`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true).args(["patient_id", "study"]))]
pub struct Send {
    #[command(flatten)]
    peer: PeerArgument,
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

impl Send {
    /// C-STORE (PS3.4 §B) of what the data folder holds.
    ///
    /// # Errors
    /// [`Failure`] when nothing could be sent, or the data folder cannot be had.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        logging::start(&config.log);
        let (peer, dimse) = self.peer.resolve(&config)?;
        let selection = Selection {
            patient_ids: self.patient_id.clone(),
            studies: self.study.clone(),
            series: self.series.clone(),
            instances: self.instance.clone(),
        };
        let runtime = runtime::build(&config.run)?;
        let store = runtime.block_on(server::open_store(&config))?;
        let retrieve = Retrieve::new(store.clone());
        let sent = runtime.block_on(scu::send(&peer, dimse, &retrieve, selection, |_, _| {}));
        drop(retrieve);
        runtime.block_on(server::close_store(&store, &config.data.folder))?;
        let sent = sent.map_err(|error| failed(&peer, &error))?;
        if sent.sent == 0 && sent.failed.is_empty() {
            let sentence = "the data folder holds nothing of what was named";
            return Err(Failure::new(
                Status::NoInput,
                sentence,
                "check the UIDs, and the folder (--data)",
            ));
        }
        standard_output(&format!("{} sent, {} failed\n", sent.sent, sent.failed.len()));
        for (uid, why) in sent.failed.iter().take(NAMED_MAX) {
            eprintln!("  {uid}: {why}");
        }
        Ok(if sent.failed.is_empty() {
            Status::Done
        } else {
            Status::Partly
        })
    }
}
