//! Reads conditions.

use super::{
    Report,
    fields::{self, Fields},
};
use crate::{
    Anchor, FLAGS, Purpose, Source, is_flag,
    policy::{
        AgeRange, Condition, DeathWithin, LaterStudy,
        node::{Kind, Node},
    },
};

/// Deepest nesting of `any` and `not`.
const NESTING_MAX: usize = 8;
/// Codes that instances are rejected as (PS3.16 CID 7011).
const REJECTIONS: [&str; 4] = ["113001", "113037", "113038", "113039"];
/// Oldest age that a rule may ask for.
const AGE_MAX: i64 = 150;

pub(super) fn condition(node: &Node, depth: usize, report: &mut Report) -> Condition {
    let Some(mut fields) = Fields::of(node, "a condition", report) else {
        return Condition::default();
    };
    if depth > NESTING_MAX {
        report.wrong(
            node.line,
            "any and not are nested too deep",
            format!("up to {NESTING_MAX} levels"),
        );
        return Condition::default();
    }
    let mut each = |name, is_right: &dyn Fn(&str) -> bool, allowed: &str, report: &mut Report| {
        let Some(node) = fields.optional(name) else {
            return Vec::new();
        };
        let found = fields::texts(node, report);
        for text in found.iter().filter(|text| !is_right(text)) {
            report.wrong(node.line, format!("\"{}\" is no {name}", text.escape_debug()), allowed);
        }
        found
    };
    let modality = each(
        "modality",
        &is_code,
        "defined terms of (0008,0060) such as \"MG\"",
        report,
    );
    let sop_class = each("sop_class", &is_uid, "SOP Class UIDs", report);
    let own = "or one of the site's own that begins with x-";
    let flag = each("flag", &is_flag, &format!("{}, {own}", FLAGS.join(", ")), report);
    let rejected_as = each(
        "rejected_as",
        &|code| REJECTIONS.contains(&code),
        &REJECTIONS.join(", "),
        report,
    );
    let site = each(
        "site",
        &|site| !site.is_empty() && site.len() <= 64,
        "names of sites",
        report,
    );
    let mut read = Condition {
        modality,
        sop_class,
        flag,
        rejected_as,
        site,
        ..Condition::default()
    };
    if let Some(node) = fields.optional("purpose") {
        read.purpose = fields::words(node, Purpose::of, Purpose::WORDS, report);
    }
    if let Some(node) = fields.optional("source") {
        read.source = fields::words(node, Source::of, Source::WORDS, report);
    }
    read.age_at_study = fields.optional("age_at_study").and_then(|node| ages(node, report));
    read.age_last_seen = fields.optional("age_last_seen").and_then(|node| ages(node, report));
    read.deceased = fields
        .optional("deceased")
        .and_then(|node| fields::yes_or_no(node, report));
    read.death_within = fields
        .optional("death_within")
        .and_then(|node| death_within(node, report));
    read.later_study = fields
        .optional("later_study")
        .and_then(|node| later_study(node, report));
    if let Some(node) = fields.optional("any") {
        match &node.kind {
            Kind::List(list) if !list.is_empty() => {
                read.any = list.iter().map(|node| condition(node, depth + 1, report)).collect();
            }
            _ => report.wrong(node.line, format!("any is {}", node.what()), "a list of conditions"),
        }
    }
    if let Some(node) = fields.optional("not") {
        let not = condition(node, depth + 1, report);
        if not.is_empty() && matches!(&node.kind, Kind::Table(fields) if fields.is_empty()) {
            report.wrong(
                node.line,
                "not says nothing: the rule would be for no study",
                "a condition",
            );
        }
        read.not = Some(Box::new(not));
    }
    fields.finish(report);
    read
}

fn is_code(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_' || byte == b' ')
}

fn is_uid(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && text.split('.').all(|part| !part.is_empty())
}

fn ages(node: &Node, report: &mut Report) -> Option<AgeRange> {
    let mut fields = Fields::of(node, "an age", report)?;
    let mut years = |name, report: &mut Report| {
        let node: &Node = fields.optional(name)?;
        match node.kind {
            Kind::Number(years @ 0..=AGE_MAX) => u16::try_from(years).ok(),
            _ => {
                report.wrong(
                    node.line,
                    format!("{} is no age", node.what()),
                    format!("years from 0 to {AGE_MAX}"),
                );
                None
            }
        }
    };
    let range = AgeRange {
        gte: years("gte", report),
        lt: years("lt", report),
    };
    fields.finish(report);
    match (range.gte, range.lt) {
        (None, None) => report.wrong(node.line, "an age has neither bound", "{lt=18}, {gte=17, lt=18}"),
        (Some(gte), Some(lt)) if gte >= lt => {
            report.wrong(
                node.line,
                format!("no age is at least {gte} and less than {lt}"),
                "gte less than lt",
            );
        }
        _ => {}
    }
    Some(range)
}

fn death_within(node: &Node, report: &mut Report) -> Option<DeathWithin> {
    let mut fields = Fields::of(node, "death_within", report)?;
    let of = fields
        .required("of", &Anchor::WORDS.join(", "), report)
        .and_then(|node| fields::word(node, Anchor::of, Anchor::WORDS, report));
    let period = fields
        .required("for", "a period such as \"P10Y\"", report)
        .and_then(|node| fields::period(node, report));
    fields.finish(report);
    if matches!(of, Some(Anchor::PatientDeath | Anchor::FlagDate)) {
        report.wrong(
            node.line,
            "death_within is counted from itself or from a flag",
            "another anchor",
        );
    }
    Some(DeathWithin {
        of: of?,
        period: period?,
    })
}

fn later_study(node: &Node, report: &mut Report) -> Option<LaterStudy> {
    let mut fields = Fields::of(node, "later_study", report)?;
    let modality = fields.optional("modality").map(|node| {
        let found = fields::texts(node, report);
        for text in found.iter().filter(|text| !is_code(text)) {
            let what = format!("\"{}\" is no modality", text.escape_debug());
            report.wrong(node.line, what, "defined terms of (0008,0060) such as \"MG\"");
        }
        found
    });
    let within = fields.optional("within").and_then(|node| fields::period(node, report));
    fields.finish(report);
    Some(LaterStudy {
        modality: modality.unwrap_or_default(),
        within,
    })
}
