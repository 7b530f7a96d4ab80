//! Whether a condition holds: it does, it does not, or what is known does not tell.

use time::Date;

use super::anchors::Anchors;
use crate::policy::{Condition, DeathWithin, LaterStudy};

/// What is known of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    /// It is not so.
    No,
    /// It may be so.
    Maybe,
    /// It is so.
    Yes,
}

impl Truth {
    fn of(is_so: bool) -> Self {
        if is_so { Self::Yes } else { Self::No }
    }

    fn not(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
            Self::Yes => Self::No,
        }
    }
}

/// Looks at all of it; the least certain part decides.
pub(crate) fn holds(condition: &Condition, anchors: &Anchors<'_>) -> Truth {
    each(condition, anchors)
        .map(|(_, truth)| truth)
        .min()
        .unwrap_or(Truth::Yes)
}

/// The parts of a condition that are there, by name, and what is known of each.
pub(crate) fn each<'c>(
    condition: &'c Condition,
    anchors: &'c Anchors<'_>,
) -> impl Iterator<Item = (&'static str, Truth)> + 'c {
    let facts = anchors.facts();
    let listed = |name, wanted: &[String], has: &dyn Fn(&String) -> bool| {
        (!wanted.is_empty()).then(|| (name, Truth::of(wanted.iter().any(has))))
    };
    let parts = [
        listed("modality", &condition.modality, &|wanted| {
            facts.modalities.contains(wanted)
        }),
        listed("sop_class", &condition.sop_class, &|wanted| {
            facts.sop_classes.contains(wanted)
        }),
        listed("flag", &condition.flag, &|wanted| {
            facts.all_flags().any(|flag| flag.name == *wanted)
        }),
        listed("rejected_as", &condition.rejected_as, &|wanted| {
            facts.rejected_as.contains(wanted)
        }),
        listed("site", &condition.site, &|wanted| facts.site == *wanted),
        (!condition.purpose.is_empty()).then(|| {
            let is_for = condition.purpose.contains(&facts.purpose());
            ("purpose", Truth::of(is_for))
        }),
        (!condition.source.is_empty()).then(|| ("source", Truth::of(condition.source.contains(&facts.source)))),
        condition
            .age_at_study
            .map(|range| ("age_at_study", Truth::of(range.has(anchors.age_at_study())))),
        condition
            .age_last_seen
            .map(|range| ("age_last_seen", Truth::of(range.has(anchors.age_last_seen())))),
        condition
            .deceased
            .map(|deceased| ("deceased", Truth::of(deceased == facts.patient.death.is_some()))),
        condition
            .death_within
            .map(|within| ("death_within", died_within(within, anchors))),
        condition
            .later_study
            .as_ref()
            .map(|later| ("later_study", came_back(later, anchors))),
        (!condition.any.is_empty()).then(|| {
            let any = condition.any.iter().map(|one| holds(one, anchors)).max();
            ("any", any.unwrap_or(Truth::No))
        }),
        condition.not.as_ref().map(|not| ("not", holds(not, anchors).not())),
    ];
    parts.into_iter().flatten()
}

fn died_within(within: DeathWithin, anchors: &Anchors<'_>) -> Truth {
    let death = anchors.span(crate::Anchor::PatientDeath, &[]);
    let (Some(death), Some(of)) = (death, anchors.span(within.of, &[])) else {
        return Truth::No;
    };
    // The least that `of` can be: a period from the unknown beginning of time has no end.
    if of.earliest > Date::MIN && death.latest <= within.period.after(of.earliest) {
        Truth::Yes
    } else if death.earliest > within.period.after(of.latest) {
        Truth::No
    } else {
        Truth::Maybe
    }
}

fn came_back(later: &LaterStudy, anchors: &Anchors<'_>) -> Truth {
    let facts = anchors.facts();
    let study = anchors.study;
    let end_of = |from: Date| later.within.map_or(Date::MAX, |within| within.after(from));
    let mut found = Truth::No;
    for other in &facts.patient.studies {
        let is_meant = other.study_instance_uid != facts.study_instance_uid
            && other.site == facts.site
            && other.source == crate::Source::Own
            && (later.modality.is_empty() || other.modalities.iter().any(|found| later.modality.contains(found)));
        if !is_meant {
            continue;
        }
        let (earliest, latest) = match other.date {
            Some(date) => (date.earliest(), date.latest()),
            None => (Date::MIN, anchors.as_of()),
        };
        let is_certain = earliest > study.latest && study.earliest > Date::MIN && latest <= end_of(study.earliest);
        if is_certain {
            return Truth::Yes;
        }
        if latest > study.earliest && earliest <= end_of(study.latest) {
            found = Truth::Maybe;
        }
    }
    found
}
