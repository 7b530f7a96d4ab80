//! The end that calls.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    ClientConfig,
    client::Resumption,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{
    TlsError, TlsFiles, TlsVersions,
    files::{self, Reloaded},
    provider,
    trust::{CalledVerifier, Trust},
};
use filmroom_peers::CertificateName;

/// Calls peers that speak TLS.
pub struct TlsClient {
    own: Option<TlsFiles>,
    authorities: PathBuf,
    versions: TlsVersions,
    current: Reloaded<Material>,
}

struct Material {
    trust: Trust,
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl TlsClient {
    /// Reads the authorities that peers have to be vouched for by, and our own certificate, which peers may ask for.
    ///
    /// # Errors
    /// [`TlsError`] saying which file does not do.
    pub fn new(own: Option<TlsFiles>, authorities: PathBuf, versions: TlsVersions) -> Result<Self, TlsError> {
        let mut paths = vec![authorities.clone()];
        if let Some(own) = &own {
            paths.extend([own.certificate.clone(), own.key.clone()]);
        }
        let current = Reloaded::new(paths, || load(own.as_ref(), &authorities))?;
        let client = Self {
            own,
            authorities,
            versions,
            current,
        };
        client.config(None)?; // certificate and key have to fit
        Ok(client)
    }

    /// Shakes hands within a time with a host that has to prove its name, or that it holds the bound certificate.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) async fn connect(
        &self,
        stream: TcpStream,
        host: &str,
        bound: Option<&CertificateName>,
        limit: Duration,
    ) -> Result<TlsStream<TcpStream>, TlsError> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Host(host.to_owned()))?;
        let config = self.config(bound.cloned())?;
        match timeout(limit, TlsConnector::from(Arc::new(config)).connect(name, stream)).await {
            Err(_) => Err(TlsError::Timeout),
            Ok(Err(error)) if bound.is_some() && error.to_string().contains("ApplicationVerificationFailure") => {
                Err(TlsError::NotBound(bound.map(ToString::to_string).unwrap_or_default()))
            }
            Ok(connected) => connected.map_err(TlsError::Handshake),
        }
    }

    fn config(&self, bound: Option<CertificateName>) -> Result<ClientConfig, TlsError> {
        let material = self.current.get(|| load(self.own.as_ref(), &self.authorities));
        let provider = provider();
        let verifier = CalledVerifier {
            trust: material.trust.clone(),
            bound,
            provider: provider.clone(),
        };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions.list())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match &material.own {
            Some((certificates, key)) => builder.with_client_auth_cert(certificates.clone(), key.clone_key())?,
            None => builder.with_no_client_auth(),
        };
        // A session that is taken up again is not verified again, and each peer is verified in its own way.
        config.resumption = Resumption::disabled();
        Ok(config)
    }
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient")
            .field("authorities", &self.authorities)
            .finish_non_exhaustive()
    }
}

fn load(own: Option<&TlsFiles>, authorities: &std::path::Path) -> Result<Material, TlsError> {
    let own = match own {
        Some(files) => Some((files::certificates(&files.certificate)?, files::key(&files.key)?)),
        None => None,
    };
    Ok(Material {
        trust: Trust::read(authorities)?,
        own,
    })
}
