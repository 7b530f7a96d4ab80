//! Reinstating: what was destroyed may come again. A decision of its own; nothing of what is gone comes back by it.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{DESTROY, Order, Payload};
use crate::{
    index::CatalogWriter,
    journal::Decision,
    model::SopInstanceUid,
    store::{Store, StoreError, read::on_blocking_thread},
};

/// The kind of these decisions.
const REINSTATE: &str = "reinstate";

/// What the journal says of it.
#[derive(Debug, Serialize, Deserialize)]
struct Reinstated {
    reason: Value,
    /// The decision that destroyed.
    decision: u64,
    /// SOP Instance UIDs.
    instances: Vec<String>,
}

/// What was reinstated, by the number of the decision that said so.
#[derive(Debug, Default)]
pub(in crate::store) struct Reinstatements(BTreeMap<u64, Vec<SopInstanceUid>>);

impl Reinstatements {
    pub(in crate::store) fn of(decisions: &[Decision]) -> Result<Self, StoreError> {
        let mut all = BTreeMap::new();
        for decision in decisions.iter().filter(|decision| decision.kind == REINSTATE) {
            let damaged =
                |what: String| StoreError::Damaged(format!("decision {} does not read: {what}", decision.number));
            let said: Reinstated =
                serde_json::from_value(decision.payload.clone()).map_err(|error| damaged(error.to_string()))?;
            let uids = said.instances.iter().map(|uid| SopInstanceUid::new(uid));
            let uids = uids
                .collect::<Result<_, _>>()
                .map_err(|error| damaged(error.to_string()))?;
            all.insert(decision.number, uids);
        }
        Ok(Self(all))
    }

    /// Takes from an order to destroy what was reinstated after it.
    pub(super) fn taken_from(&self, order: Order) -> Result<Order, StoreError> {
        let later = self.0.range(order.decision.saturating_add(1)..);
        let reinstated: HashSet<&str> = later
            .flat_map(|(_, uids)| uids.iter().map(SopInstanceUid::as_str))
            .collect();
        if reinstated.is_empty() {
            return Ok(order);
        }
        let mut instances = order.instances;
        instances.retain(|instance| !reinstated.contains(instance.sop_instance_uid.as_str()));
        let payload = Payload {
            reason: Value::Null,
            instances,
            quarantined: order.quarantined,
        };
        Order::new(order.decision, payload)
    }

    /// Takes away the tombstones that were set before: the index may have come back older than the journal.
    pub(in crate::store) fn lift(&self, writer: &mut CatalogWriter) -> Result<(), StoreError> {
        for (decision, uids) in &self.0 {
            writer.unbury(uids, *decision)?;
        }
        Ok(())
    }
}

impl Store {
    /// Lets the instances come again that a decision destroyed. Returns the number of the decision and how many they are; `None` where
    /// the decision destroyed nothing, or is not carried out to its end everywhere: it would take away what comes.
    ///
    /// # Errors
    /// [`StoreError`]: once it is in the journal it is in force, if need be after the next start.
    pub async fn reinstate(&self, destroyed_by: u64, reason: Value) -> Result<Option<(Decision, u64)>, StoreError> {
        let _one_at_a_time = self.inner.destroying.one.lock().await;
        if self.destroying().iter().any(|(open, _)| *open == destroyed_by) {
            return Ok(None);
        }
        let decisions = self.inner.journal.read(0).await?;
        let found = decisions
            .iter()
            .find(|decision| decision.number == destroyed_by && decision.kind == DESTROY);
        let Some(found) = found else { return Ok(None) };
        let order = Reinstatements::of(&decisions)?.taken_from(Order::of(found)?)?;
        if order.instances.is_empty() {
            return Ok(None);
        }
        let payload = json!(Reinstated {
            reason,
            decision: destroyed_by,
            instances: order.instances.into_iter().map(|one| one.sop_instance_uid).collect(),
        });
        let decision = self.inner.journal.append(REINSTATE, payload).await?;
        crash_point!("reinstate.journaled");
        let uids: Vec<SopInstanceUid> = order.uids.into_iter().collect();
        let (count, number) = (uids.len() as u64, decision.number);
        on_blocking_thread(self, move |store| {
            let mut writer = store
                .inner
                .writer
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            Ok(writer.unbury(&uids, number)?)
        })
        .await?;
        Ok(Some((decision, count)))
    }
}
