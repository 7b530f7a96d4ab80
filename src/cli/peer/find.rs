//! `filmroom find`.

use std::fmt::Write;

use clap::Args;
use filmroom_storage::model::Attributes;

use super::{Identifier, Level, PeerArgument, failed, refused};
use crate::cli::{
    failure::{Failure, Status},
    import::printable,
    logging, runtime,
    settings_flags::SettingsFlags,
    standard_output,
};
use filmroom_dimse::scu;

/// Arguments of `find`.
#[derive(Debug, Args)]
pub struct Find {
    #[command(flatten)]
    peer: PeerArgument,
    #[command(flatten)]
    identifier: Identifier,
    /// End after so many answers
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// One DICOM JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

/// Attributes that are asked for when nothing else is said, by level.
const PATIENT: [u32; 4] = [0x0010_0010, 0x0010_0020, 0x0010_0030, 0x0010_0040];
const STUDY: [u32; 11] = [
    0x0008_0020,
    0x0008_0030,
    0x0008_0050,
    0x0008_0061,
    0x0008_1030,
    0x0010_0010,
    0x0010_0020,
    0x0010_0030,
    0x0020_000D,
    0x0020_1206,
    0x0020_1208,
];
const SERIES: [u32; 5] = [0x0008_0060, 0x0008_103E, 0x0020_000E, 0x0020_0011, 0x0020_1209];
const IMAGE: [u32; 4] = [0x0008_0016, 0x0008_0018, 0x0020_0013, 0x0028_0008];

impl Find {
    /// C-FIND (PS3.4 §C.4.1).
    ///
    /// # Errors
    /// [`Failure`] when the peer does not answer to the end.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        logging::start(&config.log);
        let (peer, dimse) = self.peer.resolve(&config)?;
        let wanted: &[u32] = match self.identifier.level {
            Level::Patient => &PATIENT,
            Level::Study => &STUDY,
            Level::Series => &SERIES,
            Level::Image => &IMAGE,
        };
        let identifier = self.identifier.build(wanted)?;
        let mut count = 0;
        let on_answer = |answer: Attributes| {
            count += 1;
            standard_output(&if self.json { json(&answer) } else { text(count, &answer) });
            self.limit.is_none_or(|limit| count < limit)
        };
        let ended = runtime::build(&config.run)?
            .block_on(scu::find(
                &peer,
                dimse,
                self.identifier.model.into(),
                &identifier,
                on_answer,
            ))
            .map_err(|error| failed(&peer, &error))?;
        if !self.json {
            eprintln!("{count} answers");
        }
        let enough = self.limit.is_some_and(|limit| count >= limit);
        if ended.status == filmroom_dimse::Status::SUCCESS || enough {
            Ok(Status::Done)
        } else {
            Err(refused(&peer, &ended))
        }
    }
}

fn json(answer: &Attributes) -> String {
    let mut line = Vec::new();
    filmroom_dataset::write_json_attributes(&mut line, answer);
    line.push(b'\n');
    String::from_utf8_lossy(&line).into_owned()
}

fn text(number: u64, answer: &Attributes) -> String {
    let mut text = format!("{number}\n");
    for element in answer
        .iter()
        .filter(|element| !element.value.is_empty() && element.vr != *b"SQ")
    {
        let tag = format!("{:08X}", element.tag);
        let name = filmroom_dataset::keyword(element.tag).unwrap_or(&tag);
        let _ = writeln!(text, "  {name:<36} {}", printable(element.text()));
    }
    text
}
