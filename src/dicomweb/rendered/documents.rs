//! `rendered` of what is no image (PS3.18 §8.7.4, table 8.7.4-1): encapsulated documents as they are, reports as text; and pictures of
//! reports and of waveforms, for who takes nothing else.

use axum::{body::Body, http::HeaderMap, http::header, response::Response};
use filmroom_storage::model::InstanceRecord;

use super::answer::{self, SINGLE};
use crate::{
    DicomwebState,
    accept::{Accept, Offer},
    error::Problem,
    wado::typed,
};
use filmroom_render::Parameters;
use filmroom_render::document::{Document, ReportForm};

/// Answers with the document.
///
/// # Errors
/// [`Problem`] 406 for an instance that is no document, or is none of a type that the client takes.
pub(super) async fn retrieve(
    state: &DicomwebState,
    record: &InstanceRecord,
    parameters: Parameters,
    accept: &Accept,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let document = state.render.document(record).await?;
    let mut offers: Vec<Offer> = match &document {
        Document::Encapsulated { media_type, .. } => vec![Offer::single(media_type)],
        Document::Report => vec![Offer::single("text/html"), Offer::single("text/plain")],
        Document::Waveform => Vec::new(),
        Document::None => {
            return Err(Problem::not_acceptable(&[
                "application/dicom (this instance has no picture)",
            ]));
        }
    };
    if matches!(document, Document::Report | Document::Waveform) {
        offers.extend(SINGLE);
    }
    let offer = accept.negotiate(&offers)?;
    let tag = answer::tag(record, offer, &format!("document{parameters:?}"));
    if let Some(response) = answer::known(&tag, headers) {
        return Ok(response);
    }
    if SINGLE.contains(&offer) {
        let sheet = state.render.sheet(record, &parameters, answer::media(offer)).await?;
        return Ok(answer::single(&sheet, &tag));
    }
    let mut response = match document {
        Document::Encapsulated { media_type, .. } => {
            let bytes = state.render.encapsulated(record, &document).await?;
            typed(media_type, Some(bytes.len() as u64), Body::from(bytes))
        }
        _ => {
            let (form, media_type) = match offer.media_type {
                "text/plain" => (ReportForm::Plain, "text/plain; charset=utf-8"),
                _ => (ReportForm::Html, "text/html; charset=utf-8"),
            };
            let text = state.render.report(record, form).await?;
            typed(media_type, Some(text.len() as u64), Body::from(text))
        }
    };
    response.headers_mut().insert(header::ETAG, tag.header());
    // Stored documents come from anywhere: a browser must not run what is in them.
    response.headers_mut().insert(
        header::CONTENT_SECURITY_POLICY,
        header::HeaderValue::from_static("sandbox; default-src 'none'; style-src 'unsafe-inline'"),
    );
    response.headers_mut().insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}
