//! Storage commitment as SCU (PS3.4 §J): asks a peer to answer for instances, and takes its report.
//!
//! A peer reports over the association that asked, or calls back; both are waited for. What a peer said is only believed of a
//! transaction that waits for that very peer.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use filmroom_storage::model::{Attributes, Elements, Tag, TransferSyntaxUid};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    time::{Instant, sleep_until, timeout_at},
};

use super::{ScuError, first_context, plain_context, response, settle};
use crate::{
    association::{
        Admission, Arrival, Association, AssociationError, Context, Event, Proposal, Reach, STORAGE_COMMITMENT,
        Service, Wait, accept, connect,
    },
    config::{CalledAeTitle, DimseConfig, UnknownCallers},
    message::{CommandSet, Message, Operation},
    n_action::{
        PUSH_MODEL_INSTANCE, REFERENCED_SOP_CLASS_UID, REFERENCED_SOP_INSTANCE_UID, REFERENCED_SOP_SEQUENCE,
        REQUEST_COMMITMENT, TRANSACTION_UID,
    },
    n_event_report::{FAILED_SOP_SEQUENCE, FAILURE_REASON},
    session,
    status::Status,
};
use filmroom_commitment::Reference;
use filmroom_dataset::{Builder, CharacterSet, items};
use filmroom_peers::{Peer, Peers};

/// What a peer answers for, and what it does not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CommitReport {
    /// (0008,1195).
    pub transaction_uid: String,
    /// SOP Instance UIDs that it keeps.
    pub safe: Vec<String>,
    /// SOP Instance UIDs that it does not, and its Failure Reason (0008,1197).
    pub not_safe: Vec<(String, Status)>,
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The request did not get through, or was refused.
    #[error(transparent)]
    Scu(#[from] ScuError),
    /// The peer accepted the request and has not reported.
    #[error("accepted, and not reported on within {0:?}")]
    NoReport(Duration),
}

/// Reports that are waited for, by transaction. What calls back is looked up here.
#[derive(Debug, Default)]
pub struct AwaitedReports {
    by_transaction: Mutex<HashMap<String, Awaited>>,
}

#[derive(Debug)]
struct Awaited {
    ae_title: String,
    report: oneshot::Sender<CommitReport>,
}

impl AwaitedReports {
    fn wait(&self, transaction_uid: &str, ae_title: &str) -> oneshot::Receiver<CommitReport> {
        let (sender, receiver) = oneshot::channel();
        let awaited = Awaited {
            ae_title: ae_title.to_owned(),
            report: sender,
        };
        self.all().insert(transaction_uid.to_owned(), awaited);
        receiver
    }

    fn forget(&self, transaction_uid: &str) {
        self.all().remove(transaction_uid);
    }

    /// Whoever waits for a report of this peer.
    fn claim(&self, ae_title: &str, transaction_uid: &str) -> Option<oneshot::Sender<CommitReport>> {
        let mut all = self.all();
        all.get(transaction_uid)
            .filter(|awaited| awaited.ae_title == ae_title)?;
        all.remove(transaction_uid).map(|awaited| awaited.report)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Awaited>> {
        self.by_transaction.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks a peer to commit itself to instances, and waits for its report: over the association that asks, or for what others
/// give to `reports`.
///
/// # Errors
/// [`CommitError`].
pub async fn commit(
    peer: &Peer,
    config: Arc<DimseConfig>,
    references: &[Reference],
    reports: &AwaitedReports,
    wait: Duration,
) -> Result<CommitReport, CommitError> {
    let transaction_uid = format!("2.25.{}", uuid::Uuid::new_v4().as_u128());
    let report = reports.wait(&transaction_uid, peer.ae_title.as_str());
    let result = ask(peer, config, references, &transaction_uid, reports, report, wait).await;
    reports.forget(&transaction_uid);
    result
}

async fn ask(
    peer: &Peer,
    config: Arc<DimseConfig>,
    references: &[Reference],
    transaction_uid: &str,
    reports: &AwaitedReports,
    report: oneshot::Receiver<CommitReport>,
    wait: Duration,
) -> Result<CommitReport, CommitError> {
    let proposal = Proposal {
        contexts: vec![plain_context(STORAGE_COMMITMENT)],
        ..Proposal::default()
    };
    let mut association = connect(peer, &proposal, config).await.map_err(ScuError::from)?;
    if let Err(error) = request(&mut association, references, transaction_uid).await {
        let ended: Result<CommitReport, _> = settle(association, Err(error)).await;
        return ended.map_err(CommitError::from);
    }
    let title = peer.ae_title.as_str();
    let until = Instant::now() + wait;
    let mut report = report;
    // What came over this association is answered before it is given to `report`, so that nothing is broken off here.
    let over = tokio::select! {
        told = &mut report => Ok(told.ok()),
        () = sleep_until(until) => Ok(None),
        over = listen(&mut association, title, reports) => Err(over),
    };
    let told = match over {
        Ok(told) => {
            if let Err(error) = association.release().await {
                tracing::debug!(%error, "the peer did not answer the release");
            }
            told
        }
        Err(over) => {
            match over {
                Ok(()) => association.release_response().await,
                Err(error) => association.fail(&error).await,
            }
            // It may still call back.
            timeout_at(until, report).await.ok().and_then(Result::ok)
        }
    };
    told.ok_or(CommitError::NoReport(wait))
}

/// N-ACTION.
async fn request(
    association: &mut Association,
    references: &[Reference],
    transaction_uid: &str,
) -> Result<(), ScuError> {
    let context = first_context(association, "storage commitment")?;
    let items: Vec<Attributes> = references
        .iter()
        .map(|reference| {
            Builder::new()
                .text(REFERENCED_SOP_CLASS_UID, &reference.sop_class_uid)
                .text(REFERENCED_SOP_INSTANCE_UID, &reference.sop_instance_uid)
                .build()
        })
        .collect();
    let information = Builder::new()
        .text(TRANSACTION_UID, transaction_uid)
        .sequence(REFERENCED_SOP_SEQUENCE, &items)
        .build();
    let message_id = association.take_message_id();
    let command = CommandSet {
        sop_class_uid: STORAGE_COMMITMENT.to_owned(),
        command_field: Operation::Action.command_field(),
        message_id: Some(message_id),
        has_data_set: true,
        sop_instance_uid: PUSH_MODEL_INSTANCE.to_owned(),
        action_type_id: Some(REQUEST_COMMITMENT),
        ..CommandSet::default()
    };
    let encoded = filmroom_dataset::encode(&information, &context.transfer_syntax, &CharacterSet::Utf8)?;
    association.send(context.id, &command, Some(&encoded)).await?;
    let (answer, _) = response(association, Operation::Action, message_id, 0).await?;
    match answer.status.map(Status) {
        Some(status) if status == Status::SUCCESS || status.is_warning() => Ok(()),
        status => Err(ScuError::Refused(status.unwrap_or(Status::PROCESSING_FAILURE))),
    }
}

/// Takes reports over an association until it ends.
async fn listen(
    association: &mut Association,
    ae_title: &str,
    reports: &AwaitedReports,
) -> Result<(), AssociationError> {
    loop {
        match association.next(Wait::Idle).await? {
            Event::Command { context_id } => {
                let command = association.command()?;
                let context = association.negotiated().context(context_id).cloned();
                match (Message::from(command), context) {
                    (Message::Request(Operation::EventReport, request), Some(context))
                        if context.service == Service::StorageCommitment =>
                    {
                        take(association, &context, &request, ae_title, reports).await?;
                    }
                    (Message::Request(_, request), Some(context)) => {
                        session::refuse(association, &context, &request, Status::UNRECOGNIZED_OPERATION, "").await?;
                    }
                    _ => return Err(AssociationError::Left),
                }
            }
            Event::ReleaseRequest => return Ok(()),
            _ => return Err(AssociationError::Left),
        }
    }
}

/// Takes one N-EVENT-REPORT and answers it.
pub(crate) async fn take(
    association: &mut Association,
    context: &Context,
    request: &CommandSet,
    ae_title: &str,
    reports: &AwaitedReports,
) -> Result<(), AssociationError> {
    let longest = association.config().identifier_max_bytes;
    let data_set = if request.has_data_set {
        session::read_data_set(association, context.id, longest).await?
    } else {
        None
    };
    let report = data_set.and_then(|bytes| read(&bytes, &context.transfer_syntax, longest));
    let Some(report) = report else {
        let comment = "the event information is missing, too long or no data set";
        return session::answer(association, context, request, Status::INVALID_ARGUMENT, comment).await;
    };
    let Some(waiting) = reports.claim(ae_title, &report.transaction_uid) else {
        let comment = "no request of this transaction waits for a report";
        return session::answer(association, context, request, Status::PROCESSING_FAILURE, comment).await;
    };
    let response = CommandSet::response_to(request, Status::SUCCESS.0);
    let answered = association.send(context.id, &response, None).await;
    // Whoever waited may have given up this moment; it asks again.
    let _ = waiting.send(report);
    answered
}

fn read(bytes: &Bytes, transfer_syntax: &TransferSyntaxUid, longest: usize) -> Option<CommitReport> {
    let information = filmroom_dataset::parse(bytes, transfer_syntax, longest).ok()?;
    let references = |sequence: Tag| -> Vec<(String, Status)> {
        let value = information
            .get(sequence)
            .map(|element| element.value)
            .unwrap_or_default();
        let reference = |item: &[u8]| {
            let element = |tag: Tag| Elements::new(item).find(|element| element.tag == tag);
            let uid = element(REFERENCED_SOP_INSTANCE_UID)?.text().trim().to_owned();
            let reason = element(FAILURE_REASON).and_then(|reason| reason.value.first_chunk::<2>().copied());
            let reason = reason.map_or(Status::PROCESSING_FAILURE, |bytes| Status(u16::from_le_bytes(bytes)));
            Some((uid, reason))
        };
        items(value).filter_map(reference).collect()
    };
    Some(CommitReport {
        transaction_uid: information.text(TRANSACTION_UID).trim().to_owned(),
        safe: references(REFERENCED_SOP_SEQUENCE)
            .into_iter()
            .map(|(uid, _)| uid)
            .collect(),
        not_safe: references(FAILED_SOP_SEQUENCE),
    })
}

/// Answers a peer that calls back, and nobody else, for as long as this is waited for: for a command that runs without a door.
pub async fn take_calls(
    listener: TcpListener,
    peer: Peer,
    config: Arc<DimseConfig>,
    reports: &AwaitedReports,
) -> Infallible {
    let config = Arc::new(DimseConfig {
        peers: Arc::new(Peers::of_settings([peer])),
        unknown_callers: UnknownCallers::Rejected,
        called_ae_title: CalledAeTitle::Any,
        ..(*config).clone()
    });
    loop {
        let Ok((stream, address)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let arrival = Arrival {
            address: address.to_string(),
            reach: Reach::Remote,
            certificate: None,
        };
        // One after the other: each is bounded by the waits of the settings, and a peer has one report to tell.
        match accept(Box::new(stream), arrival, config.clone(), || Admission::Admitted(())).await {
            Ok((mut association, ())) => {
                let title = association.negotiated().calling_ae_title.clone();
                match listen(&mut association, &title, reports).await {
                    Ok(()) => association.release_response().await,
                    Err(error) => association.fail(&error).await,
                }
            }
            Err(error) => tracing::info!(%error, "no association"),
        }
    }
}
