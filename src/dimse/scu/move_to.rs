//! C-MOVE (PS3.4 §C.4.2).

use std::sync::Arc;

use filmroom_storage::model::Attributes;

use super::{Ended, ScuError, ask, ended, first_context, plain_context, response, settle};
use crate::{
    association::{Proposal, QueryModel, connect},
    config::DimseConfig,
    message::{Counts, Operation},
};
use filmroom_peers::Peer;

/// C-MOVE to a destination that the peer knows by its AE title.
///
/// # Errors
/// [`ScuError`].
pub async fn move_to(
    peer: &Peer,
    config: Arc<DimseConfig>,
    model: QueryModel,
    identifier: &Attributes,
    destination: &str,
    mut on_progress: impl FnMut(Counts) + Send,
) -> Result<Ended, ScuError> {
    let proposal = Proposal {
        contexts: vec![plain_context(&model.uid(Operation::Move))],
        ..Proposal::default()
    };
    let mut association = connect(peer, &proposal, config).await?;
    let result = async {
        let context = first_context(&association, "C-MOVE of this information model")?;
        let message_id = ask(
            &mut association,
            &context,
            Operation::Move,
            identifier,
            Some(destination),
        )
        .await?;
        let longest = association.config().identifier_max_bytes;
        loop {
            let (response, _) = response(&mut association, Operation::Move, message_id, longest).await?;
            let ended = ended(&response);
            if let Some(counts) = ended.counts {
                on_progress(counts);
            }
            if !ended.status.is_pending() {
                return Ok(ended);
            }
        }
    }
    .await;
    settle(association, result).await
}
