//! `/api/v1/commitments`: requests for storage commitment whose report was not taken yet.

use axum::{extract::State, http::StatusCode, response::Response};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;

use super::{Rooms, problem::answer};

/// `GET /api/v1/commitments`.
pub(super) async fn list(rooms: State<Rooms>) -> Response {
    let pending: Vec<Value> = rooms
        .commitment
        .list()
        .iter()
        .map(|transaction| {
            json!({
                "id": transaction.id,
                "ae_title": transaction.ae_title,
                "transaction_uid": transaction.transaction_uid,
                "asked_at": transaction.asked_at.format(&Rfc3339).unwrap_or_default(),
                "instances": transaction.references.len(),
                "given_up": transaction.given_up,
            })
        })
        .collect();
    answer(StatusCode::OK, &json!({ "commitments": pending }))
}
