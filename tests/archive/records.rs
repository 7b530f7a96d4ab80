//! Retention, holds and disposal, by the commands of whoever works in the records department.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    harness::{AE_TITLE, Archive, Start, binary, dcmtk, finish, folder, run, write_all},
    web::ask,
};

const PACK: &str = r#"pack = "house"
version = "1"
effective_from = 2000-01-01
rule = [{ id = "house.day", class = "min", keep = [{ from = "study.date", for = "P1D" }] }]
[approval]
steps = [{ role = "records-approver", n = 2 }]
cooling_off = "P0D"
"#;

pub const PASSCODE: &str = "the film room at night";

/// Makes somebody an account, by command, as whoever runs the archive does.
#[track_caller]
pub fn account(archive: &Archive, name: &str, roles: &str) {
    account_of(archive, name, roles, name);
}

/// The same for a person who has others.
#[track_caller]
fn account_of(archive: &Archive, name: &str, roles: &str, person: &str) {
    let mut command = binary();
    command
        .args(["user", "add", name, "--role", roles, "--person", person])
        .arg("--data")
        .arg(archive.data());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(PASSCODE.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{name}");
}

pub fn command(archive: &Archive, who: &str, words: &[&str]) -> Command {
    let mut command = binary();
    command.args(words).arg("--data").arg(archive.data());
    command.args(["--as", who]).env("FILMROOM_PASSCODE", PASSCODE);
    command
}

pub fn json(archive: &Archive, who: &str, words: &[&str]) -> Value {
    let shown = run(command(archive, who, words).arg("--json"));
    serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{words:?}: {error}: {shown}"))
}

#[test]
fn from_a_policy_to_a_certificate() {
    let archive = Start::default().start();
    let files = folder();
    let instances: Vec<_> = filmroom_fixtures::cr_chest(1).instances().collect();
    let paths = write_all(files.path(), &instances);
    let send = || {
        let mut command = dcmtk("storescu");
        command
            .args(["-v", "-aec", AE_TITLE, "127.0.0.1"])
            .arg(archive.dicom.port().to_string())
            .args(&paths);
        finish(&mut command)
    };
    send();
    let study = instances[0].study_instance_uid.as_str();
    let (author, manager, lawyer, clerk) = ("ada", "mary", "lea", "carl");
    for (name, roles) in [
        (author, "him-manager"),
        (manager, "him-manager"),
        (lawyer, "legal"),
        ("lou", "legal"),
        (clerk, "him-clerk,records-approver"),
        ("one", "records-approver"),
        ("two", "records-approver"),
    ] {
        account(&archive, name, roles);
    }
    let mut nobody = binary();
    nobody.args(["disposal", "propose"]).arg("--data").arg(archive.data());
    let nobody = finish(&mut nobody);
    assert!(
        nobody.text.contains("filmroom user add NAME --role ROLE"),
        "{}",
        nobody.text
    );
    let mut guesser = command(&archive, manager, &["disposal", "propose"]);
    let guessed = finish(guesser.env("FILMROOM_PASSCODE", "guess"));
    assert!(guessed.text.contains("(401)"), "{}", guessed.text);
    let explained = json(&archive, author, &["retention", "explain", study]);
    assert_eq!(explained["status"], "indeterminate", "nothing says how long it is kept");

    let pack = files.path().join("house.toml");
    let pack_path = pack.to_str().unwrap();
    fs::write(&pack, PACK.replace("study.date", "study.end")).unwrap();
    let linted = finish(binary().args(["retention", "lint", pack_path]));
    assert!(
        linted
            .text
            .contains("line 4: house.day: \"study.end\" is not known here; allowed: study.date"),
        "{}",
        linted.text
    );
    fs::write(&pack, PACK).unwrap();
    let id = json(&archive, author, &["retention", "submit", pack_path, "--bind", "house"])["id"].clone();
    let id = id.as_str().unwrap();
    let simulated = json(&archive, author, &["retention", "simulate", id]);
    assert_eq!(simulated["newlyEligible"], 1);
    let alone = finish(&mut command(&archive, author, &["retention", "publish", id]));
    assert!(alone.text.contains("another one than its author"), "{}", alone.text);
    json(
        &archive,
        manager,
        &["retention", "publish", id, "--acknowledge-shortening"],
    );
    assert_eq!(
        json(&archive, author, &["retention", "explain", study])["status"],
        "expired"
    );

    let hold = json(&archive, lawyer, &["hold", "open", "2026-L-017", "--study", study])["id"].clone();
    let hold = hold.as_str().unwrap();
    let refused = finish(&mut command(&archive, clerk, &["disposal", "propose", study]));
    assert!(refused.text.contains("2026-L-017"), "{}", refused.text);
    json(&archive, lawyer, &["hold", "release", hold, "--reason", "settled"]);
    json(&archive, "lou", &["hold", "release", hold]);

    let batch = json(&archive, clerk, &["disposal", "propose"])["batch"]["id"].clone();
    let batch = batch.as_str().unwrap();
    let own = finish(&mut command(&archive, clerk, &["disposal", "approve", batch]));
    assert!(
        own.text.contains("who proposed a batch does not approve it"),
        "{}",
        own.text
    );
    account_of(&archive, "uno", "records-approver,him-manager", "one");
    json(&archive, "one", &["disposal", "approve", batch]);
    for (who, why) in [
        ("uno", "under this account or another"),
        (lawyer, "one of the roles records-approver"),
    ] {
        let refused = finish(&mut command(&archive, who, &["disposal", "approve", batch]));
        assert!(
            refused.text.contains("(403)") && refused.text.contains(why),
            "{}",
            refused.text
        );
    }
    json(&archive, "two", &["disposal", "approve", batch]);
    let done = json(&archive, manager, &["disposal", "execute", batch, "--wait"]);
    assert_eq!(done["state"], "destroyed");

    let certificate = run(&mut command(&archive, manager, &["disposal", "certificate", batch]));
    let path = files.path().join("certificate.json");
    fs::write(&path, &certificate).unwrap();
    let key = ask(archive.http, "GET", "/api/v1/certificate-key", &[], b"").unwrap();
    let key: Value = serde_json::from_slice(&key.body).unwrap();
    let verify = |key: &str| finish(binary().args(["disposal", "verify", "--key", key]).arg(&path));
    let verified = verify(key["publicKey"].as_str().unwrap());
    assert!(verified.text.contains("of 1 studies holds"), "{}", verified.text);
    assert!(verify(&"0".repeat(64)).text.contains("another key"));
    fs::write(&path, certificate.replace("carl", "karl")).unwrap();
    assert!(
        verify(key["publicKey"].as_str().unwrap())
            .text
            .contains("something in it was changed")
    );

    let found = ask(archive.http, "GET", "/dicom-web/studies", &[], b"").unwrap();
    assert!(!String::from_utf8_lossy(&found.body).contains(study));
    let gone = &instances[0];
    let series = format!("/dicom-web/studies/{study}/series/{}", gone.series_instance_uid);
    let instance = format!("{series}/instances/{}", gone.sop_instance_uid);
    for (path, status) in [
        (instance.clone(), 410),
        (format!("{instance}/metadata"), 410),
        (format!("{instance}/frames/1"), 410),
        (format!("{instance}/rendered"), 410),
        (format!("{instance}/thumbnail"), 410),
        (format!("{instance}/bulkdata/7FE00010"), 410),
        (format!("/dicom-web/studies/{study}"), 404),
    ] {
        let answer = ask(archive.http, "GET", &path, &[], b"").unwrap();
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    for path in [format!("/dicom-web/studies/{study}"), series, instance] {
        let answer = ask(archive.http, "DELETE", &path, &[], b"").unwrap();
        assert_eq!(answer.status, 405, "{path}");
        assert!(answer.text().contains("disposal"), "{}", answer.text());
    }
    let again = send();
    assert!(
        again.text.to_lowercase().contains("124"),
        "it is refused as not authorised: {}",
        again.text
    );
    assert!(json(&archive, clerk, &["disposal", "tombstones"])["study"] == study);
    // Who sends it is listed; two persons let it in again.
    let returned = json(&archive, clerk, &["disposal", "returned"]);
    assert_eq!(returned["study"], study);
    assert!(
        returned["senders"]["STORESCU"]["refused"].as_u64() >= Some(1),
        "{returned}"
    );
    let reinstate = ["disposal", "reinstate", study];
    let asked = json(
        &archive,
        "one",
        &[&reinstate[..], &["--reason", "wrongly expired"]].concat(),
    );
    assert_eq!(asked["reinstateAsked"]["askedBy"], "one");
    let alone = finish(&mut command(&archive, "uno", &reinstate));
    assert!(alone.text.contains("two persons"), "{}", alone.text);
    assert_eq!(json(&archive, manager, &reinstate)["reinstated"]["by"][1], manager);
    let taken = send();
    assert!(taken.success && !taken.text.contains("0124"), "{}", taken.text);
    let found = ask(archive.http, "GET", "/dicom-web/studies", &[], b"").unwrap();
    assert!(String::from_utf8_lossy(&found.body).contains(study));
    assert_eq!(archive.stop().code(), Some(0));
}
