//! A disk that is full: instances are refused before anything is damaged, everything is served, and with the room the
//! archive comes back by itself.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use filmroom_fixtures::{Instance, scale_instance};

use crate::{
    harness::{Start, eventually, folder},
    scu::Scu,
};

/// A small file system of its own, gone with the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this process may not mount.
    fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=48m", "tmpfs"])
            .arg(at)
            .output()
            .ok()?;
        mounted.status.success().then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn fill(path: &Path, bytes: usize) {
    // As much as goes.
    let _ = fs::write(path, vec![1_u8; bytes]);
}

#[test]
fn a_full_disk_refuses_serves_and_recovers() {
    let home = folder();
    let Some(disk) = SmallDisk::mount(&home.path().join("disk")) else {
        eprintln!("not run: mounting a small file system needs root");
        return;
    };
    let data = disk.0.join("data");
    let settings = "[storage]\nfree_space_min = \"16 MiB\"\nsettle_after = \"200 ms\"\nindex_cache = \"8 MiB\"\n";
    let mut archive = Start::default().in_folder(&data).settings(settings).start();
    let mut safe: Vec<Instance> = Vec::new();
    for index in 0..20 {
        let instance = scale_instance(71, index);
        assert_eq!(archive.stow(&[&instance]).status, 200);
        safe.push(instance);
    }

    // Below what is kept free.
    let filler = disk.0.join("filler");
    fill(&filler, 30 << 20);
    let mut tries = 100..;
    let (next, refused) = eventually("the disk is full", || {
        let next = scale_instance(71, tries.next()?);
        let answer = archive.stow(&[&next]);
        match answer.status {
            200 => {
                safe.push(next);
                fill(&disk.0.join(format!("more{}", safe.len())), 1 << 20);
                None
            }
            _ => Some((next, answer)),
        }
    });
    assert_eq!(refused.status, 507, "{}", String::from_utf8_lossy(&refused.body));
    let other = scale_instance(71, 99);
    let mut scu = Scu::associate_for(archive.dicom, &other).unwrap();
    assert_eq!(scu.store(&other).unwrap(), 0xA700);

    // Nothing at all is left: even what is under way has no room.
    fill(&disk.0.join("rest"), 48 << 20);
    assert_eq!(archive.stow(&[&other]).status, 507);
    assert_eq!(scu.store(&other).unwrap(), 0xA700);
    safe.iter().for_each(|instance| archive.assert_holds(instance));
    assert!(!archive.search("/studies?limit=1000").is_empty());
    archive.assert_running();

    for entry in fs::read_dir(&disk.0).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            fs::remove_file(path).unwrap();
        }
    }
    eventually("instances are taken again", || {
        (archive.stow(&[&other]).status == 200).then_some(())
    });
    let mut scu = Scu::associate_for(archive.dicom, &next).unwrap();
    assert_eq!(scu.store(&next).unwrap(), 0);
    safe.extend([other, next]);
    safe.iter().for_each(|instance| archive.assert_holds(instance));
    archive.kill();
    let archive = Start::default().in_folder(&data).settings(settings).start();
    safe.iter().for_each(|instance| archive.assert_holds(instance));
    assert!(archive.stop().success());
}
