//! The DIMSE door: associations (PS3.8), messages (PS3.7) and the services spoken over them (PS3.4).
//!
//! Framing, decoding and deciding are apart: `association` moves PDUs, `message` reads and writes command sets, a file a
//! service decides. Nothing here knows how instances are kept.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod association;
mod authority;
mod c_find;
mod c_get;
mod c_move;
mod c_store;
mod carrier;
mod config;
#[doc(hidden)]
pub mod fuzzing;
mod identifier;
mod instance_availability;
mod listen;
mod message;
mod n_action;
mod n_event_report;
mod procedure_step;
pub mod scu;
mod session;
mod status;
mod sub_operation;
#[cfg(test)]
mod tests;
pub mod tls;
mod worklist;

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use tokio_util::sync::CancellationToken;

use filmroom_commitment::Commitments;
use filmroom_forwarding::Forwarding;
use filmroom_ingest::{Authority, Ingest};
use filmroom_query::QueryRoom;
use filmroom_retrieve::Retrieve;
use filmroom_worklist::Worklist;

pub use association::{AbortReason, AssociationError, QueryModel, Rejection, is_known_transfer_syntax};
pub use config::{AeTitle, AeTitleError, CalledAeTitle, DimseConfig, OtherSopClasses, Peer, UnknownCallers};
pub use listen::Listener;
pub use status::Status;

/// The rooms that the door leads to.
#[derive(Clone)]
pub struct Rooms {
    /// Takes C-STORE.
    pub ingest: Ingest,
    /// Answers C-FIND.
    pub query: QueryRoom,
    /// Serves C-GET and C-MOVE.
    pub retrieve: Retrieve,
    /// Answers for storage commitment.
    pub commitment: Commitments,
    /// Passes instances on.
    pub forwarding: Forwarding,
    /// Knows what is scheduled, and takes what was performed.
    pub worklist: Worklist,
    /// The archive as it is seen by other names: by called AE titles.
    pub views: Arc<HashMap<String, Seen>>,
}

/// The archive as it is seen by one of its names.
#[derive(Clone)]
pub struct Seen {
    /// Answers C-FIND.
    pub query: QueryRoom,
    /// Serves C-GET and C-MOVE.
    pub retrieve: Retrieve,
    /// Whom it is for.
    pub audience: Audience,
}

/// Whom a view is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Whoever may ask at all.
    Everybody,
    /// Peers that may reject.
    Rejecting,
}

impl Rooms {
    /// The rooms as an association sees them: by the name that it calls, and in the name of who calls.
    fn of(&self, negotiated: &association::Negotiated, authority: Authority) -> Self {
        let mut rooms = self.clone();
        if let Some(seen) = self.views.get(&negotiated.called_ae_title) {
            rooms.query = seen.query.clone();
            rooms.retrieve = seen.retrieve.clone();
        }
        rooms.ingest = self.ingest.in_the_name_of(authority);
        rooms
    }
}

/// A listening door.
pub struct Serving {
    addresses: Vec<SocketAddr>,
    task: tokio::task::JoinHandle<()>,
}

impl Serving {
    /// Where it listens, in the order of the listeners that were given.
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns when the door is closed: after `shutdown` was cancelled and the last association ended.
    pub async fn closed(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the DIMSE listener ended by a panic");
        }
    }
}

/// Answers associations until `shutdown` is cancelled. Then no new ones are taken, running ones finish their operation or
/// are aborted after [`DimseConfig::drain_timeout`].
///
/// # Errors
/// When a listener has no local address.
pub fn serve(
    listeners: Vec<Listener>,
    config: DimseConfig,
    rooms: Rooms,
    shutdown: CancellationToken,
) -> std::io::Result<Serving> {
    let addresses = listeners
        .iter()
        .map(|listener| listener.socket.local_addr())
        .collect::<Result<_, _>>()?;
    let titles = rooms.views.iter().map(|(title, seen)| (title.clone(), seen.audience));
    let config = DimseConfig {
        views: titles.collect(),
        ..config
    };
    let door = listen::Door::new(Arc::new(config), rooms, shutdown);
    let task = tokio::spawn(door.listen(listeners));
    Ok(Serving { addresses, task })
}
