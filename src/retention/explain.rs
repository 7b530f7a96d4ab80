//! Every rule that is in force for a study, and why it applies or does not.

use serde::Serialize;
use time::Date;

use super::{
    Class, Decision, Policies, StudyFacts,
    decide::{
        anchors::Anchors,
        conditions::{Truth, each},
    },
    words,
};

/// What became of a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It decides.
    Binding,
    /// It applies, and another keeps longer.
    Applies,
    /// Another that applies supersedes it.
    Superseded,
    /// It is for other studies.
    DoesNotApply,
    /// It is not in force on the day.
    NotInForce,
}

/// One rule and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Traced {
    /// The pack and its version.
    pub pack: String,
    /// The rule.
    pub rule: String,
    /// What it says.
    pub class: Class,
    /// What became of it.
    pub verdict: Verdict,
    /// What is so of the study, or is not.
    pub why: String,
    /// Where it is written.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cite: String,
}

/// Goes through all rules of the packs that are in force for a study, after it was decided on.
#[must_use]
pub fn trace(facts: &StudyFacts, policies: &Policies, decision: &Decision, as_of: Date) -> Vec<Traced> {
    let anchors = Anchors::new(facts, as_of);
    let packs = policies.applicable(facts, as_of);
    let mut traced = Vec::new();
    for (pack, rule) in packs
        .iter()
        .flat_map(|pack| pack.rule.iter().map(move |rule| (pack, rule)))
    {
        let fails = each(&rule.when, &anchors).find(|(_, truth)| *truth == Truth::No);
        let (verdict, why) = if !rule.is_effective(as_of) {
            (Verdict::NotInForce, "it is not in force on that day".to_owned())
        } else if let Some((part, _)) = fails {
            let wanted = words::condition(&rule.when, None);
            (
                Verdict::DoesNotApply,
                format!("{part} is otherwise; it is for: {wanted}"),
            )
        } else if decision.superseded.contains(&rule.id) {
            (
                Verdict::Superseded,
                "another rule that applies supersedes it".to_owned(),
            )
        } else if decision.binding.contains(&rule.id) {
            (Verdict::Binding, words::condition(&rule.when, Some(facts)))
        } else {
            (Verdict::Applies, words::condition(&rule.when, Some(facts)))
        };
        traced.push(Traced {
            pack: pack.reference(),
            rule: rule.id.clone(),
            class: rule.class,
            verdict,
            why,
            cite: rule.cite.clone(),
        });
    }
    traced
}
