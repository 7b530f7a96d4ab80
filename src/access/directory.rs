//! Accounts, tokens and sessions: who may come in, and who is in.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use filmroom_storage::state::{StateError, StateFolder, StatePlace};

use super::{
    account::{Account, Token, wrong_name, wrong_person},
    passcode::{LENGTH_MAX, Passcode, Verifier, hash},
    principal::Principal,
    role::{Action, Role, may},
    secret::{hexadecimal, is_same, new_secret, random, sum, token_parts, token_text},
    sign_in::Sessions,
};

const ACCOUNTS: &str = "account";
const TOKENS: &str = "token";
/// Most accounts, and most tokens.
const KEPT_MAX: usize = 10_000;
/// Longest life of a token.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Why the directory was not changed.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryError {
    /// What is asked for cannot be.
    #[error("{0}")]
    Wrong(String),
    /// There is no such account or token.
    #[error("there is no such {0}")]
    Unknown(&'static str),
    /// Nobody could administer the archive any more.
    #[error("this is the last account that administers the archive")]
    LastAdministrator,
    /// There are as many as there may be.
    #[error("there are {KEPT_MAX}, which is the most")]
    TooMany,
    /// It could not be kept.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Whose an account is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Owner<'a> {
    /// The person; where nobody says, the account's name does.
    pub person: Option<&'a str>,
    /// They are to see what is granted to them, and nothing else.
    pub is_confined: bool,
}

/// What is to be different of an account; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct AccountChange {
    /// Its passcode.
    pub passcode: Option<Passcode>,
    /// Its roles.
    pub roles: Option<BTreeSet<Role>>,
    /// Whose it is.
    pub person: Option<String>,
    /// Whether nobody gets in by it.
    pub is_disabled: Option<bool>,
    /// Whether its person sees what was granted to them, and nothing else.
    pub is_confined: Option<bool>,
}

/// A token that is to be.
#[derive(Debug, Clone, Default)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// How long it is worth something.
    pub life: Duration,
    /// Who makes it.
    pub made_by: String,
    /// The account of the person that it acts for.
    pub owner: Option<String>,
    /// It is to see what is granted to it, and nothing else.
    pub is_confined: bool,
}

/// Everybody who may come in.
pub struct Directory {
    pub(super) accounts: RwLock<BTreeMap<String, Account>>,
    tokens: RwLock<BTreeMap<String, Token>>,
    /// Where they are kept; held while they are changed. `None`: only read.
    folders: Mutex<Option<[StateFolder; 2]>>,
    pub(super) sessions: Sessions,
    machine: [u8; 32],
    machine_secret: String,
    pub(super) verifier: Verifier,
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Directory").finish_non_exhaustive()
    }
}

impl Directory {
    /// The directory of an archive, which this process alone must have.
    ///
    /// # Errors
    /// [`DirectoryError::State`] when it cannot be read. A damaged record is logged and left out: its owner does not come in.
    pub fn open(place: impl Into<StatePlace>) -> Result<Self, DirectoryError> {
        let place = place.into();
        let (accounts, loaded) = StateFolder::open::<Account>(place.clone(), ACCOUNTS)?;
        let (tokens, loaded_tokens) = StateFolder::open::<Token>(place, TOKENS)?;
        for damaged in loaded.damaged.iter().chain(&loaded_tokens.damaged) {
            tracing::error!(path = %damaged.path.display(), why = damaged.why, "an account or token is not known any more: make it again");
        }
        Self::new(loaded.records, loaded_tokens.records, Some([accounts, tokens]))
    }

    /// As [`Directory::open`], for reading only: another process may have the archive.
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn look(place: impl Into<StatePlace>) -> Result<Self, DirectoryError> {
        let place = place.into();
        let accounts = StateFolder::look(place.clone(), ACCOUNTS)?;
        let tokens = StateFolder::look(place, TOKENS)?;
        Self::new(accounts.records, tokens.records, None)
    }

    fn new(
        accounts: Vec<(String, Account)>,
        tokens: Vec<(String, Token)>,
        folders: Option<[StateFolder; 2]>,
    ) -> Result<Self, DirectoryError> {
        let machine_secret = new_secret().map_err(DirectoryError::Wrong)?;
        Ok(Self {
            accounts: RwLock::new(
                accounts
                    .into_iter()
                    .map(|(_, account)| (account.name.clone(), account))
                    .collect(),
            ),
            tokens: RwLock::new(tokens.into_iter().map(|(_, token)| (token.id.clone(), token)).collect()),
            folders: Mutex::new(folders),
            sessions: Sessions::new().map_err(DirectoryError::Wrong)?,
            machine: sum(&machine_secret),
            machine_secret,
            verifier: Verifier::new().map_err(DirectoryError::Wrong)?,
        })
    }

    /// The secret by which programs on this machine are known, until the process ends. Whoever can read it where it is written
    /// down can read the data folder.
    #[must_use]
    pub fn machine_secret(&self) -> &str {
        &self.machine_secret
    }

    /// All accounts, by name.
    #[must_use]
    pub fn accounts(&self) -> Vec<Account> {
        read(&self.accounts).values().cloned().collect()
    }

    /// All tokens, by id.
    #[must_use]
    pub fn tokens(&self) -> Vec<Token> {
        read(&self.tokens).values().cloned().collect()
    }

    /// True when nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        read(&self.accounts).is_empty() && read(&self.tokens).is_empty()
    }

    /// True when there is an account of this name.
    #[must_use]
    pub fn is_account(&self, name: &str) -> bool {
        read(&self.accounts).contains_key(name)
    }

    /// True when somebody can administer the archive.
    #[must_use]
    pub fn has_administrator(&self) -> bool {
        read(&self.accounts).values().any(administers)
    }

    /// Makes an account. `of`: whose it is. Blocks for as long as hashing and the disk take; durable
    /// when it returns.
    ///
    /// # Errors
    /// [`DirectoryError`]; nothing was changed.
    pub fn add_account(
        &self,
        name: &str,
        passcode: &Passcode,
        roles: BTreeSet<Role>,
        of: Owner<'_>,
    ) -> Result<Account, DirectoryError> {
        if let Some(why) = wrong_name(name).or_else(|| of.person.and_then(wrong_person)) {
            return Err(DirectoryError::Wrong(why));
        }
        let account = Account {
            name: name.to_owned(),
            hash: self.hash(passcode)?,
            roles,
            is_disabled: false,
            made_at: now(),
            person: of.person.unwrap_or_default().to_owned(),
            is_confined: of.is_confined,
        };
        let folders = lock(&self.folders);
        if read(&self.accounts).contains_key(name) {
            return Err(DirectoryError::Wrong(format!("there is an account {name} already")));
        }
        if read(&self.accounts).len() >= KEPT_MAX {
            return Err(DirectoryError::TooMany);
        }
        self.keep(folders, account.clone())?;
        Ok(account)
    }

    fn hash(&self, passcode: &Passcode) -> Result<String, DirectoryError> {
        match passcode.weakness() {
            Some(why) => Err(DirectoryError::Wrong(format!("the passcode will not do: {why}"))),
            None => hash(passcode.bytes()).map_err(DirectoryError::Wrong),
        }
    }

    fn keep(&self, folders: MutexGuard<'_, Option<[StateFolder; 2]>>, account: Account) -> Result<(), DirectoryError> {
        if let Some([accounts, _]) = folders.as_ref() {
            accounts.put(&account.name, &account)?;
        }
        write(&self.accounts).insert(account.name.clone(), account);
        Ok(())
    }

    /// Changes an account. Sessions that began by another passcode end.
    ///
    /// # Errors
    /// As [`Directory::add_account`]; [`DirectoryError::LastAdministrator`].
    pub fn change_account(&self, name: &str, change: AccountChange) -> Result<Account, DirectoryError> {
        if let Some(why) = change.person.as_deref().and_then(wrong_person) {
            return Err(DirectoryError::Wrong(why));
        }
        let hash = change.passcode.map(|passcode| self.hash(&passcode)).transpose()?;
        let folders = lock(&self.folders);
        let known = read(&self.accounts).get(name).cloned();
        let mut account = known.ok_or(DirectoryError::Unknown("account"))?;
        account.hash = hash.unwrap_or(account.hash);
        account.roles = change.roles.unwrap_or(account.roles);
        account.person = change.person.unwrap_or(account.person);
        account.is_disabled = change.is_disabled.unwrap_or(account.is_disabled);
        account.is_confined = change.is_confined.unwrap_or(account.is_confined);
        if !administers(&account) {
            self.check_administrator_beside(name)?;
        }
        self.keep(folders, account.clone())?;
        Ok(account)
    }

    /// Forgets an account, and the tokens that act for it.
    ///
    /// # Errors
    /// As [`Directory::change_account`].
    pub fn remove_account(&self, name: &str) -> Result<(), DirectoryError> {
        let folders = lock(&self.folders);
        if !read(&self.accounts).contains_key(name) {
            return Err(DirectoryError::Unknown("account"));
        }
        self.check_administrator_beside(name)?;
        // Before the account: one of its name that is made later is another's.
        let of_account = |token: &Token| token.owner.as_deref() == Some(name);
        let owned: Vec<String> = read(&self.tokens)
            .values()
            .filter(|token| of_account(token))
            .map(|token| token.id.clone())
            .collect();
        if let Some([accounts, tokens]) = folders.as_ref() {
            for id in &owned {
                tokens.remove(id)?;
            }
            accounts.remove(name)?;
        }
        write(&self.tokens).retain(|_, token| !of_account(token));
        write(&self.accounts).remove(name);
        Ok(())
    }

    /// Refuses when the account is the only one that administers.
    fn check_administrator_beside(&self, name: &str) -> Result<(), DirectoryError> {
        let accounts = read(&self.accounts);
        let is_one = accounts.get(name).is_some_and(administers);
        let is_other = accounts
            .values()
            .any(|account| account.name != name && administers(account));
        if is_one && !is_other {
            return Err(DirectoryError::LastAdministrator);
        }
        Ok(())
    }

    /// Makes a token. Its text is in the answer and nowhere else.
    ///
    /// # Errors
    /// [`DirectoryError`]; nothing was changed.
    pub fn add_token(&self, new: NewToken) -> Result<(Token, String), DirectoryError> {
        if let Some(why) = wrong_name(&new.name) {
            return Err(DirectoryError::Wrong(why));
        }
        if new.life.is_zero() || new.life > TOKEN_LIFE_MAX {
            let days = TOKEN_LIFE_MAX.as_secs() / 86_400;
            return Err(DirectoryError::Wrong(format!("a token lives {days} days at most")));
        }
        let id = hexadecimal(&random::<8>().map_err(DirectoryError::Wrong)?);
        let secret = new_secret().map_err(DirectoryError::Wrong)?;
        let made_at = now();
        let token = Token {
            sum: hexadecimal(&sum(&secret)),
            name: new.name,
            roles: new.roles,
            made_at,
            expires_at: made_at.saturating_add(new.life.as_secs()),
            made_by: new.made_by,
            owner: new.owner,
            is_confined: new.is_confined,
            id,
        };
        let folders = lock(&self.folders);
        if token.owner.as_deref().is_some_and(|owner| !self.is_account(owner)) {
            return Err(DirectoryError::Unknown("account that the token would act for"));
        }
        if read(&self.tokens).len() >= KEPT_MAX {
            return Err(DirectoryError::TooMany);
        }
        if let Some([_, tokens]) = folders.as_ref() {
            tokens.put(&token.id, &token)?;
        }
        write(&self.tokens).insert(token.id.clone(), token.clone());
        let text = token_text(&token.id, &secret);
        Ok((token, text))
    }

    /// Revokes a token: from now on it is worth nothing.
    ///
    /// # Errors
    /// [`DirectoryError`].
    pub fn revoke_token(&self, id: &str) -> Result<(), DirectoryError> {
        let folders = lock(&self.folders);
        if !read(&self.tokens).contains_key(id) {
            return Err(DirectoryError::Unknown("token"));
        }
        if let Some([_, tokens]) = folders.as_ref() {
            tokens.remove(id)?;
        }
        write(&self.tokens).remove(id);
        Ok(())
    }

    /// Whose token this is, if it is worth anything.
    #[must_use]
    pub fn by_token(&self, text: &str) -> Option<Principal> {
        if text.len() > LENGTH_MAX {
            return None;
        }
        if is_same(&sum(text), &self.machine) {
            return Some(Principal::machine());
        }
        let (id, secret) = token_parts(text)?;
        let token = read(&self.tokens).get(id).cloned()?;
        let is_right = is_same(hexadecimal(&sum(secret)).as_bytes(), token.sum.as_bytes());
        if !is_right || now() >= token.expires_at {
            return None;
        }
        let owner = match &token.owner {
            Some(owner) => Some(self.enabled(owner)?),
            None => None,
        };
        Some(Principal::of_token(&token, owner.as_ref()))
    }
}

fn administers(account: &Account) -> bool {
    !account.is_disabled && may(&account.roles, Action::ManageAccounts)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn read<T>(lock: &RwLock<T>) -> std::sync::RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> std::sync::RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
