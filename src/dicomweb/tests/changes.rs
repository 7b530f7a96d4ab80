//! The change feed.

use super::*;

async fn with_instances(count: u32) -> Archive {
    let archive = Archive::new(DicomwebConfig::default()).await;
    for number in 1..=count {
        store(&archive, number).await;
    }
    archive
}

async fn store(archive: &Archive, number: u32) {
    let sop = format!("1.2.3.{number}");
    let said = [
        ("StudyInstanceUID", "1.2.3"),
        ("SeriesInstanceUID", "1.2.3.4"),
        ("SOPInstanceUID", sop.as_str()),
        ("PatientID", "P"),
    ];
    archive.store(&said).await;
}

fn instances(page: &Value) -> Vec<String> {
    let changes = page["changes"].as_array().unwrap();
    changes
        .iter()
        .map(|change| {
            assert_eq!(change["change"], "stored");
            assert_eq!(change["StudyInstanceUID"], "1.2.3");
            assert_eq!(change["SeriesInstanceUID"], "1.2.3.4");
            change["SOPInstanceUID"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_every_instance_once_and_in_order() {
    let archive = with_instances(7).await;
    let (mut seen, mut path) = (Vec::new(), "/changes?limit=3".to_owned());
    loop {
        let page = archive.get(&path).await.json();
        seen.extend(instances(&page));
        path = format!("/changes?limit=3&since={}", page["next"].as_str().unwrap());
        if page["more"] == false {
            break;
        }
    }
    let expected: Vec<String> = (1..=7).map(|number| format!("1.2.3.{number}")).collect();
    assert_eq!(seen, expected);
    // The same again is no change; a new one is.
    store(&archive, 7).await;
    assert_eq!(instances(&archive.get(&path).await.json()), [""; 0]);
    store(&archive, 8).await;
    assert_eq!(instances(&archive.get(&path).await.json()), ["1.2.3.8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_may_begin_with_what_is_to_come() {
    let archive = with_instances(2).await;
    let page = archive.get("/changes?since=now").await.json();
    assert_eq!(instances(&page), [""; 0]);
    let path = format!("/changes?since={}", page["next"].as_str().unwrap());
    assert_eq!(instances(&archive.get(&path).await.json()), [""; 0]);
    store(&archive, 3).await;
    assert_eq!(instances(&archive.get(&path).await.json()), ["1.2.3.3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_of_another_index_is_gone_and_nonsense_is_refused() {
    let archive = with_instances(1).await;
    let next = archive.get("/changes").await.json()["next"]
        .as_str()
        .unwrap()
        .to_owned();
    let (epoch, place) = next.split_once('-').unwrap();
    let other = u64::from_str_radix(epoch, 16).unwrap() ^ 1;
    let answer = archive.get(&format!("/changes?since={other:x}-{place}")).await;
    assert_eq!(answer.status, 410);
    assert!(answer.json()["detail"].as_str().unwrap().contains("begin again"));
    for path in [
        "/changes?since=x",
        "/changes?since=1-2",
        "/changes?limit=0",
        "/changes?limit=x",
    ] {
        assert_eq!(archive.get(path).await.status, 400, "{path}");
    }
}
