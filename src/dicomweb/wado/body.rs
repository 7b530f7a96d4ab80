//! Bodies that are sent as they are read.

use axum::{
    body::Body,
    http::{HeaderValue, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};

use filmroom_retrieve::RetrieveError;

/// A body of pieces. When one cannot be read the connection is cut, so that the client does not take a part for the whole.
pub fn stream_body(pieces: impl Stream<Item = Result<Bytes, RetrieveError>> + Send + 'static) -> Body {
    Body::from_stream(pieces.inspect(|piece| {
        if let Err(error) = piece {
            tracing::error!(%error, "an answer broke off");
        }
    }))
}

/// An answer of a media type; what no header field may hold is left out.
pub fn typed(content_type: &str, length: Option<u64>, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    // Patient data: a browser may keep it, for its user alone, and asks each time whether it still holds.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}
