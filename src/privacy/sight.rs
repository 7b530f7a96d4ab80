//! What one caller sees of the archive: carried by every question and every selection, asked of every study that is met.

use std::{
    collections::{HashSet, hash_map::DefaultHasher},
    fmt,
    hash::{Hash, Hasher},
    sync::{Arc, PoisonError, RwLock},
};

use filmroom_storage::{
    index::{Index, IndexError, StudySelector},
    model::{StudyInstanceUid, StudyRecord},
};

use super::{
    Label,
    book::Book,
    label::is_cleared,
    scope::{PatientKey, Scope},
};

/// So many studies of who sees only some are looked up one by one; beyond that the archive is walked and most of it seen.
const FEW: usize = 4096;
/// Studies of one patient read at a time.
const STUDIES_A_PAGE: usize = 64;

/// What one caller sees. Cheap to clone; made for one request, so that what is granted, revoked or over counts with the next.
#[derive(Clone)]
pub struct Sight(Option<Arc<Seeing>>);

struct Seeing {
    book: Arc<RwLock<Book>>,
    index: Arc<dyn Index>,
    /// True for who sees studies that are neither labelled nor granted.
    sees_most: bool,
    /// True for who sees nothing whatever is granted.
    is_blind: bool,
    labels: HashSet<Label>,
    studies: HashSet<StudyInstanceUid>,
    patients: HashSet<PatientKey>,
    key: u64,
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            None => "Sight(all)",
            Some(_) => "Sight(some)",
        })
    }
}

impl Sight {
    /// Everything: for the archive's own work, and for who is not asked.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    pub(crate) fn some<'a>(
        book: &Arc<RwLock<Book>>,
        index: Arc<dyn Index>,
        sees_most: bool,
        is_blind: bool,
        scopes: impl Iterator<Item = &'a Scope>,
        holders: &[&str],
        version: u64,
    ) -> Self {
        let mut seeing = Seeing {
            book: Arc::clone(book),
            index,
            sees_most,
            is_blind,
            labels: HashSet::new(),
            studies: HashSet::new(),
            patients: HashSet::new(),
            key: 0,
        };
        for scope in scopes {
            match scope {
                Scope::Label(label) => drop(seeing.labels.insert(label.clone())),
                Scope::Study(study) => drop(seeing.studies.insert(study.clone())),
                Scope::Patient(patient) => drop(seeing.patients.insert(patient.clone())),
            }
        }
        let mut hasher = DefaultHasher::new();
        (version, sees_most, is_blind, holders).hash(&mut hasher);
        (seeing.labels.len(), seeing.studies.len(), seeing.patients.len()).hash(&mut hasher);
        seeing.key = hasher.finish() | 1;
        Self(Some(Arc::new(seeing)))
    }

    /// True when nothing is hidden: nothing has to be asked then.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// What sights of callers that see differently differ in; 0 for who sees all.
    #[must_use]
    pub fn key(&self) -> u64 {
        self.0.as_ref().map_or(0, |seeing| seeing.key)
    }

    /// True when a study is seen. What is not there is not seen by who does not see all.
    ///
    /// # Errors
    /// [`IndexError`]: whose study it is has to be looked up for some.
    pub fn sees(&self, study: &StudyInstanceUid) -> Result<bool, IndexError> {
        let Some(seeing) = &self.0 else { return Ok(true) };
        if seeing.sees_by_itself(study) {
            return Ok(true);
        }
        if seeing.patients.is_empty() || seeing.is_blind {
            return Ok(false);
        }
        let record = seeing.index.study(study)?;
        Ok(record.is_some_and(|record| seeing.sees_patient(&record)))
    }

    /// The same, where the record is at hand.
    #[must_use]
    pub fn sees_record(&self, record: &StudyRecord) -> bool {
        self.0
            .as_ref()
            .is_none_or(|seeing| seeing.sees_by_itself(&record.study_instance_uid) || seeing.sees_patient(record))
    }

    /// All studies that are seen, where they are few: a search then begins with them, and reads no other. `None` where most are seen.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn few(&self) -> Result<Option<Vec<StudyInstanceUid>>, IndexError> {
        let Some(seeing) = self.0.as_ref().filter(|seeing| !seeing.sees_most) else {
            return Ok(None);
        };
        if seeing.is_blind {
            return Ok(Some(Vec::new()));
        }
        let mut few: Vec<StudyInstanceUid> = seeing.studies.iter().cloned().collect();
        {
            let book = seeing.book.read().unwrap_or_else(PoisonError::into_inner);
            for label in &seeing.labels {
                if let Some(studies) = book.labelled.get(label) {
                    if few.len() + studies.len() > FEW {
                        return Ok(None);
                    }
                    few.extend(studies.iter().cloned());
                }
            }
        }
        for patient in &seeing.patients {
            let selector = StudySelector::PatientId(patient.id.clone());
            let mut after = None;
            loop {
                let page = seeing.index.studies(&selector, after.as_ref(), STUDIES_A_PAGE)?;
                let ended = page.len() < STUDIES_A_PAGE;
                after = page.last().map(|(cursor, _)| cursor.clone());
                few.extend(page.into_iter().map(|(_, record)| record.study_instance_uid));
                if few.len() > FEW {
                    return Ok(None);
                }
                if ended {
                    break;
                }
            }
        }
        few.sort();
        few.dedup();
        Ok(Some(few))
    }
}

impl Seeing {
    /// Seen, whoever's study it is.
    fn sees_by_itself(&self, study: &StudyInstanceUid) -> bool {
        if self.is_blind {
            return false;
        }
        if self.studies.contains(study) {
            return true;
        }
        let book = self.book.read().unwrap_or_else(PoisonError::into_inner);
        let Some(labels) = book.labels.get(study) else {
            return self.sees_most;
        };
        is_cleared(labels, |label| self.labels.contains(label))
            && (self.sees_most || labels.iter().any(|label| self.labels.contains(label)))
    }

    fn sees_patient(&self, record: &StudyRecord) -> bool {
        // No key is made where nobody was granted a patient.
        !self.is_blind
            && !self.patients.is_empty()
            && self.patients.contains(&PatientKey {
                id: record.keys.patient_id.clone(),
                issuer: record.keys.issuer_of_patient_id.clone(),
            })
    }
}
