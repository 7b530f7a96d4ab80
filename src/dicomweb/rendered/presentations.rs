//! `rendered` of a presentation state (PS3.18 §8.3.5): the images that it references, as it presents them.

use axum::{http::HeaderMap, response::Response};
use filmroom_storage::model::InstanceRecord;
use futures_util::{StreamExt as _, stream};

use super::{
    answer::{self, PARTS, SINGLE},
    pictures::FRAMES_AHEAD,
};
use crate::{
    DicomwebState,
    accept::{Accept, Offer, Packaging},
    base_url::BaseUrl,
    error::Problem,
    wado::resource::instance_url,
};
use filmroom_render::{Parameters, Presented, RenderError};
use filmroom_retrieve::RetrieveError;

/// Answers with the first image of a presentation state, or with all of them in parts.
///
/// # Errors
/// [`Problem`] 406 for a state that cannot be applied, or whose images are not here.
pub(super) async fn retrieve(
    state: &DicomwebState,
    record: &InstanceRecord,
    parameters: Parameters,
    accept: &Accept,
    base: &BaseUrl,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let offers: Vec<_> = SINGLE.into_iter().chain(PARTS).collect();
    let offer = accept.negotiate(&offers)?;
    let presented = state.render.presented_by(record).await?;
    let Some(first) = presented.first() else {
        return Err(Problem::not_acceptable(&["application/dicom (it presents no image)"]));
    };
    if offer.packaging == Packaging::Single {
        return one(state, record, first, parameters, offer, headers).await;
    }
    let media = answer::media(offer);
    // The first is made before the answer begins, so that what cannot be shown has a status of its own.
    state.render.presented(record, first, &parameters, media).await?;
    let (render, record, base) = (state.render.clone(), record.clone(), base.clone());
    let pictures = stream::iter(presented)
        .map(move |presented| {
            let (render, record) = (render.clone(), record.clone());
            let instance = &presented.instance;
            let url = instance_url(
                &base,
                &instance.study_instance_uid,
                &instance.series_instance_uid,
                &instance.sop_instance_uid,
            );
            async move {
                match render.presented(&record, &presented, &parameters, media).await {
                    Ok(rendered) => Some(Ok((rendered, url))),
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
        .filter_map(|picture| async move { picture });
    Ok(answer::parts(offer.media_type, pictures))
}

/// One image as a presentation state presents it.
///
/// # Errors
/// [`Problem`].
pub(super) async fn one(
    state: &DicomwebState,
    record: &InstanceRecord,
    presented: &Presented,
    parameters: Parameters,
    offer: Offer,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let of = format!(
        "{:?}{}{parameters:?}",
        presented.instance.version(),
        presented.frame_index
    );
    let tag = answer::tag(record, offer, &of);
    if let Some(response) = answer::known(&tag, headers) {
        return Ok(response);
    }
    let media = answer::media(offer);
    let rendered = state.render.presented(record, presented, &parameters, media).await?;
    Ok(answer::single(&rendered, &tag))
}
