//! The acceptor's end (PS3.8 §9.2, states Sta2 and Sta3).

use std::{fmt, sync::Arc};

use dicom_ul::pdu::{
    AssociationRJResult, AssociationRJServiceProviderASCEReason as AcseReason,
    AssociationRJServiceProviderPresentationReason as PresentationReason, AssociationRJServiceUserReason as UserReason,
    AssociationRJSource as Source,
};
use tokio::time::timeout;

use super::{AbortReason, Association, AssociationError, Connection, Event, Wait, negotiate::negotiate, pdu};
use crate::dimse::config::DimseConfig;

/// Why an association is not accepted (PS3.8 table 9-21).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Another application context than DICOM's.
    ApplicationContext,
    /// The called AE title is not the archive's.
    CalledAeTitle,
    /// The calling AE title is not on the list.
    CallingAeTitle,
    /// Bit 0 of the protocol version is not set.
    ProtocolVersion,
    /// Nothing was proposed.
    NoPresentationContext,
    /// More than 128 presentation contexts.
    TooManyPresentationContexts,
    /// PDUs so short that nothing fits into them.
    MaximumLength,
    /// Too many associations in all.
    LocalLimit,
    /// Too many associations with this peer, or the archive is stopping.
    Congestion,
    /// A peer rejected this node: result, source and reason as they came.
    ByPeer(u8, u8, u8),
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ApplicationContext => "unknown application context",
            Self::CalledAeTitle => "called AE title not recognized",
            Self::CallingAeTitle => "calling AE title not recognized",
            Self::ProtocolVersion => "protocol version not supported",
            Self::NoPresentationContext => "no presentation context proposed",
            Self::TooManyPresentationContexts => "more than 128 presentation contexts",
            Self::MaximumLength => "the peer's maximum PDU length is unusable",
            Self::LocalLimit => "too many associations",
            Self::Congestion => "too many associations with this peer, or stopping",
            Self::ByPeer(result, source, reason) => {
                let text = match (source, reason) {
                    (1, 2) => "application context name not supported",
                    (1, 3) => "calling AE title not recognized",
                    (1, 7) => "called AE title not recognized",
                    (2, 2) => "protocol version not supported",
                    (3, 1) => "temporary congestion",
                    (3, 2) => "local limit exceeded",
                    _ => "no reason given",
                };
                let kind = if *result == 2 { "transient" } else { "permanent" };
                return write!(f, "{text} ({kind}, source {source}, reason {reason})");
            }
        })
    }
}

impl Rejection {
    fn encode(&self) -> Vec<u8> {
        use AssociationRJResult::{Permanent, Transient};
        let (result, source) = match self {
            Self::ApplicationContext => (
                Permanent,
                Source::ServiceUser(UserReason::ApplicationContextNameNotSupported),
            ),
            Self::CalledAeTitle => (Permanent, Source::ServiceUser(UserReason::CalledAETitleNotRecognized)),
            Self::CallingAeTitle => (Permanent, Source::ServiceUser(UserReason::CallingAETitleNotRecognized)),
            Self::ProtocolVersion => (
                Permanent,
                Source::ServiceProviderASCE(AcseReason::ProtocolVersionNotSupported),
            ),
            Self::NoPresentationContext | Self::ByPeer(..) => {
                (Permanent, Source::ServiceUser(UserReason::NoReasonGiven))
            }
            Self::TooManyPresentationContexts | Self::MaximumLength => (
                Permanent,
                Source::ServiceProviderPresentation(PresentationReason::LocalLimitExceeded),
            ),
            Self::LocalLimit => (
                Transient,
                Source::ServiceProviderPresentation(PresentationReason::LocalLimitExceeded),
            ),
            Self::Congestion => (
                Transient,
                Source::ServiceProviderPresentation(PresentationReason::TemporaryCongestion),
            ),
        };
        pdu::reject(result, source)
    }
}

/// Whether there is room for one more association.
#[derive(Debug)]
pub enum Admission<G> {
    /// Yes; the guard is kept as long as the association lives.
    Admitted(G),
    /// No.
    Refused(Rejection),
}

/// Waits for an association request, up to the ARTIM time, and answers it. On any error the peer has been told and the
/// connection is closed.
///
/// # Errors
/// [`AssociationError`].
pub(crate) async fn accept<G>(
    connection: Box<dyn Connection>,
    peer_address: String,
    config: Arc<DimseConfig>,
    admit: impl FnOnce() -> Admission<G>,
) -> Result<(Association, G), AssociationError> {
    let mut association = Association::new(connection, config);
    match open(&mut association, peer_address, admit).await {
        Ok(guard) => Ok((association, guard)),
        Err(AssociationError::Rejected(rejection)) => {
            association.close_with(&rejection.encode()).await;
            Err(AssociationError::Rejected(rejection))
        }
        Err(error) => {
            association.fail(&error).await;
            Err(error)
        }
    }
}

async fn open<G>(
    association: &mut Association,
    peer_address: String,
    admit: impl FnOnce() -> Admission<G>,
) -> Result<G, AssociationError> {
    let config = association.config.clone();
    let event = timeout(config.artim_timeout, association.next(Wait::Idle))
        .await
        .map_err(|_| AssociationError::Timeout("waiting for an association request"))??;
    let Event::Control {
        kind: pdu::ASSOCIATE_RQ,
        span,
    } = event
    else {
        return Err(AssociationError::Protocol {
            reason: AbortReason::UnexpectedPdu,
            what: "something else before an association request",
        });
    };
    let body = association.bytes(span);
    let request = pdu::read_request(body)?;
    let (mut negotiated, answer) = negotiate(&request, &config)?;
    negotiated.peer_address = peer_address;
    let guard = match admit() {
        Admission::Admitted(guard) => guard,
        Admission::Refused(rejection) => return Err(AssociationError::Rejected(rejection)),
    };
    let answer = pdu::accept(answer, body);
    association.negotiated = negotiated;
    association
        .deframer
        .establish(config.max_pdu_length_bytes, super::BUFFER_LENGTH);
    association.write_all(&answer).await?;
    Ok(guard)
}
