//! One AuditEvent.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value, json};

use crate::{
    codes::{Code, EventId, Role},
    entry::Entry,
    event::{Detail, Event, Network, Object, Participant, SecurityKind, Study},
    xml::{self, Source},
};

const DCM: &str = "http://dicom.nema.org/resources/ontology/DCM";
const PURPOSE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";
const OBJECT_ROLE: &str = "http://terminology.hl7.org/CodeSystem/object-role";
const ENTITY_TYPE: &str = "http://terminology.hl7.org/CodeSystem/audit-entity-type";
const SOURCE_TYPE: &str = "http://terminology.hl7.org/CodeSystem/security-source-type";
/// BALP's extension for the IHE slices: which agent is the user, by v3-ParticipationType.
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType";
const DICOM_UID: &str = "urn:dicom:uid";

/// An entry as an AuditEvent. Its id is the entry's index.
#[must_use]
pub fn resource(entry: &Entry, source: &Source) -> Value {
    let event = &entry.event;
    let mut made = Map::new();
    made.insert("resourceType".into(), json!("AuditEvent"));
    made.insert("id".into(), json!(entry.index.to_string()));
    made.insert("type".into(), coding(event.event.code()));
    let subtypes: Vec<_> = event.types.iter().map(|kind| coding(kind.code())).collect();
    if !subtypes.is_empty() {
        made.insert("subtype".into(), Value::Array(subtypes));
    }
    made.insert("action".into(), json!(event.action.letter()));
    made.insert("recorded".into(), json!(xml::time(event.at)));
    made.insert("outcome".into(), json!(event.outcome.indicator()));
    if !event.outcome_text.is_empty() {
        made.insert("outcomeDesc".into(), json!(event.outcome_text));
    }
    if let Some(purpose) = event.purpose {
        let code = purpose.code();
        let coding = json!({"system": PURPOSE, "code": code.value, "display": code.meaning});
        made.insert("purposeOfEvent".into(), json!([{"coding": [coding]}]));
    }
    let agents: Vec<_> = event
        .participants
        .iter()
        .map(|participant| agent(event, participant))
        .collect();
    made.insert("agent".into(), Value::Array(agents));
    let mut from = json!({
        "observer": {"display": source.id},
        "type": [{"system": SOURCE_TYPE, "code": "4", "display": "Application Server"}],
    });
    if let (Some(from), false) = (from.as_object_mut(), source.site.is_empty()) {
        from.insert("site".into(), json!(source.site));
    }
    made.insert("source".into(), from);
    let entities: Vec<_> = event.objects.iter().map(entity).collect();
    if !entities.is_empty() {
        made.insert("entity".into(), Value::Array(entities));
    }
    Value::Object(made)
}

fn coding(code: Code) -> Value {
    json!({"system": DCM, "code": code.value, "display": code.meaning})
}

fn agent(event: &Event, participant: &Participant) -> Value {
    let mut made = Map::new();
    let is_process = participant.alternative_user_id.starts_with("AETITLES=");
    // BALP: source and destination by their role, the user as the recipient of information.
    let kind = match participant.roles.as_slice() {
        [role, ..] => Some(coding(role.code())),
        [] if !is_process && event.event != EventId::SecurityAlert => {
            Some(json!({"system": PARTICIPATION, "code": "IRCP", "display": "information recipient"}))
        }
        [] => None,
    };
    if let Some(kind) = kind {
        made.insert("type".into(), json!({"coding": [kind]}));
    }
    let media = participant
        .roles
        .iter()
        .any(|role| matches!(role, Role::SourceMedia | Role::DestinationMedia));
    if media {
        made.insert(
            "media".into(),
            json!({"system": DCM, "code": "110037", "display": "URI"}),
        );
    }
    let mut who = json!({"identifier": {"value": known(&participant.user_id)}});
    if let (Some(who), false) = (who.as_object_mut(), participant.user_name.is_empty()) {
        who.insert("display".into(), json!(participant.user_name));
    }
    made.insert("who".into(), who);
    if !participant.alternative_user_id.is_empty() {
        made.insert("altId".into(), json!(participant.alternative_user_id));
    }
    if !participant.user_name.is_empty() {
        made.insert("name".into(), json!(participant.user_name));
    }
    made.insert("requestor".into(), json!(participant.is_requestor));
    if let Some(network) = &participant.network {
        let kind = match network {
            Network::Machine(_) => "1",
            Network::Address(_) => "2",
            Network::Uri(_) => "5",
        };
        made.insert("network".into(), json!({"address": network.text(), "type": kind}));
    }
    Value::Object(made)
}

fn entity(object: &Object) -> Value {
    match object {
        Object::Patient(patient) => {
            let mut identifier = json!({"value": known(patient.id.shown())});
            if let (Some(identifier), false) = (identifier.as_object_mut(), patient.issuer.is_empty()) {
                identifier.insert("assigner".into(), json!({"display": patient.issuer.shown()}));
            }
            let mut made = typed("1", "Person", "1", "Patient");
            made.insert("what".into(), json!({"type": "Patient", "identifier": identifier}));
            if let Some(name) = patient.name.value() {
                made.insert("name".into(), json!(name));
            }
            Value::Object(made)
        }
        Object::Study(study) => of_study(study),
        Object::Query(query) => {
            let mut made = typed("2", "System Object", "24", "Query");
            made.insert("what".into(), json!({"identifier": {"value": known(&query.service)}}));
            if !query.text.is_empty() {
                made.insert("query".into(), json!(STANDARD.encode(query.text.shown())));
            }
            with_details(made, &query.details, Vec::new())
        }
        Object::AuditLog(uri) => {
            let mut made = typed("2", "System Object", "13", "Security Resource");
            made.insert(
                "what".into(),
                json!({"identifier": {"system": "urn:ietf:rfc:3986", "value": uri}}),
            );
            made.insert("name".into(), json!("Security Audit Log"));
            Value::Object(made)
        }
        Object::Security(security) => {
            let mut made = match security.kind {
                SecurityKind::User => typed("1", "Person", "11", "Security User Entity"),
                SecurityKind::Node | SecurityKind::Uri => typed("2", "System Object", "13", "Security Resource"),
            };
            made.insert("what".into(), json!({"identifier": {"value": known(&security.id)}}));
            with_details(made, &security.details, Vec::new())
        }
        Object::Order(order) => {
            let mut made = typed("2", "System Object", "20", "Job");
            made.insert(
                "what".into(),
                json!({"type": "ServiceRequest", "identifier": {"value": known(order.accession_number.shown())}}),
            );
            with_details(made, &order.details, Vec::new())
        }
    }
}

fn of_study(study: &Study) -> Value {
    let mut made = typed("2", "System Object", "3", "Report");
    let uid = format!("urn:oid:{}", study.study_instance_uid);
    made.insert(
        "what".into(),
        json!({"type": "ImagingStudy", "identifier": {"system": DICOM_UID, "value": uid}}),
    );
    let mut more = Vec::new();
    if !study.accession_number.is_empty() {
        more.push(("Accession Number".to_owned(), study.accession_number.shown().to_owned()));
    }
    more.extend(
        study
            .series
            .iter()
            .map(|uid| ("Series Instance UID".to_owned(), uid.clone())),
    );
    for class in &study.classes {
        more.push(("SOP Class UID".into(), class.uid.clone()));
        more.push(("Number of Instances".into(), class.number.to_string()));
        more.extend(
            class
                .instances
                .iter()
                .map(|uid| ("SOP Instance UID".to_owned(), uid.clone())),
        );
    }
    with_details(made, &study.details, more)
}

/// FHIR has no empty strings, and an identifier has to be there.
fn known(text: &str) -> &str {
    if text.is_empty() { "unknown" } else { text }
}

fn typed(kind: &str, kind_name: &str, role: &str, role_name: &str) -> Map<String, Value> {
    let mut made = Map::new();
    made.insert(
        "type".into(),
        json!({"system": ENTITY_TYPE, "code": kind, "display": kind_name}),
    );
    made.insert(
        "role".into(),
        json!({"system": OBJECT_ROLE, "code": role, "display": role_name}),
    );
    made
}

fn with_details(mut made: Map<String, Value>, details: &[Detail], more: Vec<(String, String)>) -> Value {
    let details: Vec<_> = details
        .iter()
        .map(|detail| (detail.kind.clone(), detail.value.shown().to_owned()))
        .chain(more)
        .filter(|(kind, value)| !kind.is_empty() && !value.is_empty())
        .map(|(kind, value)| json!({"type": kind, "valueString": value}))
        .collect();
    if !details.is_empty() {
        made.insert("detail".into(), Value::Array(details));
    }
    Value::Object(made)
}
