//! Patient administration by HL7 over MLLP, sent by a client that is not made here, and by one that means no good.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::Stdio,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    certificates::Authority,
    harness::{AE_TITLE, Archive, PATIENCE, Start, dcmtk, finish, folder, python, write_all},
    records::{PASSCODE, account},
    web::ask,
};

const PACK: &str = r#"pack = "nhs"
version = "1"
effective_from = 2000-01-01
rule = [{ id = "seen", class = "min", keep = [{ from = "patient.last_encounter", for = "P1D" }] }]
"#;

fn message(event: &str, control_id: &str, at: &str, rest: &str) -> String {
    format!("MSH|^~\\&|HIS|HOSP|FILMROOM|HOSP|{at}||ADT^{event}|{control_id}|P|2.5.1\rEVN|{event}|{at}\r{rest}\r")
}

/// Sends messages over one connection; each answer as the client reads it.
#[track_caller]
fn send(address: SocketAddr, tls: &[&str], messages: &[String]) -> Vec<Value> {
    let mut client = python("hl7_client.py")
        .arg(address.port().to_string())
        .args(tls)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = client.stdin.take().unwrap();
    for message in messages {
        writeln!(input, "{}", json!(message)).unwrap();
    }
    drop(input);
    let output = client.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn api(archive: &Archive, who: &str, method: &str, path: &str, body: &Value) -> Value {
    let basic = format!("Basic {}", STANDARD.encode(format!("{who}:{PASSCODE}")));
    let headers = [("Authorization", basic.as_str()), ("Content-Type", "application/json")];
    let answer = ask(archive.http, method, path, &headers, body.to_string().as_bytes()).unwrap();
    serde_json::from_slice(&answer.body).unwrap_or(Value::Null)
}

const AUTHOR: &str = "ada";
const CLERK: &str = "carl";

/// A visit takes all studies of a patient out of the batch, a merge those of the other identifier, and neither counts twice.
#[test]
fn a_visit_that_is_told_takes_studies_out_of_disposal() {
    let home = folder();
    let start = |data: &std::path::Path| {
        Start::default()
            .in_folder(data)
            .settings(
                "[hl7]\nlisten = \"127.0.0.1:0\"\nsenders = [\"HIS|HOSP@127.0.0.1\"]\nauthorities = [\"HOSP=PHANTOM\"]\n",
            )
            .start()
    };
    let data = home.path().join("data");
    let archive = start(&data);
    for (name, roles) in [(AUTHOR, "him-manager"), ("mary", "him-manager"), (CLERK, "him-clerk")] {
        account(&archive, name, roles);
    }
    let files = folder();
    let instances: Vec<_> = filmroom_fixtures::cr_chest(1).instances().collect();
    let paths = write_all(files.path(), &instances);
    let mut store = dcmtk("storescu");
    store
        .args(["-aec", AE_TITLE, "127.0.0.1"])
        .arg(archive.dicom.port().to_string())
        .args(&paths);
    finish(&mut store);
    let study = instances[0].study_instance_uid.as_str();
    let found = ask(
        archive.http,
        "GET",
        "/dicom-web/studies?includefield=00100020",
        &[],
        b"",
    )
    .unwrap();
    let found: Value = serde_json::from_slice(&found.body).unwrap();
    let patient = found[0]["00100020"]["Value"][0].as_str().unwrap();
    let none = Value::Null;
    let submission = json!({ "toml": PACK, "bindings": [{ "pack": "nhs" }] });
    let submitted = api(&archive, AUTHOR, "POST", "/api/v1/policy-submissions", &submission);
    let id = submitted["id"]
        .as_str()
        .or(submitted["submission"]["id"].as_str())
        .unwrap();
    let of = |verb: &str| format!("/api/v1/policy-submissions/{id}/{verb}");
    api(&archive, AUTHOR, "POST", &of("simulate"), &none);
    api(
        &archive,
        "mary",
        "POST",
        &of("publish"),
        &json!({ "acknowledgeShortening": true }),
    );
    let explain = format!("/api/v1/studies/{study}/retention");
    let status = |archive: &Archive| {
        let explained = api(archive, AUTHOR, "GET", &explain, &none);
        (
            explained["status"].as_str().unwrap().to_owned(),
            explained["retainUntil"].clone(),
        )
    };
    assert_eq!(status(&archive).0, "expired", "the phantoms are old");
    let proposed = api(
        &archive,
        CLERK,
        "POST",
        "/api/v1/disposal-batches",
        &json!({ "studies": [study] }),
    );
    let batch = proposed["batch"]["id"].as_str().unwrap();

    let visit = "PV1|1|O|||||||||||||||||V7|||||||||||||||||||||||||21230514";
    let pid = format!("PID|1||{patient}^^^HOSP^MR||PHANTOM^CHEST||19600101|O");
    let stranger = format!("PID|1||OLD^^^HOSP^MR||PHANTOM^CHEST\rMRG|{patient}^^^HOSP");
    let told = message("A04", "1001", "20230514093000", &format!("{pid}\r{visit}"));
    let answers = send(
        archive.hl7[0],
        &[],
        &[
            told.clone(),
            told.clone(),
            message(
                "A40",
                "1002",
                "20230514093100",
                &format!("PID|1||{patient}^^^HOSP\rMRG|{patient}^^^HOSP"),
            ),
            message(
                "A40",
                "1003",
                "20230514093200",
                &format!("PID|1||{patient}^^^HOSP\rMRG|OLD^^^HOSP"),
            ),
            message("A40", "1004", "20230514093300", &stranger),
            message("A08", "1005", "20230514093400", "PID|1||X^^^HOSP||DOE||1960-01-01"),
            message("A08", "1006", "20230514093400", "PID|1||X^^^HOSP||DOE||19600101").replace("|HIS|", "|RIS|"),
        ],
    );
    let codes: Vec<(&str, &str)> = answers
        .iter()
        .map(|answer| (answer["code"].as_str().unwrap(), answer["id"].as_str().unwrap()))
        .collect();
    assert_eq!(
        codes,
        [
            ("AA", "1001"),
            ("AA", "1001"),
            ("AE", "1002"),
            ("AA", "1003"),
            ("AE", "1004"),
            ("AE", "1005"),
            ("AR", "1006")
        ]
    );
    let error = |place: usize| answers[place]["errors"][0].as_str().unwrap();
    assert!(error(2).starts_with("ERR||MRG^1^1|205^"), "{}", error(2));
    assert!(
        error(4).contains("was merged into the other one before"),
        "{}",
        error(4)
    );
    assert!(error(5).starts_with("ERR||PID^1^7|102^"), "{}", error(5));

    assert_eq!(status(&archive), ("retained".to_owned(), json!("2123-05-15")));
    let batch = api(
        &archive,
        CLERK,
        "GET",
        &format!("/api/v1/disposal-batches/{batch}"),
        &none,
    );
    assert_eq!(
        (batch["state"].as_str(), batch["items"][0]["state"].as_str()),
        (Some("ended"), Some("left"))
    );
    let visit_of_old = message(
        "A04",
        "1007",
        "20240101093000",
        "PID|1||OLD^^^HOSP\rPV1|1|O|||||||||||||||||V8|||||||||||||||||||||||||21240101",
    );
    assert_eq!(send(archive.hl7[0], &[], &[visit_of_old])[0]["code"], "AA");
    assert_eq!(
        status(&archive).1,
        json!("2124-01-02"),
        "the other identifier's visit counts"
    );
    let audit = ask(archive.http, "GET", "/fhir/AuditEvent?_count=200", &[], b"").unwrap();
    let audit = String::from_utf8_lossy(&audit.body).into_owned();
    assert!(audit.contains("1001") && audit.contains("ADT^A40"), "{audit}");
    assert!(!archive.log().contains(patient), "the log names nobody");
    assert_eq!(archive.stop().code(), Some(0));

    // After a restart the same message is the same.
    let archive = start(&data);
    assert_eq!(send(archive.hl7[0], &[], &[told])[0]["code"], "AA");
    let facts = api(
        &archive,
        AUTHOR,
        "GET",
        &format!("/api/v1/facts?patient={patient}&issuer=PHANTOM"),
        &none,
    );
    let facts = facts["facts"].as_array().unwrap();
    assert_eq!(facts.len(), 3, "{facts:?}");
    assert_eq!(facts[0]["message"]["controlId"], "1001");
    let link = api(&archive, AUTHOR, "GET", "/api/v1/patient-links", &none);
    let id = link["links"][0]["id"].as_str().unwrap();
    let parted = api(
        &archive,
        AUTHOR,
        "POST",
        &format!("/api/v1/patient-links/{id}/take-back"),
        &json!({ "reason": "two persons" }),
    );
    assert_eq!(parted["active"], false);
    assert_eq!(status(&archive).1, json!("2123-05-15"));
    let metrics = ask(archive.http, "GET", "/metrics", &[], b"").unwrap();
    assert!(String::from_utf8_lossy(&metrics.body).contains("filmroom_hl7_messages_total{answer=\"AA\"} 1"));
}

/// Whoever sends what is no message, or does not end it, keeps nobody else waiting.
#[test]
fn peers_that_mean_no_good_are_closed() {
    let archive = Start::default()
        .settings("[hl7]\nlisten = \"127.0.0.1:0\"\nsenders = [\"HIS\"]\nmessage_timeout = \"300 ms\"\nmessage_max = \"4 KiB\"\nconnections_max = 8\n")
        .start();
    let connect = || {
        let stream = TcpStream::connect(archive.hl7[0]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let answer = |bytes: &[u8], end: bool| {
        let mut stream = connect();
        // The archive may close before all of it is written.
        let _ = stream.write_all(bytes);
        if end {
            let _ = stream.shutdown(Shutdown::Write);
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert_eq!(answer(b"GET / HTTP/1.1\r\n\r\n", false), "");
    assert_eq!(answer(b"\x0BMSH|^~\\&|HIS", false), "", "it does not end");
    assert_eq!(answer(b"\x0BMSH|^~\\&|HIS", true), "");
    let long = [
        b"\x0BMSH|^~\\&|HIS||||20230510||ADT^A08|7|P|2.5\rPID|",
        "x".repeat(5000).as_bytes(),
    ]
    .concat();
    let refused = answer(&long, false);
    assert!(
        refused.contains("MSA|AR|7|") && refused.contains("longer than 4096 bytes"),
        "{refused}"
    );
    let odd = answer(b"\x0B\xFF\xFE\x00PID\x1C\r\x0B\x1C\r\x0BMSH\x1C\r", true);
    assert_eq!(odd.matches("MSA|AR|").count(), 3, "{odd:?}");
    // As many as may be stay open and say nothing: the next is closed at once, and one that goes makes room.
    let waiting: Vec<TcpStream> = (0..8).map(|_| connect()).collect();
    let refused = (0..1000).find(|_| answer(b"\x0B\x1C\r", true).is_empty());
    assert!(refused.is_some());
    drop(waiting);
    let good = message("A31", "1", "20230510", "PID|1||A1||DOE||1950");
    let framed = format!("\x0B{good}\x1C\r");
    let taken = (0..200).any(|_| answer(framed.as_bytes(), true).contains("MSA|AA|1"));
    assert!(taken, "{}", archive.log());
    assert_eq!(archive.stop().code(), Some(0));
}

#[test]
fn messages_come_by_tls() {
    let files = folder();
    let authority = Authority::new(files.path(), "house");
    let (own, sender) = (
        authority.issue(files.path(), "archive"),
        authority.issue(files.path(), "his"),
    );
    let archive = Start::default()
        .settings(&format!(
            "[hl7]\ntls_listen = \"127.0.0.1:0\"\nsenders = [\"HIS\"]\n[dicom]\ntls_certificate = {:?}\ntls_key = {:?}\ntls_authorities = {:?}\n",
            own.certificate, own.key, authority.path
        ))
        .start();
    let path = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (ca, certificate, key) = (path(&authority.path), path(&sender.certificate), path(&sender.key));
    let told = message("A31", "1", "20230510", "PID|1||A1||DOE||1950");
    let answers = send(archive.hl7[0], &[&ca, &certificate, &key], std::slice::from_ref(&told));
    assert_eq!(answers[0]["code"], "AA");
    // Without TLS, nothing is heard.
    let mut plain = TcpStream::connect(archive.hl7[0]).unwrap();
    plain.set_read_timeout(Some(PATIENCE)).unwrap();
    plain.write_all(format!("\x0B{told}\x1C\r").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("MSA"));
}
