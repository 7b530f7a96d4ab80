//! A tree of values that knows the line of each: read from TOML, or from JSON, which has no lines.

use serde_json::Value;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 24;

/// A value and the line where it begins, from 1; 0 where there are none.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Text(String),
    Number(i64),
    Bool(bool),
    /// A date of TOML, as it is written.
    Date(String),
    List(Vec<Node>),
    Table(Vec<(String, Node)>),
    /// Anything that no field takes: a fraction, a null.
    Other(&'static str),
}

impl Node {
    /// What it is, for messages.
    pub(super) fn what(&self) -> String {
        match &self.kind {
            Kind::Text(text) => format!("\"{}\"", text.chars().take(60).collect::<String>().escape_debug()),
            Kind::Number(number) => number.to_string(),
            Kind::Bool(value) => value.to_string(),
            Kind::Date(date) => date.clone(),
            Kind::List(_) => "a list".to_owned(),
            Kind::Table(_) => "a table".to_owned(),
            Kind::Other(what) => (*what).to_owned(),
        }
    }
}

/// Reads TOML; the line of what is wrong and what it is, where it is none.
pub(super) fn of_toml(text: &str) -> Result<Node, (usize, String)> {
    let lines = Lines::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        let line = error.span().map_or(0, |span| lines.at(span.start));
        (line, format!("this is no TOML: {}", error.message()))
    })?;
    Ok(Node {
        line: 1,
        kind: Kind::Table(of_table(table.get_ref(), &lines, 0)),
    })
}

fn of_table(table: &DeTable<'_>, lines: &Lines, depth: usize) -> Vec<(String, Node)> {
    let mut fields: Vec<(String, Node)> = Vec::new();
    for (key, value) in table {
        let mut node = of_value(value, lines, depth + 1);
        // A table that is written by its heading begins where its name stands.
        let named = lines.at(key.span().start);
        if matches!(node.kind, Kind::Table(_)) && named > 0 {
            node.line = named;
        }
        fields.push((key.get_ref().to_string(), node));
    }
    fields
}

fn of_value(value: &Spanned<DeValue<'_>>, lines: &Lines, depth: usize) -> Node {
    let line = lines.at(value.span().start);
    if depth > DEPTH_MAX {
        return Node {
            line,
            kind: Kind::Other("something too deep"),
        };
    }
    let kind = match value.get_ref() {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            match i64::from_str_radix(digits.trim_start_matches('+'), number.radix()) {
                Ok(number) => Kind::Number(number),
                Err(_) => Kind::Other("a number too large"),
            }
        }
        DeValue::Float(_) => Kind::Other("a fraction"),
        DeValue::Boolean(value) => Kind::Bool(*value),
        DeValue::Datetime(date) => Kind::Date(date.to_string()),
        DeValue::Array(list) => Kind::List(list.iter().map(|value| of_value(value, lines, depth + 1)).collect()),
        DeValue::Table(table) => Kind::Table(of_table(table, lines, depth)),
    };
    Node { line, kind }
}

/// Takes JSON over.
pub(super) fn of_json(value: &Value, depth: usize) -> Node {
    let kind = match value {
        _ if depth > DEPTH_MAX => Kind::Other("something too deep"),
        Value::Null => Kind::Other("null"),
        Value::Bool(value) => Kind::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => Kind::Number(number),
            None => Kind::Other("a fraction"),
        },
        Value::String(text) => Kind::Text(text.clone()),
        Value::Array(list) => Kind::List(list.iter().map(|value| of_json(value, depth + 1)).collect()),
        Value::Object(fields) => Kind::Table(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), of_json(value, depth + 1)))
                .collect(),
        ),
    };
    Node { line: 0, kind }
}

/// Where lines begin.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(std::iter::once(0).chain(breaks.map(|(place, _)| place + 1)).collect())
    }

    /// The line of a byte, from 1.
    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte)
    }
}
