//! C-STORE SCP (PS3.7 §9.1.1, PS3.4 §B): data go to the ingest room as they come; success is said of a receipt.

use filmroom_storage::model::{Door, Origin};

use super::{
    association::{Association, AssociationError, Context, Service, Wait, service_of},
    message::CommandSet,
    session::{self, Session, Stored},
    status::Status,
};
use filmroom_audit::{Caller, Trail, Way, transfers::Item};
use filmroom_ingest::{Announced, IngestError, Outcome, Receipt, Receiving};

/// Serves one C-STORE. Returns when its data set has come; the answer follows when the instance is durable, at once unless
/// the peer negotiated that it need not wait (PS3.7 §D.3.3.3).
pub(super) async fn serve(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let mut receiving = begin(association, session, context, &request);
    let mut length = 0u64;
    if request.has_data_set {
        loop {
            let event = session.next(association, Wait::Message).await?;
            let (span, last) = session::data(event, context.id)?;
            let bytes = association.bytes(span);
            length += bytes.len() as u64;
            if let Ok(open) = &mut receiving
                && let Err(error) = open.write(bytes).await
            {
                // Nobody can be stopped in the middle of a data set; what still comes is read and forgotten.
                receiving = Err(refused(&error));
            }
            if last {
                break;
            }
        }
    }
    session.last_length = length;
    session.tally.bytes += length;
    let context_id = context.id;
    let trail = association.config().trail.clone();
    let from = Sender::of(association);
    session.storing.push(Box::pin(async move {
        let result = match receiving {
            Ok(receiving) => receiving.finish().await.map_err(|error| refused(&error)),
            Err(refused) => Err(refused),
        };
        if result.is_err() {
            from.failed(&trail, &request).await;
        }
        Stored {
            context_id,
            response: respond(&request, result),
        }
    }));
    let allowed = usize::from(association.negotiated().operations_performed_max.max(1));
    session.settle(association, allowed - 1).await
}

/// Who sends, for the audit trail; those instances that are taken in are recorded by the room that takes them.
struct Sender {
    ae_title: String,
    user: String,
    address: String,
}

impl Sender {
    fn of(association: &Association) -> Self {
        let caller = association.negotiated().caller();
        Self {
            ae_title: caller.ae_title.to_owned(),
            user: caller.user.to_owned(),
            address: caller.place.to_owned(),
        }
    }

    /// Records that an instance was not taken in. Its study may not be known.
    async fn failed(&self, trail: &Trail, request: &CommandSet) {
        let from = Caller {
            ae_title: &self.ae_title,
            user: &self.user,
            place: &self.address,
        };
        let item = Item {
            series_instance_uid: "",
            sop_class_uid: &request.sop_class_uid,
            sop_instance_uid: &request.sop_instance_uid,
            what: "instances",
        };
        let way = Way::In { from };
        let failure = filmroom_audit::Outcome::MinorFailure;
        if let Err(error) = trail.went(way, "C-STORE", "unknown", failure, item, || None).await {
            tracing::error!(%error, "an instance that was refused is not recorded");
        }
    }
}

type Refused = (Status, String);

fn refused(error: &IngestError) -> Refused {
    (Status::from(error), error.to_string())
}

fn begin(
    association: &Association,
    session: &Session,
    context: &Context,
    request: &CommandSet,
) -> Result<Receiving, Refused> {
    let other = &association.config().other_sop_classes;
    if context.service != Service::Storage || !context.may_perform {
        return Err((
            Status::SOP_CLASS_NOT_SUPPORTED,
            "the presentation context is not for storage".to_owned(),
        ));
    }
    // A class that differs from its context's is odd, yet the data set says what it is; only what is no storage is refused.
    if *request.sop_class_uid != *context.abstract_syntax
        && service_of(&request.sop_class_uid, other) != Some(Service::Storage)
    {
        return Err((
            Status::SOP_CLASS_NOT_SUPPORTED,
            "the affected SOP class is not for storage".to_owned(),
        ));
    }
    if !request.has_data_set {
        return Err((Status::DOES_NOT_MATCH, "there is no data set".to_owned()));
    }
    let negotiated = association.negotiated();
    let announced = Announced {
        transfer_syntax_uid: context.transfer_syntax.clone(),
        sop_class_uid: Some(request.sop_class_uid.clone()),
        sop_instance_uid: Some(request.sop_instance_uid.clone()),
        study_instance_uid: None,
        expected_length: session.last_length,
    };
    let origin = Origin {
        door: Door::Dimse,
        sender: negotiated.calling_ae_title.clone(),
        receiver: negotiated.called_ae_title.clone(),
        address: negotiated.peer_address.clone(),
    };
    session
        .rooms
        .ingest
        .receive(announced, origin)
        .map_err(|error| refused(&error))
}

fn respond(request: &CommandSet, result: Result<Receipt, Refused>) -> CommandSet {
    let (status, comment) = match result {
        Ok(receipt) => {
            let comment = match receipt.outcome() {
                Outcome::Stored | Outcome::AlreadyStored => String::new(),
                Outcome::Quarantined(reason) => {
                    tracing::warn!(
                        reason,
                        sop_instance_uid = request.sop_instance_uid,
                        "an instance is kept apart"
                    );
                    "kept apart: another instance has this UID".to_owned()
                }
            };
            (Status::SUCCESS, comment)
        }
        Err((status, reason)) => {
            tracing::warn!(
                %status,
                reason,
                sop_instance_uid = request.sop_instance_uid,
                sop_class_uid = request.sop_class_uid,
                "an instance was not stored"
            );
            (status, reason)
        }
    };
    CommandSet {
        error_comment: comment,
        ..CommandSet::response_to(request, status.0)
    }
}
