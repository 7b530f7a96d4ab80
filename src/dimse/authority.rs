//! In whose name an association sends: an AE title alone is nobody's proof.

use std::net::SocketAddr;

use filmroom_ingest::Authority;
use filmroom_peers::{Peer, Permission};

use super::association::Negotiated;

/// Who sends over an association, as far as it matters for what is rejected.
pub(super) async fn authority(negotiated: &Negotiated) -> Authority {
    match &negotiated.peer {
        Some(peer) if may_reject(peer, &negotiated.peer_address).await => {
            Authority::Rejecting(format!("ae:{}", peer.ae_title))
        }
        _ => Authority::None,
    }
}

/// A peer that may reject, and that is known by its certificate or by where it calls from: its registered address, or this machine.
pub(super) async fn may_reject(peer: &Peer, address: &str) -> bool {
    if !peer.may.contains(&Permission::Reject) {
        return false;
    }
    // Without the certificate that it is bound to it would not have come so far.
    if peer.certificate.is_some() {
        return true;
    }
    let Ok(from) = address.parse::<SocketAddr>() else {
        return false;
    };
    let from = from.ip().to_canonical();
    if from.is_loopback() {
        return true;
    }
    match tokio::net::lookup_host((peer.host.as_str(), peer.port)).await {
        Ok(mut known) => known.any(|known| known.ip().to_canonical() == from),
        Err(error) => {
            tracing::warn!(peer = %peer.ae_title, %error, "its address is not known: it may not reject");
            false
        }
    }
}
