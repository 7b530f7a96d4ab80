//! Decides on a million studies and simulates a change of policy over them; says what processor time that took.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program to measure with"
)]

use std::{collections::BTreeMap, fs, sync::Arc};

use filmroom_retention::{
    Binding, Death, Flag, OtherStudy, PartialDate, PatientFacts, Policies, Simulation, Source, StudyFacts, decide,
    read_toml, templates,
};
use time::{Date, Duration, Month};

const STUDIES: u64 = 1_000_000;

fn main() {
    let policies = policies(&["us-fed", "us-ca", "uk-nhs", "fr", "de", "eu"]);
    let changed = policies_with_nc();
    let as_of = Date::from_calendar_date(2026, Month::November, 22).unwrap();
    let before = processor_seconds();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for number in 0..STUDIES {
        *counts
            .entry(decide(&study(number), &policies, &[], as_of).status.word())
            .or_default() += 1;
    }
    let decided = processor_seconds();
    println!(
        "{STUDIES} studies decided in {:.1} s of processor time: {counts:?}",
        decided - before
    );
    let mut simulation = Simulation::default();
    for number in 0..STUDIES {
        let study = study(number);
        let (now, then) = (
            decide(&study, &policies, &[], as_of),
            decide(&study, &changed, &[], as_of),
        );
        simulation.add(&now, &then, 1 << 20, 100);
    }
    println!(
        "a change simulated over them in {:.1} s: {} earlier, {} later, {} newly eligible",
        processor_seconds() - decided,
        simulation.earlier,
        simulation.later,
        simulation.newly_eligible
    );
}

fn policies(names: &[&str]) -> Policies {
    let mut policies = Policies::default();
    for name in names {
        let (pack, _) = read_toml(templates::template(name).unwrap()).unwrap();
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

fn policies_with_nc() -> Policies {
    policies(&["us-fed", "us-nc", "uk-nhs", "de", "eu"])
}

/// Five studies a patient.
fn study(number: u64) -> StudyFacts {
    let patient = number / 5;
    let first = Date::from_calendar_date(1990, Month::January, 1).unwrap();
    let on = |days: u64| first + Duration::days(i64::try_from(days % 13_000).unwrap());
    let dates: Vec<Date> = (0..5).map(|of| on(patient * 37 + of * 400)).collect();
    let modality = |of: u64| ["CT", "MG", "CR", "RTPLAN", "MR"][usize::try_from(of % 5).unwrap()].to_owned();
    let studies = (0..5u64)
        .zip(&dates)
        .map(|(of, date)| OtherStudy {
            study_instance_uid: format!("1.2.{patient}.{of}"),
            date: Some((*date).into()),
            modalities: vec![modality(of)],
            site: "S1".into(),
            source: Source::Own,
        })
        .collect();
    let date = dates[usize::try_from(number % 5).unwrap()];
    let birth = date - Duration::days(i64::try_from(patient % 30_000).unwrap());
    StudyFacts {
        study_instance_uid: format!("1.2.{patient}.{}", number % 5),
        site: "S1".into(),
        programmes: Vec::new(),
        source: Source::Own,
        modalities: vec![modality(number)],
        sop_classes: vec!["1.2.840.10008.5.1.4.1.1.2".into()],
        instances: 100,
        received: date,
        last_received: date,
        study_date: Some(date.into()),
        purpose: None,
        completed: None,
        encounter_end: None,
        flags: Vec::new(),
        rejected_as: Vec::new(),
        patient: Arc::new(PatientFacts {
            birth: (!patient.is_multiple_of(50)).then_some(PartialDate::Day(birth)),
            death: patient
                .is_multiple_of(7)
                .then_some(Death::On((date + Duration::days(900)).into())),
            flags: if patient.is_multiple_of(11) {
                vec![Flag {
                    name: "oncology".into(),
                    date: Some(date.into()),
                    known_on: date,
                }]
            } else {
                Vec::new()
            },
            studies,
            ..PatientFacts::default()
        }),
    }
}

/// Processor time of this process, as Linux counts it, in seconds.
fn processor_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<f64> = after_name
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse().unwrap())
        .collect();
    fields.iter().sum::<f64>() / 100.0
}
