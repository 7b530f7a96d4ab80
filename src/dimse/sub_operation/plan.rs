//! Which instances a retrieval means.

use filmroom_storage::model::{InstanceRecord, SopClassUid, TransferSyntaxUid};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::propose::{Contexts, propose};
use crate::association::{EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, Proposal};
use filmroom_peers::{Peer, Quirk};
use filmroom_retrieve::{Retrieve, RetrieveError, Selection};

/// Records that are kept from counting to sending; of a larger selection they are read again, so that memory stays flat.
const RECORDS_MAX: usize = 4096;

/// The instances of a retrieval.
pub(crate) struct Plan {
    /// How many.
    pub(crate) total: u64,
    /// Each SOP class with the transfer syntaxes that its instances are stored in.
    pub(crate) kinds: Vec<(SopClassUid, Vec<TransferSyntaxUid>)>,
    records: Vec<InstanceRecord>,
    selection: Selection,
}

impl Plan {
    /// Counts what a selection means.
    pub(crate) async fn new(retrieve: &Retrieve, selection: Selection) -> Result<Self, RetrieveError> {
        let mut plan = Self {
            total: 0,
            kinds: Vec::new(),
            records: Vec::new(),
            selection: selection.clone(),
        };
        let mut found = retrieve.select(selection);
        while let Some(record) = found.next().await {
            let record = record?;
            plan.total += 1;
            plan.note_kind(&record);
            if plan.records.len() < RECORDS_MAX {
                plan.records.push(record);
            }
        }
        if plan.total > RECORDS_MAX as u64 {
            plan.records = Vec::new();
        }
        Ok(plan)
    }

    fn note_kind(&mut self, record: &InstanceRecord) {
        let stored = &record.transfer_syntax_uid;
        match self.kinds.iter_mut().find(|(class, _)| *class == record.sop_class_uid) {
            Some((_, syntaxes)) if syntaxes.contains(stored) => {}
            Some((_, syntaxes)) => syntaxes.push(stored.clone()),
            None => self.kinds.push((record.sop_class_uid.clone(), vec![stored.clone()])),
        }
    }

    /// The instances, in order.
    pub(crate) fn instances(
        &mut self,
        retrieve: &Retrieve,
    ) -> BoxStream<'static, Result<InstanceRecord, RetrieveError>> {
        if self.total <= RECORDS_MAX as u64 {
            stream::iter(std::mem::take(&mut self.records)).map(Ok).boxed()
        } else {
            retrieve.select(self.selection.clone())
        }
    }

    /// What to propose to a destination: for each SOP class its stored transfer syntaxes, each in a context of its own so that
    /// bytes go as they are, and the two uncompressed ones that every node has to know one of.
    ///
    /// Of a peer whose transfer syntaxes are known only those are proposed, and the one that every node has to know.
    pub(crate) fn proposal(&self, peer: &Peer) -> Proposal {
        let known = &peer.transfer_syntaxes;
        let takes = |uid: &TransferSyntaxUid| known.is_empty() || known.contains(uid);
        let kinds = self.kinds.iter().map(|(class, syntaxes)| {
            let taken = syntaxes.iter().filter(|uid| takes(uid)).map(TransferSyntaxUid::as_str);
            (class.as_str(), taken.collect::<Vec<_>>())
        });
        let fallbacks: Vec<&str> = [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN]
            .into_iter()
            .filter(|uid| {
                let is_known = known.iter().any(|known| known.as_str() == *uid);
                known.is_empty() || is_known || *uid == IMPLICIT_VR_LITTLE_ENDIAN
            })
            .collect();
        let together = peer.quirks.contains(&Quirk::OneContextPerClass);
        propose(
            kinds,
            &fallbacks,
            if together { Contexts::OneEach } else { Contexts::Apart },
        )
    }
}
