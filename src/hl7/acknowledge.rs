//! Acknowledgements: MSH, MSA and, where something is wrong, ERR (HL7 v2.5.1 §2.9, §2.15).

use std::sync::atomic::{AtomicU64, Ordering};

use encoding_rs::Encoding;
use time::{OffsetDateTime, macros::format_description};

use crate::{
    header::Header,
    problem::{Outcome, Problem},
};

/// Longest text that is sent back, in characters.
const ECHO_MAX: usize = 250;

/// One message that is answered.
pub(crate) struct Acknowledging<'a> {
    /// `None` where the header does not read.
    pub(crate) header: Option<&'a Header>,
    /// What is wrong; `None`: it is taken.
    pub(crate) problem: Option<&'a Problem>,
    pub(crate) encoding: &'static Encoding,
    pub(crate) now: OffsetDateTime,
}

impl Acknowledging<'_> {
    /// The messages to send back, in order: in the original mode one; in the enhanced mode what the header asks for.
    pub(crate) fn messages(&self) -> Vec<Vec<u8>> {
        let is_success = self.problem.is_none();
        let (accept, answer) = self
            .header
            .map_or((None, None), |header| (header.accept, header.answer));
        if accept.is_none() && answer.is_none() {
            return vec![self.message("A")];
        }
        let mut messages = Vec::new();
        if accept.is_some_and(|condition| condition.wants(is_success)) {
            messages.push(self.message("C"));
        }
        if answer.is_some_and(|condition| condition.wants(is_success)) {
            messages.push(self.message("A"));
        }
        messages
    }

    /// `letter`: A for an application's acknowledgement, C for one that it was received.
    fn message(&self, letter: &str) -> Vec<u8> {
        let code = match self.problem.map(|problem| problem.outcome) {
            None => "A",
            Some(Outcome::Error) => "E",
            Some(Outcome::Reject) => "R",
        };
        let control_id = self.header.map_or("", |header| header.control_id.as_str());
        let mut text = self.header_segment();
        let what = self.problem.map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("MSA|{letter}{code}|{}", escaped(control_id)));
        if !what.is_empty() {
            text.push_str(&format!("|{}", escaped(&what)));
        }
        text.push('\r');
        if let Some(problem) = self.problem {
            text.push_str(&self.error_segment(problem));
        }
        let (bytes, _, _) = self.encoding.encode(&text);
        bytes.into_owned()
    }

    fn header_segment(&self) -> String {
        let at = self.now.format(format_description!(
            "[year][month][day][hour][minute][second][offset_hour sign:mandatory][offset_minute]"
        ));
        let at = at.unwrap_or_default();
        let id = next_id(self.now);
        let Some(header) = self.header else {
            return format!("MSH|^~\\&|FILMROOM||||{at}||ACK|{id}|P|2.5.1\r");
        };
        let [application, facility, to_application, to_facility] = header.written.each_ref().map(|written| {
            // As it was written; in the sender's delimiters it may be something else in ours.
            match header.separators == er7::Separators::default() || header.separators.truncation == Some('#') {
                true => written
                    .chars()
                    .filter(|character| !character.is_control())
                    .take(ECHO_MAX)
                    .collect(),
                false => escaped(written),
            }
        });
        let kind = match header.trigger.as_str() {
            "" => "ACK".to_owned(),
            trigger => format!("ACK^{}^ACK", escaped(trigger)),
        };
        let from = if to_application.is_empty() {
            "FILMROOM"
        } else {
            &to_application
        };
        let processing = if header.processing_id.is_empty() {
            "P"
        } else {
            &header.processing_id
        };
        let version = if header.version.is_empty() {
            "2.5.1"
        } else {
            &header.version
        };
        let mut segment = format!(
            "MSH|^~\\&|{from}|{to_facility}|{application}|{facility}|{at}||{kind}|{id}|{}|{}",
            escaped(processing),
            escaped(version)
        );
        if !header.character_sets.is_empty() && self.encoding != encoding_rs::WINDOWS_1252 {
            segment.push_str(&format!("||||||{}", header.character_sets));
        }
        segment.push('\r');
        segment
    }

    fn error_segment(&self, problem: &Problem) -> String {
        let (code, meaning) = problem.code.pair();
        let what = escaped(&problem.what);
        let place = |between: &str| match problem.place {
            None => String::new(),
            Some(place) if place.field == 0 => format!("{}{between}{}", place.segment, place.sequence),
            Some(place) => format!("{}{between}{}{between}{}", place.segment, place.sequence, place.field),
        };
        if self.header.is_none_or(Header::has_new_errors) {
            return format!("ERR||{}|{code}^{meaning}^HL70357|E||||{what}\r", place("^"));
        }
        // Before 2.5 all of it stands in one field: segment, sequence, field and the coded error.
        let mut parts = match problem.place {
            None => vec![String::new(); 3],
            Some(place) => {
                let field = if place.field == 0 {
                    String::new()
                } else {
                    place.field.to_string()
                };
                vec![place.segment.to_owned(), place.sequence.to_string(), field]
            }
        };
        parts.push(format!("{code}&{meaning}&HL70357"));
        format!("ERR|{}\r", parts.join("^"))
    }
}

/// A text within one of our messages.
fn escaped(text: &str) -> String {
    let short: String = text
        .chars()
        .filter(|character| !character.is_control())
        .take(ECHO_MAX)
        .collect();
    er7::escape::escape(&short, &er7::Separators::default()).into_owned()
}

/// A control ID of ours, of up to 20 characters.
fn next_id(now: OffsetDateTime) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed) % 1_000_000;
    format!("{}{count:06}", now.unix_timestamp())
}
