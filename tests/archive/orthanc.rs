//! Orthanc as a peer in both directions: forwarding to it, its C-STORE with storage commitment, its C-FIND and C-MOVE, and
//! ours at its end.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use filmroom_fixtures::{Instance, scale};

use crate::{
    dcmtk::free_port,
    harness::{Start, binary, eventually, folder, python, run, write_all},
};

/// An Orthanc that ends with the test.
struct Orthanc {
    child: Child,
    dicom: SocketAddr,
    http: SocketAddr,
}

impl Orthanc {
    fn start(folder: &Path, filmroom_port: u16) -> Self {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (dicom, http) = (address(free_port()), address(free_port()));
        let settings = serde_json::json!({
            "Name": "test",
            "StorageDirectory": folder.join("storage"),
            "IndexDirectory": folder.join("index"),
            "Plugins": [],
            "HttpPort": http.port(),
            "HttpDescribeErrors": true,
            "RemoteAccessAllowed": false,
            "AuthenticationEnabled": false,
            "DicomAet": "ORTHANC",
            "DicomPort": dicom.port(),
            "DicomAlwaysAllowEcho": true,
            "DicomAlwaysAllowStore": true,
            "DicomAlwaysAllowFind": true,
            "DicomAlwaysAllowGet": true,
            "DicomAlwaysAllowMove": true,
            "DicomModalities": {
                "filmroom": {
                    "AET": "FILMROOM",
                    "Host": "127.0.0.1",
                    "Port": filmroom_port,
                    "AllowStorageCommitment": true,
                },
            },
        });
        let path = folder.join("orthanc.json");
        fs::write(&path, settings.to_string()).unwrap();
        let program = ["/usr/sbin/Orthanc", "Orthanc"].into_iter().find(|program| {
            Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .status()
                .is_ok()
        });
        let child = Command::new(program.expect("Orthanc is missing: `tests/run` installs it"))
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let orthanc = Self { child, dicom, http };
        eventually("Orthanc listens", || {
            TcpStream::connect(http).ok().and(TcpStream::connect(dicom).ok())
        });
        orthanc
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn orthanc_is_a_peer_in_both_directions() {
    let folder = folder();
    // Orthanc has to know our port before we know its: it is registered while we run.
    let archive = Start::default()
        .settings("[dicom]\nforward = [\"ORTHANC\"]\nforward_after = \"100 ms\"\n")
        .start();
    let orthanc = Orthanc::start(folder.path(), archive.dicom.port());
    let peer = format!("ORTHANC={}", orthanc.dicom);
    // What is forwarded to it, it has to answer for: it calls us with its report.
    run(binary()
        .args(["peer", "add", &peer, "--commit", "--data"])
        .arg(archive.data()));
    run(binary().args(["echo", "ORTHANC", "--data"]).arg(archive.data()));

    let forwarded: Vec<Instance> = scale(31, 5).collect();
    archive.stow(&forwarded.iter().collect::<Vec<_>>());
    let stored: Vec<Instance> = scale(32, 4).collect();
    let files = write_all(&folder.path().join("files"), &stored);
    run(python("orthanc.py")
        .arg(format!("http://{}", orthanc.http))
        .arg(format!("http://{}", archive.http))
        .arg(&forwarded[0].study_instance_uid)
        .arg(forwarded.len().to_string())
        .args(&files));
    run(python("holds.py").arg(archive.dicom_web()).args(&files));

    let uid = &stored[0].study_instance_uid;
    let found = run(binary().args(["find", &peer, "StudyInstanceUID"]));
    assert!(found.contains(uid), "{found}");
    let fetched = folder.path().join("fetched");
    run(binary()
        .args(["get", &peer, &format!("StudyInstanceUID={uid}"), "--data"])
        .arg(&fetched));
    let again = Start::default().in_folder(&fetched).start();
    run(python("holds.py").arg(again.dicom_web()).args(&files));
}
