//! Audit messages over syslog: RFC 5424 by UDP (RFC 5426), by TCP with octet counting (RFC 6587), by TLS (RFC 5425).

use std::{fs, io, path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    checkpoint::Checkpoint,
    codes::Outcome,
    entry::Entry,
    xml::{self, Instances, Source},
};

/// Security and authorisation messages (RFC 5424 §6.2.1), as PS3.15 A.6 recommends.
const FACILITY: u8 = 10;
const WARNING: u8 = 4;
const NOTICE: u8 = 5;
/// Most bytes of one datagram over IPv4.
const DATAGRAM_BYTES_MAX: usize = 65_507;
/// Longest wait to connect, and for a receiver to take what is sent.
const PATIENCE: Duration = Duration::from_secs(20);

/// How messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// One datagram each; nobody says whether it arrived.
    Udp,
    /// Octet counting over TCP.
    Tcp,
    /// As TCP, over TLS.
    Tls(TlsFiles),
}

/// Files for TLS, in PEM; read with every connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Authorities that the receiver has to be vouched for by, or its own certificate.
    pub authorities: PathBuf,
    /// Our certificate and its key, for receivers that ask (RFC 5425 §4.2.1).
    pub own: Option<(PathBuf, PathBuf)>,
}

/// Where messages go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Host and port.
    pub host: String,
    /// 514 by UDP, 601 by TCP, 6514 by TLS, unless said otherwise.
    pub port: u16,
    /// How.
    pub transport: Transport,
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// HOSTNAME.
    pub host: String,
    /// APP-NAME.
    pub application: String,
    /// PROCID.
    pub process: u32,
    /// Of the messages.
    pub source: Source,
}

impl Sender {
    /// An entry as a syslog message, with MSGID `DICOM+RFC3881` as PS3.15 A.6 has it.
    #[must_use]
    pub fn message(&self, entry: &Entry, instances: Instances) -> Vec<u8> {
        let severity = if entry.event.outcome == Outcome::Success {
            NOTICE
        } else {
            WARNING
        };
        let text = xml::message(&entry.event, &self.source, instances);
        self.frame(severity, &xml::time(entry.event.at), "DICOM+RFC3881", &text)
    }

    /// A checkpoint as a syslog message, so that the receiver can bear witness to it.
    #[must_use]
    pub fn checkpoint(&self, checkpoint: &Checkpoint) -> Vec<u8> {
        let at = checkpoint.at.unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        self.frame(NOTICE, &xml::time(at), "CHECKPOINT", &checkpoint.to_text())
    }

    fn frame(&self, severity: u8, at: &str, kind: &str, text: &str) -> Vec<u8> {
        let priority = FACILITY * 8 + severity;
        let (host, application) = (word(&self.host, 255), word(&self.application, 48));
        // UTF-8 begins with the byte order mark (RFC 5424 §6.4).
        format!(
            "<{priority}>1 {at} {host} {application} {} {kind} - \u{FEFF}{text}",
            self.process
        )
        .into_bytes()
    }
}

/// Printable ASCII without spaces, as header fields have to be.
fn word(text: &str, bytes_max: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(bytes_max).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

/// A line to a receiver.
pub(crate) enum Line {
    Udp(UdpSocket),
    Stream(Box<Stream>),
}

pub(crate) struct Stream {
    write: Box<dyn AsyncWrite + Send + Unpin>,
    read: Box<dyn AsyncRead + Send + Unpin>,
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the syslog receiver does not answer in time")
}

impl Line {
    pub(crate) async fn connect(destination: &Destination) -> io::Result<Self> {
        timeout(PATIENCE, Self::connect_at_leisure(destination))
            .await
            .map_err(|_| late())?
    }

    async fn connect_at_leisure(destination: &Destination) -> io::Result<Self> {
        let place = (destination.host.as_str(), destination.port);
        match &destination.transport {
            Transport::Udp => {
                let mut problem = late();
                for address in tokio::net::lookup_host(place).await? {
                    let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                    let socket = UdpSocket::bind(own).await?;
                    match socket.connect(address).await {
                        Ok(()) => return Ok(Self::Udp(socket)),
                        Err(error) => problem = error,
                    }
                }
                Err(problem)
            }
            Transport::Tcp => {
                let (read, write) = TcpStream::connect(place).await?.into_split();
                Ok(Self::stream(Box::new(read), Box::new(write)))
            }
            Transport::Tls(files) => {
                let config = Arc::new(tls_config(files)?);
                let name = ServerName::try_from(destination.host.clone()).map_err(io::Error::other)?;
                let stream = TcpStream::connect(place).await?;
                let stream = TlsConnector::from(config).connect(name, stream).await?;
                let (read, write) = tokio::io::split(stream);
                Ok(Self::stream(Box::new(read), Box::new(write)))
            }
        }
    }

    fn stream(read: Box<dyn AsyncRead + Send + Unpin>, write: Box<dyn AsyncWrite + Send + Unpin>) -> Self {
        Self::Stream(Box::new(Stream { write, read }))
    }

    /// Most bytes of a message.
    pub(crate) fn bytes_max(&self) -> usize {
        match self {
            Self::Udp(_) => DATAGRAM_BYTES_MAX,
            Self::Stream(_) => usize::MAX,
        }
    }

    /// True when the receiver says whether it still is there.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self, Self::Stream(_))
    }

    pub(crate) async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(message).await.map(drop),
            Self::Stream(stream) => {
                let mut framed = format!("{} ", message.len()).into_bytes();
                framed.extend_from_slice(message);
                let sent = async {
                    stream.write.write_all(&framed).await?;
                    stream.write.flush().await
                };
                timeout(PATIENCE, sent).await.map_err(|_| late())?
            }
        }
    }

    /// Returns when the receiver closed the line. It says nothing else: what it sends is thrown away. Cancel-safe.
    pub(crate) async fn closed(&mut self) -> io::Error {
        let Self::Stream(stream) = self else {
            return std::future::pending().await;
        };
        let mut thrown_away = [0; 512];
        loop {
            match stream.read.read(&mut thrown_away).await {
                Ok(0) => return io::Error::new(io::ErrorKind::ConnectionReset, "the syslog receiver closed the line"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
    }
}

fn tls_config(files: &TlsFiles) -> io::Result<ClientConfig> {
    let wrong = |path: &std::path::Path, why: String| io::Error::other(format!("{}: {why}", path.display()));
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.authorities)? {
        roots
            .add(certificate)
            .map_err(|error| wrong(&files.authorities, error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(io::Error::other)?
        .with_root_certificates(roots);
    let Some((certificate, key)) = &files.own else {
        return Ok(builder.with_no_client_auth());
    };
    let own = PrivateKeyDer::from_pem_slice(&fs::read(key)?).map_err(|error| wrong(key, error.to_string()))?;
    builder
        .with_client_auth_cert(certificates(certificate)?, own)
        .map_err(|error| wrong(certificate, error.to_string()))
}

fn certificates(path: &std::path::Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&fs::read(path)?).collect();
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(|| io::Error::other(format!("{}: there is no certificate in it (PEM)", path.display())))
}
