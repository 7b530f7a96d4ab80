//! `thumbnail` at every level: one picture in one hop, of anything.

use axum::{extract::State, http::HeaderMap, response::Response};
use filmroom_storage::model::InstanceRecord;

use super::{
    answer::{self, SINGLE},
    parameters, pictures,
};
use crate::{
    DicomwebState, accept::Accept, error::Problem, query_string::QueryString, wado::FrameList, wado::resource::Resource,
};
use filmroom_render::Otherwise;

/// A study or a series.
pub(super) async fn of_many(
    State(state): State<DicomwebState>,
    resource: Resource,
    accept: Accept,
    query: QueryString,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = state
        .render
        .representative(&resource.sight, &resource.study, resource.series.as_ref())
        .await?;
    thumbnail(&state, record, None, &accept, &query, &headers).await
}

/// An instance.
pub(super) async fn of_instance(
    State(state): State<DicomwebState>,
    resource: Resource,
    accept: Accept,
    query: QueryString,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = pictures::record(&state, &resource).await?;
    thumbnail(&state, record, None, &accept, &query, &headers).await
}

/// The first of a list of frames.
pub(super) async fn of_frames(
    State(state): State<DicomwebState>,
    resource: Resource,
    list: FrameList,
    accept: Accept,
    query: QueryString,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let numbers = list.numbers(state.config.frame_list_max)?;
    let record = pictures::record(&state, &resource).await?;
    thumbnail(&state, record, numbers.first().copied(), &accept, &query, &headers).await
}

async fn thumbnail(
    state: &DicomwebState,
    record: InstanceRecord,
    number: Option<u32>,
    accept: &Accept,
    query: &QueryString,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let viewport = parameters::viewport(query)?;
    let offer = accept.negotiate(&SINGLE)?;
    let frame_index = match number {
        Some(number) => number.saturating_sub(1),
        None => state.render.representative_frame(&record, Otherwise::Middle).await?,
    };
    let tag = answer::tag(&record, offer, &format!("thumbnail{frame_index}{viewport:?}"));
    if let Some(response) = answer::known(&tag, headers) {
        return Ok(response);
    }
    let rendered = state
        .render
        .thumbnail(&record, frame_index, viewport, answer::media(offer))
        .await?;
    Ok(answer::single(&rendered, &tag))
}
