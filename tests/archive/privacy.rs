//! Who sees what: labels, grants and emergencies, on every route and over DIMSE. What somebody does not see is not there.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, process::Command, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use filmroom::{cli::Server, config::Config};
use filmroom_access::{NewToken, Owner, Passcode, Role};
use filmroom_admission::{Route, Rule};
use filmroom_fixtures::{Instance, catalogue};
use serde_json::{Value, json};

use crate::{
    harness::{Archive, Start, binary, folder, python, run},
    web::{Answer, ask, multipart},
};

const PASSCODE: &str = "the film room at night";

/// A study of one image, of this place in the catalogue.
fn image(slug: &str) -> Instance {
    let study = catalogue(7).into_iter().find(|study| study.slug == slug).unwrap();
    study.instances().next().unwrap()
}

/// The path of a route, of one instance.
fn filled(path: &str, of: &Instance) -> String {
    let path = path
        .replace("{study}", &of.study_instance_uid)
        .replace("{series}", &of.series_instance_uid)
        .replace("{instance}", &of.sop_instance_uid)
        .replace("{frames}", "1")
        .replace("{*path}", "7FE00010");
    match path.ends_with("/wado") {
        true => format!(
            "{path}?requestType=WADO&studyUID={}&seriesUID={}&objectUID={}",
            of.study_instance_uid, of.series_instance_uid, of.sop_instance_uid
        ),
        false => path,
    }
}

/// One like it that was never stored.
fn absent(of: &Instance) -> Instance {
    let other = |uid: &str| {
        let last = if uid.ends_with('7') { '8' } else { '7' };
        format!("{}{last}", &uid[..uid.len() - 1])
    };
    Instance {
        study_instance_uid: other(&of.study_instance_uid),
        series_instance_uid: other(&of.series_instance_uid),
        sop_instance_uid: other(&of.sop_instance_uid),
        ..of.clone()
    }
}

/// Everything that somebody is told, but when; what is named in it as of the one that is there.
fn told(answer: &Answer, asked: &Instance, of: &Instance) -> (u16, Vec<(String, String)>, String) {
    let plain = |text: &str| {
        text.replace(&asked.study_instance_uid, &of.study_instance_uid)
            .replace(&asked.series_instance_uid, &of.series_instance_uid)
            .replace(&asked.sop_instance_uid, &of.sop_instance_uid)
    };
    let headers = answer.headers.iter().filter(|(name, _)| name != "date");
    let headers = headers.map(|(name, value)| (name.clone(), plain(value)));
    (answer.status, headers.collect(), plain(&answer.text()))
}

/// Every route that names a study or shows several, asked by each role for a study as all, for a protected one, and for none.
#[test]
fn what_is_not_seen_is_not_there_on_any_route() {
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
    let code = Passcode::from(PASSCODE.as_bytes().to_vec());
    let mut shown: BTreeMap<(Role, bool), String> = BTreeMap::new();
    for role in Role::ALL {
        let token = NewToken {
            name: role.word().to_owned(),
            roles: [*role].into(),
            life: Duration::from_secs(3600),
            ..NewToken::default()
        };
        let (_, text) = directory.add_token(token).unwrap();
        directory
            .add_account(role.word(), &code, [*role].into(), Owner::default())
            .unwrap();
        let person = STANDARD.encode(format!("{role}:{PASSCODE}"));
        shown.insert((*role, false), format!("Bearer {text}"));
        shown.insert((*role, true), format!("Basic {person}"));
    }
    let http = server.http_address();
    let send = |role: Role, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
        let mut all = vec![("Authorization", shown[&(role, false)].as_str())];
        all.extend(headers);
        ask(http, method, path, &all, body).unwrap()
    };
    let (plain, hidden) = (image("dx-chest"), image("cr-chest"));
    let (kind, body) = multipart(&[&plain.part10, &hidden.part10]);
    let stored = send(
        Role::Modality,
        "POST",
        "/dicom-web/studies",
        &[("Content-Type", &kind)],
        &body,
    );
    assert_eq!(stored.status, 200, "{}", stored.text());
    let labels = format!("/api/v1/studies/{}/labels", hidden.study_instance_uid);
    let body = br#"{"labels": ["vip"], "reason": "asked for"}"#;
    assert_eq!(send(Role::PrivacyOfficer, "PUT", &labels, &[], body).status, 200);

    let nowhere = absent(&hidden);
    let (mut compared, mut seen) = (0, 0);
    for route in server.table() {
        let names_study =
            ["{study}", "{series}"].iter().any(|name| route.path.contains(name)) || route.path.ends_with("/wado");
        let Some(action) = route.rule.action() else { continue };
        for role in Role::ALL.iter().filter(|role| role.actions().contains(&action)) {
            let is_cleared = role.sees_labelled();
            let asked = |of: &Instance, headers: &[(&str, &str)]| {
                let person = matches!(route.rule, Rule::Anew(_));
                let mut all = vec![("Authorization", shown[&(*role, person)].as_str())];
                all.extend(headers);
                ask(http, route.method.as_str(), &filled(&route.path, of), &all, b"").unwrap()
            };
            let name = |route: &Route| format!("{} {} as {role}", route.method, route.path);
            if !names_study {
                // A list: what it shows of the plain study it does not show of the other.
                if route.method == "GET" {
                    let list = asked(&plain, &[]).text();
                    let shows = |of: &Instance| list.contains(&of.study_instance_uid);
                    assert!(is_cleared || !shows(&hidden), "{}: {list}", name(route));
                    // A page of the audit log is about what was done last, not about every study.
                    let is_of_studies = !route.path.to_ascii_lowercase().contains("audit");
                    let is_shown = is_of_studies && shows(&plain) && !role.sees_granted_alone();
                    assert!(!is_cleared || !is_shown || shows(&hidden), "{}: {list}", name(route));
                }
                continue;
            }
            if is_cleared {
                continue;
            }
            if route.method == "GET" {
                // What whoever sees it would be told to have already.
                let cleared = send(Role::HimManager, "GET", &filled(&route.path, &hidden), &[], b"");
                let tag = cleared.header("etag").unwrap_or("\"none\"").to_owned();
                let had = [("If-None-Match", tag.as_str())];
                for headers in [&[][..], &had[..]] {
                    let (there, not) = (asked(&hidden, headers), asked(&nowhere, headers));
                    assert_eq!(
                        told(&there, &hidden, &hidden),
                        told(&not, &nowhere, &hidden),
                        "{}",
                        name(route)
                    );
                    compared += 1;
                }
            }
            let open = asked(&plain, &[]);
            if route.method == "GET" && !role.sees_granted_alone() && open.status == 200 && open.body.len() > 2 {
                seen += 1;
            }
        }
    }
    assert!(compared > 100 && seen > 50, "{compared} compared, {seen} seen");
    // Nor does one who has the SOP Instance UID alone get anything by it.
    let by_uid = format!("/dicom-web/wado?requestType=WADO&objectUID={}", hidden.sop_instance_uid);
    assert_eq!(send(Role::Viewer, "GET", &by_uid, &[], b"").status, 404);
    let beside = format!(
        "/dicom-web/studies/{}/series/{}/instances/{}",
        plain.study_instance_uid, hidden.series_instance_uid, hidden.sop_instance_uid
    );
    assert_eq!(send(Role::Viewer, "GET", &beside, &[], b"").status, 404);
    assert_eq!(send(Role::HimManager, "GET", &by_uid, &[], b"").status, 200);
    runtime.block_on(server.stop()).unwrap();
}

fn filmroom(data: &Path, token: &str, words: &[&str]) -> String {
    run(command(data, words).env("FILMROOM_TOKEN", token))
}

fn command(data: &Path, words: &[&str]) -> Command {
    let mut command = binary();
    command.args(words).arg("--data").arg(data);
    command
}

/// An archive with a viewer, a technologist and a privacy officer, that holds a plain study and one of a very important person.
struct Site {
    archive: Archive,
    plain: Instance,
    hidden: Instance,
    officer: String,
    _home: tempfile::TempDir,
}

impl Site {
    fn new(settings: &str) -> Self {
        let home = folder();
        let data = home.path().join("data");
        let mut passcodes = BTreeMap::new();
        for (name, role) in [
            ("ada", "viewer"),
            ("eve", "viewer"),
            ("tess", "technologist"),
            ("pat", "privacy-officer"),
            ("root", "administrator"),
        ] {
            let made = run(&mut command(
                &data,
                &["user", "add", name, "--role", role, "--generate"],
            ));
            passcodes.insert(name, made.lines().last().unwrap().to_owned());
        }
        let words = ["token", "create", "desk", "--owner", "pat", "--role", "privacy-officer"];
        let officer = run(&mut command(&data, &words)).trim().to_owned();
        let settings = format!("[access]\nauthentication = \"required\"\n{settings}");
        let archive = Start::default().in_folder(&data).settings(&settings).start();
        let site = Self {
            archive,
            plain: image("dx-chest"),
            hidden: image("cr-chest"),
            officer,
            _home: home,
        };
        PASSCODES.with_borrow_mut(|all| all.extend(passcodes));
        let (kind, body) = multipart(&[&site.plain.part10, &site.hidden.part10]);
        let tess = basic("tess");
        let headers = [("Authorization", tess.as_str()), ("Content-Type", kind.as_str())];
        let stored = ask(site.archive.http, "POST", "/dicom-web/studies", &headers, &body).unwrap();
        assert_eq!(stored.status, 200);
        site
    }

    #[track_caller]
    fn ask(&self, who: &str, method: &str, path: &str, body: Value) -> Answer {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        let headers = [("Authorization", who), ("Content-Type", "application/json")];
        ask(self.archive.http, method, path, &headers, body.as_bytes()).unwrap()
    }

    fn sees(&self, who: &str, of: &Instance) -> bool {
        let listed = self.ask(who, "GET", "/dicom-web/studies", Value::Null);
        let is_listed = listed.text().contains(&of.study_instance_uid);
        let preview = format!("/dicom-web/studies/{}/thumbnail", of.study_instance_uid);
        let preview = self.ask(who, "GET", &preview, Value::Null).status;
        assert_eq!(preview, if is_listed { 200 } else { 404 });
        is_listed
    }

    fn privacy(&self, words: &[&str]) -> String {
        let words = [&["privacy"], words].concat();
        filmroom(&self.archive.data(), &self.officer, &words)
    }

    /// What somebody finds and fetches over DIMSE of the protected study; nobody where no name is given.
    fn over_dimse(&self, name: &str) -> Value {
        let passcode = PASSCODES.with_borrow(|all| all.get(name).cloned().unwrap_or_default());
        let told = run(python("privacy.py").arg(self.archive.dicom.port().to_string()).args([
            &self.hidden.study_instance_uid,
            &self.hidden.series_instance_uid,
            &self.hidden.sop_instance_uid,
            name,
            &passcode,
        ]));
        serde_json::from_str(told.lines().last().unwrap()).unwrap()
    }
}

thread_local! {
    static PASSCODES: std::cell::RefCell<BTreeMap<&'static str, String>> = const { std::cell::RefCell::new(BTreeMap::new()) };
}

fn basic(name: &str) -> String {
    let passcode = PASSCODES.with_borrow(|all| all[name].clone());
    format!("Basic {}", STANDARD.encode(format!("{name}:{passcode}")))
}

#[test]
fn a_protected_study_opens_in_an_emergency_for_a_time() {
    let site = Site::new("");
    let (ada, eve) = (basic("ada"), basic("eve"));
    assert!(site.sees(&ada, &site.hidden));
    let study = site.hidden.study_instance_uid.as_str();
    let labelled = site.privacy(&["label", study, "vip", "part2", "--reason", "asked for"]);
    assert_eq!(labelled.trim(), "vip, part2");
    assert!(!site.sees(&ada, &site.hidden) && site.sees(&ada, &site.plain));

    // What comes to it later is protected as well, and who has it at the modality may send it.
    let again = multipart(&[&site.hidden.part10]);
    let headers = [("Authorization", basic("tess")), ("Content-Type", again.0.clone())];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(
        ask(site.archive.http, "POST", "/dicom-web/studies", &headers, &again.1)
            .unwrap()
            .status,
        200
    );
    assert!(!site.sees(&ada, &site.hidden));

    let take = |who: &str, code: &str| {
        let body = json!({ "scope": { "study": study }, "code": code, "reason": "collapsed at the ward" });
        site.ask(who, "POST", "/api/v1/emergencies", body)
    };
    assert_eq!(take(&ada, "curious").status, 400);
    assert_eq!(take(&basic("root"), "on-call").status, 403);
    let taken = take(&ada, "emergency-treatment");
    assert_eq!(taken.status, 201, "{}", taken.text());
    assert!(site.sees(&ada, &site.hidden) && !site.sees(&eve, &site.hidden));
    let page = site.ask(&ada, "GET", "/", Value::Null).text();
    assert!(page.contains("Emergency access"), "{page}");
    let session = site.ask(&ada, "GET", "/api/v1/session", Value::Null).json();
    assert_eq!(session["emergencies"][0]["scope"]["study"], study);
    let id = taken.json()["id"].as_str().unwrap().to_owned();
    let review = |who: &str| {
        let body = json!({ "finding": "justified", "text": "on duty" });
        site.ask(who, "POST", &format!("/api/v1/emergencies/{id}/review"), body)
            .status
    };
    // Whose it is gives it back before its time; nobody else.
    let ended = |who: &str| {
        site.ask(who, "DELETE", &format!("/api/v1/emergencies/{id}"), Value::Null)
            .status
    };
    assert_eq!((ended(&eve), ended(&ada)), (404, 204));
    assert!(!site.sees(&ada, &site.hidden));
    assert!(
        site.privacy(&["emergencies", "--unreviewed"])
            .contains("collapsed at the ward")
    );
    assert_eq!(review(&ada), 403);
    site.privacy(&["review", &id, "justified", "--text", "was on duty"]);
    assert!(!site.privacy(&["emergencies", "--unreviewed"]).contains(&id));

    // Both ends are alerts in the audit trail, and so is what was labelled.
    let Site {
        archive, _home: home, ..
    } = site;
    archive.stop();
    let told = run(&mut command(&home.path().join("data"), &["audit", "export"]));
    for code in ["110127", "110138", "110135"] {
        assert!(told.contains(code), "{code} is missing");
    }
}

#[test]
fn users_of_dicom_nodes_see_what_they_see_elsewhere() {
    let site = Site::new("");
    let (plain, hidden) = (&site.plain, &site.hidden);
    let everything = site.over_dimse("ada");
    assert_eq!(everything["studies"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&everything["study"], &everything["relational"]),
        (&1.into(), &1.into())
    );
    assert_eq!(everything["received"], 3, "{everything}");

    site.privacy(&[
        "label",
        &hidden.study_instance_uid,
        "sensitive",
        "--reason",
        "asked for",
    ]);
    for who in ["ada", ""] {
        let seen = site.over_dimse(who);
        assert_eq!(seen["studies"], json!([plain.study_instance_uid]), "{who}");
        for of in ["study", "series", "instance", "relational", "received"] {
            assert_eq!(seen[of], 0, "{who} {of}: {seen}");
        }
        let patients = seen["patients"].as_array().unwrap();
        assert_eq!(patients.len(), 1, "{seen}");
        // As of a study that is not there.
        assert_eq!(seen["get"], json!([[0, 0, 0], [0, 0, 0], [0, 0, 0]]), "{seen}");
    }
    site.privacy(&["grant", "ada", "--label", "sensitive", "--reason", "of the team"]);
    assert_eq!(site.over_dimse("ada")["received"], 3);
    assert_eq!(site.over_dimse("eve")["received"], 0);

    // Who is confined sees what was granted, and their list is made of that.
    run(&mut command(&site.archive.data(), &["user", "confine", "eve"]));
    let eve = basic("eve");
    assert!(!site.sees(&eve, plain) && !site.sees(&eve, hidden));
    assert_eq!(site.over_dimse("eve")["studies"], json!([]));
    let granted = site.privacy(&[
        "grant",
        "eve",
        "--study",
        &hidden.study_instance_uid,
        "--reason",
        "referred",
    ]);
    assert!(!site.sees(&eve, plain) && site.sees(&eve, hidden));
    assert_eq!(site.over_dimse("eve")["studies"], json!([hidden.study_instance_uid]));
    site.privacy(&["revoke", granted.trim()]);
    assert!(!site.sees(&eve, hidden));
    site.archive.stop();
}
