//! The pages for people: what the archive holds, with previews. They read through the rooms and own no rule.

use axum::Router;

use crate::query::QueryRoom;

/// The pages.
pub fn router(query: QueryRoom) -> Router {
    let _ = query;
    Router::new()
}
