//! Storage Commitment Push Model SCP (PS3.4 §J): the N-ACTION that asks.

use filmroom_storage::model::{Attributes, Elements, Tag};

use super::{
    association::{Association, AssociationError, Context},
    message::CommandSet,
    session::{self, Session},
    status::Status,
};
use filmroom_audit::Outcome;
use filmroom_commitment::Reference;
use filmroom_dataset::items;

/// Storage Commitment Push Model SOP Instance (PS3.4 §J.3.5).
pub(super) const PUSH_MODEL_INSTANCE: &str = "1.2.840.10008.1.20.1.1";
/// Action Type ID of "request storage commitment".
pub(super) const REQUEST_COMMITMENT: u16 = 1;
pub(super) const TRANSACTION_UID: Tag = 0x0008_1195;
pub(super) const REFERENCED_SOP_SEQUENCE: Tag = 0x0008_1199;
pub(super) const REFERENCED_SOP_CLASS_UID: Tag = 0x0008_1150;
pub(super) const REFERENCED_SOP_INSTANCE_UID: Tag = 0x0008_1155;

/// A request for commitment.
struct Asked {
    transaction_uid: String,
    references: Vec<Reference>,
}

/// Serves one N-ACTION. It is answered when the request is on disk; the report follows when all instances have been looked at.
pub(super) async fn serve(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let longest = association.config().identifier_max_bytes;
    let data_set = if request.has_data_set {
        session::read_data_set(association, context.id, longest).await?
    } else {
        None
    };
    if request.sop_instance_uid != PUSH_MODEL_INSTANCE {
        return session::answer(association, context, &request, Status::NO_SUCH_SOP_INSTANCE, "").await;
    }
    if request.action_type_id != Some(REQUEST_COMMITMENT) {
        return session::answer(association, context, &request, Status::NO_SUCH_ACTION, "").await;
    }
    let Some(data_set) = data_set else {
        let comment = "the action information is missing or too long";
        return session::answer(association, context, &request, Status::INVALID_ARGUMENT, comment).await;
    };
    let parsed = filmroom_dataset::parse(&data_set, &context.transfer_syntax, longest)
        .map_err(|error| (Status::INVALID_ARGUMENT, error.to_string()));
    let asked = match parsed.and_then(|information| Asked::read(&information)) {
        Ok(asked) => asked,
        Err((status, comment)) => return session::answer(association, context, &request, status, &comment).await,
    };
    let question = || {
        let count = asked.references.len();
        format!("commitment of {count} instances, transaction {}", asked.transaction_uid)
    };
    let who = association.negotiated().caller();
    let trail = &association.config().trail;
    let recorded = trail
        .queried(who, &context.abstract_syntax, Outcome::Success, question)
        .await;
    if let Err(error) = recorded {
        let comment = error.to_string();
        return session::answer(association, context, &request, Status::RESOURCE_LIMITATION, &comment).await;
    }
    let room = session.rooms.commitment.clone();
    let ae_title = association.negotiated().calling_ae_title.clone();
    let accepted =
        tokio::task::spawn_blocking(move || room.ask(&ae_title, &asked.transaction_uid, asked.references)).await;
    let refusal = match accepted {
        Ok(Ok(())) => {
            let response = CommandSet::response_to(&request, Status::SUCCESS.0);
            return association.send(context.id, &response, None).await;
        }
        Ok(Err(error)) => {
            tracing::error!(%error, "a request for storage commitment could not be accepted");
            (Status::RESOURCE_LIMITATION, error.to_string())
        }
        Err(error) => (Status::PROCESSING_FAILURE, error.to_string()),
    };
    session::answer(association, context, &request, refusal.0, &refusal.1).await
}

impl Asked {
    fn read(information: &Attributes) -> Result<Self, (Status, String)> {
        let transaction_uid = information.text(TRANSACTION_UID).to_owned();
        if transaction_uid.is_empty() {
            return Err((Status::MISSING_ATTRIBUTE, "TransactionUID is missing".to_owned()));
        }
        let sequence = information
            .get(REFERENCED_SOP_SEQUENCE)
            .map(|element| element.value)
            .unwrap_or_default();
        let references: Vec<Reference> = items(sequence)
            .map(|item| {
                let text = |tag| {
                    Elements::new(item)
                        .find(|element| element.tag == tag)
                        .map(|element| element.text().to_owned())
                };
                Reference {
                    sop_class_uid: text(REFERENCED_SOP_CLASS_UID).unwrap_or_default(),
                    sop_instance_uid: text(REFERENCED_SOP_INSTANCE_UID).unwrap_or_default(),
                }
            })
            .collect();
        if references.is_empty() {
            return Err((
                Status::MISSING_ATTRIBUTE,
                "ReferencedSOPSequence is missing or empty".to_owned(),
            ));
        }
        Ok(Self {
            transaction_uid,
            references,
        })
    }
}
