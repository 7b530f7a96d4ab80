//! `filmroom move`.

use clap::Args;

use super::{Identifier, PeerArgument, failed, refused};
use crate::cli::{
    failure::{Failure, Status},
    logging, runtime,
    settings_flags::SettingsFlags,
    standard_output,
};
use filmroom_dimse::scu;

/// Arguments of `move`.
#[derive(Debug, Args)]
pub struct MoveTo {
    #[command(flatten)]
    peer: PeerArgument,
    /// AE title that the peer is to send to; it has to know its address
    #[arg(long, value_name = "TITLE")]
    to: String,
    #[command(flatten)]
    identifier: Identifier,
}

impl MoveTo {
    /// C-MOVE (PS3.4 §C.4.2).
    ///
    /// # Errors
    /// [`Failure`] when the peer does not come to an end.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        logging::start(&config.log);
        let (peer, dimse) = self.peer.resolve(&config)?;
        let identifier = self.identifier.build(&[])?;
        let model = self.identifier.model.into();
        let ended = runtime::build(&config.run)?
            .block_on(scu::move_to(&peer, dimse, model, &identifier, &self.to, |_| {}))
            .map_err(|error| failed(&peer, &error))?;
        report(&peer, &ended, "sent")
    }
}

/// Says how the sub-operations went.
///
/// # Errors
/// [`Failure`] when the peer ended with a failure.
pub fn report(peer: &filmroom_dimse::Peer, ended: &scu::Ended, done: &str) -> Result<Status, Failure> {
    if let Some(counts) = ended.counts {
        let text = format!(
            "{} {done}, {} with a warning, {} failed\n",
            counts.completed, counts.warning, counts.failed
        );
        standard_output(&text);
    }
    if ended.status == filmroom_dimse::Status::SUCCESS {
        Ok(Status::Done)
    } else if ended.status.is_warning() {
        Ok(Status::Partly)
    } else {
        Err(refused(peer, ended))
    }
}
