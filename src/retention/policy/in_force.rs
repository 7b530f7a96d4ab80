//! Which packs are in force for a study.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use time::Date;

use super::{Pack, Rule};
use crate::{Source, StudyFacts};

/// Says for which studies a pack is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Binding {
    /// The pack, by its name: the version follows from the day.
    pub pack: String,
    /// At this site; at all when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Of this source; of any when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Made under this payer or programme; any when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programme: Option<String>,
}

impl Binding {
    fn is_for(&self, facts: &StudyFacts) -> bool {
        self.site.as_ref().is_none_or(|site| *site == facts.site)
            && self.source.is_none_or(|source| source == facts.source)
            && self
                .programme
                .as_ref()
                .is_none_or(|programme| facts.programmes.contains(programme))
    }
}

/// All packs that were published, and where they are in force.
#[derive(Debug, Clone, Default)]
pub struct Policies {
    /// Packs in the order in which they were published.
    pub packs: Vec<Arc<Pack>>,
    /// Bindings, in order.
    pub bindings: Vec<Binding>,
}

impl Policies {
    /// The packs for a study on a day: of each that is bound the version that came into force last, in the order of bindings.
    #[must_use]
    pub fn applicable(&self, facts: &StudyFacts, as_of: Date) -> Vec<&Arc<Pack>> {
        let mut found: Vec<&Arc<Pack>> = Vec::new();
        for binding in self.bindings.iter().filter(|binding| binding.is_for(facts)) {
            if found.iter().any(|pack| pack.pack == binding.pack) {
                continue;
            }
            let mut latest: Option<&Arc<Pack>> = None;
            for pack in self.packs.iter().filter(|pack| pack.pack == binding.pack) {
                // Of two from one day the one that was published later.
                let is_later = latest.is_none_or(|latest| pack.effective_from >= latest.effective_from);
                if pack.effective_from <= as_of && is_later {
                    latest = Some(pack);
                }
            }
            // A version that has ended does not let an older one back in.
            found.extend(latest.filter(|pack| pack.is_effective(as_of)));
        }
        found
    }

    /// The rules that are in force for a study on a day.
    pub(crate) fn rules<'a>(packs: &'a [&'a Arc<Pack>], as_of: Date) -> impl Iterator<Item = &'a Rule> {
        packs
            .iter()
            .flat_map(|pack| pack.rule.iter())
            .filter(move |rule| rule.is_effective(as_of))
    }
}
