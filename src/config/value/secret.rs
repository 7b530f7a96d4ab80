//! What is never shown.

use std::{collections::BTreeMap, fmt};

use super::{Given, Value, quoted};

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
