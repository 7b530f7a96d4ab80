//! Fields of a segment, read with their place.

use er7::{Component, Field, Repetition, Segment, Separators};
use filmroom_retention::PartialDate;
use time::{Date, OffsetDateTime, PrimitiveDateTime, Time, UtcOffset};

use crate::problem::{Code, Place, Problem};

/// Longest value that is looked at, in characters.
const VALUE_MAX: usize = 200;

/// One segment.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) segment: &'a Segment,
    pub(crate) name: &'static str,
    /// Which of its name, from 1.
    pub(crate) sequence: usize,
    pub(crate) separators: &'a Separators,
}

/// What a field says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value<T> {
    /// It is empty.
    Nothing,
    /// `""`: what was known is not so.
    Null,
    /// This.
    Of(T),
}

impl<T> Value<T> {
    pub(crate) fn known(self) -> Option<T> {
        match self {
            Self::Of(value) => Some(value),
            Self::Nothing | Self::Null => None,
        }
    }
}

/// A patient's identifier (data type CX).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identifier {
    pub(crate) id: String,
    /// Namespace of the assigning authority, and its universal ID.
    pub(crate) authority: (String, String),
    /// Identifier Type Code (table 0203).
    pub(crate) kind: String,
}

impl<'a> Fields<'a> {
    pub(crate) fn place(&self, field: usize) -> Place {
        Place {
            segment: self.name,
            sequence: self.sequence,
            field,
        }
    }

    pub(crate) fn problem(&self, code: Code, field: usize, what: impl Into<String>) -> Problem {
        Problem::error(code, self.place(field), what)
    }

    fn field(&self, field: usize) -> Option<&'a Field> {
        self.segment.field(field)
    }

    fn component(&self, component: Option<&Component>, subcomponent: usize) -> String {
        let found = component.and_then(|component| component.subcomponent(subcomponent));
        found.map_or_else(String::new, |found| found.value(self.separators).trim().to_owned())
    }

    /// A component of the first repetition; empty where there is none.
    pub(crate) fn text(&self, field: usize, component: usize) -> String {
        self.component(self.field(field).and_then(|field| field.component(component)), 1)
    }

    /// The field's first component, as a value that may be taken back.
    pub(crate) fn value(&self, field: usize) -> Value<String> {
        match self.field(field) {
            Some(found) if found.is_null() => Value::Null,
            _ => match self.text(field, 1) {
                text if text.is_empty() => Value::Nothing,
                text if text == er7::message::NULL => Value::Null,
                text => Value::Of(text),
            },
        }
    }

    /// A date, or the date of a time (data types DT, DTM, TS).
    pub(crate) fn date(&self, field: usize) -> Result<Value<PartialDate>, Problem> {
        match self.value(field) {
            Value::Nothing => Ok(Value::Nothing),
            Value::Null => Ok(Value::Null),
            Value::Of(text) => match date(&text, &self.text(field, 2)) {
                Some(date) => Ok(Value::Of(date)),
                None => Err(self.problem(Code::DataType, field, "it is no date: YYYY[MM[DD[HHMM[SS]]]] is")),
            },
        }
    }

    /// The latest date of a field that may have several.
    pub(crate) fn latest_date(&self, field: usize) -> Result<Value<PartialDate>, Problem> {
        let first = self.date(field)?;
        let more = self
            .field(field)
            .map(|field| field.repetitions.as_slice())
            .unwrap_or_default();
        let mut latest = first;
        for repetition in more.iter().skip(1) {
            let text = self.component(repetition.component(1), 1);
            if text.is_empty() || text == er7::message::NULL {
                continue;
            }
            let Some(found) = date(&text, &self.component(repetition.component(2), 1)) else {
                return Err(self.problem(
                    Code::DataType,
                    field,
                    "one of them is no date: YYYY[MM[DD[HHMM[SS]]]] is",
                ));
            };
            latest = match latest {
                Value::Of(before) if before.latest() >= found.latest() => Value::Of(before),
                _ => Value::Of(found),
            };
        }
        Ok(latest)
    }

    /// A moment; `local` places one that names no zone.
    pub(crate) fn moment(
        &self,
        field: usize,
        local: impl Fn(PrimitiveDateTime) -> OffsetDateTime,
    ) -> Result<Option<OffsetDateTime>, Problem> {
        let Value::Of(text) = self.value(field) else {
            return Ok(None);
        };
        match moment(&text) {
            Some(Moment::Placed(at)) => Ok(Some(at)),
            Some(Moment::Local(at)) => Ok(Some(local(at))),
            // A day says nothing of the order within it.
            Some(Moment::Vague) => Ok(None),
            None => Err(self.problem(Code::DataType, field, "it is no time: YYYY[MM[DD[HHMM[SS]]]] is")),
        }
    }

    /// Identifiers of patients.
    pub(crate) fn identifiers(&self, field: usize) -> Result<Vec<Identifier>, Problem> {
        let repetitions = self
            .field(field)
            .map(|field| field.repetitions.as_slice())
            .unwrap_or_default();
        let mut found = Vec::new();
        for repetition in repetitions {
            let identifier = self.identifier(repetition);
            if identifier.id.is_empty() || identifier.id == er7::message::NULL {
                continue;
            }
            let all = [&identifier.id, &identifier.authority.0, &identifier.authority.1];
            if all
                .iter()
                .any(|text| text.len() > VALUE_MAX || text.chars().any(char::is_control))
            {
                return Err(self.problem(
                    Code::DataType,
                    field,
                    "an identifier is longer than 200 bytes or has control characters",
                ));
            }
            found.push(identifier);
        }
        Ok(found)
    }

    fn identifier(&self, repetition: &Repetition) -> Identifier {
        Identifier {
            id: self.component(repetition.component(1), 1),
            authority: (
                self.component(repetition.component(4), 1),
                self.component(repetition.component(4), 2),
            ),
            kind: self.component(repetition.component(5), 1),
        }
    }
}

/// `precision`: the degree that versions before 2.4 name beside it.
fn date(text: &str, precision: &str) -> Option<PartialDate> {
    moment(text)?;
    let digits: String = text.chars().take_while(char::is_ascii_digit).take(8).collect();
    let most = match precision {
        "Y" => 4,
        "L" => 6,
        _ => 8,
    };
    digits.get(..most.min(digits.len()))?.parse().ok()
}

enum Moment {
    Placed(OffsetDateTime),
    Local(PrimitiveDateTime),
    Vague,
}

/// `YYYY[MM[DD[HH[MM[SS[.S[S[S[S]]]]]]]]][+/-ZZZZ]` (HL7 v2.5.1 §2.A.22).
fn moment(text: &str) -> Option<Moment> {
    let (time, zone) = match text.find(['+', '-']) {
        Some(place) => text.split_at(place),
        None => (text, ""),
    };
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = is_digits(whole) && is_digits(fraction) && fraction.len() <= 9;
    if !is_number || ![4, 6, 8, 10, 12, 14].contains(&whole.len()) || !(fraction.is_empty() || whole.len() == 14) {
        return None;
    }
    let offset = match zone {
        "" => None,
        zone => Some(offset(zone)?),
    };
    let date: PartialDate = whole.get(..whole.len().min(8))?.parse().ok()?;
    let PartialDate::Day(date) = date else {
        return Some(Moment::Vague);
    };
    let part = |from: usize| match whole.get(from..from + 2) {
        None => Some(0),
        Some(text) => text.parse::<u8>().ok(),
    };
    let nanoseconds: u32 = format!("{fraction:0<9}").parse().ok()?;
    let time = Time::from_hms_nano(part(8)?, part(10)?, part(12)?.min(59), nanoseconds).ok()?;
    if whole.len() < 12 {
        return Some(Moment::Vague);
    }
    Some(place(date, time, offset))
}

fn place(date: Date, time: Time, offset: Option<UtcOffset>) -> Moment {
    let at = PrimitiveDateTime::new(date, time);
    match offset {
        Some(offset) => Moment::Placed(at.assume_offset(offset)),
        None => Moment::Local(at),
    }
}

fn offset(zone: &str) -> Option<UtcOffset> {
    let (sign, rest) = match zone.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    if rest.len() != 4 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let hours: i8 = rest.get(..2)?.parse().ok()?;
    let minutes: i8 = rest.get(2..)?.parse().ok()?;
    (minutes < 60).then(|| UtcOffset::from_hms(sign * hours, sign * minutes, 0).ok())?
}
