//! Opens the HL7 door where it is configured.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use filmroom_dimse::tls::TlsServer;
use filmroom_hl7::{Carried, Listener, Secure, Serving};
use filmroom_records::Records;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{
    failure::{Failure, Status},
    server::bind,
};
use crate::config::Config;
use filmroom_audit::Trail;

/// The sockets of the door, taken before anything else is opened.
#[derive(Default)]
pub(super) struct Sockets {
    plain: Option<TcpListener>,
    tls: Option<(TcpListener, Arc<TlsServer>)>,
}

/// TLS for those that show a certificate.
struct Tls {
    server: Arc<TlsServer>,
    limit: Duration,
}

#[async_trait]
impl Secure for Tls {
    async fn secured(&self, stream: TcpStream) -> Result<Box<dyn Carried>, String> {
        match self.server.accept(stream, self.limit).await {
            Ok((stream, _)) => Ok(Box::new(stream)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Sockets {
    /// Takes the addresses that are configured.
    ///
    /// # Errors
    /// [`Failure`] when one cannot be had, or TLS lacks its files.
    pub(super) async fn bind(config: &Config) -> Result<Self, Failure> {
        let mut sockets = Self::default();
        if let Some(address) = config.hl7.listen {
            sockets.plain = Some(bind(address, "HL7", "--set hl7.listen=").await?);
        }
        if let Some(address) = config.hl7.tls_listen {
            let lacking = |sentence: String| {
                let advice = "dicom.tls_certificate, dicom.tls_key and dicom.tls_authorities name PEM files that Filmroom can read";
                Failure::new(Status::Config, sentence, advice)
            };
            let server = config
                .hl7_tls()
                .map_err(|error| lacking(format!("TLS for HL7: {error}")))?;
            let server = server
                .ok_or_else(|| lacking("hl7.tls_listen needs a certificate, its key and authorities".to_owned()))?;
            let socket = bind(address, "HL7 TLS", "--set hl7.tls_listen=").await?;
            sockets.tls = Some((socket, Arc::new(server)));
        }
        Ok(sockets)
    }

    /// Opens the door; `None` where it is off.
    ///
    /// # Errors
    /// When a socket has no address.
    pub(super) fn serve(
        self,
        config: &Config,
        trail: &Trail,
        records: &Records,
        shutdown: &CancellationToken,
    ) -> std::io::Result<Option<Serving>> {
        let mut settings = config.hl7();
        settings.trail = trail.clone();
        let limit = settings.message_timeout;
        let plain = self.plain.map(|socket| Listener { socket, secure: None });
        let tls = self.tls.map(|(socket, server)| Listener {
            socket,
            secure: Some(Arc::new(Tls { server, limit })),
        });
        let listeners: Vec<Listener> = plain.into_iter().chain(tls).collect();
        if listeners.is_empty() {
            return Ok(None);
        }
        filmroom_hl7::serve(listeners, settings, records.clone(), shutdown.clone()).map(Some)
    }
}
