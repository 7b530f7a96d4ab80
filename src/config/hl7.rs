//! Messages of other systems: settings of the HL7 door.

use std::{net::SocketAddr, time::Duration};

use filmroom_hl7::{Authority, Hl7Config, Sender};

use super::{
    Config,
    section::section,
    value::{Size, Value, quoted},
};

impl Value for Sender {
    const ALLOWED: &'static str = "APPLICATION or APPLICATION|FACILITY as in MSH-3 and MSH-4, with @ADDRESS where it sends from one address alone";
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for Authority {
    const ALLOWED: &'static str = "AUTHORITY as in PID-3.4, AUTHORITY=ISSUER where Issuer of Patient ID is another, AUTHORITY= where there is none";
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

fn hl7() -> Hl7Config {
    Hl7Config::default()
}

section! {
    /// HL7 version 2 messages.
    Hl7 "hl7" {
        listen: Option<SocketAddr> = None,
            unit "",
            about "Address and port for HL7 version 2 messages of patient administration (ADT) over MLLP.",
            why "Off: what comes in decides how long studies are kept. 2575 is the port registered for it.";
        tls_listen: Option<SocketAddr> = None,
            unit "",
            about "Address and port for the same by TLS, with the certificate, key and authorities of DICOM.",
            why "Off, as above. Those that call have to show a certificate.";
        senders: Vec<Sender> = Vec::new(),
            unit "",
            about "Systems that may send; others are answered AR.",
            why "Nobody named: nobody. What is told decides how long studies are kept, so that a system has to be known, from this machine too.";
        authorities: Vec<Authority> = Vec::new(),
            unit "",
            about "Assigning authorities whose patient identifiers count, and the Issuer of Patient ID that stands for them in DICOM.",
            why "Nobody named: all, under their own names. Where images name no issuer, say AUTHORITY= or nothing is known of their patients.";
        processing_id: String = hl7().processing_id,
            unit "",
            about "Processing ID (MSH-11) of messages that count; others are answered AR.",
            why "Production: what a test system tells must not decide on real studies.";
        message_max: Size = Size(hl7().message_max_bytes as u64), range Size::kib(4) => Size::mib(16),
            unit "bytes",
            about "Longest message.",
            why "Messages of patient administration have a few thousand bytes.";
        connections_max: u32 = hl7().connections_max as u32, range 1 => 4096,
            unit "connections",
            about "Connections open at one time; the next is closed at once.",
            why "An interface engine needs one.";
        message_timeout: Duration = hl7().message_timeout, range Duration::from_millis(100) => Duration::from_secs(3600),
            unit "",
            about "Longest time for a message to arrive whole once it began, and for a sender to take an answer.",
            why "A slow link needs a second.";
        idle_timeout: Duration = hl7().idle_timeout, range Duration::from_millis(100) => Duration::from_secs(30 * 86_400),
            unit "",
            about "Longest silence between two messages before the connection is closed.",
            why "Interface engines keep one connection open, and raise an alarm when it goes.";
    }
}

impl Config {
    /// What the HL7 door is told; who records is for the caller to say.
    #[must_use]
    pub fn hl7(&self) -> Hl7Config {
        let hl7 = &self.hl7;
        Hl7Config {
            senders: hl7.senders.clone(),
            authorities: hl7.authorities.clone(),
            processing_id: hl7.processing_id.clone(),
            message_max_bytes: usize::try_from(hl7.message_max.0).unwrap_or(usize::MAX),
            connections_max: hl7.connections_max as usize,
            message_timeout: hl7.message_timeout,
            idle_timeout: hl7.idle_timeout,
            ..Hl7Config::default()
        }
    }
}
