//! Encryption at rest, seen from outside: every byte and every name below the data folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use filmroom_fixtures::{Instance, catalogue};
use memchr::memmem;
use tempfile::TempDir;

use crate::harness::{Archive, Finished, Start, binary, eventually, finish, folder};

const SETTLE: &str = "[storage]\nsettle_after = \"1 s\"\nstaged_from = \"64 KiB\"\n";

/// A home with a master key, and what an archive in it is asked to keep.
struct Home {
    folder: TempDir,
    instances: Vec<Instance>,
    /// What must not be seen: names, IDs and accession numbers of patients, and UIDs.
    words: Vec<String>,
}

impl Home {
    fn new() -> Self {
        let mut words = Vec::new();
        let mut instances = Vec::new();
        for study in catalogue(1).iter().take(4) {
            words.push(study.patient_name.split(['^', '=']).next().unwrap().to_owned());
            words.push(study.patient_name.to_lowercase());
            words.extend([study.patient_id.to_owned(), study.accession_number.clone()]);
            words.push(study.study_instance_uid.clone());
            instances.extend(study.sample(2));
        }
        words.extend(instances.iter().map(|instance| instance.sop_instance_uid.clone()));
        // A word of a few letters is found by chance in megabytes that are random.
        words.retain(|word| word.len() >= 5);
        let home = Self {
            folder: folder(),
            instances,
            words,
        };
        home.write_keys(&[&new_key()]);
        home
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn write_keys(&self, keys: &[&str]) {
        fs::write(self.folder.path().join("master.key"), keys.join("\n")).unwrap();
    }

    fn key(&self) -> String {
        fs::read_to_string(self.folder.path().join("master.key")).unwrap()
    }

    fn setting(&self) -> String {
        format!("file:{}", self.folder.path().join("master.key").display())
    }

    fn start(&self) -> Archive {
        let setting = format!("encryption.master_key={}", self.setting());
        let start = Start::default().in_folder(&self.data()).settings(SETTLE);
        start.flag("--set", &setting).start()
    }

    /// A command on the data folder.
    fn command(&self, words: &[&str]) -> Finished {
        let mut command = binary();
        command.args(words).arg("--data").arg(self.data());
        command
            .arg("--set")
            .arg(format!("encryption.master_key={}", self.setting()));
        finish(&mut command)
    }

    fn store(&self, archive: &Archive) {
        for instance in &self.instances {
            assert_eq!(archive.stow(&[instance]).status, 200);
        }
    }

    #[track_caller]
    fn assert_whole(&self, archive: &Archive) {
        self.instances
            .iter()
            .for_each(|instance| archive.assert_holds(instance));
        for study in catalogue(1).iter().take(4) {
            let family = study.patient_name.split(['^', '=']).next().unwrap();
            let found = archive.search(&format!("/studies?AccessionNumber={}", study.accession_number));
            assert_eq!(found[0]["0020000D"]["Value"][0], study.study_instance_uid.as_str());
            let found = archive.search(&format!("/studies?PatientID={}", study.patient_id));
            assert!(!found.is_empty(), "{}", study.patient_id);
            if family.is_ascii() && !family.contains(' ') {
                let found = archive.search(&format!("/studies?PatientName={}*", family.to_uppercase()));
                assert!(!found.is_empty(), "{family}");
            }
        }
    }

    /// Files below the data folder whose name or bytes hold one of the words.
    fn seen(&self) -> Vec<(PathBuf, String)> {
        let mut seen = Vec::new();
        for path in files(&self.data()) {
            let bytes = fs::read(&path).unwrap_or_default();
            let name = path.strip_prefix(self.data()).unwrap().to_string_lossy().into_owned();
            for word in &self.words {
                if memmem::find(&bytes, word.as_bytes()).is_some() || name.contains(word) {
                    seen.push((path.clone(), word.clone()));
                }
            }
        }
        seen
    }

    fn settled(&self) {
        let log = self.data().join("intake");
        eventually("all settles and the log is trimmed", || {
            let waits = files(&log.join("staged")).len();
            (waits == 0 && !files(&self.data().join("objects")).is_empty()).then_some(())
        });
    }
}

fn new_key() -> String {
    let printed = binary().args(["key", "new"]).output().unwrap();
    String::from_utf8(printed.stdout).unwrap().trim().to_owned()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[test]
fn nothing_of_a_patient_is_seen_in_the_data_folder() {
    let home = Home::new();
    let archive = home.start();
    home.store(&archive);
    home.assert_whole(&archive);
    assert_eq!(home.seen(), []);
    archive.kill();
    let archive = home.start();
    home.assert_whole(&archive);
    home.settled();
    home.assert_whole(&archive);
    assert!(archive.stop().success());
    assert_eq!(home.seen(), []);
    let rebuilt = home.command(&["rebuild"]);
    assert!(rebuilt.success, "{}", rebuilt.text);
    let archive = home.start();
    home.assert_whole(&archive);
    assert!(archive.stop().success());
    assert_eq!(home.seen(), []);
}

#[test]
fn a_master_key_that_is_wrong_or_missing_is_refused_with_a_sentence() {
    let home = Home::new();
    let archive = home.start();
    assert_eq!(archive.stow(&[&home.instances[0]]).status, 200);
    assert!(archive.stop().success());
    let right = home.key();
    let refused = |words: &str| {
        let told = home.command(&["serve", "--dicom", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        assert!(!told.success && told.text.contains(words), "{}", told.text);
    };
    home.write_keys(&[&new_key()]);
    refused("encrypted under master key");
    home.write_keys(&["not a key"]);
    refused("64 hexadecimal digits");
    home.write_keys(&[]);
    refused("there is no master key");
    let without = finish(binary().arg("rebuild").arg("--data").arg(home.data()));
    assert!(
        !without.success && without.text.contains("no master key is given"),
        "{}",
        without.text
    );
    let unset = finish(
        binary()
            .args(["rebuild", "--set", "encryption.master_key=env:NO_SUCH_KEY", "--data"])
            .arg(home.data()),
    );
    assert!(!unset.success && unset.text.contains("NO_SUCH_KEY"), "{}", unset.text);
    home.write_keys(&[&right]);
    home.start().assert_holds(&home.instances[0]);
}

#[test]
fn a_master_key_is_rotated_and_the_old_one_given_up() {
    let home = Home::new();
    let archive = home.start();
    home.store(&archive);
    assert!(archive.stop().success());
    let (old, new) = (home.key(), new_key());
    home.write_keys(&[&new, &old]);
    let rotated = home.command(&["key", "rotate"]);
    assert!(
        rotated.success && rotated.text.contains("were wrapped anew"),
        "{}",
        rotated.text
    );
    home.write_keys(&[&new]);
    let listed = home.command(&["key", "list"]);
    assert!(listed.success && !listed.text.contains("NOT GIVEN"), "{}", listed.text);
    let archive = home.start();
    home.assert_whole(&archive);
    assert!(archive.stop().success());
    home.write_keys(&[&old]);
    assert!(!home.command(&["key", "list"]).success);
}

#[test]
fn an_archive_that_was_plain_is_encrypted() {
    let home = Home::new();
    let archive = Start::default().in_folder(&home.data()).settings(SETTLE).start();
    home.store(&archive);
    assert!(archive.stop().success());
    assert!(!home.seen().is_empty());
    let encrypted = home.command(&["encrypt"]);
    assert!(
        encrypted.success && encrypted.text.contains("objects encrypted"),
        "{}",
        encrypted.text
    );
    assert_eq!(home.seen(), []);
    let archive = home.start();
    home.assert_whole(&archive);
    assert!(archive.stop().success());
    let nothing = home.command(&["encrypt", "--set", "encryption.plain_objects=refuse"]);
    assert!(nothing.text.contains("0 objects encrypted"), "{}", nothing.text);
}

/// The command may ask a vault, and the environment may hold the key.
#[test]
fn keys_come_from_the_environment_and_from_commands() {
    let home = Home::new();
    let list = |command: &mut Command| {
        let listed = finish(command.args(["key", "list", "--data"]).arg(home.data()));
        assert!(
            listed.success && listed.text.contains("wraps what is new"),
            "{}",
            listed.text
        );
    };
    let command = format!(
        "encryption.master_key=command:cat {}",
        home.folder.path().join("master.key").display()
    );
    list(binary().args(["--set", &command]));
    list(
        binary()
            .args(["--set", "encryption.master_key=env:ROOM_KEY"])
            .env("ROOM_KEY", home.key()),
    );
}
