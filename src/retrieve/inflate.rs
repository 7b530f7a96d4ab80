//! Deflated data sets (PS3.5 §A.5): inflated once and kept for a while, so that frames of one instance do not inflate it
//! again and again.

use std::{
    io::{self, Read},
    ops::Range,
};

use bytes::{Bytes, BytesMut};
use filmroom_storage::{
    model::InstanceRecord,
    store::{Store, StoreError},
};
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use moka::sync::Cache;
use tokio::sync::mpsc;

use super::RetrieveError;

/// Longer data sets are inflated anew for each range, without being held.
const HELD_MAX_BYTES: usize = 32 << 20;
/// All data sets that are held, together.
const CACHE_MAX_BYTES: u64 = 64 << 20;
/// Bytes inflated at a time.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces waiting for a slow reader.
const PIECES_AHEAD: usize = 2;

/// Inflated data sets by the SHA-256 of their deflated form; `None` for one that is too long to be held.
pub(super) struct InflatedCache(Cache<[u8; 32], Option<Bytes>>);

impl Default for InflatedCache {
    fn default() -> Self {
        let cache = Cache::builder()
            .max_capacity(CACHE_MAX_BYTES)
            .weigher(|_, held: &Option<Bytes>| held.as_ref().map_or(64, |bytes| bytes.len() as u32).max(64))
            .build();
        Self(cache)
    }
}

impl InflatedCache {
    /// One range of the inflated data set as one piece.
    pub(super) async fn read(
        &self,
        store: &Store,
        instance: &InstanceRecord,
        range: Range<u64>,
    ) -> Result<Bytes, RetrieveError> {
        let length = range.end.saturating_sub(range.start);
        if let Some(whole) = self.held(store, instance).await? {
            return slice(&whole, &range).ok_or_else(|| StoreError::Range(range).into());
        }
        let mut joined = BytesMut::new();
        let mut pieces = inflated(store, instance, range.clone());
        while let Some(piece) = pieces.try_next().await? {
            joined.extend_from_slice(&piece);
        }
        if joined.len() as u64 != length {
            return Err(StoreError::Range(range).into());
        }
        Ok(joined.freeze())
    }

    /// A range of the inflated data set in pieces; ends early where the data set does.
    pub(super) fn stream(
        &self,
        store: &Store,
        instance: &InstanceRecord,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Bytes, RetrieveError>> {
        match self.0.get(&instance.version()) {
            Some(Some(whole)) => {
                let end = range.end.min(whole.len() as u64);
                let part = slice(&whole, &(range.start.min(end)..end)).unwrap_or_default();
                stream::once(async { Ok(part) }).boxed()
            }
            _ => inflated(store, instance, range),
        }
    }

    /// The whole inflated data set, when it is short enough to be held.
    async fn held(&self, store: &Store, instance: &InstanceRecord) -> Result<Option<Bytes>, RetrieveError> {
        if let Some(known) = self.0.get(&instance.version()) {
            return Ok(known);
        }
        let mut whole = BytesMut::new();
        let mut pieces = inflated(store, instance, 0..u64::MAX);
        while let Some(piece) = pieces.try_next().await? {
            whole.extend_from_slice(&piece);
            if whole.len() > HELD_MAX_BYTES {
                self.0.insert(instance.version(), None);
                return Ok(None);
            }
        }
        let whole = whole.freeze();
        self.0.insert(instance.version(), Some(whole.clone()));
        Ok(Some(whole))
    }
}

fn slice(whole: &Bytes, range: &Range<u64>) -> Option<Bytes> {
    let from = usize::try_from(range.start).ok()?;
    let to = usize::try_from(range.end).ok()?;
    (from <= to && to <= whole.len()).then(|| whole.slice(from..to))
}

/// Inflates on a blocking thread and hands over what lies within the range. Ends with the range, the data set, or the reader.
fn inflated(
    store: &Store,
    instance: &InstanceRecord,
    range: Range<u64>,
) -> BoxStream<'static, Result<Bytes, RetrieveError>> {
    let deflated = store.stream(instance, 0..instance.data_set_length());
    let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
    let begin = move || {
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || {
            let reader = Waiting {
                runtime,
                pieces: deflated,
                piece: Bytes::new(),
            };
            hand_over(reader, &range, &pieces);
        })
    };
    // The thread begins with the first poll, when there is a runtime for certain.
    stream::once(async move {
        begin();
        stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        })
    })
    .flatten()
    .boxed()
}

/// Reads a stream from a blocking thread.
struct Waiting {
    runtime: tokio::runtime::Handle,
    pieces: BoxStream<'static, Result<Bytes, StoreError>>,
    piece: Bytes,
}

impl Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.pieces.next()) {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        if let Some(taken) = buffer.get_mut(..length) {
            taken.copy_from_slice(&self.piece.split_to(length));
        }
        Ok(length)
    }
}

fn hand_over(deflated: impl Read, range: &Range<u64>, pieces: &mpsc::Sender<Result<Bytes, RetrieveError>>) {
    let mut inflated = flate2::read::DeflateDecoder::new(deflated);
    let mut at = 0_u64;
    while at < range.end {
        let mut buffer = BytesMut::zeroed(PIECE_BYTES);
        let length = match read_full(&mut inflated, &mut buffer) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) => {
                let damaged = StoreError::Damaged(format!("a deflated data set cannot be inflated: {error}"));
                // Nobody is left to tell when the reader is gone.
                let _ = pieces.blocking_send(Err(damaged.into()));
                return;
            }
        };
        buffer.truncate(length);
        let piece = buffer.freeze();
        let from = range.start.saturating_sub(at).min(length as u64) as usize;
        let to = (range.end - at).min(length as u64) as usize;
        at += length as u64;
        if from < to && pieces.blocking_send(Ok(piece.slice(from..to))).is_err() {
            return;
        }
    }
}

/// Fills the buffer as far as the source reaches.
fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn check(range: Range<u64>) {
        let bytes: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
        let deflated = deflate(&bytes);
        let (sender, mut receiver) = mpsc::channel(PIECES_AHEAD);
        let wanted = range.clone();
        let thread = tokio::task::spawn_blocking(move || hand_over(deflated.as_slice(), &wanted, &sender));
        let mut got = Vec::new();
        while let Some(piece) = receiver.recv().await {
            got.extend_from_slice(&piece.unwrap());
        }
        thread.await.unwrap();
        let end = (range.end as usize).min(bytes.len());
        assert_eq!(got, bytes[(range.start as usize).min(end)..end]);
    }

    #[tokio::test]
    async fn gives_the_range_asked_for() {
        check(0..10).await;
        check(300_000..2_000_001).await;
        check(0..u64::MAX).await;
        check(5_000_000..6_000_000).await;
    }

    #[tokio::test]
    async fn damaged_bytes_are_told() {
        let (sender, mut receiver) = mpsc::channel(PIECES_AHEAD);
        tokio::task::spawn_blocking(move || hand_over([0xFF; 100].as_slice(), &(0..100), &sender))
            .await
            .unwrap();
        assert!(matches!(
            receiver.recv().await,
            Some(Err(RetrieveError::Store(StoreError::Damaged(_))))
        ));
    }
}
