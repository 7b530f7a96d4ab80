//! The index made anew from the packs; what is not in packs yet comes from the intake log afterwards.

use std::{
    collections::{BTreeSet, HashMap},
    io,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use serde::Serialize;
use tokio::runtime::Handle;

use super::{Describer, StoreError, settle::from_objects};
use crate::{
    index::{Addition, Catalog, CatalogWriter, Index, PackRow, Position, Settled},
    model::{Description, Header, Location, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid},
    objects::{ObjectName, ObjectSource, ObjectStore, Windowed, to_io},
    packs::{
        compose::SharedPart,
        tar::Member,
        walk::{Walked, walk},
    },
    source::ReadAt,
};

/// Objects listed at once.
const PAGE_OBJECTS: usize = 1000;
/// Studies that may wait to be written to the index.
const STUDIES_AHEAD: usize = 2;
/// Instances indexed in one batch.
const BATCH_INSTANCES: usize = 256;

/// How far a rebuild is, and at its end what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RebuildReport {
    /// Packs that are done.
    pub packs: u64,
    /// Instances found in packs.
    pub instances: u64,
    /// Bytes of these packs.
    pub bytes: u64,
    /// Instances that were not in packs yet and came from the intake log.
    pub from_intake: u64,
    /// What could not be read, one sentence each; at most a thousand.
    pub problems: Vec<String>,
    /// Decisions that destroyed instances which packs hold all the same: packs of a backup, or a crash on the way.
    #[serde(skip)]
    pub(super) unburied: BTreeSet<u64>,
}

impl RebuildReport {
    fn problem(&mut self, sentence: String) {
        tracing::error!("{sentence}");
        if self.problems.len() < 1000 {
            self.problems.push(sentence);
        }
    }
}

/// What the index is made from.
pub(super) struct Rebuild<'a> {
    pub(super) objects: &'a Arc<dyn ObjectStore>,
    pub(super) runtime: &'a Handle,
    pub(super) describer: &'a dyn Describer,
    pub(super) catalog: &'a Catalog,
    pub(super) writer: &'a mut CatalogWriter,
    /// What was destroyed, by decision.
    pub(super) tombstones: &'a [(u64, Vec<SopInstanceUid>)],
    pub(super) progress: &'a mut (dyn FnMut(&RebuildReport) + Send),
}

/// A pack that was read.
struct Read {
    name: ObjectName,
    result: Result<(Walked, Vec<Result<Description, String>>), String>,
}

impl Rebuild<'_> {
    /// Reads all packs, several at a time, and indexes their instances. Blocks.
    pub(super) fn run(mut self) -> Result<RebuildReport, StoreError> {
        let mut report = RebuildReport::default();
        for (decision, uids) in self.tombstones {
            self.writer.bury(uids, *decision)?;
        }
        let workers = thread::available_parallelism().map_or(2, usize::from);
        let (names, queue) = sync_channel::<Vec<ObjectName>>(STUDIES_AHEAD);
        let (done, results) = sync_channel::<Vec<Read>>(STUDIES_AHEAD);
        let queue = Mutex::new(queue);
        let (objects, runtime, describer) = (self.objects, self.runtime, self.describer);
        thread::scope(|scope| {
            let lister = scope.spawn(move || list_packs(objects, runtime, &names));
            for _ in 0..workers {
                let (queue, done) = (&queue, done.clone());
                scope.spawn(move || read_packs(objects, runtime, describer, queue, &done));
            }
            drop(done);
            let mut written = Ok(());
            // After an error the rest is read to its end, so that no thread waits for ever.
            for study in results {
                if written.is_ok() {
                    written = self.write(study, &mut report);
                }
            }
            let listed = lister
                .join()
                .unwrap_or_else(|_| Err(StoreError::Io(io::Error::other("a thread panicked"))));
            written.and(listed)
        })?;
        Ok(report)
    }

    /// Indexes a study. Its instances go in as they were received, so that study and series are described by the same
    /// instance as before.
    fn write(&mut self, packs: Vec<Read>, report: &mut RebuildReport) -> Result<(), StoreError> {
        let (mut additions, mut rows) = (Vec::new(), Vec::new());
        let mut found = HashMap::new();
        for read in packs {
            let Some((study, series, pack)) = read.name.as_pack() else {
                continue;
            };
            match read.result {
                Err(reason) => report.problem(format!("{} cannot be read: {reason}", read.name)),
                Ok((walked, descriptions)) => {
                    report.packs += 1;
                    report.bytes += walked.length;
                    let row = PackRow {
                        length: walked.length,
                        crc32: walked.crc32,
                        instances: walked.members.len() as u64,
                    };
                    for ((member, offset), description) in walked.members.into_iter().zip(descriptions) {
                        let named = member.sop_instance.clone();
                        // It is destroyed, again, when the store is open.
                        if let Ok(sop) = SopInstanceUid::new(&named)
                            && let Some(decision) = self.catalog.tombstone(&sop)?
                        {
                            report.unburied.insert(decision);
                            continue;
                        }
                        match checked(description, &study, &series) {
                            Ok(description) => {
                                // A merge that was cut short leaves an instance in two packs: the later one holds.
                                found.insert(named, addition(member, description, pack, offset));
                            }
                            Err(reason) => {
                                report.problem(format!("{named} in {} cannot be indexed: {reason}", read.name));
                            }
                        }
                    }
                    rows.push(Settled {
                        study,
                        series,
                        pack,
                        row,
                        members: Vec::new(),
                        replaced: Vec::new(),
                    });
                }
            }
        }
        for (_, addition) in found {
            // The same UID in two studies: the one that was read first holds, and the other is reported.
            match self.catalog.instance(&addition.description.sop_instance_uid)? {
                None => additions.push(addition),
                Some(there) => report.problem(format!(
                    "{} lies in study {} and in study {}",
                    there.sop_instance_uid, there.study_instance_uid, addition.description.study_instance_uid
                )),
            }
        }
        additions.sort_by_key(|addition| addition.received_at);
        report.instances += additions.len() as u64;
        for batch in additions.chunks(BATCH_INSTANCES) {
            self.writer.add(batch, Position::default())?;
        }
        let has_instance = |row: &&Settled| {
            additions.iter().any(|addition| {
                matches!(addition.location, Location::Pack { pack, .. } if pack == row.pack)
                    && addition.description.series_instance_uid == row.series
            })
        };
        for row in rows.iter().filter(has_instance) {
            self.writer.settle(row)?;
        }
        (self.progress)(report);
        Ok(())
    }
}

fn checked(
    description: Result<Description, String>,
    study: &StudyInstanceUid,
    series: &SeriesInstanceUid,
) -> Result<Description, String> {
    let description = description?;
    if description.study_instance_uid != *study || description.series_instance_uid != *series {
        return Err("it does not belong there".to_owned());
    }
    // Headers stand beside the packs already.
    Ok(Description {
        header: Header::default(),
        ..description
    })
}

fn addition(member: Member, description: Description, pack: u64, offset: u64) -> Addition {
    Addition {
        description,
        location: Location::Pack { pack, offset },
        length: member.length,
        data_set_offset: member.data_set_offset,
        sha256: Some(member.sha256),
        crc32: member.crc32,
        received_at: member.received_at,
    }
}

/// Names all packs, those of a study together.
fn list_packs(
    objects: &Arc<dyn ObjectStore>,
    runtime: &Handle,
    studies: &SyncSender<Vec<ObjectName>>,
) -> Result<(), StoreError> {
    let (mut after, mut packs) = (None, Vec::new());
    let mut study = None;
    loop {
        let page = runtime
            .block_on(objects.list("studies/", after.as_ref(), PAGE_OBJECTS))
            .map_err(from_objects)?;
        let Some((last, _)) = page.last() else {
            // The reader may have ended with an error of its own.
            let _ = studies.send(packs);
            return Ok(());
        };
        after = Some(last.clone());
        for (name, _) in page {
            let Some((of, ..)) = name.as_pack() else { continue };
            if study.as_ref() != Some(&of) {
                study = Some(of);
                if studies.send(std::mem::take(&mut packs)).is_err() {
                    return Ok(());
                }
            }
            packs.push(name);
        }
    }
}

fn read_packs(
    objects: &Arc<dyn ObjectStore>,
    runtime: &Handle,
    describer: &dyn Describer,
    queue: &Mutex<Receiver<Vec<ObjectName>>>,
    done: &SyncSender<Vec<Read>>,
) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(names) = next else { return };
        let read = |name: ObjectName| Read {
            result: read_pack(objects, runtime, describer, &name),
            name,
        };
        if done.send(names.into_iter().map(read).collect()).is_err() {
            return;
        }
    }
}

fn read_pack(
    objects: &Arc<dyn ObjectStore>,
    runtime: &Handle,
    describer: &dyn Describer,
    name: &ObjectName,
) -> Result<(Walked, Vec<Result<Description, String>>), String> {
    let source = open_object(objects, runtime, name).map_err(|error| error.to_string())?;
    let walked = walk(source.as_ref())?;
    let describe = |(member, offset): &(Member, u64)| {
        let data_set = SharedPart {
            whole: Arc::clone(&source),
            offset: offset + member.data_set_offset,
            length: member.length.saturating_sub(member.data_set_offset),
        };
        let transfer_syntax =
            TransferSyntaxUid::new(&member.transfer_syntax).map_err(|error| format!("its transfer syntax: {error}"))?;
        let description = describer.describe(&data_set, &transfer_syntax)?;
        match SopInstanceUid::new(&member.sop_instance) {
            Ok(named) if named == description.sop_instance_uid => Ok(description),
            _ => Err("it is not the instance that its name says".to_owned()),
        }
    };
    let descriptions = walked.members.iter().map(describe).collect();
    Ok((walked, descriptions))
}

/// A whole object for readers that block.
pub(super) fn open_object(
    objects: &Arc<dyn ObjectStore>,
    runtime: &Handle,
    name: &ObjectName,
) -> io::Result<Arc<dyn ReadAt>> {
    let length = runtime.block_on(objects.head(name)).map_err(to_io)?;
    let length = length.ok_or(io::ErrorKind::NotFound)?;
    let source = ObjectSource::open(objects, name, 0, length, runtime)?;
    Ok(match source.as_file() {
        Some(_) => Arc::from(source),
        None => Arc::new(Windowed::new(source)),
    })
}
