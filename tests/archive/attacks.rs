//! Attacks that go through the whole archive (`deploy/threat-model.md` lists all, each with its test): refused, and nothing leaks.

use std::{
    fs,
    io::{ErrorKind, Write},
    net::TcpListener,
    path::Path,
    time::Duration,
};

use filmroom_fixtures::{cr_chest, ct_head, pdf_letter, scale_instance};
use serde_json::json;

use crate::{
    harness::{AE_TITLE, Archive, Start, dcmtk, eventually, finish},
    hostile::{Besieged, resident_bytes},
    scu::{IMPLICIT_LITTLE, VERIFICATION, associate_rq, connect, read_pdu},
    web::{Answer, ask, data_set},
};

const JSON: &str = "application/dicom+json";
const SCRIPT: &str = "<script>alert(1)</script>";

/// A file that is a program too (CVE-2019-11687): what is stored and what is given out have an empty preamble, the data set is as it came.
#[test]
fn programs_in_preambles() {
    let archive = Archive::start();
    let instance = scale_instance(50, 0);
    let mut part10 = instance.part10.clone();
    let program = b"MZ\x90\x00This program cannot be run in DOS mode.";
    part10[..program.len()].copy_from_slice(program);
    assert_eq!(archive.stow_bytes(&[&part10]).status, 200);
    let retrieved = archive.retrieve(&instance).unwrap();
    assert_eq!(retrieved[..128], [0; 128]);
    assert_eq!(data_set(&retrieved), data_set(&instance.part10));
    let zip = archive.get(&format!("/studies/{}", instance.study_instance_uid), "application/zip");
    assert_eq!(zip.status, 200);
    let data = archive.data();
    assert!(archive.stop().success());
    for bytes in files(&data) {
        assert!(
            memchr::memmem::find(&bytes, b"cannot be run in DOS").is_none(),
            "the program is kept"
        );
    }
}

/// Every file of a folder.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(files(&entry.path())),
            false => found.push(fs::read(entry.path()).unwrap()),
        }
    }
    found
}

/// The series of one study under the UID of another: nothing of it is told by any resource.
#[test]
fn a_series_under_the_link_of_another_study() {
    let archive = Archive::start();
    let (head, chest) = (ct_head(1), cr_chest(1));
    let (one, other) = (head.instance(0).unwrap(), chest.instance(0).unwrap());
    let of_one = head.patient_id;
    assert_eq!(archive.stow(&[&one, &other]).status, 200);
    let series = format!(
        "/studies/{}/series/{}",
        other.study_instance_uid, one.series_instance_uid
    );
    let instance = format!("{series}/instances/{}", one.sop_instance_uid);
    let own = format!(
        "/studies/{}/series/{}/instances/{}",
        other.study_instance_uid, other.series_instance_uid, one.sop_instance_uid
    );
    for (path, accept) in [
        (series.clone(), "*/*"),
        (format!("{series}/metadata"), JSON),
        (format!("{series}/thumbnail"), "image/jpeg"),
        (format!("{series}/rendered"), "image/jpeg"),
        (instance.clone(), "*/*"),
        (format!("{instance}/metadata"), JSON),
        (format!("{instance}/frames/1"), "*/*"),
        (format!("{instance}/rendered"), "image/jpeg"),
        (format!("{instance}/frames/1/rendered"), "image/jpeg"),
        (format!("{instance}/thumbnail"), "image/jpeg"),
        (format!("{instance}/bulkdata/7FE00010"), "*/*"),
        (own, "*/*"),
    ] {
        let answer = archive.get(&path, accept);
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        assert!(memchr::memmem::find(&answer.body, of_one.as_bytes()).is_none());
    }
    for path in [
        format!("{series}/instances"),
        format!(
            "/studies/{}/series?SeriesInstanceUID={}",
            other.study_instance_uid, one.series_instance_uid
        ),
    ] {
        assert!(archive.search(&path).is_empty(), "{path}");
    }
    // WADO-URI says where, too.
    let uri = format!(
        "/wado?requestType=WADO&studyUID={}&seriesUID={}&objectUID={}&contentType=application/dicom",
        other.study_instance_uid, other.series_instance_uid, one.sop_instance_uid
    );
    for path in [uri.clone(), format!("/dicom-web{uri}")] {
        let answer = ask(archive.http, "GET", &path, &[], b"").unwrap();
        assert!((400..500).contains(&answer.status), "{path}: {}", answer.status);
    }
}

/// Markup in values: no answer that a browser shows has it as markup, and what a browser might run is told what it is.
#[test]
fn markup_in_values_is_shown_and_never_run() {
    let archive = Archive::start();
    let metadata = json!([{
        "00080005": {"vr": "CS", "Value": ["ISO_IR 192"]},
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.88.11"]},
        "00080018": {"vr": "UI", "Value": ["2.25.501"]},
        "0020000D": {"vr": "UI", "Value": ["2.25.502"]},
        "0020000E": {"vr": "UI", "Value": ["2.25.503"]},
        "00080060": {"vr": "CS", "Value": ["SR"]},
        "00081030": {"vr": "LO", "Value": [SCRIPT]},
        "0008103E": {"vr": "LO", "Value": [SCRIPT]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": SCRIPT}]},
        "00100020": {"vr": "LO", "Value": [SCRIPT]},
        "00080050": {"vr": "SH", "Value": ["<b>\"'"]},
        "0040A040": {"vr": "CS", "Value": ["CONTAINER"]},
        "0040A043": {"vr": "SQ", "Value": [{"00080104": {"vr": "LO", "Value": [SCRIPT]}}]},
        "0040A730": {"vr": "SQ", "Value": [{
            "0040A010": {"vr": "CS", "Value": ["CONTAINS"]},
            "0040A040": {"vr": "CS", "Value": ["TEXT"]},
            "0040A160": {"vr": "UT", "Value": [SCRIPT]}
        }]}
    }]);
    assert_eq!(stow_json(&archive, &metadata).status, 200);
    let letter = pdf_letter(1).instance(0).unwrap();
    assert_eq!(archive.stow(&[&letter]).status, 200);

    let report = "/dicom-web/studies/2.25.502/series/2.25.503/instances/2.25.501/rendered";
    for path in [
        "/",
        "/studies/2.25.502",
        "/?PatientID=%3Cscript%3Ealert(1)%3C/script%3E",
        report,
    ] {
        let answer = ask(archive.http, "GET", path, &[("Accept", "text/html")], b"").unwrap();
        assert!(answer.status < 500, "{path}: {}", answer.status);
        assert!(!answer.text().contains(SCRIPT), "{path}: {}", answer.text());
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            !policy.contains("script-src 'unsafe") && policy.contains("default-src"),
            "{path}: {policy}"
        );
    }
    let document = format!(
        "/dicom-web/studies/{}/series/{}/instances/{}/rendered",
        letter.study_instance_uid, letter.series_instance_uid, letter.sop_instance_uid
    );
    let answer = ask(archive.http, "GET", &document, &[("Accept", "application/pdf")], b"").unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(
        answer
            .header("content-security-policy")
            .unwrap_or_default()
            .contains("sandbox"),
        "{:?}",
        answer.headers
    );
    // An error page of a path that is markup is no page.
    let answer = ask(
        archive.http,
        "GET",
        "/dicom-web/studies/%3Cscript%3E",
        &[("Accept", "text/html")],
        b"",
    )
    .unwrap();
    assert!(
        (400..500).contains(&answer.status) && !answer.text().contains("<script>"),
        "{}",
        answer.text()
    );
}

fn stow_json(archive: &Archive, metadata: &serde_json::Value) -> Answer {
    let body = [
        b"--b\r\nContent-Type: application/dicom+json\r\n\r\n".as_slice(),
        metadata.to_string().as_bytes(),
        b"\r\n--b--\r\n",
    ]
    .concat();
    let headers = [
        (
            "Content-Type",
            "multipart/related; type=\"application/dicom+json\"; boundary=b",
        ),
        ("Accept", JSON),
    ];
    ask(archive.http, "POST", "/dicom-web/studies", &headers, &body).unwrap()
}

/// References to other servers in what is stored, or in the head of a request, are never followed.
#[test]
fn references_to_other_servers_are_not_followed() {
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    inside.set_nonblocking(true).unwrap();
    let target = inside.local_addr().unwrap();
    let archive = Archive::start();
    let metadata = json!([{
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.7"]},
        "00080018": {"vr": "UI", "Value": ["2.25.511"]},
        "0020000D": {"vr": "UI", "Value": ["2.25.512"]},
        "0020000E": {"vr": "UI", "Value": ["2.25.513"]},
        "00080060": {"vr": "CS", "Value": ["OT"]},
        "00081190": {"vr": "UR", "Value": [format!("http://{target}/retrieve")]},
        "00280010": {"vr": "US", "Value": [1]}, "00280011": {"vr": "US", "Value": [1]},
        "00280100": {"vr": "US", "Value": [8]},
        "7FE00010": {"vr": "OB", "BulkDataURI": format!("http://{target}/pixels")}
    }]);
    let answer = stow_json(&archive, &metadata);
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    for header in ["X-Forwarded-Host", "Forwarded", "Host", "Referer"] {
        let value = match header {
            "Forwarded" => format!("host={target}"),
            _ => target.to_string(),
        };
        ask(archive.http, "GET", "/dicom-web/studies", &[(header, &value)], b"").unwrap();
    }
    // A destination that nobody configured, however it is spelt.
    let instance = scale_instance(51, 0);
    assert_eq!(archive.stow(&[&instance]).status, 200);
    for destination in ["NOWHERE", "127.0.0.1", "localhost"] {
        let moved = finish(
            dcmtk("movescu")
                .args([
                    "-S",
                    "-aec",
                    AE_TITLE,
                    "-aem",
                    destination,
                    "-k",
                    "QueryRetrieveLevel=STUDY",
                ])
                .args(["-k", &format!("StudyInstanceUID={}", instance.study_instance_uid)])
                .args(["127.0.0.1", &archive.dicom.port().to_string()]),
        );
        assert!(
            moved.text.contains("0xa801") || moved.text.contains("MoveDestinationUnknown"),
            "{}",
            moved.text
        );
    }
    assert_eq!(
        inside.accept().unwrap_err().kind(),
        ErrorKind::WouldBlock,
        "somebody called"
    );
}

/// Many associations that are refused cost nothing that stays (CVE-2026-50254), and those that are let in are counted.
#[test]
fn a_flood_of_associations() {
    let besieged = Besieged::started(Start::default().settings("[dicom]\nassociations_max = 4\n"));
    let address = besieged.archive.dicom;
    let refused = || {
        let mut stream = connect(address).unwrap();
        let _ = stream.write_all(&associate_rq("SOMEBODY", &[("1.2.3.4", IMPLICIT_LITTLE)]));
        drop(read_pdu(&mut stream));
    };
    for _ in 0..100 {
        refused();
    }
    let before = resident_bytes(besieged.archive.process_id());
    for _ in 0..1_500 {
        refused();
    }
    let after = resident_bytes(besieged.archive.process_id());
    assert!(after < before + (16 << 20), "{before} bytes became {after}");

    let open: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = connect(address).unwrap();
            stream
                .write_all(&associate_rq(AE_TITLE, &[(VERIFICATION, IMPLICIT_LITTLE)]))
                .unwrap();
            assert_eq!(read_pdu(&mut stream).unwrap().kind, 2);
            stream
        })
        .collect();
    let mut one_more = connect(address).unwrap();
    one_more
        .write_all(&associate_rq(AE_TITLE, &[(VERIFICATION, IMPLICIT_LITTLE)]))
        .unwrap();
    // Rejected, transient, by the presentation provider: local limit exceeded (PS3.8 §9.3.4).
    let refusal = read_pdu(&mut one_more).unwrap();
    assert_eq!((refusal.kind, refusal.body), (3, vec![0, 2, 3, 2]));
    drop(open);
    eventually("there is room again", || {
        let mut stream = connect(address).ok()?;
        stream
            .write_all(&associate_rq(AE_TITLE, &[(VERIFICATION, IMPLICIT_LITTLE)]))
            .ok()?;
        (read_pdu(&mut stream).ok()?.kind == 2).then_some(())
    });
    besieged.assert_unmoved();
}

/// Line ends and control characters in what a peer says of itself make no line of their own in the log.
#[test]
fn lines_in_values_are_no_lines_of_the_log() {
    let archive = Start::default().settings("[log]\nlevel = \"debug\"\n").start();
    for path in [
        "/dicom-web/studies?PatientName=a%0Aforged%20line",
        "/dicom-web/studies/1.2%0Aforged",
        "/%0Aforged%20line",
    ] {
        let agent = "x\tforged";
        drop(ask(archive.http, "GET", path, &[("User-Agent", agent)], b""));
    }
    let mut stream = connect(archive.dicom).unwrap();
    stream
        .write_all(&associate_rq("A\nforged line", &[("1.2.3\nforged", IMPLICIT_LITTLE)]))
        .unwrap();
    drop(read_pdu(&mut stream));
    std::thread::sleep(Duration::from_millis(200));
    let log = archive.log();
    assert!(log.lines().all(|line| !line.starts_with("forged")), "{log}");
}

/// A sender that says one patient and then another for the same SOP Instance UID changes nothing that is stored.
#[test]
fn the_same_instance_of_another_patient() {
    let besieged = Besieged::start();
    let stored = &besieged.stored;
    let patient = besieged.archive.search("/studies")[0]["00100020"]["Value"][0].clone();
    let mut changed = stored.part10.clone();
    let at = memchr::memmem::find(&changed, patient.as_str().unwrap().as_bytes()).unwrap();
    changed[at] ^= 1;
    let answer = besieged.archive.stow_bytes(&[&changed]);
    // Taken, and kept apart for a person to look at: the warning says so.
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_eq!(answer.json()["00081199"]["Value"][0]["00081196"]["Value"][0], 0xB000);
    besieged.assert_unmoved();
}

/// A body that is compressed as a whole is refused before any of it is read, in words.
#[test]
fn compressed_requests() {
    let besieged = Besieged::start();
    for coding in ["gzip", "deflate", "br", "zstd", "gzip, gzip"] {
        let headers = [
            (
                "Content-Type",
                "multipart/related; type=\"application/dicom\"; boundary=fixture",
            ),
            ("Content-Encoding", coding),
        ];
        let answer = ask(
            besieged.archive.http,
            "POST",
            "/dicom-web/studies",
            &headers,
            &[0x1F, 0x8B, 8, 0],
        )
        .unwrap();
        assert_eq!(answer.status, 415, "{coding}: {}", answer.text());
        assert_eq!(answer.header("accept-encoding"), Some("identity"));
    }
    besieged.assert_unmoved();
}

/// Names of attributes as they are written by a peer's program run nothing: the archive has no shell, and starts no program but those
/// of its settings.
#[test]
fn nothing_is_run() {
    let besieged = Besieged::start();
    let canary = besieged.archive.data().parent().unwrap().join("canary");
    let command = format!("$(touch {0})`touch {0}`;touch {0}|touch {0}", canary.display());
    let metadata = json!([{
        "00080016": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.1.1.88.11"]},
        "00080018": {"vr": "UI", "Value": [format!("1.2.3;{command}")]},
        "0020000D": {"vr": "UI", "Value": ["2.25.522"]},
        "0020000E": {"vr": "UI", "Value": ["2.25.523"]}
    }]);
    let answer = stow_json(&besieged.archive, &metadata);
    assert!((400..500).contains(&answer.status), "{}", answer.text());
    let mut stream = connect(besieged.archive.dicom).unwrap();
    stream
        .write_all(&associate_rq("$(id)`id`;id|id", &[(VERIFICATION, IMPLICIT_LITTLE)]))
        .unwrap();
    drop(read_pdu(&mut stream));
    assert!(!canary.exists());
    besieged.assert_unmoved();
}
