//! pynetdicom as client.

use filmroom_fixtures::{Instance, catalogue};

use crate::{
    dcmtk::free_port,
    harness::{Archive, Start, folder, python, run, write_all},
};

/// The first instances of each series of each study of the catalogue.
pub fn some_of_everything(each: usize) -> Vec<Instance> {
    catalogue(1)
        .iter()
        .flat_map(|study| study.sample(each).collect::<Vec<_>>())
        .collect()
}

#[test]
fn pynetdicom_stores_real_files_byte_for_byte() {
    let archive = Archive::start();
    run(python("store_bundled.py")
        .arg(archive.dicom.port().to_string())
        .arg(archive.dicom_web()));
}

#[test]
fn pynetdicom_finds_and_fetches_the_catalogue() {
    let folder = folder();
    let port = free_port();
    let archive = Start::default()
        .flag("--peer", &format!("TESTDEST=127.0.0.1:{port}"))
        .start();
    let instances = some_of_everything(3);
    for instance in &instances {
        assert_eq!(archive.stow(&[instance]).status, 200);
    }
    let files = write_all(folder.path(), &instances);
    run(python("query_retrieve.py")
        .arg(archive.dicom.port().to_string())
        .arg(port.to_string())
        .args(files));
}
