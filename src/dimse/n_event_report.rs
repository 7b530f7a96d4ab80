//! N-EVENT-REPORT of storage commitment (PS3.4 §J.3.3): to the peer's own port where it is known, in the role of SCP; else over
//! the association that asked.

use std::{sync::Arc, time::Duration};

use filmroom_storage::model::TransferSyntaxUid;

use super::{
    association::{
        Association, AssociationError, Context, EXPLICIT_VR_LITTLE_ENDIAN, Event, IMPLICIT_VR_LITTLE_ENDIAN, Proposal,
        ProposedContext, STORAGE_COMMITMENT, Wait, connect,
    },
    config::{DimseConfig, Peer},
    message::{CommandSet, Message, Operation},
    n_action::{PUSH_MODEL_INSTANCE, Report},
    session::{self, Session},
    status::Status,
};
use crate::dataset::{self, CharacterSet, DataSetError};

/// Pause after the first attempt that failed; doubled with each.
const PAUSE: Duration = Duration::from_secs(1);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(600);

/// Brings a report on its way. A peer that is not configured can only be told over its own association, while that lasts.
pub(super) async fn deliver(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    report: Report,
) -> Result<(), AssociationError> {
    let config = association.config().clone();
    let Some(peer) = config.peer(&association.negotiated().calling_ae_title).cloned() else {
        let message_id = association.take_message_id();
        return match encode(&report, message_id, &context.transfer_syntax) {
            // The answer comes when it comes: the peer may go on with requests of its own, or release.
            Ok((command, data_set)) => association.send(context.id, &command, Some(&data_set)).await,
            Err(error) => {
                tracing::error!(%error, "a storage commitment report could not be encoded");
                Ok(())
            }
        };
    };
    let draining = session.draining.clone();
    session.tracker.spawn(async move {
        tokio::select! {
            () = deliver_until_taken(&peer, &report, config) => {}
            () = draining.cancelled() => {
                tracing::warn!(peer = %peer.ae_title, "stopped before a storage commitment report was taken; the peer has to ask again");
            }
        }
    });
    Ok(())
}

async fn deliver_until_taken(peer: &Peer, report: &Report, config: Arc<DimseConfig>) {
    let mut pause = PAUSE;
    for attempt in 1..=config.commitment_attempts_max.max(1) {
        match deliver_once(peer, report, config.clone()).await {
            Ok(()) => return tracing::info!(peer = %peer.ae_title, attempt, "a storage commitment report was taken"),
            Err(error) => {
                tracing::warn!(peer = %peer.ae_title, attempt, %error, "a storage commitment report was not taken");
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
    tracing::error!(peer = %peer.ae_title, "a storage commitment report is given up; the peer has to ask again");
}

#[derive(Debug, thiserror::Error)]
enum ReportError {
    #[error(transparent)]
    Association(#[from] AssociationError),
    #[error("the peer does not take reports of storage commitment")]
    Context,
    #[error("answered with status {0}")]
    Status(Status),
    #[error(transparent)]
    Encoding(#[from] DataSetError),
}

async fn deliver_once(peer: &Peer, report: &Report, config: Arc<DimseConfig>) -> Result<(), ReportError> {
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
    match exchange(&mut association, report).await {
        Ok(()) => {
            if let Err(error) = association.release().await {
                tracing::debug!(%error, "the peer did not answer the release");
            }
            Ok(())
        }
        Err(ReportError::Association(error)) => {
            association.fail(&error).await;
            Err(error.into())
        }
        Err(error) => {
            let _ = association.release().await;
            Err(error)
        }
    }
}

async fn exchange(association: &mut Association, report: &Report) -> Result<(), ReportError> {
    let Some(context) = association.negotiated().contexts().first().cloned() else {
        return Err(ReportError::Context);
    };
    let message_id = association.take_message_id();
    let (command, data_set) = encode(report, message_id, &context.transfer_syntax)?;
    association.send(context.id, &command, Some(&data_set)).await?;
    loop {
        let Event::Command { context_id } = association.next(Wait::Response).await? else {
            return Err(AssociationError::Left.into());
        };
        let command = association.command()?;
        if command.has_data_set {
            session::read_data_set(association, context_id, 0).await?;
        }
        if let Message::Response(Operation::EventReport, response) = Message::from(command) {
            return match response.status.map(Status) {
                Some(status) if status == Status::SUCCESS || status.is_warning() => Ok(()),
                status => Err(ReportError::Status(status.unwrap_or(Status::PROCESSING_FAILURE))),
            };
        }
    }
}

fn encode(
    report: &Report,
    message_id: u16,
    transfer_syntax: &TransferSyntaxUid,
) -> Result<(CommandSet, bytes::Bytes), DataSetError> {
    let command = CommandSet {
        sop_class_uid: STORAGE_COMMITMENT.to_owned(),
        command_field: Operation::EventReport.command_field(),
        message_id: Some(message_id),
        has_data_set: true,
        sop_instance_uid: PUSH_MODEL_INSTANCE.to_owned(),
        event_type_id: Some(report.event_type_id),
        ..CommandSet::default()
    };
    Ok((
        command,
        dataset::encode(&report.information, transfer_syntax, &CharacterSet::Utf8)?,
    ))
}
