//! The end that is called.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    TlsError, TlsFiles, TlsVersions,
    files::{self, Reloaded},
    names, provider,
    trust::{CallerVerifier, Trust},
};
use filmroom_peers::Certificate;

/// Whether callers have to show a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They must, signed by an authority of this PEM file or listed in it themselves.
    Required(PathBuf),
    /// They may; one that is shown has to be good.
    Optional(PathBuf),
    /// They are not asked: the line is private, and whoever calls is unknown.
    NotAsked,
}

/// Answers handshakes.
pub struct TlsServer {
    files: TlsFiles,
    clients: ClientCertificates,
    versions: TlsVersions,
    protocols: &'static [&'static [u8]],
    current: Reloaded<ServerConfig>,
}

impl TlsServer {
    /// Reads certificate, key and authorities.
    ///
    /// # Errors
    /// [`TlsError`] saying which file does not do.
    pub fn new(files: TlsFiles, clients: ClientCertificates, versions: TlsVersions) -> Result<Self, TlsError> {
        Self::of_protocols(files, clients, versions, &[])
    }

    /// As [`TlsServer::new`], with the protocols that callers may choose of (ALPN, RFC 7301), preferred first.
    ///
    /// # Errors
    /// As [`TlsServer::new`].
    pub fn of_protocols(
        files: TlsFiles,
        clients: ClientCertificates,
        versions: TlsVersions,
        protocols: &'static [&'static [u8]],
    ) -> Result<Self, TlsError> {
        let mut paths = vec![files.certificate.clone(), files.key.clone()];
        if let ClientCertificates::Required(path) | ClientCertificates::Optional(path) = &clients {
            paths.push(path.clone());
        }
        let current = Reloaded::new(paths, || load(&files, &clients, versions, protocols))?;
        Ok(Self {
            files,
            clients,
            versions,
            protocols,
            current,
        })
    }

    /// Shakes hands within a time. Who the caller is, where it has shown a certificate.
    ///
    /// # Errors
    /// [`TlsError::Handshake`], [`TlsError::Timeout`].
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        limit: Duration,
    ) -> Result<(TlsStream<S>, Option<Certificate>), TlsError> {
        let load = || load(&self.files, &self.clients, self.versions, self.protocols);
        let config = self.current.get(load);
        let accepted = timeout(limit, TlsAcceptor::from(config).accept(stream)).await;
        let stream = accepted.map_err(|_| TlsError::Timeout)?.map_err(TlsError::Handshake)?;
        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let certificate = shown.and_then(names::of);
        Ok((stream, certificate))
    }
}

impl std::fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsServer")
            .field("files", &self.files)
            .finish_non_exhaustive()
    }
}

fn load(
    files: &TlsFiles,
    clients: &ClientCertificates,
    versions: TlsVersions,
    protocols: &[&[u8]],
) -> Result<ServerConfig, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions.list())?;
    let verifier = match clients {
        ClientCertificates::Required(path) => Some(CallerVerifier::new(Trust::read(path)?, true)?),
        ClientCertificates::Optional(path) => Some(CallerVerifier::new(Trust::read(path)?, false)?),
        ClientCertificates::NotAsked => None,
    };
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(Arc::new(verifier)),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(files::certificates(&files.certificate)?, files::key(&files.key)?)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}
