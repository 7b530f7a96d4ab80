//! One association at work: the next message, whom it concerns, and that it is answered.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{
    Rooms,
    association::{AbortReason, Association, AssociationError, Context, Event, Service, Wait},
    c_find, c_get, c_move, c_store,
    message::{CommandSet, Message, Operation},
    n_action,
    n_event_report::{self, Line, Order},
    procedure_step,
    scu::{self, AwaitedReports},
    status::Status,
    worklist,
};

/// Time for a peer to come up with its next request when the archive is stopping.
const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// What an association did, for its closing line in the log.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) stored: u64,
    pub(super) refused: u64,
    pub(super) bytes: u64,
    pub(super) sent: u64,
    pub(super) queries: u64,
    pub(super) echoes: u64,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (count, what) in [
            (self.stored, "stored"),
            (self.refused, "not stored"),
            (self.bytes, "bytes received"),
            (self.sent, "sent"),
            (self.queries, "queries"),
            (self.echoes, "echoes"),
        ] {
            if count > 0 {
                write!(f, "{separator}{count} {what}")?;
                separator = ", ";
            }
        }
        if separator.is_empty() {
            f.write_str("nothing asked for")
        } else {
            Ok(())
        }
    }
}

/// An instance that has come whole and is being made durable.
pub(super) struct Stored {
    pub(super) context_id: u8,
    pub(super) response: CommandSet,
}

/// What an association keeps between its messages.
pub(super) struct Session {
    pub(super) rooms: Rooms,
    pub(super) draining: CancellationToken,
    /// Reports that wait to be told over this association; `None` where it takes none.
    line: Option<Line>,
    /// Reports that this node waits for.
    awaited: Arc<AwaitedReports>,
    /// Reports that were told and not answered, by message ID.
    reporting: HashMap<u16, oneshot::Sender<Result<(), String>>>,
    pub(super) storing: FuturesUnordered<BoxFuture<'static, Stored>>,
    /// Length of the last instance: the best guess at that of the next.
    pub(super) last_length: u64,
    pub(super) tally: Tally,
}

impl Session {
    pub(super) fn new(
        rooms: Rooms,
        draining: CancellationToken,
        line: Option<Line>,
        awaited: Arc<AwaitedReports>,
    ) -> Self {
        Self {
            rooms,
            draining,
            line,
            awaited,
            reporting: HashMap::new(),
            storing: FuturesUnordered::new(),
            last_length: 0,
            tally: Tally::default(),
        }
    }

    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// The next event; answers instances that have become durable in the meantime.
    pub(super) async fn next(&mut self, association: &mut Association, wait: Wait) -> Result<Event, AssociationError> {
        let never = CancellationToken::new();
        // Without an end the loop ends with an event alone.
        self.next_until(association, wait, &never)
            .await?
            .ok_or(AssociationError::Stopping)
    }

    /// As [`Session::next`], up to an end; between two messages reports are told, too. Nothing that is being written is broken
    /// off by the end.
    async fn next_until(
        &mut self,
        association: &mut Association,
        wait: Wait,
        end: &CancellationToken,
    ) -> Result<Option<Event>, AssociationError> {
        loop {
            let told = tokio::select! {
                biased;
                Some(stored) = self.storing.next(), if !self.storing.is_empty() => {
                    self.answer(association, stored).await?;
                    continue;
                }
                event = association.next(wait) => return event.map(Some),
                Some(order) = next_order(&mut self.line), if wait == Wait::Idle => order,
                () = end.cancelled() => return Ok(None),
            };
            self.tell(association, told).await?;
        }
    }

    /// Tells a report over the association; its answer comes as a message of its own.
    async fn tell(&mut self, association: &mut Association, order: Order) -> Result<(), AssociationError> {
        let mut contexts = association.negotiated().contexts().iter();
        let Some(context) = contexts
            .find(|context| context.service == Service::StorageCommitment)
            .cloned()
        else {
            return Ok(());
        };
        let message_id = association.take_message_id();
        match n_event_report::encode(&order.event, message_id, &context.transfer_syntax) {
            Ok((command, data_set)) => {
                self.reporting.insert(message_id, order.taken);
                association.send(context.id, &command, Some(&data_set)).await
            }
            Err(error) => {
                let _ = order.taken.send(Err(error.to_string()));
                Ok(())
            }
        }
    }

    /// A report that was told has been answered.
    fn told(&mut self, response: &CommandSet) {
        let asked = response.message_id_being_responded_to.unwrap_or_default();
        let Some(taken) = self.reporting.remove(&asked) else {
            return tracing::debug!("an answer that nobody waits for");
        };
        let result = match response.status.map(Status) {
            Some(status) if status == Status::SUCCESS || status.is_warning() => Ok(()),
            Some(status) => Err(format!("answered with status {status}")),
            None => Err("answered without a status".to_owned()),
        };
        let _ = taken.send(result);
    }

    /// Answers instances until at most `left` are being made durable.
    pub(super) async fn settle(&mut self, association: &mut Association, left: usize) -> Result<(), AssociationError> {
        while self.storing.len() > left {
            let Some(stored) = self.storing.next().await else { break };
            self.answer(association, stored).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, association: &mut Association, stored: Stored) -> Result<(), AssociationError> {
        if stored.response.status == Some(Status::SUCCESS.0) {
            self.tally.stored += 1;
        } else {
            self.tally.refused += 1;
        }
        association.send(stored.context_id, &stored.response, None).await
    }

    async fn next_request(&mut self, association: &mut Association) -> Result<Event, AssociationError> {
        let draining = self.draining.clone();
        if let Some(event) = self.next_until(association, Wait::Idle, &draining).await? {
            return Ok(event);
        }
        let grace = CancellationToken::new();
        let ended = {
            let grace = grace.clone();
            async move {
                tokio::time::sleep(DRAIN_GRACE).await;
                grace.cancel();
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            event = self.next_until(association, Wait::Idle, &grace) => event?.ok_or(AssociationError::Stopping),
            () = ended => Err(AssociationError::Stopping),
        }
    }
}

/// The next report of a line; never where there is none.
async fn next_order(line: &mut Option<Line>) -> Option<Order> {
    match line {
        Some(line) => line.next().await,
        None => std::future::pending().await,
    }
}

/// Serves an association until its release is asked for.
pub(super) async fn serve(association: &mut Association, session: &mut Session) -> Result<(), AssociationError> {
    loop {
        match session.next_request(association).await? {
            Event::Command { context_id } => {
                let command = association.command()?;
                message(association, session, context_id, command).await?;
            }
            Event::ReleaseRequest => return session.settle(association, 0).await,
            Event::Data { .. } => return Err(protocol(AbortReason::InvalidParameter, "data without a command")),
            Event::ReleaseResponse => {
                return Err(protocol(AbortReason::UnexpectedPdu, "a release that was not asked for"));
            }
            Event::Control { .. } => return Err(protocol(AbortReason::UnexpectedPdu, "a second association request")),
        }
    }
}

async fn message(
    association: &mut Association,
    session: &mut Session,
    context_id: u8,
    command: CommandSet,
) -> Result<(), AssociationError> {
    let Some(context) = association.negotiated().context(context_id).cloned() else {
        return Err(protocol(
            AbortReason::InvalidParameter,
            "a message in a presentation context that was not accepted",
        ));
    };
    match Message::from(command) {
        Message::Request(operation, request) => {
            if operation == Operation::Store {
                return c_store::serve(association, session, &context, request).await;
            }
            session.settle(association, 0).await?;
            request_of(association, session, &context, operation, request).await
        }
        // The operation is over: cancel and answer have crossed on the way.
        Message::Cancel(_) => Ok(()),
        Message::Response(Operation::EventReport, response) => {
            skip_data_set(association, context_id, &response).await?;
            session.told(&response);
            Ok(())
        }
        Message::Response(_, response) => {
            skip_data_set(association, context_id, &response).await?;
            tracing::debug!(
                command_field = response.command_field,
                "an answer that nobody waits for"
            );
            Ok(())
        }
        Message::Unknown(request) => refuse(association, &context, &request, Status::UNRECOGNIZED_OPERATION, "").await,
    }
}

async fn request_of(
    association: &mut Association,
    session: &mut Session,
    context: &Context,
    operation: Operation,
    request: CommandSet,
) -> Result<(), AssociationError> {
    // Also of a peer that did not ask for the role of SCP: it is believed by its transaction alone.
    if operation == Operation::EventReport && context.service == Service::StorageCommitment {
        let ae_title = association.negotiated().calling_ae_title.clone();
        return scu::take(association, context, &request, &ae_title, &session.awaited).await;
    }
    if !context.may_perform {
        let reason = "the requestor has not the SCU role";
        return refuse(association, context, &request, Status::SOP_CLASS_NOT_SUPPORTED, reason).await;
    }
    match (operation, context.service) {
        (Operation::Echo, _) => {
            session.tally.echoes += 1;
            skip_data_set(association, context.id, &request).await?;
            let response = CommandSet::response_to(&request, Status::SUCCESS.0);
            association.send(context.id, &response, None).await
        }
        (Operation::Find, Service::Find(model)) => {
            session.tally.queries += 1;
            c_find::serve(association, session, context, model, request).await
        }
        (Operation::Find, Service::Worklist) => {
            session.tally.queries += 1;
            worklist::serve(association, session, context, request).await
        }
        (Operation::Create, Service::ProcedureStep) => {
            procedure_step::create(association, session, context, request).await
        }
        (Operation::Set, Service::ProcedureStep) => procedure_step::set(association, session, context, request).await,
        (Operation::NGet, Service::ProcedureStepRetrieve) => {
            procedure_step::get(association, session, context, request).await
        }
        (Operation::Get, Service::Get(model)) => c_get::serve(association, session, context, model, request).await,
        (Operation::Move, Service::Move(model)) => c_move::serve(association, session, context, model, request).await,
        (Operation::Action, Service::StorageCommitment) => {
            n_action::serve(association, session, context, request).await
        }
        _ => refuse(association, context, &request, Status::UNRECOGNIZED_OPERATION, "").await,
    }
}

/// Answers a request that is not performed; its data set, if any, is skipped.
pub(super) async fn refuse(
    association: &mut Association,
    context: &Context,
    request: &CommandSet,
    status: Status,
    comment: &str,
) -> Result<(), AssociationError> {
    skip_data_set(association, context.id, request).await?;
    answer(association, context, request, status, comment).await
}

/// Answers a request with a status and a comment for whoever reads the peer's log.
pub(super) async fn answer(
    association: &mut Association,
    context: &Context,
    request: &CommandSet,
    status: Status,
    comment: &str,
) -> Result<(), AssociationError> {
    tracing::info!(%status, comment, command_field = request.command_field, "answered");
    let response = CommandSet {
        error_comment: comment.to_owned(),
        ..CommandSet::response_to(request, status.0)
    };
    association.send(context.id, &response, None).await
}

async fn skip_data_set(
    association: &mut Association,
    context_id: u8,
    command: &CommandSet,
) -> Result<(), AssociationError> {
    if command.has_data_set {
        read_data_set(association, context_id, 0).await?;
    }
    Ok(())
}

/// Reads a data set that is small by its nature. `None` when it is longer than allowed; it is read to its end all the same.
pub(super) async fn read_data_set(
    association: &mut Association,
    context_id: u8,
    length_max: usize,
) -> Result<Option<Bytes>, AssociationError> {
    let mut out = BytesMut::new();
    let mut fits = true;
    loop {
        let (span, last) = data(association.next(Wait::Message).await?, context_id)?;
        let bytes = association.bytes(span);
        fits = fits && out.len() + bytes.len() <= length_max;
        if fits {
            out.extend_from_slice(bytes);
        } else {
            out.clear();
        }
        if last {
            return Ok(fits.then(|| out.freeze()));
        }
    }
}

/// Takes an event for a piece of the data set of a context.
pub(super) fn data(event: Event, context_id: u8) -> Result<(super::association::Span, bool), AssociationError> {
    match event {
        Event::Data {
            context_id: id,
            span,
            last,
        } if id == context_id => Ok((span, last)),
        Event::Data { .. } => Err(protocol(
            AbortReason::InvalidParameter,
            "command and data in different presentation contexts",
        )),
        Event::Command { .. } => Err(protocol(AbortReason::InvalidParameter, "a command where data were due")),
        Event::ReleaseRequest | Event::ReleaseResponse | Event::Control { .. } => Err(protocol(
            AbortReason::UnexpectedPdu,
            "an association PDU where data were due",
        )),
    }
}

pub(super) fn protocol(reason: AbortReason, what: &'static str) -> AssociationError {
    AssociationError::Protocol { reason, what }
}
