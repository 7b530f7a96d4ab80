//! What settings mean to the store and to the doors.

use std::sync::Arc;

use filmroom_storage::store::StoreOptions;

use super::{
    Config,
    exposure::is_loopback,
    value::{Authentication, TlsCallers},
};
use filmroom_admission::Demand;
use filmroom_commitment::Limits;
use filmroom_dicomweb::{DicomwebConfig, EmptyAnswer, cors::Origins};
use filmroom_dimse::{
    CalledAeTitle, DimseConfig, OtherSopClasses, UnknownCallers,
    tls::{ClientCertificates, TlsClient, TlsError, TlsFiles, TlsServer},
};
use filmroom_peers::Peers;

/// HTTP/2, then HTTP/1.1 (RFC 7301, RFC 9113 §3.3).
const HTTP_PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];

impl Config {
    /// What the store is opened with.
    #[must_use]
    pub fn store_options(&self) -> StoreOptions {
        let storage = &self.storage;
        let mut options = StoreOptions::new(&self.data.folder);
        options.intake_memory_max_bytes = storage.intake_memory_max.0;
        options.staged_from_bytes = storage.staged_from.0;
        options.segment_max_bytes = storage.segment_max.0;
        options.free_space_min_bytes = storage.free_space_min.0;
        options.settle_after = storage.settle_after;
        options.settle_from_bytes = storage.settle_from.0;
        options.index_cache_bytes = storage.index_cache.0;
        options.replica.clone_from(&self.replica.folder);
        options.replica_s3 = self.replica_s3();
        options.objects = self.objects_engine();
        options.cache_bytes = self.objects.cache_max.0;
        options.acknowledge = self.acknowledge();
        options.index_engine = self.index.engine;
        options
    }

    /// What the DIMSE door is told.
    #[must_use]
    #[allow(
        clippy::needless_update,
        reason = "a setting that is new in the door has its default until it is declared"
    )]
    pub fn dimse(&self) -> DimseConfig {
        let dicom = &self.dicom;
        DimseConfig {
            ae_title: dicom.ae_title.clone(),
            called_ae_title: match dicom.check_called_ae_title {
                true => CalledAeTitle::Own,
                false => CalledAeTitle::Any,
            },
            unknown_callers: match (dicom.check_calling_ae_title, dicom.answer_unknown_callers) {
                (true, _) => UnknownCallers::Rejected,
                (false, true) => UnknownCallers::Answered,
                (false, false) => UnknownCallers::Local,
            },
            peers: Arc::new(Peers::of_settings(dicom.peers.clone())),
            other_sop_classes: match dicom.accept_private_sop_classes {
                true => OtherSopClasses::AllPrivate,
                false => OtherSopClasses::Listed(
                    dicom
                        .extra_sop_classes
                        .iter()
                        .map(|uid| uid.as_str().to_owned())
                        .collect(),
                ),
            },
            max_pdu_length_bytes: narrow(dicom.pdu_length_max.0),
            max_sent_pdu_length_bytes: narrow(dicom.sent_pdu_length_max.0),
            associations_max: dicom.associations_max as usize,
            associations_per_peer_max: dicom.associations_per_host_max as usize,
            pending_connections_max: dicom.pending_connections_max as usize,
            operations_max: u16::try_from(dicom.operations_max).unwrap_or(u16::MAX),
            move_associations: dicom.move_associations as usize,
            artim_timeout: dicom.association_timeout,
            network_timeout: dicom.network_timeout,
            idle_timeout: dicom.idle_timeout,
            response_timeout: dicom.response_timeout,
            commitment_wait: dicom.commitment_wait,
            connect_timeout: dicom.connect_timeout,
            drain_timeout: self.run.drain_timeout,
            identifier_max_bytes: dicom.identifier_max.as_usize(),
            find_answers_max: u64::from(dicom.find_answers_max),
            ..DimseConfig::default()
        }
    }

    /// Whether HTTP callers have to be known.
    #[must_use]
    pub fn demand(&self) -> Demand {
        let access = &self.access;
        let is_demanded = match access.authentication {
            Authentication::Required => true,
            Authentication::Off => false,
            Authentication::Auto => !is_loopback(self.http.listen) && !access.insecure.covers_http(),
        };
        match is_demanded {
            true => Demand::Credentials,
            false => Demand::Nothing,
        }
    }

    /// How HTTP callers are answered by TLS, where certificate and key are named.
    ///
    /// # Errors
    /// [`TlsError`] when the files do not do.
    pub fn http_tls(&self) -> Result<Option<TlsServer>, TlsError> {
        let (Some(certificate), Some(key)) = (self.http.tls_certificate.clone(), self.http.tls_key.clone()) else {
            return Ok(None);
        };
        let files = TlsFiles { certificate, key };
        let clients = ClientCertificates::NotAsked;
        TlsServer::of_protocols(files, clients, self.dicom.tls_version_min, HTTP_PROTOCOLS).map(Some)
    }

    /// How long, and how many at a time, the forwarding room tries.
    #[must_use]
    pub fn forwarding(&self) -> filmroom_forwarding::Limits {
        let dicom = &self.dicom;
        filmroom_forwarding::Limits {
            quiet: dicom.forward_after,
            try_for: dicom.forward_for,
            at_once: dicom.forwards_max as usize,
            at_once_each: dicom.forwards_per_peer_max as usize,
            ..filmroom_forwarding::Limits::default()
        }
    }

    /// How long the commitment room tries to report.
    #[must_use]
    pub fn commitment(&self) -> Limits {
        Limits {
            report_for: self.dicom.commitment_report_for,
            ..Limits::default()
        }
    }

    /// Where worklist files are, and how long things are kept.
    #[must_use]
    pub fn worklist(&self) -> filmroom_worklist::Options {
        filmroom_worklist::Options {
            folder: self.worklist.folder.clone(),
            keep: self.worklist.keep,
        }
    }

    /// Our certificate and its key, where both are named.
    #[must_use]
    pub fn tls_files(&self) -> Option<TlsFiles> {
        let dicom = &self.dicom;
        Some(TlsFiles {
            certificate: dicom.tls_certificate.clone()?,
            key: dicom.tls_key.clone()?,
        })
    }

    /// How TLS callers are answered, where certificate and key are named.
    ///
    /// # Errors
    /// [`TlsError`] when the files do not do.
    pub fn tls_server(&self) -> Result<Option<TlsServer>, TlsError> {
        let dicom = &self.dicom;
        let Some(files) = self.tls_files() else { return Ok(None) };
        let clients = match (dicom.tls_callers, dicom.tls_authorities.clone()) {
            (TlsCallers::Required, Some(authorities)) => ClientCertificates::Required(authorities),
            (TlsCallers::Optional, Some(authorities)) => ClientCertificates::Optional(authorities),
            (TlsCallers::NotAsked, _) | (_, None) => ClientCertificates::NotAsked,
        };
        TlsServer::new(files, clients, dicom.tls_version_min).map(Some)
    }

    /// How those that send HL7 messages by TLS are answered: they show a certificate.
    ///
    /// # Errors
    /// [`TlsError`] when the files do not do.
    pub fn hl7_tls(&self) -> Result<Option<TlsServer>, TlsError> {
        let (Some(files), Some(authorities)) = (self.tls_files(), self.dicom.tls_authorities.clone()) else {
            return Ok(None);
        };
        let clients = ClientCertificates::Required(authorities);
        TlsServer::new(files, clients, self.dicom.tls_version_min).map(Some)
    }

    /// How TLS peers are called, where authorities are named.
    ///
    /// # Errors
    /// [`TlsError`] when the files do not do.
    pub fn tls_client(&self) -> Result<Option<TlsClient>, TlsError> {
        let dicom = &self.dicom;
        let authorities = dicom.tls_authorities.clone();
        authorities
            .map(|authorities| TlsClient::new(self.tls_files(), authorities, dicom.tls_version_min))
            .transpose()
    }

    /// What the DICOMweb door is told.
    #[must_use]
    pub fn dicomweb(&self) -> DicomwebConfig {
        let http = &self.http;
        let any = http.cors_origins.iter().any(|origin| origin.as_str() == "*");
        DicomwebConfig {
            scheme: match http.tls_certificate {
                Some(_) => "https",
                None => "http",
            },
            public_url: Some(http.public_url.clone()).filter(|url| !url.is_empty()),
            origins: match any {
                true => Origins::Any,
                false => Origins::Listed(
                    http.cors_origins
                        .iter()
                        .map(|origin| origin.as_str().to_owned())
                        .collect(),
                ),
            },
            empty_answer: match http.qido_empty_no_content {
                true => EmptyAnswer::NoContent,
                false => EmptyAnswer::Ok,
            },
            qido_limit_default: u64::from(http.qido_limit_default),
            qido_limit_max: u64::from(http.qido_limit_max),
            query_wait_max: http.query_wait_max,
            queries_max: http.queries_max as usize,
            stow_body_max_bytes: http.stow_body_max.0,
            stow_metadata_max_bytes: http.stow_metadata_max.0,
            body_idle_max: http.body_timeout,
            frame_list_max: http.frame_list_max as usize,
            ..DicomwebConfig::default()
        }
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
