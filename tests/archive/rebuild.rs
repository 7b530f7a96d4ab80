//! The index made anew, on both engines: what is asked before and after has the same answers, byte for byte.

use std::path::Path;

use filmroom_fixtures::Instance;

use crate::{
    harness::{Archive, Start, binary, folder, run},
    pynetdicom::some_of_everything,
};

fn start(data: &Path, engine: &str) -> Archive {
    let settings = format!("[index]\nengine = \"{engine}\"\n[storage]\nsettle_after = \"1 s\"\n");
    Start::default().in_folder(data).settings(&settings).start()
}

/// Queries, metadata and frames.
fn answers(archive: &Archive, instances: &[Instance]) -> Vec<(String, String)> {
    let mut paths: Vec<String> = [
        "/studies?limit=1000",
        "/studies?includefield=all&PatientName=*A*",
        "/studies?ModalitiesInStudy=CT",
        "/series?limit=1000",
        "/instances?limit=1000",
    ]
    .map(str::to_owned)
    .to_vec();
    for instance in instances.iter().step_by(4) {
        let series = format!(
            "/studies/{}/series/{}",
            instance.study_instance_uid, instance.series_instance_uid
        );
        paths.push(format!("{series}/metadata"));
        paths.push(format!("{series}/instances/{}/frames/1", instance.sop_instance_uid));
    }
    paths
        .into_iter()
        .map(|path| {
            let is_frame = path.contains("/frames/");
            let accept = if is_frame {
                "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*, */*"
            } else {
                "application/dicom+json"
            };
            let answer = archive.get(&path, accept);
            let said = match (is_frame, answer.status) {
                (true, 200) => format!("{:?}", answer.parts()),
                // URLs name the port, which is another each time.
                _ => answer.text().replace(&archive.http.to_string(), "HOST"),
            };
            (path, format!("{} {said}", answer.status))
        })
        .collect()
}

#[track_caller]
fn assert_same(before: &[(String, String)], after: &[(String, String)]) {
    for (before, after) in before.iter().zip(after) {
        assert!(
            before == after,
            "{} has another answer:\n{:.2000}\n{:.2000}",
            before.0,
            before.1,
            after.1
        );
    }
}

#[test]
fn a_rebuilt_index_gives_the_same_answers_on_both_engines() {
    let instances = some_of_everything(1);
    let home = folder();
    let data = home.path().join("data");
    let archive = start(&data, "sled");
    for instance in &instances {
        assert_eq!(archive.stow(&[instance]).status, 200);
    }
    let before = answers(&archive, &instances);
    assert!(before.iter().filter(|(_, said)| said.starts_with("200")).count() > instances.len() / 4);
    assert!(archive.stop().success());
    // Another engine than the index was made by: it is made anew at the start.
    for engine in ["fjall", "sled"] {
        let archive = start(&data, engine);
        assert_same(&before, &answers(&archive, &instances));
        assert!(archive.log().contains("makes the index anew"), "{}", archive.log());
        assert!(archive.stop().success());
        run(binary()
            .args(["rebuild", "--set", &format!("index.engine={engine}"), "--data"])
            .arg(&data));
        let archive = start(&data, engine);
        assert_same(&before, &answers(&archive, &instances));
        assert!(archive.stop().success());
    }
}

#[test]
fn fjall_keeps_what_was_acknowledged_when_it_is_killed() {
    let home = folder();
    let data = home.path().join("data");
    let instances = some_of_everything(1);
    for some in instances.chunks(instances.len() / 3 + 1) {
        let archive = start(&data, "fjall");
        for instance in some {
            assert_eq!(archive.stow(&[instance]).status, 200);
        }
        archive.kill();
    }
    let archive = start(&data, "fjall");
    instances.iter().for_each(|instance| archive.assert_holds(instance));
    assert_eq!(archive.search("/instances?limit=1000").len(), instances.len());
}
