//! The requestor's end (PS3.8 §7.1).

use std::sync::Arc;

use dicom_ul::pdu::{
    AssociationAC, AssociationRQ, Pdu, PresentationContextProposed, PresentationContextResultReason, RequestorRoles,
    UserVariableItem,
};
use filmroom_storage::model::TransferSyntaxUid;
use tokio::{net::TcpStream, time::timeout};

use super::{
    AbortReason, Association, AssociationError, Connection, Context, Event, Negotiated, Rejection, Wait,
    negotiate::{
        APPLICATION_CONTEXT, fragment_length, implementation, max_length, operations_window, operations_window_item,
    },
    pdu,
    uid::service_of,
};
use crate::config::DimseConfig;
use filmroom_dataset::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use filmroom_peers::{Peer, Transport};

/// A presentation context to be proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedContext {
    /// The SOP class.
    pub abstract_syntax: String,
    /// In order of preference; at least one.
    pub transfer_syntaxes: Vec<String>,
}

/// What is asked of a peer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proposal {
    /// Up to 128; identifiers are given in order: 1, 3, 5 …
    pub contexts: Vec<ProposedContext>,
    /// SOP classes for which this node is SCP only: it receives C-STORE (C-GET), or sends reports (storage commitment).
    pub scp_of: Vec<String>,
    /// Operations that this node would like to have outstanding; 0 and 1 propose nothing.
    pub operations_invoked: u16,
}

/// Reaches a peer and asks for an association.
///
/// # Errors
/// [`AssociationError::Unreachable`], [`AssociationError::Rejected`], and all others.
pub(crate) async fn connect(
    peer: &Peer,
    proposal: &Proposal,
    config: Arc<DimseConfig>,
) -> Result<Association, AssociationError> {
    let address = peer.address();
    let unreachable = |source| AssociationError::Unreachable {
        address: address.clone(),
        source,
    };
    let stream = timeout(
        config.connect_timeout,
        TcpStream::connect((peer.host.as_str(), peer.port)),
    )
    .await
    .map_err(|_| unreachable(std::io::ErrorKind::TimedOut.into()))?
    .map_err(unreachable)?;
    // Each message is written in one piece; waiting for more would only cost a delayed acknowledgement (40 ms).
    stream.set_nodelay(true)?;
    let connection = secured(stream, &address, peer, &config).await?;
    request(connection, address, peer, proposal, config).await
}

/// The connection itself, or TLS over it. A peer that is bound to a certificate is never called without.
async fn secured(
    stream: TcpStream,
    address: &str,
    peer: &Peer,
    config: &DimseConfig,
) -> Result<Box<dyn Connection>, AssociationError> {
    if peer.transport == Transport::Plain && peer.certificate.is_none() {
        return Ok(Box::new(stream));
    }
    let tls = config
        .tls
        .as_ref()
        .ok_or_else(|| AssociationError::NoTls(address.to_owned()))?;
    let limit = config.connect_timeout;
    let connected = tls.connect(stream, &peer.host, peer.certificate.as_ref(), limit).await;
    let stream = connected.map_err(|source| AssociationError::Tls {
        address: address.to_owned(),
        source,
    })?;
    Ok(Box::new(stream))
}

/// Asks for an association over a connection that stands.
///
/// # Errors
/// As [`connect`].
pub(crate) async fn request(
    connection: Box<dyn Connection>,
    peer_address: String,
    peer: &Peer,
    proposal: &Proposal,
    config: Arc<DimseConfig>,
) -> Result<Association, AssociationError> {
    let mut association = Association::new(connection, config);
    match open(&mut association, peer_address, peer, proposal).await {
        Ok(()) => Ok(association),
        Err(error) => {
            association.fail(&error).await;
            Err(error)
        }
    }
}

async fn open(
    association: &mut Association,
    peer_address: String,
    peer: &Peer,
    proposal: &Proposal,
) -> Result<(), AssociationError> {
    let config = association.config.clone();
    let request = build(peer, proposal, &config);
    // PS3.8 allows the peer to send data as soon as it has accepted; both may be in one read.
    association
        .deframer
        .establish(config.max_pdu_length_bytes, super::BUFFER_LENGTH);
    association.write_all(&pdu::write(&Pdu::AssociationRQ(request))).await?;
    let event = timeout(
        config.artim_timeout.max(config.connect_timeout),
        association.next(Wait::Response),
    )
    .await
    .map_err(|_| AssociationError::Timeout("waiting for the answer to an association request"))??;
    match event {
        Event::Control {
            kind: pdu::ASSOCIATE_AC,
            span,
        } => {
            let answer = pdu::read_accept(association.bytes(span))?;
            association.negotiated = learn(&answer, peer, proposal, &config, peer_address)?;
            Ok(())
        }
        Event::Control {
            kind: pdu::ASSOCIATE_RJ,
            span,
        } => {
            let (result, source, reason) = pdu::read_reject(association.bytes(span))?;
            Err(AssociationError::Rejected(Rejection::ByPeer(result, source, reason)))
        }
        _ => Err(AssociationError::Protocol {
            reason: AbortReason::UnexpectedPdu,
            what: "something else in answer to an association request",
        }),
    }
}

fn build(peer: &Peer, proposal: &Proposal, config: &DimseConfig) -> AssociationRQ {
    let mut user_variables = vec![
        UserVariableItem::MaxLength(config.max_pdu_length_bytes),
        UserVariableItem::ImplementationClassUID(IMPLEMENTATION_CLASS_UID.to_owned()),
    ];
    if proposal.operations_invoked > 1 {
        user_variables.push(operations_window_item(proposal.operations_invoked, 1));
    }
    user_variables.extend(proposal.scp_of.iter().map(|uid| {
        UserVariableItem::ScuScpRoleSelectionSubItem(uid.clone(), RequestorRoles { scu: false, scp: true })
    }));
    user_variables.push(UserVariableItem::ImplementationVersionName(
        IMPLEMENTATION_VERSION_NAME.to_owned(),
    ));
    AssociationRQ {
        protocol_version: 1,
        calling_ae_title: config.ae_title.to_string(),
        called_ae_title: peer.ae_title.to_string(),
        application_context_name: APPLICATION_CONTEXT.to_owned(),
        presentation_contexts: proposal
            .contexts
            .iter()
            .zip((1..=255u8).step_by(2))
            .map(|(context, id)| PresentationContextProposed {
                id,
                abstract_syntax: context.abstract_syntax.clone(),
                transfer_syntaxes: context.transfer_syntaxes.clone(),
            })
            .collect(),
        user_variables,
    }
}

fn learn(
    answer: &AssociationAC,
    peer: &Peer,
    proposal: &Proposal,
    config: &DimseConfig,
    peer_address: String,
) -> Result<Negotiated, AssociationError> {
    let fragment_length_max = fragment_length(max_length(&answer.user_variables), config.max_sent_pdu_length_bytes)
        .ok_or(AssociationError::Protocol {
            reason: AbortReason::InvalidParameter,
            what: "a maximum PDU length that nothing fits into",
        })?;
    let (implementation_class, implementation_version) = implementation(&answer.user_variables);
    let mut negotiated = Negotiated {
        calling_ae_title: config.ae_title.to_string(),
        called_ae_title: peer.ae_title.to_string(),
        peer_address,
        peer_implementation_class_uid: implementation_class,
        peer_implementation_version_name: implementation_version,
        fragment_length_max,
        operations_performed_max: 1,
        operations_invoked_max: 1,
        contexts: Vec::new(),
        extended: Vec::new(),
        peer: Some(peer.clone()),
        user: None,
    };
    if let Some((invoked, _)) = operations_window(&answer.user_variables)
        && proposal.operations_invoked > 1
    {
        let allowed = if invoked == 0 {
            proposal.operations_invoked
        } else {
            invoked
        };
        negotiated.operations_invoked_max = allowed.min(proposal.operations_invoked);
    }
    let mut contexts = Vec::new();
    for (proposed, id) in proposal.contexts.iter().zip((1..=255u8).step_by(2)) {
        let Some(result) = answer.presentation_contexts.iter().find(|result| result.id == id) else {
            continue;
        };
        if result.reason != PresentationContextResultReason::Acceptance {
            continue;
        }
        // An acceptor that answers with something that was not proposed has not understood; the context cannot be used.
        if !proposed.transfer_syntaxes.contains(&result.transfer_syntax) {
            continue;
        }
        let (Ok(transfer_syntax), Some(service)) = (
            TransferSyntaxUid::new(&result.transfer_syntax),
            service_of(&proposed.abstract_syntax, &config.other_sop_classes),
        ) else {
            continue;
        };
        let wants_scp = proposal.scp_of.contains(&proposed.abstract_syntax);
        contexts.push(Context {
            id,
            abstract_syntax: proposed.abstract_syntax.as_str().into(),
            transfer_syntax,
            service,
            // Reports of storage commitment are invoked by the SCP.
            may_invoke: !wants_scp || service == super::Service::StorageCommitment,
            may_perform: wants_scp,
        });
    }
    negotiated.contexts = contexts;
    Ok(negotiated)
}
