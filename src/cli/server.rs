//! Builds the rooms, opens both doors, and closes all of it again in order.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    middleware,
};
use filmroom_storage::{
    encryption::{Encryption, MasterKeys},
    state::{StateError, StatePlace},
    store::{self, ScrubOptions, StateAccess, Store, StoreOptions},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower_http::set_header::SetResponseHeaderLayer;

use super::{
    carried_through::carry_through,
    failure::{Failure, Status},
    health, hl7,
    http::{self, HttpServing},
    http_trail::{self, HttpTrail},
    running::{self, Way},
    runtime,
    settings_flags::reachable,
    trail::{self, AuditTrail},
};
use crate::config::Config;
use filmroom_access::{Action, Directory, DirectoryError, Users};
use filmroom_admission::{Admission, Demand, Route, Routes};
use filmroom_api::AuditRoom;
use filmroom_commitment::Commitments;
use filmroom_dataset::DataSetDescriber;
use filmroom_dicomweb::DicomwebState;
use filmroom_dimse::{
    self, Audience, Listener, Rooms, Seen, Serving,
    tls::{TlsClient, TlsError, TlsServer},
};
use filmroom_forwarding::Forwarding;
use filmroom_ingest::{Ingest, Watcher, Watchers};
use filmroom_peers::Peers;
use filmroom_privacy::Privacy;
use filmroom_query::QueryRoom;
use filmroom_records::{NoteGate, Records, View};
use filmroom_retrieve::Retrieve;
use filmroom_worklist::Worklist;

/// What every answer says to browsers, unless it says otherwise itself. Nothing that was stored is a page of ours.
const HEADERS: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; base-uri 'none'; form-action 'none'",
    ),
];
/// Browsers come by TLS alone from then on, for a year (RFC 6797).
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// A running archive.
pub struct Server {
    store: Store,
    trail: AuditTrail,
    rooms: Rooms,
    /// What was begun to be destroyed is gone on with.
    working: tokio::task::JoinHandle<()>,
    dimse: Serving,
    hl7: Option<filmroom_hl7::Serving>,
    http: HttpServing,
    /// Where programs of this machine ask, when HTTP is answered by TLS or not on this machine.
    local: Option<HttpServing>,
    http_scheme: &'static str,
    admission: Admission,
    table: Vec<Route>,
    shutdown: CancellationToken,
    folder: std::path::PathBuf,
}

impl Server {
    /// Takes both addresses, opens the store, and answers.
    ///
    /// # Errors
    /// [`Failure`] when an address or the data folder cannot be had. Nothing is left running.
    pub async fn start(config: &Config) -> Result<Self, Failure> {
        let dimse_listener = bind(config.dicom.listen, "DICOM", "--dicom").await?;
        let tls_socket = match config.dicom.tls_listen {
            Some(address) => Some(bind(address, "DICOM TLS", "--set dicom.tls_listen=").await?),
            None => None,
        };
        let hl7_sockets = hl7::Sockets::bind(config).await?;
        let http_listener = bind(config.http.listen, "HTTP", "--http").await?;
        let http_tls = http_tls(config)?;
        let local_listener = match http_tls.is_some() || !is_local(config.http.listen) {
            true => Some(bind(SocketAddr::from(([127, 0, 0, 1], 0)), "local HTTP", "").await?),
            false => None,
        };
        let folder = config.data.folder.clone();
        let (tls_server, tls_client) = tls(config)?;
        let store = open_store(config).await?;
        let peers = Arc::new(open_peers(config, &store)?);
        let directory = Arc::new(open_directory(store.state())?);
        let trail = AuditTrail::open(config, &store).await?;
        let privacy = open_privacy(config, &store, &trail).await?;
        let records = open_records(config, &store, &trail).await?;
        let everything = Retrieve::new(store.clone());
        let seen = |view| Seen {
            query: QueryRoom::new(records.seen(&store, view)),
            retrieve: everything.seen(records.seen(&store, view)),
            audience: match view {
                View::Default | View::Regular => Audience::Everybody,
                View::Manager => Audience::Rejecting,
            },
        };
        let (usual, regular, manager) = (seen(View::Default), seen(View::Regular), seen(View::Manager));
        let views = config.dicom.views.iter().map(|title| {
            let seen = match title.view {
                View::Default => &usual,
                View::Regular => &regular,
                View::Manager => &manager,
            };
            (title.ae_title.to_string(), seen.clone())
        });
        let views = Arc::new(views.collect());
        let retrieve = usual.retrieve.clone();
        let rules = config.dicom.forward.clone();
        let forwarding = Forwarding::open(rules, retrieve.clone(), store.state(), config.forwarding())
            .map_err(|error| state_failure("the queue of what is forwarded", &error))?;
        let mut watchers: Vec<Arc<dyn Watcher>> = Vec::new();
        if trail.trail().is_on() {
            watchers.push(trail.watcher());
        }
        if !config.dicom.forward.is_empty() {
            watchers.push(Arc::new(forwarding.clone()));
        }
        let ingest = match watchers.is_empty() {
            true => Ingest::new(store.clone()),
            false => Ingest::watched(store.clone(), Arc::new(Watchers(watchers))),
        };
        let ingest = ingest.gated(Arc::new(NoteGate(records.clone())));
        let rooms = Rooms {
            ingest,
            query: usual.query,
            retrieve: retrieve.clone(),
            commitment: Commitments::open(store.clone(), retrieve.clone(), store.state(), config.commitment())
                .map_err(|error| state_failure("requests for storage commitment", &error))?,
            forwarding,
            worklist: Worklist::open(config.worklist(), retrieve, store.state())
                .map_err(|error| state_failure("the worklist", &error))?,
            views,
        };
        if !config.scrub.every.is_zero() {
            store.start_scrub(ScrubOptions {
                every: config.scrub.every,
                bytes_per_second: config.scrub.rate.0,
            });
        }
        let shutdown = CancellationToken::new();
        // Behind a TLS proxy browsers come by TLS as well.
        let is_secure = http_tls.is_some() || config.http.public_url.starts_with("https://");
        let admission = Admission::new(directory.clone(), config.demand(), is_secure, trail.trail().clone())
            .fresh_for(config.access.step_up_within)
            .guarded_by(privacy.clone());
        let http_scheme = if http_tls.is_some() { "https" } else { "http" };
        let hl7 = hl7_sockets.serve(config, trail.trail(), &records, &shutdown);
        let hl7 = hl7.map_err(|error| Failure::new(Status::Unavailable, format!("cannot listen: {error}"), ""))?;
        let hl7_metrics = hl7.as_ref().map(filmroom_hl7::Serving::metrics);
        let behind = Behind {
            rooms: &rooms,
            records: &records,
            privacy: &privacy,
            peers: &peers,
            admission: &admission,
            trail: &trail,
        };
        let routes = routes(config, &behind, [regular, manager]).merge(health::routes(
            store.clone(),
            hl7_metrics,
            shutdown.clone(),
        ));
        let table = routes.table().to_vec();
        let router = front(routes, &admission, http_tls.is_some());
        let mut dimse_config = config.dimse();
        dimse_config.access = Arc::new(Users::new(directory, config.dicom.user_identity));
        dimse_config.privacy = Some(privacy.clone());
        dimse_config.peers = peers;
        dimse_config.trail = trail.trail().clone();
        dimse_config.tls = tls_client;
        let mut listeners = vec![Listener {
            socket: dimse_listener,
            tls: None,
        }];
        listeners.extend(tls_socket.map(|socket| Listener {
            socket,
            tls: tls_server,
        }));
        let doors = (
            filmroom_dimse::serve(listeners, dimse_config, rooms.clone(), shutdown.clone()),
            http::serve(
                http_listener,
                router.clone(),
                http_tls,
                &config.http,
                config.run.drain_timeout,
                shutdown.clone(),
            ),
        );
        let local = local_listener.map(|listener| {
            let drain = config.run.drain_timeout;
            http::serve(listener, router, None, &config.http, drain, shutdown.clone())
        });
        let local = local
            .transpose()
            .map_err(|error| Failure::new(Status::Unavailable, format!("cannot listen: {error}"), ""))?;
        match doors {
            (Ok(dimse), Ok(http)) => {
                let (records, privacy) = (records.work(shutdown.clone()), privacy.work(shutdown.clone()));
                let working = tokio::spawn(async move {
                    tokio::join!(records, privacy);
                });
                let way = Way {
                    url: format!("{http_scheme}://{}", reachable(http.local_address())),
                    local: reachable(local.as_ref().unwrap_or(&http).local_address()),
                    secret: admission.directory().machine_secret().to_owned(),
                };
                if let Err(error) = way.write(&folder) {
                    tracing::warn!(%error, "the address cannot be written down: commands will not reach this archive");
                }
                Ok(Self {
                    store,
                    trail,
                    rooms,
                    working,
                    dimse,
                    hl7,
                    http,
                    local,
                    http_scheme,
                    admission,
                    table,
                    shutdown,
                    folder,
                })
            }
            (Err(error), _) | (_, Err(error)) => {
                shutdown.cancel();
                trail.close(&folder).await?;
                close_store(&store, &folder).await?;
                Err(Failure::new(Status::Unavailable, format!("cannot listen: {error}"), ""))
            }
        }
    }

    /// Where associations are answered.
    #[must_use]
    pub fn dimse_address(&self) -> SocketAddr {
        let first = self.dimse.local_addresses().first();
        first.copied().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
    }

    /// Where associations are answered by TLS.
    #[must_use]
    pub fn dimse_tls_address(&self) -> Option<SocketAddr> {
        self.dimse.local_addresses().get(1).copied()
    }

    /// Where HL7 messages are answered, plain before TLS.
    #[must_use]
    pub fn hl7_addresses(&self) -> &[SocketAddr] {
        self.hl7
            .as_ref()
            .map(filmroom_hl7::Serving::local_addresses)
            .unwrap_or_default()
    }

    /// Where HTTP is answered.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http.local_address()
    }

    /// How HTTP is spoken: `http` or `https`.
    #[must_use]
    pub fn http_scheme(&self) -> &'static str {
        self.http_scheme
    }

    /// All routes of HTTP, each with who is answered.
    #[must_use]
    pub fn table(&self) -> &[Route] {
        &self.table
    }

    /// Knows HTTP callers.
    #[must_use]
    pub fn admission(&self) -> &Admission {
        &self.admission
    }

    /// True when callers have to be known, and nobody is who could let others in.
    #[must_use]
    pub fn lacks_administrator(&self) -> bool {
        self.admission.demand() == Demand::Credentials && !self.admission.directory().has_administrator()
    }

    /// The rooms behind the doors.
    #[must_use]
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Takes nothing new, lets what runs finish within the time to drain, and closes the store.
    ///
    /// # Errors
    /// [`Failure`] when the last bytes could not be synced; what was acknowledged is safe in the intake all the same.
    pub async fn stop(self) -> Result<(), Failure> {
        self.shutdown.cancel();
        let local = async {
            if let Some(local) = self.local {
                local.closed().await;
            }
        };
        let hl7 = async {
            if let Some(hl7) = self.hl7 {
                hl7.closed().await;
            }
        };
        tokio::join!(self.dimse.closed(), self.http.closed(), hl7, local);
        // A step that was begun ends, and the next is taken after the next start.
        let _ = self.working.await;
        drop(self.rooms);
        running::remove(&self.folder);
        // Whatever becomes of the trail's end, the store is closed.
        let recorded = self.trail.close(&self.folder).await;
        close_store(&self.store, &self.folder).await.and(recorded)
    }
}

type Tls = (Option<Arc<TlsServer>>, Option<Arc<TlsClient>>);

fn tls(config: &Config) -> Result<Tls, Failure> {
    let failed = |error: TlsError| {
        Failure::new(
            Status::Config,
            format!("TLS for DICOM: {error}"),
            "dicom.tls_certificate, dicom.tls_key and dicom.tls_authorities name PEM files that Filmroom can read",
        )
    };
    let server = config.tls_server().map_err(failed)?.map(Arc::new);
    Ok((server, config.tls_client().map_err(failed)?.map(Arc::new)))
}

fn http_tls(config: &Config) -> Result<Option<Arc<TlsServer>>, Failure> {
    let server = config.http_tls().map_err(|error| {
        Failure::new(
            Status::Config,
            format!("TLS for HTTP: {error}"),
            "http.tls_certificate and http.tls_key name PEM files that Filmroom can read",
        )
    })?;
    Ok(server.map(Arc::new))
}

/// True when programs of this machine reach an address by loopback.
fn is_local(address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

/// Opens the directory of people and programs that may come in.
///
/// # Errors
/// [`Failure`] when it cannot be read.
pub fn open_directory(place: StatePlace) -> Result<Directory, Failure> {
    Directory::open(place).map_err(|error| match error {
        DirectoryError::State(error) => state_failure("accounts and tokens", &error),
        other => Failure::new(Status::Software, other.to_string(), ""),
    })
}

async fn open_records(config: &Config, store: &Store, trail: &AuditTrail) -> Result<Records, Failure> {
    let mut options = config.records();
    options.witness = Some(Arc::new(trail.witness()));
    Records::open(store.clone(), options).await.map_err(|error| {
        let sentence = format!("the records cannot be read: {error}");
        let advice = "keep a copy of the folders journal and state before anything else is tried";
        Failure::new(Status::Data, sentence, advice)
    })
}

async fn open_privacy(config: &Config, store: &Store, trail: &AuditTrail) -> Result<Privacy, Failure> {
    let opened = Privacy::open(store.clone(), trail.trail().clone(), config.access.emergency_lasts);
    opened.await.map_err(|error| {
        let sentence = format!("who sees what cannot be read: {error}");
        let advice = "keep a copy of the folder journal before anything else is tried";
        Failure::new(Status::Data, sentence, advice)
    })
}

fn open_peers(config: &Config, store: &Store) -> Result<Peers, Failure> {
    let settings = config.dicom.peers.clone();
    Peers::open(settings, store.state()).map_err(|error| state_failure("peers", &error))
}

fn state_failure(what: &str, error: &StateError) -> Failure {
    let sentence = format!("{what} cannot be read: {error}");
    Failure::new(
        Status::InputOutput,
        sentence,
        "check the disk and the permissions of the data folder",
    )
}

/// Opens the store of a configuration.
///
/// # Errors
/// [`Failure`] when the data folder cannot be had.
pub async fn open_store(config: &Config) -> Result<Store, Failure> {
    let folder = &config.data.folder;
    Store::open(store_options(config)?, Arc::new(DataSetDescriber))
        .await
        .map_err(|error| {
            let mut failure = Failure::store(folder, &error);
            if failure.status == Status::TryLater
                && let Ok(way) = Way::read(folder)
            {
                failure.advice = format!(
                    "a Filmroom that serves {} seems to have it: `filmroom import --to http://{} PATH` sends to that one (with \
                     --token-file where it asks who sends); else stop it first, or name another folder with --data",
                    way.url, way.local
                );
            }
            failure
        })
}

/// The master keys of a configuration; `None` where nothing is to be encrypted.
///
/// # Errors
/// [`Failure`] when they cannot be had.
pub fn master_keys(config: &Config) -> Result<Option<MasterKeys>, Failure> {
    let source = config.encryption.master_key.as_ref();
    let keys = source.map(|source| source.load()).transpose();
    keys.map_err(|error| Failure::master_key(&error))
}

/// What the store of a configuration is opened with, master keys included.
///
/// # Errors
/// [`Failure`] when they cannot be had.
pub fn store_options(config: &Config) -> Result<StoreOptions, Failure> {
    let mut options = config.store_options();
    options.encryption = master_keys(config)?.map(|master| Encryption {
        master: Arc::new(master),
        plain: config.encryption.plain_objects,
    });
    Ok(options)
}

/// Where small state lies, for commands that do not open the store.
///
/// # Errors
/// [`Failure`] when the archive is encrypted and its key cannot be had.
pub fn state_place(config: &Config, access: StateAccess) -> Result<StatePlace, Failure> {
    let options = store_options(config)?;
    let place = runtime::build(&config.run)?.block_on(store::state_place(&options, access));
    place.map_err(|error| Failure::store(&config.data.folder, &error))
}

/// Closes a store.
///
/// # Errors
/// [`Failure`] when the last bytes could not be synced.
pub async fn close_store(store: &Store, folder: &std::path::Path) -> Result<(), Failure> {
    store.close().await.map_err(|error| Failure::store(folder, &error))
}

/// The rooms behind the doors of the web.
struct Behind<'a> {
    rooms: &'a Rooms,
    records: &'a Records,
    privacy: &'a Privacy,
    peers: &'a Arc<Peers>,
    admission: &'a Admission,
    trail: &'a AuditTrail,
}

/// All routes, each with who is answered.
fn routes(config: &Config, behind: &Behind<'_>, [regular, manager]: [Seen; 2]) -> Routes {
    let Behind {
        rooms,
        records,
        privacy,
        peers,
        admission,
        trail,
    } = *behind;
    let audit = AuditRoom {
        trail: trail.trail().clone(),
        source: Arc::new(trail::source(config)),
    };
    let http_trail = HttpTrail {
        trail: trail.trail().clone(),
        dicomweb: config.dicomweb().base_path().to_owned(),
    };
    let dicomweb = DicomwebState::new(
        config.dicomweb(),
        rooms.ingest.clone(),
        rooms.query.clone(),
        rooms.retrieve.clone(),
    );
    let regular = dicomweb.seen(View::Regular.word(), regular.query, regular.retrieve);
    let manager = dicomweb.seen(View::Manager.word(), manager.query, manager.retrieve);
    filmroom_console::routes(filmroom_console::Rooms {
        query: rooms.query.clone(),
        admission: admission.clone(),
        privacy: privacy.clone(),
    })
    .merge(filmroom_dicomweb::routes(dicomweb))
    .merge(filmroom_dicomweb::routes(regular))
    .merge(filmroom_dicomweb::routes(manager).also(Action::Reject))
    .merge(filmroom_api::routes(filmroom_api::Rooms {
        admission: admission.clone(),
        peers: peers.clone(),
        forwarding: rooms.forwarding.clone(),
        commitment: rooms.commitment.clone(),
        worklist: rooms.worklist.clone(),
        privacy: privacy.clone(),
        records: records.clone(),
        audit,
        dicomweb: config.dicomweb().base_path().into(),
    }))
    .around(|router| {
        router
            .layer(middleware::from_fn_with_state(http_trail, http_trail::record))
            .layer(middleware::from_fn(carry_through))
    })
}

/// What stands before the routes: who asks is found out, and every answer says what browsers must not do with it.
fn front(routes: Routes, admission: &Admission, is_tls: bool) -> Router {
    let strict = is_tls.then_some((header::STRICT_TRANSPORT_SECURITY, STRICT_TRANSPORT));
    let router = admission.clone().before(routes.into_router());
    HEADERS.into_iter().chain(strict).fold(router, |router, (name, value)| {
        let value = HeaderValue::from_static(value);
        router.layer(SetResponseHeaderLayer::if_not_present(name, value))
    })
}

pub(super) async fn bind(address: SocketAddr, door: &str, flag: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        std::io::ErrorKind::AddrInUse => Failure::new(
            Status::Unavailable,
            format!("the {door} address {address} is in use by another program"),
            format!("stop that program, or choose another address with {flag} ADDR:PORT (port 0 takes any that is free)"),
        ),
        std::io::ErrorKind::PermissionDenied => Failure::new(
            Status::Permission,
            format!("the operating system does not permit to listen on the {door} address {address}"),
            format!(
                "ports below 1024 need a privilege (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE); or choose a higher \
                 port with {flag} ADDR:PORT"
            ),
        ),
        std::io::ErrorKind::AddrNotAvailable => Failure::new(
            Status::Config,
            format!("the {door} address {address} is none of this machine's"),
            format!("`ip address` lists those it has; choose one with {flag} ADDR:PORT"),
        ),
        _ => Failure::new(
            Status::Unavailable,
            format!("cannot listen on the {door} address {address}: {error}"),
            format!("choose another address with {flag} ADDR:PORT"),
        ),
    })
}
