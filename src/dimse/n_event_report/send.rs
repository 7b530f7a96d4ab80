//! A report over an association of its own.

use std::sync::Arc;

use filmroom_storage::model::TransferSyntaxUid;

use super::Event;
use crate::{
    association::{
        self, Association, AssociationError, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, Proposal,
        ProposedContext, STORAGE_COMMITMENT, Wait, connect,
    },
    config::DimseConfig,
    message::{CommandSet, Message, Operation},
    n_action::PUSH_MODEL_INSTANCE,
    session,
    status::Status,
};
use filmroom_dataset::{CharacterSet, DataSetError};
use filmroom_peers::Peer;

#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error(transparent)]
    Association(#[from] AssociationError),
    #[error("the peer does not take reports of storage commitment")]
    Context,
    #[error("answered with status {0}")]
    Status(Status),
    #[error(transparent)]
    Encoding(#[from] DataSetError),
}

/// Calls a peer, tells it, and hangs up.
pub(super) async fn send(peer: &Peer, event: &Event, config: Arc<DimseConfig>) -> Result<(), SendError> {
    let proposal = Proposal {
        contexts: vec![ProposedContext {
            abstract_syntax: STORAGE_COMMITMENT.to_owned(),
            transfer_syntaxes: vec![
                EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
                IMPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            ],
        }],
        scp_of: vec![STORAGE_COMMITMENT.to_owned()],
        operations_invoked: 0,
    };
    let mut association = connect(peer, &proposal, config).await?;
    match exchange(&mut association, event).await {
        Ok(()) => {
            if let Err(error) = association.release().await {
                tracing::debug!(%error, "the peer did not answer the release");
            }
            Ok(())
        }
        Err(SendError::Association(error)) => {
            association.fail(&error).await;
            Err(error.into())
        }
        Err(error) => {
            let _ = association.release().await;
            Err(error)
        }
    }
}

async fn exchange(association: &mut Association, event: &Event) -> Result<(), SendError> {
    let Some(context) = association.negotiated().contexts().first().cloned() else {
        return Err(SendError::Context);
    };
    let message_id = association.take_message_id();
    let (command, data_set) = encode(event, message_id, &context.transfer_syntax)?;
    association.send(context.id, &command, Some(&data_set)).await?;
    loop {
        let association::Event::Command { context_id } = association.next(Wait::Response).await? else {
            return Err(AssociationError::Left.into());
        };
        let command = association.command()?;
        if command.has_data_set {
            session::read_data_set(association, context_id, 0).await?;
        }
        if let Message::Response(Operation::EventReport, response) = Message::from(command) {
            return match response.status.map(Status) {
                Some(status) if status == Status::SUCCESS || status.is_warning() => Ok(()),
                status => Err(SendError::Status(status.unwrap_or(Status::PROCESSING_FAILURE))),
            };
        }
    }
}

/// A report as a message.
pub(crate) fn encode(
    event: &Event,
    message_id: u16,
    transfer_syntax: &TransferSyntaxUid,
) -> Result<(CommandSet, bytes::Bytes), DataSetError> {
    let command = CommandSet {
        sop_class_uid: STORAGE_COMMITMENT.to_owned(),
        command_field: Operation::EventReport.command_field(),
        message_id: Some(message_id),
        has_data_set: true,
        sop_instance_uid: PUSH_MODEL_INSTANCE.to_owned(),
        event_type_id: Some(event.event_type_id),
        ..CommandSet::default()
    };
    Ok((
        command,
        filmroom_dataset::encode(&event.information, transfer_syntax, &CharacterSet::Utf8)?,
    ))
}
