//! Says how far an import is: a bar on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use indicatif::{BinaryBytes, HumanDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::tally::Counts;

/// A plain line comes so often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How far it is. Shared by all threads.
pub struct Progress {
    bar: Option<ProgressBar>,
    total_bytes: AtomicU64,
    total_known: AtomicBool,
    done_bytes: AtomicU64,
    began: Instant,
}

impl Progress {
    /// Begins to show.
    #[must_use]
    pub fn begin() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(10));
            let template = "{bar:30.cyan/black} {binary_bytes} of {binary_total_bytes}  {binary_bytes_per_sec}  {eta} left  {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("━━─"));
            }
            bar
        });
        Self {
            bar,
            total_bytes: AtomicU64::new(0),
            total_known: AtomicBool::new(false),
            done_bytes: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    /// More was found to do.
    pub fn expect(&self, bytes: u64) {
        self.total_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc_length(bytes);
        }
    }

    /// All that there is to do is known now.
    pub fn expected_all(&self) {
        self.total_known.store(true, Ordering::Relaxed);
    }

    /// Some of it is done.
    pub fn done(&self, bytes: u64) {
        self.done_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.inc(bytes);
        }
    }

    /// Shows the counts: at once on a terminal, else a line when one is due. Returns when the next should come.
    pub fn show(&self, counts: &Counts, last_line: &mut Instant) {
        if let Some(bar) = &self.bar {
            bar.set_message(summary(counts));
        } else if last_line.elapsed() >= LINE_EVERY {
            *last_line = Instant::now();
            eprintln!("import: {}", self.line(counts));
        }
    }

    fn line(&self, counts: &Counts) -> String {
        let done = self.done_bytes.load(Ordering::Relaxed);
        let total = self.total_bytes.load(Ordering::Relaxed).max(done);
        let rate = done as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let left = match self.total_known.load(Ordering::Relaxed) && rate > 0.0 {
            true => {
                let left = Duration::try_from_secs_f64((total - done) as f64 / rate).unwrap_or(Duration::MAX);
                format!("{} left", HumanDuration(left))
            }
            false => "still counting".to_owned(),
        };
        format!(
            "{} of {}, {}/s, {left}; {}",
            BinaryBytes(done),
            BinaryBytes(total),
            BinaryBytes(rate as u64),
            summary(counts)
        )
    }

    /// Shows something that takes its time after all is read.
    pub fn finishing(&self, message: &'static str) {
        match &self.bar {
            Some(bar) => bar.set_message(message),
            None => eprintln!("import: {message}"),
        }
    }

    /// Removes the bar.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn summary(counts: &Counts) -> String {
    let mut parts = vec![format!("{} stored", counts.stored)];
    for (count, words) in [
        (counts.already_stored + counts.finished_earlier, "already there"),
        (counts.quarantined, "kept apart"),
        (counts.refused, "refused"),
        (counts.skipped_sum(), "passed over"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {words}"));
        }
    }
    parts.join(", ")
}
