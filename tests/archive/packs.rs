//! An archive can be opened without Filmroom: `tar` takes a pack apart, and what is inside are Part 10 files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use filmroom_fixtures::Instance;

use crate::{
    harness::{Start, dcmtk, eventually, folder, run},
    pynetdicom::some_of_everything,
};

#[test]
fn tar_opens_every_pack() {
    let archive = Start::default().settings("[storage]\nsettle_after = \"1s\"\n").start();
    let instances = some_of_everything(3);
    for instance in &instances {
        assert_eq!(archive.stow(&[instance]).status, 200);
    }
    let wanted: usize = instances.len();
    let packs = eventually("every series settles into a pack", || {
        let packs = packs(&archive.data().join("objects"));
        let members: usize = packs.iter().map(|pack| members(pack)).sum();
        (members >= wanted).then_some(packs)
    });
    let mut whole = 0;
    for pack in &packs {
        let out = folder();
        run(Command::new("tar").arg("xf").arg(pack).arg("-C").arg(out.path()));
        for path in files(out.path()) {
            let part10 = fs::read(&path).unwrap();
            let Some(instance) = instances
                .iter()
                .find(|instance| instance.data_set() == crate::web::data_set(&part10))
            else {
                panic!("{} in {} is none of the instances", path.display(), pack.display())
            };
            let dump = run(dcmtk("dcmdump").args(["+P", "0008,0018", "+P", "0002,0003"]).arg(&path));
            assert_eq!(dump.matches(&instance.sop_instance_uid).count(), 2, "{dump}");
            whole += 1;
        }
        let place = pack.to_string_lossy();
        assert!(instances.iter().any(|instance| place.contains(&format!(
            "studies/{}/{}/",
            instance.study_instance_uid, instance.series_instance_uid
        ))));
    }
    assert_eq!(whole, wanted);
    instances.iter().for_each(|instance| archive.assert_holds(instance));
}

fn packs(objects: &Path) -> Vec<PathBuf> {
    files(objects)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "tar"))
        .collect()
}

fn members(pack: &Path) -> usize {
    let listed = crate::harness::finish(Command::new("tar").arg("tf").arg(pack));
    if listed.success {
        listed.text.lines().filter(|line| !line.ends_with('/')).count()
    } else {
        0
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().map_while(Result::ok) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path)
            } else {
                found.push(path)
            }
        }
    }
    found.sort();
    found
}

/// The same instances after they settled and after a restart.
#[test]
fn settled_instances_outlive_a_restart() {
    let home = folder();
    let data = home.path().join("data");
    let start = || {
        Start::default()
            .in_folder(&data)
            .settings("[storage]\nsettle_after = \"1s\"\n")
            .start()
    };
    let instances: Vec<Instance> = some_of_everything(2);
    let archive = start();
    for instance in &instances {
        assert_eq!(archive.stow(&[instance]).status, 200);
    }
    eventually("something settles", || {
        (!packs(&data.join("objects")).is_empty()).then_some(())
    });
    archive.kill();
    let archive = start();
    instances.iter().for_each(|instance| archive.assert_holds(instance));
    assert_eq!(archive.search("/instances?limit=1000").len(), instances.len());
}
