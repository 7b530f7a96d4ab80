//! Search over HTTP.

use super::*;

async fn filled() -> Archive {
    filled_with(DicomwebConfig::default()).await
}

async fn filled_with(config: DicomwebConfig) -> Archive {
    let archive = Archive::new(config).await;
    for number in 1..=3 {
        archive
            .store(&[
                ("StudyInstanceUID", "1.1"),
                ("SeriesInstanceUID", "1.1.1"),
                ("SOPInstanceUID", &format!("1.1.1.{number}")),
                ("InstanceNumber", &number.to_string()),
                ("PatientName", "Yamada^Tarou=山田^太郎=やまだ^たろう"),
                ("PatientID", "P1"),
                ("StudyDate", "20240105"),
                ("StudyDescription", "Brain"),
                ("Modality", "CT"),
                ("KVP", "120"),
            ])
            .await;
    }
    archive
        .store(&[
            ("StudyInstanceUID", "1.2"),
            ("SeriesInstanceUID", "1.2.1"),
            ("SOPInstanceUID", "1.2.1.1"),
            ("PatientName", "Doe^Jane"),
            ("PatientID", "P2"),
            ("StudyDate", "20240301"),
            ("Modality", "MR"),
        ])
        .await;
    archive
}

fn values(answer: &Answer, tag: &str) -> Vec<String> {
    let array = answer.json();
    let answers = array.as_array().unwrap().iter();
    answers
        .map(|one| {
            one[tag]["Value"][0]
                .as_str()
                .map(str::to_owned)
                .unwrap_or_else(|| one[tag]["Value"][0].to_string())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_searches_of_every_nesting() {
    let archive = filled().await;
    for (path, tag, expected) in [
        ("/studies", "0020000D", &["1.2", "1.1"][..]),
        ("/studies?PatientID=P1", "0020000D", &["1.1"]),
        ("/studies?00100010=*%E5%A4%AA%E9%83%8E*", "0020000D", &["1.1"]),
        (
            "/studies?PatientName=tarou+yamadu&fuzzymatching=true",
            "0020000D",
            &["1.1"],
        ),
        (
            "/studies?StudyInstanceUID=1.1,1.2&StudyDate=-20240201",
            "0020000D",
            &["1.1"],
        ),
        ("/studies/1.1/series", "0020000E", &["1.1.1"]),
        ("/studies/1.1/series?StudyInstanceUID=1.2", "0020000E", &[]),
        ("/series?Modality=MR", "0020000D", &["1.2"]),
        ("/studies/1.1/instances", "00080018", &["1.1.1.1", "1.1.1.2", "1.1.1.3"]),
        (
            "/studies/1.1/series/1.1.1/instances?limit=1&offset=1",
            "00080018",
            &["1.1.1.2"],
        ),
        ("/series/1.1.1/instances?InstanceNumber=3", "00080018", &["1.1.1.3"]),
        ("/instances?SOPInstanceUID=1.1.1.2", "00100020", &["P1"]),
        ("/instances?KVP=120&limit=2", "00180060", &["120", "120"]),
        ("/patients", "00100020", &["P2", "P1"]),
        ("/patients/P1/studies", "0020000D", &["1.1"]),
        ("/studies?orderby=PatientName", "0020000D", &["1.2", "1.1"]),
        ("/studies?offset=1000", "0020000D", &[]),
    ] {
        let answer = archive.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        assert_eq!(answer.header("content-type"), "application/dicom+json");
        assert_eq!(values(&answer, tag), expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gives_names_in_groups_and_urls_as_seen_by_the_client() {
    let archive = filled().await;
    let fields = [("x-forwarded-proto", "https"), ("x-forwarded-host", "pacs.example")];
    let answer = archive
        .ask(Method::GET, "/dicom-web/studies?PatientID=P1", &fields)
        .await;
    let study = answer.json()[0].clone();
    assert_eq!(study["00100010"]["Value"][0]["Ideographic"], "山田^太郎");
    assert_eq!(
        study["00081190"]["Value"][0],
        "https://pacs.example/dicom-web/studies/1.1"
    );
    assert_eq!(study["00201208"]["Value"][0], 3);
    assert_eq!(study["00080061"]["Value"][0], "CT");
    for required in [
        "00080030", "00080050", "00080056", "00080090", "00100030", "00100040", "00200010", "00201206",
    ] {
        assert!(study.get(required).is_some(), "{required}");
    }
    let keys: Vec<&String> = study.as_object().unwrap().keys().collect();
    assert!(keys.is_sorted(), "{keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn warns_of_more_and_of_what_is_not_matched() {
    let archive = filled().await;
    let more = archive.get("/studies?limit=1").await;
    assert_eq!(
        more.warnings(),
        "299 http://archive.example/dicom-web: There are 1 additional results that can be requested"
    );
    let unknown = archive.get("/studies?NoSuchAttribute=1").await;
    assert!(unknown.warnings().contains("NoSuchAttribute"));
    let unmatched = archive.get("/studies?InstanceNumber=1").await;
    assert!(
        unmatched.warnings().contains("InstanceNumber"),
        "{}",
        unmatched.warnings()
    );
    assert_eq!(archive.get("/studies").await.warnings(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn negotiates_its_media_type() {
    let archive = filled().await;
    let ask = |accept: &'static str| {
        let archive = &archive;
        async move {
            archive
                .ask(Method::GET, "/dicom-web/studies", &[("accept", accept)])
                .await
        }
    };
    assert_eq!(ask("application/json").await.header("content-type"), "application/json");
    assert_eq!(ask("*/*").await.header("content-type"), "application/dicom+json");
    assert_eq!(ask("text/plain").await.status, 406);
    let xml = ask("multipart/related; type=\"application/dicom+xml\"").await;
    assert!(
        xml.header("content-type")
            .starts_with("multipart/related; type=\"application/dicom+xml\"; boundary=")
    );
    let text = String::from_utf8_lossy(&xml.body);
    assert_eq!(text.matches("<NativeDicomModel").count(), 2);
    assert!(text.ends_with("--\r\n"));
    let asked = archive.get("/studies?accept=application/json").await;
    assert_eq!(asked.header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn tells_unchanged_pages() {
    let archive = filled().await;
    let first = archive.get("/studies?limit=1").await;
    let etag = first.header("etag").to_owned();
    let again = archive
        .ask(Method::GET, "/dicom-web/studies?limit=1", &[("if-none-match", &etag)])
        .await;
    assert_eq!(again.status, 304);
    assert!(again.body.is_empty());
    assert_eq!(again.header("etag"), etag);
    let other = archive
        .ask(Method::GET, "/dicom-web/studies", &[("if-none-match", &etag)])
        .await;
    assert_eq!(other.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn gives_nothing_as_configured() {
    let empty = filled().await.get("/studies?PatientID=nobody").await;
    assert_eq!((empty.status, &empty.body[..]), (StatusCode::OK, &b"[]"[..]));
    let config = DicomwebConfig {
        empty_answer: EmptyAnswer::NoContent,
        ..DicomwebConfig::default()
    };
    let empty = filled_with(config).await.get("/studies?PatientID=nobody").await;
    assert_eq!((empty.status, empty.body.len()), (StatusCode::NO_CONTENT, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_the_key_that_is_wrong() {
    let archive = filled().await;
    for (query, name) in [
        ("StudyDate=notadate", "StudyDate"),
        ("00080020=2024-01-01", "StudyDate"),
        ("limit=-1", "limit"),
        ("StudyInstanceUID=1.2*", "StudyInstanceUID"),
        ("NumberOfStudyRelatedSeries=x", "NumberOfStudyRelatedSeries"),
    ] {
        let answer = archive.get(&format!("/studies?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(name),
            "{query}: {:?}",
            answer.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn returns_the_fields_asked_for() {
    let archive = filled().await;
    let plain = archive.get("/studies?PatientID=P1").await.json();
    assert!(plain[0].get("00081030").is_none());
    let listed = archive
        .get("/studies?PatientID=P1&includefield=StudyDescription,00080060")
        .await
        .json();
    assert_eq!(listed[0]["00081030"]["Value"][0], "Brain");
    assert_eq!(listed[0]["00080060"]["Value"][0], "CT");
    let some = archive.get("/instances?SOPInstanceUID=1.1.1.1").await.json()[0]
        .as_object()
        .unwrap()
        .len();
    let all = archive
        .get("/instances?SOPInstanceUID=1.1.1.1&includefield=all")
        .await
        .json()[0]
        .as_object()
        .unwrap()
        .len();
    assert!(all >= some, "{all} {some}");
}
