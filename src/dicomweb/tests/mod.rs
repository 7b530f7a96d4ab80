//! The door's rules that hold for all services, and search, over a real store.

use std::{io::Read as _, sync::Arc};

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode, header},
};
use bytes::Bytes;
use filmroom_storage::{
    model::{Door, Origin},
    store::{Store, StoreOptions},
};
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::{capabilities::SERVICES, *};
use filmroom_access::Principal;
use filmroom_admission::Caller;
use filmroom_dataset::{Builder, DataSetDescriber, attribute_by_name};
use filmroom_ingest::Announced;

mod changes;
mod description;
mod gone;
mod search;

/// A door over an archive in a folder of its own.
pub(crate) struct Archive {
    router: Router,
    ingest: Ingest,
    store: Store,
    _folder: TempDir,
}

/// What came back.
pub(crate) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    fn warnings(&self) -> String {
        let all = self
            .headers
            .get_all(header::WARNING)
            .iter()
            .filter_map(|value| value.to_str().ok());
        all.collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }
}

impl Archive {
    pub(crate) async fn new(config: DicomwebConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::new(folder.path());
        options.free_space_min_bytes = 0;
        let store = Store::open(options, Arc::new(DataSetDescriber)).await.unwrap();
        let ingest = Ingest::new(store.clone());
        let (query, retrieve) = (QueryRoom::new(store.clone()), Retrieve::new(store.clone()));
        let routes = routes(DicomwebState::new(config, ingest.clone(), query, retrieve));
        let anyone = Caller(Ok(Some(Principal::anyone())));
        let router = routes.into_router().layer(Extension(anyone));
        Self {
            router,
            ingest,
            store,
            _folder: folder,
        }
    }

    /// Stores an instance of which so much is said.
    pub(crate) async fn store(&self, said: &[(&str, &str)]) {
        let mut builder = Builder::new();
        builder.text(0x0008_0016, "1.2.840.10008.5.1.4.1.1.7");
        for (name, value) in said {
            builder.text(attribute_by_name(name).unwrap().0, value);
        }
        let announced = Announced {
            transfer_syntax_uid: "1.2.840.10008.1.2.1".parse().unwrap(),
            sop_class_uid: None,
            sop_instance_uid: None,
            study_instance_uid: None,
            expected_length: 0,
        };
        let origin = Origin {
            door: Door::Import,
            sender: String::new(),
            receiver: String::new(),
            address: String::new(),
        };
        let mut receiving = self.ingest.receive(announced, origin).unwrap();
        receiving.write(builder.build().as_bytes()).await.unwrap();
        receiving.finish().await.unwrap();
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "archive.example");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: to_bytes(body, 64 << 20).await.unwrap(),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, &format!("/dicom-web{path}"), &[]).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_may_be_read_across_origins() {
    let archive = Archive::new(DicomwebConfig::default()).await;
    for (method, path, status) in [
        (Method::GET, "/dicom-web/studies", 200),
        (Method::GET, "/dicom-web/nonsense", 404),
        (Method::GET, "/dicom-web/studies?StudyDate=x", 400),
        (Method::PUT, "/dicom-web/studies", 405),
        (Method::GET, "/dicom-web/studies/1.2.3/metadata", 404),
    ] {
        let answer = archive
            .ask(method.clone(), path, &[("origin", "http://viewer.example")])
            .await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}");
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{method} {path}");
        assert!(answer.header("access-control-expose-headers").contains("Warning"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_pass_before_anything_else() {
    let archive = Archive::new(DicomwebConfig::default()).await;
    let fields = [
        ("origin", "http://viewer.example"),
        ("access-control-request-method", "GET"),
    ];
    let answer = archive.ask(Method::OPTIONS, "/dicom-web/studies", &fields).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-allow-headers").contains("Authorization"));
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_origins_alone_are_granted() {
    let origins = Origins::Listed(vec!["https://viewer.example".to_owned()]);
    let archive = Archive::new(DicomwebConfig {
        origins,
        ..DicomwebConfig::default()
    })
    .await;
    let granted = archive
        .ask(
            Method::GET,
            "/dicom-web/studies",
            &[("origin", "https://viewer.example")],
        )
        .await;
    assert_eq!(granted.header("access-control-allow-origin"), "https://viewer.example");
    assert_eq!(granted.header("access-control-allow-credentials"), "true");
    let other = archive
        .ask(
            Method::GET,
            "/dicom-web/studies",
            &[("origin", "https://other.example")],
        )
        .await;
    assert_eq!(other.header("access-control-allow-origin"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletes_nothing_and_says_why() {
    let archive = Archive::new(DicomwebConfig::default()).await;
    for path in [
        "/studies/1.2",
        "/studies/1.2/series/1.3",
        "/studies/1.2/series/1.3/instances/1.4",
    ] {
        let answer = archive.ask(Method::DELETE, &format!("/dicom-web{path}"), &[]).await;
        assert_eq!(answer.status, 405, "{path}");
        assert!(answer.header("allow").contains("GET"), "{:?}", answer.headers);
        assert!(answer.json()["detail"].as_str().unwrap().contains("disposal"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn encodes_text_and_never_multipart() {
    let archive = Archive::new(DicomwebConfig::default()).await;
    for study in 1..=40 {
        let uid = format!("1.{study}");
        archive
            .store(&[
                ("StudyInstanceUID", &uid),
                ("SeriesInstanceUID", "1.9"),
                ("SOPInstanceUID", &format!("{uid}.7")),
            ])
            .await;
    }
    let ask = |accept: &'static str, encoding: &'static str| {
        let fields = [("accept", accept), ("accept-encoding", encoding)];
        let archive = &archive;
        async move { archive.ask(Method::GET, "/dicom-web/studies", &fields).await }
    };
    let plain = archive.get("/studies").await;
    let gzip = ask("application/dicom+json", "gzip").await;
    assert_eq!(gzip.header("content-encoding"), "gzip");
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain.body);
    let zstd = ask("application/dicom+json", "zstd").await;
    assert_eq!(zstd.header("content-encoding"), "zstd");
    let xml = ask("multipart/related; type=\"application/dicom+xml\"", "gzip, zstd").await;
    assert_eq!(xml.status, 200);
    assert_eq!(xml.header("content-encoding"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn lies_under_any_path() {
    for (base_path, path) in [("", "/studies"), ("/", "/studies"), ("/pacs/web/", "/pacs/web/studies")] {
        let archive = Archive::new(DicomwebConfig {
            base_path: base_path.to_owned(),
            ..DicomwebConfig::default()
        })
        .await;
        assert_eq!(archive.ask(Method::GET, path, &[]).await.status, 200, "{base_path:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_requests_get_a_clear_refusal() {
    let archive = Archive::new(DicomwebConfig::default()).await;
    let long_accept = "a/b, ".repeat(13_000);
    let answer = archive
        .ask(Method::GET, "/dicom-web/studies", &[("accept", &long_accept)])
        .await;
    assert_eq!(answer.status, 431);
    for (query, status) in [
        (
            format!("/studies?{}.CodeValue=x", vec!["ProcedureCodeSequence"; 500].join(".")),
            400,
        ),
        (format!("/studies?PatientName={}b", "a*".repeat(600)), 400),
        (format!("/studies?{}", "a=b&".repeat(2000)), 400),
        (format!("/studies?StudyInstanceUID={}", "1.2,".repeat(14_000)), 414),
        ("/studies?PatientName=%FF%FE".to_owned(), 400),
        ("/studies/..%2f..%2fetc/series".to_owned(), 400),
        ("/studies/1.2/series/x/instances".to_owned(), 400),
    ] {
        let answer = archive.get(&query).await;
        assert_eq!(answer.status.as_u16(), status, "{}", &query[..query.len().min(60)]);
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}
