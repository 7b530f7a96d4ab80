//! Rendered resources and thumbnails (PS3.18 §10.4.1.1.3, §10.4.1.1.5).

use axum::Router;

use super::DicomwebState;

/// The routes of this service.
pub(super) fn routes() -> Router<DicomwebState> {
    Router::new()
}
