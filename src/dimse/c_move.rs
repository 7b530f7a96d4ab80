//! C-MOVE SCP (PS3.7 §9.1.4, PS3.4 §C.4.2): instances go to a third node, which has to be a configured peer.

use std::sync::Arc;

use filmroom_access::Action;

use super::{
    association::{Association, AssociationError, Context, QueryModel, connect},
    c_find, c_get,
    config::{DimseConfig, Peer},
    identifier,
    message::CommandSet,
    session::{self, Session},
    status::Status,
    sub_operation::{self, Asker, Occasion, Originator, Plan, Progress, Sent},
};

/// Serves one C-MOVE.
pub(super) async fn serve(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    model: QueryModel,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let read = identifier::read(association, context, request.has_data_set).await?;
    let Some(peer) = association.config().peer(&request.move_destination) else {
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
    let sight = association.sight(Action::Retrieve);
    let selection = match read.and_then(|identifier| identifier::selection(&identifier.attributes, model, sight)) {
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
    let mut destination = match connect(&peer, &plan.proposal(&peer), association.config().clone()).await {
        Ok(destination) => destination,
        Err(error) => {
            tracing::warn!(%error, destination = %peer.ae_title, "the move destination does not answer");
            let mut progress = Progress::new(plan.total);
            progress.rest_failed();
            return c_get::finish(association, context, &request, &progress, false).await;
        }
    };
    let originator = Originator {
        ae_title: association.negotiated().calling_ae_title.clone(),
        message_id: request.message_id.unwrap_or_default(),
        user: association.negotiated().caller().user.to_owned(),
        address: association.negotiated().peer_address.clone(),
    };
    let mut asker = Moving {
        association,
        context_id: context.id,
        request: &request,
    };
    let retrieve = &session.rooms.retrieve;
    let several = asker.association.config().move_associations;
    if several > 1 && plan.total > 1 {
        let count = plan.total.min(several as u64) as usize;
        let first = destination.negotiated().contexts().to_vec();
        let mut receivers = vec![destination];
        while receivers.len() < count {
            let Some(another) = more(&peer, &plan, &first, asker.association.config()).await else {
                break;
            };
            receivers.push(another);
        }
        let performed = sub_operation::perform_together(&mut receivers, retrieve, plan, &originator, &mut asker).await;
        let performed = match performed {
            Ok(performed) => performed,
            Err(error) => {
                for receiver in receivers {
                    receiver.fail(&AssociationError::Left).await;
                }
                return Err(error);
            }
        };
        for (receiver, lost) in receivers.into_iter().zip(performed.lost) {
            leave(receiver, lost, &peer).await;
        }
        session.tally.sent += performed.progress.arrived();
        return c_get::finish(association, context, &request, &performed.progress, performed.cancelled).await;
    }
    let performed = sub_operation::perform(
        &mut destination,
        retrieve,
        plan,
        Occasion::AskedBy(&originator),
        &mut asker,
    )
    .await;
    let performed = match performed {
        Ok(performed) => performed,
        Err(error) => {
            // Whoever asked is gone; what was under way is broken off.
            destination.fail(&AssociationError::Left).await;
            return Err(error);
        }
    };
    leave(destination, performed.lost, &peer).await;
    session.tally.sent += performed.progress.arrived();
    c_get::finish(association, context, &request, &performed.progress, performed.cancelled).await
}

/// Opens one more association with a destination; `None` when it takes none, or has agreed on other contexts.
async fn more(peer: &Peer, plan: &Plan, first: &[Context], config: &Arc<DimseConfig>) -> Option<Association> {
    let association = match connect(peer, &plan.proposal(peer), config.clone()).await {
        Ok(association) => association,
        Err(error) => {
            tracing::info!(%error, destination = %peer.ae_title, "the move destination takes no more associations");
            return None;
        }
    };
    if association.negotiated().contexts() == first {
        return Some(association);
    }
    leave(association, None, peer).await;
    None
}

/// Ends the association with a destination.
async fn leave(destination: Association, lost: Option<AssociationError>, peer: &Peer) {
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
}

/// The asker is told over its own association while the receiver is sent to over another.
struct Moving<'a> {
    association: &'a mut Association,
    context_id: u8,
    request: &'a CommandSet,
}

impl Asker for Moving<'_> {
    async fn is_cancelled(&mut self, _: &mut Association) -> Result<bool, AssociationError> {
        c_find::is_cancelled(self.association, self.request.message_id.unwrap_or_default())
    }

    async fn sent(&mut self, _: &mut Association, _: Sent<'_>, progress: &Progress) -> Result<(), AssociationError> {
        if progress.is_done() {
            return Ok(());
        }
        self.association
            .send(self.context_id, &progress.pending(self.request), None)
            .await
    }
}
