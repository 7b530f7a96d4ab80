//! C-ECHO (PS3.4 §A.4).

use std::sync::Arc;

use super::{ScuError, ended, first_context, plain_context, response, settle};
use crate::{
    association::{Proposal, VERIFICATION, connect},
    config::DimseConfig,
    message::{CommandSet, Operation},
    status::Status,
};
use filmroom_peers::Peer;

/// C-ECHO.
///
/// # Errors
/// [`ScuError`].
pub async fn echo(peer: &Peer, config: Arc<DimseConfig>) -> Result<Status, ScuError> {
    let proposal = Proposal {
        contexts: vec![plain_context(VERIFICATION)],
        ..Proposal::default()
    };
    let mut association = connect(peer, &proposal, config).await?;
    let result = async {
        let context = first_context(&association, "verification")?;
        let message_id = association.take_message_id();
        let command = CommandSet {
            sop_class_uid: VERIFICATION.to_owned(),
            command_field: Operation::Echo.command_field(),
            message_id: Some(message_id),
            ..CommandSet::default()
        };
        association.send(context.id, &command, None).await?;
        let (response, _) = response(&mut association, Operation::Echo, message_id, 0).await?;
        Ok(ended(&response).status)
    }
    .await;
    settle(association, result).await
}
