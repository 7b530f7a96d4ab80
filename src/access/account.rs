//! What is kept of people and programs that may come in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::role::{Action, Role, may};

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

/// By what a caller was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// Nothing: nobody is asked who they are.
    Nothing,
    /// A passcode, now or at the beginning of a session.
    Passcode,
    /// A token.
    Token,
    /// What only programs of the user that runs the archive can read.
    Machine,
}

/// Who asks, once that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Name of the account or of the token.
    pub name: String,
    /// By what the caller was known.
    pub known_by: KnownBy,
    roles: BTreeSet<Role>,
}

impl Principal {
    /// Whoever it is, where nobody is asked.
    #[must_use]
    pub fn anyone() -> Self {
        Self {
            name: "anyone".to_owned(),
            known_by: KnownBy::Nothing,
            roles: BTreeSet::new(),
        }
    }

    /// A program of the user that runs the archive.
    pub(crate) fn machine() -> Self {
        Self {
            name: "this machine".to_owned(),
            known_by: KnownBy::Machine,
            roles: BTreeSet::from([Role::Administrator]),
        }
    }

    pub(crate) fn of_account(account: &Account) -> Self {
        Self {
            name: account.name.clone(),
            known_by: KnownBy::Passcode,
            roles: account.roles.clone(),
        }
    }

    pub(crate) fn of_token(token: &Token) -> Self {
        Self {
            name: token.name.clone(),
            known_by: KnownBy::Token,
            roles: token.roles.clone(),
        }
    }

    /// The decision: true when this caller may do this. Every door asks here and nowhere else.
    #[must_use]
    pub fn may(&self, action: Action) -> bool {
        match self.known_by {
            // Who is not asked may all that ends with the day on which somebody is.
            KnownBy::Nothing => action != Action::ManageAccounts,
            _ => may(&self.roles, action),
        }
    }

    /// The name, for who was asked; nothing for who was not.
    #[must_use]
    pub fn known_name(&self) -> &str {
        match self.known_by {
            KnownBy::Nothing => "",
            _ => &self.name,
        }
    }

    /// The caller's roles.
    #[must_use]
    pub fn roles(&self) -> &BTreeSet<Role> {
        &self.roles
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
