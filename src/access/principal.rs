//! Who asks, once that is known, and how well it is known.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    account::{Account, Token},
    role::{Action, Reach, Role, may, reach},
};

/// By what a caller was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KnownBy {
    /// Nothing: nobody is asked who they are.
    Nothing,
    /// A passcode that came with the request.
    Passcode,
    /// A session that began with a passcode.
    Session,
    /// A token.
    Token,
    /// What only programs of the user that runs the archive can read.
    Machine,
}

impl KnownBy {
    /// Its word in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Passcode => "passcode",
            Self::Session => "session",
            Self::Token => "token",
            Self::Machine => "machine",
        }
    }
}

/// What a proof of somebody's identity is worth, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Something that a program keeps: nobody need be there.
    Kept,
    /// What only one person knows.
    Passcode,
    /// Several factors, as whoever checked them says.
    SeveralFactors,
}

/// A proof of who somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// What it is worth.
    pub strength: Strength,
    /// When it was given.
    pub at: Instant,
}

/// Of what session a principal is, for proving anew who is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionKey(pub [u8; 32]);

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

/// Who asks, once that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Name of the account or of the token.
    pub name: String,
    /// By what the caller was known.
    pub known_by: KnownBy,
    pub(crate) session: Option<SessionKey>,
    subject: String,
    proof: Option<Proof>,
    roles: BTreeSet<Role>,
    /// Nobody is asked here: what anyone may, this one may too.
    in_the_open: bool,
    /// Sees what was granted, and nothing else.
    is_confined: bool,
}

impl Principal {
    /// Whoever it is, where nobody is asked.
    #[must_use]
    pub fn anyone() -> Self {
        Self {
            name: "anyone".to_owned(),
            known_by: KnownBy::Nothing,
            session: None,
            subject: String::new(),
            proof: None,
            roles: BTreeSet::new(),
            in_the_open: true,
            is_confined: false,
        }
    }

    /// A program of the user that runs the archive.
    pub(crate) fn machine() -> Self {
        Self {
            name: "this machine".to_owned(),
            known_by: KnownBy::Machine,
            session: None,
            subject: String::new(),
            proof: None,
            roles: BTreeSet::from([Role::Administrator]),
            in_the_open: false,
            is_confined: false,
        }
    }

    /// Who showed an account's passcode with this request.
    pub(crate) fn of_account(account: &Account) -> Self {
        Self {
            name: account.name.clone(),
            known_by: KnownBy::Passcode,
            session: None,
            subject: account.person().to_owned(),
            proof: Some(Proof {
                strength: Strength::Passcode,
                at: Instant::now(),
            }),
            roles: account.roles.clone(),
            in_the_open: false,
            is_confined: account.is_confined,
        }
    }

    /// Whose session it is, and when its person was there for certain.
    pub(crate) fn of_session(account: &Account, key: SessionKey, proof: Proof) -> Self {
        Self {
            known_by: KnownBy::Session,
            session: Some(key),
            proof: Some(proof),
            ..Self::of_account(account)
        }
    }

    /// A program. Where it acts for a person (`owner`), it may do nothing that they may not.
    pub(crate) fn of_token(token: &Token, owner: Option<&Account>) -> Self {
        let (subject, roles) = match owner {
            Some(owner) => (
                owner.person().to_owned(),
                token.roles.intersection(&owner.roles).copied().collect(),
            ),
            // A program is no person that somebody of its name is.
            None => (format!("{}{}", Token::SUBJECT, token.name), token.roles.clone()),
        };
        Self {
            name: token.name.clone(),
            known_by: KnownBy::Token,
            session: None,
            subject,
            proof: Some(Proof {
                strength: Strength::Kept,
                at: Instant::now(),
            }),
            roles,
            in_the_open: false,
            is_confined: token.is_confined || owner.is_some_and(|owner| owner.is_confined),
        }
    }

    /// What the caller's roles let them see when they do this, before anything that was granted.
    #[must_use]
    pub fn reach(&self, action: Action) -> Reach {
        match (self.in_the_open, self.is_confined) {
            (true, _) => Reach {
                sees_most: true,
                sees_labelled: true,
            },
            (_, true) => Reach::default(),
            _ => reach(&self.roles, action),
        }
    }

    /// The same where nobody is asked who they are: who says it all the same may not do less for it.
    #[must_use]
    pub fn in_the_open(self) -> Self {
        Self {
            in_the_open: true,
            ..self
        }
    }

    /// The decision: true when this caller may do this. Every door asks here and nowhere else.
    #[must_use]
    pub fn may(&self, action: Action) -> bool {
        (self.in_the_open && !action.takes_somebody()) || may(&self.roles, action)
    }

    /// The person, whatever the account, or the token that acts for them; `None` for programs, and where nobody was asked.
    #[must_use]
    pub fn person(&self) -> Option<&str> {
        self.subject().filter(|subject| !subject.starts_with(Token::SUBJECT))
    }

    /// The person behind it, whatever the account or token: what one person does twice was done by one. A token without an owner is
    /// a program of its own. Nobody where nobody is asked, or where a program of this machine asks.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        Some(self.subject.as_str()).filter(|subject| !subject.is_empty())
    }

    /// The best proof of who it is.
    #[must_use]
    pub fn proof(&self) -> Option<Proof> {
        self.proof
    }

    /// True when the person proved who they are so well, and no longer ago than this. What cannot be taken back asks for it: a session
    /// that somebody left open, and a token that somebody found, are not enough. Where nobody is asked, nothing can be proved.
    #[must_use]
    pub fn proved_within(&self, longest: Duration, least: Strength) -> bool {
        self.known_by == KnownBy::Nothing
            || self
                .proof
                .is_some_and(|proof| proof.strength >= least && proof.at.elapsed() <= longest)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn account(person: &str) -> Account {
        Account {
            name: "ada2".to_owned(),
            hash: String::new(),
            roles: [Role::Viewer, Role::Legal].into(),
            is_disabled: false,
            made_at: 0,
            person: person.to_owned(),
            is_confined: false,
        }
    }

    fn token() -> Token {
        Token {
            id: "0".to_owned(),
            name: "ada2".to_owned(),
            sum: String::new(),
            roles: [Role::Viewer, Role::Administrator].into(),
            made_at: 0,
            expires_at: 0,
            made_by: String::new(),
            owner: None,
            is_confined: false,
        }
    }

    #[test]
    fn two_accounts_of_one_person_are_one() {
        let subject = |principal: Principal| principal.subject().map(str::to_owned);
        assert_eq!(subject(Principal::of_account(&account(""))).as_deref(), Some("ada2"));
        assert_eq!(subject(Principal::of_account(&account("ada"))).as_deref(), Some("ada"));
        let owner = account("ada");
        let of_owner = Principal::of_token(&token(), Some(&owner));
        assert!(of_owner.may(Action::Retrieve) && !of_owner.may(Action::Administer) && !of_owner.may(Action::Hold));
        assert_eq!(subject(of_owner).as_deref(), Some("ada"));
        assert_eq!(
            subject(Principal::of_token(&token(), None)).as_deref(),
            Some("token:ada2")
        );
        assert_eq!(subject(Principal::anyone()), None);
        assert_eq!(subject(Principal::machine()), None);
    }

    #[test]
    fn proofs_grow_old_and_some_are_worth_less() {
        let minute = Duration::from_secs(60);
        let shown = Principal::of_account(&account(""));
        assert!(shown.proved_within(minute, Strength::Passcode));
        assert!(!shown.proved_within(minute, Strength::SeveralFactors));
        assert!(!Principal::of_token(&token(), None).proved_within(minute, Strength::Passcode));
        assert!(!Principal::machine().proved_within(minute, Strength::Passcode));
        assert!(Principal::anyone().proved_within(minute, Strength::Passcode));
        let Some(at) = Instant::now().checked_sub(2 * minute) else {
            return;
        };
        let strength = Strength::Passcode;
        let old = Principal::of_session(&account(""), SessionKey([0; 32]), Proof { strength, at });
        assert!(!old.proved_within(minute, strength) && old.proved_within(3 * minute, strength));
    }
}
