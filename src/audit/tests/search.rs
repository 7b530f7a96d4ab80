use time::Duration;

use super::{all_kinds, open, seen};
use crate::{Action, Audit, Cursor, EventId, EventType, Outcome, Search, SearchOrder};

async fn indices(audit: &Audit, search: Search) -> Vec<u64> {
    let page = audit.log().search(search).await.unwrap();
    assert!(page.damaged.is_empty());
    page.entries.iter().map(|entry| entry.index).collect()
}

#[tokio::test]
async fn who_saw_this_patient_is_one_question() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    for number in 0..20 {
        audit.record(seen(number)).await.unwrap();
    }
    let patient = Search {
        patient_id: Some("PAT-3".into()),
        ..Search::default()
    };
    assert_eq!(indices(&audit, patient.clone()).await, [18, 13, 8, 3]);
    let by_user = Search {
        user: Some("USER1".into()),
        ..patient.clone()
    };
    assert_eq!(indices(&audit, by_user).await, [13]);
    let elsewhere = Search {
        issuer_of_patient_id: Some("OTHER".into()),
        ..patient.clone()
    };
    assert_eq!(indices(&audit, elsewhere).await, [0_u64; 0]);
    let study = Search {
        study_instance_uid: Some("1.2.3.7".into()),
        ..Search::default()
    };
    assert_eq!(indices(&audit, study).await, [7]);
    let accession = Search {
        accession_number: Some("ACC7".into()),
        ..Search::default()
    };
    assert_eq!(indices(&audit, accession).await, [7]);
    let address = Search {
        address: Some("10.0.0.7".into()),
        limit: 3,
        ..Search::default()
    };
    assert_eq!(indices(&audit, address).await, [19, 18, 17]);
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_repetition_in_both_orders() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    for number in 0..23 {
        audit.record(seen(number)).await.unwrap();
    }
    for order in [SearchOrder::NewestFirst, SearchOrder::OldestFirst] {
        let mut search = Search {
            order,
            limit: 4,
            user: Some("user2".into()),
            ..Search::default()
        };
        let mut found = Vec::new();
        loop {
            let page = audit.log().search(search.clone()).await.unwrap();
            found.extend(page.entries.iter().map(|entry| entry.index));
            let Some(next) = page.next else { break };
            // Those that come meanwhile are no hindrance.
            audit.record(seen(0)).await.unwrap();
            search.cursor = Some(next);
        }
        found.sort_unstable();
        assert_eq!(found, [2, 5, 8, 11, 14, 17, 20]);
    }
    let beyond = Search {
        cursor: Some(Cursor(u64::MAX)),
        order: SearchOrder::OldestFirst,
        ..Search::default()
    };
    assert!(indices(&audit, beyond).await.is_empty());
}

#[tokio::test]
async fn every_condition_finds_what_a_look_at_all_finds() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let events = all_kinds();
    for event in events.clone() {
        audit.record(event).await.unwrap();
    }
    let first = audit.log().entry(0).unwrap().event.at;
    let last = audit.log().entry(events.len() as u64 - 1).unwrap().event.at;
    let searches = [
        Search::default(),
        Search {
            events: vec![EventId::Query, EventId::Export],
            ..Search::default()
        },
        Search {
            types: vec![EventType::EmergencyOverrideStarted],
            ..Search::default()
        },
        Search {
            actions: vec![Action::Delete],
            ..Search::default()
        },
        Search {
            outcomes: vec![Outcome::Success],
            ..Search::default()
        },
        Search {
            outcomes: vec![Outcome::MinorFailure, Outcome::SeriousFailure],
            ..Search::default()
        },
        Search {
            user: Some("dr smith".into()),
            ..Search::default()
        },
        Search {
            user: Some("CT1".into()),
            patient_id: Some("PAT-1".into()),
            ..Search::default()
        },
        Search {
            accession_number: Some("ACC9".into()),
            ..Search::default()
        },
        Search {
            from: Some(first),
            until: Some(last),
            ..Search::default()
        },
        Search {
            from: Some(last + Duration::DAY),
            ..Search::default()
        },
        Search {
            until: Some(first - Duration::DAY),
            ..Search::default()
        },
    ];
    for search in searches {
        let search = Search {
            order: SearchOrder::OldestFirst,
            ..search
        };
        let mut expected = Vec::new();
        for index in 0..events.len() as u64 {
            if search.matches(&audit.log().entry(index).unwrap().event) {
                expected.push(index);
            }
        }
        assert_eq!(indices(&audit, search.clone()).await, expected, "{search:?}");
    }
}
