//! What the bytes of a client run through before anything is decided, for the fuzz targets of `tests/fuzz`.

use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use futures_util::{FutureExt, stream};

use filmroom_privacy::Sight;
use filmroom_query::Level;

use crate::{
    DicomwebConfig,
    accept::Accept,
    multipart::{BodyError, ContentType, MultipartError, MultipartReader},
    qido, query_string, rendered, stow,
    wado::conditional,
};

/// Reads a multipart body with the boundary `x`, in pieces of so many bytes.
///
/// # Panics
/// When an empty piece is handed out.
pub fn multipart(body: &[u8], piece: usize) {
    let pieces: Vec<_> = body
        .chunks(piece.max(1))
        .map(|piece| Ok::<_, BodyError>(Bytes::copy_from_slice(piece)))
        .collect();
    let read = async {
        let mut reader = MultipartReader::new(stream::iter(pieces), "x")?;
        while reader.next_part().await?.is_some() {
            while let Some(piece) = reader.piece().await? {
                assert!(!piece.is_empty(), "a piece has bytes");
            }
        }
        Ok::<_, MultipartError>(())
    };
    drop(read.now_or_never());
}

/// Reads a text as each thing that a request is made of: its query, its Accept, its Content-Type, its Range.
pub fn request(text: &str) {
    drop(Accept::parse(text));
    drop(ContentType::parse(text));
    if let Ok(value) = HeaderValue::from_str(text) {
        let _ = conditional::range(&HeaderMap::from_iter([(header::RANGE, value)]), 1 << 20);
    }
    if let Ok(query) = query_string::QueryString::parse(text) {
        for level in [Level::Patient, Level::Study, Level::Series, Level::Instance] {
            drop(qido::parameters::read(
                level,
                &query,
                &DicomwebConfig::default(),
                Sight::all(),
            ));
        }
        drop(rendered::parameters::rendering(&query));
        drop(rendered::parameters::viewport(&query));
    }
}

/// Reads the head of a compressed image that comes without a data set.
pub fn compressed_image(head: &[u8]) {
    stow::codestream::read(head);
}
