//! The next instance to be sent, opened and begun to be read while the one before it is still on its way.

use bytes::Bytes;
use filmroom_storage::model::{InstanceRecord, SopInstanceUid, TransferSyntaxUid};
use futures_util::{StreamExt, stream::BoxStream};

use super::Plan;
use crate::association::{Context, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, Service};
use filmroom_retrieve::{Outgoing, Retrieve, RetrieveError, Wanted};

/// The pieces of a data set.
pub(super) type Pieces = BoxStream<'static, Result<Bytes, RetrieveError>>;

/// An instance whose first bytes are at hand.
pub(super) struct Ready {
    pub(super) record: InstanceRecord,
    /// Another than that of the record where pixels have lost something on the way.
    pub(super) sop_instance_uid: SopInstanceUid,
    pub(super) context_id: u8,
    pub(super) first: Bytes,
    pub(super) rest: Pieces,
}

/// What comes next.
pub(super) enum Supplied {
    /// An instance to be sent.
    Ready(Box<Ready>),
    /// One that cannot be sent; the log says why.
    Unsendable(SopInstanceUid),
    /// No more can be found.
    Broken(RetrieveError),
    /// All have been.
    End,
}

/// The instances of a retrieval in order, in transfer syntaxes that the receiver takes.
pub(super) struct Supply {
    retrieve: Retrieve,
    contexts: Vec<Context>,
    instances: BoxStream<'static, Result<InstanceRecord, RetrieveError>>,
}

impl Supply {
    pub(super) fn new(retrieve: &Retrieve, contexts: &[Context], mut plan: Plan) -> Self {
        let usable = contexts
            .iter()
            .filter(|context| context.service == Service::Storage && context.may_invoke);
        Self {
            retrieve: retrieve.clone(),
            contexts: usable.cloned().collect(),
            instances: plan.instances(retrieve),
        }
    }

    /// The next instance. Dropping the future may lose one.
    pub(super) async fn next(&mut self) -> Supplied {
        let record = match self.instances.next().await {
            None => return Supplied::End,
            Some(Err(error)) => return Supplied::Broken(error),
            Some(Ok(record)) => record,
        };
        let Some((context_id, outgoing)) = open(&self.retrieve, &self.contexts, &record).await else {
            return Supplied::Unsendable(record.sop_instance_uid);
        };
        let sop_instance_uid = outgoing.sop_instance_uid;
        let mut rest = outgoing.data_set;
        // Before anything is said: what cannot be read at all is a failure of its own, not of the association.
        match next_piece(&mut rest).await {
            Ok(first) => Supplied::Ready(Box::new(Ready {
                record,
                sop_instance_uid,
                context_id,
                first: first.unwrap_or_default(),
                rest,
            })),
            Err(error) => {
                tracing::error!(%error, sop_instance_uid = %record.sop_instance_uid, "an instance cannot be read");
                Supplied::Unsendable(record.sop_instance_uid)
            }
        }
    }

    /// The UIDs of all that are left, without opening them.
    pub(super) async fn next_uid(&mut self) -> Option<SopInstanceUid> {
        self.instances.next().await?.ok().map(|record| record.sop_instance_uid)
    }
}

/// Opens an instance in a transfer syntax that the receiver takes, as stored where it can be, and tells the context for it.
async fn open(retrieve: &Retrieve, contexts: &[Context], record: &InstanceRecord) -> Option<(u8, Outgoing)> {
    let class = record.sop_class_uid.as_str();
    let usable = || contexts.iter().filter(|context| *context.abstract_syntax == *class);
    let mut syntaxes: Vec<TransferSyntaxUid> = usable().map(|context| context.transfer_syntax.clone()).collect();
    if syntaxes.is_empty() {
        tracing::info!(sop_class_uid = class, "the receiver takes no instances of this class");
        return None;
    }
    let wanted = if syntaxes.contains(&record.transfer_syntax_uid) {
        Wanted::AsStored
    } else {
        syntaxes.sort_by_key(|uid| match uid.as_str() {
            EXPLICIT_VR_LITTLE_ENDIAN => 0,
            IMPLICIT_VR_LITTLE_ENDIAN => 1,
            _ => 2,
        });
        Wanted::OneOf(syntaxes)
    };
    match retrieve.data_set(record, &wanted).await {
        Ok(outgoing) => {
            let context = usable().find(|context| context.transfer_syntax == outgoing.transfer_syntax_uid)?;
            Some((context.id, outgoing))
        }
        Err(error) => {
            tracing::warn!(%error, sop_instance_uid = %record.sop_instance_uid, "an instance cannot be sent");
            None
        }
    }
}

/// The next piece that is not empty.
pub(super) async fn next_piece(pieces: &mut Pieces) -> Result<Option<Bytes>, RetrieveError> {
    loop {
        match pieces.next().await.transpose()? {
            Some(piece) if piece.is_empty() => {}
            other => return Ok(other),
        }
    }
}
