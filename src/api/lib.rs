//! The door for programs that run the archive: JSON over HTTP, below `/api/v1`.
//!
//! Nobody is authenticated here yet, so only this machine is answered, and no page of a browser that came from elsewhere.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod audit;
mod commitments;
mod forwards;
mod local;
mod page;
mod peers;
mod problem;
mod procedure_steps;
#[cfg(test)]
mod tests;
mod worklist;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};

use filmroom_commitment::Commitments;
use filmroom_forwarding::Forwarding;
use filmroom_peers::Peers;
use filmroom_worklist::Worklist;

pub use audit::AuditRoom;

/// Longest body of a request, in bytes: a peer with all that can be said of it has a few thousand.
const BODY_BYTES_MAX: usize = 256 << 10;

/// The rooms that the door leads to.
#[derive(Clone)]
pub struct Rooms {
    /// Knows other application entities.
    pub peers: Arc<Peers>,
    /// Passes instances on.
    pub forwarding: Forwarding,
    /// Answers for storage commitment.
    pub commitment: Commitments,
    /// Knows what is scheduled and what was performed.
    pub worklist: Worklist,
    /// Knows who did what.
    pub audit: AuditRoom,
}

/// All routes.
pub fn router(rooms: Rooms) -> Router {
    let audit = Router::new()
        .route("/fhir/AuditEvent", get(audit::search))
        .route("/fhir/AuditEvent/{id}", get(audit::read))
        .route("/api/v1/audit/checkpoint", get(audit::checkpoint))
        .with_state(rooms.audit.clone());
    Router::new()
        .route("/api/v1/peers", get(peers::list))
        .route(
            "/api/v1/peers/{ae_title}",
            get(peers::read).put(peers::write).delete(peers::remove),
        )
        .route("/api/v1/forwards", get(forwards::list))
        .route("/api/v1/forwards/{id}", get(forwards::read).delete(forwards::remove))
        .route("/api/v1/forwards/{id}/retry", post(forwards::retry))
        .route("/api/v1/commitments", get(commitments::list))
        .route("/api/v1/worklist", get(worklist::list))
        .route(
            "/api/v1/worklist/{*id}",
            get(worklist::read).put(worklist::write).delete(worklist::remove),
        )
        .route("/api/v1/procedure-steps", get(procedure_steps::list))
        .route("/api/v1/procedure-steps/{uid}", get(procedure_steps::read))
        .route("/api/v1/studies/incomplete", get(procedure_steps::incomplete))
        .with_state(rooms)
        .merge(audit)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(local::only))
}
