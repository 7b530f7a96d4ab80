//! Verified, rebuilt, backed up and restored, through the real binary.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use filmroom_fixtures::{Instance, scale_instance};
use serde_json::Value;

use crate::{
    harness::{Archive, Start, binary, eventually, folder},
    pynetdicom::some_of_everything,
    scu::Scu,
};

const SETTINGS: &str = "[storage]\nsettle_after = \"200 ms\"\n";

fn start(data: &Path) -> Archive {
    Start::default().in_folder(data).settings(SETTINGS).start()
}

fn packs(data: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![data.join("objects/studies")]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().map_while(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "tar") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Waits until nothing waits in the intake any more.
fn settled(archive: &Archive) {
    eventually("everything settles", || {
        let metrics = crate::web::ask(archive.http, "GET", "/metrics", &[], &[]).ok()?;
        let text = String::from_utf8(metrics.body).ok()?;
        text.lines()
            .any(|line| line == "filmroom_instances_waiting 0")
            .then_some(())
    });
}

/// Runs a command on a data folder; its status, standard output and standard error.
fn filmroom(data: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = binary().args(arguments).arg("--data").arg(data).output().unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn verify_finds_one_bit_and_repairs_it_from_the_replica() {
    let home = folder();
    let data = home.path().join("data");
    let replica = home.path().join("replica");
    let settings = format!("{SETTINGS}[replica]\nfolder = \"{}\"\n", replica.display());
    let archive = Start::default().in_folder(&data).settings(&settings).start();
    let instances: Vec<Instance> = (0..30).map(|index| scale_instance(81, index)).collect();
    for instance in &instances {
        assert_eq!(archive.stow(&[instance]).status, 200);
    }
    settled(&archive);
    // A folder that is served is left alone.
    let (status, _, said) = filmroom(&data, &["verify"]);
    assert_eq!(status, 75, "{said}");
    assert!(archive.stop().success());

    let (status, report, said) = filmroom(&data, &["verify", "--json"]);
    assert_eq!(status, 0, "{said}");
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["indexed"], &report["position"]), (&30.into(), &"end".into()));

    let pack = packs(&data).remove(0);
    let whole = fs::read(&pack).unwrap();
    let mut bytes = whole.clone();
    let pixel = bytes.len() / 2;
    bytes[pixel] ^= 1;
    fs::write(&pack, &bytes).unwrap();
    let (status, summary, said) = filmroom(&data, &["verify", "--rate", "500 MiB"]);
    assert_eq!(status, 65, "{summary}{said}");
    assert!(said.contains("SHA-256") || said.contains("at byte"), "{said}");

    let config = home.path().join("filmroom.toml");
    let config = config.to_str().unwrap();
    let (status, summary, said) = filmroom(&data, &["verify", "--config", config]);
    assert_eq!(status, 0, "{summary}{said}");
    assert!(summary.contains("1 objects repaired"), "{summary}");
    assert_eq!(fs::read(&pack).unwrap(), whole);
    let archive = Start::default().in_folder(&data).settings(&settings).start();
    instances.iter().for_each(|instance| archive.assert_holds(instance));
}

/// All that viewers read of an archive.
fn answers(archive: &Archive) -> Vec<(String, Vec<u8>)> {
    let mut answers = Vec::new();
    let mut ask = |path: String, accept: &str| {
        let answer = archive.get(&path, accept);
        assert_eq!(answer.status, 200, "{path}");
        // Parts have a boundary of their own each time, and URLs the port.
        let boundary = answer
            .header("content-type")
            .and_then(|kind| kind.split("boundary=").nth(1));
        let body = match boundary {
            Some(boundary) => {
                let boundary = boundary.trim_matches('"').split(';').next().unwrap().trim_matches('"');
                let text = answer.body.iter().map(|byte| char::from(*byte)).collect::<String>();
                text.replace(boundary, "boundary").into_bytes()
            }
            None => String::from_utf8_lossy(&answer.body)
                .replace(&archive.http.to_string(), "host")
                .into_bytes(),
        };
        answers.push((path, body));
    };
    let json = "application/dicom+json";
    for search in [
        "/studies?includefield=all&limit=1000",
        "/series?includefield=all&limit=1000",
        "/instances?includefield=all&limit=1000",
        "/studies?PatientName=*&fuzzymatching=false&limit=2&offset=1",
        "/studies?ModalitiesInStudy=CT",
    ] {
        let path = search.to_owned();
        let answer = archive.get(&path, json);
        assert!(answer.status == 200 || answer.status == 204, "{path}");
        if answer.status == 200 {
            ask(path, json);
        }
    }
    for instance in archive.search("/instances?limit=1000") {
        let uid = |tag: &str| instance[tag]["Value"][0].as_str().unwrap().to_owned();
        let path = format!(
            "/studies/{}/series/{}/instances/{}",
            uid("0020000D"),
            uid("0020000E"),
            uid("00080018")
        );
        ask(format!("{path}/metadata"), json);
        ask(
            path.clone(),
            "multipart/related; type=\"application/dicom\"; transfer-syntax=*",
        );
        let frames = archive.get(
            &format!("{path}/frames/1"),
            "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*",
        );
        if frames.status == 200 {
            ask(
                format!("{path}/frames/1"),
                "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*",
            );
        }
    }
    answers
}

#[test]
fn a_rebuilt_index_answers_as_before() {
    let home = folder();
    let data = home.path().join("data");
    let archive = start(&data);
    for instance in some_of_everything(5) {
        assert_eq!(archive.stow(&[&instance]).status, 200);
    }
    settled(&archive);
    // Some are in packs, some still in the intake.
    let before = {
        assert!(archive.stop().success());
        let archive = Start::default()
            .in_folder(&data)
            .settings("[storage]\nsettle_after = \"1 h\"\n")
            .start();
        for index in 0..5 {
            assert_eq!(archive.stow(&[&scale_instance(82, index)]).status, 200);
        }
        let before = answers(&archive);
        archive.kill();
        before
    };
    fs::remove_dir_all(data.join("index")).unwrap();
    let (status, summary, said) = filmroom(&data, &["rebuild"]);
    assert_eq!(status, 0, "{summary}{said}");
    assert!(summary.contains("5 from the intake"), "{summary}");
    let archive = Start::default()
        .in_folder(&data)
        .settings("[storage]\nsettle_after = \"1 h\"\n")
        .start();
    let after = answers(&archive);
    assert!(before.len() > 40);
    for (one, other) in before.iter().zip(&after) {
        assert_eq!(one.0, other.0);
        assert!(one.1 == other.1, "{} answers something else", one.0);
    }
    assert_eq!(before.len(), after.len());
}

/// As the README says: intake, objects, journal, state, in this order, again where something vanished meanwhile.
fn back_up(data: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for part in ["intake", "objects", "journal", "state"] {
        eventually("a copy without anything that vanishes", || {
            let copied = Command::new("cp")
                .arg("-R")
                .arg(data.join(part))
                .arg(to)
                .output()
                .unwrap();
            copied.status.success().then_some(())
        });
    }
}

#[test]
fn a_backup_made_while_instances_come_has_all_that_came_before() {
    let home = folder();
    let data = home.path().join("data");
    let archive = start(&data);
    let (next, ended) = (AtomicUsize::new(0), AtomicBool::new(false));
    let safe = Mutex::new(Vec::new());
    let server = archive.dicom;
    let before = thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let mut scu = Scu::associate_for(server, &scale_instance(83, 0)).unwrap();
                while !ended.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(scu.store(&scale_instance(83, index)).unwrap(), 0);
                    safe.lock().unwrap().push(index);
                }
            });
        }
        eventually("some are settled and some wait", || {
            (safe.lock().unwrap().len() > 150 && packs(&data).len() > 1).then_some(())
        });
        let before = safe.lock().unwrap().clone();
        back_up(&data, &home.path().join("copy/data"));
        let enough = safe.lock().unwrap().len() + 20;
        eventually("they went on coming", || {
            (safe.lock().unwrap().len() > enough).then_some(())
        });
        ended.store(true, Ordering::Relaxed);
        before
    });
    archive.kill();
    let restored = home.path().join("copy/data");
    let (status, summary, said) = filmroom(&restored, &["verify"]);
    assert_eq!(status, 0, "{summary}{said}");
    let archive = start(&restored);
    for index in before {
        archive.assert_holds(&scale_instance(83, index));
    }
    archive.assert_holds(&{
        let one_more = scale_instance(84, 1);
        assert_eq!(archive.stow(&[&one_more]).status, 200);
        one_more
    });
}
