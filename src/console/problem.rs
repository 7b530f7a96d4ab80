//! What a page says when there is nothing to show.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;

use super::layout::{Depth, page};
use filmroom_query::QueryError;

/// Why there is no page.
#[derive(Debug)]
pub enum Problem {
    /// The archive does not hold it.
    NotFound(&'static str, Depth),
    /// What was searched for cannot be understood: says what to change.
    Search(String),
    /// None of the caller's roles shows this.
    NotLet,
    /// Something of ours.
    Internal,
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Value { .. } | QueryError::TooBroad(_) => Self::Search(error.to_string()),
            error @ (QueryError::Index(_) | QueryError::Header(_)) => {
                tracing::error!(%error, "a query for a page failed");
                Self::Internal
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, depth, heading, text) = match self {
            Self::NotFound(what, depth) => (
                StatusCode::NOT_FOUND,
                depth,
                "Not in the archive",
                format!("There is no such {what}."),
            ),
            Self::Search(why) => (StatusCode::BAD_REQUEST, Depth::Top, "This cannot be searched for", why),
            Self::NotLet => (
                StatusCode::FORBIDDEN,
                Depth::Unknown,
                "Not for you",
                "None of your roles shows this page.".to_owned(),
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                Depth::Top,
                "This did not work",
                "The archive could not read its index. Its log says why.".to_owned(),
            ),
        };
        let body = html! {
            div.notice role="alert" {
                h1 { (heading) }
                p { (text) }
                p { a href=(depth.home()) { "All studies" } }
            }
        };
        (status, page(heading, depth, &body)).into_response()
    }
}
