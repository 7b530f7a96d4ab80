//! The places that may hold bytes of an instance, in the order in which they are seen to.

use super::{Kept, Order};
use crate::store::{Store, StoreError};

/// One place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Packs of the object store.
    Packs,
    /// Instances kept apart for a person, and damaged objects that were repaired.
    Apart,
    /// The intake log and staged files.
    Intake,
    /// Objects of the replica that the first store does not have.
    Replica,
    /// Earlier versions, and uploads that were cut short, where the store keeps such.
    Versions,
    /// The data keys of studies of which nothing is left.
    Keys,
    /// Rows of the index in space that it has not used again.
    Traces,
}

impl Step {
    pub(super) const ALL: [Self; 7] = [
        Self::Packs,
        Self::Apart,
        Self::Intake,
        Self::Replica,
        Self::Versions,
        Self::Keys,
        Self::Traces,
    ];

    /// How the place is named where something is left there.
    pub(super) const fn place(self) -> &'static str {
        match self {
            Self::Packs => "packs",
            Self::Apart => "what is kept apart",
            Self::Intake => "intake",
            Self::Replica => "the replica",
            Self::Versions => "earlier versions",
            Self::Keys => "keys of the study",
            Self::Traces => "the index",
        }
    }
}

impl Store {
    /// Sees to one place. What is left there is in the answer; an error means that anything may be. It may have been done
    /// before.
    pub(super) async fn take_step(&self, step: Step, order: &Order) -> Result<Vec<Kept>, StoreError> {
        let left = match step {
            Step::Packs => {
                let _nothing_settles = self.inner.settling.lock().await;
                let left = self.destroy_in_all_packs(order).await;
                crash_point!("destroy.packs");
                left
            }
            Step::Apart => {
                let _nothing_settles = self.inner.settling.lock().await;
                let left = self.destroy_apart(order).await?;
                crash_point!("destroy.apart");
                left
            }
            Step::Intake => {
                let _nothing_settles = self.inner.settling.lock().await;
                self.destroy_in_intake(order).await?;
                self.inner.headers.clear();
                crash_point!("destroy.intake");
                Vec::new()
            }
            Step::Replica => {
                self.destroy_in_replica(order).await?;
                crash_point!("destroy.replica");
                Vec::new()
            }
            Step::Versions => {
                let left = self.destroy_versions(order).await?;
                crash_point!("destroy.versions");
                left
            }
            Step::Keys => {
                let left = self.destroy_keys(order).await?;
                crash_point!("destroy.keys");
                left
            }
            Step::Traces => self.end_traces().await?,
        };
        Ok(left)
    }

    async fn destroy_in_all_packs(&self, order: &Order) -> Vec<Kept> {
        let mut left = Vec::new();
        for (study, series) in &order.series {
            for series in series {
                let key = (study.clone(), series.clone());
                if let Err(error) = self.destroy_in_packs(&key, &order.uids).await {
                    left.push(Kept {
                        place: format!("packs of series {series}"),
                        reason: error.to_string(),
                        until: None,
                    });
                }
            }
        }
        left
    }
}
