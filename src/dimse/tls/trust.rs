//! Whose certificates are trusted: those that an authority of ours signed, and those that are in our list themselves.
//!
//! Devices often have a certificate that nobody signed but themselves, marked as an authority's: such a one is no end of a
//! chain for the usual verifier. When it stands in the list, letter by letter, somebody has decided to trust it.

use std::{path::Path, sync::Arc};

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate, WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};
use x509_parser::prelude::FromDer;

use super::{TlsError, files, names, provider};
use filmroom_peers::CertificateName;

/// The list of a file of authorities.
#[derive(Debug, Clone)]
pub(super) struct Trust {
    roots: Arc<RootCertStore>,
    listed: Vec<CertificateDer<'static>>,
}

impl Trust {
    pub(super) fn read(path: &Path) -> Result<Self, TlsError> {
        let listed = files::certificates(path)?;
        let mut roots = RootCertStore::empty();
        for certificate in &listed {
            roots.add(certificate.clone())?;
        }
        Ok(Self {
            roots: Arc::new(roots),
            listed,
        })
    }

    /// True for a certificate of the list itself, while it is valid.
    fn lists(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        let is_valid = || {
            let Ok((_, parsed)) = x509_parser::certificate::X509Certificate::from_der(certificate) else {
                return false;
            };
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            parsed.validity().not_before.timestamp() <= now && now <= parsed.validity().not_after.timestamp()
        };
        self.listed.iter().any(|listed| listed == certificate) && is_valid()
    }
}

/// Verifies those that call us.
#[derive(Debug)]
pub(super) struct CallerVerifier {
    usual: Arc<dyn ClientCertVerifier>,
    trust: Trust,
}

impl CallerVerifier {
    pub(super) fn new(trust: Trust, mandatory: bool) -> Result<Self, TlsError> {
        let builder = WebPkiClientVerifier::builder_with_provider(trust.roots.clone(), provider());
        let builder = if mandatory {
            builder
        } else {
            builder.allow_unauthenticated()
        };
        let usual = builder.build().map_err(|error| Error::General(error.to_string()))?;
        Ok(Self { usual, trust })
    }
}

impl ClientCertVerifier for CallerVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.usual.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.usual.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.trust.lists(end_entity, now) {
            return Ok(ClientCertVerified::assertion());
        }
        self.usual.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Verifies those that we call: the chain, then the name. A peer that is bound to a certificate has to show that one; any
/// other has to be named as it was called.
#[derive(Debug)]
pub(super) struct CalledVerifier {
    pub(super) trust: Trust,
    pub(super) bound: Option<CertificateName>,
    pub(super) provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for CalledVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.trust.lists(end_entity, now) {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            let algorithms = self.provider.signature_verification_algorithms.all;
            verify_server_cert_signed_by_trust_anchor(&parsed, &self.trust.roots, intermediates, now, algorithms)?;
        }
        match &self.bound {
            Some(name) if names::of(end_entity).is_some_and(|certificate| name.is_of(&certificate)) => {}
            Some(_) => return Err(CertificateError::ApplicationVerificationFailure.into()),
            None => verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
