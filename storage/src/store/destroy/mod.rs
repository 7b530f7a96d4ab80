//! Destroying: the one way in which anything that was stored ever goes, and only by a decision that names it.
//!
//! It runs backwards: journal, index, objects and intake, journal again. Each step can be done again, so that one that was cut
//! short is gone on with when the store opens next. Afterwards no byte of the instances is in the data folder; their
//! tombstones stay, so that they do not come back by being sent again.

mod intake;
mod packs;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    sync::PoisonError,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Store, StoreError, read::on_blocking_thread};
use crate::{
    index::{Destruction, Heir, Index},
    journal::Decision,
    model::{InstanceRecord, Location, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid},
    packs::tar::hexadecimal,
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
    /// The instances.
    pub instances: Vec<DestroyedInstance>,
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
    /// SHA-256 of the data set, in hexadecimal.
    pub sha256: String,
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
}

/// A decision, ready to be carried out.
struct Order {
    decision: u64,
    instances: Vec<DestroyedInstance>,
    uids: HashSet<SopInstanceUid>,
    /// By study and series.
    series: BTreeMap<StudyInstanceUid, HashSet<SeriesInstanceUid>>,
}

impl Order {
    fn new(decision: u64, instances: Vec<DestroyedInstance>) -> Result<Self, StoreError> {
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
            uids,
            series,
        })
    }

    fn of(decision: &Decision) -> Result<Self, StoreError> {
        let number = decision.number;
        let payload: Payload = serde_json::from_value(decision.payload.clone())
            .map_err(|error| StoreError::Damaged(format!("decision {number} does not read: {error}")))?;
        Self::new(number, payload.instances)
    }
}

/// The decisions to destroy among all, and which of them were carried out.
fn orders(decisions: &[Decision]) -> Result<(Vec<Order>, HashSet<u64>), StoreError> {
    let mut orders = Vec::new();
    let mut done = HashSet::new();
    for decision in decisions {
        match decision.kind.as_str() {
            DESTROY => orders.push(Order::of(decision)?),
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
    /// Destroys instances for good: journal first, then index, then packs, staged files and intake log. `reason` is kept with
    /// the decision. Once the decision is in the journal it is carried out, if need be after the next start.
    ///
    /// The index keeps traces of rows that are gone in space that it has not used again: [`Store::rewrite_index`] ends those
    /// too.
    ///
    /// # Errors
    /// [`StoreError`]: before the decision was journaled nothing has changed; after it the rest is done at the next start.
    pub async fn destroy(&self, scope: DestroyScope, reason: Value) -> Result<Destroyed, StoreError> {
        let _nothing_settles = self.inner.settling.lock().await;
        let instances = on_blocking_thread(self, move |store| store.instances_in(&scope)).await?;
        if instances.is_empty() {
            return Ok(Destroyed { decision: 0, instances });
        }
        let payload = json!(Payload { reason, instances });
        let decision = self.inner.journal.append(DESTROY, payload).await?;
        crash_point!("destroy.journaled");
        let order = Order::of(&decision)?;
        self.carry_out(&order).await?;
        Ok(Destroyed {
            decision: order.decision,
            instances: order.instances,
        })
    }

    /// The number of the decision that destroyed an instance; `None` for any other, known or not.
    ///
    /// # Errors
    /// [`StoreError`] when the index does not read.
    pub fn destroyed_by(&self, instance: &SopInstanceUid) -> Result<Option<u64>, StoreError> {
        Ok(self.inner.catalog.tombstone(instance)?)
    }

    /// Goes on with what was decided and cut short, and does again what turned out to be undone. Returns how many decisions
    /// that were.
    pub(super) async fn resume_destroying(&self, undone: &BTreeSet<u64>) -> Result<u64, StoreError> {
        let decisions = self.inner.journal.read(0).await?;
        let (orders, done) = orders(&decisions)?;
        let _nothing_settles = self.inner.settling.lock().await;
        let mut resumed = 0;
        let is_open = |order: &&Order| !done.contains(&order.decision) || undone.contains(&order.decision);
        for order in orders.iter().filter(is_open) {
            tracing::warn!(decision = order.decision, "goes on with destroying what was decided");
            self.carry_out(order).await?;
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
                    found.extend(catalog.instance(uid)?.map(named));
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
            found.extend(page.into_iter().map(|(_, record)| named(record)));
        }
    }

    /// Every step may have been done before. The caller settles nothing meanwhile.
    async fn carry_out(&self, order: &Order) -> Result<(), StoreError> {
        for study in order.series.keys() {
            let (study, uids, decision) = (study.clone(), order.uids.clone(), order.decision);
            on_blocking_thread(self, move |store| store.destroy_in_index(study, uids, decision)).await?;
        }
        for uid in &order.uids {
            self.inner.shelf.take(uid);
        }
        crash_point!("destroy.indexed");
        for (study, series) in &order.series {
            for series in series {
                self.destroy_in_packs(&(study.clone(), series.clone()), &order.uids)
                    .await?;
            }
        }
        crash_point!("destroy.packs");
        self.destroy_in_intake(order).await?;
        self.inner.headers.clear();
        crash_point!("destroy.intake");
        self.inner
            .journal
            .append(DESTROYED, json!({ "decision": order.decision }))
            .await?;
        Ok(())
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

    /// Writes the index anew, so that nothing is left in it of rows that are gone; also removes the one that was put aside
    /// last. Instances wait meanwhile; readers do not. Takes as long as copying the index.
    ///
    /// # Errors
    /// [`StoreError`]: the index is as it was.
    pub async fn rewrite_index(&self) -> Result<(), StoreError> {
        let _nothing_settles = self.inner.settling.lock().await;
        let _nothing_is_trimmed = self.inner.keeping.lock().await;
        let inner = std::sync::Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || {
            let _nothing_comes_in = inner.turnstile.enter();
            let _no_writer = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            inner.engine.rewrite()?;
            super::index_folder::remove_aside(&inner.options.data)?;
            Ok(())
        })
        .await
        .map_err(io::Error::other)?
    }
}

fn named(record: InstanceRecord) -> DestroyedInstance {
    DestroyedInstance {
        study_instance_uid: record.study_instance_uid.as_str().to_owned(),
        series_instance_uid: record.series_instance_uid.as_str().to_owned(),
        sop_instance_uid: record.sop_instance_uid.as_str().to_owned(),
        sha256: hexadecimal(&record.sha256),
        length: record.length,
        staged: match record.location {
            Location::Staged { file, .. } => Some(file),
            _ => None,
        },
    }
}
