//! `/fhir/AuditEvent`: the audit trail as FHIR R4 (IHE ITI-81). Whoever reads it is recorded first.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Extension,
    extract::{ConnectInfo, Path, Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use filmroom_admission::Caller as Known;
use filmroom_audit::{
    Audit, AuditError, Caller, Trail, events,
    fhir::{bundle, outcome, parse, resource},
    xml::Source,
};
use serde_json::Value;

/// The trail, and who it is of.
#[derive(Clone, Debug)]
pub struct AuditRoom {
    /// The trail.
    pub trail: Trail,
    /// Who reports.
    pub source: Arc<Source>,
}

/// Where the log is said to be, in the events of its being read.
const URI: &str = "urn:filmroom:audit";

impl AuditRoom {
    /// The log, when its being read is recorded.
    async fn read_by(&self, reader: &Known, from: SocketAddr, filter: &str) -> Result<&Audit, Box<Response>> {
        let Some(audit) = self.trail.audit() else {
            return Err(Box::new(fhir(
                StatusCode::NOT_FOUND,
                &outcome("not-found", "the audit trail is turned off"),
            )));
        };
        let place = from.to_string();
        let who = Caller {
            user: reader.name(),
            place: &place,
            ..Caller::default()
        };
        let recorded = self
            .trail
            .record(|_| events::audit_log_used(who.participant(), URI, filter))
            .await;
        match recorded {
            Ok(()) => Ok(audit),
            Err(error) => Err(Box::new(failed(&error))),
        }
    }
}

/// `GET /fhir/AuditEvent?…`.
pub(super) async fn search(
    State(room): State<AuditRoom>,
    Extension(reader): Extension<Known>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Query(parameters): Query<Vec<(String, String)>>,
) -> Response {
    let search = match parse(parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))) {
        Ok(search) => search,
        Err(problem) => return fhir(StatusCode::BAD_REQUEST, &outcome("invalid", &problem.to_string())),
    };
    let filter: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let audit = match room.read_by(&reader, from, &filter.join("&")).await {
        Ok(audit) => audit,
        Err(refusal) => return *refusal,
    };
    match audit.log().search(search.search.clone()).await {
        Ok(page) => fhir(StatusCode::OK, &bundle(&page, &search, &room.source, "/fhir")),
        Err(error) => failed(&error),
    }
}

/// `GET /fhir/AuditEvent/{id}`.
pub(super) async fn read(
    State(room): State<AuditRoom>,
    Extension(reader): Extension<Known>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    Path(id): Path<String>,
) -> Response {
    let missing = || fhir(StatusCode::NOT_FOUND, &outcome("not-found", "there is no such event"));
    let Ok(index) = id.parse::<u64>() else { return missing() };
    let audit = match room.read_by(&reader, from, &format!("_id={index}")).await {
        Ok(audit) => audit,
        Err(refusal) => return *refusal,
    };
    if index >= audit.log().size() {
        return missing();
    }
    let log = audit.log().clone();
    match tokio::task::spawn_blocking(move || log.entry(index)).await {
        Ok(Ok(entry)) => fhir(StatusCode::OK, &resource(&entry, &room.source)),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&std::io::Error::other(error).into()),
    }
}

/// `GET /api/v1/audit/checkpoint`: a new signed checkpoint over all that is recorded.
pub(super) async fn checkpoint(State(room): State<AuditRoom>) -> Response {
    let Some(audit) = room.trail.audit() else {
        return super::problem::problem(StatusCode::NOT_FOUND, "the audit trail is turned off");
    };
    match audit.checkpoint().await {
        Ok(Some(checkpoint)) => {
            let headers = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, checkpoint.to_text()).into_response()
        }
        Ok(None) => super::problem::problem(StatusCode::NOT_FOUND, "nothing is recorded yet"),
        Err(error) => failed(&error),
    }
}

fn fhir(status: StatusCode, value: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/fhir+json"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, format!("{value:#}\n")).into_response()
}

fn failed(error: &AuditError) -> Response {
    tracing::error!(%error, "the audit trail cannot be read");
    fhir(
        StatusCode::SERVICE_UNAVAILABLE,
        &outcome("exception", "the audit trail cannot be read at the moment"),
    )
}
