//! What counts of what was said.

use std::collections::BTreeSet;

use filmroom_retention::{Death, Encounter, Flag, PartialDate, Purpose, Source};

use super::fact::{FactName, Row, encounter};

/// What counts of the facts of one subject.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) birth: Option<PartialDate>,
    pub(crate) death: Option<Death>,
    pub(crate) last_encounter: Option<PartialDate>,
    pub(crate) encounters: Vec<Encounter>,
    pub(crate) flags: Vec<Flag>,
    pub(crate) trial_end: Option<PartialDate>,
    pub(crate) employment_end: Option<PartialDate>,
    pub(crate) encounter_end: Option<PartialDate>,
    pub(crate) completed: Option<PartialDate>,
    pub(crate) purpose: Option<Purpose>,
    pub(crate) site: Option<String>,
    pub(crate) source: Option<Source>,
    pub(crate) programmes: Vec<String>,
    pub(crate) conflicts: Vec<String>,
}

impl Known {
    pub(crate) fn of<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> Self {
        let mut known = Self::default();
        let active = || rows.clone().filter(|row| row.active && row.said.value.is_some());
        let single = |name: FactName, conflicts: &mut Vec<String>| {
            let values: BTreeSet<PartialDate> = active()
                .filter(|row| row.said.fact == name)
                .filter_map(|row| row.said.value.as_ref()?.parse().ok())
                .collect();
            if values.len() > 1 {
                let all: Vec<String> = values.iter().map(PartialDate::to_string).collect();
                conflicts.push(format!(
                    "sources do not agree on {}: {}; the latest counts until one is superseded",
                    name.word(),
                    all.join(", ")
                ));
            }
            values.into_iter().max_by_key(|date| (date.latest(), !date.is_whole()))
        };
        let mut conflicts = Vec::new();
        known.birth = single(FactName::Birth, &mut conflicts);
        known.death = single(FactName::Death, &mut conflicts).map(Death::On);
        known.trial_end = single(FactName::TrialEnd, &mut conflicts);
        known.employment_end = single(FactName::EmploymentEnd, &mut conflicts);
        known.encounter_end = single(FactName::EncounterEnd, &mut conflicts);
        known.completed = single(FactName::Completed, &mut conflicts);
        // That somebody was seen twice is no conflict.
        known.last_encounter = single(FactName::LastEncounter, &mut Vec::new());
        for row in active() {
            let Some(value) = &row.said.value else { continue };
            match row.said.fact {
                FactName::Death if value == "unknown" => {
                    known.death = known.death.or(Some(Death::KnownOn(row.known_on)));
                }
                FactName::Encounter => known.encounters.extend(encounter(value)),
                FactName::Flag => known.flags.push(Flag {
                    name: value.clone(),
                    date: row.said.date,
                    known_on: row.known_on,
                }),
                FactName::Purpose => known.purpose = Purpose::of(value),
                FactName::Source => known.source = Source::of(value),
                FactName::Site => known.site = Some(value.clone()),
                FactName::Programme => known.programmes.push(value.clone()),
                _ => {}
            }
        }
        known.conflicts = conflicts;
        known
    }
}
