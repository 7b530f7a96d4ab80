//! Retrieval of studies, series, instances, metadata and frames (PS3.18 §10.4).

use axum::Router;

use super::DicomwebState;

/// The routes of this service.
pub(super) fn routes() -> Router<DicomwebState> {
    Router::new()
}
