//! `filmroom echo`.

use std::time::Instant;

use clap::Args;

use super::{PeerArgument, failed};
use crate::cli::{
    failure::{Failure, Status},
    logging, runtime,
    settings_flags::SettingsFlags,
    standard_output,
};
use filmroom_dimse::scu;

/// Arguments of `echo`.
#[derive(Debug, Args)]
pub struct Echo {
    #[command(flatten)]
    peer: PeerArgument,
}

impl Echo {
    /// C-ECHO (PS3.4 §A.4).
    ///
    /// # Errors
    /// [`Failure`] when the peer does not answer with success.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        logging::start(&config.log);
        let (peer, dimse) = self.peer.resolve(&config)?;
        let began = Instant::now();
        let status = runtime::build(&config.run)?
            .block_on(scu::echo(&peer, dimse))
            .map_err(|error| failed(&peer, &error))?;
        if status != filmroom_dimse::Status::SUCCESS {
            let sentence = format!("{} answered the echo with status {status}", peer.ae_title);
            return Err(Failure::new(Status::Unavailable, sentence, "the peer's log says why"));
        }
        let millis = began.elapsed().as_secs_f64() * 1000.0;
        standard_output(&format!(
            "{} at {}:{} answers, association included, in {millis:.1} ms\n",
            peer.ae_title, peer.host, peer.port
        ));
        Ok(Status::Done)
    }
}
