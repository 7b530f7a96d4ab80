//! The decision: how long a study is kept, by which rules, and what stands against its going.

pub(crate) mod anchors;
pub(crate) mod conditions;
mod tolling;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use time::Date;

use self::{
    anchors::Anchors,
    conditions::{Truth, holds},
    tolling::{End, Suspended},
};
use super::{
    Class, Combine, Hold, HoldEffect, HoldKind, Keep, PartialDate, Policies, Rule, StudyFacts, date::iso,
    digest::facts_digest, words,
};

/// What may happen to a study.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// A rule keeps it.
    Retained,
    /// No rule keeps it any more: it may be proposed for disposal.
    Expired,
    /// A hold keeps it.
    Held,
    /// A rule keeps it without a date.
    Barred,
    /// What has to be known is not: it is kept.
    Indeterminate,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Retained,
        Self::Expired,
        Self::Held,
        Self::Barred,
        Self::Indeterminate,
    ];

    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Retained => "retained",
            Self::Expired => "expired",
            Self::Held => "held",
            Self::Barred => "barred",
            Self::Indeterminate => "indeterminate",
        }
    }
}

/// A reason for a person to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Review {
    /// It is kept longer than a rule allows, and nothing asks for it.
    Overdue,
}

/// A rule that applies, and the day it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// The rule.
    pub rule: String,
    /// Up to and including this day; `None` where what it counts from is not known, or it gives no day.
    #[serde(with = "iso::option")]
    pub until: Option<Date>,
}

/// A hold on the study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldBy {
    /// The hold.
    pub hold: String,
    /// Its matter.
    pub matter: String,
    /// What it is for.
    pub kind: HoldKind,
    /// What it does.
    pub effect: HoldEffect,
    /// It ends by itself behind this day.
    #[serde(default, with = "iso::option", skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// A day that was taken for another that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assumption {
    /// What is not known.
    pub fact: String,
    /// The day taken.
    #[serde(rename = "as", with = "iso")]
    pub day: Date,
    /// Why.
    pub why: String,
}

/// Rules or sources that do not agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// The rule, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What does not agree.
    pub what: String,
}

/// What was decided of one study.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// (0020,000D).
    pub study: String,
    /// The day that it is about.
    #[serde(with = "iso")]
    pub as_of: Date,
    /// The packs that are in force, with their versions.
    pub policy: Vec<String>,
    /// Kept up to and including this day; `None` where no rule gives one, or one that applies cannot.
    #[serde(with = "iso::option")]
    pub retain_until: Option<Date>,
    /// From this day on it may be proposed for disposal, as far as is known now.
    #[serde(with = "iso::option")]
    pub eligible_from: Option<Date>,
    /// What may happen to it.
    pub status: Status,
    /// The rules that decide: all that give the last day.
    pub binding: Vec<String>,
    /// All minimum rules that apply.
    pub considered: Vec<Considered>,
    /// Rules that would apply, did another not supersede them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded: Vec<String>,
    /// Maximum rules that apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maximums: Vec<Considered>,
    /// Holds that are open.
    pub holds: Vec<HeldBy>,
    /// What was assumed.
    pub assumed: Vec<Assumption>,
    /// What does not agree.
    pub conflicts: Vec<Conflict>,
    /// What somebody has to find out, one sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<String>,
    /// A reason for a person to look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// Digest of what is known of the study.
    pub facts_digest: String,
    /// It, in one sentence.
    pub reason: String,
}

impl Decision {
    /// True when it may be proposed for disposal.
    #[must_use]
    pub fn is_eligible(&self) -> bool {
        self.status == Status::Expired
    }

    /// A digest of what was decided and on what grounds, whatever the day: it changes when anything does that somebody who
    /// agreed to it would have to be asked about again.
    #[must_use]
    pub fn digest(&self) -> String {
        let day = |day: Option<Date>| day.map(|day| PartialDate::Day(day).to_string()).unwrap_or_default();
        let holds: Vec<&str> = self.holds.iter().map(|hold| hold.hold.as_str()).collect();
        let text = serde_json::json!([
            self.study,
            self.policy,
            day(self.retain_until),
            day(self.eligible_from),
            self.status,
            self.binding,
            holds,
            self.facts_digest,
        ]);
        let mut digest = "sha256:".to_owned();
        for byte in Sha256::digest(text.to_string()) {
            // Writing to a String does not fail.
            let _ = std::fmt::Write::write_fmt(&mut digest, format_args!("{byte:02x}"));
        }
        digest
    }
}

/// What a rule gives.
pub(crate) enum Gives {
    Until {
        until: Date,
        /// The keep that decides, and the day it runs from.
        keep: Keep,
        from: Date,
    },
    /// The clock stands still.
    Stands,
    /// An anchor that is needed is not known.
    Missing(&'static str),
    /// All its anchors may be left out, and none is known.
    Nothing,
}

/// Decides on a study: what rules in force say of what is known, on a day, under holds that are on it.
///
/// The same answer for the same input. Holds that are not on the study must not be among `holds`; those that are closed may, since
/// they may have suspended periods.
#[must_use]
pub fn decide(facts: &StudyFacts, policies: &Policies, holds_on: &[&Hold], as_of: Date) -> Decision {
    let packs = policies.applicable(facts, as_of);
    let anchors = Anchors::new(facts, as_of);
    let suspended = Suspended::of(holds_on, as_of);
    let rules: Vec<(&Rule, Truth)> = Policies::rules(&packs, as_of)
        .map(|rule| (rule, holds(&rule.when, &anchors)))
        .filter(|(_, truth)| *truth != Truth::No)
        .collect();
    let gone = superseded(&rules);
    let mut decision = Decision {
        study: facts.study_instance_uid.clone(),
        as_of,
        policy: packs.iter().map(|pack| pack.reference()).collect(),
        retain_until: None,
        eligible_from: None,
        status: Status::Indeterminate,
        binding: Vec::new(),
        considered: Vec::new(),
        superseded: Vec::new(),
        maximums: Vec::new(),
        holds: Vec::new(),
        assumed: Vec::new(),
        conflicts: Vec::new(),
        tasks: Vec::new(),
        review: None,
        facts_digest: facts_digest(facts),
        reason: String::new(),
    };
    let mut found = Found::default();
    for (rule, truth) in &rules {
        if gone.contains(&(rule.class, rule.id.as_str())) {
            decision.superseded.push(rule.id.clone());
            continue;
        }
        match rule.class {
            Class::Bar => found.bars.push(rule),
            Class::Max if *truth == Truth::Maybe => {}
            Class::Max => found.maximum(rule, &anchors, &mut decision),
            Class::Min => {
                found.minimum(rule, &anchors, &suspended, &mut decision);
                if *truth == Truth::Maybe {
                    decision.tasks.push(format!(
                        "what is known does not tell whether {} applies: it is taken to",
                        rule.id
                    ));
                }
            }
        }
    }
    conclude(&mut decision, &found, holds_on, &anchors);
    for what in &facts.patient.conflicts {
        decision.conflicts.push(Conflict {
            rule: None,
            what: what.clone(),
        });
    }
    decision.reason = words::reason(&decision, &found, facts);
    decision
}

/// Rules that others that certainly apply supersede: a rule that is itself superseded supersedes nothing.
fn superseded<'a>(rules: &[(&'a Rule, Truth)]) -> HashSet<(Class, &'a str)> {
    let mut gone: HashSet<(Class, &str)> = HashSet::new();
    let mut waiting: Vec<&Rule> = rules
        .iter()
        .filter(|(rule, truth)| *truth == Truth::Yes && !rule.supersedes.is_empty())
        .map(|(rule, _)| *rule)
        .collect();
    // Those first that no other waiting one supersedes. Packs that were read have no circles; of a circle over several packs
    // nothing is superseded.
    while !waiting.is_empty() {
        let is_first = |rule: &Rule| {
            !waiting
                .iter()
                .any(|other| other.class == rule.class && other.id != rule.id && other.supersedes.contains(&rule.id))
        };
        let (first, rest): (Vec<&Rule>, Vec<&Rule>) = waiting.iter().copied().partition(|rule| is_first(rule));
        if first.is_empty() {
            break;
        }
        for rule in first {
            if gone.contains(&(rule.class, rule.id.as_str())) {
                continue;
            }
            for (other, _) in rules {
                if other.class == rule.class && other.id != rule.id && rule.supersedes.contains(&other.id) {
                    gone.insert((other.class, other.id.as_str()));
                }
            }
        }
        waiting = rest;
    }
    gone
}

/// What the rules that apply give.
#[derive(Default)]
pub(crate) struct Found<'a> {
    pub(crate) bars: Vec<&'a Rule>,
    /// Minimum rules with a day, the keep that decides, and the day that it runs from.
    pub(crate) dated: Vec<(&'a Rule, Date, Keep, Date)>,
    pub(crate) standing: Vec<&'a Rule>,
    pub(crate) missing: Vec<(&'a Rule, &'static str)>,
}

impl<'a> Found<'a> {
    fn minimum(&mut self, rule: &'a Rule, anchors: &Anchors<'_>, suspended: &Suspended, decision: &mut Decision) {
        let until = match give(rule, anchors, suspended, &mut decision.assumed) {
            Gives::Until { until, keep, from } => {
                self.dated.push((rule, until, keep, from));
                Some(until)
            }
            Gives::Stands => {
                self.standing.push(rule);
                None
            }
            Gives::Missing(anchor) => {
                self.missing.push((rule, anchor));
                decision
                    .tasks
                    .push(format!("find out {anchor}: {} counts from it", rule.id));
                None
            }
            Gives::Nothing => None,
        };
        decision.considered.push(Considered {
            rule: rule.id.clone(),
            until,
        });
    }

    fn maximum(&mut self, rule: &'a Rule, anchors: &Anchors<'_>, decision: &mut Decision) {
        // The longest that is allowed is a matter of the law alone: nothing suspends it.
        let mut aside = Vec::new();
        let until = match give(rule, anchors, &Suspended::default(), &mut aside) {
            Gives::Until { until, .. } => Some(until),
            _ => None,
        };
        decision.maximums.push(Considered {
            rule: rule.id.clone(),
            until,
        });
    }
}

/// The day that a rule gives.
fn give(rule: &Rule, anchors: &Anchors<'_>, suspended: &Suspended, assumed: &mut Vec<Assumption>) -> Gives {
    let mut flags = Vec::new();
    rule.when.flags(&mut flags);
    let mut best: Option<(Date, &Keep, Date)> = None;
    let (mut stands, mut missing) = (false, None);
    for keep in &rule.keep {
        let Some(span) = anchors.span(keep.from, &flags) else {
            if !keep.optional {
                missing = missing.or(Some(keep.from.word()));
            }
            continue;
        };
        if let Some(why) = span.assumed {
            let assumption = Assumption {
                fact: keep.from.word().to_owned(),
                day: span.latest,
                why: why.to_owned(),
            };
            if !assumed.contains(&assumption) {
                assumed.push(assumption);
            }
        }
        match suspended.end(span.latest, keep.period.after(span.latest)) {
            End::Stands => stands = true,
            End::On(until) => {
                let is_better = best.is_none_or(|(best, ..)| match rule.combine {
                    Combine::Latest => until > best,
                    Combine::Earliest => until < best,
                });
                if is_better {
                    best = Some((until, keep, span.latest));
                }
            }
        }
    }
    match (rule.combine, best) {
        // The first of several days is no later than any that is known.
        (Combine::Earliest, Some((until, keep, from))) => Gives::Until {
            until,
            keep: keep.clone(),
            from,
        },
        _ if stands => Gives::Stands,
        (Combine::Latest, _) | (Combine::Earliest, None) if missing.is_some() => {
            Gives::Missing(missing.unwrap_or_default())
        }
        (_, Some((until, keep, from))) => Gives::Until {
            until,
            keep: keep.clone(),
            from,
        },
        (_, None) => Gives::Nothing,
    }
}

/// From the days that rules give to what may happen.
fn conclude(decision: &mut Decision, found: &Found<'_>, holds_on: &[&Hold], anchors: &Anchors<'_>) {
    let as_of = decision.as_of;
    let last = found.dated.iter().map(|(_, until, ..)| *until).max();
    let is_dated = found.standing.is_empty() && found.missing.is_empty() && last.is_some();
    decision.retain_until = last.filter(|_| is_dated);
    decision.binding = match decision.retain_until {
        Some(last) => {
            let all = found.dated.iter().filter(|(_, until, ..)| *until == last);
            all.map(|(rule, ..)| rule.id.clone()).collect()
        }
        None => {
            let missing = found.missing.iter().map(|(rule, _)| *rule);
            missing
                .chain(found.standing.iter().copied())
                .map(|rule| rule.id.clone())
                .collect()
        }
    };
    let (is_held, tolled) = held(decision, holds_on, anchors);
    let next_day = |day: Date| day.next_day().unwrap_or(Date::MAX);
    let is_over = decision.retain_until.is_some_and(|until| as_of > until);
    decision.status = if !found.bars.is_empty() {
        decision.binding = found.bars.iter().map(|rule| rule.id.clone()).collect();
        Status::Barred
    } else if is_held {
        Status::Held
    } else if decision.retain_until.is_none() {
        Status::Indeterminate
    } else if tolled {
        // The periods had ended when the claim came: nothing is suspended, and nothing goes.
        Status::Held
    } else if is_over {
        Status::Expired
    } else {
        Status::Retained
    };
    if decision.policy.is_empty() {
        decision
            .tasks
            .push("no policy is bound to the site of this study".to_owned());
    } else if found.dated.is_empty() && found.missing.is_empty() && found.standing.is_empty() && found.bars.is_empty() {
        decision
            .tasks
            .push("no minimum rule gives a day for this study".to_owned());
    }
    let capped_until = decision.holds.iter().filter_map(|hold| hold.until).max();
    let is_capped_alone = decision.holds.iter().all(|hold| hold.until.is_some());
    decision.eligible_from = match decision.retain_until {
        Some(until) if found.bars.is_empty() && is_capped_alone => {
            Some(next_day(capped_until.map_or(until, |capped| capped.max(until))))
        }
        _ => None,
    };
    let mut is_overdue = false;
    for maximum in &decision.maximums {
        let Some(most) = maximum.until else { continue };
        let is_outlasted = decision.retain_until.is_none_or(|until| most < until);
        if is_outlasted {
            decision.conflicts.push(Conflict {
                rule: Some(maximum.rule.clone()),
                what: format!(
                    "{} allows keeping until {} only: what has to be kept longer is (GDPR Art 17(3)(b))",
                    maximum.rule,
                    PartialDate::Day(most)
                ),
            });
        } else {
            is_overdue |= most < as_of && is_over;
        }
    }
    decision.review = is_overdue.then_some(Review::Overdue);
}

/// Notes the holds that are open: whether one keeps the study whatever rules say, and whether one suspends periods.
fn held(decision: &mut Decision, holds_on: &[&Hold], anchors: &Anchors<'_>) -> (bool, bool) {
    let (mut is_held, mut tolled) = (false, false);
    for hold in holds_on.iter().filter(|hold| hold.is_open(decision.as_of)) {
        let until = match hold.cap.filter(|_| hold.effect == HoldEffect::Capped) {
            None => None,
            Some(cap) => match anchors.span(cap.from, &[]) {
                Some(span) => Some(cap.period.after(span.latest)),
                None => {
                    let what = format!("find out {}: hold {} ends so long after it", cap.from, hold.id);
                    decision.tasks.push(what);
                    None
                }
            },
        };
        if until.is_some_and(|until| until < decision.as_of) {
            continue;
        }
        match hold.effect {
            HoldEffect::Toll => tolled = true,
            HoldEffect::Block | HoldEffect::Capped => is_held = true,
        }
        decision.holds.push(HeldBy {
            hold: hold.id.clone(),
            matter: hold.matter.clone(),
            kind: hold.kind,
            effect: hold.effect,
            until,
        });
    }
    (is_held, tolled)
}
