//! C-GET SCP (PS3.7 §9.1.3, PS3.4 §C.4.3): instances come back over the same association.

use filmroom_access::Action;

use super::{
    association::{Association, AssociationError, Context, QueryModel},
    c_find, identifier,
    message::CommandSet,
    session::{self, Session},
    status::Status,
    sub_operation::{self, Asker, Occasion, Plan, Progress, Sent},
};

/// Serves one C-GET.
pub(super) async fn serve(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    model: QueryModel,
    request: CommandSet,
) -> Result<(), AssociationError> {
    let read = identifier::read(association, context, request.has_data_set).await?;
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
    let mut asker = Getting {
        context_id: context.id,
        request: &request,
    };
    let performed =
        sub_operation::perform(association, &session.rooms.retrieve, plan, Occasion::Asked, &mut asker).await?;
    session.tally.sent += performed.progress.arrived();
    match performed.lost {
        None => finish(association, context, &request, &performed.progress, performed.cancelled).await,
        Some(error) => Err(error),
    }
}

/// Asker and receiver are one: what it is told goes out with the next instance, in one write.
struct Getting<'a> {
    context_id: u8,
    request: &'a CommandSet,
}

impl Asker for Getting<'_> {
    fn cancellable(&self) -> Option<u16> {
        self.request.message_id
    }

    async fn is_cancelled(&mut self, receiver: &mut Association) -> Result<bool, AssociationError> {
        c_find::is_cancelled(receiver, self.request.message_id.unwrap_or_default())
    }

    async fn sent(
        &mut self,
        receiver: &mut Association,
        _: Sent<'_>,
        progress: &Progress,
    ) -> Result<(), AssociationError> {
        if !progress.is_done() {
            receiver.queue(self.context_id, &progress.pending(self.request), None);
            if receiver.is_queue_long() {
                receiver.flush().await?;
            }
        }
        Ok(())
    }
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
