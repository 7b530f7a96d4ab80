//! Credentials of the machine, from a metadata service that keeps to IMDSv2.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::{
    super::{credentials::of_instance, instance::InstanceProfile},
    *,
};

/// A metadata service: what it is asked, and what it says of the role.
#[derive(Clone)]
struct Metadata {
    endpoint: String,
    role: Arc<Mutex<String>>,
    /// Seconds for which credentials are good.
    lasting: Arc<AtomicU64>,
    fetches: Arc<AtomicU64>,
}

impl Metadata {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let metadata = Self {
            endpoint: format!("http://{}/", listener.local_addr().unwrap()),
            role: Arc::new(Mutex::new("archive\n".into())),
            lasting: Arc::new(AtomicU64::new(3600)),
            fetches: Arc::default(),
        };
        let serving = metadata.clone();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = client.read_u8().await else { break };
                    head.push(byte);
                }
                let (status, body) = serving.answer(&String::from_utf8(head).unwrap().to_lowercase());
                let length = body.len();
                let answer =
                    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
                let _ = client.write_all(answer.as_bytes()).await;
            }
        });
        metadata
    }

    fn answer(&self, head: &str) -> (&'static str, String) {
        if head.starts_with("put /latest/api/token ") {
            return match head.contains("x-aws-ec2-metadata-token-ttl-seconds: ") {
                true => ("200 OK", "the-token".into()),
                false => ("400 Bad Request", String::new()),
            };
        }
        if !head.contains("x-aws-ec2-metadata-token: the-token\r\n") {
            return ("401 Unauthorized", String::new());
        }
        if head.starts_with("get /latest/meta-data/iam/security-credentials/ ") {
            return ("200 OK", self.role.lock().unwrap().clone());
        }
        if !head.starts_with("get /latest/meta-data/iam/security-credentials/archive ") {
            return ("404 Not Found", String::new());
        }
        let fetch = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
        let until = OffsetDateTime::now_utc() + Duration::from_secs(self.lasting.load(Ordering::SeqCst));
        let until = lock::date(until).unwrap();
        let answer = serde_json::json!({
            "Code": "Success", "AccessKeyId": format!("ASIA{fetch}"), "SecretAccessKey": "very secret",
            "Token": "the session", "Expiration": until,
        });
        ("200 OK", answer.to_string())
    }
}

async fn fetched(endpoint: &str) -> Result<String, String> {
    let fetched = InstanceProfile::at(endpoint)?.fetch().await;
    fetched.map(|fetched| fetched.access_key_id)
}

#[tokio::test]
async fn credentials_come_from_the_metadata_service() {
    let metadata = Metadata::start().await;
    let got = InstanceProfile::at(&metadata.endpoint).unwrap().fetch().await.unwrap();
    assert_eq!(
        (got.access_key_id.as_str(), got.secret_access_key.expose()),
        ("ASIA1", "very secret")
    );
    assert_eq!(got.token.expose(), "the session");
    assert!((got.expires_at - OffsetDateTime::now_utc()).whole_seconds() > 3500);

    // Good ones are not fetched again; those that are about to end are.
    let ::s3::Auth::Provider(provider) = of_instance(InstanceProfile::at(&metadata.endpoint).unwrap())
        .await
        .unwrap()
    else {
        panic!("not refreshed by anybody")
    };
    for _ in 0..3 {
        provider.credentials_async().await.unwrap();
    }
    assert_eq!(metadata.fetches.load(Ordering::SeqCst), 2);
    metadata.lasting.store(1, Ordering::SeqCst);
    let short = of_instance(InstanceProfile::at(&metadata.endpoint).unwrap())
        .await
        .unwrap();
    metadata.lasting.store(3600, Ordering::SeqCst);
    let ::s3::Auth::Provider(provider) = short else {
        panic!("not refreshed by anybody")
    };
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let again = provider.credentials_async().await.unwrap();
    assert!(again.expires_at().unwrap() - OffsetDateTime::now_utc() > time::Duration::seconds(3000));
}

#[tokio::test]
async fn a_metadata_service_that_does_not_help_is_named() {
    let metadata = Metadata::start().await;
    *metadata.role.lock().unwrap() = "\n".into();
    let error = fetched(&metadata.endpoint).await.unwrap_err();
    assert!(error.contains("no role"), "{error}");
    *metadata.role.lock().unwrap() = "another".into();
    let error = fetched(&metadata.endpoint).await.unwrap_err();
    assert!(error.contains("404"), "{error}");
    let error = fetched("http://127.0.0.1:1").await.unwrap_err();
    assert!(error.contains("127.0.0.1:1"), "{error}");
}
