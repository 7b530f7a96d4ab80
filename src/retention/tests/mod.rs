mod dates;
mod lint;
mod properties;
mod scenarios;
mod semantics;

use std::sync::Arc;

use time::Date;

use super::*;

pub(super) fn day(text: &str) -> Date {
    match text.parse().unwrap() {
        PartialDate::Day(date) => date,
        other => panic!("{other} is no day"),
    }
}

/// A study of a patient of whom nothing is known.
pub(super) fn study(date: &str, modality: &str) -> StudyFacts {
    let date: PartialDate = date.parse().unwrap();
    StudyFacts {
        study_instance_uid: "1.2.3".into(),
        site: "S1".into(),
        programmes: Vec::new(),
        source: Source::Own,
        modalities: vec![modality.into()],
        sop_classes: Vec::new(),
        instances: 1,
        received: date.latest(),
        last_received: date.latest(),
        study_date: Some(date),
        purpose: None,
        completed: None,
        encounter_end: None,
        flags: Vec::new(),
        rejected_as: Vec::new(),
        patient: Arc::new(PatientFacts::default()),
    }
}

pub(super) fn patient(facts: &mut StudyFacts) -> &mut PatientFacts {
    Arc::make_mut(&mut facts.patient)
}

pub(super) fn born(mut facts: StudyFacts, birth: &str) -> StudyFacts {
    patient(&mut facts).birth = Some(birth.parse().unwrap());
    facts
}

pub(super) fn other(uid: &str, date: &str, modality: &str) -> OtherStudy {
    OtherStudy {
        study_instance_uid: uid.into(),
        date: Some(date.parse().unwrap()),
        modalities: vec![modality.into()],
        site: "S1".into(),
        source: Source::Own,
    }
}

/// The templates of these names, in force everywhere.
pub(super) fn templates(names: &[&str]) -> Policies {
    let texts: Vec<&str> = names.iter().map(|name| templates::template(name).unwrap()).collect();
    policies(&texts)
}

pub(super) fn policies(texts: &[&str]) -> Policies {
    let mut policies = Policies::default();
    for text in texts {
        let (pack, _) = read_toml(text).unwrap_or_else(|lints| panic!("{lints:?}"));
        policies.bindings.push(Binding {
            pack: pack.pack.clone(),
            site: None,
            source: None,
            programme: None,
        });
        policies.packs.push(Arc::new(pack));
    }
    policies
}

/// A pack of these rules, in force everywhere since 1900.
pub(super) fn rules(rules: &str) -> Policies {
    policies(&[&format!(
        "pack = \"test\"\nversion = \"1\"\neffective_from = 1900-01-01\nrule = [{rules}]\n"
    )])
}

pub(super) fn hold(effect: HoldEffect, opened: &str, closed: Option<&str>) -> Hold {
    Hold {
        id: "h1".into(),
        matter: "2026-L-017".into(),
        kind: HoldKind::Legal,
        effect,
        opened: day(opened),
        closed: closed.map(day),
        cap: None,
    }
}

#[track_caller]
pub(super) fn check(facts: &StudyFacts, policies: &Policies, as_of: &str, until: &str, binding: &[&str]) -> Decision {
    let decision = decide(facts, policies, &[], day(as_of));
    let shown = decision.retain_until.map(|day| PartialDate::Day(day).to_string());
    assert_eq!(shown.as_deref(), Some(until), "{decision:#?}");
    assert_eq!(decision.binding, binding, "{decision:#?}");
    decision
}
