//! Metadata of series as text, kept for who asks next: a viewer asks for those of a study whenever one of its windows opens.
//!
//! The slices of a series are so alike that their text shrinks to a hundredth, so that little memory keeps much, and it is inflated in
//! a fraction of the time that writing it takes. The entity tag is the key: it changes with the series.

use std::{
    io::{Read as _, Write as _},
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, Response, header},
};
use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{ahead, stream_body};
use crate::wado::conditional::ETag;
use filmroom_retrieve::RetrieveError;

/// Memory for texts that are kept.
const KEPT_MAX_BYTES: u64 = 16 << 20;
/// The tag does not tell one rejected slice from another of the same length: a text that might show the wrong one goes soon.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// A longer text is not kept, nor is one that stays longer than the other when it is packed.
const TEXT_MAX_BYTES: usize = 16 << 20;
const PACKED_MAX_BYTES: usize = 2 << 20;
/// A shorter one is written as fast as it is looked up.
const TEXT_MIN_BYTES: usize = 64 << 10;
/// Texts that are gathered at the same time: more are answered, and not kept.
const GATHERED_MAX: usize = 2;
/// Inflated at a time.
const PIECE_BYTES: usize = 512 << 10;
/// The fastest packing shrinks them well enough.
const LEVEL: i32 = 1;

/// The texts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct KeptMetadata {
    texts: Cache<String, Bytes>,
    gathering: Arc<Semaphore>,
}

impl Default for KeptMetadata {
    fn default() -> Self {
        let weight = |key: &String, text: &Bytes| u32::try_from(key.len() + text.len() + 128).unwrap_or(u32::MAX);
        Self {
            texts: Cache::builder()
                .max_capacity(KEPT_MAX_BYTES)
                .weigher(weight)
                .time_to_live(KEPT_FOR)
                .build(),
            gathering: Arc::new(Semaphore::new(GATHERED_MAX)),
        }
    }
}

impl KeptMetadata {
    /// The text of this tag as the client takes it: packed as it is kept, or plain.
    pub(super) fn answer(&self, tag: &ETag, headers: &HeaderMap) -> Option<Response<Body>> {
        let packed = self.texts.get(tag.as_str())?;
        if takes_zstd(headers) {
            let mut response = Response::new(Body::from(packed));
            let fields = response.headers_mut();
            fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("zstd"));
            fields.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
            return Some(response);
        }
        let inflating = zstd::Decoder::with_buffer(std::io::Cursor::new(packed)).ok()?;
        Some(Response::new(stream_body(ahead(inflating, |inflating| {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let read = inflating.take(PIECE_BYTES as u64).read_to_end(&mut piece);
            read.map_err(|error| RetrieveError::Decode(error.to_string()))?;
            Ok((!piece.is_empty()).then(|| piece.into()))
        }))))
    }

    /// Begins to gather the text of this tag; `None` while enough others are gathered.
    pub(super) fn gather(&self, tag: &ETag) -> Option<Gathering> {
        Some(Gathering {
            texts: self.texts.clone(),
            key: tag.as_str().to_owned(),
            pieces: Vec::new(),
            length: 0,
            _permit: self.gathering.clone().try_acquire_owned().ok()?,
        })
    }
}

/// A text on its way.
pub(super) struct Gathering {
    texts: Cache<String, Bytes>,
    key: String,
    pieces: Vec<Bytes>,
    length: usize,
    _permit: OwnedSemaphorePermit,
}

impl Gathering {
    /// Takes a piece; gives up on a text that is too long.
    pub(super) fn take(mut self, piece: &Bytes) -> Option<Self> {
        self.length += piece.len();
        self.pieces.push(piece.clone());
        (self.length <= TEXT_MAX_BYTES).then_some(self)
    }

    /// Keeps the text, which has come whole. Blocks.
    pub(super) fn keep(self) {
        if self.length < TEXT_MIN_BYTES {
            return;
        }
        let packed = zstd::Encoder::new(Vec::new(), LEVEL).and_then(|mut packing| {
            for piece in &self.pieces {
                packing.write_all(piece)?;
            }
            packing.finish()
        });
        match packed {
            Ok(packed) if packed.len() <= PACKED_MAX_BYTES => self.texts.insert(self.key, packed.into()),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "metadata cannot be packed"),
        }
    }
}

/// True when `Accept-Encoding` names zstd with a weight above zero (RFC 9110 §12.5.3).
fn takes_zstd(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight.trim().strip_prefix("q=").map(str::parse::<f32>);
            name.trim().eq_ignore_ascii_case("zstd") && !matches!(weight, Some(Ok(weight)) if weight <= 0.0)
        })
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;

    use super::*;

    fn headers(coding: &'static str) -> HeaderMap {
        [(header::ACCEPT_ENCODING, HeaderValue::from_static(coding))]
            .into_iter()
            .collect()
    }

    #[test]
    fn reads_what_a_client_inflates() {
        for (coding, expected) in [
            ("gzip, deflate, br, zstd", true),
            ("zstd;q=0.5", true),
            ("ZSTD", true),
            ("zstd;q=0, gzip", false),
            ("gzip", false),
            ("", false),
        ] {
            assert_eq!(takes_zstd(&headers(coding)), expected, "{coding}");
        }
    }

    async fn body(response: Response<Body>) -> Vec<u8> {
        let pieces: Vec<Bytes> = response.into_body().into_data_stream().try_collect().await.unwrap();
        pieces.concat()
    }

    #[tokio::test]
    async fn a_text_comes_back_as_it_went() {
        let (kept, tag) = (KeptMetadata::default(), ETag::of([b"series".as_slice()]));
        let text: Bytes = b"[{\"00080018\":{\"vr\":\"UI\"}}]".repeat(60_000).into();
        let mut gathering = kept.gather(&tag).unwrap();
        for piece in text.chunks(100_000) {
            gathering = gathering.take(&Bytes::copy_from_slice(piece)).unwrap();
        }
        gathering.keep();
        assert!(body(kept.answer(&tag, &headers("gzip")).unwrap()).await == text);
        let packed = kept.answer(&tag, &headers("zstd")).unwrap();
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "zstd");
        assert!(zstd::decode_all(body(packed).await.as_slice()).unwrap() == text);
        assert!(
            kept.answer(&ETag::of([b"other".as_slice()]), &headers("zstd"))
                .is_none()
        );
    }

    #[test]
    fn only_so_many_are_gathered_and_none_that_are_too_long() {
        let (kept, tag) = (KeptMetadata::default(), ETag::of([b"series".as_slice()]));
        let (first, second) = (kept.gather(&tag), kept.gather(&tag));
        assert!(first.is_some() && kept.gather(&tag).is_none());
        drop(first);
        assert!(kept.gather(&tag).is_some());
        assert!(second.unwrap().take(&vec![0; TEXT_MAX_BYTES + 1].into()).is_none());
    }
}
