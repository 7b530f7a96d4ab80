//! Users of the settings, each with the Argon2 hash of a passcode (RFC 9106).

use std::{collections::BTreeMap, sync::Arc};

use argon2::{
    Argon2, PasswordVerifier,
    password_hash::{PasswordHash, PasswordHasher, SaltString, rand_core::OsRng},
};
use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::{Access, Caller, Claim, Denied, User};

/// Passcodes hashed at one time: each takes 19 MiB and a processor for some ten milliseconds.
const HASHED_AT_ONCE: usize = 2;
/// Longest name or passcode that is looked at, in bytes.
const LENGTH_MAX: usize = 1024;

/// What only its owner knows; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Passcode(Vec<u8>);

impl From<Vec<u8>> for Passcode {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Passcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passcode(…)")
    }
}

/// Whether callers have to name a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// They may; who does has to be right.
    Optional,
    /// They must.
    Required,
}

/// The users there are.
pub struct Users {
    /// Name to Argon2 hash in PHC form; an empty hash believes the name alone.
    hashes: BTreeMap<String, String>,
    demand: Demand,
    /// Hashed instead when there is no such user, so that it takes as long.
    nobody: String,
    at_once: Arc<Semaphore>,
}

impl std::fmt::Debug for Users {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Users")
            .field("demand", &self.demand)
            .finish_non_exhaustive()
    }
}

/// The Argon2id hash of a passcode, with a salt of its own, in PHC form.
///
/// # Errors
/// One phrase.
pub fn hash(passcode: &[u8]) -> Result<String, String> {
    let salt = SaltString::generate(&mut OsRng);
    let hashed = Argon2::default().hash_password(passcode, &salt);
    hashed.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

impl Users {
    /// Users by name, each with a hash as [`hash`] makes it.
    ///
    /// # Errors
    /// One sentence when a hash is none.
    pub fn new(hashes: BTreeMap<String, String>, demand: Demand) -> Result<Self, String> {
        for (name, hash) in &hashes {
            if !hash.is_empty() {
                PasswordHash::new(hash)
                    .map_err(|error| format!("the hash of user {name} is no Argon2 hash in PHC form: {error}"))?;
            }
        }
        Ok(Self {
            hashes,
            demand,
            nobody: hash(b"nobody")?,
            at_once: Arc::new(Semaphore::new(HASHED_AT_ONCE)),
        })
    }

    async fn check(&self, username: &str, passcode: &Passcode) -> Result<User, Denied> {
        if username.len() > LENGTH_MAX || passcode.0.len() > LENGTH_MAX {
            return Err(Denied::Unknown);
        }
        let known = self.hashes.get(username).filter(|hash| !hash.is_empty());
        let is_known = known.is_some();
        let hash = known.unwrap_or(&self.nobody).clone();
        let passcode = passcode.clone();
        let failed = |error: &dyn std::fmt::Display| Denied::Failed(error.to_string());
        let permit = self
            .at_once
            .clone()
            .acquire_owned()
            .await
            .map_err(|error| failed(&error))?;
        let is_right = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let hash = PasswordHash::new(&hash)?;
            Argon2::default().verify_password(&passcode.0, &hash)
        })
        .await
        .map_err(|error| failed(&error))?
        .is_ok();
        if is_known && is_right {
            let name = username.to_owned();
            Ok(User { name })
        } else {
            Err(Denied::Unknown)
        }
    }
}

#[async_trait]
impl Access for Users {
    async fn admit(&self, caller: &Caller<'_>) -> Result<Option<User>, Denied> {
        let user = match caller.claim {
            None if self.demand == Demand::Required => return Err(Denied::Unnamed),
            None => return Ok(None),
            Some(Claim::Passcode { username, passcode }) => self.check(username, passcode).await?,
            Some(Claim::Username(name)) => match self.hashes.get(name) {
                Some(hash) if hash.is_empty() => User { name: name.clone() },
                _ => return Err(Denied::Unknown),
            },
            Some(Claim::Kerberos) => return Err(Denied::Unsupported("a Kerberos service ticket")),
            Some(Claim::Saml) => return Err(Denied::Unsupported("a SAML assertion")),
            Some(Claim::Jwt(_)) => return Err(Denied::Unsupported("a JSON web token")),
        };
        Ok(Some(user))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn check(demand: Demand, claim: Option<Claim>, expected: Result<Option<&str>, Denied>) {
        let hashes = [("ada", hash(b"secret").unwrap()), ("ct1", String::new())];
        let hashes = hashes.map(|(name, hash)| (name.to_owned(), hash)).into();
        let users = Users::new(hashes, demand).unwrap();
        let caller = Caller {
            ae_title: "CT1",
            address: "",
            claim: claim.as_ref(),
        };
        let admitted = users.admit(&caller).await.map(|user| user.map(|user| user.name));
        assert_eq!(admitted, expected.map(|name| name.map(str::to_owned)));
    }

    fn passcode(username: &str, passcode: &str) -> Option<Claim> {
        Some(Claim::Passcode {
            username: username.into(),
            passcode: passcode.as_bytes().to_vec().into(),
        })
    }

    #[tokio::test]
    async fn only_what_can_be_proved_is_believed() {
        let name = |name: &str| Some(Claim::Username(name.into()));
        check(Demand::Optional, None, Ok(None)).await;
        check(Demand::Required, None, Err(Denied::Unnamed)).await;
        check(Demand::Required, passcode("ada", "secret"), Ok(Some("ada"))).await;
        check(Demand::Optional, passcode("ada", "wrong"), Err(Denied::Unknown)).await;
        check(Demand::Optional, passcode("eve", "nobody"), Err(Denied::Unknown)).await;
        check(Demand::Optional, passcode("ct1", ""), Err(Denied::Unknown)).await;
        check(
            Demand::Optional,
            passcode("ada", &"x".repeat(2000)),
            Err(Denied::Unknown),
        )
        .await;
        check(Demand::Required, name("ct1"), Ok(Some("ct1"))).await;
        check(Demand::Optional, name("ada"), Err(Denied::Unknown)).await;
        check(
            Demand::Optional,
            Some(Claim::Saml),
            Err(Denied::Unsupported("a SAML assertion")),
        )
        .await;
        check(
            Demand::Optional,
            Some(Claim::Kerberos),
            Err(Denied::Unsupported("a Kerberos service ticket")),
        )
        .await;
        check(
            Demand::Optional,
            Some(Claim::Jwt("a.b.c".into())),
            Err(Denied::Unsupported("a JSON web token")),
        )
        .await;
    }

    #[test]
    fn refuses_what_is_no_hash() {
        let hashes = BTreeMap::from([("ada".to_owned(), "secret".to_owned())]);
        assert!(Users::new(hashes, Demand::Optional).is_err());
    }
}
