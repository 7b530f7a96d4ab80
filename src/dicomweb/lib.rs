//! The web door: DICOMweb (PS3.18) over HTTP. It speaks the protocol and owns no rule.
//!
//! Each service has a file with its `routes()`; [`routes`] puts them together, with what holds for all of them: cross-origin
//! access on every answer, content encoding, honest 404 and 405, and a handler that panics ends alone.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

use std::{sync::Arc, time::Duration};

use axum::{
    http::{Method, Response, StatusCode, header},
    middleware,
    response::IntoResponse,
};
use tokio::sync::Semaphore;
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{CompressionLayer, Predicate},
};

use filmroom_admission::Routes;
use filmroom_ingest::Ingest;
use filmroom_query::QueryRoom;
use filmroom_render::Render;
use filmroom_render::RenderOptions;
use filmroom_retrieve::Retrieve;

pub mod accept;
pub mod base_url;
mod bulkdata;
mod capabilities;
mod changes;
pub mod cors;
pub mod error;
#[doc(hidden)]
pub mod fuzzing;
mod multipart;
mod qido;
pub mod query_string;
mod rendered;
mod stow;
mod wado;
mod wado_uri;

use cors::Origins;
use error::Problem;

/// How an empty list of answers is given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EmptyAnswer {
    /// 200 with `[]` (CP-2473).
    #[default]
    Ok,
    /// 204 (PS3.18 in texts up to 2025).
    NoContent,
}

/// What the door can be told; the defaults serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DicomwebConfig {
    /// Path under which the service lies: begins with `/`, has no `/` at its end; empty for the root.
    pub base_path: String,
    /// How clients come where nothing says it: `http` or `https`.
    pub scheme: &'static str,
    /// The URL of the service as clients see it, where it cannot be told from the request: `https://pacs.example/dicom-web`.
    pub public_url: Option<String>,
    /// Which pages of other origins may read.
    pub origins: Origins,
    /// How an empty list of answers is given.
    pub empty_answer: EmptyAnswer,
    /// Answers of a search that names no limit. As high as the cap by default: a client that does not page must not miss
    /// slices of a series.
    pub qido_limit_default: u64,
    /// Most answers of one search; more are announced with a `Warning: 299`.
    pub qido_limit_max: u64,
    /// A search that waits longer for its turn is answered with 503.
    pub query_wait_max: Duration,
    /// Searches at work at the same time.
    pub queries_max: usize,
    /// Longest body of one STOW request, in bytes: 64 GiB, for instances are streamed.
    pub stow_body_max_bytes: u64,
    /// Longest metadata (JSON or XML) of a STOW request, in bytes, and of all requests that are being read at one time.
    pub stow_metadata_max_bytes: u64,
    /// A body that sends nothing for so long is given up.
    pub body_idle_max: Duration,
    /// Most frames in one list.
    pub frame_list_max: usize,
}

impl Default for DicomwebConfig {
    fn default() -> Self {
        Self {
            base_path: "/dicom-web".to_owned(),
            scheme: "http",
            public_url: None,
            origins: Origins::Any,
            empty_answer: EmptyAnswer::Ok,
            qido_limit_default: 10_000,
            qido_limit_max: 10_000,
            query_wait_max: Duration::from_secs(30),
            queries_max: 16,
            stow_body_max_bytes: 64 << 30,
            stow_metadata_max_bytes: 64 << 20,
            body_idle_max: Duration::from_secs(60),
            frame_list_max: 5_000,
        }
    }
}

impl DicomwebConfig {
    /// The base path without a slash at its end.
    #[must_use]
    pub fn base_path(&self) -> &str {
        self.base_path.trim_end_matches('/')
    }
}

/// What the routes share. Cheap to clone.
#[derive(Clone)]
pub struct DicomwebState {
    /// What the door was told.
    pub config: Arc<DicomwebConfig>,
    /// Takes instances in.
    pub ingest: Ingest,
    /// Finds.
    pub query: QueryRoom,
    /// Reads back.
    pub retrieve: Retrieve,
    /// Shows.
    pub render: Render,
    /// Permits to search.
    queries: Arc<Semaphore>,
    /// Turns of metadata that are being stored.
    turns: stow::Turns,
    /// Metadata that were asked for before.
    kept_metadata: wado::KeptMetadata,
}

impl DicomwebState {
    /// Opens the door over its rooms.
    #[must_use]
    pub fn new(config: DicomwebConfig, ingest: Ingest, query: QueryRoom, retrieve: Retrieve) -> Self {
        let queries = Arc::new(Semaphore::new(config.queries_max.max(1)));
        let turns = stow::Turns::new(config.stow_metadata_max_bytes);
        Self {
            config: Arc::new(config),
            ingest,
            query,
            render: Render::new(retrieve.clone(), RenderOptions::default()),
            retrieve,
            queries,
            turns,
            kept_metadata: wado::KeptMetadata::default(),
        }
    }
}

impl DicomwebState {
    /// The same archive as another view has it, below its own path.
    #[must_use]
    pub fn seen(&self, below: &str, query: QueryRoom, retrieve: Retrieve) -> Self {
        let mut config = (*self.config).clone();
        config.base_path = format!("{}/{below}", config.base_path());
        config.public_url = config
            .public_url
            .map(|url| format!("{}/{below}", url.trim_end_matches('/')));
        Self {
            config: Arc::new(config),
            query,
            render: self.render.seen(retrieve.clone()),
            retrieve,
            kept_metadata: wado::KeptMetadata::default(),
            ..self.clone()
        }
    }
}

/// The whole service under [`DicomwebConfig::base_path`].
pub fn routes(state: DicomwebState) -> Routes {
    let origins = Arc::new(state.config.origins.clone());
    let base_path = state.config.base_path().to_owned();
    let services = Routes::new()
        .merge(capabilities::routes())
        .merge(changes::routes())
        .merge(qido::routes())
        .merge(wado::routes())
        .merge(wado_uri::routes())
        .merge(bulkdata::routes())
        .merge(stow::routes())
        .merge(rendered::routes())
        .around(|router| router.method_not_allowed_fallback(refuse_method).fallback(refuse_path));
    let placed = if base_path.is_empty() {
        services
    } else {
        let with_slash = format!("{base_path}/");
        services.below(&base_path).merge(capabilities::root_at(&with_slash))
    };
    placed.around(|router| {
        router
            .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
                Problem::internal("a handler panicked").into_response()
            }))
            .layer(
                CompressionLayer::new()
                    .quality(CompressionLevel::Fastest)
                    .compress_when(Compressible),
            )
            .layer(middleware::from_fn_with_state(origins, cors::grant))
            .with_state(state)
    })
}

async fn refuse_path() -> Problem {
    Problem::not_found(
        "no such resource: the capabilities document (GET or OPTIONS on the root of the service) lists what there is",
    )
}

/// Which methods there are, the router says in `Allow`.
async fn refuse_method(method: Method) -> Result<StatusCode, Problem> {
    if method == Method::OPTIONS {
        return Ok(StatusCode::NO_CONTENT);
    }
    Err(if method == Method::DELETE {
        Problem::method_not_allowed(
            "nothing is deleted over DICOMweb: stored objects leave the archive only by a disposal that its records staff approved",
        )
    } else {
        Problem::method_not_allowed(format!("{method} is not defined for this resource"))
    })
}

/// Text of some length is worth encoding; multipart bodies hold DICOM, whose readers know no content encoding, and pixels,
/// which do not shrink.
#[derive(Debug, Clone, Copy)]
struct Compressible;

/// Below this an encoding saves no packet.
const COMPRESS_FROM_BYTES: u64 = 1024;

impl Predicate for Compressible {
    fn should_compress<B: axum::body::HttpBody>(&self, response: &Response<B>) -> bool {
        let media_type = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let textual = [
            "application/dicom+json",
            "application/json",
            "application/problem+json",
            "application/dicom+xml",
            "application/xml",
            "text/",
        ]
        .iter()
        .any(|kind| media_type.starts_with(kind));
        let long = response
            .body()
            .size_hint()
            .exact()
            .is_none_or(|length| length >= COMPRESS_FROM_BYTES);
        textual && long && !response.headers().contains_key(header::CONTENT_RANGE)
    }
}

#[cfg(test)]
mod tests;
