//! Sends instances one after the other and counts.

use bytes::BytesMut;
use filmroom_storage::model::InstanceRecord;

use super::{
    Plan, Progress,
    supply::{Ready, Supplied, Supply, next_piece},
};
use crate::{
    association::{AbortReason, Association, AssociationError, Event, Negotiated, Wait},
    message::{CommandSet, Message, Operation},
    session,
    status::Status,
};
use filmroom_audit::{Caller, Trail, Way, transfers::Item};
use filmroom_retrieve::Retrieve;

/// Who asked for instances by C-MOVE, and in which message (PS3.7 §9.1.1.1.6).
#[derive(Debug, Clone)]
pub(crate) struct Originator {
    pub(crate) ae_title: String,
    pub(crate) message_id: u16,
    pub(crate) user: String,
    pub(crate) address: String,
}

/// Why instances are sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Occasion<'a> {
    /// The receiver asked for them (C-GET).
    Asked,
    /// Another asked for them (C-MOVE).
    AskedBy(&'a Originator),
    /// This node sends them by itself.
    Own,
}

impl Occasion<'_> {
    /// Records that an instance is about to go; nothing goes that is not recorded.
    async fn record(
        self,
        trail: &Trail,
        negotiated: &Negotiated,
        record: &InstanceRecord,
    ) -> Result<(), AssociationError> {
        if !trail.is_on() {
            return Ok(());
        }
        let called = Caller {
            ae_title: &negotiated.called_ae_title,
            user: "",
            place: &negotiated.peer_address,
        };
        let (way, service) = match self {
            Self::Asked => (
                Way::Out {
                    to: negotiated.caller(),
                },
                "C-GET",
            ),
            Self::AskedBy(originator) => (
                Way::OutFor {
                    to: called,
                    asked: Caller {
                        ae_title: &originator.ae_title,
                        user: &originator.user,
                        place: &originator.address,
                    },
                },
                "C-MOVE",
            ),
            Self::Own => (Way::OutByUs { to: called }, "C-STORE"),
        };
        let item = Item {
            series_instance_uid: record.series_instance_uid.as_str(),
            sop_class_uid: record.sop_class_uid.as_str(),
            sop_instance_uid: record.sop_instance_uid.as_str(),
            what: "instances",
        };
        let study = record.study_instance_uid.as_str();
        trail
            .went(way, service, study, filmroom_audit::Outcome::Success, item, || None)
            .await
            .map_err(|error| AssociationError::Source(error.to_string()))
    }
}

/// Whoever waits for the instances to be sent.
pub(crate) trait Asker: Send {
    /// Message ID of the C-GET that the receiver may cancel between its answers.
    fn cancellable(&self) -> Option<u16> {
        None
    }

    /// Before an instance is sent. True to stop.
    ///
    /// # Errors
    /// When the asker is gone: nothing more is sent.
    fn is_cancelled(
        &mut self,
        receiver: &mut Association,
    ) -> impl Future<Output = Result<bool, AssociationError>> + Send;

    /// After an instance: `record` and what the receiver answered, or that it could not be sent.
    ///
    /// # Errors
    /// As [`Asker::is_cancelled`].
    fn sent(
        &mut self,
        receiver: &mut Association,
        outcome: Sent<'_>,
        progress: &Progress,
    ) -> impl Future<Output = Result<(), AssociationError>> + Send;
}

/// What became of one instance.
pub(crate) enum Sent<'a> {
    /// The receiver answered.
    Answered(&'a InstanceRecord, Status),
    /// It was not sent.
    Unsendable(&'a filmroom_storage::model::SopInstanceUid),
}

/// How it ended.
pub(crate) struct Performed {
    pub(crate) progress: Progress,
    pub(crate) cancelled: bool,
    /// Why the association with the receiver is over.
    pub(crate) lost: Option<AssociationError>,
}

/// Sends the instances of a plan. While one is answered, the next is opened and read.
///
/// # Errors
/// Those of the asker.
pub(crate) async fn perform(
    receiver: &mut Association,
    retrieve: &Retrieve,
    plan: Plan,
    occasion: Occasion<'_>,
    asker: &mut impl Asker,
) -> Result<Performed, AssociationError> {
    let mut progress = Progress::new(plan.total);
    let mut supply = Supply::new(retrieve, receiver.negotiated().contexts(), plan);
    let mut next = supply.next().await;
    loop {
        let ready = match next {
            Supplied::Ready(ready) => ready,
            Supplied::Unsendable(uid) => {
                progress.failed(&uid);
                asker.sent(receiver, Sent::Unsendable(&uid), &progress).await?;
                next = supply.next().await;
                continue;
            }
            Supplied::Broken(error) => {
                tracing::error!(%error, "a retrieval broke off");
                progress.rest_failed();
                return Ok(Performed {
                    progress,
                    cancelled: false,
                    lost: None,
                });
            }
            Supplied::End => {
                return Ok(Performed {
                    progress,
                    cancelled: false,
                    lost: None,
                });
            }
        };
        if asker.is_cancelled(receiver).await? {
            return Ok(Performed {
                progress,
                cancelled: true,
                lost: None,
            });
        }
        let record = ready.record.clone();
        let answered = match transmit(receiver, ready, occasion).await {
            Ok(message_id) => {
                let (answered, following) =
                    tokio::join!(answer(receiver, message_id, asker.cancellable()), supply.next());
                next = following;
                answered
            }
            Err(error) => {
                next = Supplied::End;
                Err(error)
            }
        };
        match answered {
            Ok((status, cancelled)) => {
                progress.sent(status, &record.sop_instance_uid);
                asker.sent(receiver, Sent::Answered(&record, status), &progress).await?;
                if cancelled {
                    return Ok(Performed {
                        progress,
                        cancelled,
                        lost: None,
                    });
                }
            }
            Err(error) => {
                progress.failed(&record.sop_instance_uid);
                match next {
                    Supplied::Ready(ready) => progress.failed(&ready.record.sop_instance_uid),
                    Supplied::Unsendable(uid) => progress.failed(&uid),
                    Supplied::Broken(_) | Supplied::End => {}
                }
                while let Some(uid) = supply.next_uid().await {
                    progress.failed(&uid);
                }
                return Ok(Performed {
                    progress,
                    cancelled: false,
                    lost: Some(error),
                });
            }
        }
    }
}

/// Sends one instance, with what is queued before it. Returns its message ID.
pub(super) async fn transmit(
    receiver: &mut Association,
    ready: Box<Ready>,
    occasion: Occasion<'_>,
) -> Result<u16, AssociationError> {
    let trail = receiver.config().trail.clone();
    occasion.record(&trail, receiver.negotiated(), &ready.record).await?;
    let originator = match occasion {
        Occasion::AskedBy(originator) => Some(originator),
        Occasion::Asked | Occasion::Own => None,
    };
    let Ready {
        record,
        sop_instance_uid,
        context_id,
        first,
        mut rest,
    } = *ready;
    let message_id = receiver.take_message_id();
    let command = CommandSet {
        sop_class_uid: record.sop_class_uid.as_str().to_owned(),
        command_field: Operation::Store.command_field(),
        message_id: Some(message_id),
        priority: Some(0),
        has_data_set: true,
        sop_instance_uid: sop_instance_uid.as_str().to_owned(),
        move_originator_ae_title: originator
            .map(|originator| originator.ae_title.clone())
            .unwrap_or_default(),
        move_originator_message_id: originator.map(|originator| originator.message_id),
        ..CommandSet::default()
    };
    receiver.queue(context_id, &command, None);
    let mut held = first;
    loop {
        let following = match next_piece(&mut rest).await {
            Ok(following) => following,
            Err(error) => {
                // Half a data set cannot be taken back: only the end of the association tells that it is not whole.
                tracing::error!(%error, sop_instance_uid = %record.sop_instance_uid, "an instance broke off on its way");
                return Err(AssociationError::Source(error.to_string()));
            }
        };
        let Some(mut following) = following else {
            receiver.send_data(context_id, &held, true).await?;
            return Ok(message_id);
        };
        if held.len() % 2 == 1 {
            // Fragments are even (PS3.8 §E.2): the odd byte goes before the next piece.
            let odd = held.split_off(held.len() - 1);
            let mut joined = BytesMut::with_capacity(following.len() + 1);
            joined.extend_from_slice(&odd);
            joined.extend_from_slice(&following);
            following = joined.freeze();
        }
        receiver.send_data(context_id, &held, false).await?;
        held = following;
    }
}

/// Waits for the answer to C-STORE: its status, and whether the operation was cancelled meanwhile.
pub(super) async fn answer(
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
                    AbortReason::UnexpectedPdu,
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
