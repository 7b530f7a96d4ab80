//! What comes in which order, page by page.

use super::*;

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

#[test]
fn a_page_in_an_order_of_ones_own_is_cut_from_all_matches() {
    let index = Arc::new(MemoryIndex::default());
    for study in 0..1_100 {
        // Numbers that come in no order, each twice.
        let id = format!("P{:04}", (study * 7) % 550);
        index.add(&instance(study, 1, 1, &[("PatientID", &id), ("StudyDate", "20240101")]));
    }
    let room = QueryRoom::over(index.clone(), index);
    let mut found = Vec::new();
    for offset in [0, 3, 6, 1_097, 1_100] {
        let query = Query {
            order: vec![OrderBy {
                tag: tag("PatientID"),
                direction: Direction::Descending,
            }],
            offset,
            limit: 3,
            ..Query::new(Level::Study, Sight::all())
        };
        let answers = room.find(&query).unwrap();
        assert_eq!(
            answers.remaining,
            Some(
                1_100_u64
                    .saturating_sub(offset)
                    .saturating_sub(answers.answers.len() as u64)
            )
        );
        found.extend(uids(&answers, "PatientID"));
    }
    let expected = [549, 549, 548, 548, 547, 547, 546, 546, 545, 1, 0, 0].map(|id| format!("P{id:04}"));
    assert_eq!(found, expected);
}
