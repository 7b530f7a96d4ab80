//! `filmroom get`.

use clap::Args;

use super::{Identifier, PeerArgument, failed, move_to::report};
use crate::cli::{
    failure::{Failure, Status},
    logging, runtime, server,
    settings_flags::SettingsFlags,
    trail::AuditTrail,
};
use filmroom_dimse::scu;

/// Arguments of `get`.
#[derive(Debug, Args)]
pub struct Get {
    #[command(flatten)]
    peer: PeerArgument,
    #[command(flatten)]
    identifier: Identifier,
    /// SOP class to offer instead of the usual ones; repeatable
    #[arg(long = "class", value_name = "UID")]
    classes: Vec<String>,
}

/// Storage SOP classes that are offered when nothing else is said (PS3.4 table B.5-1), below 1.2.840.10008.5.1.4.1.1: an
/// association has room for 127 presentation contexts, each class takes two.
const CLASSES: [&str; 60] = [
    "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "2", "2.1", "2.2", "3.1", "4", "4.1", "4.2", "4.3", "4.4", "6.1",
    "6.2", "7", "7.1", "7.2", "7.3", "7.4", "9.1.1", "9.1.2", "9.1.3", "9.2.1", "11.1", "11.2", "11.4", "11.11",
    "12.1", "12.1.1", "12.2", "12.2.1", "13.1.1", "13.1.3", "14.1", "20", "30", "66", "66.1", "66.3", "66.4", "77.1.1",
    "77.1.4", "77.1.5.1", "77.1.5.4", "77.1.6", "88.11", "88.22", "88.33", "88.59", "88.67", "104.1", "128", "130",
    "481.1", "481.2", "481.3", "481.5",
];

/// As stored, where the peer has it compressed: JPEG baseline, extended, lossless; JPEG-LS; JPEG 2000; RLE; HTJ2K.
const COMPRESSED: [&str; 11] = [
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.51",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.5",
];
const UNCOMPRESSED: [&str; 2] = ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2"];

impl Get {
    /// C-GET (PS3.4 §C.4.3) into the data folder.
    ///
    /// # Errors
    /// [`Failure`] when the peer does not come to an end, or the data folder cannot be had.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        logging::start(&config.log);
        let (peer, dimse) = self.peer.resolve(&config)?;
        let identifier = self.identifier.build(&[])?;
        let model = self.identifier.model.into();
        let texts = |list: &[&str]| list.iter().map(|uid| (*uid).to_owned()).collect::<Vec<_>>();
        let classes = match self.classes.is_empty() {
            true => CLASSES
                .iter()
                .map(|end| format!("1.2.840.10008.5.1.4.1.1.{end}"))
                .collect(),
            false => self.classes.clone(),
        };
        let offered: Vec<(String, Vec<String>)> = classes
            .into_iter()
            .flat_map(|class| [(class.clone(), texts(&UNCOMPRESSED)), (class, texts(&COMPRESSED))])
            .collect();
        let runtime = runtime::build(&config.run)?;
        let store = runtime.block_on(server::open_store(&config))?;
        let trail = runtime.block_on(AuditTrail::open(&config, &store))?;
        let ingest = trail.ingest(&store);
        let got = runtime.block_on(scu::get(&peer, dimse, model, &identifier, &offered, &ingest, |_| {}));
        drop(ingest);
        runtime.block_on(trail.close(&config.data.folder))?;
        runtime.block_on(server::close_store(&store, &config.data.folder))?;
        report(&peer, &got.map_err(|error| failed(&peer, &error))?, "stored")
    }
}
