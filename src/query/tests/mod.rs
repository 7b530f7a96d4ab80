//! The room over an index in memory.

use std::sync::{Arc, atomic::Ordering};

use filmroom_storage::model::{Attributes, Tag};

use super::*;
use crate::dataset::{Builder, attribute_by_name};

pub(crate) mod memory;

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
        ..Query::new(level)
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
fn pages_neither_overlap_nor_leave_gaps() {
    let (room, _) = many(57);
    for keys in [
        &[][..],
        &[("PatientID", "P")],
        &[("StudyDescription", "2024*")],
        &[("PatientName", "")],
    ] {
        let whole = uids(&room.find(&ask(Level::Study, keys)).unwrap(), "StudyInstanceUID");
        assert_eq!(whole.len(), 57);
        let mut paged = Vec::new();
        for offset in (0..70).step_by(7) {
            let page = room
                .find(&Query {
                    offset,
                    limit: 7,
                    ..ask(Level::Study, keys)
                })
                .unwrap();
            if offset + 7 < 57 {
                assert!(
                    page.remaining.is_none_or(|left| left == 57 - offset - 7),
                    "{:?} at {offset}",
                    page.remaining
                );
            } else {
                assert_eq!(page.remaining, Some(0), "at {offset}");
            }
            paged.extend(uids(&page, "StudyInstanceUID"));
        }
        assert_eq!(paged, whole);
    }
}

#[test]
fn counts_what_remains() {
    let (room, _) = many(300);
    let remaining = |keys: &[(&str, &str)]| {
        room.find(&Query {
            limit: 10,
            ..ask(Level::Study, keys)
        })
        .unwrap()
        .remaining
    };
    assert_eq!(remaining(&[]), Some(290));
    assert_eq!(remaining(&[("PatientID", "P")]), None);
    assert_eq!(
        remaining(&[("StudyDate", "202403*")].map(|_| ("StudyDescription", "202403*"))),
        Some(15)
    );
    let index = MemoryIndex::default();
    for number in 1..=40 {
        index.add(&instance(1, 1, number, &[]));
    }
    let index = Arc::new(index);
    let room = QueryRoom::over(index.clone(), index.clone());
    let nested = [("StudyInstanceUID", "1.1"), ("SeriesInstanceUID", "1.1.1")];
    let page = room
        .find(&Query {
            offset: 20,
            limit: 1,
            ..ask(Level::Instance, &nested)
        })
        .unwrap();
    assert_eq!(uids(&page, "SOPInstanceUID"), ["1.1.1.21"]);
    assert_eq!(page.remaining, Some(19));
}

#[test]
fn a_later_page_goes_on_where_the_one_before_ended() {
    let (room, index) = many(200);
    let page = |offset| {
        room.find(&Query {
            offset,
            limit: 10,
            ..ask(Level::Study, &[("StudyDescription", "2024*")])
        })
        .unwrap()
    };
    for offset in (0..100).step_by(10) {
        page(offset);
    }
    let before = index.studies_read.load(Ordering::Relaxed);
    page(100);
    assert!(index.studies_read.load(Ordering::Relaxed) - before < 200);
}

#[test]
fn decides_names_by_their_keys_alone() {
    let (room, index) = many(100);
    index.add(&instance(500, 1, 1, &[("PatientName", "Needle^A")]));
    let answers = room.find(&ask(Level::Study, &[("PatientName", "*eedle*")])).unwrap();
    assert_eq!(uids(&answers, "StudyInstanceUID"), ["1.500"]);
    assert_eq!(index.studies_read.load(Ordering::Relaxed), 1);
}

#[test]
fn sorts_as_asked() {
    let (room, _) = archive();
    let sorted = |tag_name: &str, direction| {
        let query = Query {
            order: vec![OrderBy {
                tag: tag(tag_name),
                direction,
            }],
            ..ask(Level::Study, &[])
        };
        uids(&room.find(&query).unwrap(), "StudyInstanceUID")
    };
    assert_eq!(sorted("StudyDate", Direction::Ascending), ["1.3", "1.1", "1.2", "1.4"]);
    assert_eq!(sorted("StudyDate", Direction::Descending), ["1.2", "1.1", "1.3", "1.4"]);
    assert_eq!(
        sorted("PatientName", Direction::Ascending),
        ["1.2", "1.1", "1.4", "1.3"]
    );
    assert_eq!(
        sorted("NumberOfStudyRelatedInstances", Direction::Descending),
        ["1.1", "1.2", "1.3", "1.4"]
    );
    let query = Query {
        order: vec![OrderBy {
            tag: tag("PatientName"),
            direction: Direction::Descending,
        }],
        offset: 1,
        limit: 2,
        ..ask(Level::Study, &[])
    };
    let page = room.find(&query).unwrap();
    assert_eq!(uids(&page, "StudyInstanceUID"), ["1.4", "1.2"]);
    assert_eq!(page.remaining, Some(1));
}

#[test]
fn a_search_is_taken_page_by_page() {
    let (room, _) = many(25);
    let mut search = room.search(&ask(Level::Study, &[])).unwrap();
    let sizes: Vec<usize> =
        std::iter::from_fn(|| Some(search.page(10).unwrap().len()).filter(|size| *size > 0)).collect();
    assert_eq!(sizes, [10, 10, 5]);
}

/// Many instances of one series; only the header tells of the slice thickness.
fn thick_series(count: u32) -> (QueryRoom, Arc<MemoryIndex>) {
    let index = MemoryIndex::default();
    for number in 1..=count {
        let thickness = if number % 2 == 0 { "5" } else { "1" };
        index.add(&instance(1, 1, number, &[("SliceThickness", thickness)]));
    }
    let index = Arc::new(index);
    (QueryRoom::over(index.clone(), index.clone()), index)
}

#[test]
fn headers_read_in_vain_are_bounded_and_the_answer_says_what_to_do() {
    let (room, _) = thick_series(1_500);
    let Err(QueryError::TooBroad(advice)) = room.find(&ask(Level::Instance, &[("SliceThickness", "7")])) else {
        panic!("a search that reads every header is not refused");
    };
    assert!(advice.contains("series"), "{advice}");
    // Headers of what is returned are no waste.
    let found = room.find(&ask(Level::Instance, &[("SliceThickness", "5")])).unwrap();
    assert_eq!(found.answers.len(), 750);
}

#[test]
fn deep_pages_go_on_where_the_last_one_ended() {
    let (room, index) = thick_series(1_500);
    let mut numbers = Vec::new();
    for offset in (0..).step_by(50) {
        let before = index.instances_read.load(Ordering::Relaxed);
        let page = Query {
            offset,
            limit: 50,
            ..ask(Level::Instance, &[("SliceThickness", "5")])
        };
        let found = room.find(&page).unwrap();
        let read = index.instances_read.load(Ordering::Relaxed) - before;
        assert!(read <= 600, "{read} instances are read for the page at {offset}");
        numbers.extend(uids(&found, "InstanceNumber"));
        if found.remaining == Some(0) {
            break;
        }
    }
    let expected: Vec<String> = (1..=750).map(|half| (half * 2).to_string()).collect();
    assert_eq!(numbers, expected);
}
