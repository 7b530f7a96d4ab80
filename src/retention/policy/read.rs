//! Reads packs and says everything that is wrong with them: the line, the rule, what is wrong, what is allowed.

mod conditions;
mod fields;

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use time::Date;

use self::fields::Fields;
use super::{
    Approval, ApprovalStep, Keep, Pack, Rule,
    node::{self, Kind, Node},
};
use crate::{Anchor, Class, Combine, Period};

/// Longest text of a pack, in bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most rules in a pack.
const RULES_MAX: usize = 500;
/// Most complaints about one pack.
const LINTS_MAX: usize = 200;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The pack cannot be used.
    Error,
    /// It can, and is perhaps not what was meant.
    Warning,
}

/// Something that is wrong with a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Lint {
    /// How bad it is.
    pub severity: Severity,
    /// The line, from 1; `None` for JSON, and for what is nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The rule's id, or its place from 1 (`rule 3`) where it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What is allowed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub allowed: String,
}

impl std::fmt::Display for Lint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(rule) = &self.rule {
            write!(f, "{rule}: ")?;
        }
        if self.severity == Severity::Warning {
            write!(f, "warning: ")?;
        }
        write!(f, "{}", self.what)?;
        if !self.allowed.is_empty() {
            write!(f, "; allowed: {}", self.allowed)?;
        }
        Ok(())
    }
}

/// Complaints as they gather, and where they are about.
#[derive(Default)]
pub(super) struct Report {
    lints: Vec<Lint>,
    rule: Option<String>,
}

impl Report {
    pub(super) fn wrong(&mut self, line: usize, what: impl Into<String>, allowed: impl Into<String>) {
        self.add(Severity::Error, line, what.into(), allowed.into());
    }

    pub(super) fn odd(&mut self, line: usize, what: impl Into<String>, allowed: impl Into<String>) {
        self.add(Severity::Warning, line, what.into(), allowed.into());
    }

    fn add(&mut self, severity: Severity, line: usize, what: String, allowed: String) {
        if self.lints.len() < LINTS_MAX {
            self.lints.push(Lint {
                severity,
                line: (line > 0).then_some(line),
                rule: self.rule.clone(),
                what,
                allowed,
            });
        }
    }
}

/// Reads a pack of TOML. With it come warnings.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_toml(text: &str) -> Result<(Pack, Vec<Lint>), Vec<Lint>> {
    let mut report = Report::default();
    if text.len() > TEXT_BYTES_MAX {
        report.wrong(
            0,
            format!("the pack has {} bytes", text.len()),
            format!("up to {TEXT_BYTES_MAX}"),
        );
        return Err(report.lints);
    }
    match node::of_toml(text) {
        Ok(tree) => read(&tree, report),
        Err((line, what)) => {
            report.wrong(line, what, "");
            Err(report.lints)
        }
    }
}

/// Reads a pack of JSON, which says the same by the same names.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_json(value: &Value) -> Result<(Pack, Vec<Lint>), Vec<Lint>> {
    read(&node::of_json(value, 0), Report::default())
}

fn read(tree: &Node, mut report: Report) -> Result<(Pack, Vec<Lint>), Vec<Lint>> {
    let pack = pack(tree, &mut report);
    report.rule = None;
    // By line, as they stand in the text.
    report.lints.sort_by_key(|lint| (lint.severity, lint.line));
    let is_wrong = report.lints.iter().any(|lint| lint.severity == Severity::Error);
    match pack {
        Some(pack) if !is_wrong => Ok((pack, report.lints)),
        _ => Err(report.lints),
    }
}

fn pack(tree: &Node, report: &mut Report) -> Option<Pack> {
    let mut fields = Fields::of(tree, "a pack", report)?;
    let name = fields
        .required("pack", "a name such as \"us-ca\"", report)
        .and_then(|node| {
            fields::text(node, report).filter(|name| {
                let is_name = (1..=60).contains(&name.len())
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
                if !is_name {
                    report.wrong(
                        node.line,
                        format!("{} is no name of a pack", node.what()),
                        "a-z, 0-9 and hyphens, 1 to 60",
                    );
                }
                is_name
            })
        });
    let version = fields
        .required("version", "a text such as \"2026.1\"", report)
        .and_then(|node| {
            fields::text(node, report).filter(|version| {
                let is_version = (1..=30).contains(&version.len())
                    && version
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
                if !is_version {
                    report.wrong(
                        node.line,
                        format!("{} is no version", node.what()),
                        "letters, digits, '.', '-' and '_', 1 to 30",
                    );
                }
                is_version
            })
        });
    let effective_from = fields
        .required("effective_from", "a day such as 2026-01-01", report)
        .and_then(|node| fields::day(node, report));
    let effective_until = until(&mut fields, effective_from, report);
    let title = fields.optional("title").and_then(|node| fields::text(node, report));
    let template = fields
        .optional("template")
        .and_then(|node| fields::yes_or_no(node, report));
    let approval = fields.optional("approval").and_then(|node| approval(node, report));
    let rules = fields
        .required("rule", "a list of rules: rule = [ {…} ] or [[rule]]", report)
        .map(|node| rules(node, report));
    fields.finish(report);
    Some(Pack {
        pack: name?,
        version: version?,
        title: title.unwrap_or_default(),
        template: template.unwrap_or_default(),
        effective_from: effective_from?,
        effective_until,
        approval,
        rule: rules?,
    })
}

fn until(fields: &mut Fields<'_>, from: Option<Date>, report: &mut Report) -> Option<Date> {
    let node = fields.optional("effective_until")?;
    let until = fields::day(node, report)?;
    if from.is_some_and(|from| until <= from) {
        report.wrong(
            node.line,
            format!("effective_until {} is not after effective_from", node.what()),
            "a later day",
        );
    }
    Some(until)
}

fn rules(node: &Node, report: &mut Report) -> Vec<Rule> {
    let Kind::List(list) = &node.kind else {
        report.wrong(node.line, format!("rule is {}", node.what()), "a list of rules");
        return Vec::new();
    };
    if list.len() > RULES_MAX {
        report.wrong(
            node.line,
            format!("there are {} rules", list.len()),
            format!("up to {RULES_MAX}"),
        );
        return Vec::new();
    }
    if list.is_empty() {
        report.wrong(node.line, "there is no rule", "at least one");
    }
    let (mut rules, mut lines) = (Vec::new(), BTreeMap::new());
    for (place, node) in list.iter().enumerate() {
        report.rule = Some(format!("rule {}", place + 1));
        let Some(rule) = rule(node, report) else { continue };
        if let Some(before) = lines.insert(rule.id.clone(), node.line) {
            let at = if before > 0 {
                format!(", first at line {before}")
            } else {
                String::new()
            };
            report.wrong(
                node.line,
                format!("the id {} is there twice{at}", rule.id),
                "another id",
            );
        }
        rules.push(rule);
    }
    report.rule = None;
    supersessions(&rules, &lines, report);
    rules
}

/// Who supersedes whom: of one class, without a circle.
fn supersessions(rules: &[Rule], lines: &BTreeMap<String, usize>, report: &mut Report) {
    let by_id: BTreeMap<&str, &Rule> = rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
    for rule in rules {
        report.rule = Some(rule.id.clone());
        let line = lines.get(&rule.id).copied().unwrap_or_default();
        for other in &rule.supersedes {
            match by_id.get(other.as_str()) {
                None => report.odd(
                    line,
                    format!("supersedes {other}, which is not in this pack"),
                    "the id of a rule, here or in another pack that is bound to the same site",
                ),
                Some(found) if found.class != rule.class => report.wrong(
                    line,
                    format!(
                        "a {} rule supersedes {other}, which is a {} rule",
                        rule.class, found.class
                    ),
                    "a rule of the same class",
                ),
                Some(_) => {}
            }
        }
        let (mut waiting, mut seen) = (vec![rule.id.as_str()], HashSet::new());
        while let Some(id) = waiting.pop() {
            for next in by_id.get(id).into_iter().flat_map(|rule| &rule.supersedes) {
                if *next == rule.id {
                    report.wrong(
                        line,
                        "it supersedes itself, by way of others or not",
                        "rules without a circle",
                    );
                    waiting.clear();
                    break;
                }
                if seen.insert(next.as_str()) {
                    waiting.push(next);
                }
            }
        }
    }
    report.rule = None;
}

fn rule(node: &Node, report: &mut Report) -> Option<Rule> {
    let mut fields = Fields::of(node, "a rule", report)?;
    let id = fields
        .required("id", "an id such as \"us.ca.adult\"", report)
        .and_then(|node| {
            let id = fields::text(node, report)?;
            let is_id = (1..=80).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'));
            if !is_id {
                report.wrong(
                    node.line,
                    format!("{} is no id", node.what()),
                    "letters, digits, '.', '-' and '_', 1 to 80",
                );
                return None;
            }
            Some(id)
        });
    if let Some(id) = &id {
        report.rule = Some(id.clone());
    }
    let class = fields
        .required("class", "min, max or bar", report)
        .and_then(|node| fields::word(node, Class::of, Class::WORDS, report));
    let when = fields
        .optional("when")
        .map(|node| conditions::condition(node, 0, report));
    let keep = fields.optional("keep");
    let keep_line = keep.map_or(node.line, |keep| keep.line);
    let keep: Option<Vec<Keep>> = keep.map(|node| {
        let list: &[Node] = match &node.kind {
            Kind::List(list) => list,
            // One need not stand in a list.
            _ => std::slice::from_ref(node),
        };
        list.iter().filter_map(|node| self::keep(node, report)).collect()
    });
    let combine = fields
        .optional("combine")
        .and_then(|node| fields::word(node, Combine::of, Combine::WORDS, report));
    let supersedes = fields.optional("supersedes").map(|node| fields::texts(node, report));
    let effective_from = fields
        .optional("effective_from")
        .and_then(|node| fields::day(node, report));
    let effective_until = until(&mut fields, effective_from, report);
    let title = fields.optional("title").and_then(|node| fields::text(node, report));
    let cite = fields.optional("cite").and_then(|node| fields::text(node, report));
    fields.finish(report);
    let rule = Rule {
        id: id?,
        class: class?,
        title: title.unwrap_or_default(),
        when: when.unwrap_or_default(),
        keep: keep.unwrap_or_default(),
        combine: combine.unwrap_or(Combine::Latest),
        supersedes: supersedes.unwrap_or_default(),
        effective_from,
        effective_until,
        cite: cite.unwrap_or_default(),
    };
    check_keep(&rule, keep_line, report);
    Some(rule)
}

fn check_keep(rule: &Rule, line: usize, report: &mut Report) {
    if rule.class == Class::Bar && !rule.keep.is_empty() {
        report.wrong(line, "a bar has a keep", "no keep: a bar keeps without a date");
    }
    if rule.class != Class::Bar && rule.keep.is_empty() {
        let allowed = "keep = [{from=\"study.date\", for=\"P5Y\"}]";
        report.wrong(line, format!("a {} rule has no keep", rule.class), allowed);
    }
    if !rule.keep.is_empty() && rule.keep.iter().all(|keep| keep.optional) {
        let what = "every keep is optional: where no anchor is known, the rule says nothing";
        report.odd(line, what, "one keep that is not optional");
    }
    let mut flags = Vec::new();
    rule.when.flags(&mut flags);
    if flags.is_empty() && rule.keep.iter().any(|keep| keep.from == Anchor::FlagDate) {
        let allowed = "when = {flag=[\"oncology\"]}, which says whose date it is";
        report.wrong(
            line,
            "a keep runs from flag.date, and the rule asks for no flag",
            allowed,
        );
    }
}

fn keep(node: &Node, report: &mut Report) -> Option<Keep> {
    let mut fields = Fields::of(node, "a keep", report)?;
    let from = fields
        .required("from", &Anchor::WORDS.join(", "), report)
        .and_then(|node| fields::word(node, Anchor::of, Anchor::WORDS, report));
    let period = fields
        .required("for", "a period such as \"P5Y\"", report)
        .and_then(|node| fields::period(node, report));
    let optional = fields
        .optional("optional")
        .and_then(|node| fields::yes_or_no(node, report));
    fields.finish(report);
    Some(Keep {
        from: from?,
        period: period?,
        optional: optional.unwrap_or_default(),
    })
}

fn approval(node: &Node, report: &mut Report) -> Option<Approval> {
    let mut fields = Fields::of(node, "an approval", report)?;
    let mut steps = Vec::new();
    if let Some(node) = fields.required("steps", "[{role=\"records-approver\", n=2}]", report) {
        match &node.kind {
            Kind::List(list) if !list.is_empty() => {
                steps.extend(list.iter().filter_map(|node| step(node, report)));
            }
            _ => report.wrong(
                node.line,
                format!("steps is {}", node.what()),
                "a list with at least one step",
            ),
        }
    }
    let distinct = fields
        .optional("distinct_subjects")
        .and_then(|node| fields::yes_or_no(node, report));
    let cooling_off = fields
        .optional("cooling_off")
        .and_then(|node| fields::period(node, report));
    fields.finish(report);
    Some(Approval {
        steps,
        distinct_subjects: distinct.unwrap_or(true),
        cooling_off: cooling_off.unwrap_or(Period::days(14)),
    })
}

fn step(node: &Node, report: &mut Report) -> Option<ApprovalStep> {
    let mut fields = Fields::of(node, "a step", report)?;
    let role = fields
        .required("role", "a role such as \"records-approver\"", report)
        .and_then(|node| fields::text(node, report));
    let n = fields.optional("n").and_then(|node| match node.kind {
        Kind::Number(n @ 1..=20) => u32::try_from(n).ok(),
        _ => {
            report.wrong(node.line, format!("n is {}", node.what()), "1 to 20");
            None
        }
    });
    let opinion = fields
        .optional("opinion")
        .and_then(|node| fields::yes_or_no(node, report));
    let when = fields.optional("when").and_then(|node| fields::text(node, report));
    fields.finish(report);
    Some(ApprovalStep {
        role: role?,
        n: n.unwrap_or(1),
        opinion: opinion.unwrap_or_default(),
        when,
    })
}
