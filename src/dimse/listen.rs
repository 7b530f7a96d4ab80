//! The listener: one task a connection, limits, and stopping.

use std::{
    collections::HashMap,
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio::{net::TcpListener, sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::{
    Rooms,
    association::{Admission, Association, AssociationError, Connection, Rejection, accept},
    config::DimseConfig,
    session::{self, Session},
};

/// Pause after the system refused a connection (no file descriptors): it will not have one a microsecond later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for aborted associations to end.
const ABORT_GRACE: Duration = Duration::from_secs(10);

/// How many associations there are, in all and for each address.
#[derive(Debug, Default)]
struct Census {
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

/// One association that is counted; uncounted when dropped.
#[derive(Debug)]
struct Counted {
    census: Arc<Census>,
    address: IpAddr,
}

impl Census {
    fn admit(self: &Arc<Self>, address: IpAddr, config: &DimseConfig) -> Admission<Counted> {
        let mut by_address = self.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if by_address.values().sum::<usize>() >= config.associations_max {
            return Admission::Refused(Rejection::LocalLimit);
        }
        let count = by_address.entry(address).or_default();
        if *count >= config.associations_per_peer_max {
            return Admission::Refused(Rejection::Congestion);
        }
        *count += 1;
        Admission::Admitted(Counted {
            census: self.clone(),
            address,
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut by_address = self.census.by_address.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
    }
}

/// What all associations of a listener share.
pub(super) struct Door {
    config: Arc<DimseConfig>,
    rooms: Rooms,
    census: Arc<Census>,
    /// No new associations; running ones come to an end.
    draining: CancellationToken,
    /// Running ones end now.
    aborting: CancellationToken,
    /// Work that outlives its association: reports of storage commitment.
    tracker: TaskTracker,
    next_id: AtomicU64,
}

impl Door {
    pub(super) fn new(config: Arc<DimseConfig>, rooms: Rooms, draining: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            config,
            rooms,
            census: Arc::default(),
            draining,
            aborting: CancellationToken::new(),
            tracker: TaskTracker::new(),
            next_id: AtomicU64::new(1),
        })
    }

    /// Takes connections until draining begins, then waits for what runs.
    pub(super) async fn listen(self: Arc<Self>, listener: TcpListener) {
        let pending = Arc::new(Semaphore::new(self.config.pending_connections_max));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.draining.cancelled() => break,
            };
            let (stream, address) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(waiting) = pending.clone().try_acquire_owned() else {
                tracing::warn!(%address, "a connection is closed: too many wait to become associations");
                continue;
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, %address, "a connection was gone before it could be served");
                continue;
            }
            let door = self.clone();
            let id = self.next_id.fetch_add(1, Ordering::Relaxed);
            let span = tracing::info_span!(
                "association",
                id,
                peer = %address,
                calling_ae = tracing::field::Empty,
                called_ae = tracing::field::Empty
            );
            let task = async move {
                let served =
                    AssertUnwindSafe(door.connection(Box::new(stream), address.ip(), address.to_string(), waiting));
                if served.catch_unwind().await.is_err() {
                    tracing::error!("the association ended by a panic; the others go on");
                }
            };
            self.tracker.spawn(task.instrument(span));
        }
        drop(listener);
        self.tracker.close();
        if timeout(self.config.drain_timeout, self.tracker.wait()).await.is_err() {
            tracing::warn!("associations are still running and are aborted");
            self.aborting.cancel();
            let _ = timeout(ABORT_GRACE, self.tracker.wait()).await;
        }
    }

    async fn connection<P: Send>(
        self: Arc<Self>,
        connection: Box<dyn Connection>,
        address: IpAddr,
        peer_address: String,
        pending: P,
    ) {
        let admit = || {
            if self.draining.is_cancelled() {
                return Admission::Refused(Rejection::Congestion);
            }
            self.census.admit(address, &self.config)
        };
        let opened = tokio::select! {
            opened = accept(connection, peer_address, self.config.clone(), admit) => opened,
            // Whoever has not asked yet is not waited for.
            () = self.draining.cancelled() => Err(AssociationError::Stopping),
        };
        drop(pending);
        match opened {
            Ok((association, counted)) => {
                self.associated(association).await;
                drop(counted);
            }
            Err(AssociationError::Closed) => tracing::debug!("a connection was closed before it asked for anything"),
            Err(error) => tracing::info!(%error, "no association"),
        }
    }

    async fn associated(&self, mut association: Association) {
        let negotiated = association.negotiated();
        let span = tracing::Span::current();
        span.record("calling_ae", negotiated.calling_ae_title.as_str());
        span.record("called_ae", negotiated.called_ae_title.as_str());
        tracing::debug!(
            contexts = negotiated.contexts().len(),
            implementation = negotiated.peer_implementation_version_name,
            implementation_class = negotiated.peer_implementation_class_uid,
            "association opened"
        );
        let began = Instant::now();
        let mut session = Session::new(self.rooms.clone(), self.draining.clone(), self.tracker.clone());
        let ended = tokio::select! {
            ended = session::serve(&mut association, &mut session) => ended,
            () = self.aborting.cancelled() => Err(AssociationError::Stopping),
        };
        let tally = session.tally();
        let seconds = began.elapsed().as_secs_f32();
        match ended {
            Ok(()) => {
                tracing::info!(seconds, %tally, "association released");
                association.release_response().await;
            }
            Err(error) => {
                match &error {
                    // Many senders just hang up when they are done; that is no news.
                    AssociationError::Closed | AssociationError::Aborted(..) => {
                        tracing::info!(seconds, %tally, %error, "association ended");
                    }
                    _ => tracing::warn!(seconds, %tally, %error, "association broken off"),
                }
                association.fail(&error).await;
            }
        }
    }
}
