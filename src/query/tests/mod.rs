//! The room over an index in memory.

use std::sync::{Arc, atomic::Ordering};

use filmroom_storage::model::{Attributes, Tag};

use super::*;
use filmroom_dataset::{Builder, attribute_by_name};

pub(crate) mod memory;
mod paging;

use memory::MemoryIndex;

fn tag(name: &str) -> Tag {
    attribute_by_name(name)
        .unwrap_or_else(|| panic!("no attribute {name}"))
        .0
}

fn key(name: &str, value: &str) -> Key {
    Key {
        path: name.split('.').map(tag).collect(),
        value: value.to_owned(),
    }
}

/// An instance: study, series and instance by small numbers, and what else is said of it.
fn instance(study: u32, series: u32, number: u32, said: &[(&str, &str)]) -> Attributes {
    let mut builder = Builder::new();
    builder
        .text(tag("StudyInstanceUID"), &format!("1.{study}"))
        .text(tag("SeriesInstanceUID"), &format!("1.{study}.{series}"))
        .text(tag("SOPInstanceUID"), &format!("1.{study}.{series}.{number}"))
        .text(tag("SOPClassUID"), "1.2.840.10008.5.1.4.1.1.2")
        .text(tag("SeriesNumber"), &series.to_string())
        .text(tag("InstanceNumber"), &number.to_string())
        .text(tag("Modality"), "CT")
        .us(tag("Rows"), 512);
    for (name, value) in said {
        builder.text(tag(name), value);
    }
    builder.build()
}

fn archive() -> (QueryRoom, Arc<MemoryIndex>) {
    let index = MemoryIndex::default();
    let doe: &[(&str, &str)] = &[
        ("PatientName", "Doe^Jane"),
        ("PatientID", "P1"),
        ("StudyDate", "20240105"),
        ("StudyTime", "101500"),
        ("AccessionNumber", "A1"),
        ("StudyDescription", "Brain"),
    ];
    for number in 1..=3 {
        index.add(&instance(1, 1, number, doe));
    }
    let sr = [
        doe,
        &[
            ("Modality", "SR"),
            ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.11"),
            ("SeriesDescription", "Report"),
        ],
    ];
    index.add(&instance(1, 2, 1, &sr.concat()));
    let again = [
        doe,
        &[("StudyDate", "20240301"), ("AccessionNumber", "A2"), ("Modality", "MR")],
    ]
    .concat();
    index.add(&instance(2, 1, 1, &again));
    let yamada = [
        ("PatientName", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("PatientID", "P2"),
        ("StudyDate", "20231231"),
        ("StudyTime", "235959.5"),
        ("StudyDescription", "Thorax"),
    ];
    index.add(&instance(3, 1, 1, &yamada));
    index.add(&instance(
        4,
        1,
        1,
        &[("PatientName", "Müller^Jörg"), ("PatientID", ""), ("StudyDate", "")],
    ));
    let index = Arc::new(index);
    (QueryRoom::over(index.clone(), index.clone()), index)
}

fn uids(answers: &Answers, name: &str) -> Vec<String> {
    answers
        .answers
        .iter()
        .map(|answer| answer.attributes.text(tag(name)).to_owned())
        .collect()
}

fn ask(level: Level, keys: &[(&str, &str)]) -> Query {
    Query {
        keys: keys.iter().map(|(name, value)| key(name, value)).collect(),
        combined_datetime: true,
        ..Query::new(level, Sight::all())
    }
}

#[track_caller]
fn check_studies(keys: &[(&str, &str)], expected: &[&str]) {
    let (room, _) = archive();
    let answers = room.find(&ask(Level::Study, keys)).unwrap();
    assert_eq!(uids(&answers, "StudyInstanceUID"), expected, "{keys:?}");
    assert_eq!(answers.remaining, Some(0));
}

#[test]
fn finds_studies() {
    check_studies(&[], &["1.2", "1.1", "1.3", "1.4"]);
    check_studies(&[("PatientID", "P1")], &["1.2", "1.1"]);
    check_studies(&[("PatientID", "p1")], &[]);
    check_studies(&[("PatientID", "p*")], &["1.2", "1.1", "1.3"]);
    check_studies(&[("AccessionNumber", "A2")], &["1.2"]);
    check_studies(&[("PatientName", "doe*")], &["1.2", "1.1"]);
    check_studies(&[("PatientName", "*jane")], &["1.2", "1.1"]);
    check_studies(&[("PatientName", "MULLER^JORG^^")], &["1.4"]);
    check_studies(&[("PatientName", "*太郎*")], &["1.3"]);
    check_studies(&[("StudyDate", "20240105")], &["1.1"]);
    check_studies(&[("StudyDate", "20240101-")], &["1.2", "1.1"]);
    check_studies(&[("StudyDate", "-20231231")], &["1.3"]);
    check_studies(&[("StudyInstanceUID", "1.1\\1.3\\9.9")], &["1.1", "1.3"]);
    check_studies(&[("ModalitiesInStudy", "SR")], &["1.1"]);
    check_studies(&[("ModalitiesInStudy", "SR\\MR")], &["1.2", "1.1"]);
    check_studies(&[("Modality", "MR")], &["1.2"]);
    check_studies(&[("SOPClassesInStudy", "1.2.840.10008.5.1.4.1.1.88.11")], &["1.1"]);
    check_studies(&[("StudyDescription", "b*AIN")], &["1.2", "1.1"]);
    check_studies(&[("StudyDescription", "thorax")], &["1.3"]);
    check_studies(&[("NumberOfStudyRelatedInstances", "4")], &["1.1"]);
    check_studies(&[("AccessionNumber", "")], &["1.2", "1.1", "1.3", "1.4"]);
    check_studies(&[("PatientID", "P1"), ("StudyDate", "20240301")], &["1.2"]);
    check_studies(&[("PatientID", "P%_")], &[]);
}

#[test]
fn finds_studies_by_what_lies_below() {
    check_studies(&[("SeriesInstanceUID", "1.1.2")], &["1.1"]);
    check_studies(&[("SOPInstanceUID", "1.3.1.1\\1.2.1.1")], &["1.2", "1.3"]);
    check_studies(&[("SeriesDescription", "rep*")], &["1.1"]);
    check_studies(&[("SeriesInstanceUID", "1.1.2"), ("PatientID", "P2")], &[]);
    check_studies(&[("SeriesInstanceUID", "7.7")], &[]);
}

#[test]
fn reads_date_and_time_as_one_range() {
    check_studies(
        &[("StudyDate", "20231231-20240105"), ("StudyTime", "2359-1000")],
        &["1.3"],
    );
    check_studies(
        &[("StudyDate", "20231231-20240105"), ("StudyTime", "2359-1015")],
        &["1.1", "1.3"],
    );
}

#[test]
fn finds_names_by_likeness() {
    let (room, _) = archive();
    for (name, expected) in [
        ("jnae doe", "1.2"),
        ("Muler", "1.4"),
        ("太郎 山田", "1.3"),
        ("Yamado", "1.3"),
    ] {
        let query = Query {
            fuzzy: true,
            ..ask(Level::Study, &[("PatientName", name)])
        };
        assert_eq!(
            uids(&room.find(&query).unwrap(), "StudyInstanceUID").first().unwrap(),
            expected,
            "{name}"
        );
    }
}

#[test]
fn finds_what_is_empty() {
    let (room, _) = archive();
    let query = Query {
        empty_value_matching: true,
        ..ask(Level::Study, &[("PatientID", "\"\"")])
    };
    assert_eq!(uids(&room.find(&query).unwrap(), "StudyInstanceUID"), ["1.4"]);
}

#[test]
fn finds_series_and_instances() {
    let (room, index) = archive();
    let find = |level, keys: &[(&str, &str)], name| uids(&room.find(&ask(level, keys)).unwrap(), name);
    assert_eq!(
        find(Level::Series, &[("StudyInstanceUID", "1.1")], "SeriesInstanceUID"),
        ["1.1.1", "1.1.2"]
    );
    assert_eq!(
        index.studies_read.load(Ordering::Relaxed),
        0,
        "nothing of the study was asked"
    );
    assert_eq!(
        find(Level::Series, &[("Modality", "MR")], "SeriesInstanceUID"),
        ["1.2.1"]
    );
    assert_eq!(
        find(
            Level::Series,
            &[("PatientID", "P1"), ("Modality", "SR")],
            "SeriesInstanceUID"
        ),
        ["1.1.2"]
    );
    assert_eq!(
        find(Level::Series, &[("SeriesInstanceUID", "1.3.1")], "StudyInstanceUID"),
        [""]
    );
    assert_eq!(
        find(Level::Series, &[("SOPInstanceUID", "1.1.1.2")], "SeriesInstanceUID"),
        ["1.1.1"]
    );
    let nested = [("StudyInstanceUID", "1.1"), ("SeriesInstanceUID", "1.1.1")];
    assert_eq!(
        find(Level::Instance, &nested, "SOPInstanceUID"),
        ["1.1.1.1", "1.1.1.2", "1.1.1.3"]
    );
    assert_eq!(
        find(Level::Instance, &[("SOPInstanceUID", "1.1.1.2")], "SOPInstanceUID"),
        ["1.1.1.2"]
    );
    assert_eq!(
        find(
            Level::Instance,
            &[("SOPInstanceUID", "1.1.1.2"), ("PatientID", "P2")],
            "SOPInstanceUID"
        ),
        [""; 0]
    );
    assert_eq!(
        find(
            Level::Instance,
            &[("SOPInstanceUID", "1.1.1.2"), ("Modality", "SR")],
            "SOPInstanceUID"
        ),
        [""; 0]
    );
    assert_eq!(
        find(
            Level::Instance,
            &[("SOPClassUID", "1.2.840.10008.5.1.4.1.1.88.11")],
            "SOPInstanceUID"
        ),
        ["1.1.2.1"]
    );
    assert_eq!(
        find(
            Level::Instance,
            &[("PatientID", "P1"), ("InstanceNumber", "03")],
            "SOPInstanceUID"
        ),
        ["1.1.1.3"]
    );
    assert_eq!(
        find(
            Level::Instance,
            &[("Rows", "512"), ("PatientID", "P2")],
            "SOPInstanceUID"
        ),
        ["1.3.1.1"]
    );
}

#[test]
fn groups_patients() {
    let (room, _) = archive();
    let query = Query {
        include: Include::Listed(vec![
            tag("NumberOfPatientRelatedStudies"),
            tag("NumberOfPatientRelatedInstances"),
        ]),
        ..ask(Level::Patient, &[])
    };
    let answers = room.find(&query).unwrap();
    assert_eq!(uids(&answers, "PatientID"), ["P1", "P2", ""]);
    assert_eq!(uids(&answers, "NumberOfPatientRelatedStudies"), ["2", "1", ""]);
    assert_eq!(uids(&answers, "NumberOfPatientRelatedInstances"), ["5", "1", ""]);
    assert!(answers.answers.iter().all(|answer| answer.study_instance_uid.is_none()));
}

#[test]
fn matches_inside_sequences() {
    let index = MemoryIndex::default();
    let mut builder = Builder::from_attributes(&instance(1, 1, 1, &[]));
    let items: Vec<Attributes> = [("A", "99X"), ("B", "DCM")]
        .iter()
        .map(|(value, scheme)| {
            Builder::new()
                .text(tag("CodeValue"), value)
                .text(tag("CodingSchemeDesignator"), scheme)
                .build()
        })
        .collect();
    builder.sequence(tag("AnatomicRegionSequence"), &items);
    index.add(&builder.build());
    let index = Arc::new(index);
    let room = QueryRoom::over(index.clone(), index);
    let count = |keys: &[(&str, &str)]| room.find(&ask(Level::Instance, keys)).unwrap().answers.len();
    let (value, scheme) = (
        "AnatomicRegionSequence.CodeValue",
        "AnatomicRegionSequence.CodingSchemeDesignator",
    );
    assert_eq!(count(&[(value, "A")]), 1);
    assert_eq!(count(&[(value, "B"), (scheme, "DCM")]), 1);
    assert_eq!(count(&[(value, "A"), (scheme, "DCM")]), 0, "both must be of one item");
    assert_eq!(count(&[(value, "C")]), 0);
}

#[test]
fn answers_hold_what_was_asked() {
    let (room, _) = archive();
    let tags = |answer: &Answer| answer.attributes.iter().map(|element| element.tag).collect::<Vec<_>>();
    let exactly = Query {
        include: Include::Exactly(vec![tag("StudyInstanceUID")]),
        ..ask(Level::Study, &[("PatientID", "P1"), ("ReferringPhysicianName", "")])
    };
    let answers = room.find(&exactly).unwrap();
    assert_eq!(
        tags(&answers.answers[0]),
        [tag("ReferringPhysicianName"), tag("PatientID"), tag("StudyInstanceUID")]
    );

    let listed = room.find(&ask(Level::Study, &[("PatientID", "P2")])).unwrap();
    let answer = &listed.answers[0];
    assert_eq!(answer.attributes.text(0x0008_0005), "ISO_IR 192");
    for name in [
        "StudyDate",
        "AccessionNumber",
        "ModalitiesInStudy",
        "NumberOfStudyRelatedSeries",
        "StudyID",
    ] {
        assert!(answer.attributes.get(tag(name)).is_some(), "{name}");
    }
    let sorted = tags(answer);
    assert!(sorted.is_sorted_by(|a, b| a < b), "{sorted:08X?}");

    let url = Query {
        retrieve_url_base: Some("http://h/dicom-web".to_owned()),
        ..ask(Level::Instance, &[("PatientID", "P2")])
    };
    let answers = room.find(&url).unwrap();
    let url = answers.answers[0].attributes.text(tag("RetrieveURL"));
    assert_eq!(url, "http://h/dicom-web/studies/1.3/series/1.3.1/instances/1.3.1.1");
}

#[test]
fn all_gives_every_attribute_of_the_level_once() {
    let (room, _) = archive();
    let count = |include, level| {
        let answers = room
            .find(&Query {
                include,
                ..ask(level, &[("StudyInstanceUID", "1.1")])
            })
            .unwrap();
        let tags: Vec<Tag> = answers.answers[0]
            .attributes
            .iter()
            .map(|element| element.tag)
            .collect();
        assert!(tags.is_sorted_by(|a, b| a < b), "{tags:08X?}");
        tags.len()
    };
    assert!(count(Include::All, Level::Study) > count(Include::Listed(Vec::new()), Level::Study));
    count(Include::All, Level::Series);
    count(Include::All, Level::Instance);
}

#[test]
fn tells_what_it_cannot_match_on() {
    let (room, _) = archive();
    let answers = room
        .find(&ask(Level::Study, &[("InstanceNumber", "1"), ("PatientID", "P1")]))
        .unwrap();
    assert_eq!(answers.answers.len(), 2);
    assert_eq!(answers.ignored, [[tag("InstanceNumber")]]);
}

#[test]
fn reads_headers_for_what_no_record_holds() {
    let index = MemoryIndex::default();
    index.add(&instance(1, 1, 1, &[("KVP", "120")]));
    index.add(&instance(1, 1, 2, &[("KVP", "100.0")]));
    let index = Arc::new(index);
    let room = QueryRoom::over(index.clone(), index);
    let answers = room.find(&ask(Level::Instance, &[("KVP", "100")])).unwrap();
    assert_eq!(uids(&answers, "SOPInstanceUID"), ["1.1.1.2"]);
    assert_eq!(uids(&answers, "KVP"), ["100.0"]);
}

#[test]
fn names_the_key_that_is_wrong() {
    let (room, _) = archive();
    for (name, value) in [
        ("StudyDate", "notadate"),
        ("StudyTime", "later"),
        ("StudyInstanceUID", "../etc"),
        ("StudyInstanceUID", "1.2*"),
        ("NumberOfStudyRelatedInstances", "many"),
        ("ProcedureCodeSequence", "x"),
        ("PatientID.CodeValue", "x"),
    ] {
        let error = room.find(&ask(Level::Study, &[(name, value)])).unwrap_err();
        assert!(
            matches!(&error, QueryError::Value { keyword, .. } if keyword == name),
            "{name}: {error}"
        );
    }
    let deep = ["ProcedureCodeSequence"; 9].join(".") + ".CodeValue";
    assert!(room.find(&ask(Level::Study, &[(&deep, "x")])).is_err());
}

fn many(count: u32) -> (QueryRoom, Arc<MemoryIndex>) {
    let index = MemoryIndex::default();
    for study in 1..=count {
        let date = format!("2024{:02}{:02}", 1 + study % 12, 1 + study % 28);
        index.add(&instance(
            study,
            1,
            1,
            &[("StudyDate", &date), ("PatientID", "P"), ("StudyDescription", &date)],
        ));
    }
    let index = Arc::new(index);
    (QueryRoom::over(index.clone(), index.clone()), index)
}

#[test]
fn decides_names_by_their_keys_alone() {
    let (room, index) = many(100);
    index.add(&instance(500, 1, 1, &[("PatientName", "Needle^A")]));
    let answers = room.find(&ask(Level::Study, &[("PatientName", "*eedle*")])).unwrap();
    assert_eq!(uids(&answers, "StudyInstanceUID"), ["1.500"]);
    assert_eq!(index.studies_read.load(Ordering::Relaxed), 1);
}
