//! C-GET SCP (PS3.7 §9.1.3, PS3.4 §C.4.3): instances come back over the same association.

use futures_util::StreamExt;

use super::{
    association::{Association, AssociationError, Context, QueryModel},
    c_find, identifier,
    message::CommandSet,
    session::{self, Session},
    status::Status,
    sub_operation::{self, Plan, Progress, SendError, Sending},
};
use crate::retrieve::Retrieve;

/// Serves one C-GET.
pub(super) async fn serve(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    model: QueryModel,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let read = identifier::read(association, context, request.has_data_set).await?;
    let selection = match read.and_then(|identifier| identifier::selection(&identifier.attributes, model)) {
        Ok(selection) => selection,
        Err((status, comment)) => return session::answer(association, context, &request, status, &comment).await,
    };
    let plan = match Plan::new(&session.rooms.retrieve, selection).await {
        Ok(plan) => plan,
        Err(error) => {
            return session::answer(
                association,
                context,
                &request,
                Status::UNABLE_TO_COUNT,
                &error.to_string(),
            )
            .await;
        }
    };
    let (progress, cancelled) = perform(association, &session.rooms.retrieve, context, &request, plan).await?;
    session.tally.sent += progress.arrived();
    finish(association, context, &request, &progress, cancelled).await
}

/// Sends the final response.
pub(super) async fn finish(
    association: &mut Association,
    context: &Context,
    request: &CommandSet,
    progress: &Progress,
    cancelled: bool,
) -> Result<(), AssociationError> {
    let status = progress.status(cancelled);
    match progress.finished(request, status, &context.transfer_syntax) {
        Ok((response, identifier)) => association.send(context.id, &response, identifier.as_deref()).await,
        Err(error) => {
            session::answer(
                association,
                context,
                request,
                Status::CANNOT_UNDERSTAND,
                &error.to_string(),
            )
            .await
        }
    }
}

async fn perform(
    association: &mut Association,
    retrieve: &Retrieve,
    context: &Context,
    request: &CommandSet,
    mut plan: Plan,
) -> Result<(Progress, bool), AssociationError> {
    let message_id = request.message_id.unwrap_or_default();
    let contexts = association.negotiated().contexts().to_vec();
    let mut progress = Progress::new(plan.total);
    let mut instances = plan.instances(retrieve);
    while let Some(record) = instances.next().await {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                tracing::error!(%error, "a retrieval broke off");
                progress.rest_failed();
                break;
            }
        };
        if c_find::is_cancelled(association, message_id)? {
            return Ok((progress, true));
        }
        let Some((context_id, outgoing)) = sub_operation::prepare(retrieve, &contexts, &record).await else {
            progress.failed(&record.sop_instance_uid);
            continue;
        };
        let sending = Sending {
            context_id,
            sop_class_uid: &record.sop_class_uid,
            sop_instance_uid: &record.sop_instance_uid,
            originator: None,
            cancellable: Some(message_id),
        };
        match sub_operation::send(association, &sending, outgoing).await {
            Ok(sent) => {
                progress.sent(sent.status, &record.sop_instance_uid);
                if sent.cancelled {
                    return Ok((progress, true));
                }
            }
            Err(SendError::Source(error)) => {
                tracing::warn!(%error, sop_instance_uid = %record.sop_instance_uid, "an instance cannot be read");
                progress.failed(&record.sop_instance_uid);
            }
            Err(SendError::Association(error)) => return Err(error),
        }
        if !progress.is_done() {
            // Goes out with the next instance, in one write.
            association.queue(context.id, &progress.pending(request), None);
        }
    }
    Ok((progress, false))
}
