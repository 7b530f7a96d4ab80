//! Destroying: the one way in which anything that was stored ever goes, and only by a decision that names it.
//!
//! It runs backwards: journal, index, then every place that may hold bytes ([`steps::Step`]), journal again. Each step can be done
//! again, so that one that was cut short is gone on with when the store opens next, and one that a store refuses (it is away,
//! or the object is locked until a date) is tried again until it is done. The journal says that a decision was carried out when
//! nothing is left. Afterwards no byte of the instances is in the data folder, in the object store or in the replica; their
//! tombstones stay, so that they do not come back by being sent again.

mod apart;
mod intake;
mod key;
mod open;
mod packs;
mod reinstate;
mod replica;
mod steps;
mod traces;

pub(super) use open::{Destroying, go_on};
use open::{Open, Reach};
pub(super) use reinstate::Reinstatements;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::PoisonError,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Store, StoreError, read::on_blocking_thread};
use crate::{
    hexadecimal::hexadecimal,
    index::{Destruction, Heir, Index},
    journal::Decision,
    model::{InstanceRecord, Location, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid},
    objects::Kept,
};

/// The kind of the decision in the journal, and of the note that it was carried out.
pub(super) const DESTROY: &str = "destroy";
const DESTROYED: &str = "destroyed";
/// Records read in one go.
const PAGE: usize = 1000;

/// What is to be destroyed.
#[derive(Debug, Clone)]
pub enum DestroyScope {
    /// All instances of a study.
    Study(StudyInstanceUid),
    /// All instances of a series.
    Series(StudyInstanceUid, SeriesInstanceUid),
    /// These instances, as far as they are there.
    Instances(Vec<SopInstanceUid>),
}

/// What was destroyed: what a certificate is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destroyed {
    /// Number of the decision in the journal; 0 when there was nothing to destroy.
    pub decision: u64,
    /// When it was decided, as the journal has it.
    pub decided_at: OffsetDateTime,
    /// The instances.
    pub instances: Vec<DestroyedInstance>,
    /// Data sets kept apart that went with them, by the SHA-256 of each in hexadecimal.
    pub quarantined: Vec<String>,
    /// What is not gone yet, and why. The store goes on trying, also after a restart, and notes in the journal when nothing is
    /// left.
    pub left: Vec<Kept>,
    /// Objects kept apart that do not read, so that nobody can say whose they are. They stay.
    pub unread: Vec<String>,
}

impl Destroyed {
    /// True when no byte is left.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.left.is_empty()
    }
}

/// An instance that is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyedInstance {
    /// (0020,000D).
    pub study_instance_uid: String,
    /// (0020,000E).
    pub series_instance_uid: String,
    /// (0008,0018).
    pub sop_instance_uid: String,
    /// SHA-256 of the data set, in hexadecimal. None of one that had not settled and whose bytes were not what had come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Bytes of the Part 10 file.
    pub length: u64,
    /// The staged file that held it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    staged: Option<u64>,
}

/// What the journal says of it.
#[derive(Debug, Serialize, Deserialize)]
struct Payload {
    reason: Value,
    instances: Vec<DestroyedInstance>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    quarantined: Vec<String>,
}

/// A decision, ready to be carried out.
#[derive(Clone)]
struct Order {
    decision: u64,
    instances: Vec<DestroyedInstance>,
    quarantined: Vec<String>,
    uids: HashSet<SopInstanceUid>,
    /// By study and series.
    series: BTreeMap<StudyInstanceUid, HashSet<SeriesInstanceUid>>,
}

impl Order {
    fn new(decision: u64, payload: Payload) -> Result<Self, StoreError> {
        let Payload {
            instances, quarantined, ..
        } = payload;
        let damaged = |error| StoreError::Damaged(format!("decision {decision} names no instance: {error}"));
        let (mut uids, mut series) = (HashSet::new(), BTreeMap::<_, HashSet<_>>::new());
        for instance in &instances {
            uids.insert(SopInstanceUid::new(&instance.sop_instance_uid).map_err(damaged)?);
            let study = StudyInstanceUid::new(&instance.study_instance_uid).map_err(damaged)?;
            let of = SeriesInstanceUid::new(&instance.series_instance_uid).map_err(damaged)?;
            series.entry(study).or_default().insert(of);
        }
        Ok(Self {
            decision,
            instances,
            quarantined,
            uids,
            series,
        })
    }

    fn of(decision: &Decision) -> Result<Self, StoreError> {
        let number = decision.number;
        let payload: Payload = serde_json::from_value(decision.payload.clone())
            .map_err(|error| StoreError::Damaged(format!("decision {number} does not read: {error}")))?;
        Self::new(number, payload)
    }
}

/// The decisions to destroy among all, and which of them were carried out.
fn orders(decisions: &[Decision]) -> Result<(Vec<Order>, HashSet<u64>), StoreError> {
    let reinstated = Reinstatements::of(decisions)?;
    let mut orders = Vec::new();
    let mut done = HashSet::new();
    for decision in decisions {
        match decision.kind.as_str() {
            DESTROY => orders.push(reinstated.taken_from(Order::of(decision)?)?),
            DESTROYED => done.extend(decision.payload.get("decision").and_then(Value::as_u64)),
            _ => {}
        }
    }
    Ok((orders, done))
}

/// What was destroyed ever, by decision: the tombstones of an index that is made anew.
pub(super) fn tombstones(decisions: &[Decision]) -> Result<Vec<(u64, Vec<SopInstanceUid>)>, StoreError> {
    let (orders, _) = orders(decisions)?;
    Ok(orders
        .into_iter()
        .map(|order| (order.decision, order.uids.into_iter().collect()))
        .collect())
}

impl Store {
    /// Destroys instances for good: journal first, then index, then packs, copies kept apart, staged files and intake log, replica,
    /// earlier versions, the keys of studies that are gone, and last the traces of rows in the index. `reason` is kept with the
    /// decision. Once the decision is in the journal it is carried out, if need be after the next start.
    ///
    /// # Errors
    /// [`StoreError`]: before the decision was journaled nothing has changed; after it the rest is done later. What single
    /// stores refuse is no error, and is in [`Destroyed::left`].
    pub async fn destroy(&self, scope: DestroyScope, reason: Value) -> Result<Destroyed, StoreError> {
        match self.destroy_if(scope, reason, |_| true).await? {
            Some(destroyed) => Ok(destroyed),
            // Nobody disagrees.
            None => Err(StoreError::Unavailable("nothing was destroyed".to_owned())),
        }
    }

    /// The same, if the caller agrees to how many instances that would be: one that came since it looked is not destroyed
    /// unseen. `None` when it does not, and nothing has changed.
    ///
    /// # Errors
    /// As [`Store::destroy`].
    pub async fn destroy_if(
        &self,
        scope: DestroyScope,
        reason: Value,
        agrees: impl FnOnce(usize) -> bool + Send,
    ) -> Result<Option<Destroyed>, StoreError> {
        let _one_at_a_time = self.inner.destroying.one.lock().await;
        let nothing_settles = self.inner.settling.lock().await;
        let (instances, quarantined, unread) = on_blocking_thread(self, move |store| {
            let instances = store.instances_in(&scope)?;
            let (quarantined, unread) = store.quarantined_in(&scope, &instances)?;
            Ok((instances, quarantined, unread))
        })
        .await?;
        if !agrees(instances.len()) {
            return Ok(None);
        }
        if instances.is_empty() && quarantined.is_empty() {
            return Ok(Some(Destroyed {
                decision: 0,
                decided_at: OffsetDateTime::now_utc(),
                instances,
                quarantined,
                left: Vec::new(),
                unread,
            }));
        }
        let payload = json!(Payload {
            reason,
            instances,
            quarantined
        });
        let decision = self.inner.journal.append(DESTROY, payload).await?;
        crash_point!("destroy.journaled");
        let open = Open::new(Order::of(&decision)?);
        drop(nothing_settles);
        let (instances, quarantined) = (open.order.instances.clone(), open.order.quarantined.clone());
        let left = self.carry_out(open, Reach::Everywhere).await?;
        Ok(Some(Destroyed {
            decision: decision.number,
            decided_at: decision.at,
            instances,
            quarantined,
            left,
            unread,
        }))
    }

    /// The number of the decision that destroyed an instance; `None` for any other, known or not.
    ///
    /// # Errors
    /// [`StoreError`] when the index does not read.
    pub fn destroyed_by(&self, instance: &SopInstanceUid) -> Result<Option<u64>, StoreError> {
        Ok(self.inner.catalog.tombstone(instance)?)
    }

    /// Goes on with what was decided and cut short, and does again what turned out to be undone. What lies in distant stores
    /// comes later. Returns how many decisions that were.
    pub(super) async fn resume_destroying(&self, undone: &BTreeSet<u64>) -> Result<u64, StoreError> {
        let decisions = self.inner.journal.read(0).await?;
        let (orders, done) = orders(&decisions)?;
        let _one_at_a_time = self.inner.destroying.one.lock().await;
        let mut resumed = 0;
        let is_open = |order: &Order| !done.contains(&order.decision) || undone.contains(&order.decision);
        for order in orders.into_iter().filter(is_open) {
            tracing::warn!(decision = order.decision, "goes on with destroying what was decided");
            self.carry_out(Open::new(order), self.reach_at_start()).await?;
            resumed += 1;
        }
        Ok(resumed)
    }

    fn instances_in(&self, scope: &DestroyScope) -> Result<Vec<DestroyedInstance>, StoreError> {
        let catalog = &self.inner.catalog;
        let mut found = Vec::new();
        match scope {
            DestroyScope::Instances(uids) => {
                let once: HashSet<_> = uids.iter().collect();
                for uid in once {
                    if let Some(record) = catalog.instance(uid)? {
                        found.push(self.named(&record)?);
                    }
                }
            }
            DestroyScope::Series(study, series) => self.each_of_series(study, series, &mut found)?,
            DestroyScope::Study(study) => {
                for series in catalog.series_of(study)? {
                    self.each_of_series(study, &series.series_instance_uid, &mut found)?;
                }
            }
        }
        Ok(found)
    }

    fn named(&self, record: &InstanceRecord) -> Result<DestroyedInstance, StoreError> {
        let sha256 = match self.sha256(record) {
            Ok(sha256) => Some(hexadecimal(&sha256)),
            // Damage keeps nothing from being destroyed.
            Err(StoreError::Damaged(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(DestroyedInstance {
            study_instance_uid: record.study_instance_uid.as_str().to_owned(),
            series_instance_uid: record.series_instance_uid.as_str().to_owned(),
            sop_instance_uid: record.sop_instance_uid.as_str().to_owned(),
            sha256,
            length: record.length,
            staged: match record.location {
                Location::Staged { file, .. } => Some(file),
                _ => None,
            },
        })
    }

    fn each_of_series(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
        found: &mut Vec<DestroyedInstance>,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.inner.catalog.instances_of(study, series, after.as_ref(), PAGE)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (_, record) in &page {
                found.push(self.named(record)?);
            }
        }
    }

    fn destroy_in_index(
        &self,
        study: StudyInstanceUid,
        instances: HashSet<SopInstanceUid>,
        decision: u64,
    ) -> Result<(), StoreError> {
        // Nothing comes in between looking who describes the study from now on and writing it down.
        let _nothing_comes_in = self.inner.turnstile.enter();
        let mut heirs = std::collections::HashMap::new();
        for record in self.inner.catalog.heirs(&study, &instances)? {
            let heir = Heir {
                received_at: record.received_at,
                description: self.describe(&record)?,
            };
            heirs.insert(record.series_instance_uid, heir);
        }
        let destruction = Destruction {
            study,
            instances,
            decision,
            heirs,
        };
        let mut writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(writer.destroy(&destruction)?)
    }
}
