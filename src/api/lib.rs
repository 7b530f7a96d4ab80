//! The door for programs that run the archive: JSON over HTTP, below `/api/v1`.
//!
//! Nobody is authenticated here yet, so only this machine is answered, and no page of a browser that came from elsewhere.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod commitments;
mod forwards;
mod local;
mod peers;
mod problem;
#[cfg(test)]
mod tests;

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

/// Longest body of a request, in bytes: a peer with all that can be said of it has a few thousand.
const BODY_BYTES_MAX: usize = 256 << 10;

/// The rooms that the door leads to.
#[derive(Clone)]
struct Rooms {
    peers: Arc<Peers>,
    forwarding: Forwarding,
    commitment: Commitments,
}

/// All routes.
pub fn router(peers: Arc<Peers>, forwarding: Forwarding, commitment: Commitments) -> Router {
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
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(local::only))
        .with_state(Rooms {
            peers,
            forwarding,
            commitment,
        })
}
