//! `filmroom rebuild`.

use std::{
    fs,
    io::IsTerminal,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use filmroom_storage::store::{RebuildReport, Store};
use indicatif::{BinaryBytes, ProgressBar};

use super::{
    failure::{Failure, Status},
    import::printable,
    logging, runtime,
    settings_flags::SettingsFlags,
    standard_output,
};
use filmroom_dataset::DataSetDescriber;

/// A plain line comes so often.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// So many problems are printed; the report names all.
const PRINTED_MAX: usize = 20;

/// Arguments of `rebuild`.
#[derive(Debug, Args)]
pub struct Rebuild {
    /// Write the whole report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Rebuild {
    /// Makes the index anew from packs and intake.
    ///
    /// # Errors
    /// [`Failure`] when the data folder cannot be had. What single packs lack is in the report.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        let folder = &config.data.folder;
        // A name that is mistyped must not become an empty archive.
        fs::metadata(folder).map_err(|error| Failure::io("read the data folder", folder, &error))?;
        logging::start(&config.log);
        let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
        let shown = bar.clone();
        let began = Instant::now();
        let mut last_line = Instant::now();
        let progress = move |report: &RebuildReport| match &shown {
            Some(bar) => {
                bar.set_message(summary(report, began));
                bar.tick();
            }
            None if last_line.elapsed() >= LINE_EVERY => {
                last_line = Instant::now();
                eprintln!("rebuild: {}", summary(report, began));
            }
            None => {}
        };
        let rebuilt = runtime::build(&config.run)?.block_on(Store::rebuild(
            super::server::store_options(&config)?,
            Arc::new(DataSetDescriber),
            progress,
        ));
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        let report = rebuilt.map_err(|error| Failure::store(folder, &error))?;
        standard_output(&format!("{}\n", summary(&report, began)));
        for problem in report.problems.iter().take(PRINTED_MAX) {
            eprintln!("  {}", printable(problem));
        }
        if report.problems.len() > PRINTED_MAX {
            eprintln!(
                "  … and {} more (--report FILE names them)",
                report.problems.len() - PRINTED_MAX
            );
        }
        if let Some(path) = &self.report {
            let json = serde_json::to_string_pretty(&report).map_err(|error| {
                Failure::new(Status::Software, format!("the report cannot be written: {error}"), "")
            })?;
            fs::write(path, json + "\n").map_err(|error| Failure::io("write the report", path, &error))?;
        }
        Ok(if report.problems.is_empty() {
            Status::Done
        } else {
            Status::Partly
        })
    }
}

fn summary(report: &RebuildReport, began: Instant) -> String {
    format!(
        "{} packs with {} instances ({}), {} from the intake, {} problems, in {:.1} s",
        report.packs,
        report.instances,
        BinaryBytes(report.bytes),
        report.from_intake,
        report.problems.len(),
        began.elapsed().as_secs_f64()
    )
}
