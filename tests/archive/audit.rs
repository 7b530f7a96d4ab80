//! The audit trail of the real binary: what DCMTK and requests of the web leave in it, and what its commands say of it.

use std::{
    fs,
    io::{BufReader, Read},
    net::TcpListener,
    path::Path,
    process::Command,
    thread,
};

use filmroom_fixtures::{Instance, ct_head};
use serde_json::Value;

use crate::{
    harness::{AE_TITLE, Archive, Finished, Start, binary, dcmtk, eventually, finish, folder, run, write_all},
    web::{Answer, ask},
};

fn scu(program: &str, archive: &Archive, calling: &str) -> Command {
    let mut command = dcmtk(program);
    command.args(["-aet", calling, "-aec", AE_TITLE]);
    command
        .arg(archive.dicom.ip().to_string())
        .arg(archive.dicom.port().to_string());
    command
}

#[track_caller]
fn get(archive: &Archive, path: &str) -> Answer {
    let host = archive.http.to_string();
    ask(archive.http, "GET", path, &[("Host", &host)], b"").unwrap()
}

/// Events that are found, the oldest first.
#[track_caller]
fn events(archive: &Archive, query: &str) -> Vec<Value> {
    let answer = get(archive, &format!("/fhir/AuditEvent?_sort=date&_count=1000&{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let entries = answer.json()["entry"].as_array().cloned().unwrap_or_default();
    entries.iter().map(|entry| entry["resource"].clone()).collect()
}

/// Kind, action, outcome and service of an event.
fn told(event: &Value) -> [&str; 4] {
    let mut details = event["entity"].as_array().into_iter().flatten().flat_map(|entity| {
        let details = entity["detail"].as_array().map(Vec::as_slice);
        details.unwrap_or_default()
    });
    let service = details.find(|detail| detail["type"] == "service");
    [
        event["type"]["code"].as_str().unwrap(),
        event["action"].as_str().unwrap(),
        event["outcome"].as_str().unwrap(),
        service.map_or("", |detail| detail["valueString"].as_str().unwrap()),
    ]
}

fn audit(data: &Path, arguments: &[&str]) -> Finished {
    finish(binary().arg("audit").args(arguments).arg("--data").arg(data))
}

const SOON: &str = "[audit]\ngather_for = \"3 s\"\n";

#[test]
fn who_saw_this_patient_is_told_of_every_door() {
    let study = ct_head(1);
    let uid = study.study_instance_uid.as_str();
    let home = folder();
    let data = home.path().join("data");
    let archive = Start::default().in_folder(&data).settings(SOON).start();
    let instances: Vec<Instance> = study.instances().take(3).collect();
    let files = write_all(&home.path().join("files"), &instances);
    run(scu("storescu", &archive, "CT1").args(&files));
    let of_study = format!("StudyInstanceUID={uid}");
    let of_patient = format!("PatientID={}", study.patient_id);
    run(scu("findscu", &archive, "VIEWER").args(["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", &of_patient]));
    let received = home.path().join("received");
    fs::create_dir(&received).unwrap();
    run(scu("getscu", &archive, "VIEWER")
        .args([
            "-S",
            "+xe",
            "+B",
            "-k",
            "QueryRetrieveLevel=STUDY",
            "-k",
            &of_study,
            "-od",
        ])
        .arg(&received));
    assert_eq!(get(&archive, &format!("/dicom-web/studies/{uid}/metadata")).status, 200);
    assert_eq!(
        get(&archive, &format!("/dicom-web/studies/{uid}/thumbnail")).status,
        200
    );
    assert_eq!(get(&archive, &format!("/studies/{uid}")).status, 200);
    let question = format!("/dicom-web/studies?PatientID={}", study.patient_id);
    assert_eq!(get(&archive, &question).status, 200);
    assert_eq!(get(&archive, "/dicom-web/studies/1.2.3.4").status, 404);

    let patient = format!("patient={}", study.patient_id);
    let ended = eventually("all transfers end", || {
        let found = events(&archive, &patient);
        let ends = found.iter().filter(|event| event["type"]["code"] == "110104").count();
        (ends == 4).then_some(found)
    });
    let told: Vec<_> = ended.iter().map(told).collect();
    for expected in [
        ["110102", "E", "0", "C-STORE"],
        ["110104", "C", "0", "C-STORE"],
        ["110102", "E", "0", "C-GET"],
        ["110104", "R", "0", "C-GET"],
        ["110102", "E", "0", "WADO-RS"],
        ["110104", "R", "0", "WADO-RS"],
        ["110102", "E", "0", "page"],
        ["110104", "R", "0", "page"],
    ] {
        assert_eq!(
            told.iter().filter(|event| **event == expected).count(),
            1,
            "{expected:?} in {told:?}"
        );
    }
    let stored = ended.iter().find(|event| event["action"] == "C").unwrap().to_string();
    for instance in &instances {
        assert!(stored.contains(&format!("\"{}\"", instance.sop_instance_uid)));
    }
    assert!(stored.contains("\"CT1\"") && stored.contains(&study.accession_number));
    // Two questions, the one of the node and the one of the web.
    assert_eq!(events(&archive, "type=110112").len(), 2);
    assert_eq!(events(&archive, "agent=VIEWER").len(), 3);
    eventually("what was not found is recorded", || {
        (events(&archive, "study=1.2.3.4&outcome=4,8").len() == 2).then_some(())
    });
    // Whoever reads the trail is in it.
    assert!(events(&archive, "type=110101").len() > 3);
    let log = archive.log();
    assert!(!log.contains(study.patient_id) && !log.contains(study.patient_name));
    assert!(archive.stop().success());

    let listed = audit(&data, &["search", "--patient", study.patient_id]);
    assert!(listed.success && listed.text.contains("8 events"), "{}", listed.text);
    let exported = audit(&data, &["export", "--form", "xml", "--study", uid]);
    assert_eq!(exported.text.matches("<AuditMessage>").count(), 8, "{}", exported.text);
    let listed = audit(&data, &["search", "--type", "110120,110121"]);
    assert!(listed.text.contains("Application Start") && listed.text.contains("2 events"));
}

#[test]
fn whoever_is_not_let_in_is_recorded() {
    let archive = Start::default()
        .settings("[dicom]\ncheck_called_ae_title = true\ncheck_calling_ae_title = true\n")
        .start();
    let mut stranger = scu("echoscu", &archive, "STRANGER");
    assert!(!finish(&mut stranger).success);
    let alerts = eventually("the refusal is recorded", || {
        let found = events(&archive, "subtype=110126");
        (!found.is_empty()).then_some(found)
    });
    assert_eq!(alerts[0]["outcome"], "8");
    let host = archive.http.to_string();
    let headers = [("Host", host.as_str()), ("X-Forwarded-For", "10.0.0.1")];
    let passed_on = ask(archive.http, "GET", "/fhir/AuditEvent", &headers, b"").unwrap();
    assert_eq!(passed_on.status, 403);
}

#[test]
fn a_byte_that_was_changed_is_named() {
    let home = folder();
    let data = home.path().join("data");
    let archive = Start::default().in_folder(&data).start();
    for _ in 0..5 {
        assert_eq!(get(&archive, "/dicom-web/studies?PatientName=Doe").status, 200);
    }
    let checkpoint = get(&archive, "/api/v1/audit/checkpoint");
    assert_eq!(checkpoint.status, 200);
    let kept = home.path().join("checkpoint");
    fs::write(&kept, &checkpoint.body).unwrap();
    let kept = kept.to_str().unwrap();
    let sound = audit(&data, &["verify", "--checkpoint", kept]);
    assert!(
        sound.success && sound.text.contains("nothing was changed"),
        "{}",
        sound.text
    );
    archive.kill();

    let path = data.join("audit").join(format!("{:020}.log", 0));
    let bytes = fs::read(&path).unwrap();
    let starts: Vec<_> = memchr::memmem::find_iter(&bytes, b"AUD1").collect();
    let mut changed = bytes.clone();
    changed[starts[3] + 100] ^= 1;
    fs::write(&path, &changed).unwrap();
    let bad = audit(&data, &["verify"]);
    assert!(!bad.success && bad.text.contains("first bad entry 3"), "{}", bad.text);
    // Cut behind the second entry: what was acknowledged is missing, and the archive says so and goes on.
    fs::write(&path, &bytes[..starts[2]]).unwrap();
    let cut = audit(&data, &["verify", "--checkpoint", kept]);
    assert!(!cut.success && cut.text.contains("first bad entry 2"), "{}", cut.text);
    let archive = Start::default().in_folder(&data).start();
    assert_eq!(events(&archive, "subtype=110134")[0]["outcome"], "8");
    assert!(archive.stop().success());
    let acknowledged = audit(&data, &["acknowledge"]);
    assert!(
        acknowledged.text.contains("acknowledged: entry 2"),
        "{}",
        acknowledged.text
    );
}

#[test]
fn events_are_sent_on_as_audit_messages() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let receiver = thread::spawn(move || {
        let mut line = BufReader::new(listener.accept().unwrap().0);
        let mut message = || {
            let (mut length, mut digit) = (0, [0]);
            loop {
                line.read_exact(&mut digit).unwrap();
                match digit[0] {
                    b' ' => break,
                    digit => length = length * 10 + usize::from(digit - b'0'),
                }
            }
            let mut bytes = vec![0; length];
            line.read_exact(&mut bytes).unwrap();
            String::from_utf8(bytes).unwrap()
        };
        (message(), message())
    });
    let archive = Start::default()
        .settings(&format!(
            "[audit]\nsyslog = [\"tcp://127.0.0.1:{port}\"]\nsite = \"north\"\n"
        ))
        .start();
    assert_eq!(get(&archive, "/dicom-web/studies?PatientID=P1").status, 200);
    let (began, asked) = receiver.join().unwrap();
    assert!(began.starts_with("<85>1 ") && began.contains("DICOM+RFC3881") && began.contains("Application Start"));
    assert!(
        asked.contains("csd-code=\"110112\"") && asked.contains("AuditEnterpriseSiteID=\"north\""),
        "{asked}"
    );
}

#[test]
fn an_archive_whose_trail_is_turned_off_keeps_none() {
    let home = folder();
    let data = home.path().join("data");
    let archive = Start::default()
        .in_folder(&data)
        .settings("[audit]\nenabled = false\n")
        .start();
    assert_eq!(get(&archive, "/dicom-web/studies").status, 200);
    assert_eq!(get(&archive, "/fhir/AuditEvent").status, 404);
    assert!(archive.stop().success());
    assert!(!data.join("audit").exists());
}
