use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, Request, StatusCode, header},
    routing::get,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use filmroom_access::{Action, Directory, NewToken, Owner, Passcode, Role};
use tower::ServiceExt;

use super::{Admission, Demand, Routes, Rule};

const PASSCODE: &str = "the film room at night";

struct Door {
    _data: tempfile::TempDir,
    directory: Arc<Directory>,
    router: Router,
}

fn door(demand: Demand) -> Door {
    let data = tempfile::tempdir().unwrap();
    let directory = Arc::new(Directory::open(data.path()).unwrap());
    let passcode = Passcode::from(PASSCODE.as_bytes().to_vec());
    directory
        .add_account("ada", &passcode, [Role::Viewer].into(), Owner::default())
        .unwrap();
    directory
        .add_account("root", &passcode, [Role::Administrator].into(), Owner::default())
        .unwrap();
    let routes = Routes::new()
        .get(Rule::May(Action::Query), "/studies", || async { "list" })
        .post(Rule::May(Action::Store), "/studies", || async { "stored" })
        .post(Rule::May(Action::Administer), "/peers", || async { "put" })
        .get(Rule::May(Action::ManageAccounts), "/accounts", || async { "accounts" })
        .get(Rule::Open, "/healthz", || async { "alive" })
        .post(Rule::Anew(Action::Query), "/destroy", || async { "gone" })
        .below("/at");
    assert_eq!(routes.table().len(), 6);
    let router = routes
        .around(|router| router.route("/at/forgotten", get(|| async { "patients" })))
        .into_router();
    let router = Admission::new(Arc::clone(&directory), demand, true, filmroom_audit::Trail::off()).before(router);
    Door {
        _data: data,
        directory,
        router,
    }
}

impl Door {
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap) {
        let mut request = Request::builder().method(method).uri(format!("/at{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::empty()).unwrap())
            .await
            .unwrap();
        (response.status(), response.headers().clone())
    }

    async fn check(&self, method: &str, path: &str, headers: &[(&str, &str)], expected: u16) {
        let (status, _) = self.ask(method, path, headers).await;
        assert_eq!(status.as_u16(), expected, "{method} {path} {headers:?}");
    }
}

fn basic(name: &str, passcode: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{passcode}")))
}

#[tokio::test]
async fn roles_decide() {
    let door = door(Demand::Credentials);
    let ada = basic("ada", PASSCODE);
    let root = basic("root", PASSCODE);
    let (ada, root) = ([("authorization", ada.as_str())], [("authorization", root.as_str())]);
    door.check("GET", "/studies", &ada, 200).await;
    door.check("POST", "/studies", &ada, 403).await;
    door.check("POST", "/peers", &ada, 403).await;
    door.check("POST", "/peers", &root, 200).await;
    door.check("GET", "/studies", &root, 403).await;
    door.check("GET", "/healthz", &[], 200).await;
    door.check("GET", "/nowhere", &[], 404).await;
}

#[tokio::test]
async fn who_is_not_known_is_told_how_to_be() {
    let door = door(Demand::Credentials);
    let (status, headers) = door.ask("GET", "/studies", &[]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(headers.get_all(header::WWW_AUTHENTICATE).iter().count(), 2);
    let wrong = basic("ada", "another passcode");
    for shown in [
        wrong.as_str(),
        "Bearer filmroom_0_0",
        "Digest x",
        "Basic %%",
        "Basic",
        "Basic YWRh",
    ] {
        door.check("GET", "/studies", &[("authorization", shown)], 401).await;
        // Nor is what is for all shown to who says something wrong.
        door.check("GET", "/healthz", &[("authorization", shown)], 401).await;
    }
    let ada = basic("ada", PASSCODE);
    let twice = [("authorization", ada.as_str()), ("authorization", ada.as_str())];
    door.check("GET", "/studies", &twice, 401).await;
}

#[tokio::test]
async fn guessing_is_slowed_down() {
    let door = door(Demand::Credentials);
    let wrong = basic("ada", "guess");
    for _ in 0..5 {
        door.check("GET", "/studies", &[("authorization", &wrong)], 401).await;
    }
    let (status, headers) = door.ask("GET", "/studies", &[("authorization", &wrong)]).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert!(headers.contains_key(header::RETRY_AFTER));
}

#[tokio::test]
async fn tokens_and_sessions_are_known() {
    let door = door(Demand::Credentials);
    let day = Duration::from_secs(86_400);
    let (_, text) = door
        .directory
        .add_token(NewToken {
            name: "ct1".to_owned(),
            roles: [Role::Modality].into(),
            life: day,
            ..NewToken::default()
        })
        .unwrap();
    let bearer = format!("Bearer {text}");
    door.check("POST", "/studies", &[("authorization", &bearer)], 200).await;
    door.check("GET", "/studies", &[("authorization", &bearer)], 403).await;

    let passcode = Passcode::from(PASSCODE.as_bytes().to_vec());
    let (key, _) = door
        .directory
        .sign_in("root", &passcode, [127, 0, 0, 1].into())
        .await
        .unwrap();
    let cookie = format!("__Host-filmroom={key}");
    let cookie = ("cookie", cookie.as_str());
    let host = ("host", "pacs.example");
    door.check("GET", "/studies", &[cookie], 403).await;
    door.check(
        "POST",
        "/peers",
        &[cookie, host, ("origin", "https://pacs.example")],
        200,
    )
    .await;
    door.check(
        "POST",
        "/peers",
        &[cookie, host, ("sec-fetch-site", "same-origin")],
        200,
    )
    .await;
    door.check("POST", "/peers", &[cookie, host], 403).await;
    door.check(
        "POST",
        "/peers",
        &[cookie, host, ("origin", "https://evil.example")],
        403,
    )
    .await;
    door.check("POST", "/peers", &[cookie, host, ("sec-fetch-site", "cross-site")], 403)
        .await;
    door.directory.sign_out(&key);
    door.check("GET", "/studies", &[cookie], 401).await;
}

#[tokio::test]
async fn what_cannot_be_taken_back_asks_who_is_there() {
    let door = door(Demand::Credentials);
    let token = door.directory.add_token(NewToken {
        name: "ada".to_owned(),
        roles: [Role::Viewer].into(),
        life: Duration::from_secs(60),
        owner: Some("ada".to_owned()),
        ..NewToken::default()
    });
    let bearer = format!("Bearer {}", token.unwrap().1);
    let (status, headers) = door.ask("POST", "/destroy", &[("authorization", &bearer)]).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let challenges: Vec<_> = headers.get_all(header::WWW_AUTHENTICATE).iter().collect();
    assert!(challenges.iter().any(|one| {
        one.to_str()
            .unwrap()
            .contains("error=\"insufficient_user_authentication\", max_age=\"600\"")
    }));
    door.check("POST", "/destroy", &[("authorization", &basic("ada", PASSCODE))], 200)
        .await;
    door.check("POST", "/destroy", &[("authorization", &basic("root", PASSCODE))], 403)
        .await;
    door.check("POST", "/destroy", &[], 401).await;
    let passcode = Passcode::from(PASSCODE.as_bytes().to_vec());
    let here = [127, 0, 0, 1].into();
    let (key, principal) = door.directory.sign_in("ada", &passcode, here).await.unwrap();
    let cookie = format!("__Host-filmroom={key}");
    let session = [("cookie", cookie.as_str()), ("sec-fetch-site", "same-origin")];
    door.check("POST", "/destroy", &session, 200).await;
    // A minute for which a session is fresh is over at once here.
    let strict = Admission::new(
        Arc::clone(&door.directory),
        Demand::Credentials,
        true,
        filmroom_audit::Trail::off(),
    )
    .fresh_for(Duration::ZERO);
    let routes = Routes::new().post(Rule::Anew(Action::Query), "/at/destroy", || async { "gone" });
    let strict = Door {
        router: strict.before(routes.into_router()),
        ..door
    };
    strict.check("POST", "/destroy", &session, 401).await;
    assert!(principal.may(Action::Query));
}

#[tokio::test]
async fn what_nobody_decided_on_does_not_leave() {
    for demand in [Demand::Nothing, Demand::Credentials] {
        door(demand).check("GET", "/forgotten", &[], 500).await;
    }
}

#[tokio::test]
async fn where_nobody_is_asked_everything_is_answered() {
    let door = door(Demand::Nothing);
    for (method, path) in [("GET", "/studies"), ("POST", "/studies"), ("POST", "/peers")] {
        door.check(method, path, &[("authorization", "Basic nonsense")], 200)
            .await;
    }
    // Whoever works here could else make accounts that outlast the day when somebody is asked.
    door.check("GET", "/accounts", &[], 401).await;
    // Who says who they are is believed by their passcode alone, and may do no less for it.
    let (ada, root) = (basic("ada", PASSCODE), basic("root", PASSCODE));
    door.check("POST", "/studies", &[("authorization", &ada)], 200).await;
    door.check("GET", "/accounts", &[("authorization", &ada)], 403).await;
    door.check("GET", "/accounts", &[("authorization", &root)], 200).await;
    door.check("GET", "/studies", &[("authorization", &basic("ada", "guess"))], 401)
        .await;
    let machine = format!("Bearer {}", door.directory.machine_secret());
    door.check("GET", "/accounts", &[("authorization", &machine)], 200)
        .await;
}
