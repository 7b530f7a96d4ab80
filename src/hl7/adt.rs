//! What messages of patient administration tell (HL7 v2.5.1 chapter 3).

use er7::{Segment, Separators};
use filmroom_records::{Message, PatientKey, Said, Told, Visit, VisitChange};
use filmroom_retention::PartialDate;
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use crate::{
    config::{Authority, Hl7Config},
    fields::{Fields, Identifier, Value},
    header::Header,
    problem::{Code, Place, Problem},
};

/// Segments that are looked at; others are passed over.
const USED: [&str; 4] = ["EVN", "PID", "MRG", "PV1"];
/// Longest of these, in bytes.
const SEGMENT_BYTES_MAX: usize = 64 << 10;
/// Most patients in one message of merges.
const MERGES_MAX: usize = 100;
/// Most identifiers of one patient that are looked at.
const IDENTIFIERS_MAX: usize = 20;
/// Identifiers of an account, a visit, a card or a state, which are no patient's in an archive (table 0203).
const OTHER_IDENTIFIERS: [&str; 11] = ["AN", "ANON", "BA", "BC", "CC", "DL", "MI", "PPN", "SS", "VN", "WC"];

/// What is asked of the clock and the calendar of the site.
pub(crate) struct Site<'a> {
    pub(crate) today: Date,
    /// Places a time that names no zone.
    pub(crate) local: &'a (dyn Fn(PrimitiveDateTime) -> OffsetDateTime + Sync),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tidings {
    /// A patient is told of.
    Of(Box<Told>),
    /// Patients are merged: who stays, and who goes.
    Merged(Message, Vec<(PatientKey, PatientKey)>),
}

/// Reads a message whose header was found good.
pub(crate) fn read(text: &str, header: &Header, config: &Hl7Config, site: &Site<'_>) -> Result<Tidings, Problem> {
    let change = match header.trigger.as_str() {
        "A01" | "A02" | "A04" | "A06" | "A07" => Some(VisitChange::Seen),
        "A03" => Some(VisitChange::Ended),
        "A11" => Some(VisitChange::Cancelled),
        "A13" => Some(VisitChange::Resumed),
        "A08" | "A12" => Some(VisitChange::ToldOf),
        // Expected, or no visit at all.
        "A05" | "A28" | "A31" | "A40" => None,
        _ => {
            let what = "A01 to A08, A11 to A13, A28, A31 and A40 are taken";
            return Err(Problem::reject(Code::UnsupportedEvent, 9, what));
        }
    };
    let segments = segments(text, &header.separators, config.segments_max)?;
    let all = All {
        segments: &segments,
        separators: &header.separators,
    };
    let message = Message {
        control_id: header.control_id.clone(),
        application: header.application.clone(),
        facility: header.facility.clone(),
        event: header.event(),
        sent_at: sent_at(text, header, site)?,
    };
    if header.trigger == "A40" {
        return merges(&all, message, config);
    }
    let patient = all.only("PID")?;
    let patients = keys(&patient, 3, &config.authorities)?;
    let birth = patient.date(7)?;
    not_ahead(&patient, 7, &birth, site.today)?;
    let death = death(&patient, &birth, site.today)?;
    let visit = match change {
        Some(change) => visit(&all, change)?,
        None => None,
    };
    Ok(Tidings::Of(Box::new(Told {
        message,
        patients,
        birth: said(birth),
        sex: sex(&patient),
        death,
        visit,
    })))
}

fn sent_at(text: &str, header: &Header, site: &Site<'_>) -> Result<Option<OffsetDateTime>, Problem> {
    let line = text.split(['\r', '\n']).next().unwrap_or_default();
    let parsed = er7::parse_with(line, header.separators);
    let Some(segment) = parsed.segments.first() else {
        return Ok(None);
    };
    let fields = Fields {
        segment,
        name: "MSH",
        sequence: 1,
        separators: &header.separators,
    };
    fields.moment(7, site.local)
}

/// The segments that count, read; all others looked at for their names alone.
fn segments(text: &str, separators: &Separators, segments_max: usize) -> Result<Vec<Segment>, Problem> {
    let mut found = Vec::new();
    let lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    for (place, line) in lines.enumerate().skip(1) {
        let wrong = |what: String| {
            let place = Place {
                segment: "MSH",
                sequence: 1,
                field: 0,
            };
            Err(Problem::error(Code::SegmentSequence, place, what))
        };
        if place >= segments_max {
            return wrong(format!("the message has more than {segments_max} segments"));
        }
        let name = line.split(separators.field).next().unwrap_or_default();
        let is_name = name.len() == 3
            && name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        if !is_name {
            return wrong(format!(
                "segment {} of the message has no name of three capital letters or digits",
                place + 1
            ));
        }
        if name == "MSH" {
            return wrong(format!("segment {} of the message is another header", place + 1));
        }
        if !USED.contains(&name) {
            continue;
        }
        if line.len() > SEGMENT_BYTES_MAX {
            return wrong(format!(
                "segment {} of the message is longer than 65,536 bytes",
                place + 1
            ));
        }
        found.extend(er7::parse_with(line, *separators).segments);
    }
    Ok(found)
}

struct All<'a> {
    segments: &'a [Segment],
    separators: &'a Separators,
}

impl<'a> All<'a> {
    /// All of a name, in order.
    fn of(&self, name: &'static str) -> impl Iterator<Item = Fields<'a>> {
        let separators = self.separators;
        let named = self.segments.iter().filter(move |segment| segment.name == name);
        (1..).zip(named).map(move |(sequence, segment)| Fields {
            segment,
            name,
            sequence,
            separators,
        })
    }

    /// The one of a name.
    fn only(&self, name: &'static str) -> Result<Fields<'a>, Problem> {
        let mut all = self.of(name);
        let first = all.next();
        let place = |sequence| Place {
            segment: name,
            sequence,
            field: 0,
        };
        match (first, all.next()) {
            (Some(first), None) => Ok(first),
            (None, _) => Err(Problem::error(
                Code::SegmentSequence,
                place(1),
                "the segment is missing",
            )),
            (Some(_), Some(_)) => Err(Problem::error(
                Code::SegmentSequence,
                place(2),
                "the message has more than one",
            )),
        }
    }
}

/// Identifiers as the archive knows patients by them.
fn keys(fields: &Fields<'_>, field: usize, authorities: &[Authority]) -> Result<Vec<PatientKey>, Problem> {
    let identifiers = fields.identifiers(field)?;
    if identifiers.is_empty() {
        return Err(fields.problem(Code::RequiredFieldMissing, field, "there is no patient identifier"));
    }
    let mut keys: Vec<PatientKey> = Vec::new();
    for identifier in &identifiers {
        if let Some(key) = key(identifier, authorities)
            && !keys.contains(&key)
        {
            keys.push(key);
        }
    }
    if keys.is_empty() {
        let what = "no identifier is a patient's of an authority that counts here (hl7.authorities)";
        return Err(fields.problem(Code::UnknownKey, field, what));
    }
    if keys.len() > IDENTIFIERS_MAX {
        return Err(fields.problem(Code::DataType, field, "there are more than 20 patient identifiers"));
    }
    Ok(keys)
}

fn key(identifier: &Identifier, authorities: &[Authority]) -> Option<PatientKey> {
    if OTHER_IDENTIFIERS.contains(&identifier.kind.as_str()) {
        return None;
    }
    let (namespace, universal) = &identifier.authority;
    let of = |issuer: &str| PatientKey {
        id: identifier.id.clone(),
        issuer: issuer.to_owned(),
    };
    // Who names nobody means the house's own, which DICOM does not name either.
    let name = match (namespace.as_str(), universal.as_str()) {
        ("", "") => return Some(of("")),
        ("", universal) => universal,
        (namespace, _) => namespace,
    };
    if authorities.is_empty() {
        return Some(of(name));
    }
    let listed = authorities
        .iter()
        .find(|listed| listed.authority == *namespace || listed.authority == *universal)?;
    Some(of(&listed.issuer))
}

fn said(date: Value<PartialDate>) -> Said {
    match date {
        Value::Nothing => Said::Nothing,
        Value::Null => Said::None,
        Value::Of(date) => Said::Value(date.to_string()),
    }
}

/// Clocks differ: a day ahead is none.
fn not_ahead(fields: &Fields<'_>, field: usize, date: &Value<PartialDate>, today: Date) -> Result<(), Problem> {
    let tomorrow = today.next_day().unwrap_or(today);
    match date {
        Value::Of(date) if date.earliest() > tomorrow => {
            Err(fields.problem(Code::DataType, field, "the date is in the future"))
        }
        _ => Ok(()),
    }
}

/// Administrative Sex (table 0001) as (0010,0040) has it.
fn sex(fields: &Fields<'_>) -> Said {
    match fields.value(8) {
        Value::Nothing => Said::Nothing,
        Value::Null => Said::None,
        Value::Of(sex) => match sex.as_str() {
            "M" => Said::Value("M".to_owned()),
            "F" => Said::Value("F".to_owned()),
            "O" | "A" | "N" | "X" => Said::Value("O".to_owned()),
            // Not known, or a word of the sender's own.
            _ => Said::Nothing,
        },
    }
}

/// PID-29, when, and PID-30, whether.
fn death(fields: &Fields<'_>, birth: &Value<PartialDate>, today: Date) -> Result<Said, Problem> {
    let on = fields.date(29)?;
    let is_dead = match fields.value(30) {
        Value::Nothing => None,
        Value::Null => Some(false),
        Value::Of(text) => match text.as_str() {
            "Y" => Some(true),
            "N" => Some(false),
            _ => return Err(fields.problem(Code::TableValueNotFound, 30, "it is neither Y nor N")),
        },
    };
    not_ahead(fields, 29, &on, today)?;
    match (on, is_dead) {
        (Value::Of(_), Some(false)) => Err(fields.problem(
            Code::DataType,
            30,
            "the patient is not dead, and field 29 says when the patient died",
        )),
        (Value::Of(on), _) => match birth {
            Value::Of(birth) if birth.earliest() > on.latest() => {
                Err(fields.problem(Code::DataType, 29, "the patient died before being born"))
            }
            _ => Ok(Said::Value(on.to_string())),
        },
        (_, Some(true)) => Ok(Said::Value("unknown".to_owned())),
        (_, Some(false)) | (Value::Null, None) => Ok(Said::None),
        (Value::Nothing, None) => Ok(Said::Nothing),
    }
}

fn visit(all: &All<'_>, change: VisitChange) -> Result<Option<Visit>, Problem> {
    if change == VisitChange::ToldOf && all.of("PV1").next().is_none() {
        return Ok(None);
    }
    let stay = all.only("PV1")?;
    let class = stay.text(2, 1);
    // Expected, or none.
    if class == "N" || class == "P" {
        return Ok(None);
    }
    let start = stay.date(44)?.known();
    let end = stay.latest_date(45)?.known();
    if let (Some(start), Some(end)) = (start, end)
        && end.latest() < start.earliest()
    {
        return Err(stay.problem(Code::DataType, 45, "the patient was discharged before being admitted"));
    }
    let number = stay.text(19, 1);
    if number.len() > 100 || number.chars().any(char::is_control) {
        return Err(stay.problem(
            Code::DataType,
            19,
            "it is longer than 100 bytes or has control characters",
        ));
    }
    Ok(Some(Visit {
        number,
        change,
        start,
        end,
        day: day(all)?,
        is_of_a_day: class == "O",
    }))
}

/// When it happened (EVN-6), or was written down (EVN-2).
fn day(all: &All<'_>) -> Result<Option<PartialDate>, Problem> {
    let Some(event) = all.of("EVN").next() else {
        return Ok(None);
    };
    let occurred = event.date(6)?.known();
    match occurred {
        Some(_) => Ok(occurred),
        None => Ok(event.date(2)?.known()),
    }
}

/// Each PID is who stays, the MRG behind it who goes.
fn merges(all: &All<'_>, message: Message, config: &Hl7Config) -> Result<Tidings, Problem> {
    let patients: Vec<Fields<'_>> = all.of("PID").collect();
    let prior: Vec<Fields<'_>> = all.of("MRG").collect();
    let place = |segment, sequence| Place {
        segment,
        sequence,
        field: 0,
    };
    let order: Vec<&str> = all.segments.iter().map(|segment| segment.name.as_str()).collect();
    let pairs: Vec<&&str> = order.iter().filter(|name| ["PID", "MRG"].contains(*name)).collect();
    let is_paired = pairs
        .chunks(2)
        .all(|pair| matches!(pair, [first, second] if **first == "PID" && **second == "MRG"));
    if patients.is_empty() || prior.is_empty() || !is_paired {
        let missing = if patients.len() < prior.len() || patients.is_empty() {
            "PID"
        } else {
            "MRG"
        };
        let what = "each PID has one MRG behind it";
        let sequence = patients.len().min(prior.len()) + 1;
        return Err(Problem::error(Code::SegmentSequence, place(missing, sequence), what));
    }
    if patients.len() > MERGES_MAX {
        return Err(Problem::error(
            Code::SegmentSequence,
            place("PID", MERGES_MAX + 1),
            "more than 100 merges are in one message",
        ));
    }
    let mut merges = Vec::new();
    for (patient, prior) in patients.iter().zip(&prior) {
        let stays = keys(patient, 3, &config.authorities)?;
        for goes in keys(prior, 1, &config.authorities)? {
            let of_one = stays.iter().find(|stays| stays.issuer == goes.issuer);
            let Some(stays) = of_one else {
                let what =
                    "its authority gave the patient that is to stay no identifier: a merge is of identifiers of one";
                return Err(prior.problem(Code::UnknownKey, 1, what));
            };
            if *stays == goes {
                let what = "a patient is not merged into itself";
                return Err(prior.problem(Code::DuplicateKey, 1, what));
            }
            merges.push((stays.clone(), goes));
        }
    }
    Ok(Tidings::Merged(message, merges))
}
