//! Carrying out a batch: each study is decided on once more, and destroyed at once where nothing has changed.

use filmroom_storage::{model::StudyInstanceUid, store::DestroyScope};
use serde_json::json;

use super::{Batch, BatchState, Item, ItemState, LeftItem, Reason, approve::not_open};
use crate::{Actor, Records, RecordsError, actor, event::Event, study::Looking};

impl Records {
    /// Begins to carry out a batch that is approved and has cooled off; [`Records::go_on`] does it.
    ///
    /// # Errors
    /// [`RecordsError::Conflict`].
    pub async fn execute(&self, by: &Actor, id: &str, expected: Option<u64>) -> Result<Batch, RecordsError> {
        by.needs(actor::EXECUTE, "have a batch carried out")?;
        let _deciding = self.turn().await;
        self.check_clock()?;
        self.refresh_batch(id).await?;
        let batch = self.known_batch(id)?;
        if expected.is_some_and(|expected| expected != batch.version) {
            return Err(RecordsError::Stale);
        }
        if batch.state != BatchState::Approved {
            return Err(not_open(&batch));
        }
        let today = (self.inner.options.clock)().date();
        match batch.cooled_off() {
            Some(day) if day <= today => {}
            Some(day) => {
                return Err(RecordsError::conflict(
                    "cooling-off",
                    format!(
                        "the batch may be carried out from {} on",
                        filmroom_retention::PartialDate::Day(day)
                    ),
                ));
            }
            None => return Err(not_open(&batch)),
        }
        self.decide(Event::BatchStarted {
            by: by.clone(),
            batch: id.to_owned(),
        })
        .await?;
        self.inner.begun.notify_one();
        self.known_batch(id)
    }

    /// Goes on with all batches that were begun.
    ///
    /// # Errors
    /// [`RecordsError`]: what is left is gone on with the next time.
    pub async fn go_on(&self) -> Result<(), RecordsError> {
        let begun: Vec<String> = {
            let book = self.book();
            let all = book.batches.values();
            all.filter(|batch| batch.state == BatchState::Destroying)
                .map(|batch| batch.id.clone())
                .collect()
        };
        for id in begun {
            self.carry_out(&id).await?;
        }
        Ok(())
    }

    async fn carry_out(&self, id: &str) -> Result<(), RecordsError> {
        let studies: Vec<String> = self.known_batch(id)?.inside().map(|item| item.study.clone()).collect();
        for study in studies {
            // Between two studies others may decide: a hold that comes now holds the next.
            let _deciding = self.turn().await;
            self.check_clock()?;
            self.destroy_one(id, &study).await?;
        }
        let _deciding = self.turn().await;
        let batch = self.known_batch(id)?;
        if batch.state != BatchState::Destroying || batch.inside().next().is_some() {
            return Ok(());
        }
        let is_left = |item: &Item| {
            let open = self.inner.store.destroying();
            item.decision
                .is_some_and(|decision| open.iter().any(|(found, _)| *found == decision))
        };
        if batch.items.iter().any(is_left) {
            // The store goes on; the certificate comes when nothing is left.
            return Ok(());
        }
        let is_something = batch.items.iter().any(|item| item.state == ItemState::Destroyed);
        let certificate = if is_something {
            Some(self.certify(&batch).await?)
        } else {
            None
        };
        self.decide(Event::BatchEnded {
            batch: id.to_owned(),
            certificate,
        })
        .await?;
        Ok(())
    }

    /// Destroys one study of a batch, if it still may be. The caller holds `deciding`, so that nothing is decided in between.
    async fn destroy_one(&self, id: &str, study: &str) -> Result<(), RecordsError> {
        let batch = self.known_batch(id)?;
        let Some(item) = batch.inside().find(|item| item.study == study).cloned() else {
            return Ok(());
        };
        let looked_at = item.clone();
        let (changed, patient) = self
            .blocking(move |room| {
                let book = room.book();
                let mut looking = Looking::new(room, &book);
                let changed = room.changed(&mut looking, &book.policies, &looked_at)?;
                let patient = looking.at_uid(&looked_at.study)?.map(|looked| looked.patient);
                Ok((changed, patient.unwrap_or_default()))
            })
            .await?;
        if let Some(reason) = changed {
            return self.leave(id, study, reason).await;
        }
        if let Some(witness) = &self.inner.options.witness {
            let recorded = witness.destroying(&batch, &item, &patient).await;
            recorded.map_err(|why| RecordsError::Failed(format!("what cannot be recorded is not destroyed: {why}")))?;
        }
        let uid = StudyInstanceUid::new(study).map_err(|error| RecordsError::Failed(error.to_string()))?;
        let reason = Reason {
            batch: id.to_owned(),
            item: item.clone(),
            approved_by: batch.approvals.iter().map(|given| given.subject.clone()).collect(),
        };
        let reason = serde_json::to_value(reason).map_err(|error| RecordsError::Failed(error.to_string()))?;
        // An instance that came after the decision was decided on by nobody.
        let expected = item.instances;
        let agrees = move |instances: usize| instances as u64 == expected;
        let destroyed = self
            .inner
            .store
            .destroy_if(DestroyScope::Study(uid), reason.clone(), agrees)
            .await;
        match destroyed {
            Ok(Some(destroyed)) if destroyed.decision > 0 => {
                let payload = json!({ "reason": reason, "instances": destroyed.instances });
                let mut book = self
                    .inner
                    .book
                    .write()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                book.destroyed(destroyed.decision, destroyed.decided_at, &payload);
                Ok(())
            }
            Ok(Some(_)) => self.leave(id, study, "it is not there any more".to_owned()).await,
            Ok(None) => {
                let reason = "an instance came after it was decided on".to_owned();
                self.leave(id, study, reason).await
            }
            Err(error) => {
                // Whether the decision is in the journal the journal knows: where it is, the store carries it out.
                for decision in self.inner.store.journal().read(0).await? {
                    let mut book = self
                        .inner
                        .book
                        .write()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    book.replay(&decision)?;
                }
                Err(error.into())
            }
        }
    }

    async fn leave(&self, id: &str, study: &str, reason: String) -> Result<(), RecordsError> {
        let items = vec![LeftItem {
            study: study.to_owned(),
            reason,
        }];
        self.decide(Event::BatchItemsLeft {
            batch: id.to_owned(),
            items,
        })
        .await?;
        Ok(())
    }
}
