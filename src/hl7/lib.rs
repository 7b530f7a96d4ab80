//! The HL7 door: messages of version 2 (ER7) that other systems send over MLLP, and what they tell of patients.
//!
//! `frame` cuts messages out of a stream, `text` finds their characters, `header` who sends what, `adt` what it tells; `door` has
//! it taken, and `acknowledge` says what came of it. A message is acknowledged when what it tells is durable and recorded.
//!
//! Patient administration alone is taken (ADT, HL7 v2.5.1 chapter 3): A01 to A08, A11 to A13, A28, A31 and A40.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod acknowledge;
mod adt;
mod config;
mod door;
mod fields;
mod frame;
mod header;
mod listen;
mod metrics;
mod problem;
#[cfg(test)]
mod tests;
mod text;

use std::{net::SocketAddr, sync::Arc};

use filmroom_records::Records;
use tokio_util::sync::CancellationToken;

pub use config::{Authority, Hl7Config, Sender};
pub use listen::{Carried, Listener, Secure};
pub use metrics::{Counts, Metrics};

/// A listening door.
pub struct Serving {
    addresses: Vec<SocketAddr>,
    metrics: Arc<Metrics>,
    task: tokio::task::JoinHandle<()>,
}

impl Serving {
    /// Where it listens, in the order of the listeners that were given.
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// Returns when the door is closed: after `shutdown` was cancelled and the last message was answered.
    pub async fn closed(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the HL7 listener ended by a panic");
        }
    }
}

/// Answers messages until `shutdown` is cancelled. Messages that were received whole are answered before connections are closed.
///
/// # Errors
/// When a listener has no local address.
pub fn serve(
    listeners: Vec<Listener>,
    config: Hl7Config,
    records: Records,
    shutdown: CancellationToken,
) -> std::io::Result<Serving> {
    let addresses = listeners
        .iter()
        .map(|listener| listener.socket.local_addr())
        .collect::<Result<_, _>>()?;
    let metrics = Arc::<Metrics>::default();
    let door = listen::Listening::new(Arc::new(config), records, metrics.clone(), shutdown);
    Ok(Serving {
        addresses,
        metrics,
        task: tokio::spawn(door.listen(listeners)),
    })
}
