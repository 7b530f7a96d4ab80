//! `rendered` at every level.

use axum::{extract::State, http::HeaderMap, response::Response};
use filmroom_storage::model::InstanceRecord;
use futures_util::{StreamExt as _, stream};

use super::{
    answer::{self, PARTS, SINGLE},
    documents, films, parameters, presentations,
};
use crate::{
    DicomwebState,
    accept::{Accept, Packaging},
    base_url::BaseUrl,
    error::Problem,
    query_string::QueryString,
    wado::{
        FrameList, every_frame,
        resource::{Resource, instance_url},
    },
};
use filmroom_render::Media;
use filmroom_render::Parameters;
use filmroom_render::Render;
use filmroom_render::RenderError;
use filmroom_render::Rendered;
use filmroom_render::is_presentation_state;
use filmroom_render::number_of_frames;
use filmroom_retrieve::RetrieveError;

/// Frames rendered ahead of the one that is being sent.
pub(super) const FRAMES_AHEAD: usize = 2;

/// A study or a series.
pub(super) async fn of_many(
    State(state): State<DicomwebState>,
    resource: Resource,
    accept: Accept,
    query: QueryString,
    base: BaseUrl,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = parameters::rendering(&query)?;
    let offers: Vec<_> = SINGLE.into_iter().chain(PARTS).collect();
    let offer = accept.negotiate(&offers)?;
    let media = answer::media(offer);
    let representative = state
        .render
        .representative(&resource.sight, &resource.study, resource.series.as_ref())
        .await?;
    if offer.packaging == Packaging::Single {
        return one(&state, representative, None, parameters, offer, &headers).await;
    }
    let render = state.render.clone();
    let base_url = base.clone();
    let pictures = state
        .retrieve
        .select(resource.selection())
        .flat_map(move |record| match record {
            Ok(record) if record.pixel_data.is_some() => {
                let numbers = 1..=number_of_frames(&record);
                every(&render, &base_url, &record, numbers, parameters, media).boxed()
            }
            Ok(_) => stream::empty().boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        });
    Ok(answer::parts(offer.media_type, pictures))
}

/// An instance.
pub(super) async fn of_instance(
    State(state): State<DicomwebState>,
    resource: Resource,
    accept: Accept,
    query: QueryString,
    base: BaseUrl,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = parameters::rendering(&query)?;
    let record = record(&state, &resource).await?;
    if is_presentation_state(&record) {
        return presentations::retrieve(&state, &record, parameters, &accept, &base, &headers).await;
    }
    if record.pixel_data.is_none() {
        return documents::retrieve(&state, &record, parameters, &accept, &headers).await;
    }
    if films::is_film(&record) {
        return films::retrieve(&state, &record, &accept, &headers).await;
    }
    let offers: Vec<_> = SINGLE.into_iter().chain(PARTS).collect();
    let offer = accept.negotiate(&offers)?;
    if offer.packaging == Packaging::Single {
        return one(&state, record, None, parameters, offer, &headers).await;
    }
    let numbers = every_frame(&record)?;
    several(&state, &base, &record, numbers, parameters, answer::media(offer)).await
}

/// A list of frames.
pub(super) async fn of_frames(
    State(state): State<DicomwebState>,
    resource: Resource,
    list: FrameList,
    accept: Accept,
    query: QueryString,
    base: BaseUrl,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let parameters = parameters::rendering(&query)?;
    let numbers = list.numbers(state.config.frame_list_max)?;
    let record = record(&state, &resource).await?;
    let count = if record.pixel_data.is_some() {
        number_of_frames(&record)
    } else {
        0
    };
    if let Some(number) = numbers.iter().find(|number| **number > count) {
        return Err(Problem::not_found(format!(
            "frame {number} of instance {} is not there: it has {count}",
            record.sop_instance_uid
        )));
    }
    if let [number] = numbers.as_slice() {
        let offers: Vec<_> = SINGLE.into_iter().chain(PARTS).collect();
        let offer = accept.negotiate(&offers)?;
        if offer.packaging == Packaging::Single {
            return one(&state, record, Some(*number), parameters, offer, &headers).await;
        }
        return several(&state, &base, &record, numbers, parameters, answer::media(offer)).await;
    }
    // One picture cannot hold several frames, unless it moves.
    let offers: Vec<_> = PARTS
        .into_iter()
        .chain(SINGLE.into_iter().filter(|offer| answer::media(*offer) == Media::Gif))
        .collect();
    let offer = accept.negotiate(&offers)?;
    if offer.packaging == Packaging::Single {
        let tag = answer::tag(&record, offer, &format!("{numbers:?}{parameters:?}"));
        if let Some(response) = answer::known(&tag, &headers) {
            return Ok(response);
        }
        let indices: Vec<u32> = numbers.iter().map(|number| number.saturating_sub(1)).collect();
        let rendered = state.render.animation(&record, Some(indices), &parameters).await?;
        return Ok(answer::single(&rendered, &tag));
    }
    several(&state, &base, &record, numbers, parameters, answer::media(offer)).await
}

/// The instance of the path.
pub(super) async fn record(state: &DicomwebState, resource: &Resource) -> Result<InstanceRecord, Problem> {
    let (Some(series), Some(instance)) = (&resource.series, &resource.instance) else {
        return Err(resource.not_found());
    };
    Ok(state
        .retrieve
        .instance(&resource.sight, &resource.study, series, instance)
        .await?)
}

/// One picture: of a frame (from 1), of the representative one, or of all in turn.
async fn one(
    state: &DicomwebState,
    record: InstanceRecord,
    number: Option<u32>,
    parameters: Parameters,
    offer: crate::accept::Offer,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let tag = answer::tag(&record, offer, &format!("{number:?}{parameters:?}"));
    if let Some(response) = answer::known(&tag, headers) {
        return Ok(response);
    }
    let media = answer::media(offer);
    let rendered = match number {
        Some(number) => {
            state
                .render
                .frame(&record, number.saturating_sub(1), &parameters, media)
                .await?
        }
        None if media == Media::Gif && number_of_frames(&record) > 1 => {
            state.render.animation(&record, None, &parameters).await?
        }
        None => {
            let frame_index = state
                .render
                .representative_frame(&record, filmroom_render::Otherwise::First)
                .await?;
            state.render.frame(&record, frame_index, &parameters, media).await?
        }
    };
    Ok(answer::single(&rendered, &tag))
}

/// Frames of one instance in parts. The first is made before the answer begins, so that a frame that cannot be shown has a
/// status of its own.
async fn several(
    state: &DicomwebState,
    base: &BaseUrl,
    record: &InstanceRecord,
    numbers: Vec<u32>,
    parameters: Parameters,
    media: Media,
) -> Result<Response, Problem> {
    if let Some(first) = numbers.first() {
        state
            .render
            .frame(record, first.saturating_sub(1), &parameters, media)
            .await?;
    }
    let pictures = every(&state.render, base, record, numbers, parameters, media);
    Ok(answer::parts(media.media_type(), pictures))
}

fn every(
    render: &Render,
    base: &BaseUrl,
    record: &InstanceRecord,
    numbers: impl IntoIterator<Item = u32, IntoIter: Send + 'static> + 'static,
    parameters: Parameters,
    media: Media,
) -> impl futures_util::Stream<Item = Result<(Rendered, String), RetrieveError>> + Send + 'static {
    let (render, record) = (render.clone(), record.clone());
    let url = instance_url(
        base,
        &record.study_instance_uid,
        &record.series_instance_uid,
        &record.sop_instance_uid,
    );
    stream::iter(numbers)
        .map(move |number| {
            let (render, record) = (render.clone(), record.clone());
            let location = format!("{url}/frames/{number}/rendered");
            async move {
                match render
                    .frame(&record, number.saturating_sub(1), &parameters, media)
                    .await
                {
                    Ok(rendered) => Some(Ok((rendered, location))),
                    Err(error) => match error.as_ref() {
                        // One picture that cannot be had does not take the others away.
                        RenderError::NotRenderable(_) | RenderError::Decode(_) | RenderError::Parameter(_) => {
                            tracing::warn!(%error, "a frame was left out of a rendered answer");
                            None
                        }
                        _ => Some(Err(RetrieveError::Decode(error.to_string()))),
                    },
                }
            }
        })
        .buffered(FRAMES_AHEAD)
        .filter_map(|picture| async move { picture })
}
