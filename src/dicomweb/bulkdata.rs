//! Bulk data (PS3.18 §10.4.1.1.6).

use axum::Router;

use super::DicomwebState;

/// The routes of this service.
pub(super) fn routes() -> Router<DicomwebState> {
    Router::new()
}
