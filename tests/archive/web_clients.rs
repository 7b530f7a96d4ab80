//! DICOMweb by clients of others, and by hand.

use filmroom_fixtures::{Instance, catalogue, ct_head};

use crate::{
    harness::{Archive, folder, python, run, write_all},
    pynetdicom::some_of_everything,
};

#[test]
fn real_files_come_back_byte_for_byte() {
    let archive = Archive::start();
    run(python("stow_bundled.py").arg(archive.dicom_web()));
}

/// Everything in the catalogue: stored in one request, and each data set back byte for byte.
#[test]
fn the_catalogue_comes_back_byte_for_byte() {
    let archive = Archive::start();
    for study in catalogue(1) {
        let instances: Vec<Instance> = study.instances().collect();
        let answer = archive.stow(&instances.iter().collect::<Vec<_>>());
        assert_eq!(answer.status, 200, "{}: {}", study.slug, answer.text());
        instances.iter().for_each(|instance| archive.assert_holds(instance));
        let found = archive.search(&format!("/studies?StudyInstanceUID={}", study.study_instance_uid));
        assert_eq!(found.len(), 1);
        let name = found[0]["00100010"]["Value"][0].as_object().unwrap();
        let groups: Vec<&str> = ["Alphabetic", "Ideographic", "Phonetic"]
            .iter()
            .filter_map(|group| name.get(*group).and_then(|text| text.as_str()))
            .collect();
        assert_eq!(groups.join("="), study.patient_name);
        assert_eq!(found[0]["00201208"]["Value"][0], instances.len());
    }
    assert_eq!(archive.search("/studies").len(), catalogue(1).len());
}

/// Metadata with pictures, documents and films in other parts, what becomes of them, and what is answered of those that fail.
#[test]
fn instances_are_made_of_metadata_and_bulk_data() {
    let archive = Archive::start();
    run(python("stow_described.py").arg(archive.dicom_web()));
}

#[test]
fn dicomweb_client_works_with_a_study() {
    let archive = Archive::start();
    let folder = folder();
    let instances: Vec<Instance> = ct_head(1).instances().skip(10).step_by(12).collect();
    let files = write_all(folder.path(), &instances);
    run(python("web_client.py").arg(archive.dicom_web()).args(files));
}

/// Frames of every kind of pixel data, as stored and native.
#[test]
fn frames_hold_the_same_pixels() {
    let archive = Archive::start();
    let folder = folder();
    let instances = some_of_everything(2);
    for instance in &instances {
        assert_eq!(archive.stow(&[instance]).status, 200);
    }
    let files = write_all(folder.path(), &instances);
    run(python("frames.py").arg(archive.dicom_web()).args(files));
}

/// What is stored uncompressed comes in every transfer syntax that is written here, as other decoders read it.
#[test]
fn instances_come_in_every_syntax_that_is_written() {
    let archive = Archive::start();
    let folder = folder();
    let instances: Vec<Instance> = some_of_everything(1)
        .into_iter()
        .filter(|instance| instance.transfer_syntax_uid == "1.2.840.10008.1.2.1")
        .filter(|instance| instance.part10.len() < 150_000 && has_whole_cells(instance))
        .take(4)
        .collect();
    assert!(instances.len() > 1);
    archive.stow(&instances.iter().collect::<Vec<_>>());
    let files = write_all(folder.path(), &instances);
    run(python("transcoded.py").arg(archive.dicom_web()).args(files));
}

/// (7FE0,0010) with (0028,0100) of 8 or 16.
fn has_whole_cells(instance: &Instance) -> bool {
    let has = |element: &[u8]| memchr::memmem::find(&instance.part10, element).is_some();
    has(b"\xe0\x7f\x10\0O") && (has(b"\x28\0\0\x01US\x02\0\x08\0") || has(b"\x28\0\0\x01US\x02\0\x10\0"))
}

/// A preview and a thumbnail of everything.
#[test]
fn everything_has_a_thumbnail() {
    let archive = Archive::start();
    for instance in some_of_everything(1) {
        assert_eq!(archive.stow(&[&instance]).status, 200);
        let path = format!(
            "/studies/{}/series/{}/instances/{}/thumbnail?viewport=128,128",
            instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid
        );
        let answer = archive.get(&path, "image/jpeg");
        assert_eq!(answer.status, 200, "{}: {}", instance.sop_class_uid, answer.text());
        assert_eq!(&answer.body[..3], b"\xff\xd8\xff", "{}", instance.sop_class_uid);
    }
}

/// Windows, tables, palettes, padding, aspects, colour profiles, maps and segments beside pydicom, numpy and Little CMS.
#[test]
fn pictures_are_those_of_other_renderers() {
    let archive = Archive::start();
    run(python("rendered.py").arg(archive.dicom_web()));
}

/// Images as grayscale, colour and pseudo-colour presentation states present them, beside DCMTK's rendering.
#[test]
fn presentation_states_present_their_images() {
    let archive = Archive::start();
    let folder = folder();
    run(python("presented.py").arg(archive.dicom_web()).arg(folder.path()));
}

/// Reports, and traces of waveforms.
#[test]
fn reports_and_waveforms_have_pictures() {
    let archive = Archive::start();
    run(python("sheets.py").arg(archive.dicom_web()));
}

#[test]
fn the_same_instance_again_is_no_second_one() {
    let archive = Archive::start();
    let instance = ct_head(1).instance(0).unwrap();
    for _ in 0..2 {
        assert_eq!(archive.stow(&[&instance]).status, 200);
    }
    assert_eq!(archive.search("/instances").len(), 1);
    archive.assert_holds(&instance);
}

/// Another instance under the same UID never takes the place of the one that is stored.
#[test]
fn a_changed_instance_leaves_the_stored_one_untouched() {
    let archive = Archive::start();
    let instance = ct_head(1).instance(0).unwrap();
    assert_eq!(archive.stow(&[&instance]).status, 200);
    let mut changed = instance.part10.clone();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    let answer = archive.stow_bytes(&[&changed]);
    assert!(matches!(answer.status, 200 | 202 | 409), "{}", answer.text());
    archive.assert_holds(&instance);
    assert_eq!(archive.search("/instances").len(), 1);
}
