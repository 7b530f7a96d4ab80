//! What a certificate says of its holder, and how a peer is bound to one.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// The names in a certificate whose chain has been verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of its DER encoding, hexadecimal, lower case.
    pub sha256: String,
    /// Common names of its subject.
    pub common_names: Vec<String>,
    /// DNS names among its subject alternative names.
    pub dns_names: Vec<String>,
    /// IP addresses among its subject alternative names.
    pub addresses: Vec<IpAddr>,
    /// URIs among its subject alternative names.
    pub uris: Vec<String>,
}

/// What a certificate has to say: `cn:CT1`, `dns:ct1.example`, `ip:10.0.0.7`, `uri:urn:…` or `sha256:…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CertificateName {
    /// A common name of the subject, letter by letter.
    CommonName(String),
    /// A DNS name among the subject alternative names, whatever the case. A wildcard in the certificate binds nobody.
    Dns(String),
    /// An IP address among the subject alternative names.
    Address(IpAddr),
    /// A URI among the subject alternative names, letter by letter.
    Uri(String),
    /// The certificate itself, by the SHA-256 of its DER encoding.
    Sha256(String),
}

impl CertificateName {
    /// True when the certificate says so.
    #[must_use]
    pub fn is_of(&self, certificate: &Certificate) -> bool {
        match self {
            Self::CommonName(name) => certificate.common_names.contains(name),
            Self::Dns(name) => certificate
                .dns_names
                .iter()
                .any(|dns| dns.eq_ignore_ascii_case(name) && !dns.contains('*')),
            Self::Address(address) => certificate.addresses.contains(address),
            Self::Uri(uri) => certificate.uris.contains(uri),
            Self::Sha256(sum) => certificate.sha256 == *sum,
        }
    }
}

impl FromStr for CertificateName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, value) = text
            .split_once(':')
            .ok_or("a certificate is named by cn:, dns:, ip:, uri: or sha256:")?;
        if value.is_empty() || value.len() > 256 {
            return Err(format!("{kind}: has a value of 1 to 256 bytes"));
        }
        match kind {
            "cn" => Ok(Self::CommonName(value.to_owned())),
            "dns" => Ok(Self::Dns(value.to_owned())),
            "uri" => Ok(Self::Uri(value.to_owned())),
            "ip" => value
                .parse()
                .map(Self::Address)
                .map_err(|_| format!("\"{value}\" is no IP address")),
            "sha256" => {
                // As OpenSSL prints it, and as everybody else does.
                let sum = value.replace(':', "").to_ascii_lowercase();
                if sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    Ok(Self::Sha256(sum))
                } else {
                    Err("sha256: has 64 hexadecimal digits".to_owned())
                }
            }
            _ => Err(format!(
                "a certificate is named by cn:, dns:, ip:, uri: or sha256:, not by {kind}:"
            )),
        }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommonName(name) => write!(f, "cn:{name}"),
            Self::Dns(name) => write!(f, "dns:{name}"),
            Self::Address(address) => write!(f, "ip:{address}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
            Self::Sha256(sum) => write!(f, "sha256:{sum}"),
        }
    }
}

impl TryFrom<String> for CertificateName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CertificateName> for String {
    fn from(name: CertificateName) -> Self {
        name.to_string()
    }
}
