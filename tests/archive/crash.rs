//! Success means safe: the process is killed while sixteen associations store, again and again.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use filmroom_fixtures::{Instance, scale_instance};

use crate::{
    harness::{Archive, Start, eventually, folder},
    scu::Scu,
};

const ASSOCIATIONS: usize = 16;
const ROUNDS: usize = 12;

/// Settles early and often, so that the kill finds every stage of the way from intake to pack.
const SETTINGS: &str = "[storage]\nsettle_after = \"1s\"\n";

fn start(data: &Path) -> Archive {
    Start::default().in_folder(data).settings(SETTINGS).start()
}

/// Stores instances until the connection is lost; what was acknowledged goes into `safe`.
fn store_until_lost(server: SocketAddr, next: &AtomicUsize, safe: &Mutex<Vec<usize>>, seed: u64) {
    let first = scale_instance(seed, 0);
    let Ok(mut scu) = Scu::associate_for(server, &first) else {
        return;
    };
    loop {
        let index = next.fetch_add(1, Ordering::Relaxed);
        match scu.store(&scale_instance(seed, index)) {
            Ok(0) => safe.lock().unwrap().push(index),
            Ok(status) => panic!("status {status:04X}H while nothing was wrong"),
            Err(_) => return,
        }
    }
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let home = folder();
    let data = home.path().join("data");
    let seed = 31;
    let next = AtomicUsize::new(0);
    let mut all: Vec<usize> = Vec::new();
    let begun = Instant::now();
    for round in 0..ROUNDS {
        let archive = start(&data);
        // Those of the round before, whole, at once after the start.
        for &index in all.iter().rev().take(120) {
            archive.assert_holds(&scale_instance(seed, index));
        }
        let safe = Mutex::new(Vec::new());
        let server = archive.dicom;
        thread::scope(|scope| {
            for _ in 0..ASSOCIATIONS {
                scope.spawn(|| store_until_lost(server, &next, &safe, seed));
            }
            let enough = 40 + 37 * round;
            let since = Instant::now();
            eventually("instances are acknowledged", || {
                (safe.lock().unwrap().len() >= enough || since.elapsed() > Duration::from_secs(20)).then_some(())
            });
            archive.kill();
        });
        let safe = safe.into_inner().unwrap();
        assert!(!safe.is_empty(), "round {round} stored nothing");
        all.extend(safe);
    }
    let archive = start(&data);
    for &index in &all {
        archive.assert_holds(&scale_instance(seed, index));
    }
    assert_counts(&archive, seed, &all);
    println!(
        "{} instances acknowledged in {ROUNDS} rounds, all there, {:?}",
        all.len(),
        begun.elapsed()
    );
}

/// The index holds every acknowledged instance once, and its counts are those of what it holds.
fn assert_counts(archive: &Archive, seed: u64, all: &[usize]) {
    let acknowledged: Vec<Instance> = all.iter().map(|&index| scale_instance(seed, index)).collect();
    for study in archive.search("/studies?limit=1000") {
        let uid = study["0020000D"]["Value"][0].as_str().unwrap().to_owned();
        let found: Vec<String> = archive
            .search(&format!("/studies/{uid}/instances?limit=1000"))
            .iter()
            .map(|instance| instance["00080018"]["Value"][0].as_str().unwrap().to_owned())
            .collect();
        let mut once = found.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), found.len(), "an instance of {uid} is there twice");
        assert_eq!(
            study["00201208"]["Value"][0],
            found.len(),
            "the count of {uid} is wrong"
        );
        for instance in acknowledged
            .iter()
            .filter(|instance| instance.study_instance_uid == uid)
        {
            assert!(
                once.binary_search(&instance.sop_instance_uid).is_ok(),
                "{} is not found",
                instance.sop_instance_uid
            );
        }
    }
}

/// Killed while a client is in the middle of one instance: that one is not there, and nothing else is touched.
#[test]
fn half_an_instance_is_none() {
    let home = folder();
    let data = home.path().join("data");
    let archive = start(&data);
    let whole = scale_instance(32, 0);
    let half = scale_instance(32, 1);
    assert_eq!(archive.stow(&[&whole]).status, 200);
    let mut scu = Scu::associate_for(archive.dicom, &half).unwrap();
    let context = scu.context(&half.sop_class_uid).unwrap();
    let command = crate::scu::store_command(1, &half.sop_class_uid, &half.sop_instance_uid);
    scu.send(&crate::scu::p_data(context, 3, &command)).unwrap();
    scu.send(&crate::scu::p_data(
        context,
        0,
        &half.data_set()[..half.data_set().len() / 2],
    ))
    .unwrap();
    archive.kill();
    let archive = start(&data);
    archive.assert_holds(&whole);
    assert!(archive.retrieve(&half).is_none());
    let mut scu = Scu::associate_for(archive.dicom, &half).unwrap();
    assert_eq!(scu.store(&half).unwrap(), 0);
    archive.assert_holds(&half);
}
