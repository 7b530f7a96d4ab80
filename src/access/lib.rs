//! The room that decides who is let in. So far it is asked by the DIMSE door, about the user behind a calling entity.
//!
//! [`Access`] is the boundary: doors say what a caller claims, an implementation believes it or not.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod users;

use async_trait::async_trait;

pub use users::{Demand, Passcode, Users, hash};

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

/// A user that is believed to be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// By what name.
    pub name: String,
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
    async fn admit(&self, caller: &Caller<'_>) -> Result<Option<User>, Denied>;
}

/// Lets nobody in.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

#[async_trait]
impl Access for Nobody {
    async fn admit(&self, _: &Caller<'_>) -> Result<Option<User>, Denied> {
        Err(Denied::Unknown)
    }
}

/// Lets everybody in and believes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anyone;

#[async_trait]
impl Access for Anyone {
    async fn admit(&self, _: &Caller<'_>) -> Result<Option<User>, Denied> {
        Ok(None)
    }
}
