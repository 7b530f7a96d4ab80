//! Another data set came with a SOP Instance UID that is taken: the same instance in another encoding, or another instance.

use std::sync::Arc;

use bytes::Bytes;
use filmroom_storage::{
    model::{BulkValue, InstanceRecord, Origin, TransferSyntaxUid},
    source::ReadAt,
    store::{Collision, Sealed, Store},
};

use super::{IngestError, Outcome};
use filmroom_dataset::{BulkPair, same_header};

/// Bytes compared at once.
const PIECE_BYTES: u64 = 1 << 20;
/// Deflated instances are inflated whole to be compared, up to this length; longer ones are taken for different.
const INFLATED_MAX_BYTES: usize = 64 << 20;

/// Decides what the newcomer is. Another instance is kept apart, durably, and the stored one stays as it is.
pub(super) async fn resolve(store: &Store, collision: Collision, origin: &Origin) -> Result<Outcome, IngestError> {
    let Collision {
        stored,
        incoming,
        description,
    } = collision;
    let header = store.header(&stored).await?;
    let moved = stored.study_instance_uid != description.study_instance_uid
        || stored.series_instance_uid != description.series_instance_uid;
    let pairs = match moved {
        true => None,
        false => same_header(
            &header,
            &stored.transfer_syntax_uid,
            &description.header,
            &description.transfer_syntax_uid,
        ),
    };
    let incoming = Arc::new(incoming);
    let same = match pairs {
        None => false,
        Some(pairs) => same_bulk(store, &stored, &incoming, &description.transfer_syntax_uid, &pairs).await?,
    };
    if same {
        return Ok(Outcome::AlreadyStored);
    }
    let reason = if moved {
        format!(
            "SOP Instance UID {} is taken by an instance of study {}",
            stored.sop_instance_uid, stored.study_instance_uid
        )
    } else {
        format!(
            "SOP Instance UID {} is taken by an instance of other content",
            stored.sop_instance_uid
        )
    };
    let incoming =
        Arc::into_inner(incoming).ok_or_else(|| IngestError::Failed("the instance is still being compared".into()))?;
    store.quarantine(incoming, origin, &reason).await?;
    Ok(Outcome::Quarantined(reason))
}

async fn same_bulk(
    store: &Store,
    stored: &InstanceRecord,
    incoming: &Arc<Sealed>,
    incoming_syntax: &TransferSyntaxUid,
    pairs: &[BulkPair],
) -> Result<bool, IngestError> {
    let one = if filmroom_dataset::is_deflated(&stored.transfer_syntax_uid) {
        if stored.data_set_length() > INFLATED_MAX_BYTES as u64 {
            return Ok(false);
        }
        let deflated = store.read(stored, 0..stored.data_set_length()).await?;
        Side::Inflated(inflated(Arc::new(deflated)).await?)
    } else {
        Side::Stored(store, stored)
    };
    let other = if filmroom_dataset::is_deflated(incoming_syntax) {
        Side::Inflated(inflated(Arc::new(SealedDataSet(incoming.clone()))).await?)
    } else {
        Side::Incoming(incoming.clone())
    };
    for pair in pairs {
        if !same_value(&one, &other, pair).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A data set to be compared.
enum Side<'a> {
    Stored(&'a Store, &'a InstanceRecord),
    Incoming(Arc<Sealed>),
    /// `None`: too long to be inflated here.
    Inflated(Option<Bytes>),
}

impl Side<'_> {
    async fn read(&self, value: &BulkValue, from: u64, length: u64) -> Result<Option<Bytes>, IngestError> {
        let length = length.min(value.length.saturating_sub(from));
        let offset = value.offset + from;
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        let failed = |error: std::io::Error| IngestError::Failed(error.to_string());
        match self {
            Side::Stored(store, record) => Ok(Some(store.read(record, offset..offset + length).await?)),
            Side::Inflated(None) => Ok(None),
            Side::Inflated(Some(bytes)) => bytes.read_at(offset, size).map(Some).map_err(failed),
            Side::Incoming(sealed) if !sealed.is_staged() => {
                sealed.data_set().read_at(offset, size).map(Some).map_err(failed)
            }
            Side::Incoming(sealed) => {
                let sealed = sealed.clone();
                let read = tokio::task::spawn_blocking(move || sealed.data_set().read_at(offset, size)).await;
                read.map_err(|error| IngestError::Failed(error.to_string()))?
                    .map(Some)
                    .map_err(failed)
            }
        }
    }
}

/// Compares two values piece by piece; where one is longer by a byte, that is padding.
async fn same_value(one: &Side<'_>, other: &Side<'_>, pair: &BulkPair) -> Result<bool, IngestError> {
    let longest = pair.one.length.max(pair.other.length);
    let mut from = 0;
    while from < longest {
        let a = one.read(&pair.one, from, PIECE_BYTES).await?;
        let b = other.read(&pair.other, from, PIECE_BYTES).await?;
        let (Some(a), Some(b)) = (a, b) else { return Ok(false) };
        if !same_piece(&a, &b, pair.swapped_word_bytes) {
            return Ok(false);
        }
        from += PIECE_BYTES;
    }
    Ok(true)
}

fn same_piece(one: &[u8], other: &[u8], swapped_word_bytes: usize) -> bool {
    let shared = one.len().min(other.len());
    let (Some((one, one_rest)), Some((other, other_rest))) =
        (one.split_at_checked(shared), other.split_at_checked(shared))
    else {
        return false;
    };
    if one_rest.iter().chain(other_rest).any(|byte| *byte != 0) {
        return false;
    }
    if swapped_word_bytes < 2 {
        return one == other;
    }
    let words = one
        .chunks_exact(swapped_word_bytes)
        .zip(other.chunks_exact(swapped_word_bytes));
    words.into_iter().all(|(one, other)| one.iter().eq(other.iter().rev()))
        && one.chunks_exact(swapped_word_bytes).remainder() == other.chunks_exact(swapped_word_bytes).remainder()
}

/// A sealed instance's data set, to be moved to a blocking thread.
struct SealedDataSet(Arc<Sealed>);

impl ReadAt for SealedDataSet {
    fn len(&self) -> u64 {
        self.0.data_set().len()
    }

    fn read_at(&self, offset: u64, length: usize) -> std::io::Result<Bytes> {
        self.0.data_set().read_at(offset, length)
    }
}

async fn inflated(source: Arc<dyn ReadAt>) -> Result<Option<Bytes>, IngestError> {
    let inflated =
        tokio::task::spawn_blocking(move || filmroom_dataset::inflate(source.as_ref(), INFLATED_MAX_BYTES)).await;
    match inflated.map_err(|error| IngestError::Failed(error.to_string()))? {
        Ok(bytes) => Ok(Some(bytes)),
        Err(filmroom_dataset::DataSetError::Limit(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_words_across_byte_orders() {
        assert!(same_piece(&[1, 2, 3, 4], &[2, 1, 4, 3], 2));
        assert!(!same_piece(&[1, 2, 3, 4], &[1, 2, 3, 4], 2));
        assert!(same_piece(&[1, 2, 3, 4, 5], &[4, 3, 2, 1, 5], 4));
        assert!(same_piece(&[1, 2, 3], &[1, 2, 3, 0], 1));
        assert!(!same_piece(&[1, 2, 3], &[1, 2, 3, 9], 1));
    }
}
