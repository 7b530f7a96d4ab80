//! Events as DICOM audit messages: XML of the schema in PS3.15 A.5.1.

use base64::{Engine, engine::general_purpose::STANDARD};
use quick_xml::{
    Writer,
    events::{BytesDecl, BytesText, Event as Xml},
};
use time::{OffsetDateTime, macros::format_description};

use crate::{
    codes::{Code, Purpose},
    event::{Detail, Event, Network, Object, Participant, Security, SecurityKind, SopClass, Study},
};

/// Who reports (AuditSourceIdentification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// What this system is called (AuditSourceID).
    pub id: String,
    /// Which site of the enterprise it is at (AuditEnterpriseSiteID); empty: not said.
    pub site: String,
}

/// Whether instances are named one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instances {
    /// They are, as far as the event names them.
    Named,
    /// They are counted.
    Counted,
}

const STUDY_INSTANCE_UID: Code = dcm("110180", "Study Instance UID");
const SOP_CLASS_UID: Code = dcm("110181", "SOP Class UID");
const NODE_ID: Code = dcm("110182", "Node ID");
const PATIENT_NUMBER: Code = rfc3881("2", "Patient Number");
const SEARCH_CRITERIA: Code = rfc3881("10", "Search Criteria");
const USER_IDENTIFIER: Code = rfc3881("11", "User Identifier");
const URI: Code = rfc3881("12", "URI");
const ACCESSION_NUMBER: Code = dcm("121022", "Accession Number");

const fn dcm(value: &'static str, meaning: &'static str) -> Code {
    Code {
        value,
        system: "DCM",
        meaning,
    }
}

const fn rfc3881(value: &'static str, meaning: &'static str) -> Code {
    Code {
        value,
        system: "RFC-3881",
        meaning,
    }
}

/// An event as an audit message, in UTF-8.
#[must_use]
pub fn message(event: &Event, source: &Source, instances: Instances) -> String {
    let mut writer = Writer::new(Vec::new());
    // Into memory: nothing fails.
    let _ = write(&mut writer, event, source, instances);
    String::from_utf8(writer.into_inner()).unwrap_or_default()
}

/// The time of an event as it stands in its message: UTC, to the millisecond.
#[must_use]
pub fn message_time(event: &Event) -> String {
    time(event.at)
}

type Out = Writer<Vec<u8>>;
type Attributes = Vec<(&'static str, String)>;

fn write(out: &mut Out, event: &Event, source: &Source, instances: Instances) -> std::io::Result<()> {
    out.write_event(Xml::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    out.create_element("AuditMessage").write_inner_content(|out| {
        identification(out, event)?;
        for participant in &event.participants {
            active_participant(out, participant)?;
        }
        let mut attributes = vec![("AuditSourceID", text(&source.id))];
        if !source.site.is_empty() {
            attributes.push(("AuditEnterpriseSiteID", text(&source.site)));
        }
        element(out, "AuditSourceIdentification", attributes, |out| {
            element(out, "AuditSourceTypeCode", vec![("csd-code", "4".into())], |_| Ok(()))
        })?;
        for object in &event.objects {
            participant_object(out, object, instances)?;
        }
        Ok(())
    })?;
    Ok(())
}

fn identification(out: &mut Out, event: &Event) -> std::io::Result<()> {
    let attributes = vec![
        ("EventActionCode", event.action.letter().into()),
        ("EventDateTime", time(event.at)),
        ("EventOutcomeIndicator", event.outcome.indicator().into()),
    ];
    element(out, "EventIdentification", attributes, |out| {
        coded(out, "EventID", event.event.code())?;
        for kind in &event.types {
            coded(out, "EventTypeCode", kind.code())?;
        }
        // The schema has no place for a purpose; IHE ITI TF-2 3.20.7.8 puts it among the types.
        if let Some(purpose) = event.purpose {
            coded(out, "EventTypeCode", Purpose::code(purpose))?;
        }
        if !event.outcome_text.is_empty() {
            out.create_element("EventOutcomeDescription")
                .write_text_content(BytesText::new(&text(&event.outcome_text)))?;
        }
        Ok(())
    })
}

fn active_participant(out: &mut Out, participant: &Participant) -> std::io::Result<()> {
    let mut attributes = vec![("UserID", text(&participant.user_id))];
    if !participant.alternative_user_id.is_empty() {
        attributes.push(("AlternativeUserID", text(&participant.alternative_user_id)));
    }
    if !participant.user_name.is_empty() {
        attributes.push(("UserName", text(&participant.user_name)));
    }
    attributes.push(("UserIsRequestor", participant.is_requestor.to_string()));
    if let Some(network) = &participant.network {
        let kind = match network {
            Network::Machine(_) => "1",
            Network::Address(_) => "2",
            Network::Uri(_) => "5",
        };
        attributes.push(("NetworkAccessPointTypeCode", kind.into()));
        attributes.push(("NetworkAccessPointID", text(network.text())));
    }
    element(out, "ActiveParticipant", attributes, |out| {
        for role in &participant.roles {
            coded(out, "RoleIDCode", role.code())?;
        }
        let is_medium = participant.roles.iter().any(|role| {
            matches!(
                role,
                crate::codes::Role::DestinationMedia | crate::codes::Role::SourceMedia
            )
        });
        if is_medium {
            element(out, "MediaIdentifier", Vec::new(), |out| {
                // Media here are folders, archives and addresses, which all have a URI (CID 405).
                coded(out, "MediaType", dcm("110037", "URI"))
            })?;
        }
        Ok(())
    })
}

/// One ParticipantObjectIdentification.
struct Identified<'a> {
    id: String,
    type_code: &'static str,
    role: &'static str,
    id_type: Code,
    name: Named<'a>,
    details: &'a [Detail],
    issuer: &'a str,
    study: Option<(&'a Study, Instances)>,
}

/// The schema wants one of both.
enum Named<'a> {
    Name(&'a str),
    Query(&'a str),
}

fn participant_object(out: &mut Out, object: &Object, instances: Instances) -> std::io::Result<()> {
    let mut identified = Identified {
        id: String::new(),
        type_code: "2",
        role: "3",
        id_type: STUDY_INSTANCE_UID,
        name: Named::Name(""),
        details: &[],
        issuer: "",
        study: None,
    };
    match object {
        Object::Patient(patient) => {
            identified.id = text(patient.id.shown());
            (identified.type_code, identified.role) = ("1", "1");
            identified.id_type = PATIENT_NUMBER;
            identified.name = Named::Name(patient.name.shown());
            identified.issuer = patient.issuer.shown();
        }
        Object::Study(study) => {
            identified.id = text(&study.study_instance_uid);
            identified.name = Named::Name(&study.study_instance_uid);
            identified.details = &study.details;
            identified.study = Some((study, instances));
        }
        Object::Query(query) => {
            identified.id = text(&query.service);
            let is_class = query.service.starts_with("1.2.840.10008.");
            identified.role = if is_class { "3" } else { "24" };
            identified.id_type = if is_class { SOP_CLASS_UID } else { SEARCH_CRITERIA };
            identified.name = Named::Query(query.text.shown());
            identified.details = &query.details;
        }
        Object::AuditLog(uri) => {
            identified.id = text(uri);
            identified.role = "13";
            identified.id_type = URI;
            identified.name = Named::Name("Security Audit Log");
        }
        Object::Security(security) => security_object(&mut identified, security),
        Object::Order(order) => {
            identified.id = text(order.accession_number.shown());
            identified.id_type = ACCESSION_NUMBER;
            identified.role = "20";
            identified.name = Named::Name("order");
            identified.details = &order.details;
        }
    }
    identified_object(out, &identified)
}

fn security_object<'a>(identified: &mut Identified<'a>, security: &'a Security) {
    identified.id = text(&security.id);
    identified.role = "13";
    identified.name = Named::Name(&security.id);
    identified.details = &security.details;
    identified.id_type = match security.kind {
        SecurityKind::Node => NODE_ID,
        SecurityKind::Uri => URI,
        SecurityKind::User => {
            (identified.type_code, identified.role) = ("1", "11");
            USER_IDENTIFIER
        }
    };
}

fn identified_object(out: &mut Out, object: &Identified<'_>) -> std::io::Result<()> {
    let attributes = vec![
        ("ParticipantObjectID", or_unknown(&object.id)),
        ("ParticipantObjectTypeCode", object.type_code.into()),
        ("ParticipantObjectTypeCodeRole", object.role.into()),
    ];
    element(out, "ParticipantObjectIdentification", attributes, |out| {
        coded(out, "ParticipantObjectIDTypeCode", object.id_type)?;
        match object.name {
            Named::Name(name) => out
                .create_element("ParticipantObjectName")
                .write_text_content(BytesText::new(&or_unknown(&text(name))))?,
            Named::Query(query) => out
                .create_element("ParticipantObjectQuery")
                .write_text_content(BytesText::new(&STANDARD.encode(query)))?,
        };
        if !object.issuer.is_empty() {
            detail(out, "Issuer of Patient ID", object.issuer)?;
        }
        for other in object.details {
            detail(out, &other.kind, other.value.shown())?;
        }
        if let Some((study, instances)) = object.study {
            for series in &study.series {
                detail(out, "Series Instance UID", series)?;
            }
            description(out, study, instances)?;
        }
        Ok(())
    })
}

/// ParticipantObjectDescription of a study.
fn description(out: &mut Out, study: &Study, instances: Instances) -> std::io::Result<()> {
    if study.classes.is_empty() && study.accession_number.is_empty() && study.anonymized.is_none() {
        return Ok(());
    }
    element(out, "ParticipantObjectDescription", Vec::new(), |out| {
        if !study.accession_number.is_empty() {
            let number = text(study.accession_number.shown());
            element(out, "Accession", vec![("Number", number)], |_| Ok(()))?;
        }
        for class in &study.classes {
            sop_class(out, class, instances)?;
        }
        if let Some(is_anonymized) = study.anonymized {
            out.create_element("Anonymized")
                .write_text_content(BytesText::new(&is_anonymized.to_string()))?;
        }
        Ok(())
    })
}

fn sop_class(out: &mut Out, class: &SopClass, instances: Instances) -> std::io::Result<()> {
    let mut attributes = Vec::new();
    if !class.uid.is_empty() {
        attributes.push(("UID", text(&class.uid)));
    }
    attributes.push(("NumberOfInstances", class.number.to_string()));
    element(out, "SOPClass", attributes, |out| {
        if instances == Instances::Named {
            for uid in &class.instances {
                element(out, "Instance", vec![("UID", text(uid))], |_| Ok(()))?;
            }
        }
        Ok(())
    })
}

fn detail(out: &mut Out, kind: &str, value: &str) -> std::io::Result<()> {
    let attributes = vec![("type", text(kind)), ("value", STANDARD.encode(value))];
    element(out, "ParticipantObjectDetail", attributes, |_| Ok(()))
}

fn coded(out: &mut Out, name: &'static str, code: Code) -> std::io::Result<()> {
    let attributes = vec![
        ("csd-code", code.value.into()),
        ("codeSystemName", code.system.into()),
        ("originalText", code.meaning.into()),
    ];
    element(out, name, attributes, |_| Ok(()))
}

fn element(
    out: &mut Out,
    name: &'static str,
    attributes: Attributes,
    within: impl FnOnce(&mut Out) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let attributes = attributes.iter().map(|(name, value)| (*name, value.as_str()));
    out.create_element(name)
        .with_attributes(attributes)
        .write_inner_content(within)?;
    Ok(())
}

/// Text without what XML 1.0 cannot hold.
fn text(text: &str) -> String {
    text.chars()
        .map(|character| match character {
            '\t' | '\n' | '\r' | ' '..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'.. => character,
            _ => '\u{FFFD}',
        })
        .collect()
}

/// Identifiers have to be there.
fn or_unknown(text: &str) -> String {
    if text.is_empty() { "unknown" } else { text }.to_owned()
}

/// UTC, to the millisecond.
pub(crate) fn time(at: OffsetDateTime) -> String {
    at.to_offset(time::UtcOffset::UTC)
        .format(format_description!(
            "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z"
        ))
        .unwrap_or_default()
}
