//! Addresses, AE titles and whom the archive talks with.

use std::{
    net::{Ipv4Addr, SocketAddr},
    str::FromStr,
};

use filmroom_storage::model::SopClassUid;

use super::{Given, Value, quoted, words};
use filmroom_access::Demand;
use filmroom_dimse::{AeTitle, Peer, tls::TlsVersions};
use filmroom_forwarding::Rule;
use filmroom_records::View;

impl Value for SocketAddr {
    const ALLOWED: &'static str =
        "an address and a port such as 127.0.0.1:11112, [::1]:104 or localhost:0 (port 0: any free port)";
    fn from_text(text: &str) -> Result<Self, String> {
        if let Ok(address) = Self::from_str(text) {
            return Ok(address);
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| "the port is missing".to_owned())?;
        let port: u16 = port
            .parse()
            .map_err(|_| format!("\"{port}\" is no port from 0 to 65535"))?;
        match host {
            "localhost" => Ok(Self::new(Ipv4Addr::LOCALHOST.into(), port)),
            "" | "*" => Err("say which address to listen on; every one is 0.0.0.0 or [::]".to_owned()),
            _ => Err(format!("\"{host}\" is no IP address")),
        }
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl Value for AeTitle {
    const ALLOWED: &'static str = "an AE title of 1 to 16 ASCII characters";
    fn from_text(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| format!("\"{text}\" is no AE title: {error}"))
    }
    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

impl Value for Peer {
    const ALLOWED: &'static str = "AET=HOST:PORT, or in a file { ae_title = \"AET\", address = \"HOST:PORT\" } and what else is \
         known: tls, certificate, may, transfer_syntaxes, character_set, quirks";
    fn from_text(text: &str) -> Result<Self, String> {
        Self::parse(text).map_err(|error| error.to_string())
    }
    fn from_given(given: &Given) -> Result<Self, String> {
        match given {
            Given::Text(text) => Self::from_text(text),
            Given::Table(_) => serde_json::from_value(given.as_json()).map_err(|error| error.to_string()),
            _ => Err("neither a text nor a table".to_owned()),
        }
    }
    fn show(&self) -> String {
        if self.is_plain() {
            return quoted(&format!("{}={}", self.ae_title, self.address()));
        }
        toml::Value::try_from(self).map_or_else(|error| quoted(&error.to_string()), |table| table.to_string())
    }
}

/// A further AE title of this archive, by which it is seen in another way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewTitle {
    /// The title.
    pub ae_title: AeTitle,
    /// How the archive is seen by who calls it.
    pub view: View,
}

impl Value for ViewTitle {
    const ALLOWED: &'static str = "AET=regular, AET=manager or AET=default";
    fn from_text(text: &str) -> Result<Self, String> {
        let (title, word) = text
            .split_once('=')
            .ok_or_else(|| format!("\"{text}\" is not of the form AET=VIEW"))?;
        let view = View::ALL.into_iter().find(|view| view.word() == word);
        Ok(Self {
            ae_title: AeTitle::from_text(title)?,
            view: view.ok_or_else(|| format!("\"{word}\" is no view"))?,
        })
    }
    fn show(&self) -> String {
        quoted(&format!("{}={}", self.ae_title, self.view.word()))
    }
}

impl Value for Rule {
    const ALLOWED: &'static str = "the AE title of a peer, or in a file { to = \"AET\" } and what else is meant: task (send or \
         notify), calling, modality, sop_class";
    fn from_text(text: &str) -> Result<Self, String> {
        AeTitle::from_text(text).map(Self::to)
    }
    fn from_given(given: &Given) -> Result<Self, String> {
        match given {
            Given::Text(text) => Self::from_text(text),
            Given::Table(_) => serde_json::from_value(given.as_json()).map_err(|error| error.to_string()),
            _ => Err("neither a text nor a table".to_owned()),
        }
    }
    fn show(&self) -> String {
        toml::Value::try_from(self).map_or_else(|error| quoted(&error.to_string()), |table| table.to_string())
    }
}

impl Value for SopClassUid {
    const ALLOWED: &'static str = "a UID";
    fn from_text(text: &str) -> Result<Self, String> {
        Self::new(text).map_err(|error| format!("\"{text}\": {error}"))
    }
    fn show(&self) -> String {
        quoted(self.as_str())
    }
}

/// Who may read over HTTP from pages of other origins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrigin(String);

impl WebOrigin {
    /// `*`, or scheme, host and port as a browser sends them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Every origin.
    #[must_use]
    pub fn any() -> Self {
        Self("*".to_owned())
    }
}

impl Value for WebOrigin {
    const ALLOWED: &'static str = "an origin such as https://viewer.example:8443, or *";
    fn from_text(text: &str) -> Result<Self, String> {
        let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let is_origin = host.is_some_and(|host| {
            !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:[]".contains(c))
        });
        if text == "*" || is_origin {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("\"{text}\" is no origin (scheme, host and port, no path)"))
        }
    }
    fn show(&self) -> String {
        quoted(&self.0)
    }
}

words! {
    /// Whether TLS callers have to show a certificate.
    TlsCallers "required, optional or not-asked" {
        /// They must.
        Required "required",
        /// They may.
        Optional "optional",
        /// They are not asked.
        NotAsked "not-asked",
    }
}

words!(impl TlsVersions "1.2 or 1.3" {
    From12 "1.2",
    Only13 "1.3",
});

words! {
    /// Whether HTTP callers have to be known.
    Authentication "auto, required or off" {
        /// Unless only this machine reaches the door.
        Auto "auto",
        /// Always.
        Required "required",
        /// Never.
        Off "off",
    }
}

words! {
    /// What may be reached by other machines without what protects it.
    Insecure "no, dicom, http or both" {
        /// Nothing.
        Nothing "no" | "false",
        /// The DICOM node.
        Dicom "dicom",
        /// The web door.
        Http "http",
        /// Everything.
        Both "both" | "true",
    }
}

impl Insecure {
    /// True when it covers the DICOM node.
    #[must_use]
    pub fn covers_dicom(self) -> bool {
        matches!(self, Self::Dicom | Self::Both)
    }

    /// True when it covers the web door.
    #[must_use]
    pub fn covers_http(self) -> bool {
        matches!(self, Self::Http | Self::Both)
    }
}

words!(impl Demand "ignored, optional or required" {
    Ignored "ignored",
    Optional "optional",
    Required "required",
});
