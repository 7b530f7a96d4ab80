//! What runs in a radiologist's browser: the OHIF viewer and the JavaScript dicomweb-client, from another origin.

use filmroom_fixtures::{Instance, ct_head};
use serde_json::Value;

use crate::harness::{Archive, browser, folder, run, write_all};

/// The last line that a script printed.
#[track_caller]
fn seen(output: &str) -> Value {
    let line = output.lines().rev().find(|line| line.starts_with('{'));
    line.and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_else(|| panic!("no line of JSON: {output}"))
}

#[test]
fn ohif_lists_the_studies_and_shows_one() {
    let archive = Archive::start();
    let study = ct_head(1);
    let instances: Vec<Instance> = study.instances().step_by(6).collect();
    assert_eq!(archive.stow(&instances.iter().collect::<Vec<_>>()).status, 200);
    let screenshots = folder();
    let (mut ohif, chromium) = browser("ohif.mjs");
    let viewer = concat!(env!("CARGO_MANIFEST_DIR"), "/target/test-browser/viewer");
    ohif.arg(viewer)
        .arg(archive.dicom_web())
        .arg(study.study_instance_uid.as_str())
        .arg(chromium)
        .arg(screenshots.path());
    let seen = seen(&run(&mut ohif));
    assert_eq!(seen["errors"], Value::Array(Vec::new()), "{seen}");
    assert_eq!(seen["refused"], Value::Array(Vec::new()), "{seen}");
    let list = seen["list"].as_str().unwrap_or_default();
    let name = study.patient_name.split('^').next().unwrap();
    assert!(
        list.to_lowercase().contains(&name.to_lowercase()),
        "{name} is not in the list: {list}"
    );
    assert!(
        seen["lit"].as_f64().unwrap_or_default() >= 0.02,
        "nothing of the picture is seen: {seen}"
    );
}

#[test]
fn the_javascript_client_works_with_a_study() {
    let archive = Archive::start();
    let folder = folder();
    let instances: Vec<Instance> = ct_head(1).instances().skip(10).step_by(12).collect();
    let files = write_all(folder.path(), &instances);
    let (mut client, chromium) = browser("client.mjs");
    let seen = seen(&run(client.arg(archive.dicom_web()).arg(chromium).args(files)));
    for what in ["study_metadata", "study"] {
        assert_eq!(seen[what], instances.len(), "{what}: {seen}");
    }
    let of_series = instances
        .iter()
        .filter(|instance| Some(instance.series_instance_uid.as_str()) == seen["of"].as_str());
    let of_series = of_series.count();
    assert!(of_series > 0, "{seen}");
    for what in ["instances", "series_metadata", "series"] {
        assert_eq!(seen[what], of_series, "{what}: {seen}");
    }
    for what in ["bulk_is_the_frame", "instance_ends_with_the_frame"] {
        assert_eq!(seen[what], true, "{what}: {seen}");
    }
    for picture in ["rendered", "thumbnail"] {
        assert_eq!(
            seen[picture],
            serde_json::json!([0xff, 0xd8, 0xff]),
            "{picture}: {seen}"
        );
    }
    assert!(seen["frame_bytes"].as_u64().unwrap_or_default() > 10_000, "{seen}");
    instances.iter().for_each(|instance| archive.assert_holds(instance));
}
