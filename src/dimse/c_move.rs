//! C-MOVE SCP (PS3.7 §9.1.4, PS3.4 §C.4.2): instances go to a third node, which has to be a configured peer.

use futures_util::StreamExt;

use super::{
    association::{Association, AssociationError, Context, QueryModel, connect},
    c_find, c_get, identifier,
    message::CommandSet,
    session::{self, Session},
    status::Status,
    sub_operation::{self, Plan, Progress, SendError, Sending},
};
use crate::retrieve::Retrieve;

/// Serves one C-MOVE.
pub(super) async fn serve(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    model: QueryModel,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let read = identifier::read(association, context, request.has_data_set).await?;
    let Some(peer) = association.config().peer(&request.move_destination).cloned() else {
        let comment = "the move destination is not a configured peer";
        return session::answer(
            association,
            context,
            &request,
            Status::MOVE_DESTINATION_UNKNOWN,
            comment,
        )
        .await;
    };
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
    if plan.total == 0 {
        return c_get::finish(association, context, &request, &Progress::new(0), false).await;
    }
    let mut destination = match connect(&peer, &plan.proposal(), association.config().clone()).await {
        Ok(destination) => destination,
        Err(error) => {
            tracing::warn!(%error, destination = %peer.ae_title, "the move destination does not answer");
            let mut progress = Progress::new(plan.total);
            progress.rest_failed();
            return c_get::finish(association, context, &request, &progress, false).await;
        }
    };
    let moved = perform(
        association,
        &mut destination,
        &session.rooms.retrieve,
        context,
        &request,
        plan,
    )
    .await;
    match moved {
        Ok(Moved {
            progress,
            cancelled,
            lost,
        }) => {
            match lost {
                None => {
                    if let Err(error) = destination.release().await {
                        tracing::debug!(%error, "the move destination did not answer the release");
                    }
                }
                Some(error) => {
                    tracing::warn!(%error, destination = %peer.ae_title, "the move destination was lost");
                    destination.fail(&error).await;
                }
            }
            session.tally.sent += progress.arrived();
            c_get::finish(association, context, &request, &progress, cancelled).await
        }
        Err(error) => {
            // Whoever asked is gone; what was under way is broken off.
            destination.fail(&AssociationError::Left).await;
            Err(error)
        }
    }
}

struct Moved {
    progress: Progress,
    cancelled: bool,
    /// Why the destination cannot be used any more.
    lost: Option<AssociationError>,
}

async fn perform(
    association: &mut Association,
    destination: &mut Association,
    retrieve: &Retrieve,
    context: &Context,
    request: &CommandSet,
    mut plan: Plan,
) -> Result<Moved, AssociationError> {
    let message_id = request.message_id.unwrap_or_default();
    let originator = association.negotiated().calling_ae_title.clone();
    let contexts = destination.negotiated().contexts().to_vec();
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
            return Ok(Moved {
                progress,
                cancelled: true,
                lost: None,
            });
        }
        let Some((context_id, outgoing)) = sub_operation::prepare(retrieve, &contexts, &record).await else {
            progress.failed(&record.sop_instance_uid);
            continue;
        };
        let sending = Sending {
            context_id,
            sop_class_uid: &record.sop_class_uid,
            sop_instance_uid: &record.sop_instance_uid,
            originator: Some((&originator, message_id)),
            cancellable: None,
        };
        match sub_operation::send(destination, &sending, outgoing).await {
            Ok(sent) => progress.sent(sent.status, &record.sop_instance_uid),
            Err(SendError::Source(error)) => {
                tracing::warn!(%error, sop_instance_uid = %record.sop_instance_uid, "an instance cannot be read");
                progress.failed(&record.sop_instance_uid);
            }
            Err(SendError::Association(error)) => {
                progress.failed(&record.sop_instance_uid);
                while let Some(Ok(record)) = instances.next().await {
                    progress.failed(&record.sop_instance_uid);
                }
                return Ok(Moved {
                    progress,
                    cancelled: false,
                    lost: Some(error),
                });
            }
        }
        if !progress.is_done() {
            association.send(context.id, &progress.pending(request), None).await?;
        }
    }
    Ok(Moved {
        progress,
        cancelled: false,
        lost: None,
    })
}
