//! Modality Worklist SCP (PS3.4 §K): C-FIND of scheduled procedure steps.

use filmroom_storage::model::Attributes;

use super::{
    association::{Association, AssociationError, Context},
    c_find::{blocking, is_cancelled, record},
    identifier::{self, Identifier, Refusal},
    message::CommandSet,
    session::{self, Session},
    status::Status,
};
use filmroom_worklist::{Worklist, project};

/// Serves one C-FIND of the worklist.
pub(super) async fn serve(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let found = match identifier::read(association, context, request.has_data_set).await? {
        Ok(identifier) => {
            let worklist = session.rooms.worklist.clone();
            answer(association, worklist, context, &request, identifier).await?
        }
        Err(refusal) => Err(refusal),
    };
    match found {
        Ok(Status::SUCCESS) => {
            let response = CommandSet::response_to(&request, Status::SUCCESS.0);
            association.send(context.id, &response, None).await
        }
        Ok(status) => session::answer(association, context, &request, status, "").await,
        Err((status, comment)) => session::answer(association, context, &request, status, &comment).await,
    }
}

/// Sends all answers; tells with what status the operation ends.
async fn answer(
    association: &mut Association,
    worklist: Worklist,
    context: &Context,
    request: &CommandSet,
    identifier: Identifier,
) -> Result<Result<Status, Refusal>, AssociationError> {
    let trail = association.config().trail.clone();
    let who = association.negotiated().caller();
    if let Err(error) = record(&trail, who, context, &identifier.attributes).await {
        return Ok(Err((Status::OUT_OF_RESOURCES, error.to_string())));
    }
    let message_id = request.message_id.unwrap_or_default();
    // The third byte of extended negotiation: names by likeness (PS3.4 §K.5.1).
    let fuzzy = association.negotiated().extended(&context.abstract_syntax).get(2) == Some(&1);
    let keys = identifier::question(&identifier.attributes).keys;
    let found = match blocking(move || worklist.find(&keys, fuzzy)).await {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let pending = CommandSet {
        has_data_set: true,
        ..CommandSet::response_to(request, Status::PENDING.0)
    };
    let most = association.config().find_answers_max;
    for (count, step) in (0_u64..).zip(&found) {
        if is_cancelled(association, message_id)? {
            return Ok(Ok(Status::CANCEL));
        }
        if count == most {
            let comment = format!("more than {most} matches; narrow the query");
            return Ok(Err((Status::OUT_OF_RESOURCES, comment)));
        }
        let answer: Attributes = project(&identifier.attributes, step);
        let encoded = match filmroom_dataset::encode(&answer, &context.transfer_syntax, &identifier.character_set) {
            Ok(encoded) => encoded,
            Err(error) => return Ok(Err((Status::CANNOT_UNDERSTAND, error.to_string()))),
        };
        association.queue(context.id, &pending, Some(&encoded));
        if count == 0 || association.is_queue_long() {
            association.flush().await?;
        }
    }
    association.flush().await?;
    Ok(Ok(Status::SUCCESS))
}
