use std::{
    collections::HashMap,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicU64, Ordering},
};

use proptest::prelude::*;
use tokio::sync::Semaphore;

use super::*;
use crate::{
    metrics::{Counters, Metrics},
    objects::{MemoryObjects, suite},
};

/// A distant store: counts what is asked of it, and answers when it may.
struct Distant {
    inner: MemoryObjects,
    gets: Mutex<Vec<Range<u64>>>,
    answers: Semaphore,
    waiting: AtomicU64,
}

impl Distant {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            inner: MemoryObjects::default(),
            gets: Mutex::default(),
            answers: Semaphore::new(1_000_000),
            waiting: AtomicU64::new(0),
        })
    }

    fn asked(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut self.gets.lock().unwrap())
    }
}

#[async_trait]
impl ObjectStore for Distant {
    async fn put(&self, name: &ObjectName, body: Body) -> Result<(), ObjectError> {
        self.inner.put(name, body).await
    }

    async fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, ObjectError> {
        self.gets.lock().unwrap().push(range.clone());
        let bytes = self.inner.get_range(name, range).await;
        self.waiting.fetch_add(1, Ordering::SeqCst);
        self.answers.acquire().await.unwrap().forget();
        bytes
    }

    async fn head(&self, name: &ObjectName) -> Result<Option<u64>, ObjectError> {
        self.inner.head(name).await
    }

    async fn list(
        &self,
        prefix: &str,
        after: Option<&ObjectName>,
        limit: usize,
    ) -> Result<Vec<(ObjectName, u64)>, ObjectError> {
        self.inner.list(prefix, after, limit).await
    }

    async fn delete(&self, name: &ObjectName) -> Result<(), ObjectError> {
        self.inner.delete(name).await
    }
}

struct Fixture {
    folder: tempfile::TempDir,
    distant: Arc<Distant>,
    counters: Counters,
    blocks: u64,
    cached: CachedObjects,
}

impl Fixture {
    fn new(blocks: u64) -> Self {
        let (folder, distant, counters) = (tempfile::tempdir().unwrap(), Distant::new(), Counters::default());
        let cached = open(&folder, &distant, &counters, blocks);
        Self {
            folder,
            distant,
            counters,
            blocks,
            cached,
        }
    }

    /// As after a crash: nothing was closed or synced.
    fn reopen(&mut self) {
        self.cached = open(&self.folder, &self.distant, &self.counters, self.blocks);
    }

    fn metrics(&self) -> Metrics {
        self.counters.snapshot(0, 0, 0)
    }

    async fn put(&self, name: &ObjectName, bytes: &Bytes) {
        self.cached.put(name, bytes.clone().into()).await.unwrap();
    }

    #[track_caller]
    fn check(&self, read: &Bytes, bytes: &Bytes, range: Range<u64>) {
        let end = range.end.min(bytes.len() as u64) as usize;
        assert!(*read == bytes[(range.start as usize).min(end)..end], "{range:?}");
    }

    async fn read(&self, name: &ObjectName, bytes: &Bytes, range: Range<u64>) {
        let read = self.cached.get_range(name, range.clone()).await.unwrap();
        self.check(&read, bytes, range);
    }

    /// What was being fetched ahead has come.
    async fn settle(&self) {
        loop {
            let left: Vec<Fetch> = self.cached.fetches.lock().unwrap().values().cloned().collect();
            if left.is_empty() {
                return;
            }
            for fetch in left {
                let _ = fetch.await;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn open(folder: &tempfile::TempDir, distant: &Arc<Distant>, counters: &Counters, blocks: u64) -> CachedObjects {
    let inner = Arc::clone(distant) as Arc<dyn ObjectStore>;
    CachedObjects::open(
        inner,
        folder.path(),
        blocks * BLOCK_BYTES,
        Arc::clone(&counters.cache),
        || true,
    )
    .unwrap()
}

fn pack(number: u32) -> ObjectName {
    ObjectName::new(&format!("studies/1.2/3/{number:08}.tar")).unwrap()
}

fn pattern(seed: usize, length: u64) -> Bytes {
    (0..length as usize)
        .map(|n| (n * 7 + n / 251 + seed) as u8)
        .collect::<Vec<_>>()
        .into()
}

#[tokio::test]
async fn a_cache_keeps_the_contract() {
    for blocks in [1, 1000] {
        suite::run(&Fixture::new(blocks).cached).await;
    }
}

#[tokio::test]
async fn a_frame_is_one_range_and_then_none() {
    let mut fixture = Fixture::new(100);
    let bytes = pattern(1, 40 * BLOCK_BYTES);
    fixture.put(&pack(1), &bytes).await;
    // Half a megabyte, anywhere in an object of many frames.
    let frame = 7 * BLOCK_BYTES + 1234..9 * BLOCK_BYTES + 1234;
    fixture.read(&pack(1), &bytes, frame.clone()).await;
    let asked = fixture.distant.asked();
    assert!(
        asked.len() == 1 && asked[0] == (7 * BLOCK_BYTES..10 * BLOCK_BYTES),
        "{asked:?}"
    );
    fixture.read(&pack(1), &bytes, frame.clone()).await;
    assert!(fixture.distant.asked().is_empty());
    let metrics = fixture.metrics();
    assert_eq!((metrics.cache_hits, metrics.cache_misses), (3, 3));
    assert_eq!(metrics.cache_bytes, 3 * BLOCK_BYTES);

    fixture.reopen();
    fixture.read(&pack(1), &bytes, frame).await;
    assert!(
        fixture.distant.asked().is_empty(),
        "what was read is there after a restart"
    );
    // What is there is not asked for again, on either side of a gap.
    fixture.read(&pack(1), &bytes, 6 * BLOCK_BYTES..11 * BLOCK_BYTES).await;
    assert_eq!(
        fixture.distant.asked(),
        [6 * BLOCK_BYTES..7 * BLOCK_BYTES, 10 * BLOCK_BYTES..11 * BLOCK_BYTES]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_many_want_is_fetched_once() {
    let fixture = Fixture::new(100);
    let bytes = pattern(2, 3 * BLOCK_BYTES + 17);
    fixture.put(&pack(1), &bytes).await;
    let name = pack(1);
    let range = BLOCK_BYTES + 5..3 * BLOCK_BYTES + 100;
    let reads = (0..30).map(|_| fixture.cached.get_range(&name, range.clone()));
    for read in futures_util::future::join_all(reads).await {
        fixture.check(&read.unwrap(), &bytes, range.clone());
    }
    assert_eq!(fixture.distant.asked().len(), 1);
}

#[tokio::test]
async fn who_asked_first_may_go_away() {
    let fixture = Fixture::new(100);
    let bytes = pattern(3, BLOCK_BYTES);
    fixture.put(&pack(1), &bytes).await;
    fixture.distant.answers.forget_permits(1_000_000);
    let cached = fixture.cached.clone();
    let first = tokio::spawn(async move { cached.get_range(&pack(1), 0..10).await.map(drop) });
    while fixture.distant.waiting.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    first.abort();
    fixture.distant.answers.add_permits(1_000_000);
    fixture.read(&pack(1), &bytes, 0..10).await;
    assert_eq!(fixture.distant.asked().len(), 1);
}

#[tokio::test]
async fn a_damaged_block_is_fetched_again() {
    let mut fixture = Fixture::new(100);
    let bytes = pattern(4, 2 * BLOCK_BYTES);
    fixture.put(&pack(1), &bytes).await;
    fixture.read(&pack(1), &bytes, 0..2 * BLOCK_BYTES).await;
    let file = std::fs::File::options()
        .write(true)
        .open(fixture.folder.path().join("blocks"))
        .unwrap();
    file.write_all_at(b"damage", 1000).unwrap();
    fixture.distant.asked();
    fixture.read(&pack(1), &bytes, 0..2 * BLOCK_BYTES).await;
    let asked = fixture.distant.asked();
    assert!(asked.len() == 1 && asked[0] == (0..BLOCK_BYTES), "{asked:?}");
    assert_eq!(fixture.metrics().cache_damaged, 1);
    // The files may be cut short or filled with anything.
    for change in [|length: u64| length / 2, |_| 0, |length| length * 3 + 1] {
        for name in ["index", "blocks"] {
            let file = std::fs::File::options()
                .write(true)
                .open(fixture.folder.path().join(name))
                .unwrap();
            file.set_len(change(file.metadata().unwrap().len())).unwrap();
            fixture.reopen();
            fixture.read(&pack(1), &bytes, 0..2 * BLOCK_BYTES).await;
        }
    }
}

#[tokio::test]
async fn it_stays_within_its_room_and_keeps_what_is_used() {
    let fixture = Fixture::new(8);
    let bytes = pattern(5, 64 * BLOCK_BYTES);
    fixture.put(&pack(1), &bytes).await;
    fixture.put(&pack(2), &bytes).await;
    for block in (0..64).step_by(3) {
        // No neighbours, so that nothing is read ahead; the first block of another is used all the time.
        fixture.read(&pack(2), &bytes, 0..10).await;
        fixture
            .read(&pack(1), &bytes, block * BLOCK_BYTES..block * BLOCK_BYTES + 10)
            .await;
    }
    let often = fixture
        .distant
        .asked()
        .into_iter()
        .filter(|range| range.start == 0)
        .count();
    assert_eq!(often, 2, "once for each of both objects");
    assert!(fixture.metrics().cache_evictions > 10);
    assert_eq!(fixture.metrics().cache_bytes, 8 * BLOCK_BYTES);
    let on_disk = std::fs::metadata(fixture.folder.path().join("blocks")).unwrap().len();
    assert!(on_disk <= 8 * BLOCK_BYTES);
}

#[tokio::test]
async fn it_does_not_grow_where_there_is_no_room() {
    let (folder, distant, counters) = (tempfile::tempdir().unwrap(), Distant::new(), Counters::default());
    let inner = Arc::clone(&distant) as Arc<dyn ObjectStore>;
    let cached = CachedObjects::open(
        inner,
        folder.path(),
        100 * BLOCK_BYTES,
        Arc::clone(&counters.cache),
        || false,
    )
    .unwrap();
    let bytes = pattern(6, 5 * BLOCK_BYTES);
    cached.put(&pack(1), bytes.clone().into()).await.unwrap();
    assert_eq!(cached.get_range(&pack(1), 0..5 * BLOCK_BYTES).await.unwrap(), bytes);
    assert_eq!(std::fs::metadata(folder.path().join("blocks")).unwrap().len(), 0);
}

#[tokio::test]
async fn what_is_written_over_is_not_read_again() {
    let mut fixture = Fixture::new(100);
    let (old, new) = (pattern(7, 2 * BLOCK_BYTES), pattern(8, BLOCK_BYTES + 9));
    fixture.put(&pack(1), &old).await;
    fixture.read(&pack(1), &old, 0..2 * BLOCK_BYTES).await;
    fixture.put(&pack(1), &new).await;
    fixture.read(&pack(1), &new, 0..2 * BLOCK_BYTES).await;
    fixture.cached.delete(&pack(1)).await.unwrap();
    fixture.reopen();
    let read = fixture.cached.get_range(&pack(1), 0..5).await;
    assert!(matches!(read, Err(ObjectError::Missing(_))), "{read:?}");

    // A read that is under way while the object is put anew does not leave the old bytes behind.
    fixture.put(&pack(2), &old).await;
    fixture.distant.answers.forget_permits(1_000_000);
    let cached = fixture.cached.clone();
    let before = fixture.distant.waiting.load(Ordering::SeqCst);
    let slow = tokio::spawn(async move { cached.get_range(&pack(2), 0..5).await });
    while fixture.distant.waiting.load(Ordering::SeqCst) == before {
        tokio::task::yield_now().await;
    }
    fixture.put(&pack(2), &new).await;
    fixture.distant.answers.add_permits(1_000_000);
    let read = slow.await.unwrap().unwrap();
    assert!(read == old[..5] || read == new[..5]);
    fixture.settle().await;
    fixture.read(&pack(2), &new, 0..2 * BLOCK_BYTES).await;
}

#[tokio::test]
async fn who_reads_on_is_read_ahead_for() {
    let fixture = Fixture::new(1000);
    let bytes = pattern(9, 100 * BLOCK_BYTES + 77);
    fixture.put(&pack(1), &bytes).await;
    let (mut at, piece) = (0, 512 << 10);
    while at < bytes.len() as u64 {
        fixture.read(&pack(1), &bytes, at..at + piece).await;
        fixture.settle().await;
        // As from one member of a pack to the next.
        at += piece;
    }
    let asked = fixture.distant.asked();
    assert!(
        asked.len() < 15,
        "{} requests for {} pieces: {asked:?}",
        asked.len(),
        bytes.len() as u64 / piece
    );
    let fetched: u64 = asked.iter().map(|range| range.end - range.start).sum();
    assert!(
        fetched < bytes.len() as u64 + (20 << 20),
        "nothing is fetched twice: {asked:?}"
    );

    // Jumps are no sequence.
    fixture.put(&pack(2), &bytes).await;
    for block in [50, 10, 90, 30] {
        fixture
            .read(&pack(2), &bytes, block * BLOCK_BYTES..block * BLOCK_BYTES + 100)
            .await;
    }
    assert_eq!(fixture.distant.asked().len(), 4);
}

#[tokio::test]
async fn others_than_packs_are_not_kept() {
    let fixture = Fixture::new(100);
    let journal = ObjectName::new("journal/decisions.jsonl").unwrap();
    for seed in 0..3 {
        let bytes = pattern(seed, 100);
        // Behind the cache's back, as another node does.
        fixture.distant.put(&journal, bytes.clone().into()).await.unwrap();
        fixture.read(&journal, &bytes, 0..100).await;
    }
    assert_eq!(fixture.metrics().cache_bytes, 0);
}

#[derive(Debug, Clone)]
enum Step {
    Put(u32, usize, u64),
    Delete(u32),
    Read(u32, u64, u64),
    Reopen,
    Damage(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let length = 0..5 * BLOCK_BYTES;
    let step = prop_oneof![
        3 => (0..3_u32, any::<usize>(), length.clone()).prop_map(|(name, seed, length)| Step::Put(name, seed % 251, length)),
        1 => (0..3_u32).prop_map(Step::Delete),
        8 => (0..3_u32, length.clone(), 0..3 * BLOCK_BYTES).prop_map(|(name, from, length)| Step::Read(name, from, from + length)),
        1 => Just(Step::Reopen),
        1 => length.prop_map(Step::Damage),
    ];
    proptest::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn reads_are_those_of_the_store_beneath(steps in steps(), blocks in 1..12_u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut fixture = Fixture::new(blocks);
            let mut known: HashMap<u32, Bytes> = HashMap::new();
            for step in steps {
                match step {
                    Step::Put(name, seed, length) => {
                        let bytes = pattern(seed, length);
                        fixture.put(&pack(name), &bytes).await;
                        known.insert(name, bytes);
                    }
                    Step::Delete(name) => {
                        fixture.cached.delete(&pack(name)).await.unwrap();
                        known.remove(&name);
                    }
                    Step::Read(name, from, to) => {
                        let read = fixture.cached.get_range(&pack(name), from..to).await;
                        match known.get(&name) {
                            Some(bytes) => fixture.check(&read.unwrap(), bytes, from..to),
                            None => assert!(matches!(read, Err(ObjectError::Missing(_)))),
                        }
                    }
                    Step::Reopen => fixture.reopen(),
                    Step::Damage(at) => {
                        let file = std::fs::File::options().write(true).open(fixture.folder.path().join("blocks")).unwrap();
                        if at < file.metadata().unwrap().len() {
                            file.write_all_at(b"\xa5damage\x5a", at).unwrap();
                        }
                    }
                }
            }
        });
    }
}
