//! Decisions and conditions in words.

use super::{
    Anchor, Condition, Decision, Keep, PartialDate, Status, StudyFacts,
    decide::Found,
    policy::{AgeRange, Rule},
};

/// The decision in one sentence.
pub(crate) fn reason(decision: &Decision, found: &Found<'_>, facts: &StudyFacts) -> String {
    let kept = match decision.status {
        Status::Barred => found
            .bars
            .first()
            .map(|rule| format!("{}: keep without a date", for_whom(rule, facts))),
        _ => binding(decision, found, facts),
    };
    let kept = kept.unwrap_or_else(|| match decision.policy.is_empty() {
        true => "No policy is bound to its site: keep".to_owned(),
        false => "No minimum rule gives a day: keep".to_owned(),
    });
    let holds: Vec<String> = decision
        .holds
        .iter()
        .map(|hold| match hold.until {
            Some(until) => format!("{} until {}", hold.matter, PartialDate::Day(until)),
            None => hold.matter.clone(),
        })
        .collect();
    match (decision.status, holds.is_empty()) {
        (Status::Held, _) | (Status::Indeterminate | Status::Barred, false) => {
            format!("{kept}; held for {}.", holds.join(", "))
        }
        (Status::Expired, _) => format!("{kept}; that is over."),
        _ => format!("{kept}."),
    }
}

fn binding(decision: &Decision, found: &Found<'_>, facts: &StudyFacts) -> Option<String> {
    if let Some((rule, anchor)) = found.missing.first() {
        return Some(format!(
            "{}: keep, since {anchor} is not known and {} counts from it",
            for_whom(rule, facts),
            rule.id
        ));
    }
    if let Some(rule) = found.standing.first() {
        return Some(format!(
            "{}: keep, since the period of {} is suspended",
            for_whom(rule, facts),
            rule.id
        ));
    }
    let (rule, until, keep, from) = found
        .dated
        .iter()
        .find(|(_, until, ..)| Some(*until) == decision.retain_until)?;
    let plain = keep.period.after(*from);
    let suspended = if *until > plain {
        let days = (*until - plain).whole_days();
        format!(" and {days} days, for which it was suspended")
    } else {
        String::new()
    };
    Some(format!(
        "{}: keep {}{suspended}",
        for_whom(rule, facts),
        for_how_long(keep, *from)
    ))
}

fn for_how_long(keep: &Keep, from: time::Date) -> String {
    let day = PartialDate::Day(from);
    let anchor = match keep.from {
        Anchor::StudyDate => return format!("{} from {day}", keep.period.in_words()),
        Anchor::StudyCompleted => "the study's completion",
        Anchor::EncounterEnd => "discharge",
        Anchor::PatientBirth => "birth",
        Anchor::PatientDeath => "death",
        Anchor::PatientLastEncounter => "the last encounter",
        Anchor::FlagDate => "the flag",
        Anchor::TrialEnd => "the end of the trial",
        Anchor::EmploymentEnd => "the end of employment",
        Anchor::Received => "receipt",
    };
    format!("{} from {anchor} on {day}", keep.period.in_words())
}

/// What the rule found in the study.
fn for_whom(rule: &Rule, facts: &StudyFacts) -> String {
    let said = if rule.when.is_empty() {
        "Any study".to_owned()
    } else {
        condition(&rule.when, Some(facts))
    };
    let mut letters = said.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => said,
    }
}

/// A condition in words; of lists only what the study has, where there is one.
pub(crate) fn condition(condition: &Condition, facts: Option<&StudyFacts>) -> String {
    let mut parts: Vec<String> = Vec::new();
    let listed = |wanted: &[String], has: &dyn Fn(&StudyFacts, &String) -> bool| -> Vec<String> {
        let found: Vec<String> = wanted
            .iter()
            .filter(|one| facts.is_none_or(|facts| has(facts, one)))
            .cloned()
            .collect();
        if found.is_empty() { wanted.to_vec() } else { found }
    };
    if !condition.modality.is_empty() {
        let found = listed(&condition.modality, &|facts, one| facts.modalities.contains(one));
        parts.push(match found.as_slice() {
            [one] if one == "MG" => "mammogram".to_owned(),
            found => format!("modality {}", found.join(" or ")),
        });
    }
    if !condition.sop_class.is_empty() {
        parts.push(format!("SOP class {}", condition.sop_class.join(" or ")));
    }
    if !condition.purpose.is_empty() {
        let words: Vec<&str> = condition.purpose.iter().map(|purpose| purpose.word()).collect();
        parts.push(format!("made for {}", words.join(" or ")));
    }
    if let Some(range) = condition.age_at_study {
        parts.push(format!("patient {} at the study", age(range)));
    }
    if let Some(range) = condition.age_last_seen {
        parts.push(format!("patient {} when last seen", age(range)));
    }
    match condition.deceased {
        Some(true) => parts.push("patient deceased".to_owned()),
        Some(false) => parts.push("patient not known to be deceased".to_owned()),
        None => {}
    }
    if let Some(within) = condition.death_within {
        parts.push(format!("death within {} of {}", within.period.in_words(), within.of));
    }
    if !condition.flag.is_empty() {
        let found = listed(&condition.flag, &|facts, one| {
            facts.all_flags().any(|flag| flag.name == *one)
        });
        parts.push(format!("flagged {}", found.join(" or ")));
    }
    if !condition.source.is_empty() {
        let words: Vec<&str> = condition.source.iter().map(|source| source.word()).collect();
        parts.push(format!("source {}", words.join(" or ")));
    }
    if let Some(later) = &condition.later_study {
        parts.push(format!("a {}", later_study(later)));
    }
    if !condition.rejected_as.is_empty() {
        parts.push(format!("rejected as {}", condition.rejected_as.join(" or ")));
    }
    if !condition.site.is_empty() {
        parts.push(format!("site {}", condition.site.join(" or ")));
    }
    if !condition.any.is_empty() {
        let any: Vec<String> = condition.any.iter().map(|one| self::condition(one, facts)).collect();
        parts.push(format!("either {}", any.join(" or ")));
    }
    if let Some(not) = &condition.not {
        parts.push(
            match (
                &not.later_study,
                **not
                    == Condition {
                        later_study: not.later_study.clone(),
                        ..Condition::default()
                    },
            ) {
                (Some(later), true) => format!("no {}", later_study(later)),
                _ => format!("not ({})", self::condition(not, None)),
            },
        );
    }
    if parts.is_empty() {
        "any study".to_owned()
    } else {
        parts.join("; ")
    }
}

fn later_study(later: &crate::LaterStudy) -> String {
    let what = match later.modality.as_slice() {
        [] => "study".to_owned(),
        [one] if one == "MG" => "mammogram".to_owned(),
        several => format!("{} study", several.join(" or ")),
    };
    match later.within {
        Some(within) => format!("later {what} here within {}", within.in_words()),
        None => format!("later {what} here"),
    }
}

fn age(range: AgeRange) -> String {
    match (range.gte, range.lt) {
        (Some(gte), Some(lt)) if gte + 1 == lt => format!("{gte}"),
        (Some(gte), Some(lt)) => format!("{gte} to {}", lt.saturating_sub(1)),
        (Some(gte), None) => format!("{gte} or older"),
        (None, Some(lt)) => format!("under {lt}"),
        (None, None) => "of any age".to_owned(),
    }
}
