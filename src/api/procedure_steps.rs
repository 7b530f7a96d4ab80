//! `/api/v1/procedure-steps`: what modalities say they performed; `/api/v1/studies/incomplete`: what of it is not here.

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::Response,
};
use serde_json::{Value, json};

use super::{
    Rooms,
    page::Page,
    problem::{answer, problem},
};
use filmroom_admission::Seen;
use filmroom_storage::model::StudyInstanceUid;
use filmroom_worklist::{Lacking, StepError, to_json};

/// `GET /api/v1/procedure-steps`: those that were changed last first.
pub(super) async fn list(State(rooms): State<Rooms>, Query(page): Query<Page>) -> Response {
    let all = rooms.worklist.procedure_steps().list();
    answer(
        StatusCode::OK,
        &json!({ "total": all.len(), "procedure_steps": page.of(&all) }),
    )
}

/// `GET /api/v1/procedure-steps/{SOP Instance UID}`: with its data set.
pub(super) async fn read(State(rooms): State<Rooms>, Path(uid): Path<String>) -> Response {
    let steps = rooms.worklist.procedure_steps().clone();
    match tokio::task::spawn_blocking(move || steps.get(&uid)).await {
        Ok(Ok((step, attributes))) => {
            let mut shown = serde_json::to_value(&step).unwrap_or_default();
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("attributes".to_owned(), to_json(&attributes));
            }
            answer(StatusCode::OK, &shown)
        }
        Ok(Err(error @ StepError::Unknown)) => problem(StatusCode::NOT_FOUND, &error.to_string()),
        Ok(Err(error)) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// `GET /api/v1/studies/incomplete`: studies under way, and those of which more was made than is here. `limit` and `offset`
/// count procedure steps.
pub(super) async fn incomplete(State(rooms): State<Rooms>, Seen(sight): Seen, Query(page): Query<Page>) -> Response {
    let steps = rooms.worklist.procedure_steps();
    match steps.lacking(page.offset(), page.limit()).await {
        Ok(looked) => {
            let is_seen = |study: &&Lacking| {
                let uid = StudyInstanceUid::new(&study.study_instance_uid);
                sight.is_all() || uid.is_ok_and(|uid| sight.sees(&uid).unwrap_or(false))
            };
            let studies: Vec<Value> = looked.studies.iter().filter(is_seen).map(shown).collect();
            let more = looked.has_more.then(|| page.offset() + looked.steps);
            answer(StatusCode::OK, &json!({ "studies": studies, "next_offset": more }))
        }
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

fn shown(study: &Lacking) -> Value {
    let missing: Vec<Value> = study
        .missing
        .iter()
        .map(|(series, instance)| json!({ "series_instance_uid": series, "sop_instance_uid": instance.as_str() }))
        .collect();
    json!({
        "study_instance_uid": study.study_instance_uid,
        "state": if study.is_in_progress { "in-progress" } else { "incomplete" },
        "procedure_steps": study.procedure_steps,
        "expected": study.expected,
        "received": study.received,
        "missing": missing,
    })
}
