//! `filmroom import`.

use std::{fs, io::Write, path::Path};

use filmroom_fixtures::{Instance, catalogue, scale};

use crate::{
    harness::{Finished, Start, binary, dcmtk, finish, folder, run, write_all},
    pynetdicom::some_of_everything,
};

fn import(data: &Path, paths: &[&Path]) -> Finished {
    finish(binary().arg("import").arg("--data").arg(data).args(paths))
}

#[track_caller]
fn assert_imported(data: &Path, instances: &[Instance]) {
    let archive = Start::default().in_folder(data).start();
    assert_eq!(archive.search("/instances?limit=1000").len(), instances.len());
    instances.iter().for_each(|instance| archive.assert_holds(instance));
}

/// A folder with folders in it, and things that are no DICOM.
#[test]
fn imports_a_folder() {
    let home = folder();
    let data = home.path().join("data");
    let medium = home.path().join("medium");
    let instances = some_of_everything(3);
    for (index, some) in instances.chunks(7).enumerate() {
        write_all(&medium.join(format!("disc {index}/Ünïcode")), some);
    }
    fs::write(medium.join("readme.txt"), "not DICOM").unwrap();
    fs::write(medium.join("empty"), "").unwrap();
    fs::write(medium.join("cut.dcm"), &instances[0].part10[..300]).unwrap();
    let told = import(&data, &[&medium]);
    assert!(told.text.contains(&instances.len().to_string()), "{}", told.text);
    assert!(
        told.text.contains("cut.dcm"),
        "what was refused is not named: {}",
        told.text
    );
    assert_imported(&data, &instances);
}

#[test]
fn imports_again_without_storing_twice() {
    let home = folder();
    let data = home.path().join("data");
    let medium = home.path().join("medium");
    let instances: Vec<Instance> = scale(51, 30).collect();
    write_all(&medium, &instances[..20]);
    assert!(import(&data, &[&medium]).success);
    write_all(&medium.join("more"), &instances[20..]);
    let told = import(&data, &[&medium]);
    assert!(told.success, "{}", told.text);
    assert!(told.text.contains("10") && told.text.contains("20"), "{}", told.text);
    assert_imported(&data, &instances);
}

#[test]
fn imports_a_zip() {
    let home = folder();
    let data = home.path().join("data");
    let path = home.path().join("study.zip");
    let instances = some_of_everything(2);
    let mut zip = zip::ZipWriter::new(fs::File::create(&path).unwrap());
    for (index, instance) in instances.iter().enumerate() {
        let method = if index % 2 == 0 {
            zip::CompressionMethod::Deflated
        } else {
            zip::CompressionMethod::Stored
        };
        let options = zip::write::SimpleFileOptions::default().compression_method(method);
        zip.start_file(format!("DICOM/{index:03}"), options).unwrap();
        zip.write_all(&instance.part10).unwrap();
    }
    zip.start_file("README.TXT", zip::write::SimpleFileOptions::default())
        .unwrap();
    zip.write_all(b"a viewer for your pictures").unwrap();
    zip.finish().unwrap();
    let told = import(&data, &[&path]);
    assert!(told.text.contains(&instances.len().to_string()), "{}", told.text);
    assert_imported(&data, &instances);
}

/// A medium with a DICOMDIR made by DCMTK.
#[test]
fn imports_a_dicomdir() {
    let home = folder();
    let data = home.path().join("data");
    let medium = home.path().join("medium");
    let instances: Vec<Instance> = catalogue(1)[0].instances().take(8).collect();
    fs::create_dir_all(medium.join("IMAGES")).unwrap();
    for (index, instance) in instances.iter().enumerate() {
        fs::write(medium.join(format!("IMAGES/IM{index:04}")), &instance.part10).unwrap();
    }
    run(dcmtk("dcmmkdir")
        .current_dir(&medium)
        .args(["+r", "+id", ".", "-W", "-Nxc"]));
    let told = import(&data, &[&medium.join("DICOMDIR")]);
    assert!(told.success, "{}", told.text);
    assert_imported(&data, &instances);
}

#[test]
fn says_that_a_path_does_not_exist() {
    let home = folder();
    let told = import(&home.path().join("data"), &[&home.path().join("nowhere")]);
    assert!(!told.success);
    assert!(told.text.contains("nowhere"), "{}", told.text);
}
