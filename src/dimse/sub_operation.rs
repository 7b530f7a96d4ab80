//! C-STORE sub-operations of C-GET and C-MOVE, and `send`: which context, the transfer, and the count (PS3.4 §C.4.2, §C.4.3).

use bytes::{Bytes, BytesMut};
use filmroom_storage::model::{InstanceRecord, SopClassUid, SopInstanceUid, TransferSyntaxUid};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{
    association::{
        Association, AssociationError, Context, EXPLICIT_VR_LITTLE_ENDIAN, Event, IMPLICIT_VR_LITTLE_ENDIAN, Proposal,
        ProposedContext, Service, Wait,
    },
    identifier::FAILED_SOP_INSTANCE_UID_LIST,
    message::{CommandSet, Counts, Message, Operation},
    session,
    status::Status,
};
use crate::{
    dataset::{Builder, DataSetError, encode},
    retrieve::{Outgoing, Retrieve, RetrieveError, Selection, Wanted},
};

/// Records that are kept from counting to sending; of a larger selection they are read again, so that memory stays flat.
const RECORDS_MAX: usize = 4096;
/// Longest list of failed instances: a UI value in Explicit VR has 65,534 bytes at most (PS3.5 §7.1.2).
const FAILED_LIST_LENGTH_MAX: usize = 65_534;
/// Presentation contexts of one association (PS3.8 §9.3.2.2).
const CONTEXTS_MAX: usize = 128;

/// The instances of a retrieval.
pub(super) struct Plan {
    /// How many.
    pub(super) total: u64,
    /// Each SOP class with the transfer syntaxes that its instances are stored in.
    pub(super) kinds: Vec<(SopClassUid, Vec<TransferSyntaxUid>)>,
    records: Vec<InstanceRecord>,
    selection: Selection,
}

impl Plan {
    /// Counts what a selection means.
    pub(super) async fn new(retrieve: &Retrieve, selection: Selection) -> Result<Self, RetrieveError> {
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
    pub(super) fn instances(
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
    pub(super) fn proposal(&self) -> Proposal {
        propose(self.kinds.iter().map(|(class, syntaxes)| {
            (
                class.as_str(),
                syntaxes.iter().map(TransferSyntaxUid::as_str).collect::<Vec<_>>(),
            )
        }))
    }
}

/// Contexts for SOP classes with the transfer syntaxes that instances have.
pub(super) fn propose<'a>(kinds: impl Iterator<Item = (&'a str, Vec<&'a str>)>) -> Proposal {
    let mut lists: Vec<(&str, Vec<&str>)> = kinds
        .map(|(class, mut syntaxes)| {
            for fallback in [EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN] {
                if !syntaxes.contains(&fallback) {
                    syntaxes.push(fallback);
                }
            }
            (class, syntaxes)
        })
        .collect();
    lists.truncate(CONTEXTS_MAX);
    let context = |class: &str, syntaxes: &[&str]| ProposedContext {
        abstract_syntax: class.to_owned(),
        transfer_syntaxes: syntaxes.iter().map(|uid| (*uid).to_owned()).collect(),
    };
    // Where there are too many for one each, those of one class share a context, the largest lists first.
    let mut apart = vec![true; lists.len()];
    let mut count: usize = lists.iter().map(|(_, syntaxes)| syntaxes.len()).sum();
    while count > CONTEXTS_MAX {
        let largest = lists
            .iter()
            .zip(&mut apart)
            .filter(|(_, apart)| **apart)
            .max_by_key(|((_, list), _)| list.len());
        let Some(((_, list), apart)) = largest else { break };
        *apart = false;
        count -= list.len() - 1;
    }
    let mut contexts = Vec::with_capacity(count);
    for ((class, syntaxes), apart) in lists.iter().zip(apart) {
        if apart {
            contexts.extend(syntaxes.iter().map(|uid| context(class, &[uid])));
        } else {
            contexts.push(context(class, syntaxes));
        }
    }
    Proposal {
        contexts,
        ..Proposal::default()
    }
}

/// Opens an instance in a transfer syntax that the peer takes, as stored where it can be, and tells the context for it.
/// `None` when it cannot be sent; the log says why.
pub(super) async fn prepare(
    retrieve: &Retrieve,
    contexts: &[Context],
    record: &InstanceRecord,
) -> Option<(u8, Outgoing)> {
    let class = record.sop_class_uid.as_str();
    let mut syntaxes: Vec<TransferSyntaxUid> = usable(contexts, class)
        .map(|context| context.transfer_syntax.clone())
        .collect();
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
            let context =
                usable(contexts, class).find(|context| context.transfer_syntax == outgoing.transfer_syntax_uid)?;
            Some((context.id, outgoing))
        }
        Err(error) => {
            tracing::warn!(%error, sop_instance_uid = %record.sop_instance_uid, "an instance cannot be sent");
            None
        }
    }
}

fn usable<'a>(contexts: &'a [Context], sop_class_uid: &'a str) -> impl Iterator<Item = &'a Context> {
    contexts.iter().filter(move |context| {
        context.service == Service::Storage && context.may_invoke && *context.abstract_syntax == *sop_class_uid
    })
}

/// An instance to be sent.
pub(super) struct Sending<'a> {
    pub(super) context_id: u8,
    pub(super) sop_class_uid: &'a SopClassUid,
    pub(super) sop_instance_uid: &'a SopInstanceUid,
    /// Who asked for it by C-MOVE, and in which message.
    pub(super) originator: Option<(&'a str, u16)>,
    /// Message ID of the C-GET that may be cancelled over the same association.
    pub(super) cancellable: Option<u16>,
}

/// What became of an instance that was sent.
pub(super) struct Sent {
    pub(super) status: Status,
    /// The operation that it belongs to was cancelled in the meantime.
    pub(super) cancelled: bool,
}

/// Why an instance was not sent.
pub(super) enum SendError {
    /// The association is over.
    Association(AssociationError),
    /// The bytes could not be read; the association is as good as before.
    Source(RetrieveError),
}

impl From<AssociationError> for SendError {
    fn from(error: AssociationError) -> Self {
        Self::Association(error)
    }
}

/// Sends one instance and waits for the answer. What is queued on the association goes with it in the same write.
pub(super) async fn send(
    association: &mut Association,
    sending: &Sending<'_>,
    outgoing: Outgoing,
) -> Result<Sent, SendError> {
    let mut pieces = outgoing.data_set;
    // Before anything is said: what cannot be read at all is a failure of its own, not of the association.
    let mut held = next_piece(&mut pieces)
        .await
        .map_err(SendError::Source)?
        .unwrap_or_default();
    let message_id = association.take_message_id();
    let command = CommandSet {
        sop_class_uid: sending.sop_class_uid.as_str().to_owned(),
        command_field: Operation::Store.command_field(),
        message_id: Some(message_id),
        priority: Some(0),
        has_data_set: true,
        sop_instance_uid: sending.sop_instance_uid.as_str().to_owned(),
        move_originator_ae_title: sending
            .originator
            .map(|(title, _)| title.to_owned())
            .unwrap_or_default(),
        move_originator_message_id: sending.originator.map(|(_, id)| id),
        ..CommandSet::default()
    };
    association.queue(sending.context_id, &command, None);
    loop {
        let following = match next_piece(&mut pieces).await {
            Ok(following) => following,
            Err(error) => {
                // Half a data set cannot be taken back: only the end of the association tells the peer that it is not whole.
                tracing::error!(%error, sop_instance_uid = %sending.sop_instance_uid, "an instance broke off while it was sent");
                return Err(SendError::Association(AssociationError::Source(error.to_string())));
            }
        };
        let Some(mut following) = following else {
            association.send_data(sending.context_id, &held, true).await?;
            break;
        };
        if held.len() % 2 == 1 {
            // Fragments are even (PS3.8 §E.2): the odd byte goes before the next piece.
            let odd = held.split_off(held.len() - 1);
            let mut joined = BytesMut::with_capacity(following.len() + 1);
            joined.extend_from_slice(&odd);
            joined.extend_from_slice(&following);
            following = joined.freeze();
        }
        association.send_data(sending.context_id, &held, false).await?;
        held = following;
    }
    let (status, cancelled) = await_response(association, message_id, sending.cancellable).await?;
    Ok(Sent { status, cancelled })
}

async fn next_piece(
    pieces: &mut BoxStream<'static, Result<Bytes, RetrieveError>>,
) -> Result<Option<Bytes>, RetrieveError> {
    loop {
        match pieces.next().await.transpose()? {
            Some(piece) if piece.is_empty() => {}
            other => return Ok(other),
        }
    }
}

async fn await_response(
    association: &mut Association,
    message_id: u16,
    cancellable: Option<u16>,
) -> Result<(Status, bool), AssociationError> {
    let mut cancelled = false;
    loop {
        let context_id = match association.next(Wait::Response).await? {
            Event::Command { context_id } => context_id,
            Event::ReleaseRequest | Event::ReleaseResponse => return Err(AssociationError::Left),
            Event::Data { .. } | Event::Control { .. } => {
                return Err(session::protocol(
                    super::association::AbortReason::UnexpectedPdu,
                    "something else where the answer to C-STORE was due",
                ));
            }
        };
        let command = association.command()?;
        let has_data_set = command.has_data_set;
        match Message::from(command) {
            Message::Response(Operation::Store, response)
                if response.message_id_being_responded_to == Some(message_id) =>
            {
                if has_data_set {
                    session::read_data_set(association, context_id, 0).await?;
                }
                // A response without a status has not said that it worked.
                return Ok((response.status.map_or(Status::PROCESSING_FAILURE, Status), cancelled));
            }
            Message::Cancel(id) => cancelled = cancelled || cancellable == Some(id),
            Message::Request(_, request) | Message::Unknown(request) => {
                if has_data_set {
                    session::read_data_set(association, context_id, 0).await?;
                }
                let refusal = CommandSet::response_to(&request, Status::RESOURCE_LIMITATION.0);
                association.send(context_id, &refusal, None).await?;
            }
            Message::Response(_, _) => {
                if has_data_set {
                    session::read_data_set(association, context_id, 0).await?;
                }
            }
        }
    }
}

/// The count of sub-operations.
pub(super) struct Progress {
    remaining: u64,
    completed: u64,
    failed: u64,
    warning: u64,
    failed_uids: String,
}

impl Progress {
    pub(super) fn new(total: u64) -> Self {
        Self {
            remaining: total,
            completed: 0,
            failed: 0,
            warning: 0,
            failed_uids: String::new(),
        }
    }

    /// Counts what was sent.
    pub(super) fn sent(&mut self, status: Status, sop_instance_uid: &SopInstanceUid) {
        if status == Status::SUCCESS {
            self.remaining = self.remaining.saturating_sub(1);
            self.completed += 1;
        } else if status.is_warning() {
            self.remaining = self.remaining.saturating_sub(1);
            self.warning += 1;
        } else {
            tracing::warn!(%status, %sop_instance_uid, "a sub-operation failed");
            self.failed(sop_instance_uid);
        }
    }

    /// Counts what could not be sent.
    pub(super) fn failed(&mut self, sop_instance_uid: &SopInstanceUid) {
        self.remaining = self.remaining.saturating_sub(1);
        self.failed += 1;
        let uid = sop_instance_uid.as_str();
        if self.failed_uids.len() + uid.len() < FAILED_LIST_LENGTH_MAX {
            if !self.failed_uids.is_empty() {
                self.failed_uids.push('\\');
            }
            self.failed_uids.push_str(uid);
        }
    }

    /// Counts all that remain as failed: they have no UIDs yet.
    pub(super) fn rest_failed(&mut self) {
        self.failed += std::mem::take(&mut self.remaining);
    }

    pub(super) fn is_done(&self) -> bool {
        self.remaining == 0
    }

    /// Instances that arrived.
    pub(super) fn arrived(&self) -> u64 {
        self.completed + self.warning
    }

    fn counts(&self, remaining: Option<u64>) -> Counts {
        // PS3.7 gives each count two bytes; a longer retrieval stays at the most that can be said until it can be told.
        let short = |count: u64| u16::try_from(count).unwrap_or(u16::MAX);
        Counts {
            remaining: remaining.map(short),
            completed: short(self.completed),
            failed: short(self.failed),
            warning: short(self.warning),
        }
    }

    /// A pending response.
    pub(super) fn pending(&self, request: &CommandSet) -> CommandSet {
        CommandSet {
            counts: Some(self.counts(Some(self.remaining))),
            ..CommandSet::response_to(request, Status::PENDING.0)
        }
    }

    /// The status at the end (PS3.4 tables C.4-2 and C.4-3).
    pub(super) fn status(&self, cancelled: bool) -> Status {
        if cancelled {
            Status::CANCEL
        } else if self.failed == 0 && self.warning == 0 {
            Status::SUCCESS
        } else if self.completed == 0 && self.warning == 0 {
            Status::UNABLE_TO_SEND
        } else {
            Status::SUB_OPERATIONS_INCOMPLETE
        }
    }

    /// The final response and its identifier with the list of failed instances, where there are any.
    pub(super) fn finished(
        &self,
        request: &CommandSet,
        status: Status,
        transfer_syntax: &TransferSyntaxUid,
    ) -> Result<(CommandSet, Option<Bytes>), DataSetError> {
        let mut response = CommandSet::response_to(request, status.0);
        // Only a cancelled operation has something remaining at its end.
        response.counts = Some(self.counts((status == Status::CANCEL).then_some(self.remaining)));
        if self.failed_uids.is_empty() {
            return Ok((response, None));
        }
        let list = Builder::new()
            .text(FAILED_SOP_INSTANCE_UID_LIST, &self.failed_uids)
            .build();
        let encoded = encode(&list, transfer_syntax, &crate::dataset::CharacterSet::Utf8)?;
        response.has_data_set = true;
        Ok((response, Some(encoded)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uid(number: usize) -> SopInstanceUid {
        SopInstanceUid::new(&format!("1.2.{number}")).unwrap()
    }

    #[test]
    fn the_final_status_tells_how_it_went() {
        let check = |statuses: &[u16], cancelled, expected| {
            let mut progress = Progress::new(statuses.len() as u64);
            for (number, status) in statuses.iter().enumerate() {
                progress.sent(Status(*status), &uid(number));
            }
            assert_eq!(progress.status(cancelled), expected);
        };
        check(&[], false, Status::SUCCESS);
        check(&[0, 0], false, Status::SUCCESS);
        check(&[0, 0xB000], false, Status::SUB_OPERATIONS_INCOMPLETE);
        check(&[0, 0xA700], false, Status::SUB_OPERATIONS_INCOMPLETE);
        check(&[0xC000, 0xA700], false, Status::UNABLE_TO_SEND);
        check(&[0], true, Status::CANCEL);
    }

    #[test]
    fn the_list_of_failed_instances_stays_within_its_value() {
        let mut progress = Progress::new(20_000);
        for number in 0..20_000 {
            progress.failed(&uid(number));
        }
        assert!(progress.failed_uids.len() <= FAILED_LIST_LENGTH_MAX);
        assert_eq!(progress.counts(None).failed, 20_000);
    }

    #[test]
    fn stored_transfer_syntaxes_are_proposed_apart_while_they_fit() {
        let few = propose([("1.2.3", vec!["1.2.840.10008.1.2.4.70"])].into_iter());
        let lists: Vec<_> = few
            .contexts
            .iter()
            .map(|context| context.transfer_syntaxes.join(","))
            .collect();
        assert_eq!(
            lists,
            [
                "1.2.840.10008.1.2.4.70",
                EXPLICIT_VR_LITTLE_ENDIAN,
                IMPLICIT_VR_LITTLE_ENDIAN
            ]
        );
        let many: Vec<String> = (0..100).map(|number| format!("1.2.{number}")).collect();
        let many = propose(
            many.iter()
                .map(|class| (class.as_str(), vec!["1.2.840.10008.1.2.4.70"])),
        );
        assert!(many.contexts.len() <= CONTEXTS_MAX);
        assert!((0..100).all(|number| {
            many.contexts
                .iter()
                .any(|context| context.abstract_syntax == format!("1.2.{number}"))
        }));
    }
}
