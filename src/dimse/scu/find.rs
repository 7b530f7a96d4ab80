//! C-FIND (PS3.4 §C.4.1).

use std::sync::Arc;

use filmroom_storage::model::Attributes;

use super::{Ended, ScuError, ask, ended, first_context, plain_context, response, settle};
use crate::{
    association::{Association, AssociationError, Context, Proposal, QueryModel, connect},
    config::DimseConfig,
    message::{CommandSet, Operation},
};
use filmroom_peers::Peer;

/// C-FIND. Each answer goes to `on_answer` as it comes; `on_answer` returns false to cancel.
///
/// # Errors
/// [`ScuError`].
pub async fn find(
    peer: &Peer,
    config: Arc<DimseConfig>,
    model: QueryModel,
    identifier: &Attributes,
    mut on_answer: impl FnMut(Attributes) -> bool + Send,
) -> Result<Ended, ScuError> {
    let proposal = Proposal {
        contexts: vec![plain_context(&model.uid(Operation::Find))],
        ..Proposal::default()
    };
    let mut association = connect(peer, &proposal, config).await?;
    let result = async {
        let context = first_context(&association, "C-FIND of this information model")?;
        let message_id = ask(&mut association, &context, Operation::Find, identifier, None).await?;
        let longest = association.config().identifier_max_bytes;
        let mut cancelled = false;
        loop {
            let (response, data_set) = response(&mut association, Operation::Find, message_id, longest).await?;
            let ended = ended(&response);
            if !ended.status.is_pending() {
                return Ok(ended);
            }
            if let (Some(data_set), false) = (data_set, cancelled)
                && !on_answer(filmroom_dataset::parse(&data_set, &context.transfer_syntax, longest)?)
            {
                cancelled = true;
                cancel(&mut association, &context, message_id).await?;
            }
        }
    }
    .await;
    settle(association, result).await
}

async fn cancel(association: &mut Association, context: &Context, message_id: u16) -> Result<(), AssociationError> {
    let command = CommandSet {
        command_field: 0x0FFF,
        message_id_being_responded_to: Some(message_id),
        ..CommandSet::default()
    };
    association.send(context.id, &command, None).await
}
