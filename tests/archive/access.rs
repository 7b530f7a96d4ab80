//! Who is let in: the table of routes against every role, sign-in, tokens, TLS, and what other machines reach.

use std::{collections::BTreeSet, fs, io::Write, net::SocketAddr, path::Path, process::Stdio, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use filmroom::{cli::Server, config::Config};
use filmroom_access::{Action, NewToken, Owner, Passcode, Role};
use filmroom_admission::{Route, Rule};
use filmroom_fixtures::{Instance, ct_head};

use crate::{
    certificates::Authority,
    harness::{Archive, Start, binary, browser, eventually, finish, folder, python, run, write_all},
    web::{Answer, ask},
};

const PASSCODE: &str = "the film room at night";

/// Routes that everybody is answered on. A new one is weighed here before it is open: it may show nothing of any patient.
const OPEN: [&str; 25] = [
    "GET /account",
    "GET /api/v1/openapi.json",
    "GET /api/v1/session",
    "GET /console/console.css",
    "GET /console/console.js",
    "GET /console/icon.svg",
    "GET /dicom-web",
    "GET /dicom-web/",
    "GET /dicom-web/openapi.json",
    "GET /dicom-web/regular",
    "GET /dicom-web/regular/",
    "GET /dicom-web/regular/openapi.json",
    "GET /favicon.ico",
    "GET /healthz",
    "GET /readyz",
    "GET /sign-in",
    "OPTIONS /dicom-web",
    "OPTIONS /dicom-web/",
    "OPTIONS /dicom-web/manager",
    "OPTIONS /dicom-web/manager/",
    "OPTIONS /dicom-web/regular",
    "OPTIONS /dicom-web/regular/",
    "POST /account",
    "POST /sign-in",
    "POST /sign-out",
];

fn filled(path: &str) -> String {
    let mut path = path.to_owned();
    for (parameter, value) in [("{*path}", "00091010"), ("{*id}", "1"), ("{frames}", "1")] {
        path = path.replace(parameter, value);
    }
    while let (Some(start), Some(end)) = (path.find('{'), path.find('}')) {
        path.replace_range(start..=end, "1.2.3");
    }
    path
}

/// Every route, asked by nobody, by somebody with a wrong token, and by each role alone.
#[test]
fn every_route_answers_those_roles_that_may() {
    let folder = folder();
    let mut config = Config::default();
    config.data.folder = folder.path().join("data");
    config.dicom.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.http.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.access.authentication = filmroom::config::Authentication::Required;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let server = runtime.block_on(Server::start(&config)).unwrap();
    let directory = server.admission().directory();
    let day = Duration::from_secs(86_400);
    let tokens: Vec<(Role, String, String)> = Role::ALL
        .iter()
        .map(|role| {
            let code = Passcode::from(PASSCODE.as_bytes().to_vec());
            directory
                .add_account(role.word(), &code, [*role].into(), Owner::default())
                .unwrap();
            // What a person decides a token does for its owner.
            let token = NewToken {
                name: role.word().to_owned(),
                roles: [*role].into(),
                life: day,
                owner: Some(role.word().to_owned()),
                ..NewToken::default()
            };
            let (_, text) = directory.add_token(token).unwrap();
            let person = STANDARD.encode(format!("{role}:{PASSCODE}"));
            (*role, format!("Bearer {text}"), format!("Basic {person}"))
        })
        .collect();
    let http = server.http_address();
    let asked = |route: &Route, token: Option<&str>| {
        let headers: Vec<(&str, &str)> = token.iter().map(|token| ("Authorization", *token)).collect();
        let answer = ask(http, route.method.as_str(), &filled(&route.path), &headers, b"").unwrap();
        assert!(answer.header("x-content-type-options") == Some("nosniff"), "{route:?}");
        assert!(answer.header("content-security-policy").is_some(), "{route:?}");
        answer
    };
    let mut open = BTreeSet::new();
    let mut answered: BTreeSet<(Action, Role)> = BTreeSet::new();
    for route in server.table() {
        let name = format!("{} {}", route.method, route.path);
        let wrong = asked(route, Some("Bearer filmroom_0123456789abcdef_wrong"));
        // Pages lead there where somebody signs in.
        let is_page = |answer: &Answer| {
            let location = answer.header("location").unwrap_or_default();
            answer.status == 303 && location.contains("sign-in")
        };
        assert!(wrong.status == 401 || is_page(&wrong), "{name}: {wrong:?}");
        let nobody = asked(route, None);
        // Preflights say nothing of who asks.
        let also = route.also.filter(|_| route.method != "OPTIONS");
        let Some(action) = route.rule.action().or(also) else {
            open.insert(name);
            assert_ne!(nobody.status, 500, "{route:?}");
            continue;
        };
        assert!(nobody.status == 401 || is_page(&nobody), "{name}: {nobody:?}");
        for (role, token, person) in &tokens {
            let may = role.actions().contains(&action) && also.is_none_or(|also| role.actions().contains(&also));
            let shown = match route.rule {
                // A token is no person who is there.
                Rule::Anew(_) => {
                    let by_token = asked(route, Some(token)).status;
                    assert_eq!(by_token, if may { 401 } else { 403 }, "{name} as {role}");
                    person
                }
                _ => token,
            };
            let answer = asked(route, Some(shown));
            let is_answered = !matches!(answer.status, 401 | 403 | 303);
            assert_eq!(is_answered, may, "{name} as {role}: {answer:?}");
            if is_answered {
                answered.insert((action, *role));
            }
        }
    }
    // Whoever is known may change their own passcode; what that needs is tested apart.
    open.remove("PUT /api/v1/session/passcode");
    open.remove("PUT /api/v1/session/proof");
    assert_eq!(open, OPEN.map(str::to_owned).into());
    // There is a route for all that roles may.
    for role in Role::ALL {
        for action in role.actions() {
            assert!(answered.contains(&(*action, *role)), "{role} may {action:?} nowhere");
        }
    }
    runtime.block_on(server.stop()).unwrap();
}

/// Runs `filmroom user` or `filmroom token` on a data folder, with a line for it to read.
#[track_caller]
fn filmroom(data: &Path, words: &[&str], line: &str) -> String {
    let mut command = binary();
    let mut child = command
        .args(words)
        .arg("--data")
        .arg(data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(format!("{line}\n").as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

/// An archive where callers have to be known, with an administrator, a viewer and a technologist.
fn site() -> (tempfile::TempDir, Start) {
    let home = folder();
    let data = home.path().join("data");
    for (name, role) in [("root", "administrator"), ("ada", "viewer"), ("tess", "technologist")] {
        filmroom(&data, &["user", "add", name, "--role", role], PASSCODE);
    }
    let start = Start::default()
        .in_folder(&data)
        .settings("[access]\nauthentication = \"required\"\n");
    (home, start)
}

fn basic(name: &str, passcode: &str) -> String {
    let text = STANDARD.encode(format!("{name}:{passcode}"));
    format!("Basic {text}")
}

#[track_caller]
fn as_(archive: &Archive, authorization: &str, method: &str, path: &str, body: &[u8]) -> Answer {
    ask(archive.http, method, path, &[("Authorization", authorization)], body).unwrap()
}

/// Without accounts nobody gets in where somebody would have to be known; with them, by what they were made for.
#[test]
fn accounts_and_tokens_are_made_while_the_archive_runs_and_while_it_does_not() {
    let (home, start) = site();
    let data = home.path().join("data");
    let archive = start.start();
    let listed = filmroom(&data, &["user", "list"], "");
    assert!(listed.contains("ada") && listed.contains("technologist"), "{listed}");
    let ada = basic("ada", PASSCODE);
    assert_eq!(as_(&archive, &ada, "GET", "/dicom-web/studies", b"").status, 200);
    assert_eq!(as_(&archive, &ada, "POST", "/dicom-web/studies", b"").status, 403);
    // What is changed while it runs holds at once.
    filmroom(&data, &["user", "add", "eve", "--role", "auditor,viewer"], PASSCODE);
    let eve = basic("eve", PASSCODE);
    assert_eq!(as_(&archive, &eve, "GET", "/dicom-web/studies", b"").status, 200);
    filmroom(&data, &["user", "role", "eve", "auditor"], "");
    assert_eq!(as_(&archive, &eve, "GET", "/dicom-web/studies", b"").status, 403);
    filmroom(&data, &["user", "disable", "eve"], "");
    assert_eq!(as_(&archive, &eve, "GET", "/dicom-web/studies", b"").status, 401);
    filmroom(&data, &["user", "enable", "eve"], "");
    let made_up = filmroom(&data, &["user", "passwd", "eve", "--generate"], "");
    assert_eq!(as_(&archive, &eve, "GET", "/api/v1/session", b"").status, 401);
    let eve = basic("eve", made_up.lines().last().unwrap());
    let session = as_(&archive, &eve, "GET", "/api/v1/session", b"").json();
    assert_eq!(
        (session["name"].as_str(), session["may"][0].as_str()),
        (Some("eve"), Some("read-audit"))
    );
    filmroom(&data, &["user", "remove", "eve"], "");
    assert_eq!(as_(&archive, &eve, "GET", "/api/v1/session", b"").status, 401);
    let token = filmroom(
        &data,
        &["token", "create", "dashboard", "--role", "viewer", "--days", "1"],
        "",
    );
    let bearer = format!("Bearer {}", token.trim());
    assert_eq!(as_(&archive, &bearer, "GET", "/dicom-web/studies", b"").status, 200);
    let kept = fs::metadata(data.join("serving")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&kept.permissions()) & 0o777,
        0o600
    );
    archive.stop();
    let archive = Start::default()
        .in_folder(&data)
        .settings("[access]\nauthentication = \"required\"\n")
        .start();
    assert_eq!(as_(&archive, &bearer, "GET", "/dicom-web/studies", b"").status, 200);
    let listed = filmroom(&data, &["token", "list"], "");
    let id = listed.split_whitespace().next().unwrap();
    // What is imported is sent by somebody.
    let instance = ct_head(1).instances().next().unwrap();
    let files = write_all(&home.path().join("files"), &[instance]);
    let token_file = home.path().join("token");
    let to = format!("http://{}", archive.http);
    let import = |token: &str| {
        fs::write(&token_file, token).unwrap();
        let mut command = binary();
        command
            .args(["import", "--to", &to, "--token-file"])
            .arg(&token_file)
            .args(&files);
        finish(&mut command)
    };
    let refused = import(token.trim());
    assert!(
        !refused.success && refused.text.contains("does not let us store"),
        "{}",
        refused.text
    );
    let modality = filmroom(&data, &["token", "create", "import", "--role", "modality"], "");
    assert!(import(&modality).success);
    assert_eq!(
        as_(&archive, &bearer, "GET", "/dicom-web/studies", b"")
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
    filmroom(&data, &["token", "revoke", id], "");
    assert_eq!(as_(&archive, &bearer, "GET", "/dicom-web/studies", b"").status, 401);
    archive.stop();
    // What was changed while nothing ran is recorded as well.
    filmroom(&data, &["user", "disable", "ada"], "");
    let told = filmroom(&data, &["audit", "export"], "");
    let changes = told
        .lines()
        .filter(|line| line.contains("110137") && line.contains("/api/v1/accounts/"));
    assert!(changes.count() >= 4, "{told}");
    // The last administrator stays.
    let refused = finish(binary().args(["user", "remove", "root", "--data"]).arg(&data));
    assert!(
        !refused.success && refused.text.contains("last account"),
        "{}",
        refused.text
    );
    let weak = finish(
        binary()
            .args(["user", "add", "bob", "--role", "viewer", "--data"])
            .arg(&data),
    );
    assert!(!weak.success && weak.text.contains("characters"), "{}", weak.text);
}

/// Two accounts of one person are one where two persons are asked for, and so is a token that acts for them.
#[test]
fn one_person_does_not_count_twice() {
    let (home, start) = site();
    let data = home.path().join("data");
    let manager = ["--role", "him-manager,legal"];
    for (name, person) in [("may", "p-7"), ("may2", "p-7"), ("carl", "p-8")] {
        let words = [&["user", "add", name, "--person", person], &manager[..]].concat();
        filmroom(&data, &words, PASSCODE);
    }
    let token = filmroom(
        &data,
        &[
            "token",
            "create",
            "desk",
            "--owner",
            "may2",
            "--role",
            "him-manager,administrator",
        ],
        "",
    );
    let bearer = format!("Bearer {}", token.trim());
    let archive = start.start();
    let session = as_(&archive, &bearer, "GET", "/api/v1/session", b"").json();
    assert_eq!(session["person"], "p-7");
    assert_eq!(
        session["roles"].as_array().unwrap().len(),
        1,
        "what the owner may not, it may not: {session}"
    );
    let session = as_(&archive, &basic("may", PASSCODE), "GET", "/api/v1/session", b"").json();
    assert_eq!(
        (&session["person"], &session["proved_seconds_ago"]),
        (&"p-7".into(), &0.into())
    );

    let hold = br#"{"kind": "legal", "matter": "claim 7", "scope": {"study": "1.2.3"}}"#;
    let opened = as_(&archive, &basic("carl", PASSCODE), "POST", "/api/v1/holds", hold);
    assert_eq!(opened.status, 201, "{}", opened.text());
    let release = format!("/api/v1/holds/{}/release", opened.json()["id"].as_str().unwrap());
    let asked = |who: &str| as_(&archive, who, "POST", &release, br#"{"reason": "settled"}"#).status;
    // Noted; another person has to ask, too.
    assert_eq!(asked(&basic("may", PASSCODE)), 202);
    assert_eq!(asked(&basic("may2", PASSCODE)), 403);
    // A token is no person who is there.
    assert_eq!(asked(&bearer), 401);
    assert_eq!(asked(&basic("carl", PASSCODE)), 200);

    filmroom(&data, &["user", "person", "may2", "p-9"], "");
    assert!(filmroom(&data, &["user", "list"], "").contains("of p-9"));
    let session = as_(&archive, &bearer, "GET", "/api/v1/session", b"").json();
    assert_eq!(session["person"], "p-9");
    filmroom(&data, &["user", "disable", "may2"], "");
    assert_eq!(as_(&archive, &bearer, "GET", "/api/v1/session", b"").status, 401);
    archive.stop();
}

#[test]
fn guessing_is_slowed_down_and_told() {
    let (_home, start) = site();
    let archive = start.start();
    let mut waits = 0;
    for guess in 0..8 {
        let answer = as_(
            &archive,
            &basic("ada", &format!("guess {guess}")),
            "GET",
            "/dicom-web/studies",
            b"",
        );
        match answer.status {
            401 => {}
            429 => {
                assert!(answer.header("retry-after").is_some());
                waits += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(waits >= 1);
    // Somebody else at the same place is not kept waiting.
    assert_eq!(
        as_(&archive, &basic("tess", PASSCODE), "GET", "/dicom-web/studies", b"").status,
        200
    );
}

/// The value of a cookie that an answer sets.
fn cookie(answer: &Answer) -> String {
    let set = answer.header("set-cookie").unwrap_or_default();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    set.split(';').next().unwrap_or_default().to_owned()
}

#[test]
fn people_sign_in_on_a_page_and_out_again() {
    let (_home, start) = site();
    let archive = start.start();
    let instance = ct_head(1).instances().next().unwrap();
    let technologist = basic("tess", PASSCODE);
    let (kind, body) = crate::web::multipart(&[&instance.part10]);
    let headers = [
        ("Authorization", technologist.as_str()),
        ("Content-Type", kind.as_str()),
    ];
    assert_eq!(
        ask(archive.http, "POST", "/dicom-web/studies", &headers, &body)
            .unwrap()
            .status,
        200
    );

    let page = format!("/studies/{}", instance.study_instance_uid);
    let asked = ask(archive.http, "GET", &page, &[], b"").unwrap();
    assert_eq!(asked.status, 303, "{asked:?}");
    assert!(
        asked.header("location").unwrap().starts_with("../sign-in?next=studies"),
        "{asked:?}"
    );
    let shown = ask(archive.http, "GET", "/sign-in?next=studies%2F1.2", &[], b"").unwrap();
    assert!(
        shown.status == 200 && shown.text().contains("name=\"passcode\""),
        "{}",
        shown.text()
    );
    let policy = shown.header("content-security-policy").unwrap_or_default();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );

    let origin = format!("http://{}", archive.http);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let sign_in = |origin: &str, passcode: &str| {
        let body = format!("name=ada&passcode={}&next={}", passcode.replace(' ', "+"), &page[1..]);
        ask(
            archive.http,
            "POST",
            "/sign-in",
            &[form, ("Origin", origin)],
            body.as_bytes(),
        )
        .unwrap()
    };
    assert_eq!(sign_in(&origin, "another one altogether").status, 403);
    assert_eq!(sign_in("http://evil.example", PASSCODE).status, 403);
    let entered = sign_in(&origin, PASSCODE);
    assert_eq!((entered.status, entered.header("location")), (303, Some(&page[1..])));
    let session = cookie(&entered);
    let with = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let mut all = vec![("Cookie", session.as_str())];
        all.extend(headers);
        ask(archive.http, method, path, &all, body).unwrap()
    };
    let seen = with("GET", &page, &[], b"");
    assert_eq!((seen.status, seen.header("cache-control")), (200, Some("no-store")));
    let preview = format!("/dicom-web{page}/thumbnail");
    assert_eq!(with("GET", &preview, &[], b"").status, 200);
    assert_eq!(ask(archive.http, "GET", &preview, &[], b"").unwrap().status, 401);
    // A viewer has no account to look at, and no page of elsewhere acts in its name.
    assert_eq!(with("GET", "/api/v1/accounts", &[], b"").status, 403);
    assert_eq!(
        with("POST", "/sign-out", &[("Origin", "http://evil.example")], b"").status,
        403
    );
    assert_eq!(with("GET", &page, &[], b"").status, 200);
    let json = ("Content-Type", "application/json");
    let proof = |passcode: &str| {
        let body = format!("{{\"passcode\": \"{passcode}\"}}");
        with(
            "PUT",
            "/api/v1/session/proof",
            &[json, ("Origin", &origin)],
            body.as_bytes(),
        )
        .status
    };
    assert_eq!((proof("a guess"), proof(PASSCODE)), (403, 204));
    assert_eq!(with("GET", "/api/v1/session", &[], b"").json()["known_by"], "session");
    let change = format!("{{\"current\": \"{PASSCODE}\", \"new\": \"the film room at noon\"}}");
    let changed = |headers: &[(&str, &str)]| with("PUT", "/api/v1/session/passcode", headers, change.as_bytes()).status;
    assert_eq!(changed(&[json]), 403);
    assert_eq!(changed(&[json, ("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(changed(&[json, ("Origin", &origin)]), 204);
    // The session began by the passcode before.
    assert_eq!(with("GET", &preview, &[], b"").status, 401);
    assert_eq!(sign_in(&origin, PASSCODE).status, 403);
    let entered = sign_in(&origin, "the film room at noon");
    let session = cookie(&entered);
    let headers = [("Cookie", session.as_str()), ("Origin", origin.as_str())];
    let left = ask(archive.http, "POST", "/sign-out", &headers, b"").unwrap();
    assert!(
        left.status == 303 && left.header("set-cookie").unwrap().contains("Max-Age=0"),
        "{left:?}"
    );
    assert_eq!(ask(archive.http, "GET", &preview, &headers, b"").unwrap().status, 401);
    // All of it is in the audit trail, by name.
    filmroom(&archive.data(), &["user", "add", "otto", "--role", "auditor"], PASSCODE);
    let auditor = basic("otto", PASSCODE);
    let told = |query: &str| {
        let answer = as_(
            &archive,
            &auditor,
            "GET",
            &format!("/fhir/AuditEvent?_count=100&{query}"),
            b"",
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
        let entries = answer.json()["entry"].as_array().cloned().unwrap_or_default();
        let events = entries.iter().map(|entry| {
            let event = &entry["resource"];
            let agents = event["agent"].as_array().cloned().unwrap_or_default();
            let who = agents.iter().find(|agent| agent["requestor"] == true);
            let who = who.map_or("", |agent| {
                let id = agent["who"]["identifier"]["value"].as_str();
                id.or(agent["altId"].as_str())
                    .or(agent["name"].as_str())
                    .unwrap_or_default()
            });
            let codes: Vec<&str> = event["subtype"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|code| code["code"].as_str())
                .collect();
            let kind = event["type"]["code"].as_str().unwrap_or_default();
            format!(
                "{kind} {} {} {who}",
                codes.join(","),
                event["outcome"].as_str().unwrap_or_default()
            )
        });
        events.collect::<BTreeSet<String>>()
    };
    let all = told("");
    for expected in [
        "110114 110122 0 ada",          // signed in
        "110114 110123 0 ada",          // and out
        "110114 110122 0 tess",         // with a request
        "110113 110126 8 ada",          // was turned away
        "110113 110126 8 127.0.0.1",    // as was who said nothing
        "110113 110137 0 ada",          // has another passcode
        "110113 110137 0 this machine", // made an account
        "110102  0 ada",                // saw a study
        "110102  0 tess",               // sent it
    ] {
        assert!(all.contains(expected), "no {expected:?} in {all:#?}");
    }
    // Nothing of it is in the log.
    let log = archive.log();
    for secret in [
        PASSCODE,
        "another one altogether",
        session.split('=').nth(1).unwrap(),
        "ada:",
    ] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

/// The same with a browser, over what it does by itself: cookies, policies, pages of elsewhere.
#[test]
fn a_person_signs_in_with_a_browser() {
    let (home, start) = site();
    let archive = start.start();
    let instances: Vec<Instance> = ct_head(1).instances().step_by(30).collect();
    let token_file = home.path().join("token");
    let token = filmroom(&archive.data(), &["token", "create", "ct", "--role", "modality"], "");
    fs::write(&token_file, token).unwrap();
    run(binary()
        .args(["import", "--to", &format!("http://{}", archive.http), "--token-file"])
        .arg(&token_file)
        .args(write_all(&home.path().join("files"), &instances)));
    let (mut person, chromium) = browser("sign_in.mjs");
    let output = run(person
        .arg(format!("http://{}", archive.http))
        .arg(instances[0].study_instance_uid.as_str())
        .args(["ada", PASSCODE])
        .arg(chromium));
    let line = output.lines().rev().find(|line| line.starts_with('{')).unwrap();
    let seen: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(seen["errors"], serde_json::json!([]), "{seen}");
    assert_eq!(seen["led_to"], "/sign-in", "{seen}");
    assert!(
        seen["wrong"].as_str().unwrap().contains("do not belong together"),
        "{seen}"
    );
    assert_eq!(
        (&seen["own"], &seen["after_foreign"]),
        (&200.into(), &200.into()),
        "{seen}"
    );
    assert_eq!(seen["script_sees"], "", "{seen}");
    assert_ne!(seen["foreign_read"], 200, "{seen}");
    assert_eq!(
        (&seen["account"], &seen["after"]),
        (&"ada".into(), &401.into()),
        "{seen}"
    );
    assert_eq!(seen["back"], true, "{seen}");
}

/// Where nobody is asked who they are, nobody makes accounts but the user that runs the archive.
#[test]
fn on_loopback_it_works_without_accounts_and_makes_none_for_others() {
    let archive = Archive::start();
    assert_eq!(ask(archive.http, "GET", "/", &[], b"").unwrap().status, 200);
    assert_eq!(ask(archive.http, "GET", "/api/v1/peers", &[], b"").unwrap().status, 200);
    let account = format!("{{\"passcode\": \"{PASSCODE}\", \"roles\": [\"administrator\"]}}");
    let made = ask(archive.http, "PUT", "/api/v1/accounts/eve", &[], account.as_bytes()).unwrap();
    // How to become somebody who may is told.
    assert_eq!(made.status, 401, "{made:?}");
    assert!(made.text().contains("filmroom user add"), "{made:?}");
    filmroom(
        &archive.data(),
        &["user", "add", "ada", "--role", "administrator"],
        PASSCODE,
    );
    assert!(filmroom(&archive.data(), &["user", "list"], "").contains("ada"));
}

#[test]
fn other_machines_are_answered_by_tls_and_to_known_callers_alone() {
    let home = folder();
    let data = home.path().join("data");
    let serve = |more: &[&str]| {
        let mut command = binary();
        command
            .args(["serve", "--dicom", "127.0.0.1:0", "--http", "0.0.0.0:0"])
            .args(more)
            .arg("--data")
            .arg(&data);
        finish(&mut command)
    };
    let refused = serve(&[]);
    for step in [
        "0.0.0.0:0",
        "http.tls_certificate",
        "filmroom user add NAME --role administrator",
    ] {
        assert!(!refused.success && refused.text.contains(step), "{}", refused.text);
    }
    assert!(!serve(&["--insecure=dicom"]).success);
    assert!(!serve(&["--set", "access.authentication=off"]).success);
    assert!(!data.exists());
}

/// Settings for HTTP by TLS, on every address.
fn tls(issued: &crate::certificates::Issued) -> String {
    format!(
        "[http]\ntls_certificate = {:?}\ntls_key = {:?}\n",
        issued.certificate, issued.key
    )
}

/// dicomweb-client and requests over TLS, with passcode, token and session; HTTP/2; certificates that change.
#[test]
fn web_clients_are_known_over_tls() {
    let (home, start) = site();
    let data = home.path().join("data");
    let authority = Authority::new(home.path(), "authority");
    let issued = authority.issue(home.path(), "archive");
    let archive = start.settings(&tls(&issued)).start();
    assert!(archive.log().contains("https://"), "{}", archive.log());
    let token = filmroom(&data, &["token", "create", "viewer", "--role", "viewer,modality"], "");
    let instances: Vec<Instance> = ct_head(1).instances().skip(10).step_by(12).collect();
    let files = write_all(&home.path().join("files"), &instances);
    run(python("access.py")
        .arg(format!("https://{}", archive.http))
        .arg(&authority.path)
        .arg(PASSCODE)
        .arg(token.trim())
        .args(files));
    // Whoever forgets the s is told.
    let plain = ask(archive.http, "GET", "/", &[], b"").unwrap();
    assert!(plain.status == 400 && plain.text().contains("https"), "{plain:?}");
    // Another certificate is shown without a restart.
    let before = shown(&archive);
    let again = authority.issue(home.path(), "archive");
    assert_eq!(again.certificate, issued.certificate);
    eventually("the new certificate is shown", || {
        (shown(&archive) != before).then_some(())
    });
    let log = archive.log();
    for secret in [PASSCODE, token.trim()] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

/// The certificate that the archive shows.
fn shown(archive: &Archive) -> String {
    let address = archive.http;
    run(python("certificate.py").args([address.ip().to_string(), address.port().to_string()]))
}
