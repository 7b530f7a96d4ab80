//! This node as SCU: echo, find, move, get and send, for the command line and for forwarding.

use std::sync::Arc;

use super::{
    association::{
        Association, AssociationError, Context, EXPLICIT_VR_LITTLE_ENDIAN, Event, IMPLICIT_VR_LITTLE_ENDIAN, Proposal,
        ProposedContext, QueryModel, Service, VERIFICATION, Wait, connect,
    },
    config::{DimseConfig, Peer},
    message::{CommandSet, Counts, Message, Operation},
    session,
    status::Status,
    sub_operation::{self, Asker, Performed, Plan, Progress, Sent},
};
use crate::{
    dataset::{self, CharacterSet, DataSetError},
    ingest::{Announced, Ingest},
    retrieve::{Retrieve, RetrieveError, Selection},
};
use filmroom_storage::model::{Attributes, Door, InstanceRecord, Origin, SopInstanceUid, TransferSyntaxUid};

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

/// How a `send` went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SendReport {
    /// Instances that the peer took, warnings included.
    pub sent: u64,
    /// Instances that it did not take, or that could not be sent, and why.
    pub failed: Vec<(SopInstanceUid, String)>,
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

fn plain_context(abstract_syntax: &str) -> ProposedContext {
    ProposedContext {
        abstract_syntax: abstract_syntax.to_owned(),
        transfer_syntaxes: vec![
            EXPLICIT_VR_LITTLE_ENDIAN.to_owned(),
            IMPLICIT_VR_LITTLE_ENDIAN.to_owned(),
        ],
    }
}

/// Runs an operation over an association and ends the association however it went.
async fn settle<T>(association: Association, result: Result<T, ScuError>) -> Result<T, ScuError> {
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
                && !on_answer(dataset::parse(&data_set, &context.transfer_syntax, longest)?)
            {
                cancelled = true;
                cancel(&mut association, &context, message_id).await?;
            }
        }
    }
    .await;
    settle(association, result).await
}

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

/// C-GET: instances come over the same association and are taken in. `classes`: SOP classes and the transfer syntaxes in
/// which instances of them are wanted, at most 128 pairs; they have to be named before it is known what comes.
///
/// # Errors
/// [`ScuError`].
pub async fn get(
    peer: &Peer,
    config: Arc<DimseConfig>,
    model: QueryModel,
    identifier: &Attributes,
    classes: &[(String, Vec<String>)],
    ingest: &Ingest,
    mut on_progress: impl FnMut(Counts) + Send,
) -> Result<Ended, ScuError> {
    let mut contexts = vec![plain_context(&model.uid(Operation::Get))];
    contexts.extend(classes.iter().map(|(class, syntaxes)| ProposedContext {
        abstract_syntax: class.clone(),
        transfer_syntaxes: syntaxes.clone(),
    }));
    let scp_of = classes.iter().map(|(class, _)| class.clone()).collect();
    let proposal = Proposal {
        contexts,
        scp_of,
        operations_invoked: 0,
    };
    let mut association = connect(peer, &proposal, config).await?;
    let result = async {
        let context = first_context(&association, "C-GET of this information model")?;
        if !matches!(context.service, Service::Get(_)) {
            return Err(ScuError::NotOffered("C-GET of this information model"));
        }
        let message_id = ask(&mut association, &context, Operation::Get, identifier, None).await?;
        let longest = association.config().identifier_max_bytes;
        loop {
            let Event::Command { context_id } = association.next(Wait::Response).await? else {
                return Err(AssociationError::Left.into());
            };
            let command = association.command()?;
            match Message::from(command) {
                Message::Request(Operation::Store, request) => {
                    receive(&mut association, context_id, &request, ingest).await?;
                }
                Message::Response(Operation::Get, response)
                    if response.message_id_being_responded_to == Some(message_id) =>
                {
                    if response.has_data_set {
                        session::read_data_set(&mut association, context_id, longest).await?;
                    }
                    let ended = ended(&response);
                    if let Some(counts) = ended.counts {
                        on_progress(counts);
                    }
                    if !ended.status.is_pending() {
                        return Ok(ended);
                    }
                }
                Message::Request(_, other) | Message::Response(_, other) | Message::Unknown(other) => {
                    if other.has_data_set {
                        session::read_data_set(&mut association, context_id, 0).await?;
                    }
                }
                Message::Cancel(_) => {}
            }
        }
    }
    .await;
    settle(association, result).await
}

/// Takes in one instance that a peer sends for a C-GET.
async fn receive(
    association: &mut Association,
    context_id: u8,
    request: &CommandSet,
    ingest: &Ingest,
) -> Result<(), AssociationError> {
    let negotiated = association.negotiated();
    let announced = |transfer_syntax_uid: TransferSyntaxUid| Announced {
        transfer_syntax_uid,
        sop_class_uid: Some(request.sop_class_uid.clone()),
        sop_instance_uid: Some(request.sop_instance_uid.clone()),
        study_instance_uid: None,
        expected_length: 0,
    };
    let origin = Origin {
        door: Door::Dimse,
        sender: negotiated.called_ae_title.clone(),
        receiver: negotiated.calling_ae_title.clone(),
        address: negotiated.peer_address.clone(),
    };
    let mut receiving = match negotiated.context(context_id) {
        Some(context) => ingest
            .receive(announced(context.transfer_syntax.clone()), origin)
            .map_err(|error| (Status::from(&error), error.to_string())),
        None => Err((
            Status::SOP_CLASS_NOT_SUPPORTED,
            "the presentation context was not accepted".to_owned(),
        )),
    };
    let mut last = !request.has_data_set;
    while !last {
        let (span, ends) = session::data(association.next(Wait::Message).await?, context_id)?;
        last = ends;
        if let Ok(open) = &mut receiving
            && let Err(error) = open.write(association.bytes(span)).await
        {
            receiving = Err((Status::from(&error), error.to_string()));
        }
    }
    let result = match receiving {
        Ok(receiving) => receiving
            .finish()
            .await
            .map_err(|error| (Status::from(&error), error.to_string())),
        Err(refused) => Err(refused),
    };
    let (status, error_comment) = match result {
        Ok(_) => (Status::SUCCESS, String::new()),
        Err((status, comment)) => {
            tracing::warn!(%status, comment, sop_instance_uid = request.sop_instance_uid, "an instance was not stored");
            (status, comment)
        }
    };
    let response = CommandSet {
        error_comment,
        ..CommandSet::response_to(request, status.0)
    };
    association.send(context_id, &response, None).await
}

/// Sends instances of the archive by C-STORE, as stored where the peer takes them so.
///
/// # Errors
/// [`ScuError`] when nothing could be sent at all; what failed one by one is in the report.
pub async fn send(
    peer: &Peer,
    config: Arc<DimseConfig>,
    retrieve: &Retrieve,
    selection: Selection,
    mut on_sent: impl FnMut(&InstanceRecord, Status) + Send,
) -> Result<SendReport, ScuError> {
    let plan = Plan::new(retrieve, selection).await?;
    if plan.total == 0 {
        return Ok(SendReport::default());
    }
    let mut association = connect(peer, &plan.proposal(), config).await?;
    let mut asker = Reporting {
        report: SendReport::default(),
        on_sent: &mut on_sent,
    };
    let performed = sub_operation::perform(&mut association, retrieve, plan, None, &mut asker).await;
    let report = asker.report;
    let result = match performed {
        Ok(Performed { lost: None, .. }) => Ok(()),
        Ok(Performed { lost: Some(error), .. }) | Err(error) => Err(error.into()),
    };
    settle(association, result).await.map(|()| report)
}

struct Reporting<'a, F> {
    report: SendReport,
    on_sent: &'a mut F,
}

impl<F: FnMut(&InstanceRecord, Status) + Send> Asker for Reporting<'_, F> {
    async fn is_cancelled(&mut self, _: &mut Association) -> Result<bool, AssociationError> {
        Ok(false)
    }

    async fn sent(&mut self, _: &mut Association, outcome: Sent<'_>, _: &Progress) -> Result<(), AssociationError> {
        match outcome {
            Sent::Answered(record, status) => {
                if status == Status::SUCCESS || status.is_warning() {
                    self.report.sent += 1;
                } else {
                    self.report.failed.push((
                        record.sop_instance_uid.clone(),
                        format!("answered with status {status}"),
                    ));
                }
                (self.on_sent)(record, status);
            }
            Sent::Unsendable(uid) => {
                let why = "it cannot be read, or given in a form that the peer takes".to_owned();
                self.report.failed.push((uid.clone(), why));
            }
        }
        Ok(())
    }
}

fn first_context(association: &Association, service: &'static str) -> Result<Context, ScuError> {
    association
        .negotiated()
        .contexts()
        .first()
        .cloned()
        .ok_or(ScuError::NotOffered(service))
}

async fn ask(
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
    let encoded = dataset::encode(identifier, &context.transfer_syntax, &CharacterSet::Utf8)?;
    association.send(context.id, &command, Some(&encoded)).await?;
    Ok(message_id)
}

async fn cancel(association: &mut Association, context: &Context, message_id: u16) -> Result<(), AssociationError> {
    let command = CommandSet {
        command_field: 0x0FFF,
        message_id_being_responded_to: Some(message_id),
        ..CommandSet::default()
    };
    association.send(context.id, &command, None).await
}

/// The next response to a request, with its data set where it is not longer than allowed.
async fn response(
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

fn ended(response: &CommandSet) -> Ended {
    Ended {
        // A response without a status has not said that it worked.
        status: response.status.map_or(Status::PROCESSING_FAILURE, Status),
        error_comment: response.error_comment.clone(),
        counts: response.counts,
    }
}
