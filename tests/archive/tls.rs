//! TLS with DCMTK and pynetdicom, called and calling.

use std::{
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command},
};

use filmroom_fixtures::{Instance, scale};
use tempfile::TempDir;

use crate::{
    certificates::{Authority, Issued},
    dcmtk::free_port,
    harness::{AE_TITLE, Archive, Start, binary, dcmtk, eventually, finish, folder, python, run, write_all},
};

/// An authority, a certificate for the archive and one for a modality.
struct Site {
    folder: TempDir,
    authority: Authority,
    archive: Issued,
    modality: Issued,
}

impl Site {
    fn new() -> Self {
        let folder = folder();
        let authority = Authority::new(folder.path(), "authority");
        let archive = authority.issue(folder.path(), "archive");
        let modality = authority.issue(folder.path(), "modality");
        Self {
            folder,
            authority,
            archive,
            modality,
        }
    }

    fn settings(&self) -> String {
        format!(
            "[dicom]\ntls_listen = \"127.0.0.1:0\"\ntls_certificate = {:?}\ntls_key = {:?}\ntls_authorities = {:?}\n",
            self.archive.certificate, self.archive.key, self.authority.path
        )
    }

    fn start(&self, more: &str) -> Archive {
        Start::default().settings(&self.settings()).settings(more).start()
    }

    /// DCMTK's options for mutual authentication.
    fn dcmtk(&self, program: &str, own: &Issued) -> Command {
        let mut command = dcmtk(program);
        command
            .arg("+tls")
            .arg(&own.key)
            .arg(&own.certificate)
            .arg("+cf")
            .arg(&self.authority.path);
        command
    }

    fn scu(&self, program: &str, archive: &Archive) -> Command {
        let mut command = self.dcmtk(program, &self.modality);
        command.args(["-aet", "MODALITY", "-aec", AE_TITLE]);
        to(&mut command, archive);
        command
    }

    fn filmroom(&self, command: &str, peer: &str) -> Command {
        let mut filmroom = binary();
        filmroom.args([command, peer, "--tls"]);
        filmroom.arg("--cert").arg(&self.modality.certificate);
        filmroom.arg("--key").arg(&self.modality.key);
        filmroom.arg("--ca").arg(&self.authority.path);
        filmroom
    }
}

fn to(command: &mut Command, archive: &Archive) {
    let address = archive.dicom_tls.unwrap();
    command.arg(address.ip().to_string()).arg(address.port().to_string());
}

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// DCMTK's storescp by TLS.
fn storescp(site: &Site, received: &Path) -> (Running, SocketAddr) {
    let port = free_port();
    let mut command = site.dcmtk("storescp", &site.modality);
    command
        .args(["-aet", "MODALITY", "+B", "+xa", "-od"])
        .arg(received)
        .arg(port.to_string());
    let running = Running(command.spawn().unwrap());
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("storescp listens", || TcpStream::connect(address).ok());
    (running, address)
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect()
}

#[test]
fn dcmtk_calls_by_tls_in_every_profile() {
    let site = Site::new();
    let archive = site.start("");
    for profile in ["+py", "+px", "+pz"] {
        run(site.scu("echoscu", &archive).arg(profile));
    }
    let instances: Vec<Instance> = scale(21, 4).collect();
    let files = write_all(&site.folder.path().join("files"), &instances);
    run(site.scu("storescu", &archive).args(&files));
    run(python("holds.py").arg(archive.dicom_web()).args(&files));
    let uid = &instances[0].study_instance_uid;
    let found =
        run(site
            .scu("findscu", &archive)
            .args(["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID"]));
    assert!(found.contains(uid), "{found}");
}

#[test]
fn callers_without_the_right_certificate_are_refused() {
    let site = Site::new();
    let archive = site.start("");
    // Encrypted, but nobody in particular.
    let mut anonymous = dcmtk("echoscu");
    anonymous
        .args(["+tla", "+cf"])
        .arg(&site.authority.path)
        .args(["-aec", AE_TITLE]);
    to(&mut anonymous, &archive);
    assert!(!finish(&mut anonymous).success);
    let other = Authority::new(site.folder.path(), "other");
    let foreign = other.issue(site.folder.path(), "foreign");
    let mut command = site.dcmtk("echoscu", &foreign);
    command.args(["-aec", AE_TITLE]);
    to(&mut command, &archive);
    assert!(!finish(&mut command).success);
    // Plain DICOM on the port of TLS, and nothing at all.
    let mut plain = dcmtk("echoscu");
    plain.args(["-aec", AE_TITLE]);
    to(&mut plain, &archive);
    assert!(!finish(&mut plain).success);
    run(&mut site.scu("echoscu", &archive));

    let open = site.start("tls_callers = \"not-asked\"\n");
    let mut anonymous = dcmtk("echoscu");
    anonymous
        .args(["+tla", "+cf"])
        .arg(&site.authority.path)
        .args(["-aec", AE_TITLE]);
    to(&mut anonymous, &open);
    run(&mut anonymous);
}

#[test]
fn an_ae_title_belongs_to_its_certificate() {
    let site = Site::new();
    let archive = site.start("");
    let bind = |certificate: &str| {
        run(binary()
            .args([
                "peer",
                "add",
                "MODALITY=127.0.0.1:104",
                "--tls",
                "--certificate",
                certificate,
                "--data",
            ])
            .arg(archive.data()))
    };
    bind("cn:modality");
    run(&mut site.scu("echoscu", &archive));
    bind("cn:somebody-else");
    let refused = finish(site.scu("echoscu", &archive).arg("-v"));
    assert!(
        !refused.success && refused.text.contains("Calling AE Title Not Recognized"),
        "{}",
        refused.text
    );
    // The same title without TLS.
    let mut plain = dcmtk("echoscu");
    plain
        .args(["-aet", "MODALITY", "-aec", AE_TITLE, "127.0.0.1"])
        .arg(archive.dicom.port().to_string());
    assert!(!finish(&mut plain).success);
    run(binary()
        .args(["peer", "remove", "MODALITY", "--data"])
        .arg(archive.data()));
    run(&mut site.scu("echoscu", &archive));
}

#[test]
fn certificates_are_replaced_while_it_runs() {
    let site = Site::new();
    let archive = site.start("");
    run(&mut site.scu("echoscu", &archive));
    let other = Authority::new(site.folder.path(), "other");
    let renewed = other.issue(site.folder.path(), "renewed");
    std::fs::copy(&renewed.key, &site.archive.key).unwrap();
    std::fs::copy(&renewed.certificate, &site.archive.certificate).unwrap();
    let echo = |trusted: &Path| {
        let mut command = dcmtk("echoscu");
        command
            .arg("+tls")
            .arg(&site.modality.key)
            .arg(&site.modality.certificate);
        command.arg("+cf").arg(trusted).args(["-aec", AE_TITLE]);
        to(&mut command, &archive);
        finish(&mut command).success
    };
    assert!(echo(&other.path));
    assert!(!echo(&site.authority.path));
}

#[test]
fn filmroom_calls_dcmtk_by_tls() {
    let site = Site::new();
    let received = folder();
    let (_scp, address) = storescp(&site, received.path());
    let peer = format!("MODALITY={address}");
    run(&mut site.filmroom("echo", &peer));
    run(site.filmroom("echo", &peer).args(["--bound-to", "cn:modality"]));
    let other = finish(site.filmroom("echo", &peer).args(["--bound-to", "cn:other"]));
    assert!(
        !other.success && other.text.contains("is not cn:other"),
        "{}",
        other.text
    );

    // The archive itself sends by TLS to a peer of its settings.
    let more = format!("peers = [{{ ae_title = \"MODALITY\", address = \"{address}\", tls = true }}]\n");
    let archive = site.start(&more);
    let instances: Vec<Instance> = scale(22, 3).collect();
    archive.stow(&instances.iter().collect::<Vec<_>>());
    let key = format!("StudyInstanceUID={}", instances[0].study_instance_uid);
    // DCMTK's movescu knows no TLS; its request comes plain.
    run(dcmtk("movescu")
        .args(["-aet", "MODALITY", "-aec", AE_TITLE, "127.0.0.1"])
        .arg(archive.dicom.port().to_string())
        .args(["-S", "-aem", "MODALITY", "-k", "QueryRetrieveLevel=STUDY", "-k", &key]));
    assert_eq!(files_in(received.path()).len(), instances.len());
}

#[test]
fn pynetdicom_calls_and_is_called_by_tls() {
    let site = Site::new();
    let port = free_port();
    let more = format!("peers = [{{ ae_title = \"MODALITY\", address = \"127.0.0.1:{port}\", tls = true }}]\n");
    let archive = site.start(&more);
    let instances: Vec<Instance> = scale(23, 3).collect();
    let files = write_all(&site.folder.path().join("files"), &instances);
    run(python("tls.py")
        .arg(archive.dicom_tls.unwrap().port().to_string())
        .arg(port.to_string())
        .arg(&site.authority.path)
        .arg(&site.modality.certificate)
        .arg(&site.modality.key)
        .args(&files));
}
