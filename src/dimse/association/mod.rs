//! Associations (PS3.8): framing, negotiation, the two ends, release and abort.
//!
//! One [`Association`] is owned by one task. Reading is cancel-safe: all state is kept between awaits, so that a read may be
//! raced against anything. Writing is not: a write that is dropped half done leaves the association good for closing only.

mod accept;
pub(crate) mod deframe;
mod negotiate;
mod negotiated;
pub(crate) mod pdu;
mod request;
mod send;
#[cfg(test)]
mod tests;
mod uid;

use std::{io, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{config::DimseConfig, message::CommandSet};
use filmroom_access::Action;
use filmroom_privacy::Sight;

pub use accept::{Admission, Arrival, Reach, Rejection};
pub use negotiated::{Context, Negotiated};
pub use pdu::AbortReason;
pub use request::{Proposal, ProposedContext};
pub(crate) use uid::{
    EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, INSTANCE_AVAILABILITY_NOTIFICATION,
    PROCEDURE_STEP, STORAGE_COMMITMENT, VERIFICATION,
};
pub use uid::{QueryModel, Service, is_known_transfer_syntax, service_of};

pub(crate) use accept::accept;
pub(crate) use deframe::{Event, Span};
pub(crate) use request::connect;

/// Bytes that one read of the socket may bring: large, since each read costs a system call.
const BUFFER_LENGTH: usize = 256 << 10;

/// Reads shorter than this may be the first piece of a message whose rest the peer holds back.
const ACKNOWLEDGED_LENGTH: usize = 64 << 10;

/// A connection: TCP, TLS, or memory in tests.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Unpin + Send {
    /// Acknowledges at once what has come. Toolkits that write a PDU in two pieces with Nagle's algorithm on (DCMTK as
    /// distributions build it) hold the second piece back until then: 40 ms a message where acknowledgements are delayed.
    fn acknowledge(&self) {}
}

impl Connection for TcpStream {
    fn acknowledge(&self) {
        #[cfg(target_os = "linux")]
        if let Err(error) = self.set_quickack(true) {
            tracing::trace!(%error, "an acknowledgement could not be hurried");
        }
    }
}

impl Connection for tokio_rustls::server::TlsStream<TcpStream> {
    fn acknowledge(&self) {
        self.get_ref().0.acknowledge();
    }
}

impl Connection for tokio_rustls::client::TlsStream<TcpStream> {
    fn acknowledge(&self) {
        self.get_ref().0.acknowledge();
    }
}

#[cfg(test)]
impl Connection for tokio::io::DuplexStream {}

/// How an association ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum AssociationError {
    /// The peer broke the protocol; it was told why by A-ABORT.
    #[error("protocol error: {what}")]
    Protocol {
        /// The reason that the peer reads.
        reason: AbortReason,
        /// The reason that the log reads.
        what: &'static str,
    },
    /// The peer sent A-ABORT.
    #[error("aborted by the peer (source {0}, reason {1})")]
    Aborted(u8, u8),
    /// The peer asked for release, or closed the connection, where an answer was due.
    #[error("the peer left before it answered")]
    Left,
    /// The peer closed the connection.
    #[error("the connection was closed")]
    Closed,
    /// Nothing came, or nothing could be sent, for too long.
    #[error("timed out while {0}")]
    Timeout(&'static str),
    /// The association was rejected, by the peer (as requestor) or here.
    #[error("rejected: {0}")]
    Rejected(Rejection),
    /// There is no private line to the peer.
    #[error("cannot connect to {address}: {source}")]
    Tls {
        /// Host and port.
        address: String,
        /// Why.
        source: super::tls::TlsError,
    },
    /// The peer speaks TLS, and nothing says how to.
    #[error("{0} is called by TLS, and no certificates are named to do so")]
    NoTls(String),
    /// The peer cannot be reached.
    #[error("cannot connect to {address}: {source}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The socket failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    /// The bytes of a message could not be read to their end.
    #[error("a message broke off: {0}")]
    Source(String),
    /// The archive is stopping.
    #[error("the archive is stopping")]
    Stopping,
}

/// An association, or a connection that may become one.
pub(crate) struct Association {
    connection: Box<dyn Connection>,
    deframer: deframe::Deframer,
    /// What is to be written with the next flush.
    outgoing: Vec<u8>,
    /// An event that was read while something else was awaited.
    held: Option<Event>,
    /// A write began and has not ended: nothing sensible can follow but closing.
    writing: bool,
    /// The last read was short, and may be the first piece of what the peer holds back.
    unacknowledged: bool,
    negotiated: Negotiated,
    config: Arc<DimseConfig>,
    next_message_id: u16,
}

/// What is waited for; decides how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The next request of the peer.
    Idle,
    /// The rest of a message.
    Message,
    /// An answer to a request of ours.
    Response,
}

impl Association {
    /// Which studies whoever is at the other end sees when they do this: the user, where one was named and believed; else the device. Of
    /// a device that shows no certificate nobody knows which one it is.
    #[must_use]
    pub(crate) fn sight(&self, action: Action) -> Sight {
        let Some(privacy) = &self.config.privacy else {
            return Sight::all();
        };
        match (&self.negotiated.user, &self.negotiated.peer) {
            (Some(user), _) => privacy.sight(user, action),
            (None, Some(peer)) if peer.certificate.is_some() => {
                privacy.sight_of_device(Some(self.negotiated.calling_ae_title.as_str()))
            }
            _ => privacy.sight_of_device(None),
        }
    }

    fn new(connection: Box<dyn Connection>, config: Arc<DimseConfig>) -> Self {
        Self {
            connection,
            deframer: deframe::Deframer::new(),
            outgoing: Vec::new(),
            held: None,
            writing: false,
            unacknowledged: false,
            negotiated: Negotiated::default(),
            config,
            next_message_id: 0,
        }
    }

    /// What was agreed on.
    pub(crate) fn negotiated(&self) -> &Negotiated {
        &self.negotiated
    }

    /// The settings of the door.
    pub(crate) fn config(&self) -> &Arc<DimseConfig> {
        &self.config
    }

    /// A message ID for a request of ours: 1 and up, wrapping.
    pub(crate) fn take_message_id(&mut self) -> u16 {
        self.next_message_id = self.next_message_id.checked_add(1).unwrap_or(1);
        self.next_message_id
    }

    /// The bytes of a piece of data; good until the next event is asked for.
    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        self.deframer.bytes(span)
    }

    /// Decodes the command set that the last [`Event::Command`] announced.
    ///
    /// # Errors
    /// [`AssociationError::Protocol`] when it is none.
    pub(crate) fn command(&self) -> Result<CommandSet, AssociationError> {
        CommandSet::decode(self.deframer.command()).map_err(|_| AssociationError::Protocol {
            reason: AbortReason::InvalidParameter,
            what: "a command set that cannot be understood",
        })
    }

    /// Waits for the next event. Cancel-safe.
    ///
    /// # Errors
    /// [`AssociationError`]: the association is over. [`AssociationError::Aborted`] when the peer says so.
    pub(crate) async fn next(&mut self, wait: Wait) -> Result<Event, AssociationError> {
        if let Some(event) = self.held.take() {
            return Ok(event);
        }
        let (limit, doing) = match wait {
            Wait::Idle => (self.config.idle_timeout, "waiting for the next message"),
            Wait::Message => (self.config.network_timeout, "waiting for the rest of a message"),
            Wait::Response => (self.config.response_timeout, "waiting for an answer"),
        };
        loop {
            if let Some(event) = self.buffered()? {
                return Ok(event);
            }
            // What is whole is answered soon, and acknowledged by the answer.
            if wait != Wait::Idle || self.deframer.is_amid() {
                self.acknowledge();
            }
            timeout(limit, self.fill())
                .await
                .map_err(|_| AssociationError::Timeout(doing))??;
        }
    }

    /// The next event if it is here already. Cancel-safe and at once.
    ///
    /// # Errors
    /// As [`Association::next`].
    pub(crate) fn try_next(&mut self) -> Result<Option<Event>, AssociationError> {
        if let Some(event) = self.held.take() {
            return Ok(Some(event));
        }
        loop {
            if let Some(event) = self.buffered()? {
                return Ok(Some(event));
            }
            match self.fill().now_or_never() {
                None => {
                    if self.deframer.is_amid() {
                        self.acknowledge();
                    }
                    return Ok(None);
                }
                Some(result) => result?,
            }
        }
    }

    /// Puts an event back that has to wait for its turn. Its bytes stay good as no other is read before it.
    pub(crate) fn hold(&mut self, event: Event) {
        self.held = Some(event);
    }

    /// True when an event was put back.
    pub(crate) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    fn buffered(&mut self) -> Result<Option<Event>, AssociationError> {
        match self.deframer.next()? {
            Some(Event::Control { kind: pdu::ABORT, span }) => {
                let (source, reason) = pdu::read_abort(self.deframer.bytes(span));
                Err(AssociationError::Aborted(source, reason))
            }
            other => Ok(other),
        }
    }

    fn acknowledge(&mut self) {
        if std::mem::take(&mut self.unacknowledged) {
            self.connection.acknowledge();
        }
    }

    async fn fill(&mut self) -> Result<(), AssociationError> {
        let length = match self.connection.read(self.deframer.space()).await {
            // A TLS peer that hangs up without saying so (RFC 8446 §6.1): every message says itself where it ends.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => 0,
            other => other?,
        };
        if length == 0 {
            return Err(AssociationError::Closed);
        }
        self.deframer.filled(length);
        // A read that filled the buffer is one of many in a row; those are acknowledged without help.
        self.unacknowledged = length < ACKNOWLEDGED_LENGTH;
        Ok(())
    }

    /// Answers A-RELEASE-RQ and closes.
    pub(crate) async fn release_response(mut self) {
        self.close_with(&pdu::release_response()).await;
    }

    /// Tells the peer why and closes. Nothing is told in the middle of a PDU.
    pub(crate) async fn abort(mut self, reason: AbortReason) {
        self.close_with(&pdu::abort(reason)).await;
    }

    /// Ends the association as its requestor (PS3.8 §7.2); a collision is answered (§7.2.2.7).
    ///
    /// # Errors
    /// [`AssociationError`] when the peer does not answer; the connection is closed all the same.
    pub(crate) async fn release(mut self) -> Result<(), AssociationError> {
        self.write_all(&pdu::release_request()).await?;
        let artim = self.config.artim_timeout;
        let answered = timeout(artim, async {
            loop {
                match self.next(Wait::Response).await? {
                    Event::ReleaseResponse => return Ok(()),
                    // Both asked at the same time: each answers the other.
                    Event::ReleaseRequest => self.write_all(&pdu::release_response()).await?,
                    // A peer may still be sending when it is asked to release.
                    Event::Data { .. } | Event::Command { .. } => {}
                    Event::Control { .. } => {
                        return Err(AssociationError::Protocol {
                            reason: AbortReason::UnexpectedPdu,
                            what: "an association PDU in answer to a release",
                        });
                    }
                }
            }
        })
        .await
        .unwrap_or(Err(AssociationError::Timeout("waiting for the release")));
        match answered {
            // A peer that has nothing to say and closes has released as well.
            Ok(()) | Err(AssociationError::Closed) => Ok(()),
            Err(error) => {
                self.close_with(&pdu::abort(AbortReason::User)).await;
                Err(error)
            }
        }
    }

    /// Writes a last PDU, then waits for the peer to close (PS3.8 Sta13), so that what was written is not lost to a reset.
    async fn close_with(&mut self, last: &[u8]) {
        if !self.writing && self.write_all(last).await.is_err() {
            return;
        }
        if self.connection.shutdown().await.is_err() {
            return;
        }
        let mut sink = [0; 4096];
        let mut budget = 64usize << 20;
        let drained = timeout(self.config.artim_timeout.min(Duration::from_secs(5)), async {
            while let Ok(length @ 1..) = self.connection.read(&mut sink).await {
                budget = budget.saturating_sub(length);
                if budget == 0 {
                    break;
                }
            }
        });
        let _ = drained.await;
    }

    /// Settles with a peer after an error: aborts where the peer has not left already.
    pub(crate) async fn fail(self, error: &AssociationError) {
        match error {
            AssociationError::Protocol { reason, .. } => self.abort(*reason).await,
            AssociationError::Timeout(_) | AssociationError::Stopping | AssociationError::Source(_) => {
                self.abort(AbortReason::NotSpecified).await
            }
            AssociationError::Left => self.abort(AbortReason::User).await,
            AssociationError::Aborted(..)
            | AssociationError::Closed
            | AssociationError::Rejected(_)
            | AssociationError::Unreachable { .. }
            | AssociationError::Tls { .. }
            | AssociationError::NoTls(_)
            | AssociationError::Io(_) => {}
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), AssociationError> {
        self.writing = true;
        let written = timeout(self.config.network_timeout, async {
            self.connection.write_all(bytes).await?;
            self.connection.flush().await
        });
        written.await.map_err(|_| AssociationError::Timeout("sending"))??;
        self.writing = false;
        Ok(())
    }
}
