//! The acceptor's end (PS3.8 §9.2, states Sta2 and Sta3).

use std::{fmt, sync::Arc};

use dicom_ul::pdu::{
    AssociationAC, AssociationRJResult, AssociationRJServiceProviderASCEReason as AcseReason,
    AssociationRJServiceProviderPresentationReason as PresentationReason, AssociationRJServiceUserReason as UserReason,
    AssociationRJSource as Source, AssociationRQ,
};
use tokio::time::timeout;

use super::{
    AbortReason, Association, AssociationError, Connection, Event, Negotiated, Wait,
    negotiate::{believed_item, claim, negotiate, withhold},
    pdu,
};
use crate::config::DimseConfig;
use filmroom_access::Caller;
use filmroom_peers::Certificate;

/// Where a connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This machine.
    Local,
    /// Anywhere else.
    Remote,
}

/// What is known of a caller before it has said anything.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Network address and port.
    pub address: String,
    /// Where from.
    pub reach: Reach,
    /// The certificate that it has shown; verified.
    pub certificate: Option<Certificate>,
}

/// Why an association is not accepted (PS3.8 table 9-21).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejection {
    /// Another application context than DICOM's.
    ApplicationContext,
    /// The called AE title is not the archive's.
    CalledAeTitle,
    /// The calling AE title is none of the peers', and only they are answered here.
    UnknownCaller,
    /// The calling AE title is bound to another certificate than the caller has shown.
    Certificate,
    /// The calling AE title is that of a peer that may do nothing.
    RejectedPeer,
    /// Who uses the calling entity is not believed, or was not told.
    UserIdentity(String),
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
            Self::UnknownCaller => "the calling AE title is no peer's",
            Self::Certificate => "the calling AE title is bound to another certificate",
            Self::RejectedPeer => "the peer may do nothing here",
            Self::UserIdentity(why) => return write!(f, "user identity: {why}"),
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
            Self::UnknownCaller | Self::Certificate | Self::RejectedPeer => {
                (Permanent, Source::ServiceUser(UserReason::CallingAETitleNotRecognized))
            }
            Self::ProtocolVersion => (
                Permanent,
                Source::ServiceProviderASCE(AcseReason::ProtocolVersionNotSupported),
            ),
            Self::NoPresentationContext | Self::UserIdentity(_) | Self::ByPeer(..) => {
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
    arrival: Arrival,
    config: Arc<DimseConfig>,
    admit: impl FnOnce() -> Admission<G>,
) -> Result<(Association, G), AssociationError> {
    let mut association = Association::new(connection, config);
    match open(&mut association, &arrival, admit).await {
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
    arrival: &Arrival,
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
    let request = pdu::read_request(association.bytes(span))?;
    let (mut negotiated, mut answer) = negotiate(&request, &config, arrival)?;
    identify(&request, &config, &mut negotiated, &mut answer).await?;
    let guard = match admit() {
        Admission::Admitted(guard) => guard,
        Admission::Refused(rejection) => return Err(AssociationError::Rejected(rejection)),
    };
    let answer = pdu::accept(answer, association.bytes(span));
    association.negotiated = negotiated;
    association
        .deframer
        .establish(config.max_pdu_length_bytes, super::BUFFER_LENGTH);
    association.write_all(&answer).await?;
    Ok(guard)
}

/// Asks the access room who uses the caller (PS3.7 §D.3.3.7).
async fn identify(
    request: &AssociationRQ,
    config: &DimseConfig,
    negotiated: &mut Negotiated,
    answer: &mut AssociationAC,
) -> Result<(), AssociationError> {
    let claim = claim(&request.user_variables);
    let caller = Caller {
        ae_title: &negotiated.calling_ae_title,
        address: &negotiated.peer_address,
        claim: claim.as_ref().map(|(claim, _)| claim),
    };
    match config.access.admit(&caller).await {
        Ok(None) => Ok(()),
        Ok(Some(user)) => {
            // Who does not look at claims does not say that one was believed.
            if claim.is_some_and(|(_, wants_answer)| wants_answer) {
                answer.user_variables.push(believed_item());
            }
            withhold(&user, negotiated, answer);
            negotiated.user = Some(user);
            Ok(())
        }
        Err(denied) => Err(AssociationError::Rejected(Rejection::UserIdentity(denied.to_string()))),
    }
}
