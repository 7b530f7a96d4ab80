//! The log on a disk that loses power: of what was not synced any part survives, in any order; syncs and writes fail.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, IoSlice},
    sync::{Arc, Mutex},
};

use proptest::prelude::*;

use super::{
    Log, Order, Parts, Pending, Shelf, Waiting,
    budget::Budget,
    incoming::{Incoming, Nursery},
    medium::{Medium, MediumFile},
    recover::Recovery,
    segment::Segment,
    space::Space,
    staged::StagedFolder,
};
use crate::{
    encryption::MasterKeys,
    index::{Catalog, CatalogWriter, Index, engine::MemoryEngine},
    metrics::Counters,
    model::{Location, SopInstanceUid},
    source::ReadAt,
    store::Committed,
    testing::{Sample, describer, origin},
};

/// Disks write whole sectors.
const SECTOR: usize = 512;

#[derive(Default)]
struct Disk {
    files: Mutex<BTreeMap<u64, Arc<DiskFile>>>,
    /// For each write and sync to come: whether it fails.
    faults: Mutex<Vec<bool>>,
}

#[derive(Default)]
struct DiskFile {
    state: Mutex<State>,
    disk: std::sync::Weak<Disk>,
}

#[derive(Default, Clone)]
struct State {
    /// As the process sees it.
    live: Vec<u8>,
    /// As it was at the last sync.
    durable: Vec<u8>,
    /// Sectors written since, and lengths set.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    if bytes.len() < at + new.len() {
        bytes.resize(at + new.len(), 0);
    }
    bytes[at..at + new.len()].copy_from_slice(new);
}

impl Disk {
    fn fails(&self) -> bool {
        self.faults.lock().unwrap().pop().unwrap_or(false)
    }

    /// What is on the disk after a loss of power; `survives` says for each unsynced change whether it was written.
    fn lose_power(&self, mut survives: impl FnMut() -> bool) -> Arc<Self> {
        let after = Arc::new(Self::default());
        for (number, file) in self.files.lock().unwrap().iter() {
            let state = file.state.lock().unwrap();
            let mut bytes = state.durable.clone();
            for change in &state.pending {
                if survives() {
                    match change {
                        Change::Write(at, new) => put(&mut bytes, *at, new),
                        Change::Length(length) => bytes.resize(*length, 0),
                    }
                }
            }
            let state = State {
                live: bytes.clone(),
                durable: bytes,
                pending: vec![],
            };
            let file = DiskFile {
                state: Mutex::new(state),
                disk: Arc::downgrade(&after),
            };
            after.files.lock().unwrap().insert(*number, Arc::new(file));
        }
        after
    }
}

/// A disk as the log sees it.
struct Mounted(Arc<Disk>, Option<Arc<MasterKeys>>);

impl Medium for Mounted {
    fn create(&self, number: u64) -> io::Result<Arc<dyn MediumFile>> {
        let file = Arc::new(DiskFile {
            state: Mutex::default(),
            disk: Arc::downgrade(&self.0),
        });
        self.0.files.lock().unwrap().insert(number, Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, number: u64) -> io::Result<Arc<dyn MediumFile>> {
        let files = self.0.files.lock().unwrap();
        files
            .get(&number)
            .map(|file| Arc::clone(file) as Arc<dyn MediumFile>)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove(&self, number: u64) -> io::Result<()> {
        self.0.files.lock().unwrap().remove(&number);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.0.files.lock().unwrap().keys().copied().collect())
    }

    fn master_keys(&self) -> Option<&Arc<MasterKeys>> {
        self.1.as_ref()
    }
}

impl MediumFile for DiskFile {
    fn write_at(&self, pieces: &mut [IoSlice<'_>], offset: u64) -> io::Result<()> {
        let fails = self.disk.upgrade().is_some_and(|disk| disk.fails());
        let mut bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter().copied()).collect();
        if fails {
            bytes.truncate(bytes.len() / 2);
        }
        let mut state = self.state.lock().unwrap();
        let mut at = offset as usize;
        for sector in bytes.chunks(SECTOR) {
            put(&mut state.live, at, sector);
            state.pending.push(Change::Write(at, sector.to_vec()));
            at += sector.len();
        }
        if fails {
            Err(io::ErrorKind::StorageFull.into())
        } else {
            Ok(())
        }
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.state.lock().unwrap();
        let from = state.live.get(offset as usize..offset as usize + buffer.len());
        buffer.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        if self.disk.upgrade().is_some_and(|disk| disk.fails()) {
            return Err(io::Error::other("the device failed"));
        }
        let mut state = self.state.lock().unwrap();
        state.durable = state.live.clone();
        state.pending.clear();
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut state = self.state.lock().unwrap();
        state.live.resize(length as usize, 0);
        state.pending.push(Change::Length(length as usize));
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().unwrap().live.len() as u64)
    }
}

struct Lost {
    catalog: Arc<Catalog>,
    writer: CatalogWriter,
}

fn empty_index() -> Lost {
    let catalog = Arc::new(Catalog::open(Arc::new(MemoryEngine::default())).unwrap());
    Lost {
        writer: CatalogWriter::new(Arc::clone(&catalog)).unwrap(),
        catalog,
    }
}

/// Opens the log of a disk with an index that was lost, takes instances in, and returns those that were acknowledged.
async fn life(
    disk: &Arc<Disk>,
    folder: &std::path::Path,
    samples: &[Sample],
    known: &HashMap<String, Sample>,
    faults: Vec<bool>,
    master: Option<&Arc<MasterKeys>>,
) -> Vec<Sample> {
    let mut index = empty_index();
    let describer = describer();
    let recovery = Recovery {
        medium: &Mounted(Arc::clone(disk), master.cloned()),
        staged_folder: folder,
        catalog: &index.catalog,
        writer: &mut index.writer,
        describer: describer.as_ref(),
        when: super::recover::When::Opening,
    };
    let recovered = recovery.run().unwrap();
    for (uid, sample) in known {
        let record = index.catalog.instance(&SopInstanceUid::new(uid).unwrap()).unwrap();
        let record = record.unwrap_or_else(|| panic!("{uid} was acknowledged and is lost"));
        let Location::Intake { segment, entry, .. } = record.location else {
            panic!("{uid} is elsewhere")
        };
        let segment: Arc<Segment> = recovered.segments.get(segment).unwrap();
        let found = segment.entry_at(entry).unwrap().unwrap();
        let bytes = segment.part_10(&found).unwrap().read_at(0, usize::MAX).unwrap();
        assert_eq!(
            &bytes[record.data_set_offset as usize..],
            sample.data_set(),
            "{uid} is damaged"
        );
    }

    // Only now: a disk that fails while the log is looked at is refused, which loses nothing.
    *disk.faults.lock().unwrap() = faults;
    let space = Arc::new(Space::new(folder.to_owned(), 0));
    let nursery = Nursery {
        budget: Budget::new(1 << 20),
        staged: StagedFolder::new(folder.to_owned(), 1, None),
        space: Arc::clone(&space),
        staged_from_bytes: 1 << 20,
    };
    let parts = Parts {
        log: Log::new(
            Arc::new(Mounted(Arc::clone(disk), master.cloned())),
            Arc::clone(&recovered.segments),
            9_000,
            recovered.next_segment,
        ),
        catalog: index.catalog,
        writer: Arc::new(Mutex::new(index.writer)),
        waiting: Arc::new(Mutex::new(Waiting::default())),
        shelf: Arc::new(Shelf::default()),
        space,
        counters: Arc::new(Counters::default()),
        turnstile: Arc::default(),
    };
    let (orders, committer) = super::start(parts).unwrap();
    let mut answers = Vec::new();
    for sample in samples {
        let mut incoming = Incoming::new(nursery.clone(), sample.file_head(), 0);
        incoming.write(&sample.data_set()).await.unwrap();
        let mut sealed = incoming.seal().await.unwrap();
        if master.is_some() {
            sealed.encrypt().unwrap();
        }
        let (reply, answer) = tokio::sync::oneshot::channel();
        let pending = Pending {
            sealed,
            description: sample.description(),
            origin: origin(),
            reply,
        };
        orders
            .send(Order::Commit(Box::new(pending)))
            .await
            .unwrap_or_else(|_| panic!("the committer is gone"));
        answers.push(answer);
    }
    let mut acknowledged = Vec::new();
    for (sample, answer) in samples.iter().zip(answers) {
        if let Ok(Committed::Stored(_) | Committed::AlreadyStored(_)) = answer.await.unwrap() {
            acknowledged.push(sample.clone());
        }
    }
    drop(orders);
    committer.join().unwrap();
    acknowledged
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, ..ProptestConfig::default() })]
    #[test]
    fn nothing_acknowledged_is_lost_with_the_power(
        lives in proptest::collection::vec((1..12_u32, proptest::collection::vec(proptest::bool::weighted(0.15), 0..12)), 1..5),
        chances in proptest::collection::vec(any::<bool>(), 1..200),
        is_encrypted: bool,
    ) {
        let master = is_encrypted.then(|| Arc::new(MasterKeys::random().unwrap()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut disk = Arc::new(Disk::default());
        let (mut known, mut number) = (HashMap::new(), 0);
        let mut chances = chances.into_iter().cycle();
        for (count, faults) in lives {
            // Half of each life's instances come again in the next, as a sender's that had no answer.
            let first = number;
            number += count;
            let samples: Vec<_> = (first.saturating_sub(count / 2)..number)
                .map(|n| Sample { pixels: 100 + n as usize * 530 % 3000 / 2 * 2, ..Sample::new(1, 1, n) })
                .collect();
            let acknowledged = runtime.block_on(life(&disk, folder.path(), &samples, &known, faults, master.as_ref()));
            known.extend(acknowledged.into_iter().map(|sample| (sample.sop_uid(), sample)));
            disk.faults.lock().unwrap().clear();
            disk = disk.lose_power(|| chances.next().unwrap());
        }
        runtime.block_on(life(&disk, folder.path(), &[], &known, vec![], master.as_ref()));
    }
}
