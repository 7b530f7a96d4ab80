//! The room that decides who is let in, and what they may do.
//!
//! [`Directory`] knows accounts, tokens and sessions and makes a [`Principal`] of what a caller shows; [`Principal::may`] is the one
//! decision. Over DIMSE [`Access`] is the boundary: the door says what a caller claims of its user, [`Users`] asks the directory.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod account;
mod directory;
mod passcode;
mod principal;
mod role;
mod secret;
mod sign_in;
mod throttle;
mod users;

use async_trait::async_trait;

pub use account::{Account, NAME_CHARACTERS_MAX, Token};
pub use directory::{AccountChange, Directory, DirectoryError, NewToken, Owner, TOKEN_LIFE_MAX};
pub use passcode::{PASSCODE_CHARACTERS_MIN, Passcode};
pub use principal::{KnownBy, Principal, Proof, Strength};
pub use role::{Action, Reach, Role};
pub use secret::new_passcode;
pub use sign_in::Refused;
pub use users::{Demand, Users};

/// What a caller says of its user (PS3.7 §D.3.3.7.1).
#[derive(Clone, PartialEq, Eq)]
pub enum Claim {
    /// A name alone.
    Username(String),
    /// A name and what only its owner knows.
    Passcode {
        /// The name.
        username: String,
        /// As it came.
        passcode: Passcode,
    },
    /// A Kerberos service ticket.
    Kerberos,
    /// A SAML assertion.
    Saml,
    /// A JSON web token.
    Jwt(String),
}

/// Who asks.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Calling AE title.
    pub ae_title: &'a str,
    /// Network address and port.
    pub address: &'a str,
    /// What it says of its user.
    pub claim: Option<&'a Claim>,
}

/// Why a caller is not let in. For the log; the caller learns nothing from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// A user has to be named, and is not.
    #[error("no user is named, and one has to be")]
    Unnamed,
    /// There is no such user, or the passcode is another. Which of the two nobody is told.
    #[error("the user is not known by this name and passcode")]
    Unknown,
    /// The claim is of a kind that cannot be checked here.
    #[error("{0} cannot be checked here")]
    Unsupported(&'static str),
    /// There were too many tries.
    #[error("there were too many tries")]
    Wait,
    /// The check could not be made.
    #[error("the check failed: {0}")]
    Failed(String),
}

/// Decides on callers. Every call is a decision of its own; it may take as long as a passcode takes to be hashed.
#[async_trait]
pub trait Access: Send + Sync + std::fmt::Debug {
    /// Lets a caller in, as a user or (`None`) without looking at its claim.
    ///
    /// # Errors
    /// [`Denied`].
    async fn admit(&self, caller: &Caller<'_>) -> Result<Option<Principal>, Denied>;
}

/// Lets everybody in and believes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anyone;

#[async_trait]
impl Access for Anyone {
    async fn admit(&self, _: &Caller<'_>) -> Result<Option<Principal>, Denied> {
        Ok(None)
    }
}
