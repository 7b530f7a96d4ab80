//! TLS for associations (PS3.15 §B.12, BCP 195 RFC 8996 and 9325): TLS 1.2 and 1.3, forward secrecy and authenticated
//! encryption only, nothing older to fall back to. That is also what the non-downgrading (§B.10) and the modified (§B.13)
//! profile ask for: every key exchange here has 256 bits or more.

mod client;
mod files;
mod names;
mod server;
#[cfg(test)]
mod tests;
mod trust;

use std::{path::PathBuf, sync::Arc};

use rustls::{SupportedProtocolVersion, crypto::CryptoProvider};

pub use client::TlsClient;
pub use server::{ClientCertificates, TlsServer};

/// Where certificate and key lie. They may be replaced while the process runs: the next handshake has the new ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM: our certificate, then those between it and the authority.
    pub certificate: PathBuf,
    /// PEM: its private key (PKCS #8, PKCS #1 or SEC 1).
    pub key: PathBuf,
}

/// Which versions are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersions {
    /// TLS 1.2 and 1.3 (RFC 9325 §3.1.1).
    From12,
    /// TLS 1.3 alone.
    Only13,
}

/// Why TLS cannot be had, or a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("{path}: {why}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// One phrase.
        why: String,
    },
    /// The parts do not fit together.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// The handshake broke off.
    #[error("the TLS handshake failed: {0}")]
    Handshake(std::io::Error),
    /// The handshake took too long.
    #[error("the TLS handshake was not finished in time")]
    Timeout,
    /// The host cannot be named in a handshake.
    #[error("\"{0}\" is no name of a TLS server")]
    Host(String),
    /// The peer has shown another certificate than the one it is bound to.
    #[error("the peer's certificate is not {0}")]
    NotBound(String),
}

impl TlsVersions {
    fn list(self) -> &'static [&'static SupportedProtocolVersion] {
        static FROM_12: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];
        static ONLY_13: [&SupportedProtocolVersion; 1] = [&rustls::version::TLS13];
        match self {
            Self::From12 => &FROM_12,
            Self::Only13 => &ONLY_13,
        }
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
