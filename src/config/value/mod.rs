//! Kinds of values that settings have: how they are read, what is allowed, how they are shown.

mod log;
mod measure;
mod network;
mod secret;
mod storage;
mod words;

use std::path::PathBuf;

pub(super) use self::words::words;
pub use self::{
    log::{LogFilter, LogFormat},
    measure::Size,
    network::{Authentication, Insecure, TlsCallers, ViewTitle, WebOrigin},
    secret::Secret,
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
