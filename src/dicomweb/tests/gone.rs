//! What was destroyed is gone, and told apart from what never was (PS3.18 §8.5, RFC 9110 §15.5.11).

use filmroom_storage::store::DestroyScope;
use serde_json::json;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_resource_of_a_destroyed_instance_is_gone() {
    let archive = Archive::new(DicomwebConfig::default()).await;
    for number in ["1", "2"] {
        let sop = format!("1.2.3.{number}");
        archive
            .store(&[
                ("StudyInstanceUID", "1.2"),
                ("SeriesInstanceUID", "1.2.3"),
                ("SOPInstanceUID", &sop),
                ("PatientID", "P"),
            ])
            .await;
    }
    let going = DestroyScope::Instances(vec!["1.2.3.1".parse().unwrap()]);
    archive.store.destroy(going, json!("a test")).await.unwrap();
    let of = |number: &str| format!("/studies/1.2/series/1.2.3/instances/1.2.3.{number}");
    for resource in [
        "",
        "/metadata",
        "/frames/1",
        "/bulkdata",
        "/rendered",
        "/thumbnail",
        "/pixeldata",
    ] {
        let path = format!("{}{resource}", of("1"));
        let answer = archive.get(&path).await;
        assert_eq!(answer.status, 410, "{path}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains("destroyed"),
            "{path}"
        );
        let path = format!("{}{resource}", of("9"));
        assert_eq!(archive.get(&path).await.status, 404, "{path}");
    }
    let path = "/wado?requestType=WADO&studyUID=1.2&seriesUID=1.2.3&objectUID=1.2.3.1";
    let answer = archive.get(path).await;
    assert_eq!(answer.status, 410);
    assert_eq!(archive.get(&of("2")).await.status, 200);
    assert_eq!(archive.get("/studies/1.2/series/1.2.3/metadata").await.status, 200);
}
