//! Signing in: passcodes that are checked, sessions that begin and end.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{
    account::{Account, NAME_CHARACTERS_MAX},
    directory::{Directory, lock, read},
    passcode::Passcode,
    principal::{Principal, Proof, SessionKey, Strength},
    secret::{hexadecimal, new_secret, sum},
    throttle::Throttle,
};

/// A session that is not used for so long is over.
const SESSION_IDLE_MAX: Duration = Duration::from_secs(30 * 60);
/// A session is over after so long, used or not.
const SESSION_MAX: Duration = Duration::from_secs(12 * 3600);
/// Most sessions at one time; the one that was not used for longest makes room.
const SESSIONS_MAX: usize = 10_000;
/// A passcode that was right is not hashed again for so long: programs send it with each request.
const REMEMBERED_FOR: Duration = Duration::from_secs(5 * 60);

/// Why somebody does not come in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Name, passcode, token or session is not right. Which of them nobody is told.
    #[error("not known by this name and passcode")]
    Unknown,
    /// There were too many tries.
    #[error("too many tries: the next in {} seconds", .0.as_secs().max(1))]
    Wait(Duration),
    /// It could not be checked.
    #[error("it cannot be checked: {0}")]
    Failed(String),
}

struct Session {
    account: String,
    /// The account's hash when it began: another passcode ends it.
    hash: String,
    began: Instant,
    used: Instant,
    /// When its person was there for certain.
    proof: Proof,
}

struct Remembered {
    account: String,
    hash: String,
    until: Instant,
}

/// Who is in.
pub(super) struct Sessions {
    begun: Mutex<HashMap<[u8; 32], Session>>,
    remembered: Mutex<HashMap<[u8; 32], Remembered>>,
    /// Mixed into what is remembered, so that it is worth nothing elsewhere.
    salt: String,
    throttle: Throttle,
}

impl Sessions {
    /// # Errors
    /// One phrase when the system gives no randomness.
    pub(super) fn new() -> Result<Self, String> {
        Ok(Self {
            begun: Mutex::default(),
            remembered: Mutex::default(),
            salt: new_secret()?,
            throttle: Throttle::default(),
        })
    }

    /// Under what a right passcode is remembered.
    fn key(&self, name: &str, passcode: &Passcode) -> [u8; 32] {
        sum(&format!("{}\0{name}\0{}", self.salt, hexadecimal(passcode.bytes())))
    }
}

impl Directory {
    /// Who this is, when name and passcode were found right a moment ago.
    #[must_use]
    pub fn remembered(&self, name: &str, passcode: &Passcode) -> Option<Principal> {
        let key = self.sessions.key(name, passcode);
        let all = lock(&self.sessions.remembered);
        let remembered = all.get(&key).filter(|remembered| remembered.until > Instant::now())?;
        let account = self.enabled(&remembered.account)?;
        (account.hash == remembered.hash).then(|| Principal::of_account(&account))
    }

    /// Checks name and passcode, as programs send them with each request.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn by_passcode(&self, name: &str, passcode: &Passcode, from: IpAddr) -> Result<Principal, Refused> {
        if let Some(principal) = self.remembered(name, passcode) {
            return Ok(principal);
        }
        let key = self.sessions.key(name, passcode);
        let begun = Instant::now();
        let account = self.check(name, passcode, from).await?;
        let mut all = lock(&self.sessions.remembered);
        if all.len() >= SESSIONS_MAX {
            all.retain(|_, remembered| remembered.until > begun);
        }
        if all.len() < SESSIONS_MAX {
            all.insert(
                key,
                Remembered {
                    account: account.name.clone(),
                    hash: account.hash.clone(),
                    until: begun + REMEMBERED_FOR,
                },
            );
        }
        Ok(Principal::of_account(&account))
    }

    async fn check(&self, name: &str, passcode: &Passcode, from: IpAddr) -> Result<Account, Refused> {
        // Nobody has such a name, and what guesses are counted by must stay short.
        if name.len() > NAME_CHARACTERS_MAX {
            return Err(Refused::Unknown);
        }
        if let Some(wait) = self.sessions.throttle.wait(name, from, Instant::now()) {
            return Err(Refused::Wait(wait));
        }
        // Counted before it is looked at: tries made at one time must not slip through together.
        self.sessions.throttle.failed(name, from, Instant::now());
        let account = self.enabled(name);
        let hash = account.as_ref().map(|account| account.hash.as_str());
        let is_right = self.verifier.is_right(hash, passcode).await.map_err(Refused::Failed)?;
        match account.filter(|_| is_right) {
            Some(account) => {
                self.sessions.throttle.succeeded(name, from);
                Ok(account)
            }
            None => {
                // The name may be a passcode that was typed into the wrong field: it is not logged.
                tracing::warn!(%from, "a passcode was not right");
                Err(Refused::Unknown)
            }
        }
    }

    pub(super) fn enabled(&self, name: &str) -> Option<Account> {
        read(&self.accounts)
            .get(name)
            .filter(|account| !account.is_disabled)
            .cloned()
    }

    /// Begins a session; its key goes to the browser.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn sign_in(&self, name: &str, passcode: &Passcode, from: IpAddr) -> Result<(String, Principal), Refused> {
        let account = self.check(name, passcode, from).await?;
        let key = new_secret().map_err(Refused::Failed)?;
        let began = Instant::now();
        let mut sessions = lock(&self.sessions.begun);
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, session| is_alive(session, began));
        }
        if sessions.len() >= SESSIONS_MAX
            && let Some(oldest) = sessions
                .iter()
                .min_by_key(|(_, session)| session.used)
                .map(|(key, _)| *key)
        {
            sessions.remove(&oldest);
        }
        let proof = Proof {
            strength: Strength::Passcode,
            at: began,
        };
        let session = Session {
            account: account.name.clone(),
            hash: account.hash.clone(),
            began,
            used: began,
            proof,
        };
        let place = SessionKey(sum(&key));
        sessions.insert(place.0, session);
        Ok((key, Principal::of_session(&account, place, proof)))
    }

    /// Who began a session, if it is not over.
    #[must_use]
    pub fn by_session(&self, key: &str) -> Option<Principal> {
        let now = Instant::now();
        let key = SessionKey(sum(key));
        let mut sessions = lock(&self.sessions.begun);
        let session = sessions.get_mut(&key.0)?;
        let account = self
            .enabled(&session.account)
            .filter(|account| account.hash == session.hash);
        match account.filter(|_| is_alive(session, now)) {
            Some(account) => {
                session.used = now;
                Some(Principal::of_session(&account, key, session.proof))
            }
            None => {
                sessions.remove(&key.0);
                None
            }
        }
    }

    /// Has the person of a session prove anew who they are.
    ///
    /// # Errors
    /// [`Refused`]; [`Refused::Unknown`] too for who has no session.
    pub async fn prove_again(&self, of: &Principal, passcode: &Passcode, from: IpAddr) -> Result<(), Refused> {
        let key = of.session.ok_or(Refused::Unknown)?;
        let account = self.check(&of.name, passcode, from).await?;
        let mut sessions = lock(&self.sessions.begun);
        let session = sessions.get_mut(&key.0);
        let session = session.filter(|session| session.account == account.name && session.hash == account.hash);
        session.ok_or(Refused::Unknown)?.proof = Proof {
            strength: Strength::Passcode,
            at: Instant::now(),
        };
        Ok(())
    }

    /// Ends a session.
    pub fn sign_out(&self, key: &str) {
        lock(&self.sessions.begun).remove(&sum(key));
    }
}

fn is_alive(session: &Session, now: Instant) -> bool {
    now.saturating_duration_since(session.used) < SESSION_IDLE_MAX
        && now.saturating_duration_since(session.began) < SESSION_MAX
}
