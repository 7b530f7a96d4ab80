//! The listener: one task a connection, limits, and stopping.

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use async_trait::async_trait;
use filmroom_audit::Caller;
use filmroom_records::Records;
use futures_util::FutureExt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use crate::{
    config::Hl7Config,
    door::Door,
    frame::{self, FrameError, Frames},
    metrics::Metrics,
};

/// Pause after the system would not give a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A stream that messages come over.
pub trait Carried: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carried for T {}

/// Makes connections private.
#[async_trait]
pub trait Secure: Send + Sync {
    /// Shakes hands.
    ///
    /// # Errors
    /// Why that failed, in words.
    async fn secured(&self, stream: TcpStream) -> Result<Box<dyn Carried>, String>;
}

/// Where connections come from.
pub struct Listener {
    /// The bound socket.
    pub socket: TcpListener,
    /// How its connections are made private; `None` for plain TCP.
    pub secure: Option<Arc<dyn Secure>>,
}

/// What all connections share.
pub(crate) struct Listening {
    door: Door,
    draining: CancellationToken,
    tracker: TaskTracker,
}

impl Listening {
    pub(crate) fn new(
        config: Arc<Hl7Config>,
        records: Records,
        metrics: Arc<Metrics>,
        draining: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            door: Door::new(config, records, metrics),
            draining,
            tracker: TaskTracker::new(),
        })
    }

    /// Takes connections until draining begins, then waits for what runs.
    pub(crate) async fn listen(self: Arc<Self>, listeners: Vec<Listener>) {
        let listening = listeners.into_iter().map(|listener| self.clone().take_from(listener));
        futures_util::future::join_all(listening).await;
        self.tracker.close();
        // A message that is being taken is taken and answered; each is bounded in time.
        self.tracker.wait().await;
    }

    async fn take_from(self: Arc<Self>, Listener { socket, secure }: Listener) {
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                () = self.draining.cancelled() => break,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "an HL7 connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if !self.door.metrics.opened(self.door.config.connections_max) {
                tracing::warn!(%address, "an HL7 connection is closed: as many as may be are open");
                continue;
            }
            let (listening, secure) = (self.clone(), secure.clone());
            let span = tracing::info_span!("hl7", peer = %address);
            let task = async move {
                let served = AssertUnwindSafe(listening.connection(stream, secure, address));
                if served.catch_unwind().await.is_err() {
                    tracing::error!("an HL7 connection ended by a panic; the others go on");
                }
                listening.door.metrics.closed();
            };
            self.tracker.spawn(task.instrument(span));
        }
    }

    async fn connection(&self, stream: TcpStream, secure: Option<Arc<dyn Secure>>, address: SocketAddr) {
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let limit = self.door.config.message_timeout;
        let stream: Box<dyn Carried> = match secure {
            None => Box::new(stream),
            Some(secure) => {
                let shaken = tokio::select! {
                    shaken = timeout(limit, secure.secured(stream)) => shaken,
                    () = self.draining.cancelled() => return,
                };
                match shaken.unwrap_or_else(|_| Err("the TLS handshake was not finished in time".to_owned())) {
                    Ok(stream) => stream,
                    Err(why) => {
                        tracing::info!(why, "no HL7 connection");
                        return self.refused(address, &why).await;
                    }
                }
            }
        };
        tracing::debug!("HL7 connection opened");
        match self.messages(stream, address).await {
            Ok(()) => tracing::debug!("HL7 connection closed"),
            Err(error) => {
                if matches!(error, FrameError::NoBlock) {
                    self.refused(address, &error.to_string()).await;
                }
                tracing::info!(%error, "HL7 connection ended");
            }
        }
    }

    async fn messages(&self, stream: Box<dyn Carried>, address: SocketAddr) -> Result<(), FrameError> {
        let config = &self.door.config;
        let mut frames = Frames::new(stream, config.message_max_bytes);
        loop {
            let begun = tokio::select! {
                begun = timeout(config.idle_timeout, frames.begun()) => begun,
                // Who has nothing under way is not waited for.
                () = self.draining.cancelled() => return Ok(()),
            };
            let is_message = match begun {
                Ok(begun) => begun?,
                Err(_) => false,
            };
            if !is_message {
                return Ok(());
            }
            let message = timeout(config.message_timeout, frames.rest()).await;
            let (answers, end) = match message.unwrap_or(Err(FrameError::Slow)) {
                Ok(message) => (self.door.answer(&message, address.ip()).await, None),
                Err(FrameError::TooLong(begins)) => {
                    (self.door.too_long(&begins), Some(FrameError::TooLong(Vec::new())))
                }
                Err(error) => return Err(error),
            };
            for answer in &answers {
                let written = timeout(config.message_timeout, frame::write(frames.stream(), answer)).await;
                written.map_err(|_| FrameError::Slow)??;
            }
            if let Some(error) = end {
                return Err(error);
            }
        }
    }

    /// Records that somebody was not let in.
    async fn refused(&self, address: SocketAddr, why: &str) {
        let place = address.to_string();
        let who = Caller {
            place: &place,
            ..Caller::default()
        };
        if let Err(error) = self.door.config.trail.refused(who, why).await {
            tracing::error!(%error, "a refused connection is not recorded");
        }
    }
}
