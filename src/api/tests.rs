mod records;

use std::net::SocketAddr;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{Request, StatusCode},
};
use filmroom_storage::store::{Store, StoreOptions};
use serde_json::Value;
use tower::ServiceExt;

use super::*;
use filmroom_access::Directory;
use filmroom_admission::Demand;
use filmroom_dataset::DataSetDescriber;
use filmroom_peers::Peer;
use filmroom_retrieve::Retrieve;

struct Api {
    router: Router,
    directory: Arc<Directory>,
    _folder: tempfile::TempDir,
}

struct Answered {
    status: StatusCode,
    tag: String,
    body: Value,
}

impl Api {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions::new(folder.path());
        let store = Store::open(options, Arc::new(DataSetDescriber)).await.unwrap();
        let retrieve = Retrieve::new(store.clone());
        let peers = Peers::of_settings([Peer::parse("FIXED=h:104").unwrap()]);
        let limits = filmroom_forwarding::Limits::default();
        let forwarding = Forwarding::open(vec![], retrieve.clone(), folder.path(), limits).unwrap();
        let limits = filmroom_commitment::Limits::default();
        let commitment = Commitments::open(store.clone(), retrieve.clone(), folder.path(), limits).unwrap();
        let hour = std::time::Duration::from_secs(3600);
        let privacy = Privacy::open(store.clone(), filmroom_audit::Trail::off(), hour)
            .await
            .unwrap();
        let records = Records::open(store, filmroom_records::Options::default())
            .await
            .unwrap();
        let worklist = Worklist::open(filmroom_worklist::Options::default(), retrieve, folder.path()).unwrap();
        let directory = Arc::new(Directory::open(folder.path()).unwrap());
        let trail = filmroom_audit::Trail::off();
        let admission = Admission::new(Arc::clone(&directory), Demand::Nothing, false, trail);
        Self {
            directory,
            router: admission.clone().before(
                routes(Rooms {
                    admission,
                    peers: Arc::new(peers),
                    forwarding,
                    commitment,
                    worklist,
                    privacy,
                    records,
                    dicomweb: "/dicom-web".into(),
                    audit: AuditRoom {
                        trail: filmroom_audit::Trail::off(),
                        source: Arc::new(filmroom_audit::xml::Source {
                            id: "FILMROOM".into(),
                            site: String::new(),
                        }),
                    },
                })
                .into_router(),
            ),
            _folder: folder,
        }
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answered {
        let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Body::from(body.to_owned())).unwrap();
        request
            .extensions_mut()
            .insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 9))));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let tag = response
            .headers()
            .get("etag")
            .map(|tag| tag.to_str().unwrap().to_owned());
        Answered {
            status: response.status(),
            tag: tag.unwrap_or_default(),
            body: serde_json::from_slice(&to_bytes(response.into_body(), 1 << 20).await.unwrap()).unwrap_or_default(),
        }
    }
}

#[tokio::test]
async fn peers_are_registered_changed_and_forgotten() {
    let api = Api::new().await;
    let path = "/api/v1/peers/CT%201";
    let made = api
        .ask("PUT", path, &[("if-none-match", "*")], r#"{"address":"10.0.0.5:104"}"#)
        .await;
    assert_eq!(
        (made.status, made.body["ae_title"].as_str()),
        (StatusCode::CREATED, Some("CT 1"))
    );
    let again = api
        .ask("PUT", path, &[("if-none-match", "*")], r#"{"address":"10.0.0.5:104"}"#)
        .await;
    assert_eq!(again.status, StatusCode::PRECONDITION_FAILED);
    let read = api.ask("GET", path, &[], "").await;
    assert_eq!((read.status, &read.tag), (StatusCode::OK, &made.tag));
    let same = api.ask("GET", path, &[("if-none-match", &made.tag)], "").await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    let mut changed = read.body.clone();
    changed["may"] = serde_json::json!(["find"]);
    let put = api
        .ask("PUT", path, &[("if-match", &read.tag)], &changed.to_string())
        .await;
    assert_eq!(put.status, StatusCode::OK);
    assert_ne!(put.tag, read.tag);
    let late = api
        .ask("PUT", path, &[("if-match", &read.tag)], &changed.to_string())
        .await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    let all = api.ask("GET", "/api/v1/peers", &[], "").await;
    let sources: Vec<_> = all.body["peers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|peer| peer["source"].clone())
        .collect();
    assert_eq!(sources, ["registered", "settings"]);
    assert_eq!(api.ask("DELETE", path, &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.ask("DELETE", path, &[], "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.ask("GET", path, &[], "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_no_peer_is_refused() {
    let api = Api::new().await;
    for (path, body, expected) in [
        ("/api/v1/peers/A", "", 400),
        ("/api/v1/peers/A", "[]", 400),
        ("/api/v1/peers/A", r#"{"address":"h:104","colour":1}"#, 400),
        ("/api/v1/peers/A", r#"{"address":"h:104","ae_title":"B"}"#, 400),
        ("/api/v1/peers/A", r#"{"address":"h"}"#, 400),
        ("/api/v1/peers/SEVENTEEN%20LETTERS", r#"{"address":"h:104"}"#, 400),
        ("/api/v1/peers/FIXED", r#"{"address":"h:104"}"#, 409),
    ] {
        let answered = api.ask("PUT", path, &[], body).await;
        assert_eq!(answered.status.as_u16(), expected, "{path} {body}");
        assert!(answered.body["detail"].is_string());
    }
    assert_eq!(
        api.ask("DELETE", "/api/v1/peers/FIXED", &[], "").await.status,
        StatusCode::CONFLICT
    );
    let long = format!("{{\"address\":\"{}\"}}", "x".repeat(BODY_BYTES_MAX));
    assert_eq!(
        api.ask("PUT", "/api/v1/peers/A", &[], &long).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let outside = api.ask("GET", "/api/v1/peers", &[("host", "evil.example")], "").await;
    assert_eq!(outside.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn queues_are_shown() {
    let api = Api::new().await;
    let forwards = api.ask("GET", "/api/v1/forwards", &[], "").await;
    assert_eq!(
        (forwards.status, forwards.body["forwards"].as_array().map(Vec::len)),
        (StatusCode::OK, Some(0))
    );
    let commitments = api.ask("GET", "/api/v1/commitments", &[], "").await;
    assert_eq!(commitments.body["commitments"].as_array().map(Vec::len), Some(0));
    for (method, path) in [("GET", "x"), ("DELETE", "x"), ("POST", "x/retry")] {
        let answered = api.ask(method, &format!("/api/v1/forwards/{path}"), &[], "").await;
        assert_eq!(answered.status, StatusCode::NOT_FOUND, "{method}");
    }
}

fn scheduled(id: &str) -> Value {
    serde_json::json!({
        "PatientName": { "vr": "PN", "Value": [{ "Alphabetic": "Müller^Jörg" }] },
        "00100020": { "vr": "LO", "Value": ["P1"] },
        "00400100": { "vr": "SQ", "Value": [{
            "00080060": { "vr": "CS", "Value": ["CT"] },
            "00400002": { "vr": "DA", "Value": ["20300105"] },
            "00400009": { "vr": "SH", "Value": [id] },
        }] },
    })
}

#[tokio::test]
async fn worklist_entries_are_put_listed_and_removed() {
    let api = Api::new().await;
    let path = "/api/v1/worklist/RIS%2F1";
    let made = api.ask("PUT", path, &[], &scheduled("1").to_string()).await;
    assert_eq!(
        (made.status, made.body["id"].as_str()),
        (StatusCode::CREATED, Some("RIS/1"))
    );
    assert!(made.body["attributes"]["0020000D"]["Value"][0].is_string());
    let again = api.ask("PUT", path, &[], &made.body.to_string()).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.body["attributes"], made.body["attributes"]);
    assert_eq!(api.ask("GET", path, &[], "").await.body["source"], "put");
    let other = api
        .ask("PUT", "/api/v1/worklist/2", &[], &scheduled("2").to_string())
        .await;
    assert_eq!(other.status, StatusCode::CREATED);
    let listed = api.ask("GET", "/api/v1/worklist?offset=1&limit=5", &[], "").await;
    assert_eq!(listed.body["total"], 2);
    assert_eq!(listed.body["entries"].as_array().unwrap().len(), 1);
    for (path, body) in [
        ("/api/v1/worklist/1", "{"),
        ("/api/v1/worklist/1", "{}"),
        ("/api/v1/worklist/1", "[]"),
        ("/api/v1/worklist/1", r#"{"00100020":{"vr":"LO","Value":["P1"]}}"#),
        (
            &format!("/api/v1/worklist/{}", "x".repeat(65)),
            &scheduled("1").to_string(),
        ),
    ] {
        let refused = api.ask("PUT", path, &[], body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{body}");
        assert!(refused.body["detail"].is_string());
    }
    assert_eq!(api.ask("DELETE", path, &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(api.ask("DELETE", path, &[], "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(api.ask("GET", path, &[], "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn procedure_steps_and_incomplete_studies_are_shown() {
    let api = Api::new().await;
    let steps = api.ask("GET", "/api/v1/procedure-steps", &[], "").await;
    assert_eq!((steps.status, &steps.body["total"]), (StatusCode::OK, &Value::from(0)));
    let unknown = api.ask("GET", "/api/v1/procedure-steps/1.2.3", &[], "").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let studies = api.ask("GET", "/api/v1/studies/incomplete", &[], "").await;
    assert_eq!(studies.body["studies"].as_array().map(Vec::len), Some(0));
    assert!(studies.body["next_offset"].is_null());
}
