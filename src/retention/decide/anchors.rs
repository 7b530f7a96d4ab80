//! What periods run from: the earliest and the latest day that an anchor can mean, as far as is known.

use time::Date;

use crate::{Anchor, Death, PartialDate, StudyFacts};

/// A day that may not be known exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) earliest: Date,
    pub(super) latest: Date,
    /// Why `latest` is not simply known.
    pub(super) assumed: Option<&'static str>,
}

impl Span {
    fn known(date: PartialDate) -> Self {
        Self {
            earliest: date.earliest(),
            latest: date.latest(),
            assumed: (!date.is_whole()).then_some("known in part: its latest plausible day"),
        }
    }
}

/// The anchors of one study on one day.
pub(crate) struct Anchors<'a> {
    facts: &'a StudyFacts,
    as_of: Date,
    pub(super) study: Span,
    last_seen: Span,
}

impl<'a> Anchors<'a> {
    pub(crate) fn new(facts: &'a StudyFacts, as_of: Date) -> Self {
        let study = match facts.study_date {
            // It was made before it came, which bounds what is not known.
            Some(date) if !date.is_whole() && date.earliest() <= facts.received => Span {
                latest: date.latest().min(facts.received),
                ..Span::known(date)
            },
            Some(date) => Span::known(date),
            None => Span {
                earliest: Date::MIN,
                latest: facts.received,
                assumed: Some("not known: no later than the day on which it came"),
            },
        };
        let last_seen = last_seen(facts, study, as_of);
        Self {
            facts,
            as_of,
            study,
            last_seen,
        }
    }

    /// The span of an anchor; `None` when nothing bounds it. `flags` are those that the rule names.
    pub(super) fn span(&self, anchor: Anchor, flags: &[&str]) -> Option<Span> {
        let patient = &self.facts.patient;
        match anchor {
            Anchor::StudyDate => Some(self.study),
            Anchor::Received => Some(Span::known(self.facts.received.into())),
            Anchor::StudyCompleted => self.facts.completed.map(Span::known),
            Anchor::EncounterEnd => self.encounter_end(),
            Anchor::PatientBirth => Some(self.birth()),
            Anchor::PatientLastEncounter => Some(self.last_seen),
            Anchor::PatientDeath => patient.death.map(|death| match death {
                Death::On(date) => Span::known(date),
                Death::KnownOn(date) => Span {
                    earliest: self.birth().earliest,
                    latest: date,
                    assumed: Some("its day is not known: no later than the day on which it was known"),
                },
            }),
            Anchor::TrialEnd => patient.trial_end.map(Span::known),
            Anchor::EmploymentEnd => patient.employment_end.map(Span::known),
            Anchor::FlagDate => self.flag(flags),
        }
    }

    /// Birth, as late as it can have been.
    fn birth(&self) -> Span {
        match self.facts.patient.birth {
            None => Span {
                earliest: Date::MIN,
                latest: self.study.latest,
                assumed: Some("not known: as if newborn on the day of the study"),
            },
            Some(date) => Span::known(date),
        }
    }

    /// Birthdays up to the day of the study, for the youngest that the patient can have been.
    pub(super) fn age_at_study(&self) -> i32 {
        // A day of the study that is not known at all says nothing against newborn.
        if self.study.earliest == Date::MIN {
            return 0;
        }
        crate::full_years(self.birth().latest, self.study.earliest)
    }

    /// The same for the day on which the patient was last seen.
    pub(super) fn age_last_seen(&self) -> i32 {
        if self.last_seen.earliest == Date::MIN {
            return 0;
        }
        crate::full_years(self.birth().latest, self.last_seen.earliest)
    }

    /// The discharge that ended the stay in which the study was made; of an outpatient the day of the study.
    fn encounter_end(&self) -> Option<Span> {
        if let Some(end) = self.facts.encounter_end {
            return Some(Span::known(end));
        }
        let mut found: Option<Span> = None;
        for encounter in &self.facts.patient.encounters {
            let began = encounter.start.earliest() <= self.study.latest;
            let lasted = encounter.end.is_none_or(|end| end.latest() >= self.study.earliest);
            if !(began && lasted) {
                continue;
            }
            // A stay that has not ended has no end to run from.
            let end = Span::known(encounter.end?);
            if found.is_none_or(|found| found.latest < end.latest) {
                found = Some(end);
            }
        }
        Some(found.unwrap_or(self.study))
    }

    fn flag(&self, names: &[&str]) -> Option<Span> {
        let mut found: Option<Span> = None;
        for flag in self
            .facts
            .all_flags()
            .filter(|flag| names.contains(&flag.name.as_str()))
        {
            let span = match flag.date {
                Some(date) => Span::known(date),
                None => Span {
                    earliest: Date::MIN,
                    latest: flag.known_on,
                    assumed: Some("its day is not known: no later than the day on which it was set"),
                },
            };
            if found.is_none_or(|found| found.latest < span.latest) {
                found = Some(span);
            }
        }
        found
    }

    pub(super) fn facts(&self) -> &'a StudyFacts {
        self.facts
    }

    pub(super) fn as_of(&self) -> Date {
        self.as_of
    }
}

/// The last that was seen of the patient: what somebody said, stays, and the studies that were made here.
fn last_seen(facts: &StudyFacts, study: Span, as_of: Date) -> Span {
    let mut last = study;
    let mut see = |span: Span| {
        if span.latest > last.latest {
            last.latest = span.latest;
            last.assumed = span.assumed;
        }
        last.earliest = last.earliest.max(span.earliest);
    };
    let patient = &facts.patient;
    if let Some(said) = patient.last_encounter {
        see(Span::known(said));
    }
    for encounter in &patient.encounters {
        see(Span::known(encounter.start));
        match encounter.end {
            Some(end) => see(Span::known(end)),
            // Still here.
            None if encounter.start.earliest() <= as_of => see(Span::known(as_of.into())),
            None => {}
        }
    }
    for other in &patient.studies {
        if let Some(date) = other.date.filter(|_| other.source == crate::Source::Own) {
            see(Span::known(date));
        }
    }
    last
}
