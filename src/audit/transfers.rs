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

use crate::{
    codes::{Action, Outcome, Purpose},
    error::AuditError,
    event::{Detail, INSTANCES_MAX, Patient, SopClass, Study},
    events::{self, Parties},
    log::Audit,
};

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

    /// True when a transfer is under way and takes one more: then `began` would not be asked what it is.
    fn add(&self, key: &TransferKey, item: Item<'_>) -> bool {
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(key) {
            Some(open) if open.named < INSTANCES_MAX && open.since.elapsed() < self.limits.longest => {
                open.add(item);
                true
            }
            _ => false,
        }
    }

    /// Says that something goes. Where no transfer of this kind is under way, one begins, which is in the log when this returns.
    ///
    /// # Errors
    /// [`AuditError`]: nothing must go.
    pub async fn went(
        &self,
        key: TransferKey,
        item: Item<'_>,
        began: impl FnOnce() -> Transfer,
    ) -> Result<(), AuditError> {
        if self.add(&key, item) {
            return Ok(());
        }
        self.begin(key, item, began()).await
    }

    /// As [`Transfers::went`], where it takes a look elsewhere to say what a transfer is.
    ///
    /// # Errors
    /// As [`Transfers::went`]; that of `began`.
    pub async fn went_with<E: From<AuditError>>(
        &self,
        key: TransferKey,
        item: Item<'_>,
        began: impl Future<Output = Result<Transfer, E>>,
    ) -> Result<(), E> {
        if self.add(&key, item) {
            return Ok(());
        }
        let transfer = began.await?;
        Ok(self.begin(key, item, transfer).await?)
    }

    async fn begin(&self, key: TransferKey, item: Item<'_>, transfer: Transfer) -> Result<(), AuditError> {
        let study = Study {
            study_instance_uid: key.study_instance_uid.clone(),
            accession_number: accession_number(&transfer),
            series: some(item.series_instance_uid),
            details: vec![Detail::new("service", key.service)],
            ..Study::default()
        };
        let mut event = events::transfer_begun(transfer.parties.clone(), study, transfer.patient.clone());
        event.purpose = transfer.purpose;
        if key.is_failed {
            event = event.ending(Outcome::MinorFailure, "instances could not be transferred");
        }
        self.audit.record(event).await?;
        let mut open = Open::new(transfer);
        open.add(item);
        let mut ended: Vec<_> = {
            let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let oldest = (all.len() >= self.limits.open_max)
                .then(|| all.iter().min_by_key(|(_, open)| open.last).map(|(key, _)| key.clone()))
                .flatten();
            let oldest = oldest.and_then(|key| all.remove_entry(&key));
            let before = all.insert(key.clone(), open).map(|before| (key, before));
            oldest.into_iter().chain(before).collect()
        };
        while let Some((key, open)) = ended.pop() {
            self.audit.record(open.event(&key)).await?;
        }
        Ok(())
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

fn accession_number(transfer: &Transfer) -> crate::protected::Protected {
    crate::protected::Protected::new(&transfer.accession_number, crate::event::TEXT_BYTES_MAX)
}

fn some(uid: &str) -> Vec<String> {
    if uid.is_empty() {
        Vec::new()
    } else {
        vec![uid.to_owned()]
    }
}

impl Open {
    fn new(transfer: Transfer) -> Self {
        let now = Instant::now();
        Self {
            transfer,
            since: now,
            last: now,
            series: BTreeSet::new(),
            classes: BTreeMap::new(),
            named: 0,
            went: BTreeMap::new(),
        }
    }

    fn add(&mut self, item: Item<'_>) {
        self.last = Instant::now();
        *self.went.entry(item.what).or_default() += 1;
        if !item.series_instance_uid.is_empty() && !self.series.contains(item.series_instance_uid) {
            self.named += 1;
            self.series.insert(item.series_instance_uid.to_owned());
        }
        if item.sop_instance_uid.is_empty() {
            return;
        }
        let instances = match self.classes.get_mut(item.sop_class_uid) {
            Some(instances) => instances,
            None => self.classes.entry(item.sop_class_uid.to_owned()).or_default(),
        };
        if !instances.contains(item.sop_instance_uid) {
            self.named += 1;
            instances.insert(item.sop_instance_uid.to_owned());
        }
    }

    fn event(self, key: &TransferKey) -> crate::event::Event {
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
