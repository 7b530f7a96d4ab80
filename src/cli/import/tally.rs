//! What became of each item, counted and reported.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;

/// Refused items are named in the report up to so many; beyond, they are only counted.
const NAMED_MAX: usize = 100_000;
/// So many examples of each reason stand in the table.
const EXAMPLES: usize = 3;

/// What became of one item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// New in the archive, and safe.
    Stored,
    /// The same instance was there already.
    AlreadyStored,
    /// An earlier run finished it.
    FinishedEarlier,
    /// Another instance has its UID; it is kept apart, safe, for a person to decide on.
    Quarantined(String),
    /// Not taken.
    Refused(Refusal),
    /// Nothing for an archive.
    Skipped(Skipped),
}

/// Why an item was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// A kind of reason, the same for all items that it holds for.
    pub reason: &'static str,
    /// This item's own.
    pub detail: String,
}

/// What is passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// Not DICOM.
    NotDicom,
    /// The directory of a medium; what it lists is imported.
    MediaDirectory,
    /// Symbolic links could lead anywhere, or in circles.
    SymbolicLink,
    /// A device, pipe or socket.
    SpecialFile,
    /// An archive within an archive.
    NestedArchive,
}

impl Skipped {
    fn words(self) -> &'static str {
        match self {
            Self::NotDicom => "not DICOM",
            Self::MediaDirectory => "media directories (DICOMDIR)",
            Self::SymbolicLink => "symbolic links, not followed",
            Self::SpecialFile => "devices, pipes and sockets",
            Self::NestedArchive => "archives within archives: unpack them first",
        }
    }
}

/// An item that needs a person's look.
#[derive(Debug, Clone, Serialize)]
struct Named {
    path: String,
    reason: String,
    detail: String,
}

/// The counts so far.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counts {
    /// New in the archive.
    pub stored: u64,
    /// Were there already.
    pub already_stored: u64,
    /// Finished by an earlier run.
    pub finished_earlier: u64,
    /// Kept apart.
    pub quarantined: u64,
    /// Not taken.
    pub refused: u64,
    /// Passed over, by kind.
    pub skipped: BTreeMap<Skipped, u64>,
    /// Bytes read.
    pub bytes: u64,
}

impl Counts {
    /// Items passed over, all kinds together.
    #[must_use]
    pub fn skipped_sum(&self) -> u64 {
        self.skipped.values().sum()
    }
}

#[derive(Debug, Default)]
struct Inner {
    counts: Counts,
    refused: Vec<Named>,
    quarantined: Vec<Named>,
}

/// Counts from many threads.
#[derive(Debug, Default)]
pub struct Tally(Mutex<Inner>);

/// How an import ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// Everything was looked at.
    Complete,
    /// A signal, or a failure that holds for all that follows: the sentence.
    Stopped(String),
}

#[derive(Serialize)]
struct Report<'a> {
    complete: bool,
    stopped_because: Option<&'a str>,
    seconds: f64,
    #[serde(flatten)]
    counts: &'a Counts,
    refused_items: &'a [Named],
    quarantined_items: &'a [Named],
    items_not_named: u64,
}

impl Tally {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Counts are whole after each statement, so a panic elsewhere spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an item.
    pub fn add(&self, path: &str, bytes: u64, outcome: Outcome) {
        let mut inner = self.inner();
        let inner = &mut *inner;
        inner.counts.bytes += bytes;
        match outcome {
            Outcome::Stored => inner.counts.stored += 1,
            Outcome::AlreadyStored => inner.counts.already_stored += 1,
            Outcome::FinishedEarlier => inner.counts.finished_earlier += 1,
            Outcome::Quarantined(detail) => {
                inner.counts.quarantined += 1;
                name(&mut inner.quarantined, path, "quarantined", detail);
            }
            Outcome::Refused(refusal) => {
                inner.counts.refused += 1;
                name(&mut inner.refused, path, refusal.reason, refusal.detail);
            }
            Outcome::Skipped(kind) => *inner.counts.skipped.entry(kind).or_default() += 1,
        }
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.inner().counts.clone()
    }

    /// The report for people.
    #[must_use]
    pub fn table(&self, took: Duration, ending: &Ending) -> String {
        let inner = self.inner();
        let counts = &inner.counts;
        let mut table = String::new();
        let mut row = |count: u64, words: &str| {
            if count > 0 {
                let _ = writeln!(table, "{count:>12}  {words}");
            }
        };
        row(counts.stored, "stored");
        row(counts.already_stored, "already there");
        row(
            counts.finished_earlier,
            "finished by an earlier run (--again reads them once more)",
        );
        row(counts.quarantined, "kept apart: another instance has the same UID");
        row(counts.refused, "refused");
        for (kind, count) in &counts.skipped {
            row(*count, kind.words());
        }
        if table.is_empty() {
            table.push_str("   nothing was found\n");
        }
        let seconds = took.as_secs_f64().max(0.001);
        let _ = writeln!(
            table,
            "\n{} in {seconds:.1} s: {:.0} instances/s, {}/s",
            indicatif::BinaryBytes(counts.bytes),
            (counts.stored + counts.already_stored + counts.quarantined) as f64 / seconds,
            indicatif::BinaryBytes((counts.bytes as f64 / seconds) as u64),
        );
        reasons(&mut table, "refused", &inner.refused);
        reasons(&mut table, "kept apart", &inner.quarantined);
        if let Ending::Stopped(why) = ending {
            let _ = writeln!(
                table,
                "\nstopped before the end: {why}\nthe same command goes on where this one stopped"
            );
        }
        table
    }

    /// The report for programs: one JSON object.
    #[must_use]
    pub fn json(&self, took: Duration, ending: &Ending) -> String {
        let inner = self.inner();
        let named = (inner.refused.len() + inner.quarantined.len()) as u64;
        let report = Report {
            complete: *ending == Ending::Complete,
            stopped_because: match ending {
                Ending::Complete => None,
                Ending::Stopped(why) => Some(why),
            },
            seconds: took.as_secs_f64(),
            counts: &inner.counts,
            refused_items: &inner.refused,
            quarantined_items: &inner.quarantined,
            items_not_named: (inner.counts.refused + inner.counts.quarantined).saturating_sub(named),
        };
        serde_json::to_string_pretty(&report).unwrap_or_default() + "\n"
    }
}

fn name(list: &mut Vec<Named>, path: &str, reason: &str, detail: String) {
    if list.len() < NAMED_MAX {
        list.push(Named {
            path: path.to_owned(),
            reason: reason.to_owned(),
            detail,
        });
    }
}

fn reasons(table: &mut String, heading: &str, list: &[Named]) {
    let mut by_reason: BTreeMap<&str, Vec<&Named>> = BTreeMap::new();
    for named in list {
        by_reason.entry(&named.reason).or_default().push(named);
    }
    for (reason, items) in by_reason {
        let _ = writeln!(table, "\n{heading}, {reason}: {}", items.len());
        for item in items.iter().take(EXAMPLES) {
            let _ = writeln!(table, "    {}: {}", printable(&item.path), printable(&item.detail));
        }
        if items.len() > EXAMPLES {
            let _ = writeln!(
                table,
                "    … and {} more (--report FILE names them all)",
                items.len() - EXAMPLES
            );
        }
    }
}

/// Names come from media of anybody's making: control characters would drive the terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
