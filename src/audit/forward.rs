//! Sends the log on, entry by entry, to syslog receivers. The log itself is the spool: a place in it is kept for each
//! destination, so that what could not be sent is sent later, over restarts, and nothing is ever left out.
//!
//! Syslog has no acknowledgement. What was sent within the last seconds before a line broke may not have arrived, and is sent
//! again: a receiver may get an event twice, and gets each once at least (but by UDP, where nobody knows).

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::{
    error::AuditError,
    log::Log,
    shared::replace,
    syslog::{Destination, Line, Sender, Transport},
    xml::Instances,
};

/// First pause after a failure; each is twice the one before.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// What was sent so long ago over a line that still holds has arrived.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
/// The place is written down so often.
const KEPT_EVERY: Duration = Duration::from_secs(2);

/// How far a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Place {
    /// Entries before this one have arrived.
    next: u64,
    /// Size of the latest checkpoint that was sent.
    checkpoint: u64,
}

/// How it goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Entries that were sent.
    pub sent: u64,
    /// Entries that could not be read, and were left out.
    pub damaged: u64,
    /// Why nothing is sent at the moment.
    pub problem: Option<String>,
}

/// Sends on to one destination.
pub struct Forwarder {
    log: Log,
    destination: Destination,
    sender: Sender,
    path: PathBuf,
    place: Place,
    kept: Place,
    kept_at: Instant,
    /// What was sent, and when, that may not have arrived.
    on_the_way: std::collections::VecDeque<(Instant, Place)>,
    progress: watch::Sender<Progress>,
}

/// The file that keeps the place of a destination, by what the destination is.
fn place_path(folder: &Path, destination: &Destination) -> PathBuf {
    let kind = match destination.transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls(_) => "tls",
    };
    let name = format!("{kind}:{}:{}", destination.host, destination.port);
    // Of a host's name only what no path minds.
    let plain: String = name
        .chars()
        .map(|character| {
            if character.is_ascii_alphanumeric() {
                character
            } else {
                '-'
            }
        })
        .collect();
    folder
        .join("sent")
        .join(format!("{plain}-{:08x}", crc32fast::hash(name.as_bytes())))
}

impl Forwarder {
    /// Takes up where it was left; a new destination gets the whole log. Blocks.
    ///
    /// # Errors
    /// [`AuditError::Io`] when the place cannot be read or kept.
    pub fn open(log: Log, destination: Destination, sender: Sender) -> Result<Self, AuditError> {
        let path = place_path(&log.shared().folder, &destination);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let place = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Place::default(),
            // Rather twice than never.
            read => serde_json::from_slice(&read?).unwrap_or_default(),
        };
        Ok(Self {
            log,
            destination,
            sender,
            path,
            place,
            kept: place,
            kept_at: Instant::now(),
            on_the_way: std::collections::VecDeque::new(),
            progress: watch::Sender::new(Progress::default()),
        })
    }

    /// Told of how it goes.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Sends until it is told to stop, which is when `stop` returns.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let mut pause = PAUSE_MIN;
        loop {
            let began = self.place.next;
            let problem = tokio::select! {
                () = &mut stop => break,
                problem = self.send_on() => problem,
            };
            self.roll_back();
            if self.place.next > began {
                pause = PAUSE_MIN;
            }
            let is_new = self.progress.borrow().problem.is_none();
            if is_new {
                tracing::warn!(
                    host = self.destination.host,
                    port = self.destination.port,
                    error = %problem,
                    "audit events cannot be sent on; they wait in the log"
                );
            }
            self.progress
                .send_modify(|progress| progress.problem = Some(problem.to_string()));
            tokio::select! {
                () = &mut stop => break,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
        self.settle(Instant::now());
        self.keep();
    }

    /// Sends over one line, until it breaks.
    async fn send_on(&mut self) -> io::Error {
        let mut line = match Line::connect(&self.destination).await {
            Ok(line) => line,
            Err(error) => return error,
        };
        let mut grown = self.log.watch();
        loop {
            let size = *grown.borrow_and_update();
            while self.place.next < size {
                if let Err(error) = self.send_next(&mut line).await {
                    return error;
                }
            }
            if let Err(error) = self.send_checkpoint(&mut line).await {
                return error;
            }
            self.settle(Instant::now());
            if self.kept_at.elapsed() >= KEPT_EVERY {
                self.keep();
            }
            tokio::select! {
                error = line.closed() => return error,
                changed = grown.changed() => {
                    if changed.is_err() {
                        return io::Error::other("the log was closed");
                    }
                }
                () = tokio::time::sleep(KEPT_EVERY), if self.kept != self.place => {}
            }
        }
    }

    async fn send_next(&mut self, line: &mut Line) -> io::Result<()> {
        let (log, index) = (self.log.clone(), self.place.next);
        let read = tokio::task::spawn_blocking(move || log.entry(index)).await?;
        match read {
            Ok(entry) => {
                let mut message = self.sender.message(&entry, Instances::Named);
                if message.len() > line.bytes_max() {
                    message = self.sender.message(&entry, Instances::Counted);
                }
                // What is longer still is a query or a detail: the receiver gets its beginning, as RFC 5426 §3.2 has it.
                message.truncate(line.bytes_max());
                line.send(&message).await?;
                self.progress.send_modify(|progress| {
                    progress.sent += 1;
                    progress.problem = None;
                });
            }
            Err(AuditError::Damaged { .. }) => self.progress.send_modify(|progress| progress.damaged += 1),
            Err(error) => return Err(io::Error::other(error)),
        }
        self.advance(line, |place| place.next += 1);
        Ok(())
    }

    async fn send_checkpoint(&mut self, line: &mut Line) -> io::Result<()> {
        let latest = self.log.latest_checkpoint();
        if let Some(latest) = latest.filter(|latest| latest.size > self.place.checkpoint) {
            line.send(&self.sender.checkpoint(&latest)).await?;
            self.advance(line, |place| place.checkpoint = latest.size);
        }
        Ok(())
    }

    fn advance(&mut self, line: &Line, step: impl FnOnce(&mut Place)) {
        step(&mut self.place);
        if !line.is_stream() {
            self.on_the_way.clear();
            return;
        }
        let now = Instant::now();
        // One mark for many: 50 ms apart.
        if self
            .on_the_way
            .back()
            .is_none_or(|(at, _)| now.duration_since(*at) >= Duration::from_millis(50))
        {
            self.on_the_way.push_back((now, self.place));
        } else if let Some((_, place)) = self.on_the_way.back_mut() {
            *place = self.place;
        }
        self.settle(now);
    }

    /// Forgets what has arrived.
    fn settle(&mut self, now: Instant) {
        while self
            .on_the_way
            .front()
            .is_some_and(|(at, _)| now.duration_since(*at) >= SETTLED_AFTER)
        {
            if let Some((_, place)) = self.on_the_way.pop_front() {
                self.kept = Place {
                    next: self.kept.next.max(place.next),
                    checkpoint: self.kept.checkpoint.max(place.checkpoint),
                };
            }
        }
        if self.on_the_way.is_empty() {
            self.kept = self.place;
        }
    }

    /// Goes back to what has surely arrived.
    fn roll_back(&mut self) {
        self.settle(Instant::now());
        self.place = self.kept;
        self.on_the_way.clear();
        self.keep();
    }

    fn keep(&mut self) {
        self.kept_at = Instant::now();
        let written = serde_json::to_vec(&self.kept)
            .map_err(io::Error::other)
            .and_then(|bytes| replace(&self.path, &bytes));
        if let Err(error) = written {
            tracing::warn!(%error, "how far the audit log was sent on cannot be kept: some of it will be sent again");
        }
    }
}
