//! What a certificate says of its holder (RFC 5280 §4.1.2.6, §4.2.1.6).

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::{
    certificate::X509Certificate,
    extensions::GeneralName,
    prelude::{FromDer, ParsedExtension},
};

use filmroom_peers::Certificate;

/// Names beyond so many bind nobody.
const NAMES_MAX: usize = 256;

/// The names in a certificate; `None` when it cannot be read.
pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Certificate> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let sum = Sha256::digest(certificate);
    let mut names = Certificate {
        sha256: sum.iter().map(|byte| format!("{byte:02x}")).collect(),
        common_names: parsed
            .subject()
            .iter_common_name()
            .take(NAMES_MAX)
            .filter_map(|name| Some(name.as_str().ok()?.to_owned()))
            .collect(),
        ..Certificate::default()
    };
    for extension in parsed.extensions() {
        let ParsedExtension::SubjectAlternativeName(alternatives) = extension.parsed_extension() else {
            continue;
        };
        for name in alternatives.general_names.iter().take(NAMES_MAX) {
            match name {
                GeneralName::DNSName(name) => names.dns_names.push((*name).to_owned()),
                GeneralName::URI(uri) => names.uris.push((*uri).to_owned()),
                GeneralName::IPAddress(bytes) => names.addresses.extend(address(bytes)),
                _ => {}
            }
        }
    }
    Some(names)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(four.into());
    }
    <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from)
}
