//! One event: who did what to which objects, from where, with what outcome, what for (PS3.15 A.5, RFC 3881).

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{
    codes::{Action, EventId, EventType, Outcome, Purpose, Role},
    protected::Protected,
};

/// Longest name, title, address or identifier that is kept: bytes.
pub const TEXT_BYTES_MAX: usize = 1024;
/// Longest query or description that is kept: bytes.
pub const LONG_TEXT_BYTES_MAX: usize = 32 << 10;
/// Most objects of one event; those beyond are counted in a detail.
pub const OBJECTS_MAX: usize = 256;
/// Most instances that an event names one by one; those beyond are counted.
pub const INSTANCES_MAX: usize = 1000;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What kind.
    pub event: EventId,
    /// Which of its kind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<EventType>,
    /// What was done.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// How it ended, in words that name no patient.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome_text: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// Who took part.
    #[serde(rename = "who")]
    pub participants: Vec<Participant>,
    /// What it was about.
    #[serde(default, rename = "what", skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Object>,
}

/// Somebody, or some process, that took part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Participant {
    /// Name of the user, or of the process: for an application entity its AE title (PS3.15 A.5.2.1).
    #[serde(rename = "id")]
    pub user_id: String,
    /// Another name of the same: `AETITLES=…` for processes (A.5.2.2), the subject of a TLS certificate.
    #[serde(default, rename = "other_id", skip_serializing_if = "String::is_empty")]
    pub alternative_user_id: String,
    /// As people call it.
    #[serde(default, rename = "name", skip_serializing_if = "String::is_empty")]
    pub user_name: String,
    /// True for the one that wanted it.
    #[serde(default, rename = "requestor", skip_serializing_if = "std::ops::Not::not")]
    pub is_requestor: bool,
    /// What part it played.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// Where somebody is (RFC 3881 §5.3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A host's name.
    Machine(String),
    /// An IP address.
    Address(String),
    /// A URI, such as that of a service.
    Uri(String),
}

impl Network {
    /// What an address and port, an address, or a host's name says of a place; the port is left out.
    #[must_use]
    pub fn of(place: &str) -> Option<Self> {
        if let Ok(address) = place.parse::<std::net::SocketAddr>() {
            return Some(Self::Address(address.ip().to_canonical().to_string()));
        }
        if let Ok(address) = place.parse::<std::net::IpAddr>() {
            return Some(Self::Address(address.to_canonical().to_string()));
        }
        let host = place.rsplit_once(':').map_or(place, |(host, _)| host);
        (!host.is_empty()).then(|| Self::Machine(bounded(host, TEXT_BYTES_MAX)))
    }

    /// The address, name or URI.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Machine(text) | Self::Address(text) | Self::Uri(text) => text,
        }
    }
}

impl Participant {
    /// A process, known by its AE title.
    #[must_use]
    pub fn application_entity(ae_title: &str, place: &str) -> Self {
        let title = bounded(ae_title.trim(), TEXT_BYTES_MAX);
        Self {
            alternative_user_id: format!("AETITLES={title}"),
            user_id: title,
            network: Network::of(place),
            ..Self::default()
        }
    }

    /// A person or a program, known by the name it was let in under, or by its address alone.
    #[must_use]
    pub fn user(user_id: &str, place: &str) -> Self {
        let network = Network::of(place);
        let user_id = match (user_id.trim(), &network) {
            ("", Some(network)) => network.text().to_owned(),
            ("", None) => "unknown".to_owned(),
            (user_id, _) => bounded(user_id, TEXT_BYTES_MAX),
        };
        Self {
            user_id,
            network,
            ..Self::default()
        }
    }

    /// The same in a part.
    #[must_use]
    pub fn as_role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// The same, as the one that wanted it.
    #[must_use]
    pub fn requesting(mut self) -> Self {
        self.is_requestor = true;
        self
    }

    /// The same, with the name that people call it by.
    #[must_use]
    pub fn named(mut self, user_name: &str) -> Self {
        self.user_name = bounded(user_name, TEXT_BYTES_MAX);
        self
    }
}

/// What an event is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// A patient.
    Patient(Patient),
    /// A study, and what of it.
    Study(Study),
    /// A query.
    Query(Query),
    /// This log, by its URI.
    AuditLog(String),
    /// Something that security rests on: a node, a setting, a role, a user.
    Security(Security),
    /// An order, by its accession number.
    Order(Order),
}

/// A patient, as identified in the data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Patient {
    /// Patient ID (0010,0020).
    #[serde(default, skip_serializing_if = "Protected::is_empty")]
    pub id: Protected,
    /// Issuer of Patient ID (0010,0021).
    #[serde(default, skip_serializing_if = "Protected::is_empty")]
    pub issuer: Protected,
    /// Patient's Name (0010,0010).
    #[serde(default, skip_serializing_if = "Protected::is_empty")]
    pub name: Protected,
}

impl Patient {
    /// A patient of this identity.
    #[must_use]
    pub fn new(id: &str, issuer: &str, name: &str) -> Self {
        Self {
            id: Protected::new(id.trim(), TEXT_BYTES_MAX),
            issuer: Protected::new(issuer.trim(), TEXT_BYTES_MAX),
            name: Protected::new(name.trim(), TEXT_BYTES_MAX),
        }
    }
}

/// A study, or part of one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Study {
    /// Study Instance UID (0020,000D).
    #[serde(rename = "study")]
    pub study_instance_uid: String,
    /// Accession Number (0008,0050).
    #[serde(default, skip_serializing_if = "Protected::is_empty")]
    pub accession_number: Protected,
    /// Series Instance UIDs, where not the whole study is meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub series: Vec<String>,
    /// Instances, by their SOP class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<SopClass>,
    /// True when identity was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anonymized: Option<bool>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
}

/// Instances of one SOP class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SopClass {
    /// SOP Class UID.
    pub uid: String,
    /// How many there are.
    pub number: u64,
    /// SOP Instance UIDs, as far as they are named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<String>,
}

/// A query.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Query {
    /// SOP Class UID of a C-FIND, or a word for the service.
    pub service: String,
    /// The query itself: DICOM JSON of an identifier, or path and parameters.
    #[serde(default, skip_serializing_if = "Protected::is_empty")]
    pub text: Protected,
    /// More about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
}

/// Something that security rests on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Security {
    /// What it is called.
    pub id: String,
    /// What it is.
    pub kind: SecurityKind,
    /// More about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
}

/// What kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityKind {
    /// A node of the network: (110182, DCM, "Node ID").
    #[default]
    Node,
    /// A user: (11, RFC-3881, "User Identifier").
    User,
    /// Anything that has a URI: (12, RFC-3881, "URI").
    Uri,
}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Order {
    /// Accession Number (0008,0050).
    pub accession_number: Protected,
    /// More about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
}

/// One more thing about an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its value.
    pub value: Protected,
}

impl Detail {
    /// A detail.
    #[must_use]
    pub fn new(kind: &str, value: &str) -> Self {
        Self {
            kind: bounded(kind, TEXT_BYTES_MAX),
            value: Protected::new(value, LONG_TEXT_BYTES_MAX),
        }
    }
}

impl Object {
    /// All that is kept beside the tree, in order.
    pub(crate) fn protected(&self) -> Vec<&Protected> {
        let mut all = Vec::new();
        match self {
            Self::Patient(patient) => all.extend([&patient.id, &patient.issuer, &patient.name]),
            Self::Study(study) => {
                all.push(&study.accession_number);
                all.extend(study.details.iter().map(|detail| &detail.value));
            }
            Self::Query(query) => {
                all.push(&query.text);
                all.extend(query.details.iter().map(|detail| &detail.value));
            }
            Self::AuditLog(_) => {}
            Self::Security(security) => all.extend(security.details.iter().map(|detail| &detail.value)),
            Self::Order(order) => {
                all.push(&order.accession_number);
                all.extend(order.details.iter().map(|detail| &detail.value));
            }
        }
        all
    }

    /// As [`Object::protected`], to be changed.
    pub(crate) fn protected_mut(&mut self) -> Vec<&mut Protected> {
        let mut all = Vec::new();
        match self {
            Self::Patient(patient) => all.extend([&mut patient.id, &mut patient.issuer, &mut patient.name]),
            Self::Study(study) => {
                all.push(&mut study.accession_number);
                all.extend(study.details.iter_mut().map(|detail| &mut detail.value));
            }
            Self::Query(query) => {
                all.push(&mut query.text);
                all.extend(query.details.iter_mut().map(|detail| &mut detail.value));
            }
            Self::AuditLog(_) => {}
            Self::Security(security) => all.extend(security.details.iter_mut().map(|detail| &mut detail.value)),
            Self::Order(order) => {
                all.push(&mut order.accession_number);
                all.extend(order.details.iter_mut().map(|detail| &mut detail.value));
            }
        }
        all.retain(|value| !value.is_empty());
        all
    }
}

impl Event {
    /// All that is kept beside the tree, in order; never empty ones.
    pub(crate) fn protected(&self) -> impl Iterator<Item = &Protected> {
        self.objects
            .iter()
            .flat_map(Object::protected)
            .filter(|value| !value.is_empty())
    }

    /// As [`Event::protected`], to be changed.
    pub(crate) fn protected_mut(&mut self) -> impl Iterator<Item = &mut Protected> {
        self.objects.iter_mut().flat_map(Object::protected_mut)
    }

    /// The patients it is about.
    pub fn patients(&self) -> impl Iterator<Item = &Patient> {
        self.objects.iter().filter_map(|object| match object {
            Object::Patient(patient) => Some(patient),
            _ => None,
        })
    }

    /// The studies it is about.
    pub fn studies(&self) -> impl Iterator<Item = &Study> {
        self.objects.iter().filter_map(|object| match object {
            Object::Study(study) => Some(study),
            _ => None,
        })
    }

    /// The one that wanted it, or else the first that took part.
    #[must_use]
    pub fn requestor(&self) -> Option<&Participant> {
        self.participants
            .iter()
            .find(|participant| participant.is_requestor)
            .or(self.participants.first())
    }

    /// The same with an outcome, and what to say of it: words that name no patient.
    #[must_use]
    pub fn ending(mut self, outcome: Outcome, text: &str) -> Self {
        self.outcome = outcome;
        self.outcome_text = bounded(text, TEXT_BYTES_MAX);
        self
    }

    /// The same, about one object more.
    #[must_use]
    pub fn about(mut self, object: Object) -> Self {
        if self.objects.len() < OBJECTS_MAX {
            self.objects.push(object);
        }
        self
    }

    /// The same, with one more that took part.
    #[must_use]
    pub fn with(mut self, participant: Participant) -> Self {
        self.participants.push(participant);
        self
    }

    /// The same, with what it was done for.
    #[must_use]
    pub fn in_purpose(mut self, purpose: Purpose) -> Self {
        self.purpose = Some(purpose);
        self
    }
}

/// The text, cut where it is too long, between characters; control characters become spaces.
pub(crate) fn bounded(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end)
        .unwrap_or_default()
        .chars()
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}
