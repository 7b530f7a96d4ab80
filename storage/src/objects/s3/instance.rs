//! Credentials of the machine we run on, from its metadata service (IMDSv2).
//!
//! The way without a token (IMDSv1) is not taken: whoever makes a program on the machine fetch an address could read the
//! credentials by it.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use reqx::prelude::{RedirectPolicy, RetryPolicy};
use serde::Deserialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::options::Secret;

/// Where the service is on every machine that has one.
const ENDPOINT: &str = "http://169.254.169.254";
/// Names another place, as it does for other programs.
const ENDPOINT_VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
const DISABLED_VARIABLE: &str = "AWS_EC2_METADATA_DISABLED";
/// A service that is there answers at once.
const PATIENCE: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 3;
/// All answers are short.
const ANSWER_MAX_BYTES: usize = 64 << 10;
/// So long a token may be used, in seconds: for one fetch.
const TOKEN_SECONDS: &str = "300";
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// The metadata service of the instance.
pub(super) struct InstanceProfile {
    http: reqx::Client,
    endpoint: String,
}

/// Credentials for some hours.
pub(super) struct Fetched {
    pub(super) access_key_id: String,
    pub(super) secret_access_key: Secret,
    pub(super) token: Secret,
    pub(super) expires_at: OffsetDateTime,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answered {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

impl fmt::Debug for InstanceProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InstanceProfile")
            .field("endpoint", &self.endpoint)
            .finish()
    }
}

impl InstanceProfile {
    /// As the environment says, which is at its usual place where it says nothing.
    pub(super) fn of_environment() -> Result<Self, String> {
        if std::env::var(DISABLED_VARIABLE).is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
            return Err(format!(
                "no credentials for S3 come from the metadata service of the instance: {DISABLED_VARIABLE} is set"
            ));
        }
        let endpoint = std::env::var(ENDPOINT_VARIABLE)
            .ok()
            .filter(|endpoint| !endpoint.is_empty());
        Self::at(endpoint.as_deref().unwrap_or(ENDPOINT))
    }

    /// At an address, such as `http://127.0.0.1:1338`.
    pub(super) fn at(endpoint: &str) -> Result<Self, String> {
        let http = reqx::Client::builder("http://localhost")
            .retry_policy(RetryPolicy::disabled())
            .redirect_policy(RedirectPolicy::none())
            .auto_accept_encoding(false)
            .connect_timeout(PATIENCE)
            .request_timeout(PATIENCE)
            .client_name("filmroom")
            .build()
            .map_err(|error| format!("no client for the metadata service can be made: {error}"))?;
        Ok(Self {
            http,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
        })
    }

    /// The credentials of the instance's role.
    ///
    /// # Errors
    /// A sentence without any secret.
    pub(super) async fn fetch(&self) -> Result<Fetched, String> {
        let token = self.ask(
            Method::PUT,
            "/latest/api/token",
            ("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS),
        );
        let token = text(&token.await?)?;
        let with_token = ("x-aws-ec2-metadata-token", token.as_str());
        let roles = text(&self.ask(Method::GET, ROLES, with_token).await?)?;
        let role = roles.lines().next().map(str::trim).filter(|role| !role.is_empty());
        let role = role.ok_or("the instance has no role: give it one that may use the bucket")?;
        let answer = self.ask(Method::GET, &format!("{ROLES}{role}"), with_token).await?;
        let answered: Answered =
            serde_json::from_slice(&answer).map_err(|_| format!("the credentials of role {role} cannot be read"))?;
        let expires_at = OffsetDateTime::parse(answered.expiration.trim(), &Rfc3339)
            .map_err(|_| format!("the credentials of role {role} end at no date"))?;
        Ok(Fetched {
            access_key_id: answered.access_key_id,
            secret_access_key: Secret::new(answered.secret_access_key),
            token: Secret::new(answered.token),
            expires_at,
        })
    }

    async fn ask(&self, method: Method, path: &str, header: (&'static str, &str)) -> Result<Bytes, String> {
        let mut attempt = 1;
        loop {
            let why = match tokio::time::timeout(PATIENCE, self.ask_once(method.clone(), path, header)).await {
                Ok(Ok((StatusCode::OK, body))) => return Ok(body),
                Ok(Ok((status, _))) if !status.is_server_error() => return Err(self.said(path, status)),
                Ok(Ok((status, _))) => self.said(path, status),
                Ok(Err(_)) => format!("{} cannot be reached", self.endpoint),
                Err(_) => format!("{} did not answer within {} s", self.endpoint, PATIENCE.as_secs()),
            };
            if attempt == ATTEMPTS {
                return Err(why);
            }
            attempt += 1;
        }
    }

    fn said(&self, path: &str, status: StatusCode) -> String {
        format!("{} answered {status} for {path}", self.endpoint)
    }

    async fn ask_once(
        &self,
        method: Method,
        path: &str,
        (name, value): (&'static str, &str),
    ) -> Result<(StatusCode, Bytes), String> {
        // What may be a token is not shown, whatever is wrong with it.
        let mut value = HeaderValue::from_str(value).map_err(|_| "its token is none".to_owned())?;
        value.set_sensitive(true);
        let request = self.http.request(method, format!("{}{path}", self.endpoint));
        let answer = request
            .header(HeaderName::from_static(name), value)
            .send_response_stream()
            .await;
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = answer.into_bytes_limited(ANSWER_MAX_BYTES).await;
        Ok((status, body.map_err(|error| error.to_string())?))
    }
}

fn text(bytes: &Bytes) -> Result<String, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the metadata service answers no text".to_owned())?;
    Ok(text.trim().to_owned())
}
