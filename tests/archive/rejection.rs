//! Rejection by notes and by hand, in every view of the archive.

use std::fs;

use serde_json::Value;

use crate::{
    harness::{Archive, Start, folder, python, run, write_all},
    records::{PASSCODE, account, command, json},
    web::ask,
};

const PACK: &str = r#"pack = "house"
version = "1"
effective_from = 2000-01-01
rule = [
  { id = "house.plain", class = "min", when = { modality = ["CR"] }, keep = [{ from = "study.date", for = "P1D" }] },
  { id = "house.other", class = "min", when = { not = { modality = ["CR"] } }, keep = [{ from = "study.date", for = "P200Y" }] },
]
"#;

const SETTINGS: &str = "[dicom]\nviews = [\"FILMROOM_QC=regular\", \"FILMROOM_ALL=manager\"]\n\
    peers = [{ ae_title = \"QC\", address = \"127.0.0.1:4\", may = [\"store\", \"find\", \"move\", \"get\", \"reject\"] }, \
    \"OTHER=127.0.0.1:4\"]\n";

fn started(data: &std::path::Path) -> Archive {
    Start::default().in_folder(data).settings(SETTINGS).start()
}

/// Instances of a study that are found below a path of DICOMweb.
fn count(archive: &Archive, below: &str, study: &str) -> usize {
    let path = format!("/dicom-web{below}/studies/{study}/instances");
    let found = ask(archive.http, "GET", &path, &[], b"").unwrap();
    let found: Value = serde_json::from_slice(&found.body).unwrap_or_default();
    found.as_array().map_or(0, Vec::len)
}

#[test]
fn what_is_rejected_is_seen_by_whom_it_is_for() {
    let files = folder();
    let data = files.path().join("data");
    let archive = started(&data);
    for (name, roles) in [
        ("qa", "technologist"),
        ("manager", "him-manager"),
        ("author", "him-manager"),
    ] {
        account(&archive, name, roles);
    }
    let pack = files.path().join("house.toml");
    fs::write(&pack, PACK).unwrap();
    let words = ["retention", "submit", pack.to_str().unwrap(), "--bind", "house"];
    let id = json(&archive, "author", &words)["id"].as_str().unwrap().to_owned();
    json(&archive, "author", &["retention", "simulate", &id]);
    let publish = ["retention", "publish", &id, "--acknowledge-shortening"];
    json(&archive, "manager", &publish);

    let mut instances: Vec<_> = filmroom_fixtures::mr_head(1).sample(2).take(4).collect();
    let study = instances[0].study_instance_uid.clone();
    instances.extend(filmroom_fixtures::cr_chest(1).instances().take(1));
    for instance in &instances {
        assert_eq!(archive.stow(&[instance]).status, 200);
    }
    let paths = write_all(files.path(), &instances);
    run(python("rejection.py")
        .arg(archive.dicom.port().to_string())
        .arg(archive.dicom_web())
        .arg(PASSCODE)
        .args(paths));

    let listed = run(&mut command(&archive, "qa", &["rejected", "--study", &study]));
    assert!(listed.contains("113001") && listed.contains("113038"), "{listed}");
    let (hidden, regular) = (count(&archive, "", &study), count(&archive, "/regular", &study));
    assert_eq!(hidden, 0);
    assert!(regular > 0);
    assert_eq!(archive.stop().code(), Some(0));

    // What was decided is in force before anybody is answered.
    let archive = started(&data);
    assert_eq!(count(&archive, "", &study), hidden);
    assert_eq!(count(&archive, "/regular", &study), regular);
    let restored = run(&mut command(
        &archive,
        "qa",
        &["restore", &study, "--why", "the order was right"],
    ));
    assert!(restored.contains("are restored"), "{restored}");
    assert_eq!(count(&archive, "", &study), 4);
    assert!(
        run(&mut command(&archive, "qa", &["rejected", "--study", &study]))
            .lines()
            .count()
            <= 1
    );
    assert_eq!(archive.stop().code(), Some(0));
}
