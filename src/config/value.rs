//! Kinds of values that settings have: how they are read, what is allowed, how they are shown.

use std::{
    collections::BTreeMap,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    str::FromStr,
    time::Duration,
};

use filmroom_storage::{
    encryption::{MasterKeyError, MasterKeySource, PlainObjects},
    index::engine::EngineKind,
    model::SopClassUid,
};

use crate::{
    access::Demand,
    dimse::{AeTitle, Peer, tls::TlsVersions},
    forwarding::Rule,
};

/// A value as a file, a flag or a variable of the environment gives it, before it is understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Given {
    /// A text, from anywhere. Flags and the environment only give texts.
    Text(String),
    /// A TOML integer.
    Integer(i64),
    /// A TOML boolean.
    Boolean(bool),
    /// A TOML array.
    List(Vec<Given>),
    /// A TOML table.
    Table(Vec<(String, Given)>),
    /// Any other TOML value, by the name of its type.
    Other(&'static str),
}

impl Given {
    /// The value as the text that a flag would have given; `None` for lists and tables.
    fn as_text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Integer(number) => Some(number.to_string()),
            Self::Boolean(boolean) => Some(boolean.to_string()),
            Self::List(_) | Self::Table(_) | Self::Other(_) => None,
        }
    }

    /// The value as JSON, for kinds that are read so. As deep as TOML lets it be.
    fn as_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Text(text) => Json::from(text.as_str()),
            Self::Integer(number) => Json::from(*number),
            Self::Boolean(boolean) => Json::from(*boolean),
            Self::List(items) => items.iter().map(Self::as_json).collect(),
            Self::Table(entries) => entries
                .iter()
                .map(|(key, value)| (key.clone(), value.as_json()))
                .collect(),
            Self::Other(kind) => Json::from(*kind),
        }
    }
}

/// A kind of value.
pub trait Value: Sized {
    /// What may stand here, to end the sentence "allowed is …".
    const ALLOWED: &'static str;
    /// True for values that are never shown.
    const SECRET: bool = false;

    /// Understands a text.
    ///
    /// # Errors
    /// Why the text is none of [`Value::ALLOWED`], as a short phrase.
    fn from_text(text: &str) -> Result<Self, String>;

    /// Understands a value from any source.
    ///
    /// # Errors
    /// As [`Value::from_text`].
    fn from_given(given: &Given) -> Result<Self, String> {
        match given.as_text() {
            Some(text) => Self::from_text(&text),
            None => Err("not a single value".to_owned()),
        }
    }

    /// The value as TOML.
    fn show(&self) -> String;
}

/// A text as a TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

impl Value for PathBuf {
    const ALLOWED: &'static str = "a path";
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Err("empty".to_owned())
        } else {
            Ok(Self::from(text))
        }
    }
    fn show(&self) -> String {
        quoted(&self.to_string_lossy())
    }
}

impl Value for String {
    const ALLOWED: &'static str = "a text";
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
    fn show(&self) -> String {
        quoted(self)
    }
}

impl Value for bool {
    const ALLOWED: &'static str = "true or false";
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err("neither true nor false".to_owned()),
        }
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    const ALLOWED: &'static str = "a whole number";
    fn from_text(text: &str) -> Result<Self, String> {
        text.replace('_', "")
            .parse()
            .map_err(|_| "not a whole number that fits".to_owned())
    }
    fn show(&self) -> String {
        self.to_string()
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// So many KiB.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }
    /// So many MiB.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
    /// The number for an interface that counts in `usize`; the largest there is when it does not fit.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const SIZE_UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Splits `96 MiB` into number and unit.
fn number_and_unit(text: &str) -> Result<(u64, String), String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number
        .replace('_', "")
        .parse()
        .map_err(|_| "it does not begin with a whole number".to_owned())?;
    Ok((number, unit.trim().to_ascii_lowercase()))
}

impl Value for Size {
    const ALLOWED: &'static str = "a size such as 64 MiB, 500 kB or a number of bytes";
    fn from_text(text: &str) -> Result<Self, String> {
        let (number, unit) = number_and_unit(text)?;
        let factor = SIZE_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let factor = factor.ok_or_else(|| format!("\"{unit}\" is no unit of size"))?;
        number
            .checked_mul(factor)
            .map(Self)
            .ok_or_else(|| "too large".to_owned())
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [
            ("TiB", 1 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1u64 << 10),
        ] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{} {unit}", self.0 / factor);
            }
        }
        write!(f, "{} B", self.0)
    }
}

const TIME_UNITS: [(&str, u64); 8] = [
    ("ms", 1),
    ("s", 1_000),
    ("sec", 1_000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("hours", 3_600_000),
    ("d", 86_400_000),
];

impl Value for Duration {
    const ALLOWED: &'static str = "a time such as 500 ms, 30 s, 5 min or 2 h";
    fn from_text(text: &str) -> Result<Self, String> {
        let (number, unit) = number_and_unit(text)?;
        if unit.is_empty() {
            return Err("the unit is missing".to_owned());
        }
        let factor = TIME_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let factor = factor.ok_or_else(|| format!("\"{unit}\" is no unit of time"))?;
        number
            .checked_mul(factor)
            .map(Self::from_millis)
            .ok_or_else(|| "too long".to_owned())
    }
    fn show(&self) -> String {
        let millis = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        for (unit, factor) in [("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
            if millis >= factor && millis.is_multiple_of(factor) {
                return quoted(&format!("{} {unit}", millis / factor));
            }
        }
        quoted(&format!("{millis} ms"))
    }
}

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

impl<T: Value> Value for Option<T> {
    const ALLOWED: &'static str = T::ALLOWED;
    const SECRET: bool = T::SECRET;
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(None)
        } else {
            T::from_text(text).map(Some)
        }
    }
    fn show(&self) -> String {
        self.as_ref().map_or_else(|| quoted(""), Value::show)
    }
}

/// Users by name, each with the Argon2 hash of a passcode.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserHashes(BTreeMap<String, String>);

impl UserHashes {
    /// Name to hash, for the one place that needs them.
    #[must_use]
    pub fn reveal(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl fmt::Debug for UserHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Value for UserHashes {
    const ALLOWED: &'static str =
        "in a file alone, a line NAME = \"HASH\" for each, with what `filmroom config hash` prints";
    const SECRET: bool = true;
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(Self::default())
        } else {
            Err("users stand in a file".to_owned())
        }
    }
    fn from_given(given: &Given) -> Result<Self, String> {
        let Given::Table(entries) = given else {
            return given
                .as_text()
                .ok_or_else(|| "not a table".to_owned())
                .and_then(|text| Self::from_text(&text));
        };
        let hashes = entries.iter().map(|(name, hash)| match hash {
            Given::Text(hash) => Ok((name.clone(), hash.clone())),
            _ => Err(format!("the hash of {name} is not a text")),
        });
        Ok(Self(hashes.collect::<Result<_, String>>()?))
    }
    fn show(&self) -> String {
        if self.0.is_empty() {
            return quoted("");
        }
        let masked: Vec<String> = self
            .0
            .keys()
            .map(|name| format!("{} = \"********\"", quoted(name)))
            .collect();
        format!("{{ {} }}", masked.join(", "))
    }
}

/// Declares a value that is one of a few words.
macro_rules! words {
    ($(#[$attribute:meta])* $name:ty: $allowed:literal { $($word:literal => $value:expr,)* }) => {
        impl Value for $name {
            const ALLOWED: &'static str = $allowed;
            fn from_text(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok($value),)*
                    _ => Err(format!("\"{text}\" is none of these words")),
                }
            }
            fn show(&self) -> String {
                $(if *self == $value {
                    return quoted($word);
                })*
                quoted("")
            }
        }
    };
}

/// Whether TLS callers have to show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsCallers {
    /// They must.
    Required,
    /// They may.
    Optional,
    /// They are not asked.
    NotAsked,
}

words!(TlsCallers: "required, optional or not-asked" {
    "required" => Self::Required,
    "optional" => Self::Optional,
    "not-asked" => Self::NotAsked,
});

words!(TlsVersions: "1.2 or 1.3" {
    "1.2" => Self::From12,
    "1.3" => Self::Only13,
});

words!(Demand: "optional or required" {
    "optional" => Self::Optional,
    "required" => Self::Required,
});

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

impl<T: Value> Value for Vec<T> {
    const ALLOWED: &'static str = T::ALLOWED;
    const SECRET: bool = T::SECRET;
    fn from_text(text: &str) -> Result<Self, String> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(T::from_text)
            .collect()
    }
    fn from_given(given: &Given) -> Result<Self, String> {
        match given {
            Given::List(list) => list.iter().map(T::from_given).collect(),
            Given::Text(text) => Self::from_text(text),
            _ => Err("not a list".to_owned()),
        }
    }
    fn show(&self) -> String {
        let shown: Vec<String> = self.iter().map(Value::show).collect();
        format!("[{}]", shown.join(", "))
    }
}

/// A text that is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Value for Secret {
    const ALLOWED: &'static str = "a text";
    const SECRET: bool = true;
    fn from_text(text: &str) -> Result<Self, String> {
        Ok(Self(text.to_owned()))
    }
    fn show(&self) -> String {
        quoted(if self.0.is_empty() { "" } else { "********" })
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people: one line an event.
    Text,
    /// For collectors: one JSON object a line.
    Json,
}

impl Value for LogFormat {
    const ALLOWED: &'static str = "text or json";
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("\"{text}\" is no format")),
        }
    }
    fn show(&self) -> String {
        quoted(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl Value for EngineKind {
    const ALLOWED: &'static str = "sled or fjall";
    fn from_text(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("\"{text}\" is no engine"))
    }
    fn show(&self) -> String {
        quoted(self.name())
    }
}

impl Value for PlainObjects {
    const ALLOWED: &'static str = "read or refuse";
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "read" => Ok(Self::Read),
            "refuse" => Ok(Self::Refuse),
            _ => Err(format!("\"{text}\" is neither")),
        }
    }
    fn show(&self) -> String {
        quoted(match self {
            Self::Read => "read",
            Self::Refuse => "refuse",
        })
    }
}

/// Where the master keys come from, if from anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKeySetting(pub Option<MasterKeySource>);

impl Value for MasterKeySetting {
    const ALLOWED: &'static str = "file:PATH, env:VARIABLE, command:COMMAND, or nothing";
    fn from_text(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        text.parse()
            .map(|source| Self(Some(source)))
            .map_err(|error: MasterKeyError| error.to_string())
    }
    fn show(&self) -> String {
        quoted(&self.0.as_ref().map(ToString::to_string).unwrap_or_default())
    }
}

/// What is logged: a level, or a level for each part of the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    /// The directives as `tracing` reads them.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Value for LogFilter {
    const ALLOWED: &'static str = "error, warn, info, debug or trace, also for one part: warn,filmroom::dimse=debug";
    fn from_text(text: &str) -> Result<Self, String> {
        let is_directive = |part: &str| {
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level).trim();
            ["off", "error", "warn", "info", "debug", "trace"].contains(&level)
        };
        if text.split(',').all(is_directive) && tracing_subscriber::EnvFilter::try_new(text).is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("\"{text}\" names no level"))
        }
    }
    fn show(&self) -> String {
        quoted(&self.0)
    }
}
