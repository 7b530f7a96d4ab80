//! What is agreed on (PS3.8 §7.1, PS3.7 §D.3): decided from the request alone, without I/O.

mod contexts;
#[cfg(test)]
mod tests;
mod variables;

use dicom_ul::pdu::{AssociationAC, AssociationRQ, PresentationContextResultReason};

use super::{AbortReason, Arrival, AssociationError, Negotiated, Reach, Rejection, pdu::PRESENTATION_CONTEXTS_MAX};
use crate::Audience;
use crate::config::{CalledAeTitle, DimseConfig, UnknownCallers};
use filmroom_access::Principal;
use filmroom_peers::{Peer, Permission};

use contexts::{Deciding, action_of};
use variables::answer_variables;
pub(super) use variables::{
    believed_item, claim, fragment_length, implementation, max_length, operations_window, operations_window_item,
};

/// DICOM Application Context Name (PS3.7 §A.2.1).
pub(crate) const APPLICATION_CONTEXT: &str = "1.2.840.10008.3.1.1.1";

/// Decides on a request: checks of PS3.8 §9.3.4 in the order of its table, then the presentation contexts.
///
/// # Errors
/// [`AssociationError::Rejected`], or [`AssociationError::Protocol`] for identifiers that are even or used twice.
pub(crate) fn negotiate(
    request: &AssociationRQ,
    config: &DimseConfig,
    arrival: &Arrival,
) -> Result<(Negotiated, AssociationAC), AssociationError> {
    let peer = check_titles(request, config, arrival).map_err(AssociationError::Rejected)?;
    if request.presentation_contexts.is_empty() {
        return Err(AssociationError::Rejected(Rejection::NoPresentationContext));
    }
    if request.presentation_contexts.len() > PRESENTATION_CONTEXTS_MAX {
        return Err(AssociationError::Rejected(Rejection::TooManyPresentationContexts));
    }
    let fragment_length_max = fragment_length(max_length(&request.user_variables), config.max_sent_pdu_length_bytes)
        .ok_or(AssociationError::Rejected(Rejection::MaximumLength))?;
    let deciding = Deciding::new(request, config, peer.as_ref());
    let mut results = Vec::with_capacity(request.presentation_contexts.len());
    let mut contexts = Vec::with_capacity(request.presentation_contexts.len());
    let mut used = [false; 256];
    for proposed in &request.presentation_contexts {
        if proposed.id % 2 == 0 || used.get(usize::from(proposed.id)).copied().unwrap_or(true) {
            return Err(AssociationError::Protocol {
                reason: AbortReason::InvalidParameter,
                what: "a presentation context identifier that is even or used twice",
            });
        }
        if let Some(seen) = used.get_mut(usize::from(proposed.id)) {
            *seen = true;
        }
        let (result, context) = deciding.decide(proposed);
        results.push(result);
        contexts.extend(context);
    }
    let (implementation_class, implementation_version) = implementation(&request.user_variables);
    let mut negotiated = Negotiated {
        calling_ae_title: request.calling_ae_title.clone(),
        called_ae_title: request.called_ae_title.clone(),
        peer_address: arrival.address.clone(),
        peer_implementation_class_uid: implementation_class,
        peer_implementation_version_name: implementation_version,
        fragment_length_max,
        operations_performed_max: 1,
        operations_invoked_max: 1,
        contexts,
        extended: Vec::new(),
        peer,
        user: None,
    };
    let user_variables = answer_variables(request, config, &mut negotiated);
    let answer = AssociationAC {
        protocol_version: 1,
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        called_ae_title: printable(&request.called_ae_title),
        calling_ae_title: printable(&request.calling_ae_title),
        presentation_contexts: results,
        user_variables,
    };
    Ok((negotiated, answer))
}

/// Takes back what a user's roles do not let them do, whatever their application entity may.
pub(super) fn withhold(user: &Principal, negotiated: &mut Negotiated, answer: &mut AssociationAC) {
    let (granted, withheld) = std::mem::take(&mut negotiated.contexts)
        .into_iter()
        .partition(|context| action_of(context).is_none_or(|action| user.may(action)));
    negotiated.contexts = granted;
    for context in withheld {
        let mut results = answer.presentation_contexts.iter_mut();
        if let Some(result) = results.find(|result| result.id == context.id) {
            result.reason = PresentationContextResultReason::UserRejection;
        }
    }
}

/// The titles in the answer are overwritten by the bytes that came; here they only have to be encodable.
fn printable(title: &str) -> String {
    title
        .chars()
        .filter(|character| matches!(character, ' '..='~'))
        .take(16)
        .collect()
}

fn check_titles(request: &AssociationRQ, config: &DimseConfig, arrival: &Arrival) -> Result<Option<Peer>, Rejection> {
    if request.protocol_version & 1 == 0 {
        return Err(Rejection::ProtocolVersion);
    }
    if request.application_context_name != APPLICATION_CONTEXT {
        return Err(Rejection::ApplicationContext);
    }
    let audience = config.views.get(&request.called_ae_title);
    if config.called_ae_title == CalledAeTitle::Own
        && audience.is_none()
        && request.called_ae_title != config.ae_title.as_str()
    {
        return Err(Rejection::CalledAeTitle);
    }
    if audience == Some(&Audience::Rejecting)
        && !config
            .peer(&request.calling_ae_title)
            .is_some_and(|peer| peer.may.contains(&Permission::Reject))
    {
        return Err(Rejection::CalledAeTitle);
    }
    let Some(peer) = config.peer(&request.calling_ae_title) else {
        let answered = match config.unknown_callers {
            UnknownCallers::Local => arrival.reach == Reach::Local,
            UnknownCallers::Answered => true,
            UnknownCallers::Rejected => false,
        };
        return if answered {
            Ok(None)
        } else {
            Err(Rejection::UnknownCaller)
        };
    };
    if let Some(bound) = &peer.certificate
        && !arrival.certificate.as_ref().is_some_and(|shown| bound.is_of(shown))
    {
        return Err(Rejection::Certificate);
    }
    if peer.may.is_empty() {
        return Err(Rejection::RejectedPeer);
    }
    Ok(Some(peer))
}
