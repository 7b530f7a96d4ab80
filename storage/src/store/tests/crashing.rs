//! A child process takes instances in and says which were acknowledged; it is killed at random, or ends itself at a place of
//! the program. What was acknowledged must be there, and whole, when the folder is opened again.

use std::{
    collections::HashSet,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::Instant,
};

use super::*;
use crate::testing::crash;

const FOLDER: &str = "FILMROOM_TEST_CRASH_FOLDER";
const ROUNDS: &str = "FILMROOM_TEST_CRASH_ROUNDS";
/// What a commit waits for in the child: set for the object store.
const ACKNOWLEDGE: &str = "FILMROOM_TEST_CRASH_ACKNOWLEDGE";
const SENDERS: u32 = 6;

fn options(folder: &Path) -> StoreOptions {
    let mut options = StoreOptions::new(folder);
    options.free_space_min_bytes = 0;
    options.staged_from_bytes = 30_000;
    options.segment_max_bytes = 150_000;
    options.settle_after = Duration::from_millis(1);
    options.settle_from_bytes = 40_000;
    options.index_cache_bytes = 4 << 20;
    options
}

/// Deterministic, of all sizes; now and then large enough to be staged.
fn sample(number: u32) -> Sample {
    let pixels = if number.is_multiple_of(23) {
        60_000
    } else {
        200 + (number as usize * 977) % 9000 / 2 * 2
    };
    Sample {
        pixels,
        ..Sample::new(number / 40 % 3, number % 2, number)
    }
}

/// The body of the child; does nothing where there is no parent.
#[test]
fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut options = options(Path::new(&folder));
        if std::env::var_os(ACKNOWLEDGE).is_some() {
            options.acknowledge = Acknowledge::ObjectStore;
        }
        let store = Store::open(options, describer()).await.unwrap();
        let first = store.index().totals().unwrap().instances as u32;
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| tokio::spawn(send(store.clone(), first / SENDERS, sender)))
            .collect();
        let busy = tokio::spawn(async move {
            loop {
                let _ = store.settle_due(Duration::from_millis(1)).await;
                let _ = store.flush_and_trim().await;
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
        });
        for sender in senders {
            sender.await.unwrap();
        }
        busy.abort();
    });
}

async fn send(store: Store, first: u32, sender: u32) {
    for round in first..first + 400 {
        let number = round * SENDERS + sender;
        let sample = sample(number);
        let mut incoming = store.receive(sample.file_head(), 0);
        incoming.write(&sample.data_set()).await.unwrap();
        let sealed = incoming.seal().await.unwrap();
        match store.commit(sealed, sample.description(), &origin()).await.unwrap() {
            Committed::Stored(_) | Committed::AlreadyStored(_) => println!("acknowledged {number}"),
            Committed::Collision(_) => println!("collided {number}"),
        }
    }
}

fn spawn(folder: &Path, at: Option<&str>, acknowledge: Acknowledge) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::tests::crashing::child", "--nocapture"]);
    command.env(FOLDER, folder).env("RUST_BACKTRACE", "0");
    if let Some(at) = at {
        command.env(crash::VARIABLE, at);
    }
    if acknowledge == Acknowledge::ObjectStore {
        command.env(ACKNOWLEDGE, "1");
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Runs the child until it ends or `lives_for` is over; returns what it acknowledged.
fn run(folder: &Path, at: Option<&str>, lives_for: Duration) -> HashSet<u32> {
    run_acknowledging(Acknowledge::Intake, folder, at, lives_for)
}

fn run_acknowledging(acknowledge: Acknowledge, folder: &Path, at: Option<&str>, lives_for: Duration) -> HashSet<u32> {
    let mut child = spawn(folder, at, acknowledge);
    let output = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut acknowledged = HashSet::new();
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            assert!(!line.contains("collided"), "{line}");
            if let Some(number) = line
                .split("acknowledged ")
                .nth(1)
                .and_then(|number| number.trim().parse().ok())
            {
                acknowledged.insert(number);
            }
        }
        acknowledged
    });
    let end = Instant::now() + lives_for;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() >= end {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    reader.join().unwrap()
}

/// Everything acknowledged is there; everything in the index has its bytes.
async fn check_all(folder: &Path, acknowledged: &HashSet<u32>) {
    let store = Store::open(options(folder), describer()).await.unwrap();
    for number in acknowledged {
        let sample = sample(*number);
        let uid = crate::model::SopInstanceUid::new(&sample.sop_uid()).unwrap();
        let record = store
            .index()
            .instance(&uid)
            .unwrap()
            .unwrap_or_else(|| panic!("instance {number} is lost"));
        let all = store.read(&record, 0..record.data_set_length()).await.unwrap();
        assert_eq!(all, sample.data_set(), "instance {number} is damaged");
    }
    let report = store.verify(VerifyOptions::default(), |_| {}).await.unwrap();
    let problems: Vec<_> = report
        .problems
        .iter()
        .filter(|problem| problem.kind != ProblemKind::Orphan)
        .collect();
    assert!(report.is_sound(), "{problems:?}");
    store.close().await.unwrap();
}

fn rounds(default: usize) -> usize {
    std::env::var(ROUNDS)
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_killed_at_random() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = HashSet::new();
    for round in 0..rounds(6) {
        let lives_for = Duration::from_millis(150 + (round as u64 * 7919) % 500);
        acknowledged.extend(run(folder.path(), None, lives_for));
        check_all(folder.path(), &acknowledged).await;
    }
    assert!(!acknowledged.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_at_any_place_of_the_table() {
    let places = [
        "intake.synced:9",
        "intake.indexed:9",
        "settle.put:2",
        "settle.headers:2",
        "settle.linked:1",
        "settle.moved:2",
        "merge.put:1",
        "merge.moved:1",
        "keeper.flushed:2",
        "keeper.marked:1",
        "keeper.trimmed:1",
    ];
    for place in places {
        let folder = tempfile::tempdir().unwrap();
        let mut acknowledged = run(folder.path(), Some(place), Duration::from_secs(60));
        check_all(folder.path(), &acknowledged).await;
        // And once more over what the first crash left.
        acknowledged.extend(run(folder.path(), Some(place), Duration::from_secs(60)));
        check_all(folder.path(), &acknowledged).await;
    }
}

/// Leaves the objects, as a machine that is lost leaves those that are elsewhere.
fn lose_all_but_objects(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.ends_with("objects") {
            continue;
        }
        if path.is_dir() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_object_store_acknowledged_outlives_the_machine() {
    let places = [
        None,
        Some("intake.indexed:15"),
        Some("settle.put:5"),
        Some("settle.headers:5"),
        Some("settle.linked:1"),
        Some("settle.moved:5"),
        Some("merge.put:1"),
        Some("merge.moved:1"),
        Some("keeper.flushed:2"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = HashSet::new();
    for place in places {
        let lives_for = Duration::from_millis(if place.is_some() { 5_000 } else { 700 });
        acknowledged.extend(run_acknowledging(
            Acknowledge::ObjectStore,
            folder.path(),
            place,
            lives_for,
        ));
        lose_all_but_objects(folder.path());
        check_all(folder.path(), &acknowledged).await;
    }
    assert!(acknowledged.len() > 30, "{} instances", acknowledged.len());
}
