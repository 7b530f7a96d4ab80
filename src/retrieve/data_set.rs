//! Whole data sets, as they are stored or in another transfer syntax.

use bytes::Bytes;
use filmroom_storage::model::InstanceRecord;
use futures_util::{StreamExt, stream};

use super::{
    Outgoing, Retrieve, RetrieveError, Wanted,
    reencode::{self, Target},
};

/// A data set up to this long is read at once: a reader that opens several ahead has their reads under way together.
const AT_ONCE_MAX_BYTES: u64 = 1 << 20;

pub(super) async fn data_set(
    room: &Retrieve,
    instance: &InstanceRecord,
    wanted: &Wanted,
) -> Result<Outgoing, RetrieveError> {
    let stored = &instance.transfer_syntax_uid;
    match wanted {
        Wanted::AsStored => as_stored(room, instance).await,
        Wanted::OneOf(wanted) if wanted.contains(stored) => as_stored(room, instance).await,
        Wanted::OneOf(wanted) => {
            let mut failed = RetrieveError::TransferSyntax(format!("it is stored in {stored}"));
            let mut targets: Vec<_> = wanted
                .iter()
                .filter_map(|transfer_syntax| Some((transfer_syntax, Target::of(transfer_syntax)?)))
                .collect();
            targets.sort_by_key(|(_, target)| target.is_lossy());
            for (transfer_syntax, target) in targets {
                match reencode::open(room, instance, transfer_syntax, target).await {
                    Err(error @ (RetrieveError::TransferSyntax(_) | RetrieveError::Decode(_))) => failed = error,
                    outcome => return outcome,
                }
            }
            Err(failed)
        }
    }
}

async fn as_stored(room: &Retrieve, instance: &InstanceRecord) -> Result<Outgoing, RetrieveError> {
    let length = instance.data_set_length();
    let data_set = if length <= AT_ONCE_MAX_BYTES {
        let whole: Bytes = room.store.read(instance, 0..length).await?;
        stream::iter([Ok(whole)]).boxed()
    } else {
        room.store
            .stream(instance, 0..length)
            .map(|piece| piece.map_err(RetrieveError::from))
            .boxed()
    };
    Ok(Outgoing {
        transfer_syntax_uid: instance.transfer_syntax_uid.clone(),
        sop_instance_uid: instance.sop_instance_uid.clone(),
        length: Some(length),
        data_set,
    })
}
