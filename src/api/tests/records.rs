//! Facts, holds, policies and disposal by HTTP.

use base64::{Engine, engine::general_purpose::STANDARD};
use filmroom_access::{NewToken, Passcode, Role};

use super::*;

const PACK: &str = "pack = \"house\"\nversion = \"1\"\neffective_from = 2000-01-01\nrule = [{ id = \"five\", class = \"min\", keep = [{ from = \"study.date\", for = \"P5Y\" }] }]\n";

const PASSCODE: &str = "the film room at night";

/// What somebody shows.
type Shown = (&'static str, String);

impl Api {
    /// Somebody with an account.
    fn person(&self, name: &str, role: Role) -> Shown {
        let passcode = Passcode::from(PASSCODE.as_bytes().to_vec());
        self.directory
            .add_account(name, &passcode, [role].into(), filmroom_access::Owner::default())
            .unwrap();
        let shown = STANDARD.encode(format!("{name}:{PASSCODE}"));
        ("authorization", format!("Basic {shown}"))
    }

    async fn post(&self, who: &Shown, path: &str, body: &Value) -> Answered {
        let headers = [(who.0, who.1.as_str()), ("content-type", "application/json")];
        self.ask("POST", path, &headers, &body.to_string()).await
    }
}

#[tokio::test]
async fn a_hold_has_a_version_and_takes_two_to_be_released() {
    let api = Api::new().await;
    let (lawyer, second, clerk) = (
        api.person("l1", Role::Legal),
        api.person("l2", Role::Legal),
        api.person("c", Role::HimClerk),
    );
    let hold = serde_json::json!({ "matter": "2026-L-1", "scope": { "patient": "A" } });
    let nobody = api.ask("POST", "/api/v1/holds", &[], &hold.to_string()).await;
    assert_eq!(
        (nobody.status, &nobody.body["code"]),
        (StatusCode::UNAUTHORIZED, &"sign-in".into())
    );
    let said = nobody.body["detail"].as_str().unwrap();
    assert!(said.contains("filmroom user add NAME --role ROLE"), "{said}");
    let named = [("filmroom-subject", "l1"), ("filmroom-roles", "legal")];
    assert_eq!(
        api.ask("POST", "/api/v1/holds", &named, &hold.to_string()).await.status,
        StatusCode::UNAUTHORIZED,
        "a name in a header is nobody"
    );
    let wrong = ("authorization", format!("Basic {}", STANDARD.encode("l1:guess")));
    assert_eq!(
        api.post(&wrong, "/api/v1/holds", &hold).await.status,
        StatusCode::UNAUTHORIZED
    );
    let clerk = api.post(&clerk, "/api/v1/holds", &hold).await;
    assert_eq!(clerk.status, StatusCode::FORBIDDEN);
    let tried = api.post(&lawyer, "/api/v1/holds?dryRun=true", &hold).await;
    assert_eq!(tried.status, StatusCode::OK);
    assert_eq!(
        api.ask("GET", "/api/v1/holds", &[], "").await.body["holds"],
        serde_json::json!([])
    );
    let opened = api.post(&lawyer, "/api/v1/holds", &hold).await;
    assert_eq!(opened.status, StatusCode::CREATED, "{}", opened.body);
    let path = format!("/api/v1/holds/{}", opened.body["id"].as_str().unwrap());
    let read = api.ask("GET", &path, &[], "").await;
    assert_eq!((&read.tag, read.status), (&opened.tag, StatusCode::OK));
    assert!(!read.tag.is_empty());
    let release = format!("{path}/release");
    let why = serde_json::json!({ "reason": "settled" }).to_string();
    let shown = (lawyer.0, lawyer.1.as_str());
    let stale = [shown, ("if-match", "\"v999\"")];
    assert_eq!(
        api.ask("POST", &release, &stale, &why).await.status,
        StatusCode::PRECONDITION_FAILED
    );
    let right = [shown, ("if-match", read.tag.as_str())];
    assert_eq!(
        api.ask("POST", &release, &right, &why).await.status,
        StatusCode::ACCEPTED
    );
    let same = api.post(&lawyer, &release, &serde_json::json!({})).await;
    assert_eq!(same.status, StatusCode::FORBIDDEN);
    let released = api.post(&second, &release, &serde_json::json!({})).await;
    assert_eq!(released.status, StatusCode::OK);
    assert!(released.body["closed"].is_string());
    let again = api.post(&second, &release, &serde_json::json!({})).await;
    assert_eq!(
        (again.status, &again.body["code"]),
        (StatusCode::CONFLICT, &"released".into())
    );
}

#[tokio::test]
async fn a_request_that_is_sent_again_does_nothing_again() {
    let api = Api::new().await;
    let hold = serde_json::json!({ "matter": "m", "scope": { "patient": "A" } }).to_string();
    let (one, other) = (api.person("l", Role::Legal), api.person("o", Role::Legal));
    let headers = [(one.0, one.1.as_str()), ("idempotency-key", "k1")];
    let first = api.ask("POST", "/api/v1/holds", &headers, &hold).await;
    let again = api.ask("POST", "/api/v1/holds", &headers, &hold).await;
    assert_eq!((first.status, again.status), (StatusCode::CREATED, StatusCode::CREATED));
    assert_eq!((&first.body, &first.tag), (&again.body, &again.tag));
    let listed = api.ask("GET", "/api/v1/holds", &[], "").await;
    assert_eq!(listed.body["holds"].as_array().unwrap().len(), 1);
    let changed = api
        .ask("POST", "/api/v1/holds", &headers, &hold.replace("\"A\"", "\"B\""))
        .await;
    assert_eq!(changed.status, StatusCode::UNPROCESSABLE_ENTITY);
    let somebody_else = [(other.0, other.1.as_str()), ("idempotency-key", "k1")];
    assert_eq!(
        api.ask("POST", "/api/v1/holds", &somebody_else, &hold).await.status,
        StatusCode::CREATED
    );
}

#[tokio::test]
async fn facts_are_taken_as_json_and_as_tables_and_paged() {
    let api = Api::new().await;
    let clerk = api.person("c", Role::HimClerk);
    let facts = serde_json::json!({ "facts": [
        { "patient": "A", "fact": "patient.birth", "value": "1950" },
        { "patient": "A", "fact": "patient.death", "value": "soon" },
    ] });
    let refused = api.post(&clerk, "/api/v1/facts", &facts).await;
    assert_eq!(
        (refused.status, &refused.body["problems"][0]["at"]),
        (StatusCode::BAD_REQUEST, &"fact 2".into())
    );
    let shown = (clerk.0, clerk.1.as_str());
    let table = "patient,fact,value\nA,patient.birth,1950\nB,patient.birth,1951-02\n";
    let kind = ("content-type", "text/csv");
    let taken = api.ask("POST", "/api/v1/facts", &[shown, kind], table).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.body);
    let wrong = api
        .ask(
            "POST",
            "/api/v1/facts",
            &[shown, kind],
            &table.replace("1951-02", "1951-13"),
        )
        .await;
    assert_eq!(wrong.body["problems"][0]["at"], "line 3");
    let page = api.ask("GET", "/api/v1/facts?limit=1", &[], "").await;
    assert_eq!(page.body["facts"][0]["precision"], "year");
    let next = format!("/api/v1/facts?limit=1&cursor={}", page.body["next"].as_str().unwrap());
    assert_eq!(api.ask("GET", &next, &[], "").await.body["facts"][0]["patient"], "B");
    let of_one = api.ask("GET", "/api/v1/facts?patient=A", &[], "").await;
    assert_eq!(of_one.body["facts"].as_array().unwrap().len(), 1);
    for path in [
        "/api/v1/facts?colour=1",
        "/api/v1/facts?limit=0",
        "/api/v1/facts?patient=A&study=1.2",
    ] {
        assert_eq!(
            api.ask("GET", path, &[], "").await.status,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
    for body in ["{", "[]", r#"{"facts":[{"fact":"colour"}]}"#] {
        assert_eq!(
            api.ask("POST", "/api/v1/facts", &[shown], body).await.status,
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
}

#[tokio::test]
async fn policies_are_linted_submitted_and_published() {
    let api = Api::new().await;
    let wrong = api
        .ask(
            "POST",
            "/api/v1/policy-lint",
            &[("content-type", "application/toml")],
            &PACK.replace("study.date", "x"),
        )
        .await;
    assert_eq!(
        (wrong.status, &wrong.body["problems"][0]["at"]),
        (StatusCode::BAD_REQUEST, &"line 4, five".into())
    );
    let (author, other) = (api.person("a", Role::HimManager), api.person("b", Role::PrivacyOfficer));
    let body = serde_json::json!({ "toml": PACK, "bindings": [{ "pack": "house" }] });
    let submitted = api.post(&author, "/api/v1/policy-submissions", &body).await;
    assert_eq!(submitted.status, StatusCode::CREATED, "{}", submitted.body);
    let path = format!("/api/v1/policy-submissions/{}", submitted.body["id"].as_str().unwrap());
    let empty = serde_json::json!({});
    let publish = format!("{path}/publish");
    assert_eq!(api.post(&other, &publish, &empty).await.body["code"], "not-simulated");
    let simulated = api.post(&author, &format!("{path}/simulate"), &empty).await;
    assert_eq!(
        (simulated.status, &simulated.body["studies"]),
        (StatusCode::OK, &0.into())
    );
    assert_eq!(api.post(&author, &publish, &empty).await.status, StatusCode::FORBIDDEN);
    assert_eq!(api.post(&other, &publish, &empty).await.status, StatusCode::OK);
    let policies = api.ask("GET", "/api/v1/policies", &[], "").await;
    assert_eq!(policies.body["versions"][0]["pack"], "house");
    assert_eq!(policies.body["bindings"][0]["pack"], "house");
    let templates = api.ask("GET", "/api/v1/policy-templates", &[], "").await;
    assert!(templates.body["templates"].as_array().unwrap().len() > 10);
    assert_eq!(
        api.ask("GET", "/api/v1/policy-templates/de", &[], "").await.status,
        StatusCode::OK
    );
    assert_eq!(
        api.ask("GET", "/api/v1/policy-templates/xx", &[], "").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let api = Api::new().await;
    for path in [
        "studies/1.2.3/retention",
        "holds/h1",
        "policy-submissions/p1",
        "disposal-batches/b1",
        "certificates/b1",
        "tombstones/1.2.3",
    ] {
        let answered = api.ask("GET", &format!("/api/v1/{path}"), &[], "").await;
        assert_eq!(
            (answered.status, &answered.body["code"]),
            (StatusCode::NOT_FOUND, &"unknown".into()),
            "{path}"
        );
    }
    let clerk = api.person("c", Role::HimClerk);
    let nothing = api
        .post(&clerk, "/api/v1/disposal-batches", &serde_json::json!({}))
        .await;
    assert_eq!(
        (nothing.status, &nothing.body["code"]),
        (StatusCode::CONFLICT, &"nothing-eligible".into())
    );
    let decisions = api
        .ask("GET", "/api/v1/retention-decisions?status=expired", &[], "")
        .await;
    assert_eq!(decisions.body["decisions"], serde_json::json!([]));
    let wrong = api.ask("GET", "/api/v1/retention-decisions?status=gone", &[], "").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let wrong = api.ask("GET", "/api/v1/retention-decisions?asOf=2026", &[], "").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let described = api.ask("GET", "/api/v1/openapi.json", &[], "").await;
    assert_eq!(described.body["openapi"], "3.1.0");
    assert!(described.body["paths"]["/api/v1/disposal-batches/{id}/approve"]["post"]["summary"].is_string());
}

#[tokio::test]
async fn a_program_decides_nothing_that_destroys() {
    let api = Api::new().await;
    let day = std::time::Duration::from_secs(86_400);
    let token = |name: &str, owner: Option<&str>| {
        let made = api.directory.add_token(NewToken {
            name: name.to_owned(),
            roles: [Role::HimManager, Role::RecordsApprover].into(),
            life: day,
            owner: owner.map(str::to_owned),
            ..NewToken::default()
        });
        ("authorization", format!("Bearer {}", made.unwrap().1))
    };
    let job = token("job", None);
    let empty = serde_json::json!({});
    for path in ["disposal-batches", "disposal-batches/b1/veto", "policy-submissions"] {
        let refused = api.post(&job, &format!("/api/v1/{path}"), &empty).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (StatusCode::FORBIDDEN, &"not-let".into()),
            "{path}"
        );
        assert!(
            refused.body["detail"]
                .as_str()
                .unwrap()
                .contains("this token acts for none")
        );
    }
    // One that acts for a person does, but for what cannot be taken back.
    api.person("mary", Role::HimManager);
    let own = token("own", Some("mary"));
    let proposed = api.post(&own, "/api/v1/disposal-batches", &empty).await;
    assert_eq!(proposed.body["code"], "nothing-eligible");
    for (who, path) in [
        (&own, "disposal-batches/b1/approve"),
        (&own, "disposal-batches/b1/execute"),
        (&own, "policy-submissions/p1/publish"),
        (&own, "holds/h1/release"),
        (&job, "disposal-batches/b1/execute"),
    ] {
        let refused = api.post(who, &format!("/api/v1/{path}"), &empty).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (StatusCode::UNAUTHORIZED, &"prove-anew".into()),
            "{path}"
        );
    }
    let facts = serde_json::json!({ "facts": [{ "patient": "A", "fact": "patient.birth", "value": "1950" }] });
    assert_eq!(
        api.post(&job, "/api/v1/facts", &facts).await.status,
        StatusCode::CREATED
    );
}
