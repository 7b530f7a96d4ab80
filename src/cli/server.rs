//! Builds the rooms, opens both doors, and closes all of it again in order.

use std::{net::SocketAddr, sync::Arc};

use axum::Router;
use filmroom_storage::store::{ScrubOptions, Store};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    failure::{Failure, Status},
    health,
    http::{self, HttpServing},
    settings_flags::reachable,
};
use crate::{
    config::Config,
    console,
    dataset::DataSetDescriber,
    dicomweb::{self, DicomwebState},
    dimse::{self, Rooms, Serving},
    ingest::Ingest,
    query::QueryRoom,
    retrieve::Retrieve,
};

/// Written into the data folder while it is served: the URL of the archive, for whoever finds the folder in use.
const ADDRESS_FILE: &str = "serving";

/// A running archive.
pub struct Server {
    store: Store,
    rooms: Rooms,
    dimse: Serving,
    http: HttpServing,
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
        let http_listener = bind(config.http.listen, "HTTP", "--http").await?;
        let folder = config.data.folder.clone();
        let store = open_store(config).await?;
        let rooms = Rooms {
            ingest: Ingest::new(store.clone()),
            query: QueryRoom::new(store.clone()),
            retrieve: Retrieve::new(store.clone()),
        };
        if !config.scrub.every.is_zero() {
            store.start_scrub(ScrubOptions {
                every: config.scrub.every,
                bytes_per_second: config.scrub.rate.0,
            });
        }
        let shutdown = CancellationToken::new();
        let router = router(config, &rooms, &store, &shutdown);
        let doors = (
            dimse::serve(dimse_listener, config.dimse(), rooms.clone(), shutdown.clone()),
            http::serve(
                http_listener,
                router,
                &config.http,
                config.run.drain_timeout,
                shutdown.clone(),
            ),
        );
        match doors {
            (Ok(dimse), Ok(http)) => {
                let address = folder.join(ADDRESS_FILE);
                // Only advice is made from it.
                if let Err(error) = std::fs::write(&address, format!("http://{}\n", reachable(http.local_address()))) {
                    tracing::warn!(%error, path = %address.display(), "the address cannot be written down");
                }
                Ok(Self {
                    store,
                    rooms,
                    dimse,
                    http,
                    shutdown,
                    folder,
                })
            }
            (Err(error), _) | (_, Err(error)) => {
                shutdown.cancel();
                close_store(&store, &folder).await?;
                Err(Failure::new(Status::Unavailable, format!("cannot listen: {error}"), ""))
            }
        }
    }

    /// Where associations are answered.
    #[must_use]
    pub fn dimse_address(&self) -> SocketAddr {
        self.dimse.local_address()
    }

    /// Where HTTP is answered.
    #[must_use]
    pub fn http_address(&self) -> SocketAddr {
        self.http.local_address()
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
        tokio::join!(self.dimse.closed(), self.http.closed());
        drop(self.rooms);
        let _ = std::fs::remove_file(self.folder.join(ADDRESS_FILE));
        close_store(&self.store, &self.folder).await
    }
}

/// Opens the store of a configuration.
///
/// # Errors
/// [`Failure`] when the data folder cannot be had.
pub async fn open_store(config: &Config) -> Result<Store, Failure> {
    let folder = &config.data.folder;
    Store::open(config.store_options(), Arc::new(DataSetDescriber))
        .await
        .map_err(|error| {
            let mut failure = Failure::store(folder, &error);
            if failure.status == Status::TryLater
                && let Ok(address) = std::fs::read_to_string(folder.join(ADDRESS_FILE))
            {
                let address = address.trim();
                failure.advice = format!(
                    "a Filmroom that serves {address} seems to have it: `filmroom import --to {address} PATH` sends to that \
                     one; else stop it first, or name another folder with --data"
                );
            }
            failure
        })
}

/// Closes a store.
///
/// # Errors
/// [`Failure`] when the last bytes could not be synced.
pub async fn close_store(store: &Store, folder: &std::path::Path) -> Result<(), Failure> {
    store.close().await.map_err(|error| Failure::store(folder, &error))
}

fn router(config: &Config, rooms: &Rooms, store: &Store, shutdown: &CancellationToken) -> Router {
    let dicomweb = DicomwebState::new(
        config.dicomweb(),
        rooms.ingest.clone(),
        rooms.query.clone(),
        rooms.retrieve.clone(),
    );
    console::router(rooms.query.clone())
        .merge(dicomweb::router(dicomweb))
        .merge(health::router(store.clone(), shutdown.clone()))
}

async fn bind(address: SocketAddr, door: &str, flag: &str) -> Result<TcpListener, Failure> {
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
