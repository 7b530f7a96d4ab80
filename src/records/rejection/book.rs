//! What is rejected, as it follows from the lines of the journal.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    ops::Bound,
    sync::Arc,
};

use filmroom_storage::{index::Veil, model::SopInstanceUid};
use time::OffsetDateTime;

use super::{NoteAt, Rejection, RejectionReason, View, shelf::Shelf};

/// One line of the journal, shared by all instances that it rejected.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) at: OffsetDateTime,
    pub(crate) by: String,
    pub(crate) why: String,
    pub(crate) note: Option<String>,
}

#[derive(Debug, Clone)]
struct Rejected {
    reason: RejectionReason,
    decided: Arc<Decided>,
}

#[derive(Debug, Default)]
struct OfStudy {
    instances: BTreeMap<String, Rejected>,
    /// Notes that lie in the study, with the reason that they gave; none for those that took something back.
    notes: BTreeMap<String, Option<RejectionReason>>,
}

#[derive(Debug, Default)]
pub(crate) struct Rejections {
    studies: BTreeMap<String, OfStudy>,
    /// Notes that were followed: they say nothing a second time.
    followed: HashSet<String>,
    shelf: Shelf,
}

impl Rejections {
    pub(crate) fn reject(
        &mut self,
        studies: BTreeMap<String, Vec<String>>,
        reason: RejectionReason,
        decided: Decided,
        note: Option<NoteAt>,
    ) {
        let decided = Arc::new(decided);
        let mut touched: BTreeSet<String> = studies.keys().cloned().collect();
        for (study, instances) in studies {
            let of = self.studies.entry(study).or_default();
            of.instances.extend(instances.into_iter().map(|uid| {
                let decided = Arc::clone(&decided);
                (uid, Rejected { reason, decided })
            }));
        }
        touched.extend(self.follow(note, Some(reason)));
        self.show(&touched);
    }

    pub(crate) fn restore(&mut self, studies: BTreeMap<String, Vec<String>>, note: Option<NoteAt>) {
        let mut touched: BTreeSet<String> = studies.keys().cloned().collect();
        for (study, instances) in studies {
            if let Some(of) = self.studies.get_mut(&study) {
                for uid in instances {
                    of.instances.remove(&uid);
                }
            }
        }
        touched.extend(self.follow(note, None));
        self.show(&touched);
    }

    /// A note that asked for a disposal.
    pub(crate) fn asked(&mut self, note: Option<NoteAt>) {
        let touched = self.follow(note, Some(RejectionReason::Expired)).into_iter().collect();
        self.show(&touched);
    }

    /// A study is no more.
    pub(crate) fn forget(&mut self, study: &str) {
        if self.studies.remove(study).is_some() {
            self.shelf.set(study, HashSet::new(), HashSet::new());
        }
    }

    fn follow(&mut self, note: Option<NoteAt>, reason: Option<RejectionReason>) -> Option<String> {
        let note = note?;
        self.followed.insert(note.instance.clone());
        let of = self.studies.entry(note.study.clone()).or_default();
        of.notes.insert(note.instance, reason);
        Some(note.study)
    }

    /// Has everybody see studies as they are now.
    fn show(&mut self, studies: &BTreeSet<String>) {
        for study in studies {
            let Some(of) = self.studies.get(study) else { continue };
            let (mut default, mut regular) = (HashSet::new(), HashSet::new());
            for (uid, rejected) in &of.instances {
                let Ok(sop) = SopInstanceUid::new(uid) else { continue };
                if rejected.reason != RejectionReason::Quality {
                    regular.insert(sop.clone());
                }
                default.insert(sop);
            }
            for (uid, reason) in &of.notes {
                let Ok(sop) = SopInstanceUid::new(uid) else { continue };
                // Those who see the images see why they are rejected, as long as they are.
                let stands = *reason == Some(RejectionReason::Quality)
                    && of
                        .instances
                        .values()
                        .any(|rejected| rejected.decided.note.as_ref() == Some(uid));
                if !stands {
                    regular.insert(sop.clone());
                }
                default.insert(sop);
            }
            self.shelf.set(study, default, regular);
            if of.instances.is_empty() && of.notes.is_empty() {
                self.studies.remove(study);
            }
        }
    }

    /// What a view does not show; nothing is hidden from who manages records.
    pub(crate) fn veil(&self, view: View) -> Option<Arc<dyn Veil>> {
        match view {
            View::Default => Some(Arc::clone(&self.shelf.default) as Arc<dyn Veil>),
            View::Regular => Some(Arc::clone(&self.shelf.regular) as Arc<dyn Veil>),
            View::Manager => None,
        }
    }

    pub(crate) fn is_rejected(&self, study: &str, uid: &str) -> bool {
        self.reason(study, uid).is_some()
    }

    pub(crate) fn reason(&self, study: &str, uid: &str) -> Option<RejectionReason> {
        Some(self.studies.get(study)?.instances.get(uid)?.reason)
    }

    pub(crate) fn is_note(&self, study: &str, uid: &str) -> bool {
        self.studies.get(study).is_some_and(|of| of.notes.contains_key(uid))
    }

    pub(crate) fn is_followed(&self, note: &str) -> bool {
        self.followed.contains(note)
    }

    /// Codes of a study of so many instances, where all of it is rejected; notes are none of its images.
    pub(crate) fn of_whole(&self, study: &str, instances: u64) -> Vec<String> {
        let Some(of) = self.studies.get(study) else {
            return Vec::new();
        };
        if of.instances.is_empty() || ((of.instances.len() + of.notes.len()) as u64) < instances {
            return Vec::new();
        }
        let codes: BTreeSet<&str> = of.instances.values().map(|rejected| rejected.reason.code()).collect();
        codes.into_iter().map(str::to_owned).collect()
    }

    /// Since when something of a study is rejected for the safety of its patient, and by whom.
    pub(crate) fn for_safety(&self, study: &str) -> Option<(OffsetDateTime, &str)> {
        let of = self.studies.get(study)?;
        let all = of.instances.values();
        let first = all
            .filter(|rejected| rejected.reason == RejectionReason::Safety)
            .min_by_key(|rejected| rejected.decided.at)?;
        Some((first.decided.at, &first.decided.by))
    }

    pub(super) fn list(
        &self,
        study: Option<&str>,
        reason: Option<RejectionReason>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Rejection> {
        let (after_study, after_instance) = after
            .and_then(|after| after.split_once('/'))
            .map_or((None, None), |(study, uid)| (Some(study), Some(uid)));
        let from = match (study, after_study) {
            (Some(study), _) => Bound::Included(study),
            (None, Some(after)) => Bound::Included(after),
            (None, None) => Bound::Unbounded,
        };
        let mut found = Vec::new();
        for (uid, of) in self.studies.range::<str, _>((from, Bound::Unbounded)) {
            if study.is_some_and(|study| study != uid) {
                break;
            }
            let behind = match after_instance.filter(|_| after_study == Some(uid)) {
                Some(instance) => Bound::Excluded(instance),
                None => Bound::Unbounded,
            };
            for (instance, rejected) in of.instances.range::<str, _>((behind, Bound::Unbounded)) {
                if reason.is_some_and(|reason| reason != rejected.reason) {
                    continue;
                }
                if found.len() >= limit {
                    return found;
                }
                found.push(Rejection {
                    study: uid.clone(),
                    instance: instance.clone(),
                    reason: rejected.reason,
                    meaning: rejected.reason.meaning(),
                    why: rejected.decided.why.clone(),
                    by: rejected.decided.by.clone(),
                    at: rejected.decided.at,
                    note: rejected.decided.note.clone(),
                });
            }
        }
        found
    }
}
