//! Settings of the door.

use std::{net::IpAddr, time::Duration};

use filmroom_audit::Trail;

/// A system that may send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Sending Application (MSH-3), its first component.
    pub application: String,
    /// Sending Facility (MSH-4), its first component; any where it is `None`.
    pub facility: Option<String>,
    /// The address that it sends from; any where it is `None`.
    pub address: Option<IpAddr>,
}

impl Sender {
    /// Reads `APPLICATION`, `APPLICATION|FACILITY`, each with `@ADDRESS` where it sends from one alone.
    ///
    /// # Errors
    /// What is wrong, as a short phrase.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, address) = match text.rsplit_once('@') {
            None => (text, None),
            Some((name, address)) => {
                let address = address.parse().map_err(|_| format!("\"{address}\" is no IP address"))?;
                (name, Some(address))
            }
        };
        let (application, facility) = match name.split_once('|') {
            None => (name, None),
            Some((application, facility)) => (application, Some(facility.to_owned())),
        };
        if application.is_empty() || name.chars().any(char::is_control) || name.len() > 200 {
            return Err("the name of the application is missing, or too long".to_owned());
        }
        Ok(Self {
            application: application.to_owned(),
            facility,
            address,
        })
    }

    pub(crate) fn is(&self, application: &str, facility: &str, address: IpAddr) -> bool {
        self.application == application
            && self.facility.as_deref().is_none_or(|wanted| wanted == facility)
            && self
                .address
                .is_none_or(|wanted| wanted.to_canonical() == address.to_canonical())
    }
}

impl std::fmt::Display for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.application)?;
        if let Some(facility) = &self.facility {
            write!(f, "|{facility}")?;
        }
        match self.address {
            Some(address) => write!(f, "@{address}"),
            None => Ok(()),
        }
    }
}

/// An assigning authority of patients' identifiers, and what stands for it in DICOM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its namespace or universal ID (CX.4.1, CX.4.2).
    pub authority: String,
    /// Issuer of Patient ID (0010,0021); empty where studies have none.
    pub issuer: String,
}

impl Authority {
    /// Reads `AUTHORITY` and `AUTHORITY=ISSUER`.
    ///
    /// # Errors
    /// What is wrong, as a short phrase.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (authority, issuer) = text.split_once('=').unwrap_or((text, text));
        if authority.is_empty() {
            return Err("the authority has no name".to_owned());
        }
        Ok(Self {
            authority: authority.to_owned(),
            issuer: issuer.to_owned(),
        })
    }
}

impl std::fmt::Display for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.authority == self.issuer {
            true => f.write_str(&self.authority),
            false => write!(f, "{}={}", self.authority, self.issuer),
        }
    }
}

/// Settings of the door. `Default` is what `filmroom serve` runs with.
#[derive(Debug, Clone)]
pub struct Hl7Config {
    /// Who may send. Nobody named: nobody, from this machine neither.
    pub senders: Vec<Sender>,
    /// Whose identifiers count, and what stands for them in DICOM. Nobody named: everybody's, under the name of the authority.
    pub authorities: Vec<Authority>,
    /// Processing ID (MSH-11) of messages that count: `P`, production.
    pub processing_id: String,
    /// Longest message, in bytes. One of patient administration has a few thousand.
    pub message_max_bytes: usize,
    /// Most segments of a message.
    pub segments_max: usize,
    /// Connections at one time; the next is closed at once.
    pub connections_max: usize,
    /// Time for a message to arrive whole once it began, and for a sender to take an answer.
    pub message_timeout: Duration,
    /// Time between two messages of a connection. Interface engines keep connections open for days.
    pub idle_timeout: Duration,
    /// Where it is recorded who says what.
    pub trail: Trail,
}

impl Default for Hl7Config {
    fn default() -> Self {
        Self {
            senders: Vec::new(),
            authorities: Vec::new(),
            processing_id: "P".to_owned(),
            message_max_bytes: 256 << 10,
            segments_max: 1000,
            connections_max: 64,
            message_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(86_400),
            trail: Trail::off(),
        }
    }
}
