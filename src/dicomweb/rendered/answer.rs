//! Pictures as answers: negotiated, tagged, single or in parts.

use axum::{
    body::Body,
    http::{HeaderMap, header},
    response::Response,
};
use bytes::Bytes;
use filmroom_storage::model::InstanceRecord;
use futures_util::{Stream, StreamExt as _, stream};

use crate::{
    accept::{Offer, Packaging},
    multipart::Boundary,
    wado::{conditional::ETag, not_modified, stream_body, typed},
};
use filmroom_render::Media;
use filmroom_render::Rendered;
use filmroom_retrieve::RetrieveError;

/// Single pictures, best first.
pub(super) const SINGLE: [Offer; 4] = [
    Offer::single("image/jpeg"),
    Offer::single("image/png"),
    Offer::single("image/gif"),
    Offer::single("image/webp"),
];

/// Pictures in parts, best first.
pub(super) const PARTS: [Offer; 4] = [
    Offer::multipart("image/jpeg"),
    Offer::multipart("image/png"),
    Offer::multipart("image/gif"),
    Offer::multipart("image/webp"),
];

/// The media of an offer.
pub(super) fn media(offer: Offer) -> Media {
    match offer.media_type {
        "image/png" => Media::Png,
        "image/gif" => Media::Gif,
        "image/webp" => Media::Webp,
        _ => Media::Jpeg,
    }
}

/// The tag of a picture of an instance; `asked`: all that the picture depends on beside it.
pub(super) fn tag(record: &InstanceRecord, offer: Offer, asked: &str) -> ETag {
    let packaging: &[u8] = if offer.packaging == Packaging::Single {
        b"1"
    } else {
        b"n"
    };
    ETag::of([
        record.version().as_slice(),
        offer.media_type.as_bytes(),
        packaging,
        asked.as_bytes(),
    ])
}

/// One picture as the body, unless the client has it already.
pub(super) fn single(rendered: &Rendered, tag: &ETag) -> Response {
    let mut response = typed(
        rendered.media_type,
        Some(rendered.bytes.len() as u64),
        Body::from(rendered.bytes.clone()),
    );
    response.headers_mut().insert(header::ETAG, tag.header());
    response
}

/// 304 when the client has the content of this tag.
pub(super) fn known(tag: &ETag, headers: &HeaderMap) -> Option<Response> {
    tag.is_known(headers).then(|| not_modified(tag))
}

/// Pictures in parts, each with the URL that it can be had from alone.
pub(super) fn parts(
    media_type: &'static str,
    pictures: impl Stream<Item = Result<(Rendered, String), RetrieveError>> + Send + 'static,
) -> Response {
    let boundary = Boundary::random();
    let outer = boundary.content_type(media_type);
    let close = boundary.close();
    let mut first = true;
    let pieces = pictures
        .map(move |picture| match picture {
            Ok((rendered, location)) => {
                let head = boundary.open(
                    first,
                    rendered.media_type,
                    Some(rendered.bytes.len() as u64),
                    Some(&location),
                );
                first = false;
                vec![Ok(head), Ok(rendered.bytes)]
            }
            Err(error) => vec![Err(error)],
        })
        .map(stream::iter)
        .flatten()
        .chain(stream::once(async move { Ok::<Bytes, RetrieveError>(close) }));
    typed(&outer, None, stream_body(pieces))
}
