//! One instance out of the pieces of its part.

use bytes::{Bytes, BytesMut};
use filmroom_storage::model::{Origin, StudyInstanceUid};
use futures_util::StreamExt;

use crate::multipart::{BodyError, BodyStream};
use filmroom_dataset::{DataSetError, FileHead, read_file_head};
use filmroom_ingest::{Announced, Ingest, IngestError, Receiving};

/// File meta information is read up to this length; the longest known, with private information, has some kilobytes.
const HEAD_MAX_BYTES: usize = 1 << 20;

/// Where the bytes of one instance come from.
pub(super) trait Pieces {
    /// Why no more can be read.
    type Error;

    /// The next bytes, `None` at the end.
    fn piece(&mut self) -> impl Future<Output = Result<Option<Bytes>, Self::Error>> + Send;
}

/// A body that is one instance.
pub(super) struct Whole(pub(super) BodyStream);

impl Pieces for Whole {
    type Error = BodyError;

    async fn piece(&mut self) -> Result<Option<Bytes>, BodyError> {
        self.0.next().await.transpose()
    }
}

/// An instance whose bytes have all come.
pub(super) struct Received {
    pub(super) receiving: Receiving,
    pub(super) named: Named,
}

/// What the file meta information calls the instance, for answers about what was not stored.
#[derive(Debug, Clone, Default)]
pub(super) struct Named {
    pub(super) sop_class_uid: String,
    pub(super) sop_instance_uid: String,
}

/// Why one instance is not stored, while others may be.
pub(super) struct Refused {
    pub(super) named: Named,
    pub(super) error: IngestError,
}

/// Reads one instance to its end into the archive, not yet safe. The outer error ends the request.
pub(super) async fn receive<P: Pieces + Send>(
    ingest: &Ingest,
    pieces: &mut P,
    study: Option<&StudyInstanceUid>,
    origin: &Origin,
    length: Option<u64>,
) -> Result<Result<Received, Refused>, P::Error> {
    let (head, rest) = match read_head(pieces).await? {
        Ok(read) => read,
        Err(error) => {
            let named = Named::default();
            let error = IngestError::CannotUnderstand(error);
            return Ok(Err(Refused { named, error }));
        }
    };
    let named = Named {
        sop_class_uid: head.media_storage_sop_class_uid.clone(),
        sop_instance_uid: head.media_storage_sop_instance_uid.clone(),
    };
    let announced = Announced {
        transfer_syntax_uid: head.transfer_syntax_uid,
        sop_class_uid: None,
        sop_instance_uid: None,
        study_instance_uid: study.cloned(),
        expected_length: length.unwrap_or_default().saturating_sub(head.data_set_offset as u64),
    };
    let mut receiving = match ingest.receive(announced, origin.clone()) {
        Ok(receiving) => receiving,
        Err(error) => return Ok(Err(Refused { named, error })),
    };
    let mut next = Some(rest);
    while let Some(piece) = next {
        if let Err(error) = receiving.write(&piece).await {
            return Ok(Err(Refused { named, error }));
        }
        next = pieces.piece().await?;
    }
    Ok(Ok(Received { receiving, named }))
}

/// Reads until preamble and file meta information are known; gives what came behind them, too.
async fn read_head<P: Pieces>(pieces: &mut P) -> Result<Result<(FileHead, Bytes), DataSetError>, P::Error> {
    let Some(mut come) = pieces.piece().await? else {
        return Ok(Err(DataSetError::Malformed("the part is empty".to_owned())));
    };
    loop {
        match read_file_head(&come) {
            Ok(Some(head)) => {
                let rest = come.slice(head.data_set_offset.min(come.len())..);
                return Ok(Ok((head, rest)));
            }
            Ok(None) if come.len() > HEAD_MAX_BYTES => {
                return Ok(Err(DataSetError::Limit("1 MiB of file meta information")));
            }
            Ok(None) => {}
            Err(error) => return Ok(Err(error)),
        }
        let Some(more) = pieces.piece().await? else {
            return Ok(Err(DataSetError::Truncated("the file meta information".to_owned())));
        };
        let mut joined = BytesMut::with_capacity(come.len() + more.len());
        joined.extend_from_slice(&come);
        joined.extend_from_slice(&more);
        come = joined.freeze();
    }
}
