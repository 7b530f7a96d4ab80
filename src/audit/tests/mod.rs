mod damage;
mod fhir;
mod forward;
mod merkle;
mod record;
mod recover;
mod seal;
mod search;
mod transfers;
mod xml;

use std::path::Path;

use crate::{
    Action, Audit, Detail, Event, EventType, Object, Options, Outcome, Participant, Patient, Purpose, Query, Security,
    SopClass, Study, Wait,
    event::Order,
    events::{self, Parties},
    protected::Protected,
};

/// Options under which nothing happens by itself.
fn options() -> Options {
    Options {
        wait: Wait::Written,
        checkpoint_every: std::time::Duration::from_secs(86_400),
        queue_max: 64,
        key: None,
    }
}

fn open(folder: &Path) -> Audit {
    Audit::open(folder, &options()).unwrap()
}

fn us() -> Participant {
    Participant::application_entity("FILMROOM", "127.0.0.1:11112")
}

fn patient(number: u64) -> Patient {
    Patient::new(&format!("PAT-{number}"), "HOSPITAL", &format!("Doe^Jane{number}"))
}

fn study(number: u64) -> Study {
    Study {
        study_instance_uid: format!("1.2.3.{number}"),
        accession_number: Protected::new(&format!("ACC{number}"), 64),
        series: vec![format!("1.2.3.{number}.1")],
        classes: vec![SopClass {
            uid: "1.2.840.10008.5.1.4.1.1.2".into(),
            number: 2,
            instances: vec![format!("1.2.3.{number}.1.1"), format!("1.2.3.{number}.1.2")],
        }],
        ..Study::default()
    }
}

/// Somebody saw a study of a patient.
fn seen(number: u64) -> Event {
    let who = Participant::user(&format!("user{}", number % 3), "10.0.0.7:40000");
    events::accessed(who, &us(), Action::Read, study(number), patient(number % 5))
}

/// One event of each kind.
fn all_kinds() -> Vec<Event> {
    let who = || Participant::user("smith", "10.0.0.7:40000").named("Dr Smith");
    let parties = || Parties {
        from: Participant::application_entity("CT1", "10.0.0.1:5000").requesting(),
        to: us(),
        others: Vec::new(),
    };
    let node = || Security {
        id: "EVIL<&>\"'".into(),
        details: vec![Detail::new("Alert Description", "not among the peers")],
        ..Security::default()
    };
    let order = Order {
        accession_number: Protected::new("ACC9", 64),
        details: Vec::new(),
    };
    let query = Query {
        service: "1.2.840.10008.5.1.4.1.2.2.1".into(),
        text: Protected::new("{\"00100010\":{\"vr\":\"PN\",\"Value\":[\"Doe^J*\"]}}", 4096),
        details: vec![Detail::new("hits", "3")],
    };
    let web_query = Query {
        service: "QIDO-RS".into(),
        text: Protected::new("/studies?PatientName=Doe^J*&x=<\u{1}>", 4096),
        details: Vec::new(),
    };
    vec![
        events::application(true, &us(), "filmroom 0.1.0"),
        events::application(false, &us(), "filmroom 0.1.0"),
        events::audit_log_used(who(), "file:///audit", "patient=PAT-1"),
        events::transfer_begun(parties(), study(1), patient(1)),
        events::transferred(parties(), Action::Create, study(1), patient(1)),
        events::accessed(who(), &us(), Action::Read, study(1), patient(1)).in_purpose(Purpose::Treatment),
        events::imported(who(), &us(), "disc", study(1), patient(1)),
        events::exported(who(), &us(), "attorney@example.org", study(1), patient(1)).in_purpose(Purpose::Legal),
        events::study_deleted(who(), &us(), study(1), patient(1), vec![Detail::new("decision", "17")]),
        events::queried(who(), &us(), query),
        events::queried(who(), &us(), web_query),
        events::node_refused(
            &us(),
            Participant::application_entity("EVIL", "10.6.6.6:1"),
            "not among the peers",
        ),
        events::configuration_changed(
            EventType::NetworkConfiguration,
            &us(),
            who(),
            node(),
            vec![Detail::new("new", "10.0.0.9:104")],
        ),
        events::emergency_override(true, &us(), who(), patient(1), "unconscious, no consent to be had"),
        events::emergency_override(false, &us(), who(), patient(1), ""),
        events::user_authentication(true, &us(), who(), "passcode").ending(Outcome::MinorFailure, "not let in"),
        events::user_authentication(false, &us(), who(), "passcode"),
        events::order_record(Action::Update, who(), &us(), order, patient(1)),
        events::procedure_record(Action::Create, who(), &us(), vec![study(1)], patient(1)),
        events::patient_record(Action::Update, who(), &us(), vec![patient(1), patient(2)]),
        events::recording(false, &us(), "file:///audit", "the disk is full"),
        events::alert(EventType::UseOfRestrictedFunction, &us(), Some(who()), node())
            .about(Object::AuditLog("x".into())),
    ]
}
