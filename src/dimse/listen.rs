//! The listener: one task a connection, limits, and stopping.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError, atomic::AtomicU64, atomic::Ordering},
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use filmroom_audit::{AuditError, Caller};
use filmroom_ingest::Authority;

use super::{
    Audience, Rooms,
    association::{
        Admission, Arrival, Association, AssociationError, Connection, Negotiated, Reach, Rejection, Service, accept,
    },
    authority,
    carrier::DimseCarrier,
    config::DimseConfig,
    n_event_report::{DimseReporter, Lines},
    scu::AwaitedReports,
    session::{self, Session},
    tls::{TlsError, TlsServer},
};

/// Pause after the system refused a connection (no file descriptors): it will not have one a microsecond later.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for aborted associations to end.
const ABORT_GRACE: Duration = Duration::from_secs(10);

/// Where connections come from.
#[derive(Debug)]
pub struct Listener {
    /// The bound socket.
    pub socket: TcpListener,
    /// How its connections are made private; `None` for plain TCP.
    pub tls: Option<Arc<TlsServer>>,
}

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
    /// Associations, and what works for the rooms.
    tracker: TaskTracker,
    /// Associations that reports of storage commitment can be told over.
    lines: Arc<Lines>,
    /// Reports of storage commitment that this node waits for.
    awaited: Arc<AwaitedReports>,
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
            lines: Arc::default(),
            awaited: Arc::default(),
            next_id: AtomicU64::new(1),
        })
    }

    /// Takes connections until draining begins, then waits for what runs.
    pub(super) async fn listen(self: Arc<Self>, listeners: Vec<Listener>) {
        let pending = Arc::new(Semaphore::new(self.config.pending_connections_max));
        let reporter = DimseReporter {
            config: self.config.clone(),
            lines: self.lines.clone(),
        };
        let commitment = self.rooms.commitment.clone();
        self.tracker
            .spawn(commitment.work(Arc::new(reporter), self.draining.clone()));
        let carrier = DimseCarrier {
            config: self.config.clone(),
            retrieve: self.rooms.retrieve.clone(),
            awaited: self.awaited.clone(),
        };
        let forwarding = self.rooms.forwarding.clone();
        self.tracker
            .spawn(forwarding.work(Arc::new(carrier), self.draining.clone()));
        self.tracker
            .spawn(self.rooms.worklist.clone().work(self.draining.clone()));
        let listening = listeners
            .into_iter()
            .map(|listener| self.clone().take_from(listener, pending.clone()));
        futures_util::future::join_all(listening).await;
        self.tracker.close();
        if timeout(self.config.drain_timeout, self.tracker.wait()).await.is_err() {
            tracing::warn!("associations are still running and are aborted");
            self.aborting.cancel();
            let _ = timeout(ABORT_GRACE, self.tracker.wait()).await;
        }
    }

    /// Takes connections of one listener until draining begins.
    async fn take_from(self: Arc<Self>, Listener { socket, tls }: Listener, pending: Arc<Semaphore>) {
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
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
                called_ae = tracing::field::Empty,
                user = tracing::field::Empty
            );
            let tls = tls.clone();
            let task = async move {
                let served = AssertUnwindSafe(door.connection(stream, tls, address, waiting));
                if served.catch_unwind().await.is_err() {
                    tracing::error!("the association ended by a panic; the others go on");
                }
            };
            self.tracker.spawn(task.instrument(span));
        }
    }

    /// Shakes hands where the listener speaks TLS, and tells what is known of the caller.
    async fn secured(
        &self,
        stream: TcpStream,
        tls: Option<&TlsServer>,
        address: SocketAddr,
    ) -> Result<(Box<dyn Connection>, Arrival), TlsError> {
        // A connection that ends at a loopback address began on this machine, wherever the listener is bound.
        let is_local = stream
            .local_addr()
            .is_ok_and(|local| local.ip().to_canonical().is_loopback());
        let mut arrival = Arrival {
            address: address.to_string(),
            reach: if is_local { Reach::Local } else { Reach::Remote },
            certificate: None,
        };
        let Some(tls) = tls else {
            return Ok((Box::new(stream), arrival));
        };
        let (stream, certificate) = tls.accept(stream, self.config.artim_timeout).await?;
        arrival.certificate = certificate;
        Ok((Box::new(stream), arrival))
    }

    async fn connection<P: Send>(
        self: Arc<Self>,
        stream: TcpStream,
        tls: Option<Arc<TlsServer>>,
        address: SocketAddr,
        pending: P,
    ) {
        let secured = tokio::select! {
            secured = self.secured(stream, tls.as_deref(), address) => secured,
            () = self.draining.cancelled() => return,
        };
        let (connection, arrival) = match secured {
            Ok(secured) => secured,
            Err(error) => {
                self.refused(&address.to_string(), &error.to_string()).await;
                return tracing::info!(%error, "no association");
            }
        };
        let admit = || {
            if self.draining.is_cancelled() {
                return Admission::Refused(Rejection::Congestion);
            }
            self.census.admit(address.ip(), &self.config)
        };
        let opened = tokio::select! {
            opened = accept(connection, arrival, self.config.clone(), admit) => opened,
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
            Err(error) => {
                if matches!(error, AssociationError::Rejected(_)) {
                    self.refused(&address.to_string(), &error.to_string()).await;
                }
                tracing::info!(%error, "no association");
            }
        }
    }

    /// Records that somebody was not let in.
    async fn refused(&self, address: &str, why: &str) {
        let who = Caller {
            place: address,
            ..Caller::default()
        };
        if let Err(error) = self.config.trail.refused(who, why).await {
            tracing::error!(%error, "a refused association is not recorded");
        }
    }

    /// Records that a user was let in; without that, nobody is.
    async fn let_in(&self, negotiated: &Negotiated) -> Result<(), AuditError> {
        match negotiated.user {
            Some(_) => {
                let trail = &self.config.trail;
                trail.logged_in(negotiated.caller(), "DICOM user identity").await
            }
            None => Ok(()),
        }
    }

    async fn associated(&self, mut association: Association) {
        let negotiated = association.negotiated();
        let span = tracing::Span::current();
        span.record("calling_ae", negotiated.calling_ae_title.as_str());
        span.record("called_ae", negotiated.called_ae_title.as_str());
        if let Some(user) = &negotiated.user {
            span.record("user", user.name.as_str());
        }
        tracing::debug!(
            contexts = negotiated.contexts().len(),
            implementation = negotiated.peer_implementation_version_name,
            implementation_class = negotiated.peer_implementation_class_uid,
            "association opened"
        );
        if let Err(error) = self.let_in(association.negotiated()).await {
            tracing::error!(%error, "an association is broken off: its user cannot be recorded");
            return association.fail(&AssociationError::Stopping).await;
        }
        let negotiated = association.negotiated();
        let began = Instant::now();
        let line = negotiated
            .contexts()
            .iter()
            .any(|context| context.service == Service::StorageCommitment && context.may_perform)
            .then(|| self.lines.open(&negotiated.calling_ae_title));
        let authority = authority::authority(negotiated).await;
        let seen = self.rooms.views.get(&negotiated.called_ae_title);
        if seen.is_some_and(|seen| seen.audience == Audience::Rejecting) && authority == Authority::None {
            tracing::warn!("an association is broken off: its peer calls from elsewhere than its own address");
            return association.fail(&AssociationError::Stopping).await;
        }
        let rooms = self.rooms.of(negotiated, authority);
        let mut session = Session::new(rooms, self.draining.clone(), line, self.awaited.clone());
        let ended = tokio::select! {
            ended = session::serve(&mut association, &mut session) => ended,
            () = self.aborting.cancelled() => Err(AssociationError::Stopping),
        };
        let left = self
            .config
            .trail
            .left(association.negotiated().caller(), &["C-STORE", "C-GET", "C-MOVE"]);
        if let Err(error) = left.await {
            tracing::error!(%error, "the end of transfers is not recorded");
        }
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
