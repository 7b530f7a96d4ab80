//! The fields of a table, each taken once; what is left over is none of the vocabulary.

use time::Date;

use super::Report;
use crate::{
    PartialDate, Period,
    policy::node::{Kind, Node},
};

/// The fields of one table.
pub(super) struct Fields<'a> {
    line: usize,
    what: &'static str,
    left: Vec<&'a (String, Node)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of a node; a complaint where it is no table.
    pub(super) fn of(node: &'a Node, what: &'static str, report: &mut Report) -> Option<Self> {
        let Kind::Table(fields) = &node.kind else {
            report.wrong(node.line, format!("{} stands for {what}", node.what()), "a table");
            return None;
        };
        Some(Self {
            line: node.line,
            what,
            left: fields.iter().collect(),
            known: Vec::new(),
        })
    }

    /// A field that may be there.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<&'a Node> {
        self.known.push(name);
        let place = self.left.iter().position(|(found, _)| found == name)?;
        Some(&self.left.remove(place).1)
    }

    /// A field that has to be there.
    pub(super) fn required(&mut self, name: &'static str, allowed: &str, report: &mut Report) -> Option<&'a Node> {
        let found = self.optional(name);
        if found.is_none() {
            report.wrong(self.line, format!("{} has no {name}", self.what), allowed);
        }
        found
    }

    /// Complains of fields that nobody asked for.
    pub(super) fn finish(self, report: &mut Report) {
        for (name, node) in self.left {
            let mut known = self.known.clone();
            known.sort_unstable();
            let shown: String = name.chars().take(60).collect();
            report.wrong(
                node.line,
                format!("\"{}\" is nothing that {} has", shown.escape_debug(), self.what),
                known.join(", "),
            );
        }
    }
}

pub(super) fn text(node: &Node, report: &mut Report) -> Option<String> {
    match &node.kind {
        Kind::Text(text) if text.len() <= 2000 => Some(text.clone()),
        Kind::Text(_) => {
            report.wrong(node.line, "a text is too long", "up to 2000 bytes");
            None
        }
        _ => {
            report.wrong(
                node.line,
                format!("{} is no text", node.what()),
                "a text in quotation marks",
            );
            None
        }
    }
}

/// One text, or a list of such.
pub(super) fn texts(node: &Node, report: &mut Report) -> Vec<String> {
    match &node.kind {
        Kind::List(list) if list.is_empty() => {
            report.wrong(node.line, "a list is empty", "at least one text, or leave it out");
            Vec::new()
        }
        Kind::List(list) => list.iter().filter_map(|node| text(node, report)).collect(),
        _ => text(node, report).into_iter().collect(),
    }
}

pub(super) fn yes_or_no(node: &Node, report: &mut Report) -> Option<bool> {
    match node.kind {
        Kind::Bool(value) => Some(value),
        _ => {
            report.wrong(node.line, format!("{} is neither", node.what()), "true or false");
            None
        }
    }
}

/// One of a vocabulary.
pub(super) fn word<T>(node: &Node, of: impl Fn(&str) -> Option<T>, words: &[&str], report: &mut Report) -> Option<T> {
    let found = match &node.kind {
        Kind::Text(text) => of(text),
        _ => None,
    };
    if found.is_none() {
        report.wrong(
            node.line,
            format!("{} is not known here", node.what()),
            words.join(", "),
        );
    }
    found
}

/// One or several of a vocabulary.
pub(super) fn words<T>(
    node: &Node,
    of: impl Fn(&str) -> Option<T> + Copy,
    known: &[&str],
    report: &mut Report,
) -> Vec<T> {
    match &node.kind {
        Kind::List(list) if list.is_empty() => {
            report.wrong(node.line, "a list is empty", known.join(", "));
            Vec::new()
        }
        Kind::List(list) => list.iter().filter_map(|node| word(node, of, known, report)).collect(),
        _ => word(node, of, known, report).into_iter().collect(),
    }
}

pub(super) fn day(node: &Node, report: &mut Report) -> Option<Date> {
    let text = match &node.kind {
        Kind::Text(text) | Kind::Date(text) => text.as_str(),
        _ => "",
    };
    match text.parse() {
        Ok(PartialDate::Day(date)) => Some(date),
        _ => {
            report.wrong(
                node.line,
                format!("{} is no day", node.what()),
                "a day such as 2026-01-01",
            );
            None
        }
    }
}

pub(super) fn period(node: &Node, report: &mut Report) -> Option<Period> {
    let Kind::Text(text) = &node.kind else {
        report.wrong(
            node.line,
            format!("{} is no period", node.what()),
            "a text such as \"P5Y\", \"P60M\" or \"P14D\"",
        );
        return None;
    };
    match text.parse() {
        Ok(period) => Some(period),
        Err(_) => {
            report.wrong(
                node.line,
                format!("{} is no period", node.what()),
                "years, months, weeks and days of the calendar: P5Y, P60M, P1Y6M, P2W, P14D",
            );
            None
        }
    }
}
