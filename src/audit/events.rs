//! One constructor for each thing that is recorded (PS3.15 A.5.3), so that the same thing always reads the same.
//!
//! Participants come with their network place; these give them their parts.

use time::OffsetDateTime;

use crate::{
    codes::{Action, EventId, EventType, Outcome, Role},
    event::{Detail, Event, Object, Order, Participant, Patient, Query, Security, Study},
};

fn event(event: EventId, types: &[EventType], action: Action, participants: Vec<Participant>) -> Event {
    Event {
        event,
        types: types.to_vec(),
        action,
        outcome: Outcome::Success,
        outcome_text: String::new(),
        at: OffsetDateTime::now_utc(),
        purpose: None,
        participants,
        objects: Vec::new(),
    }
}

/// This process began or ended (A.5.3.1). `build`: which program it is, in its own words.
#[must_use]
pub fn application(is_start: bool, us: &Participant, build: &str) -> Event {
    let kind = if is_start {
        EventType::ApplicationStart
    } else {
        EventType::ApplicationStop
    };
    let us = us.clone().named(build).as_role(Role::Application);
    event(EventId::ApplicationActivity, &[kind], Action::Execute, vec![us])
}

/// Somebody read this log (A.5.3.2). `filter`: what was asked for.
#[must_use]
pub fn audit_log_used(who: Participant, uri: &str, filter: &str) -> Event {
    let read =
        event(EventId::AuditLogUsed, &[], Action::Read, vec![who.requesting()]).about(Object::AuditLog(uri.to_owned()));
    if filter.is_empty() {
        return read;
    }
    // What was looked for may name a patient.
    read.about(Object::Query(Query {
        service: "audit".into(),
        text: crate::protected::Protected::new(filter, crate::event::LONG_TEXT_BYTES_MAX),
        details: Vec::new(),
    }))
}

/// From whom to whom instances go. One of them, or a third, wanted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parties {
    /// Who sends.
    pub from: Participant,
    /// Who receives.
    pub to: Participant,
    /// Others, such as the one that sent the C-MOVE.
    pub others: Vec<Participant>,
}

impl Parties {
    fn participants(self) -> Vec<Participant> {
        let mut all = vec![self.from.as_role(Role::Source), self.to.as_role(Role::Destination)];
        all.extend(self.others);
        all
    }
}

/// Instances of a study begin to go from one to another (A.5.3.3).
#[must_use]
pub fn transfer_begun(parties: Parties, study: Study, patient: Patient) -> Event {
    event(EventId::BeginTransferring, &[], Action::Execute, parties.participants())
        .about(Object::Study(study))
        .about(Object::Patient(patient))
}

/// Instances of a study went from one to another (A.5.3.7). `action`: [`Action::Create`] where they are new to the receiver.
#[must_use]
pub fn transferred(parties: Parties, action: Action, study: Study, patient: Patient) -> Event {
    event(EventId::InstancesTransferred, &[], action, parties.participants())
        .about(Object::Study(study))
        .about(Object::Patient(patient))
}

/// Somebody saw or changed something of a study within this archive (A.5.3.6).
#[must_use]
pub fn accessed(who: Participant, us: &Participant, action: Action, study: Study, patient: Patient) -> Event {
    let us = us.clone().as_role(Role::Application);
    event(EventId::InstancesAccessed, &[], action, vec![who.requesting(), us])
        .about(Object::Study(study))
        .about(Object::Patient(patient))
}

/// Instances came from a medium (A.5.3.5). `medium`: what it is called.
#[must_use]
pub fn imported(who: Participant, us: &Participant, medium: &str, study: Study, patient: Patient) -> Event {
    let medium = Participant::user(medium, "").as_role(Role::SourceMedia);
    let us = us.clone().as_role(Role::Destination);
    event(EventId::Import, &[], Action::Create, vec![us, who.requesting(), medium])
        .about(Object::Study(study))
        .about(Object::Patient(patient))
}

/// Instances left to a medium, or to somebody outside (A.5.3.4). `recipient`: who gets them, or what they are written to.
#[must_use]
pub fn exported(who: Participant, us: &Participant, recipient: &str, study: Study, patient: Patient) -> Event {
    let recipient = Participant::user(recipient, "").as_role(Role::DestinationMedia);
    let us = us.clone().as_role(Role::Source);
    event(
        EventId::Export,
        &[],
        Action::Read,
        vec![us, who.requesting(), recipient],
    )
    .about(Object::Study(study))
    .about(Object::Patient(patient))
}

/// A study is destroyed (A.5.3.8). `decision`: who approved it, its number, its certificate.
#[must_use]
pub fn study_deleted(
    who: Participant,
    us: &Participant,
    mut study: Study,
    patient: Patient,
    decision: Vec<Detail>,
) -> Event {
    study.details.extend(decision);
    event(
        EventId::StudyDeleted,
        &[],
        Action::Delete,
        vec![who.requesting(), us.clone().as_role(Role::Application)],
    )
    .about(Object::Study(study))
    .about(Object::Patient(patient))
}

/// Somebody asked what there is (A.5.3.10).
#[must_use]
pub fn queried(who: Participant, us: &Participant, query: Query) -> Event {
    let who = who.requesting().as_role(Role::Source);
    let us = us.clone().as_role(Role::Destination);
    event(EventId::Query, &[], Action::Execute, vec![who, us]).about(Object::Query(query))
}

/// Something that security staff should know (A.5.3.11): `what` happened to `subject`, `who` did it.
#[must_use]
pub fn alert(what: EventType, us: &Participant, who: Option<Participant>, subject: Security) -> Event {
    let mut participants = vec![us.clone().as_role(Role::Application)];
    participants.extend(who.map(Participant::requesting));
    event(EventId::SecurityAlert, &[what], Action::Execute, participants).about(Object::Security(subject))
}

/// A node was refused, or is not the one that it says (A.5.3.11, 110126). `why`: in words that name no patient.
#[must_use]
pub fn node_refused(us: &Participant, node: Participant, why: &str) -> Event {
    let subject = Security {
        id: node.user_id.clone(),
        details: vec![Detail::new("Alert Description", why)],
        ..Security::default()
    };
    alert(EventType::NodeAuthentication, us, Some(node), subject).ending(Outcome::SeriousFailure, why)
}

/// A setting, a role, a user or a peer was changed: `what` is the kind of configuration, `details` say what was and what is.
#[must_use]
pub fn configuration_changed(
    what: EventType,
    us: &Participant,
    who: Participant,
    mut subject: Security,
    details: Vec<Detail>,
) -> Event {
    subject.details.extend(details);
    alert(what, us, Some(who), subject)
}

/// Somebody takes, or gives back, access in an emergency (110127, 110138). `reason`: as given.
#[must_use]
pub fn emergency_override(is_start: bool, us: &Participant, who: Participant, patient: Patient, reason: &str) -> Event {
    let kind = if is_start {
        EventType::EmergencyOverrideStarted
    } else {
        EventType::EmergencyOverrideStopped
    };
    let subject = Security {
        id: who.user_id.clone(),
        kind: crate::event::SecurityKind::User,
        details: vec![Detail::new("Alert Description", reason)],
    };
    alert(kind, us, Some(who), subject)
        .about(Object::Patient(patient))
        .in_purpose(crate::codes::Purpose::BreakTheGlass)
}

/// Somebody logged in or out, or could not (A.5.3.12). `means`: by what, such as `passcode`, `certificate`, `token`.
#[must_use]
pub fn user_authentication(is_login: bool, us: &Participant, who: Participant, means: &str) -> Event {
    let kind = if is_login { EventType::Login } else { EventType::Logout };
    let us = us.clone().named(means).as_role(Role::Application);
    event(
        EventId::UserAuthentication,
        &[kind],
        Action::Execute,
        vec![who.requesting(), us],
    )
}

/// An order was made, read, changed or cancelled (A.5.3.13).
#[must_use]
pub fn order_record(action: Action, who: Participant, us: &Participant, order: Order, patient: Patient) -> Event {
    event(
        EventId::OrderRecord,
        &[],
        action,
        vec![who.requesting(), us.clone().as_role(Role::Application)],
    )
    .about(Object::Order(order))
    .about(Object::Patient(patient))
}

/// What was done for studies was recorded, changed or read: performed procedure steps (A.5.3.13).
#[must_use]
pub fn procedure_record(
    action: Action,
    who: Participant,
    us: &Participant,
    studies: Vec<Study>,
    patient: Patient,
) -> Event {
    let made = event(
        EventId::ProcedureRecord,
        &[],
        action,
        vec![who.requesting(), us.clone().as_role(Role::Application)],
    );
    let of_studies = studies
        .into_iter()
        .fold(made, |event, study| event.about(Object::Study(study)));
    of_studies.about(Object::Patient(patient))
}

/// Patients' identities were corrected, linked, merged or parted (A.5.3.14). All identities concerned, the one that stays first.
#[must_use]
pub fn patient_record(action: Action, who: Participant, us: &Participant, patients: Vec<Patient>) -> Event {
    let made = event(
        EventId::PatientRecord,
        &[],
        action,
        vec![who.requesting(), us.clone().as_role(Role::Application)],
    );
    patients
        .into_iter()
        .fold(made, |event, patient| event.about(Object::Patient(patient)))
}

/// Recording stopped, or goes on (110133, 110134). `why`: in words that name no patient.
#[must_use]
pub fn recording(is_start: bool, us: &Participant, log: &str, why: &str) -> Event {
    let kind = if is_start {
        EventType::AuditRecordingStarted
    } else {
        EventType::AuditRecordingStopped
    };
    let subject = Security {
        id: log.to_owned(),
        kind: crate::event::SecurityKind::Uri,
        details: vec![Detail::new("Alert Description", why)],
    };
    let outcome = if is_start {
        Outcome::Success
    } else {
        Outcome::SeriousFailure
    };
    alert(kind, us, None, subject).ending(outcome, why)
}
