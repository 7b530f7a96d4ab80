//! How the server starts, stops, and what it says.

use std::fs;

use filmroom_fixtures::{Instance, scale};

use crate::{
    harness::{Archive, Start, binary, finish, folder},
    scu::Scu,
};

#[test]
fn the_data_folder_has_its_four_rooms() {
    let archive = Archive::start();
    assert_eq!(archive.stow(&[&scale(20, 1).next().unwrap()]).status, 200);
    for name in ["index", "intake", "objects", "journal"] {
        assert!(archive.data().join(name).is_dir(), "{name} is missing");
    }
}

/// SIGTERM: what was acknowledged is there after the next start, and the exit status is 0.
#[test]
fn stops_when_asked_and_keeps_everything() {
    let home = folder();
    let data = home.path().join("data");
    let archive = Start::default().in_folder(&data).start();
    let instances: Vec<Instance> = scale(21, 60).collect();
    let mut scu = Scu::associate_for(archive.dicom, &instances[0]).unwrap();
    for instance in &instances {
        assert_eq!(scu.store(instance).unwrap(), 0);
    }
    scu.release().unwrap();
    let status = archive.stop();
    assert!(status.success(), "{status}");
    let archive = Start::default().in_folder(&data).start();
    instances.iter().for_each(|instance| archive.assert_holds(instance));
}

/// An instance can be read as soon as its sender has its success.
#[test]
fn an_instance_is_found_the_moment_it_is_stored() {
    let archive = Archive::start();
    let instances: Vec<Instance> = scale(22, 40).collect();
    let mut scu = Scu::associate_for(archive.dicom, &instances[0]).unwrap();
    for (index, instance) in instances.iter().enumerate() {
        assert_eq!(scu.store(instance).unwrap(), 0);
        archive.assert_holds(instance);
        assert_eq!(
            archive
                .search(&format!("/instances?SOPInstanceUID={}", instance.sop_instance_uid))
                .len(),
            1
        );
        let study = &archive.search(&format!("/studies?StudyInstanceUID={}", instance.study_instance_uid))[0];
        assert_eq!(study["00201208"]["Value"][0], index + 1);
    }
    scu.release().unwrap();
}

#[test]
fn a_second_server_in_the_same_folder_is_refused() {
    let archive = Archive::start();
    let second = finish(
        binary()
            .args(["serve", "--dicom", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"])
            .arg(archive.data()),
    );
    assert!(!second.success, "{}", second.text);
    assert!(archive.search("/studies").is_empty());
}

#[test]
fn an_unknown_setting_is_refused_with_the_nearest_valid_one() {
    let home = folder();
    let settings = home.path().join("filmroom.toml");
    fs::write(&settings, "[dicom]\nae_titel = \"X\"\n").unwrap();
    let checked = finish(binary().args(["config", "check", "--config"]).arg(&settings));
    assert!(!checked.success);
    assert!(
        checked.text.contains("ae_titel") && checked.text.contains("ae_title"),
        "{}",
        checked.text
    );
}

#[test]
fn listening_beyond_this_machine_is_refused() {
    let home = folder();
    let refused = finish(
        binary()
            .args(["serve", "--dicom", "0.0.0.0:0", "--http", "127.0.0.1:0", "--data"])
            .arg(home.path().join("data")),
    );
    assert!(!refused.success, "{}", refused.text);
    assert!(refused.text.contains("0.0.0.0"), "{}", refused.text);
}
