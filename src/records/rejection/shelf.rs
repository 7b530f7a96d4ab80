//! Who sees what of that which is rejected.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, PoisonError, RwLock},
};

use filmroom_storage::{
    index::{Hidden, Veil},
    model::{SopInstanceUid, StudyInstanceUid},
};

/// How the archive is looked at (IHE RAD TF-1, IOCM).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum View {
    /// Without anything that is rejected.
    Default,
    /// With what is rejected for its quality, and the notes that say so.
    Regular,
    /// All there is.
    Manager,
}

impl View {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Default, Self::Regular, Self::Manager];

    /// Its word in settings and paths.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Regular => "regular",
            Self::Manager => "manager",
        }
    }
}

/// What one view does not show.
#[derive(Debug, Default)]
pub(super) struct Unseen(RwLock<HashMap<StudyInstanceUid, Hidden>>);

impl Veil for Unseen {
    fn of(&self, study: &StudyInstanceUid) -> Option<Hidden> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(study).cloned()
    }
}

impl Unseen {
    fn set(&self, study: &StudyInstanceUid, hidden: Option<Hidden>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match hidden {
            Some(hidden) => all.insert(study.clone(), hidden),
            None => all.remove(study),
        };
    }
}

/// What is not shown, for all who look. Never held while anything is decided, so that no question waits for a decision.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    pub(super) default: Arc<Unseen>,
    pub(super) regular: Arc<Unseen>,
}

impl Shelf {
    /// Changes what is not shown of a study: by default, and in regular use, which is never more.
    pub(super) fn set(&self, study: &str, default: HashSet<SopInstanceUid>, regular: HashSet<SopInstanceUid>) {
        let Ok(study) = StudyInstanceUid::new(study) else {
            return;
        };
        let is_same = default == regular;
        let shared = |hidden: HashSet<SopInstanceUid>| (!hidden.is_empty()).then(|| Arc::new(hidden));
        let default = shared(default);
        let regular = if is_same { default.clone() } else { shared(regular) };
        self.default.set(&study, default);
        self.regular.set(&study, regular);
    }
}
