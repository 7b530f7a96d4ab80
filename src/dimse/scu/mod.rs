//! This node as SCU: echo, find, move, get and send, for the command line and for forwarding.

mod commit;
mod echo;
mod find;
mod get;
mod move_to;
mod send;

use super::{
    association::{
        Association, AssociationError, Context, EXPLICIT_VR_LITTLE_ENDIAN, Event, IMPLICIT_VR_LITTLE_ENDIAN,
        ProposedContext, QueryModel, Wait,
    },
    message::{CommandSet, Counts, Message, Operation},
    session,
    status::Status,
};
use filmroom_dataset::{CharacterSet, DataSetError};
use filmroom_retrieve::RetrieveError;
use filmroom_storage::model::Attributes;

pub(crate) use commit::take;
pub use commit::{AwaitedReports, CommitError, CommitReport, commit, take_calls};
pub use echo::echo;
pub use find::find;
pub use get::get;
pub use move_to::move_to;
pub use send::{SendReport, send};

/// Why an operation at a peer did not come to a status.
#[derive(Debug, thiserror::Error)]
pub enum ScuError {
    /// The association could not be opened, or broke.
    #[error(transparent)]
    Association(#[from] AssociationError),
    /// The peer does not offer the service.
    #[error("the peer does not offer {0}")]
    NotOffered(&'static str),
    /// A data set could not be read or written.
    #[error(transparent)]
    DataSet(#[from] DataSetError),
    /// The peer answered with a status that is none of success.
    #[error("answered with status {0}")]
    Refused(Status),
    /// What is to be sent could not be found.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The final status.
    pub status: Status,
    /// What the peer says about it.
    pub error_comment: String,
    /// Sub-operations, as the peer counts them.
    pub counts: Option<Counts>,
}

impl QueryModel {
    fn uid(self, operation: Operation) -> String {
        let model = match self {
            Self::PatientRoot => 1,
            Self::StudyRoot => 2,
            Self::PatientStudyOnly => 3,
        };
        let operation = match operation {
            Operation::Find => 1,
            Operation::Move => 2,
            _ => 3,
        };
        format!("1.2.840.10008.5.1.4.1.2.{model}.{operation}")
    }
}

pub(crate) fn plain_context(abstract_syntax: &str) -> ProposedContext {
    ProposedContext {
        abstract_syntax: abstract_syntax.to_owned(),
        transfer_syntaxes: vec![
            EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            IMPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        ],
    }
}

/// Runs an operation over an association and ends the association however it went.
pub(crate) async fn settle<T>(association: Association, result: Result<T, ScuError>) -> Result<T, ScuError> {
    match result {
        Err(ScuError::Association(error)) => {
            association.fail(&error).await;
            Err(ScuError::Association(error))
        }
        other => {
            if let Err(error) = association.release().await {
                tracing::debug!(%error, "the peer did not answer the release");
            }
            other
        }
    }
}

pub(crate) fn first_context(association: &Association, service: &'static str) -> Result<Context, ScuError> {
    association
        .negotiated()
        .contexts()
        .first()
        .cloned()
        .ok_or(ScuError::NotOffered(service))
}

pub(crate) async fn ask(
    association: &mut Association,
    context: &Context,
    operation: Operation,
    identifier: &Attributes,
    destination: Option<&str>,
) -> Result<u16, ScuError> {
    let message_id = association.take_message_id();
    let command = CommandSet {
        sop_class_uid: context.abstract_syntax.to_string(),
        command_field: operation.command_field(),
        message_id: Some(message_id),
        move_destination: destination.unwrap_or_default().to_owned(),
        priority: Some(0),
        has_data_set: true,
        ..CommandSet::default()
    };
    let encoded = filmroom_dataset::encode(identifier, &context.transfer_syntax, &CharacterSet::Utf8)?;
    association.send(context.id, &command, Some(&encoded)).await?;
    Ok(message_id)
}

/// The next response to a request, with its data set where it is not longer than allowed.
pub(crate) async fn response(
    association: &mut Association,
    operation: Operation,
    message_id: u16,
    length_max: usize,
) -> Result<(CommandSet, Option<bytes::Bytes>), AssociationError> {
    loop {
        let Event::Command { context_id } = association.next(Wait::Response).await? else {
            return Err(AssociationError::Left);
        };
        let command = association.command()?;
        let data_set = if command.has_data_set {
            session::read_data_set(association, context_id, length_max).await?
        } else {
            None
        };
        match Message::from(command) {
            Message::Response(answered, response)
                if answered == operation && response.message_id_being_responded_to == Some(message_id) =>
            {
                return Ok((response, data_set));
            }
            _ => {}
        }
    }
}

pub(crate) fn ended(response: &CommandSet) -> Ended {
    Ended {
        // A response without a status has not said that it worked.
        status: response.status.map_or(Status::PROCESSING_FAILURE, Status),
        error_comment: response.error_comment.clone(),
        counts: response.counts,
    }
}
