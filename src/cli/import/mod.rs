//! `filmroom import`.

mod dicomdir;
mod journal;
mod progress;
mod stow;
mod take;
mod tally;
#[cfg(test)]
mod tests;
mod walk;
mod zip;

pub use self::tally::printable;

use std::{
    fs,
    panic::AssertUnwindSafe,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use clap::Args;

use self::{
    journal::{Forget, Journal},
    progress::Progress,
    stow::Stow,
    take::{Destination, Done, Rooms, Taker},
    tally::{Ending, Outcome, Refusal, Tally},
    walk::{Go, Item, Walk},
};
use super::{
    failure::{Failure, Status},
    logging, runtime,
    serve::Signals,
    server,
    settings_flags::SettingsFlags,
    standard_output,
    trail::AuditTrail,
};
use crate::config::{Config, LogFilter, Size, Source, Value};

/// Items found and not yet taken: a bound on memory.
const ITEMS_WAITING_MAX: usize = 512;
/// Progress is looked at so often.
const TICK: Duration = Duration::from_millis(100);
/// Instances under way at one time: commits are synced together, so that more of them cost no more.
const JOBS_DEFAULT: u32 = 16;

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// Files, folders (with all below), ZIP archives, DICOMDIR files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write the whole report to this file, as JSON
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Send to a running archive by STOW-RS instead of opening the data folder
    #[arg(long, value_name = "http://HOST:PORT")]
    to: Option<String>,
    /// A file with the token that the running archive knows us by (`filmroom token create NAME --role technologist`)
    #[arg(long, value_name = "FILE", requires = "to")]
    token_file: Option<PathBuf>,
    /// Remember in this file what is finished [default: in the data folder; with --to: nowhere]
    #[arg(long, value_name = "FILE")]
    journal: Option<PathBuf>,
    /// Read again what an earlier run finished
    #[arg(long)]
    again: bool,
    /// Instances under way at one time
    #[arg(long, value_name = "N", default_value_t = JOBS_DEFAULT, value_parser = clap::value_parser!(u32).range(1..=256))]
    jobs: u32,
    /// What one ZIP archive may unpack to; never less than a hundred times its own size
    #[arg(long, value_name = "SIZE", default_value = "4 GiB", value_parser = Size::from_text)]
    zip_max: Size,
}

impl Import {
    /// Imports to the end, or to a signal.
    ///
    /// # Errors
    /// [`Failure`] when it cannot begin, or had to stop; what was reported stored is safe.
    pub fn run(&self, settings: &SettingsFlags) -> Result<Status, Failure> {
        for path in &self.paths {
            fs::metadata(path).map_err(|error| Failure::io("read", path, &error))?;
        }
        let loaded = settings.load(None)?;
        let mut config = loaded.config.clone();
        let level = Config::settings()
            .into_iter()
            .find(|setting| setting.key == "log.level");
        if level.is_some_and(|level| loaded.source(&level) == Source::Default)
            && let Ok(warnings) = LogFilter::from_text("warn")
        {
            // The report says it all; a line an instance would drown it.
            config.log.level = warnings;
        }
        logging::start(&config.log);
        let runtime = runtime::build(&config.run)?;
        let stop = Arc::new(AtomicBool::new(false));
        match &self.to {
            Some(url) => {
                let token = self.token_file.as_ref().map(|path| {
                    let read = fs::read_to_string(path);
                    read.map_err(|error| Failure::io("read", path, &error))
                });
                let token = token.transpose()?;
                let stow = Stow::connect(url, token.as_deref().map(str::trim)).map_err(|why| {
                    Failure::new(
                        Status::Unavailable,
                        why,
                        "is `filmroom serve` running, and is the URL the one it printed?",
                    )
                })?;
                let journal = self
                    .journal
                    .as_deref()
                    .map(|path| self.open_journal(path))
                    .transpose()?;
                runtime.spawn(stop_at_signal(
                    runtime.block_on(async { Signals::new() })?,
                    Arc::clone(&stop),
                ));
                let progress = Progress::begin();
                let (tally, took, ending) = self.take_all(&stow, journal.as_ref(), &config, &progress, &stop);
                progress.end();
                self.report(&tally, took, &ending)
            }
            None => {
                let folder = &config.data.folder;
                let store = runtime.block_on(server::open_store(&config))?;
                let in_folder = folder.join("import").join("finished");
                let journal = self.open_journal(self.journal.as_deref().unwrap_or(&in_folder))?;
                runtime.spawn(stop_at_signal(
                    runtime.block_on(async { Signals::new() })?,
                    Arc::clone(&stop),
                ));
                let trail = runtime.block_on(AuditTrail::open(&config, &store))?;
                let rooms = Rooms {
                    ingest: trail.ingest(&store),
                    runtime: runtime.handle().clone(),
                };
                let progress = Progress::begin();
                let (tally, took, ending) = self.take_all(&rooms, Some(&journal), &config, &progress, &stop);
                progress.finishing("settling into packs");
                let settled = runtime.block_on(store.settle_now());
                progress.end();
                if let Err(error) = settled {
                    eprintln!("filmroom: not all has settled into packs yet: {error}; it will when the archive runs");
                }
                drop(rooms);
                runtime.block_on(trail.close(folder))?;
                runtime.block_on(server::close_store(&store, folder))?;
                self.report(&tally, took, &ending)
            }
        }
    }

    fn open_journal(&self, path: &Path) -> Result<Journal, Failure> {
        let forget = if self.again { Forget::All } else { Forget::Nothing };
        Journal::open(path, forget).map_err(|error| Failure::io("keep the import journal", path, &error))
    }

    fn take_all<D: Destination>(
        &self,
        destination: &D,
        journal: Option<&Journal>,
        config: &Config,
        progress: &Progress,
        stop: &AtomicBool,
    ) -> (Tally, Duration, Ending) {
        let walk = Walk {
            leave_out: config.data.folder.canonicalize().into_iter().collect(),
            zip_max_bytes: self.zip_max.0,
        };
        let run = Run {
            walk: &walk,
            jobs: self.jobs,
            journal,
            stop,
        };
        let tally = Tally::default();
        let began = Instant::now();
        let ending = run.all(&self.paths, destination, &tally, progress);
        (tally, began.elapsed(), ending)
    }

    fn report(&self, tally: &Tally, took: Duration, ending: &Ending) -> Result<Status, Failure> {
        standard_output(&tally.table(took, ending));
        if let Some(path) = &self.report {
            fs::write(path, tally.json(took, ending)).map_err(|error| Failure::io("write the report", path, &error))?;
        }
        conclude(tally, ending)
    }
}

fn conclude(tally: &Tally, ending: &Ending) -> Result<Status, Failure> {
    let counts = tally.counts();
    match ending {
        Ending::Stopped(why) => Err(Failure::new(
            Status::TryLater,
            format!("the import stopped before its end: {why}"),
            "run the same command again: it goes on where this one stopped",
        )),
        Ending::Complete if counts.refused + counts.quarantined > 0 => Ok(Status::Partly),
        Ending::Complete => Ok(Status::Done),
    }
}

async fn stop_at_signal(mut signals: Signals, stop: Arc<AtomicBool>) {
    signals.next().await;
    stop.store(true, Ordering::Relaxed);
    eprintln!("filmroom: finishing what is under way; a second signal ends at once");
    signals.next().await;
    std::process::exit(i32::from(Status::TryLater.code()));
}

/// How one import works.
struct Run<'a> {
    walk: &'a Walk,
    jobs: u32,
    journal: Option<&'a Journal>,
    stop: &'a AtomicBool,
}

impl Run<'_> {
    /// Walks, takes and counts on threads of its own until all is done, or something says stop.
    fn all<D: Destination>(&self, paths: &[PathBuf], destination: &D, tally: &Tally, progress: &Progress) -> Ending {
        let failed: Mutex<Option<String>> = Mutex::new(None);
        let (give, items) = mpsc::sync_channel::<Item>(ITEMS_WAITING_MAX);
        let items = Mutex::new(items);
        let go = || {
            if self.stop.load(Ordering::Relaxed) {
                Go::Stop
            } else {
                Go::On
            }
        };
        std::thread::scope(|scope| {
            let counting = scope.spawn(|| self.count(paths, progress));
            scope.spawn(move || {
                for path in paths {
                    let walked = self.walk.walk(path, &mut |item| match give.send(item) {
                        Ok(()) => go(),
                        Err(_) => Go::Stop,
                    });
                    if walked == Go::Stop {
                        return;
                    }
                }
            });
            let workers: Vec<_> = (0..self.jobs)
                .map(|_| {
                    scope.spawn(|| {
                        let taker = Taker {
                            destination,
                            journal: self.journal,
                        };
                        let mut buffer = Vec::new();
                        while go() == Go::On
                            && let Some(item) = next(&items)
                        {
                            let done = unharmed(&taker, &item, &mut buffer);
                            progress.done(done.bytes);
                            match done.outcome {
                                Ok(outcome) => tally.add(&done.path, done.bytes, outcome),
                                Err(why) => {
                                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(why);
                                    self.stop.store(true, Ordering::Relaxed);
                                }
                            }
                        }
                        // The walker may wait for room in the channel.
                        while go() == Go::Stop && next(&items).is_some() {}
                    })
                })
                .collect();
            let mut last_line = Instant::now();
            while !workers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                std::thread::sleep(TICK);
                progress.show(&tally.counts(), &mut last_line);
            }
            drop(counting);
        });
        let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (failed, self.stop.load(Ordering::Relaxed)) {
            (Some(why), _) => Ending::Stopped(why),
            (None, true) => Ending::Stopped("a signal asked for it".to_owned()),
            (None, false) => Ending::Complete,
        }
    }

    /// Walks ahead, so that the time left can be told.
    fn count(&self, paths: &[PathBuf], progress: &Progress) {
        for path in paths {
            let walked = self.walk.walk(path, &mut |item| {
                progress.expect(match item {
                    Item::File { path, .. } => length(&path),
                    Item::Entry { entry, .. } => entry.compressed_length,
                    Item::Settled { .. } => 0,
                });
                if self.stop.load(Ordering::Relaxed) {
                    Go::Stop
                } else {
                    Go::On
                }
            });
            if walked == Go::Stop {
                return;
            }
        }
        progress.expected_all();
    }
}

/// An item that trips over an error of ours is refused; the others go on.
fn unharmed<D: Destination>(taker: &Taker<'_, D>, item: &Item, buffer: &mut Vec<u8>) -> Done {
    std::panic::catch_unwind(AssertUnwindSafe(|| taker.take(item, buffer))).unwrap_or_else(|_| {
        let refusal = Refusal {
            reason: "an error in Filmroom itself: please report it",
            detail: "the log names the place".to_owned(),
        };
        Done {
            path: item.shown(),
            bytes: 0,
            outcome: Ok(Outcome::Refused(refusal)),
        }
    })
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map(|metadata| metadata.len()).unwrap_or_default()
}

fn next(items: &Mutex<mpsc::Receiver<Item>>) -> Option<Item> {
    items.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
}
