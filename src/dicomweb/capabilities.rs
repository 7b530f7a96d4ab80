//! What this service can do (PS3.18 §8.9).

use axum::Router;

use super::DicomwebState;

/// The routes of this service.
pub(super) fn routes() -> Router<DicomwebState> {
    Router::new()
}
