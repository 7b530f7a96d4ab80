//! Proposing studies for disposal, and taking out of a batch what changed since.

use std::collections::HashSet;

use filmroom_retention::{Approval, ApprovalStep, Decision, Policies};
use serde::Serialize;

use super::{Batch, BatchState, Item, ItemState, LeftItem};
use crate::{
    Actor, DecisionFilter, Records, RecordsError, Subject, actor,
    event::Event,
    rejection::NoteAt,
    study::{Looked, Looking},
};

/// Most studies of a batch.
const ITEMS_MAX: usize = 10_000;
/// Decisions read in one go where all that have expired are proposed.
const PAGE: usize = 500;

/// A study that was not taken into a batch, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// (0020,000D).
    pub study: String,
    /// For programs.
    pub code: &'static str,
    /// For people.
    pub reason: String,
}

/// What came of a proposal.
#[derive(Debug, Clone, Serialize)]
pub struct Proposal {
    /// The batch; `None` where it was only tried.
    pub batch: Option<Batch>,
    /// The studies that are in it, or would be.
    pub taken: Vec<Item>,
    /// Those that are not.
    pub refused: Vec<Refused>,
}

impl Records {
    /// Proposes studies that have expired: those named, or all there are, up to 10,000. What may not go is refused, one by one.
    ///
    /// # Errors
    /// [`RecordsError::Conflict`] when none of them may go.
    pub async fn propose(
        &self,
        by: &Actor,
        studies: Option<Vec<String>>,
        only_try: bool,
    ) -> Result<Proposal, RecordsError> {
        by.needs(actor::PROPOSE, "propose what is to be destroyed")?;
        self.check_clock()?;
        let mut studies = match studies {
            Some(studies) => studies,
            None => self.all_expired().await?,
        };
        if studies.len() > ITEMS_MAX {
            return Err(RecordsError::invalid(
                "studies",
                format!("a batch has up to {ITEMS_MAX} studies"),
            ));
        }
        let mut seen = HashSet::new();
        studies.retain(|study| seen.insert(study.clone()));
        let _deciding = self.turn().await;
        let (taken, refused, approval) = self.blocking(move |room| room.look_through(&studies)).await?;
        if only_try {
            return Ok(Proposal {
                batch: None,
                taken,
                refused,
            });
        }
        if taken.is_empty() {
            let why = match refused.first() {
                None => "no study has expired".to_owned(),
                Some(first) => format!("none of the studies may go; {}: {}", first.study, first.reason),
            };
            return Err(RecordsError::conflict("nothing-eligible", why));
        }
        let batch = self.proposed_batch(by.clone(), &taken, approval, None).await?;
        Ok(Proposal {
            batch: Some(batch),
            taken,
            refused,
        })
    }

    /// Proposes studies because a note asked for it: it is a proposal like others. The caller holds `deciding`.
    pub(crate) async fn propose_noted(
        &self,
        by: Actor,
        studies: Vec<String>,
        note: Option<NoteAt>,
    ) -> Result<Batch, RecordsError> {
        let (taken, refused, approval) = self.blocking(move |room| room.look_through(&studies)).await?;
        if let Some(refused) = refused.first() {
            return Err(RecordsError::conflict(
                "nothing-eligible",
                format!("{}: {}", refused.study, refused.reason),
            ));
        }
        self.proposed_batch(by, &taken, approval, note).await
    }

    async fn proposed_batch(
        &self,
        by: Actor,
        items: &[Item],
        approval: Approval,
        note: Option<NoteAt>,
    ) -> Result<Batch, RecordsError> {
        let items = items.to_vec();
        let event = Event::BatchProposed {
            by,
            items,
            approval,
            note,
        };
        let number = self.decide(event).await?;
        self.known_batch(&format!("b{number}"))
    }

    async fn all_expired(&self) -> Result<Vec<String>, RecordsError> {
        let filter = DecisionFilter {
            status: Some(filmroom_retention::Status::Expired),
            overdue: false,
        };
        let (mut studies, mut after): (Vec<String>, Option<String>) = (Vec::new(), None);
        loop {
            let page = self.decisions(filter, after.as_deref(), PAGE, None).await?;
            let proposed = self.proposed();
            let free = page
                .decisions
                .into_iter()
                .filter(|found| !proposed.contains(&found.study));
            studies.extend(free.map(|found| found.study));
            studies.truncate(ITEMS_MAX);
            match page.next {
                Some(next) if studies.len() < ITEMS_MAX => after = Some(next),
                _ => return Ok(studies),
            }
        }
    }

    /// Studies that are in a batch of which something may still come.
    fn proposed(&self) -> HashSet<String> {
        let book = self.book();
        let open = book.batches.values().filter(|batch| batch.state.is_open());
        open.flat_map(Batch::inside).map(|item| item.study.clone()).collect()
    }

    /// Which of the studies may go, and who has to agree.
    pub(crate) fn look_through(&self, studies: &[String]) -> Result<(Vec<Item>, Vec<Refused>, Approval), RecordsError> {
        let proposed = self.proposed();
        let book = self.book();
        let mut looking = Looking::new(self, &book);
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for study in studies {
            let mut refuse = |code, reason: &str| {
                refused.push(Refused {
                    study: study.clone(),
                    code,
                    reason: reason.to_owned(),
                });
            };
            if proposed.contains(study) {
                refuse("proposed", "it is in another batch");
                continue;
            }
            match looking.at_uid(study)? {
                None if book.tombstones.contains_key(study) => refuse("destroyed", "it is destroyed"),
                None => refuse("unknown", "there is no such study"),
                Some(looked) => {
                    let decision = looked.decide(&book.policies, self.today());
                    if decision.is_eligible() {
                        taken.push(self.item(&looked, &decision));
                    } else {
                        refuse(decision.status.word(), &decision.reason);
                    }
                }
            }
        }
        let approval = approval_of(&book.policies, &taken, self.inner.options.is_public);
        Ok((taken, refused, approval))
    }

    fn item(&self, looked: &Looked, decision: &Decision) -> Item {
        let facts = &looked.facts;
        Item {
            study: facts.study_instance_uid.clone(),
            state: ItemState::In,
            reason: None,
            decision: None,
            digest: decision.digest(),
            policy: decision.policy.clone(),
            retain_until: decision.retain_until.map(Into::into),
            binding: decision.binding.clone(),
            patient: self.inner.keys.hashed(&looked.patient),
            study_date: facts.study_date,
            modalities: facts.modalities.clone(),
            site: facts.site.clone(),
            source: facts.source,
            instances: facts.instances,
            bytes: looked.bytes,
        }
    }

    /// Why a study of a batch may not go any more; `None` when it may. Blocks.
    pub(super) fn changed(
        &self,
        looking: &mut Looking<'_>,
        policies: &Policies,
        item: &Item,
    ) -> Result<Option<String>, RecordsError> {
        let Some(looked) = looking.at_uid(&item.study)? else {
            return Ok(Some("it is not there any more".to_owned()));
        };
        let decision = looked.decide(policies, self.today());
        if !decision.is_eligible() {
            return Ok(Some(format!(
                "it is {} now: {}",
                decision.status.word(),
                decision.reason
            )));
        }
        let is_same = decision.digest() == item.digest;
        Ok((!is_same).then(|| "what is known of it has changed since it was proposed".to_owned()))
    }

    /// Decides anew on all that waits in batches, and takes out what changed. The caller holds `deciding`.
    pub(crate) async fn refresh_batches(&self) -> Result<(), RecordsError> {
        let open: Vec<String> = self
            .book()
            .batches
            .values()
            .filter(|batch| batch.state.is_open())
            .map(|batch| batch.id.clone())
            .collect();
        for id in open {
            self.refresh_batch(&id).await?;
        }
        Ok(())
    }

    /// What of a batch may not go any more, and why.
    async fn left_of(&self, items: Vec<Item>) -> Result<Vec<LeftItem>, RecordsError> {
        self.blocking(move |room| {
            let book = room.book();
            let mut looking = Looking::new(room, &book);
            let mut left = Vec::new();
            for item in &items {
                if let Some(reason) = room.changed(&mut looking, &book.policies, item)? {
                    left.push(LeftItem {
                        study: item.study.clone(),
                        reason,
                    });
                }
            }
            Ok(left)
        })
        .await
    }

    /// One batch, as it is once everything in it is decided on anew. Writes nothing: what left it by then is written down with the next
    /// thing that is done with it, or within the hour.
    ///
    /// # Errors
    /// [`RecordsError::Unknown`].
    pub async fn batch(&self, id: &str) -> Result<Batch, RecordsError> {
        let mut batch = self.known_batch(id)?;
        if matches!(batch.state, BatchState::Proposed | BatchState::Approved) {
            batch.let_go(self.left_of(batch.inside().cloned().collect()).await?);
        }
        Ok(batch)
    }

    /// The same for what a change of what is known of some patients and studies can touch: studies of these patients, by all their
    /// identifiers. The caller holds `deciding`.
    pub(crate) async fn refresh_batches_about(&self, subjects: &[Subject]) -> Result<(), RecordsError> {
        let waits = |batch: &&Batch| matches!(batch.state, BatchState::Proposed | BatchState::Approved);
        let open: Vec<String> = {
            let book = self.book();
            book.batches
                .values()
                .filter(waits)
                .map(|batch| batch.id.clone())
                .collect()
        };
        if open.is_empty() {
            return Ok(());
        }
        let patients: Option<HashSet<String>> = {
            let book = self.book();
            let of = |subject: &Subject| match subject {
                Subject::Patient(key) => Some(book.links.person(key)),
                // Whose study it is the index knows; it may be one that another study of the patient depends on.
                Subject::Study(_) => None,
            };
            let people: Option<Vec<_>> = subjects.iter().map(of).collect();
            people.map(|people| people.iter().flatten().map(|key| self.inner.keys.hashed(key)).collect())
        };
        for id in open {
            match &patients {
                Some(patients) => self.refresh_items(&id, |item| patients.contains(&item.patient)).await?,
                None => self.refresh_items(&id, |_| true).await?,
            }
        }
        Ok(())
    }

    /// The same for one. What is being destroyed is looked at study by study, as its turn comes.
    pub(crate) async fn refresh_batch(&self, id: &str) -> Result<(), RecordsError> {
        self.refresh_items(id, |_| true).await
    }

    async fn refresh_items(&self, id: &str, is_meant: impl Fn(&Item) -> bool) -> Result<(), RecordsError> {
        let batch = self.known_batch(id)?;
        if !matches!(batch.state, BatchState::Proposed | BatchState::Approved) {
            return Ok(());
        }
        let items: Vec<Item> = batch.inside().filter(|item| is_meant(item)).cloned().collect();
        if items.is_empty() {
            return Ok(());
        }
        let left = self.left_of(items).await?;
        if left.is_empty() {
            return Ok(());
        }
        tracing::info!(
            batch = id,
            studies = left.len(),
            "studies left a batch, since something changed"
        );
        self.decide(Event::BatchItemsLeft {
            batch: id.to_owned(),
            items: left,
        })
        .await?;
        Ok(())
    }
}

/// Whose approval a batch takes: all that any of its policies asks for, and the longest wait; two approvers where none says.
fn approval_of(policies: &Policies, items: &[Item], is_public: bool) -> Approval {
    let named = policies
        .packs
        .iter()
        .filter(|pack| items.iter().any(|item| item.policy.contains(&pack.reference())))
        .filter_map(|pack| pack.approval.as_ref());
    let mut joined: Option<Approval> = None;
    for approval in named {
        let all = joined.get_or_insert_with(|| Approval {
            steps: Vec::new(),
            ..approval.clone()
        });
        let day = any_day();
        if approval.cooling_off.after(day) > all.cooling_off.after(day) {
            all.cooling_off = approval.cooling_off;
        }
        all.distinct_subjects |= approval.distinct_subjects;
        let wanted = approval.steps.iter().filter(|step| match step.when.as_deref() {
            None => true,
            Some("public") => is_public,
            // What is not understood is asked for.
            Some(_) => true,
        });
        for step in wanted {
            match all.steps.iter_mut().find(|there| there.role == step.role) {
                Some(there) => {
                    there.n = there.n.max(step.n);
                    there.opinion |= step.opinion;
                }
                None => all.steps.push(ApprovalStep {
                    when: None,
                    ..step.clone()
                }),
            }
        }
    }
    joined.filter(|all| !all.steps.is_empty()).unwrap_or_default()
}

/// Any day: two periods are compared by where they end.
fn any_day() -> time::Date {
    time::Date::from_ordinal_date(2000, 1).unwrap_or(time::Date::MIN)
}
