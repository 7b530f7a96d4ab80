//! A store behind a veil is seen as one that never got what is hidden.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::*;
use crate::{
    index::{ChangeKind, Hidden, StudySelector},
    model::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid},
};

#[derive(Debug, Default)]
struct These(HashMap<StudyInstanceUid, Hidden>);

impl Veil for These {
    fn of(&self, study: &StudyInstanceUid) -> Option<Hidden> {
        self.0.get(study).cloned()
    }
}

/// All that can be asked of an index, in pages of a size, but for times and places.
fn seen(index: &dyn Index, page: usize) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    let (mut after, mut records) = (None, Vec::new());
    loop {
        let found = index.studies(&StudySelector::All, after.as_ref(), page).unwrap();
        let keys = index.study_keys(&StudySelector::All, after.as_ref(), page).unwrap();
        let places = index.study_places(&StudySelector::All, after.as_ref(), page).unwrap();
        let of_records: Vec<_> = found.iter().map(|(place, _)| place.clone()).collect();
        assert_eq!(of_records, places);
        assert_eq!(
            of_records,
            keys.into_iter().map(|(place, _, _)| place).collect::<Vec<_>>()
        );
        let is_end = found.len() < page;
        after = places.last().cloned().or(after);
        records.extend(found.into_iter().map(|(_, record)| record));
        if is_end {
            break;
        }
    }
    for study in records {
        let mut lines = vec![format!(
            "{} series, {} instances, {} bytes, {:?}, {:?}",
            study.number_of_series,
            study.number_of_instances,
            study.length,
            study.modalities_in_study,
            study.sop_classes_in_study
        )];
        assert_eq!(index.study(&study.study_instance_uid).unwrap().as_ref(), Some(&study));
        for series in index.series_of(&study.study_instance_uid).unwrap() {
            let uid: &SeriesInstanceUid = &series.series_instance_uid;
            assert_eq!(index.series_by_uid(uid).unwrap(), std::slice::from_ref(&series));
            lines.push(format!(
                "{uid}: {} instances, {} bytes",
                series.number_of_instances, series.length
            ));
            let mut after = None;
            loop {
                let found = index
                    .instances_of(&study.study_instance_uid, uid, after.as_ref(), page)
                    .unwrap();
                for (_, record) in &found {
                    assert_eq!(index.instance(&record.sop_instance_uid).unwrap().as_ref(), Some(record));
                    lines.push(record.sop_instance_uid.to_string());
                }
                if found.len() < page {
                    break;
                }
                after = found.last().map(|(place, _)| place.clone());
            }
        }
        all.insert(study.study_instance_uid.to_string(), lines);
    }
    all
}

#[tokio::test]
async fn what_is_hidden_is_as_if_it_had_never_come() {
    let samples: Vec<Sample> = (0..5_u32)
        .flat_map(|study| (0..3).flat_map(move |series| (0..4).map(move |number| Sample::new(study, series, number))))
        .collect();
    let whole = Fixture::new().await;
    for sample in &samples {
        whole.put(sample).await;
    }
    // Which are hidden: none, one, a series, whole studies, every second, all but one, all.
    let choices: [fn(usize, &Sample) -> bool; 7] = [
        |_, _| false,
        |place, _| place == 7,
        |place, _| (4..8).contains(&place),
        |place, _| !(12..36).contains(&place),
        |place, _| place % 2 == 0,
        |place, _| place != 30,
        |_, _| true,
    ];
    for is_hidden in choices {
        let mut veil: HashMap<StudyInstanceUid, HashSet<SopInstanceUid>> = HashMap::new();
        let bare = Fixture::new().await;
        for (place, sample) in samples.iter().enumerate() {
            if is_hidden(place, sample) {
                let record = whole.record(sample);
                veil.entry(record.study_instance_uid)
                    .or_default()
                    .insert(record.sop_instance_uid);
            } else {
                bare.put(sample).await;
            }
        }
        let veil = These(
            veil.into_iter()
                .map(|(study, hidden)| (study, Arc::new(hidden)))
                .collect(),
        );
        let seen_behind = whole.store().behind(Arc::new(veil));
        for page in [1, 2, 3, 100] {
            assert_eq!(seen(&*seen_behind.index(), page), seen(&*bare.store().index(), page));
        }
        let stored = |store: &Store| store.changes(None, 1000).unwrap().len();
        assert_eq!(stored(&seen_behind), stored(bare.store()));
    }
}

#[tokio::test]
async fn followers_are_told_what_is_hidden_and_shown_again() {
    let fixture = Fixture::new().await;
    let (one, other) = (Sample::new(1, 1, 1), Sample::new(1, 1, 2));
    let hidden = fixture.put(&one).await;
    fixture.put(&other).await;
    let veil = These(
        [(
            hidden.study_instance_uid,
            Arc::new(HashSet::from([hidden.sop_instance_uid.clone()])),
        )]
        .into(),
    );
    let veiled = fixture.store().behind(Arc::new(veil));
    let feed = |store: &Store| -> Vec<ChangeKind> {
        let changes = store.changes(None, 1).unwrap();
        let mut all: Vec<_> = changes.iter().map(|change| change.kind).collect();
        let mut after = changes.last().map(|change| change.place);
        while let Some(place) = after {
            let next = store.changes(Some(place), 1).unwrap();
            all.extend(next.iter().map(|change| change.kind));
            after = next.last().map(|change| change.place);
        }
        all
    };
    let sop = [hidden.sop_instance_uid];
    fixture.store().tell_shown(false, &sop).unwrap();
    assert_eq!(feed(&veiled), [Stored, Rejected]);
    fixture.store().tell_shown(true, &sop).unwrap();
    use ChangeKind::{Rejected, Restored, Stored};
    assert_eq!(feed(fixture.store()), [Stored, Stored, Rejected, Restored]);
    assert_eq!(
        fixture
            .store()
            .changes(None, 10)
            .unwrap()
            .last()
            .unwrap()
            .sop_instance_uid,
        sop[0]
    );
}
