//! The whole archive on a real S3 server: in by DIMSE and DICOMweb, out again byte for byte, also after the machine is lost.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use filmroom_fixtures::{Instance, scale};

use crate::{
    harness::{AE_TITLE, Archive, Start, binary, dcmtk, eventually, finish, folder, python, run, write_all},
    pynetdicom::some_of_everything,
};

/// A server with an empty bucket; ends with this.
struct S3 {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    endpoint: String,
    access_key: String,
    secret_key: String,
    bucket: String,
}

impl S3 {
    #[track_caller]
    fn start() -> Self {
        let mut command = python("s3_server.py");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ready ") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "the S3 server did not start");
        }
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Self {
            child,
            input,
            output,
            endpoint: words[1].clone(),
            access_key: words[2].clone(),
            secret_key: words[3].clone(),
            bucket: words[4].clone(),
        }
    }

    #[track_caller]
    fn ask(&mut self, command: &str) -> Vec<String> {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
        loop {
            let mut line = String::new();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the S3 server is gone");
            if let Ok(answer) = serde_json::from_str(&line) {
                return answer;
            }
        }
    }

    fn members(&mut self, prefix: &str) -> Vec<String> {
        let command = format!("members {} {prefix}", self.bucket);
        self.ask(&command)
    }

    fn settings(&self, prefix: &str, storage: &str) -> String {
        format!(
            "[storage]\n{storage}\n[objects]\nengine = \"s3\"\ncache_max = \"64 MiB\"\n[objects.s3]\nendpoint = \"{}\"\nbucket = \
             \"{}\"\nprefix = \"{prefix}\"\naccess_key_id = \"{}\"\nsecret_access_key = \"{}\"\n",
            self.endpoint, self.bucket, self.access_key, self.secret_key
        )
    }

    fn archive(&self, data: &Path, prefix: &str, storage: &str) -> Archive {
        Start::default()
            .in_folder(data)
            .settings(&self.settings(prefix, storage))
            .start()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// Everything that a viewer would ask: all that is found, whole instances, metadata, frames.
#[track_caller]
fn holdings(archive: &Archive, instances: &[Instance]) -> Vec<Vec<u8>> {
    let mut found = archive.search("/instances?limit=1000");
    found.sort_by_key(|instance| instance["00080018"]["Value"][0].to_string());
    assert_eq!(found.len(), instances.len());
    // Where it was found is another port after each start.
    for instance in &mut found {
        instance.as_object_mut().unwrap().remove("00081190");
    }
    let mut holdings = vec![serde_json::to_vec(&found).unwrap()];
    for instance in instances {
        archive.assert_holds(instance);
        let path = format!(
            "/studies/{}/series/{}/instances/{}",
            instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid
        );
        let frame = archive.get(
            &format!("{path}/frames/1"),
            "multipart/related; type=\"application/octet-stream\"; transfer-syntax=*",
        );
        if frame.status == 200 {
            holdings.extend(frame.parts());
        }
    }
    assert!(holdings.len() > instances.len() / 2, "most instances have frames");
    holdings
}

#[track_caller]
fn storescu(archive: &Archive, files: &[std::path::PathBuf]) {
    run(dcmtk("storescu")
        .env("TCP_NODELAY", "1")
        .args(["-aec", AE_TITLE, "-R", &archive.dicom.ip().to_string()])
        .arg(archive.dicom.port().to_string())
        .args(files));
}

#[test]
fn the_whole_archive_lies_in_a_bucket() {
    let mut s3 = S3::start();
    settles_restarts_and_rebuilds(&mut s3);
    acknowledges_what_the_bucket_has(&mut s3);
    checks_the_settings(&s3);
}

fn settles_restarts_and_rebuilds(s3: &mut S3) {
    let home = folder();
    let data = home.path().join("data");
    let archive = s3.archive(&data, "hospital/one", "settle_after = \"1s\"");
    let mut instances: Vec<Instance> = scale(5, 6).collect();
    storescu(&archive, &write_all(&home.path().join("sent"), &instances));
    for instance in some_of_everything(1) {
        assert_eq!(archive.stow(&[&instance]).status, 200);
        instances.push(instance);
    }
    let before = holdings(&archive, &instances);
    eventually("all settles into the bucket", || {
        (s3.members("hospital/one/studies/").len() >= instances.len()).then_some(())
    });
    assert!(!data.join("objects").join("studies").exists(), "nothing lies here");
    assert!(holdings(&archive, &instances) == before, "from the bucket");
    assert!(archive.stop().success());

    let archive = s3.archive(&data, "hospital/one", "");
    assert!(holdings(&archive, &instances) == before, "after a restart");
    archive.kill();

    // Another bucket under the same index would make all seem lost.
    let settings = home.path().join("other.toml");
    fs::write(&settings, s3.settings("hospital/two", "")).unwrap();
    let refused = finish(
        binary()
            .args(["serve", "--config"])
            .arg(&settings)
            .arg("--data")
            .arg(&data),
    );
    assert!(
        !refused.success && refused.text.contains("hospital/one"),
        "{}",
        refused.text
    );

    fs::remove_dir_all(&data).unwrap();
    let archive = s3.archive(&data, "hospital/one", "");
    assert!(holdings(&archive, &instances) == before, "from the bucket alone");
    archive.kill();
    let log = fs::read_to_string(home.path().join("log")).unwrap();
    assert!(!log.contains(&s3.secret_key) && !log.contains("X-Amz-Signature"));
}

fn acknowledges_what_the_bucket_has(s3: &mut S3) {
    let home = folder();
    let data = home.path().join("data");
    let storage = "acknowledge = \"object-store\"\nsettle_after = \"1h\"";
    let archive = s3.archive(&data, "safe", storage);
    let instances: Vec<Instance> = scale(6, 4).collect();
    storescu(&archive, &write_all(&home.path().join("sent"), &instances));
    archive.kill();
    assert!(s3.members("safe/studies/").len() >= instances.len());
    fs::remove_dir_all(&data).unwrap();
    let archive = s3.archive(&data, "safe", storage);
    holdings(&archive, &instances);
}

fn checks_the_settings(s3: &S3) {
    let home = folder();
    let settings = home.path().join("filmroom.toml");
    fs::write(&settings, s3.settings("", "")).unwrap();
    let check = |change: &[&str]| {
        finish(
            binary()
                .args(["config", "check", "--config"])
                .arg(&settings)
                .args(change),
        )
    };
    let checked = check(&[]);
    assert!(checked.success, "{}", checked.text);
    assert!(
        checked.text.contains("[objects.s3]") && !checked.text.contains(&s3.secret_key),
        "{}",
        checked.text
    );
    for (change, words) in [
        ("objects.s3.bucket=nobodys-bucket", "nobodys-bucket"),
        ("objects.s3.endpoint=http://127.0.0.1:1", "refused"),
        ("objects.s3.bucket=", "objects.s3.bucket"),
        ("objects.s3.access_key_id=", "belong together"),
    ] {
        let checked = check(&["--set", change, "--set", "objects.s3.attempts_max=2"]);
        assert!(
            !checked.success && checked.text.contains(words),
            "{change}: {}",
            checked.text
        );
        assert!(!checked.text.contains(&s3.secret_key), "{}", checked.text);
    }
}
