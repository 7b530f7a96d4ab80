//! What is kept of people and programs that may come in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::role::Role;

/// Longest name of an account or a token, in characters.
pub const NAME_CHARACTERS_MAX: usize = 64;

/// A person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// By what name the person signs in.
    pub name: String,
    /// Argon2 hash of the passcode in PHC form.
    pub hash: String,
    /// What the person may do.
    pub roles: BTreeSet<Role>,
    /// The account stays, and nobody gets in by it.
    #[serde(default)]
    pub is_disabled: bool,
    /// When it was made, in seconds since 1970.
    pub made_at: u64,
    /// Whose account it is, where they have others or are known elsewhere by another name; empty: the name says it.
    #[serde(default)]
    pub person: String,
    /// Its person sees what was granted to them, and nothing else.
    #[serde(default)]
    pub is_confined: bool,
}

impl Account {
    /// Whose account it is.
    #[must_use]
    pub fn person(&self) -> &str {
        if self.person.is_empty() {
            &self.name
        } else {
            &self.person
        }
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("name", &self.name)
            .field("roles", &self.roles)
            .field("is_disabled", &self.is_disabled)
            .finish_non_exhaustive()
    }
}

/// A program that shows a secret of its own. The archive keeps the secret's SHA-256 alone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// By what it is revoked; the part of its text that is no secret.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the secret, in hexadecimal.
    pub sum: String,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// When it was made, in seconds since 1970.
    pub made_at: u64,
    /// From when on it is worth nothing, in seconds since 1970.
    pub expires_at: u64,
    /// Who made it.
    pub made_by: String,
    /// The account of the person that it acts for: it ends with the account, and may do nothing that the account may not.
    #[serde(default)]
    pub owner: Option<String>,
    /// It sees what was granted to it, and nothing else.
    #[serde(default)]
    pub is_confined: bool,
}

impl Token {
    /// How the subject of one begins that acts for nobody.
    pub(crate) const SUBJECT: &str = "token:";
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

/// Says what is wrong with a name; `None` when it will do.
pub(crate) fn wrong_name(name: &str) -> Option<String> {
    let count = name.chars().count();
    if count == 0 || count > NAME_CHARACTERS_MAX {
        Some(format!("a name has 1 to {NAME_CHARACTERS_MAX} characters"))
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c)) {
        Some("a name is of letters, digits and -_.@".to_owned())
    } else {
        None
    }
}

/// Longest name of a person, in bytes: what OpenID providers may call them (OpenID Connect Core §2, `sub`).
const PERSON_BYTES_MAX: usize = 255;

/// Says what is wrong with the name of a person; `None` when it will do.
pub(crate) fn wrong_person(person: &str) -> Option<String> {
    if person.is_empty() || person.len() > PERSON_BYTES_MAX {
        Some(format!("a person's name has 1 to {PERSON_BYTES_MAX} characters"))
    } else if !person.bytes().all(|byte| byte.is_ascii_graphic()) {
        Some("a person's name is of ASCII letters, digits and signs, without spaces".to_owned())
    } else if person.starts_with(Token::SUBJECT) {
        Some(format!("what begins with {} is a program", Token::SUBJECT))
    } else {
        None
    }
}
