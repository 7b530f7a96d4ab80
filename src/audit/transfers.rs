//! Transfers: instances of one study that go from one to another one after the other are one transfer, recorded when it begins
//! (110102) and when it has ended (110104, with all that went).
//!
//! Whoever fetches a thousand frames leaves two events and not a thousand, and the first is in the log before the first frame
//! leaves. A transfer has ended when nothing came for a while, when it has as many instances as an event may name, when there
//! are too many, or with the process.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use crate::{
    codes::{Action, Outcome, Purpose},
    error::AuditError,
    event::{Detail, Event, INSTANCES_MAX, Patient, SopClass, Study, bounded},
    events::{self, Parties},
    log::Audit,
};

/// Bytes of the longest UID; what peers call one may be longer.
const UID_BYTES_MAX: usize = 64;

/// What makes transfers the same: who, from where, what for, which study.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferKey {
    /// Who wants it, and where it is: name and address.
    pub requestor: String,
    /// Who receives.
    pub receiver: String,
    /// By which service: a word.
    pub service: &'static str,
    /// Study Instance UID.
    pub study_instance_uid: String,
    /// True for one of instances that could not be transferred.
    pub is_failed: bool,
}

/// What is said of a transfer when it begins.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// From whom to whom.
    pub parties: Parties,
    /// [`Action::Create`] where instances are new to the receiver, else [`Action::Read`].
    pub action: Action,
    /// Whose study.
    pub patient: Patient,
    /// Accession number of the study.
    pub accession_number: String,
    /// What for, where it is known.
    pub purpose: Option<Purpose>,
}

/// One thing that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// Series Instance UID; empty: not of one series.
    pub series_instance_uid: &'a str,
    /// SOP Class UID; empty: not known.
    pub sop_class_uid: &'a str,
    /// SOP Instance UID; empty: not of one instance.
    pub sop_instance_uid: &'a str,
    /// What of it: `instances`, `metadata`, `frames`, `rendered`, ….
    pub what: &'static str,
}

/// The transfers under way.
#[derive(Clone)]
pub struct Transfers {
    audit: Audit,
    limits: Limits,
    open: Arc<Mutex<HashMap<TransferKey, Open>>>,
}

/// When a transfer has ended.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Nothing came for so long.
    pub quiet: Duration,
    /// It has been going on for so long.
    pub longest: Duration,
    /// Most transfers at one time.
    pub open_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(10),
            longest: Duration::from_secs(300),
            open_max: 4096,
        }
    }
}

/// A transfer under way.
struct Open {
    transfer: Transfer,
    /// Set when its beginning is in the log.
    begun: Arc<OnceCell<()>>,
    since: Instant,
    last: Instant,
    series: BTreeSet<String>,
    classes: BTreeMap<String, BTreeSet<String>>,
    named: usize,
    /// How many of each kind went.
    went: BTreeMap<&'static str, u64>,
}

impl Transfers {
    /// Keeps transfers of a log.
    #[must_use]
    pub fn new(audit: Audit, limits: Limits) -> Self {
        Self {
            audit,
            limits,
            open: Arc::new(Mutex::new(HashMap::new())),
        }
    }

    /// The log.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// Says that something goes. Where no transfer of this kind is under way, one begins, which is in the log when this returns;
    /// those that come at the same time wait for the one beginning.
    ///
    /// # Errors
    /// [`AuditError`]: nothing must go.
    pub async fn went(
        &self,
        key: TransferKey,
        item: Item<'_>,
        began: impl FnOnce() -> Transfer,
    ) -> Result<(), AuditError> {
        if self.add_to_begun(&key, item) {
            return Ok(());
        }
        // It may look into the index: not under the lock.
        let transfer = began();
        let beginning = transfer.begin(&key, item);
        let (begun, ended) = self.open(&key, item, transfer);
        let recorded = begun
            .get_or_try_init(|| {
                let recording = self.audit.record(beginning);
                async move { recording.await.map(drop) }
            })
            .await
            .map(|_| ());
        if recorded.is_err() {
            let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, open| !Arc::ptr_eq(&open.begun, &begun));
        }
        self.record(ended).await.and(recorded)
    }

    /// Adds to a transfer whose beginning is in the log, if it takes one more.
    fn add_to_begun(&self, key: &TransferKey, item: Item<'_>) -> bool {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(key) {
            Some(open) if open.begun.initialized() && open.takes_more(&self.limits) => {
                open.add(item);
                true
            }
            _ => false,
        }
    }

    /// Takes up a transfer, or the one that another has taken up meanwhile; returns those that it ends.
    fn open(
        &self,
        key: &TransferKey,
        item: Item<'_>,
        transfer: Transfer,
    ) -> (Arc<OnceCell<()>>, Vec<(TransferKey, Open)>) {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(key).filter(|open| open.takes_more(&self.limits)) {
            open.add(item);
            return (Arc::clone(&open.begun), Vec::new());
        }
        let mut ended = Vec::new();
        if all.len() >= self.limits.open_max
            && let Some(oldest) = all.iter().min_by_key(|(_, open)| open.last).map(|(key, _)| key.clone())
        {
            ended.extend(all.remove_entry(&oldest));
        }
        let mut open = Open::new(transfer);
        open.add(item);
        let begun = Arc::clone(&open.begun);
        ended.extend(all.insert(key.clone(), open).map(|before| (key.clone(), before)));
        (begun, ended)
    }

    /// Ends those transfers that a caller knows to have ended, so that they are recorded at once.
    ///
    /// # Errors
    /// [`AuditError`]: those that are not recorded are lost, and that they began is in the log.
    pub async fn end(&self, is_meant: impl Fn(&TransferKey) -> bool) -> Result<(), AuditError> {
        let ended: Vec<_> = {
            let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            all.extract_if(|key, _| is_meant(key)).collect()
        };
        self.record(ended).await
    }

    /// Ends those in which nothing goes any more.
    ///
    /// # Errors
    /// As [`Transfers::end`].
    pub async fn sweep(&self) -> Result<(), AuditError> {
        let limits = self.limits;
        let ended: Vec<_> = {
            let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            all.extract_if(|_, open| open.last.elapsed() >= limits.quiet || open.since.elapsed() >= limits.longest)
                .collect()
        };
        self.record(ended).await
    }

    async fn record(&self, ended: Vec<(TransferKey, Open)>) -> Result<(), AuditError> {
        let mut waiting = Vec::new();
        for (key, open) in ended {
            waiting.push(self.audit.enqueue(open.event(&key)).await?);
        }
        for recorded in waiting {
            recorded.await?;
        }
        Ok(())
    }

    /// Sweeps until it is told to stop, then ends all that is under way.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        let pause = (self.limits.quiet / 4).clamp(Duration::from_millis(50), Duration::from_secs(5));
        loop {
            let is_stopped = tokio::select! {
                () = &mut stop => true,
                () = tokio::time::sleep(pause) => false,
            };
            let ended = if is_stopped {
                self.end(|_| true).await
            } else {
                self.sweep().await
            };
            if let Err(error) = ended {
                tracing::error!(%error, "the end of transfers is not recorded");
            }
            if is_stopped {
                return;
            }
        }
    }
}

impl Transfer {
    fn begin(&self, key: &TransferKey, item: Item<'_>) -> Event {
        let study = Study {
            study_instance_uid: key.study_instance_uid.clone(),
            accession_number: accession_number(self),
            series: some(item.series_instance_uid),
            details: vec![Detail::new("service", key.service)],
            ..Study::default()
        };
        let mut event = events::transfer_begun(self.parties.clone(), study, self.patient.clone());
        event.purpose = self.purpose;
        if key.is_failed {
            event = event.ending(Outcome::MinorFailure, "instances could not be transferred");
        }
        event
    }
}

fn accession_number(transfer: &Transfer) -> crate::protected::Protected {
    crate::protected::Protected::new(&transfer.accession_number, crate::event::TEXT_BYTES_MAX)
}

fn some(uid: &str) -> Vec<String> {
    if uid.is_empty() {
        Vec::new()
    } else {
        vec![bounded(uid, UID_BYTES_MAX)]
    }
}

impl Open {
    fn new(transfer: Transfer) -> Self {
        let now = Instant::now();
        Self {
            transfer,
            begun: Arc::default(),
            since: now,
            last: now,
            series: BTreeSet::new(),
            classes: BTreeMap::new(),
            named: 0,
            went: BTreeMap::new(),
        }
    }

    fn takes_more(&self, limits: &Limits) -> bool {
        self.named < INSTANCES_MAX && self.since.elapsed() < limits.longest
    }

    fn add(&mut self, item: Item<'_>) {
        self.last = Instant::now();
        *self.went.entry(item.what).or_default() += 1;
        if !item.series_instance_uid.is_empty() && !self.series.contains(item.series_instance_uid) {
            self.named += 1;
            self.series.insert(bounded(item.series_instance_uid, UID_BYTES_MAX));
        }
        if item.sop_instance_uid.is_empty() {
            return;
        }
        let instances = match self.classes.get_mut(item.sop_class_uid) {
            Some(instances) => instances,
            None => self
                .classes
                .entry(bounded(item.sop_class_uid, UID_BYTES_MAX))
                .or_default(),
        };
        if !instances.contains(item.sop_instance_uid) {
            self.named += 1;
            instances.insert(bounded(item.sop_instance_uid, UID_BYTES_MAX));
        }
    }

    fn event(self, key: &TransferKey) -> Event {
        let mut details = vec![Detail::new("service", key.service)];
        details.extend(
            self.went
                .iter()
                .map(|(what, count)| Detail::new(what, &count.to_string())),
        );
        let classes = self
            .classes
            .into_iter()
            .map(|(uid, instances)| SopClass {
                uid,
                number: instances.len() as u64,
                instances: instances.into_iter().collect(),
            })
            .collect();
        let study = Study {
            study_instance_uid: key.study_instance_uid.clone(),
            accession_number: accession_number(&self.transfer),
            series: self.series.into_iter().collect(),
            classes,
            details,
            ..Study::default()
        };
        let mut event = events::transferred(
            self.transfer.parties,
            self.transfer.action,
            study,
            self.transfer.patient,
        );
        event.purpose = self.transfer.purpose;
        if key.is_failed {
            event = event.ending(Outcome::MinorFailure, "instances could not be transferred");
        }
        event
    }
}

impl std::fmt::Debug for Transfers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transfers")
            .field("audit", &self.audit)
            .finish_non_exhaustive()
    }
}
