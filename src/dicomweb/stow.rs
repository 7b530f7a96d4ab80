//! Storing (PS3.18 §10.5).

use axum::Router;

use super::DicomwebState;

/// The routes of this service.
pub(super) fn routes() -> Router<DicomwebState> {
    Router::new()
}
