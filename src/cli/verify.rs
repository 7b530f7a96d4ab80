//! `filmroom verify`.

use std::{
    fs,
    io::IsTerminal,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Args;
use filmroom_storage::store::{Store, VerifyOptions, VerifyReport};
use indicatif::{BinaryBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    failure::{Failure, Status},
    import::printable,
    logging, runtime,
    server::{close_store, open_store},
    settings_flags::SettingsFlags,
    standard_output,
};
use crate::config::{Size, Value};

/// A plain line comes so often.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// How often the place to go on from is written down.
const REMEMBER_EVERY: Duration = Duration::from_secs(5);
/// So many problems are printed; the report names more.
const PRINTED_MAX: usize = 20;

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Read no faster than this each second, such as "50 MiB"
    #[arg(long, value_name = "BYTES")]
    rate: Option<String>,
    /// Begin anew, also where an earlier run was stopped on the way
    #[arg(long)]
    restart: bool,
    /// Print the whole report as JSON, on standard output
    #[arg(long)]
    json: bool,
    /// Write the whole report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

impl Verify {
    /// Reads everything that is stored and compares it with what is known of it.
    ///
    /// # Errors
    /// [`Failure`] when the data folder cannot be had, or the run was stopped. What is wrong is in the report.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        let config = settings.load(None)?.config;
        let folder = config.data.folder.clone();
        let rate = self.rate.as_deref().map(rate).transpose()?;
        // A name that is mistyped must not become an empty archive.
        fs::metadata(&folder).map_err(|error| Failure::io("read the data folder", &folder, &error))?;
        logging::start(&config.log);
        let began = Instant::now();
        let runtime = runtime::build(&config.run)?;
        let report = runtime.block_on(async {
            let store = open_store(&config).await?;
            let resume = match self.restart {
                true => None,
                false => store.stopped_verification(),
            };
            if let Some(report) = &resume {
                eprintln!("verify: goes on where it was stopped, {} objects in", report.objects);
            }
            let options = VerifyOptions {
                bytes_per_second: rate,
                resume,
            };
            let mut shown = Shown::new(&store);
            let verified = tokio::select! {
                verified = store.verify(options, |report| shown.show(report)) => {
                    verified.map_err(|error| Failure::store(&folder, &error))
                }
                _ = tokio::signal::ctrl_c() => Err(Failure::new(
                    Status::TryLater,
                    "stopped before everything was verified",
                    "`filmroom verify` goes on from here",
                )),
            };
            shown.end(verified.is_ok());
            close_store(&store, &folder).await?;
            verified
        })?;
        self.print(&report, began)?;
        Ok(if report.is_sound() { Status::Done } else { Status::Data })
    }

    fn print(&self, report: &VerifyReport, began: Instant) -> Result<(), Failure> {
        let json = serde_json::to_string_pretty(report)
            .map_err(|error| Failure::new(Status::Software, format!("the report cannot be written: {error}"), ""))?;
        if let Some(path) = &self.report {
            fs::write(path, format!("{json}\n")).map_err(|error| Failure::io("write the report", path, &error))?;
        }
        if self.json {
            standard_output(&format!("{json}\n"));
            return Ok(());
        }
        standard_output(&format!(
            "{}, in {:.1} s\n",
            summary(report),
            began.elapsed().as_secs_f64()
        ));
        for problem in report.problems.iter().take(PRINTED_MAX) {
            eprintln!("  {}: {}", printable(&problem.place), printable(&problem.sentence));
        }
        let printed = report.problems.len().min(PRINTED_MAX) as u64;
        if report.problems_found > printed {
            eprintln!("  … and {} more (--report FILE)", report.problems_found - printed);
        }
        Ok(())
    }
}

fn rate(text: &str) -> Result<u64, Failure> {
    match Size::from_text(text) {
        Ok(Size(bytes)) if bytes > 0 => Ok(bytes),
        Ok(_) => Err(Failure::new(Status::Usage, "--rate must be more than nothing", "")),
        Err(error) => Err(Failure::new(Status::Usage, format!("--rate {text:?}: {error}"), "")),
    }
}

/// Shows how far it is, and writes down where to go on.
struct Shown<'a> {
    bar: Option<ProgressBar>,
    store: &'a Store,
    began: Instant,
    /// Bytes that an earlier run had read.
    skipped: Option<u64>,
    last_line: Instant,
    last_place: Instant,
    last: Option<VerifyReport>,
}

impl<'a> Shown<'a> {
    fn new(store: &'a Store) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let template = "{bar:30.cyan/black} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left  {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━━─"));
            }
            bar
        });
        let now = Instant::now();
        Self {
            bar,
            store,
            began: now,
            skipped: None,
            last_line: now,
            last_place: now,
            last: None,
        }
    }

    fn show(&mut self, report: &VerifyReport) {
        let skipped = *self.skipped.get_or_insert(report.bytes);
        if let Some(bar) = &self.bar {
            bar.set_length(report.bytes_expected.max(report.bytes));
            bar.set_position(report.bytes);
            bar.set_message(problems(report));
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let rate = report.bytes.saturating_sub(skipped) as f64 / self.began.elapsed().as_secs_f64().max(0.001);
            eprintln!(
                "verify: {} of {}, {}/s; {}",
                BinaryBytes(report.bytes),
                BinaryBytes(report.bytes_expected.max(report.bytes)),
                BinaryBytes(rate as u64),
                summary(report)
            );
        }
        if self.last_place.elapsed() >= REMEMBER_EVERY {
            self.last_place = Instant::now();
            remember(self.store, report);
        }
        self.last = Some(report.clone());
    }

    fn end(self, is_done: bool) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        if is_done {
            // A place that stays is one to go on from, and what it says is done.
            let _ = self.store.forget_verification();
        } else if let Some(last) = &self.last {
            remember(self.store, last);
        }
    }
}

/// A place that cannot be written costs no more than reading again.
fn remember(store: &Store, report: &VerifyReport) {
    if let Err(error) = store.remember_verification(report) {
        tracing::warn!(%error, "where to go on cannot be written down");
    }
}

fn problems(report: &VerifyReport) -> String {
    match report.problems_found {
        0 => "no problems".to_owned(),
        1 => "1 problem".to_owned(),
        many => format!("{many} problems"),
    }
}

fn summary(report: &VerifyReport) -> String {
    let mut parts = vec![
        format!("{} objects", report.objects),
        format!("{} instances ({})", report.instances, BinaryBytes(report.bytes)),
        format!("{} decisions", report.decisions),
    ];
    for (count, words) in [
        (report.state_records, "records of state"),
        (report.keys, "keys"),
        (report.repaired, "objects repaired"),
        (report.removed, "needless packs removed"),
        (report.adopted, "instances indexed again"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    parts.push(problems(report));
    parts.join(", ")
}
