//! Routes, each with the decision on who is answered. A door that is made of them has no route without one.

use std::time::Duration;

use axum::{
    Router,
    extract::{Request, State},
    handler::Handler,
    http::{Method, header},
    middleware::{self, Next},
    response::Response,
    routing::{MethodFilter, on},
};

use filmroom_access::{Action, KnownBy, Principal, Strength};
use futures_util::StreamExt;

use filmroom_privacy::Sight;

use super::{Caller, Decided, Deciding, FRESH_FOR, Refusal, Seen};

/// Who is answered on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Everybody: the answer shows nothing of any patient, and nothing of how the archive is run.
    Open,
    /// Who may do this.
    May(Action),
    /// Who may do this, and proved by passcode or better, a moment ago, that they are there (`access.step_up_within`): what cannot
    /// be taken back. No token does.
    Anew(Action),
}

impl Rule {
    /// What somebody has to be let do; `None` where everybody is answered.
    #[must_use]
    pub fn action(self) -> Option<Action> {
        match self {
            Self::Open => None,
            Self::May(action) | Self::Anew(action) => Some(action),
        }
    }

    /// The decision on who is known.
    fn refuses(self, principal: &Principal, fresh_for: Duration) -> Option<Refusal> {
        if self.action().is_some_and(|action| !principal.may(action)) {
            return Some(match principal.known_by {
                KnownBy::Nothing => Refusal::Nobody,
                _ => Refusal::NotLet,
            });
        }
        let is_anew = matches!(self, Self::Anew(_));
        (is_anew && !principal.proved_within(fresh_for, Strength::Passcode)).then_some(Refusal::ProveAnew(fresh_for))
    }
}

/// A route as it stands in the table of a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Its method; `GET` stands for `HEAD` too.
    pub method: Method,
    /// Its path, with parameters in braces.
    pub path: String,
    /// Who is answered.
    pub rule: Rule,
    /// What they have to be let do beside.
    pub also: Option<Action>,
}

/// The routes of a door, and the table of them.
#[derive(Debug, Clone)]
pub struct Routes<S = ()> {
    router: Router<S>,
    table: Vec<Route>,
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self {
            router: Router::new(),
            table: Vec::new(),
        }
    }
}

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route for a method.
    #[must_use]
    pub fn on<H, T>(mut self, rule: Rule, method: Method, path: &str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        // Every method that is routed here has a filter; one that has none would answer nobody.
        if let Ok(filter) = MethodFilter::try_from(method.clone()) {
            let route = on(filter, handler).route_layer(
                middleware::from_fn_with_state::<_, _, (State<Rule>, Request)>(rule, decide),
            );
            self.router = self.router.route(path, route);
            self.table.push(Route {
                method,
                path: path.to_owned(),
                rule,
                also: None,
            });
        }
        self
    }

    /// Adds a route for `GET` and `HEAD`.
    #[must_use]
    pub fn get<H: Handler<T, S>, T: 'static>(self, rule: Rule, path: &str, handler: H) -> Self {
        self.on(rule, Method::GET, path, handler)
    }

    /// Adds a route for `POST`.
    #[must_use]
    pub fn post<H: Handler<T, S>, T: 'static>(self, rule: Rule, path: &str, handler: H) -> Self {
        self.on(rule, Method::POST, path, handler)
    }

    /// Adds a route for `PUT`.
    #[must_use]
    pub fn put<H: Handler<T, S>, T: 'static>(self, rule: Rule, path: &str, handler: H) -> Self {
        self.on(rule, Method::PUT, path, handler)
    }

    /// Adds a route for `DELETE`.
    #[must_use]
    pub fn delete<H: Handler<T, S>, T: 'static>(self, rule: Rule, path: &str, handler: H) -> Self {
        self.on(rule, Method::DELETE, path, handler)
    }

    /// Adds the routes of another.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.table.extend(other.table);
        self
    }

    /// Puts all routes below a path.
    #[must_use]
    pub fn below(self, prefix: &str) -> Self {
        let table = self.table.into_iter().map(|route| Route {
            // As `nest` has it: the root of what is nested is the prefix itself.
            path: match route.path.as_str() {
                "/" => prefix.to_owned(),
                path => format!("{prefix}{path}"),
            },
            ..route
        });
        Self {
            table: table.collect(),
            router: Router::new().nest(prefix, self.router),
        }
    }

    /// Changes the router around the routes: layers, fallbacks, state. A route that is added in it is not in the table, and its
    /// answers are kept back.
    #[must_use]
    pub fn around<S2>(self, change: impl FnOnce(Router<S>) -> Router<S2>) -> Routes<S2> {
        Routes {
            router: change(self.router),
            table: self.table,
        }
    }

    /// Asks for a further thing that who is answered has to be let do, whatever else the routes ask for.
    #[must_use]
    pub fn also(self, action: Action) -> Self {
        let mut routes = self.around(|router| {
            router.layer(middleware::from_fn_with_state::<_, _, (State<Rule>, Request)>(
                Rule::May(action),
                also,
            ))
        });
        for route in &mut routes.table {
            route.also = Some(action);
        }
        routes
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &[Route] {
        &self.table
    }

    /// The router alone, for [`super::Admission::before`] to stand before.
    pub fn into_router(self) -> Router<S> {
        self.router
    }
}

async fn also(rule: State<Rule>, request: Request, next: Next) -> Response {
    match *request.method() {
        // Preflights say nothing of who asks.
        Method::OPTIONS => next.run(request).await,
        _ => decide(rule, request, next).await,
    }
}

async fn decide(State(rule): State<Rule>, mut request: Request, next: Next) -> Response {
    let refusal = match (rule, request.extensions().get::<Caller>()) {
        (_, Some(Caller(Err(refusal)))) => refusal.clone(),
        (Rule::Open, Some(Caller(Ok(_)))) => return decided(request, next).await,
        (_, Some(Caller(Ok(Some(principal))))) => {
            let deciding = request.extensions().get::<Deciding>();
            match rule.refuses(principal, deciding.map_or(FRESH_FOR, |deciding| deciding.fresh_for)) {
                Some(refusal) => refusal,
                None => {
                    let privacy = deciding.and_then(|deciding| deciding.privacy.as_ref());
                    let sight = match (privacy, rule.action()) {
                        (Some(privacy), Some(action)) => privacy.sight(principal, action),
                        _ => Sight::all(),
                    };
                    request.extensions_mut().insert(Seen(sight));
                    return decided(request, next).await;
                }
            }
        }
        (_, Some(Caller(Ok(None)))) => Refusal::Unknown,
        (_, None) => Refusal::Undecided,
    };
    let answer = refusal.answer(request.headers());
    let_finish(request).await;
    answer
}

/// Most that is still taken of a refused upload, in bytes, and for how long: a connection that is closed while its client sends
/// is reset, and the client does not hear why.
const UNHEARD_BYTES_MAX: usize = 1 << 20;
const UNHEARD_FOR: Duration = Duration::from_secs(2);

async fn let_finish(request: Request) {
    // Who asks first sends nothing unless the body is looked at.
    if request.headers().contains_key(header::EXPECT) {
        return;
    }
    let mut body = request.into_body().into_data_stream();
    let finish = async {
        let mut taken = 0;
        while let Some(Ok(bytes)) = body.next().await {
            taken += bytes.len();
            if taken > UNHEARD_BYTES_MAX {
                break;
            }
        }
    };
    // Late or long, the answer is the same.
    let _ = tokio::time::timeout(UNHEARD_FOR, finish).await;
}

async fn decided(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(Decided);
    response
}
