//! What stands before every HTTP door: who sends a request ([`Admission::before`]), and whether they may have what it asks for
//! ([`Routes`]). Both ask the `access` room; here is only what HTTP says and how it is answered. The audit trail is told who came in,
//! who left and who was turned away.
//!
//! A door is made of [`Routes`], each with the [`Rule`] that decides on it. An answer of a route that came in another way does
//! not leave.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod answer;
mod cookie;
mod credentials;
mod routes;
#[cfg(test)]
mod tests;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, FromRequestParts, Request, State},
    http::{Extensions, HeaderMap, HeaderValue, Method, header, request::Parts},
    middleware::{self, Next},
    response::Response,
};

use filmroom_access::{Directory, KnownBy, Passcode, Principal, Refused};
use filmroom_audit::{Participant, Trail, events};
use filmroom_privacy::{Privacy, Sight};

pub use answer::Refusal;
pub use cookie::is_own_page;
use credentials::Credentials;
pub use routes::{Route, Routes, Rule};

/// Whether callers have to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Nobody is asked: everybody may do what [`Principal::anyone`] may.
    Nothing,
    /// Whoever wants something has to be known, and has to be let.
    Credentials,
}

/// Knows callers.
#[derive(Debug, Clone)]
pub struct Admission {
    directory: Arc<Directory>,
    demand: Demand,
    /// Whether browsers reach the archive by TLS alone: cookies are then sent by no other way.
    is_secure: bool,
    trail: Trail,
    deciding: Deciding,
}

/// What routes decide by beside the caller; found in the extensions of a request.
#[derive(Debug, Clone)]
struct Deciding {
    /// How long a proof of who somebody is lasts for what cannot be taken back.
    fresh_for: Duration,
    /// Knows which studies a caller sees; where nobody does, all are seen.
    privacy: Option<Privacy>,
}

/// Which studies the caller sees, for what the route is for; found in the extensions of every request that was decided on.
#[derive(Debug, Clone)]
pub struct Seen(pub Sight);

/// Nobody decided what the caller sees: a fault of ours.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("nobody decided which studies the caller of this route sees")]
pub struct Undecided;

impl Seen {
    /// What the caller of a request sees.
    ///
    /// # Errors
    /// [`Undecided`] where the route shows nothing of patients.
    pub fn of(extensions: &Extensions) -> Result<Sight, Undecided> {
        extensions.get::<Self>().map(|seen| seen.0.clone()).ok_or(Undecided)
    }
}

impl<S: Sync> FromRequestParts<S> for Seen {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        Self::of(&parts.extensions).map(Self).map_err(|error| {
            tracing::error!(%error, "a request is not answered");
            Refusal::Undecided.answer(&parts.headers)
        })
    }
}

/// Who sends a request, as far as that is known; found in its extensions. What was shown and is not right is decided on with the
/// route, so that its answer is one like others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub Result<Option<Principal>, Refusal>);

impl Caller {
    /// Who sends the request of these extensions, where that is known.
    #[must_use]
    pub fn of(extensions: &Extensions) -> Option<&Principal> {
        extensions.get::<Self>()?.0.as_ref().ok()?.as_ref()
    }

    /// The name of who was asked and is known; else nothing.
    #[must_use]
    pub fn name(&self) -> &str {
        let known = self.0.as_ref().ok().and_then(Option::as_ref);
        known.map_or("", Principal::known_name)
    }
}

/// How long a proof lasts where nobody says.
pub const FRESH_FOR: Duration = Duration::from_secs(10 * 60);

/// The mark of an answer that somebody decided on.
#[derive(Debug, Clone, Copy)]
struct Decided;

impl Admission {
    /// Over a directory.
    #[must_use]
    pub fn new(directory: Arc<Directory>, demand: Demand, is_secure: bool, trail: Trail) -> Self {
        Self {
            directory,
            demand,
            is_secure,
            trail,
            deciding: Deciding {
                fresh_for: FRESH_FOR,
                privacy: None,
            },
        }
    }

    /// Has a proof of who somebody is last so long, for what cannot be taken back.
    #[must_use]
    pub fn fresh_for(mut self, longest: Duration) -> Self {
        self.deciding.fresh_for = longest;
        self
    }

    /// Has this room decide which studies a caller sees.
    #[must_use]
    pub fn guarded_by(mut self, privacy: Privacy) -> Self {
        self.deciding.privacy = Some(privacy);
        self
    }

    /// Whether callers have to be known.
    #[must_use]
    pub fn demand(&self) -> Demand {
        self.demand
    }

    /// The directory behind it.
    #[must_use]
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// Puts itself before all routes of a router: finds out who sends each request, and keeps back answers on which nobody decided.
    pub fn before(self, router: Router) -> Router {
        router.layer(middleware::from_fn_with_state(self, admit))
    }

    /// Begins a session for a browser, and ends the one that it had: the header that gives it the key.
    ///
    /// # Errors
    /// [`Refused`], as [`Directory::sign_in`], and when it cannot be recorded.
    pub async fn sign_in(
        &self,
        name: &str,
        passcode: &Passcode,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<HeaderValue, Refused> {
        let key = match self.directory.sign_in(name, passcode, from).await {
            Ok((key, _)) => key,
            Err(refused) => {
                self.turned_away(name, from, &refused.to_string()).await;
                return Err(refused);
            }
        };
        let recorded = self.came_in(name, from, "passcode").await;
        let cookie = cookie::set(&key, self.is_secure).ok_or_else(|| Refused::Failed("no cookie".to_owned()));
        match recorded.and(cookie) {
            Ok(cookie) => {
                if let Some(before) = cookie::read(headers, self.is_secure) {
                    self.directory.sign_out(&before);
                }
                Ok(cookie)
            }
            Err(refused) => {
                self.directory.sign_out(&key);
                Err(refused)
            }
        }
    }

    /// Has the person of a session prove anew who they are.
    ///
    /// # Errors
    /// [`Refused`], as [`Directory::prove_again`], and when it cannot be recorded.
    pub async fn prove_again(&self, of: &Principal, passcode: &Passcode, from: IpAddr) -> Result<(), Refused> {
        match self.directory.prove_again(of, passcode, from).await {
            Ok(()) => self.came_in(&of.name, from, "passcode, anew").await,
            Err(refused) => {
                self.turned_away(&of.name, from, &refused.to_string()).await;
                Err(refused)
            }
        }
    }

    /// Ends the session of a browser: the header that takes the key away.
    pub async fn sign_out(&self, from: IpAddr, headers: &HeaderMap) -> HeaderValue {
        let key = cookie::read(headers, self.is_secure);
        if let Some((key, principal)) = key.and_then(|key| self.directory.by_session(&key).map(|known| (key, known))) {
            self.directory.sign_out(&key);
            let place = from.to_string();
            let who = who(&principal.name, &place);
            let left = |us: &Participant| events::user_authentication(false, us, who.participant(), "passcode");
            if let Err(error) = self.trail.record(left).await {
                tracing::error!(%error, "that somebody signed out is not recorded");
            }
        }
        cookie::clear(self.is_secure)
    }

    async fn came_in(&self, name: &str, from: IpAddr, means: &str) -> Result<(), Refused> {
        let place = from.to_string();
        let recorded = self.trail.logged_in(who(name, &place), means).await;
        recorded.map_err(|error| Refused::Failed(format!("it cannot be recorded: {error}")))
    }

    /// Records that somebody was not let in; by name only where there is such an account: a passcode may have been typed for it.
    async fn turned_away(&self, name: &str, from: IpAddr, why: &str) {
        let name = if self.directory.is_account(name) { name } else { "" };
        let place = from.to_string();
        if let Err(error) = self.trail.refused(who(name, &place), why).await {
            tracing::error!(%error, "that somebody was turned away is not recorded");
        }
    }

    async fn by_passcode(&self, name: &str, passcode: &Passcode, from: IpAddr) -> Result<Principal, Refused> {
        if let Some(principal) = self.directory.remembered(name, passcode) {
            return Ok(principal);
        }
        match self.directory.by_passcode(name, passcode, from).await {
            Ok(principal) => {
                self.came_in(name, from, "passcode with a request").await?;
                Ok(principal)
            }
            Err(refused) => {
                self.turned_away(name, from, &refused.to_string()).await;
                Err(refused)
            }
        }
    }

    async fn caller(&self, method: &Method, headers: &HeaderMap, from: IpAddr) -> Result<Option<Principal>, Refusal> {
        let shown = match (self.demand, Credentials::of(headers)) {
            (Demand::Credentials, shown) => shown?,
            // Where nobody is asked, what is not understood was said to nobody.
            (Demand::Nothing, Ok(Some(Credentials::Bearer(text)))) if self.directory.by_token(&text).is_none() => None,
            (Demand::Nothing, shown) => shown.unwrap_or_default(),
        };
        let known = self.known(shown, method, headers, from).await?;
        Ok(match (self.demand, known) {
            (Demand::Credentials, known) => known,
            (Demand::Nothing, None) => Some(Principal::anyone()),
            // Programs of this machine's user do what they are for, and nothing else.
            (Demand::Nothing, Some(known)) if known.known_by == KnownBy::Machine => Some(known),
            (Demand::Nothing, Some(known)) => Some(known.in_the_open()),
        })
    }

    async fn known(
        &self,
        shown: Option<Credentials>,
        method: &Method,
        headers: &HeaderMap,
        from: IpAddr,
    ) -> Result<Option<Principal>, Refusal> {
        match shown {
            Some(Credentials::Basic { name, passcode }) => {
                let known = self.by_passcode(&name, &passcode, from).await;
                Ok(Some(known.map_err(Refusal::from)?))
            }
            Some(Credentials::Bearer(text)) => match self.directory.by_token(&text) {
                Some(principal) => Ok(Some(principal)),
                None => {
                    self.turned_away("", from, "the token is not known").await;
                    Err(Refused::Unknown.into())
                }
            },
            None => {
                let key = cookie::read(headers, self.is_secure);
                let of_session = key.and_then(|key| self.directory.by_session(&key));
                // A browser sends the cookie along with what pages of elsewhere make it send.
                let is_safe = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
                if let Some(principal) = &of_session
                    && !is_safe
                    && !is_own_page(headers)
                {
                    let why = "a page of another origin asked in the name of a session";
                    self.turned_away(&principal.name, from, why).await;
                    return Err(Refusal::ForeignPage);
                }
                Ok(of_session)
            }
        }
    }
}

fn who<'a>(user: &'a str, place: &'a str) -> filmroom_audit::Caller<'a> {
    filmroom_audit::Caller {
        user,
        place,
        ..filmroom_audit::Caller::default()
    }
}

/// The address that a request came from; that of no machine where the connection has none.
#[must_use]
pub fn address_of(extensions: &Extensions) -> IpAddr {
    let info = extensions.get::<ConnectInfo<SocketAddr>>();
    info.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |info| info.0.ip().to_canonical())
}

async fn admit(State(admission): State<Admission>, mut request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let headers = request.headers().clone();
    let from = address_of(request.extensions());
    let caller = admission.caller(&method, &headers, from).await;
    let is_nobody = caller == Ok(None);
    request.extensions_mut().insert(Caller(caller));
    request.extensions_mut().insert(admission.deciding.clone());
    let mut response = next.run(request).await;
    // Preflights are answered before any route; a refusal may lead elsewhere.
    let marks = response.extensions();
    let is_decided = method == Method::OPTIONS || marks.get::<Decided>().is_some() || marks.get::<Refusal>().is_some();
    if admission.demand == Demand::Credentials && marks.get::<Refusal>() == Some(&Refusal::Unknown) && is_nobody {
        admission.turned_away("", from, "nobody said who asks").await;
    }
    if !is_decided && (response.status().is_success() || response.status().is_redirection()) {
        tracing::error!(%method, "a route answers without asking who may have the answer: it is kept back");
        return Refusal::Undecided.answer(&headers);
    }
    if admission.demand == Demand::Credentials && !response.headers().contains_key(header::CACHE_CONTROL) {
        // What one caller may see, a shared cache must not show to the next.
        let private = HeaderValue::from_static("private");
        response.headers_mut().insert(header::CACHE_CONTROL, private);
    }
    response
}
