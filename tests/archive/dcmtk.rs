//! DCMTK's programs as clients.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use filmroom_fixtures::{Instance, catalogue, ct_head, scale};

use crate::harness::{AE_TITLE, Archive, Start, dcmtk, eventually, folder, python, run, write_all};

/// A program that calls the archive.
fn scu(program: &str, archive: &Archive) -> Command {
    let mut command = dcmtk(program);
    command.args(["-aet", "TESTSCU", "-aec", AE_TITLE]);
    command
        .arg(archive.dicom.ip().to_string())
        .arg(archive.dicom.port().to_string());
    command
}

/// One instance of every transfer syntax in the catalogue.
fn one_of_each_transfer_syntax() -> Vec<Instance> {
    let mut kept: Vec<Instance> = Vec::new();
    for instance in catalogue(1)
        .iter()
        .flat_map(|study| study.instances().collect::<Vec<_>>())
    {
        if !kept
            .iter()
            .any(|other| other.transfer_syntax_uid == instance.transfer_syntax_uid)
        {
            kept.push(instance);
        }
    }
    kept
}

/// The instance under another transfer syntax UID and SOP Instance UID of the same length. To a store both are opaque.
fn relabelled(instance: &Instance, transfer_syntax_uid: &str) -> Instance {
    let mut data_set = instance.data_set().to_vec();
    let uid = instance.sop_instance_uid.clone();
    let cut = transfer_syntax_uid.len().min(uid.len() - 8);
    let digits: String = transfer_syntax_uid
        .chars()
        .filter(char::is_ascii_digit)
        .rev()
        .take(cut)
        .collect();
    let other = format!("{}{digits}", &uid[..uid.len() - digits.len()]);
    for at in memchr::memmem::find_iter(instance.data_set(), uid.as_bytes()) {
        data_set[at..at + uid.len()].copy_from_slice(other.as_bytes());
    }
    let part10 = crate::web::part10(&instance.sop_class_uid, &other, transfer_syntax_uid, &data_set);
    let data_set_offset = part10.len() - data_set.len();
    Instance {
        sop_instance_uid: other,
        transfer_syntax_uid: transfer_syntax_uid.to_owned(),
        part10,
        data_set_offset,
        ..instance.clone()
    }
}

#[track_caller]
fn assert_holds_files(archive: &Archive, files: &[PathBuf]) {
    run(python("holds.py").arg(archive.dicom_web()).args(files));
}

const HTJ2K_LOSSLESS: &str = "1.2.840.10008.1.2.4.201";

#[test]
fn echoscu_is_answered() {
    let archive = Archive::start();
    run(&mut scu("echoscu", &archive));
    run(scu("echoscu", &archive).args(["--propose-ts", "38"]));
    run(scu("echoscu", &archive).args(["--propose-pc", "128", "--repeat", "20"]));
    run(scu("echoscu", &archive).args(["--max-pdu", "4096"]));
    run(scu("echoscu", &archive).arg("--abort"));
    run(&mut scu("echoscu", &archive));
}

/// Every proposal of storescu that fits native pixels.
#[test]
fn storescu_stores_native_under_every_proposal() {
    let archive = Archive::start();
    let folder = folder();
    let proposals = [
        "-x=", "-xe", "-xb", "-xi", "-xs", "-xy", "-xx", "-xv", "-xw", "-xt", "-xu", "-xr", "-xd", "+C", "-R",
    ];
    let instances: Vec<Instance> = scale(11, proposals.len()).collect();
    let files = write_all(folder.path(), &instances);
    for (proposal, file) in proposals.iter().zip(&files) {
        run(scu("storescu", &archive).arg(proposal).arg(file));
    }
    assert_holds_files(&archive, &files);
}

/// Every proposal of storescu for pixels that are compressed; what is inside matters to neither side.
#[test]
fn storescu_stores_compressed_under_every_proposal() {
    let archive = Archive::start();
    let folder = folder();
    let jpeg = one_of_each_transfer_syntax()
        .into_iter()
        .find(|instance| instance.transfer_syntax_uid == "1.2.840.10008.1.2.4.50")
        .unwrap();
    let proposals = [
        ("-xs", "1.2.840.10008.1.2.4.70"),
        ("-xy", "1.2.840.10008.1.2.4.50"),
        ("-xx", "1.2.840.10008.1.2.4.51"),
        ("-xv", "1.2.840.10008.1.2.4.90"),
        ("-xw", "1.2.840.10008.1.2.4.91"),
        ("-xt", "1.2.840.10008.1.2.4.80"),
        ("-xu", "1.2.840.10008.1.2.4.81"),
        ("-xm", "1.2.840.10008.1.2.4.100"),
        ("-xh", "1.2.840.10008.1.2.4.101"),
        ("-xn", "1.2.840.10008.1.2.4.102"),
        ("-xl", "1.2.840.10008.1.2.4.103"),
        ("-x2", "1.2.840.10008.1.2.4.104"),
        ("-x3", "1.2.840.10008.1.2.4.105"),
        ("-xo", "1.2.840.10008.1.2.4.106"),
        ("-x4", "1.2.840.10008.1.2.4.107"),
        ("-x5", "1.2.840.10008.1.2.4.108"),
        ("-xr", "1.2.840.10008.1.2.5"),
    ];
    let instances: Vec<Instance> = proposals.iter().map(|(_, syntax)| relabelled(&jpeg, syntax)).collect();
    let files = write_all(folder.path(), &instances);
    for ((proposal, _), file) in proposals.iter().zip(&files) {
        run(scu("storescu", &archive).args([proposal, "-R"]).arg(file));
    }
    assert_holds_files(&archive, &files);
}

#[test]
fn storescu_stores_with_small_pdus_and_many_contexts() {
    let archive = Archive::start();
    let folder = folder();
    let instances: Vec<Instance> = ct_head(1).instances().take(4).collect();
    let files = write_all(folder.path(), &instances);
    run(scu("storescu", &archive)
        .args(["--max-pdu", "4096", "--max-send-pdu", "4096"])
        .args(&files[..2]));
    run(scu("storescu", &archive)
        .args(["--max-pdu", "131072", "--repeat", "2"])
        .args(&files[2..]));
    assert_holds_files(&archive, &files);
}

/// What does not fit its command, or does not exist, is not stored.
#[test]
fn storescu_is_told_of_a_refusal() {
    let archive = Archive::start();
    let folder = folder();
    let mut instance = scale(12, 1).next().unwrap();
    let study = instance.study_instance_uid.clone();
    for at in memchr::memmem::find_iter(&instance.part10.clone(), study.as_bytes()) {
        instance.part10[at..at + 2].copy_from_slice(b"..");
    }
    let files = write_all(folder.path(), &[instance]);
    let told = crate::harness::finish(scu("storescu", &archive).arg("-v").args(&files));
    assert!(!told.text.contains("0x0000: Success"), "{}", told.text);
    assert!(archive.search("/studies").is_empty());
}

/// A folder of everything in the catalogue, by dcmsend, over as many contexts as that takes.
#[test]
fn dcmsend_sends_the_whole_catalogue() {
    let archive = Archive::start();
    let folder = folder();
    let mut files = Vec::new();
    for study in catalogue(1) {
        // DCMTK 3.6.7 cannot read files of High-Throughput JPEG 2000.
        let some: Vec<Instance> = study
            .sample(2)
            .filter(|instance| instance.transfer_syntax_uid != HTJ2K_LOSSLESS)
            .collect();
        files.extend(write_all(&folder.path().join(study.slug), &some));
    }
    let report = run(scu("dcmsend", &archive)
        .args([
            "-v",
            "--scan-directories",
            "--recurse",
            "--decompress-never",
            "--no-uid-checks",
        ])
        .arg(folder.path()));
    assert!(
        report.contains(&format!("with status SUCCESS  : {}\n", files.len())),
        "{report}"
    );
    assert_holds_files(&archive, &files);
}

#[test]
fn findscu_finds_what_storescu_stored() {
    let archive = Archive::start();
    let study = ct_head(1);
    let instances: Vec<Instance> = study.instances().take(3).collect();
    archive.stow(&instances.iter().collect::<Vec<_>>());
    let ask = |level: &str, keys: &[&str]| {
        let mut command = scu("findscu", &archive);
        command.args(["-S", "-k", &format!("QueryRetrieveLevel={level}")]);
        keys.iter().for_each(|key| {
            command.args(["-k", key]);
        });
        run(&mut command)
    };
    let uid = &study.study_instance_uid;
    assert!(ask("STUDY", &["PatientName=PHANTOM*", "StudyInstanceUID"]).contains(uid));
    assert!(ask("STUDY", &["StudyDate=20260301-", "StudyInstanceUID"]).contains(uid));
    assert!(ask("STUDY", &["ModalitiesInStudy=CT", "StudyInstanceUID"]).contains(uid));
    assert!(!ask("STUDY", &["ModalitiesInStudy=MR", "StudyInstanceUID"]).contains(uid));
    let series = ask("SERIES", &[&format!("StudyInstanceUID={uid}"), "SeriesInstanceUID"]);
    assert!(series.contains(&instances[0].series_instance_uid) && series.contains(&instances[1].series_instance_uid));
}

/// Files that a client received, against those that were stored.
#[track_caller]
fn assert_same_data_sets(received: &Path, instances: &[Instance]) {
    let mut found = 0;
    for entry in fs::read_dir(received).unwrap() {
        let part10 = fs::read(entry.unwrap().path()).unwrap();
        let data_set = crate::web::data_set(&part10);
        assert!(
            instances.iter().any(|instance| instance.data_set() == data_set),
            "a data set changed"
        );
        found += 1;
    }
    assert_eq!(found, instances.len());
}

#[test]
fn getscu_gets_every_byte() {
    let archive = Archive::start();
    let folder = folder();
    let instances: Vec<Instance> = scale(13, 6).collect();
    archive.stow(&instances.iter().collect::<Vec<_>>());
    let key = format!("StudyInstanceUID={}", instances[0].study_instance_uid);
    run(scu("getscu", &archive)
        .args(["-S", "+xe", "+B", "-k", "QueryRetrieveLevel=STUDY", "-k", &key, "-od"])
        .arg(folder.path()));
    assert_same_data_sets(folder.path(), &instances);
}

/// A receiver that takes first what is not stored, and plain pixels in the same presentation context, gets them plain: a context
/// has one transfer syntax, and every instance of its class can be given so, which no compressed one holds for.
#[test]
fn getscu_gets_pixels_in_what_it_takes() {
    let archive = Archive::start();
    let folder = folder();
    let instances: Vec<Instance> = ct_head(1).instances().take(1).collect();
    archive.stow(&instances.iter().collect::<Vec<_>>());
    let files = write_all(&folder.path().join("stored"), &instances);
    let key = format!("StudyInstanceUID={}", instances[0].study_instance_uid);
    for option in ["+xs", "+xv", "+xt", "+xr"] {
        let received = folder.path().join(option);
        fs::create_dir(&received).unwrap();
        run(scu("getscu", &archive)
            .args(["-S", option, "+B", "-k", "QueryRetrieveLevel=STUDY", "-k", &key, "-od"])
            .arg(&received));
        run(python("transcoded.py")
            .args(["--received", "1.2.840.10008.1.2.1"])
            .arg(&received)
            .args(&files));
    }
}

#[test]
fn movescu_moves_every_byte() {
    let folder = folder();
    let port = free_port();
    let mut destination = dcmtk("storescp")
        .args(["-aet", "MOVEDEST", "+B", "+xa", "-od"])
        .arg(folder.path())
        .arg(port.to_string())
        .spawn()
        .unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    eventually("storescp listens", || std::net::TcpStream::connect(address).ok());
    let archive = Start::default().flag("--peer", &format!("MOVEDEST={address}")).start();
    let instances: Vec<Instance> = scale(14, 6).collect();
    archive.stow(&instances.iter().collect::<Vec<_>>());
    let key = format!("StudyInstanceUID={}", instances[0].study_instance_uid);
    let moved = crate::harness::finish(scu("movescu", &archive).args([
        "-S",
        "-aem",
        "MOVEDEST",
        "-k",
        "QueryRetrieveLevel=STUDY",
        "-k",
        &key,
    ]));
    destination.kill().unwrap();
    destination.wait().unwrap();
    assert!(moved.success, "{}", moved.text);
    assert_same_data_sets(folder.path(), &instances);
}

/// A port that nobody listens on, for a program that must be told one.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}
