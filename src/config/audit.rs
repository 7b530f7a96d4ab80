//! Who did what: settings of the audit trail.

use std::{path::PathBuf, time::Duration};

use filmroom_audit::{
    Wait,
    syslog::{Destination, TlsFiles, Transport},
};

use super::{
    Config,
    section::section,
    value::{Value, quoted, words},
};

words! {
    impl Wait "written or synced" {
        Written "written",
        Synced "synced",
    }
}

/// A syslog receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    scheme: Scheme,
    host: String,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Udp,
    Tcp,
    Tls,
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

impl Value for Receiver {
    const ALLOWED: &'static str = "udp://HOST[:514], tcp://HOST[:601] or tls://HOST[:6514]";
    fn from_text(text: &str) -> Result<Self, String> {
        let (scheme, place) = text.split_once("://").ok_or("udp://, tcp:// or tls:// is missing")?;
        let (scheme, usual) = match scheme {
            "udp" => (Scheme::Udp, 514),
            "tcp" => (Scheme::Tcp, 601),
            "tls" => (Scheme::Tls, 6514),
            _ => return Err(format!("\"{scheme}\" is none of udp, tcp and tls")),
        };
        let place = place.trim_end_matches('/');
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                let port = port.parse().map_err(|_| format!("\"{port}\" is no port"))?;
                (host, port)
            }
            _ => (place, usual),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("the host is missing".to_owned());
        }
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
        })
    }
    fn show(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        quoted(&format!("{}://{host}:{}", self.scheme.name(), self.port))
    }
}

section! {
    /// The audit trail.
    Audit "audit" {
        enabled: bool = true,
            unit "",
            about "Record who asked for, saw, sent and changed what, in the data folder under audit/.",
            why "The law wants it nearly everywhere, and nobody can make it up afterwards.";
        wait: Wait = Wait::Written,
            unit "",
            about "What is waited for before anything is answered: that its event is written, or also that the disk has synced it.",
            why "Written outlives the process, and is synced within a second. What destroys always waits for the disk.";
        gather_for: Duration = Duration::from_secs(10), range Duration::from_millis(100) => Duration::from_secs(3600),
            unit "",
            about "Instances of one study that go from one to another are one event when they begin and one when nothing came for so long.",
            why "Whoever scrolls through a thousand frames leaves two events, and the first is there before the first frame.";
        checkpoint_every: Duration = Duration::from_secs(600), range Duration::from_secs(1) => Duration::from_secs(86_400),
            unit "",
            about "Size and root of the log are signed this often, when there is something new.",
            why "Whoever keeps such a checkpoint elsewhere can prove that nothing before it was changed.";
        syslog: Vec<Receiver> = Vec::new(),
            unit "",
            about "Audit repositories that get every event, as DICOM audit messages (PS3.15 A.5) over syslog.",
            why "Only the house knows its own. What cannot be sent waits in the log, over restarts.";
        syslog_authorities: Option<PathBuf> = None,
            unit "",
            about "PEM file with the authorities that tls:// receivers have to be vouched for by, or with their own certificates.",
            why "Nobody is trusted by default, public authorities included.";
        syslog_certificate: Option<PathBuf> = None,
            unit "",
            about "PEM file with our certificate, for tls:// receivers that ask for one.",
            why "Nobody can make one but you.";
        syslog_key: Option<PathBuf> = None,
            unit "",
            about "PEM file with the private key of that certificate.",
            why "As for the certificate.";
        site: Option<String> = None,
            unit "",
            about "Which site of the enterprise this archive is at (AuditEnterpriseSiteID).",
            why "An archive with one site needs no name for it.";
    }
}

impl Config {
    /// Where audit events are sent on.
    #[must_use]
    pub fn audit_destinations(&self) -> Vec<Destination> {
        let audit = &self.audit;
        let destination = |receiver: &Receiver| {
            let transport = match receiver.scheme {
                Scheme::Udp => Transport::Udp,
                Scheme::Tcp => Transport::Tcp,
                Scheme::Tls => Transport::Tls(TlsFiles {
                    authorities: audit.syslog_authorities.clone().unwrap_or_default(),
                    own: audit.syslog_certificate.clone().zip(audit.syslog_key.clone()),
                }),
            };
            Destination {
                host: receiver.host.clone(),
                port: receiver.port,
                transport,
            }
        };
        audit.syslog.iter().map(destination).collect()
    }

    /// What is wrong with the settings of the audit trail.
    pub(super) fn audit_problems(&self) -> Vec<String> {
        let audit = &self.audit;
        let mut problems = Vec::new();
        let has_tls = audit.syslog.iter().any(|receiver| receiver.scheme == Scheme::Tls);
        if has_tls && audit.syslog_authorities.is_none() {
            problems.push(
                "audit.syslog names a tls:// receiver, and audit.syslog_authorities nobody who vouches for it".into(),
            );
        }
        if audit.syslog_certificate.is_some() != audit.syslog_key.is_some() {
            problems.push("audit.syslog_certificate and audit.syslog_key go together".into());
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: Option<&str>) {
        assert_eq!(
            Receiver::from_text(text)
                .ok()
                .map(|receiver| receiver.show())
                .as_deref(),
            shown
        );
    }

    #[test]
    fn receivers_are_read_with_their_usual_ports() {
        check("udp://logs", Some("\"udp://logs:514\""));
        check("tcp://10.0.0.1:1514", Some("\"tcp://10.0.0.1:1514\""));
        check("tls://logs.example.org/", Some("\"tls://logs.example.org:6514\""));
        check("tls://[::1]:6000", Some("\"tls://[::1]:6000\""));
        check("tls://[::1]", Some("\"tls://[::1]:6514\""));
        for wrong in ["logs:514", "http://logs", "udp://", "tcp://logs:x", "tcp://logs:70000"] {
            check(wrong, None);
        }
    }
}
