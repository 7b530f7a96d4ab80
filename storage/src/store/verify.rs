//! Verification: reads everything, and compares bytes, index and log with each other. It changes nothing.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Store, StoreError, read::on_blocking_thread, rebuild::open_object, settle::from_objects};
use crate::{
    index::{Index, StudySelector},
    intake::SeriesKey,
    model::{InstanceRecord, Location, SopInstanceUid},
    objects::ObjectName,
    packs::{tar::Member, walk::walk},
    source::ReadAt,
};

/// Bytes read at once.
const PIECE_BYTES: usize = 1 << 20;
/// Objects and records looked at between two pauses.
const PAGE: usize = 256;
/// Problems that a report holds at most; all are logged.
const PROBLEMS_MAX: usize = 1000;

/// How verification goes about it.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Read no faster than this; `None` is as fast as the store gives.
    pub bytes_per_second: Option<u64>,
    /// Begin behind this object: [`VerifyReport::last_object`] of a run that was stopped.
    pub after: Option<ObjectName>,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// Bytes are not what was stored.
    Damaged,
    /// The index names bytes that are not there. This must not be.
    Missing,
    /// An object that the index does not know: of no harm, and worth a look.
    Orphan,
    /// An instance in a pack of the index that the index does not know.
    NotIndexed,
    /// Headers beside a pack that do not read; they can be made again.
    Headers,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What kind of thing.
    pub kind: ProblemKind,
    /// Object, segment or SOP Instance UID.
    pub place: String,
    /// One sentence.
    pub sentence: String,
}

/// How far a verification is, and at its end what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Objects read.
    pub objects: u64,
    /// Instances whose bytes were compared with their SHA-256.
    pub instances: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Instances of the index whose bytes were looked for.
    pub indexed: u64,
    /// Decisions in the journal whose chain was followed.
    pub decisions: u64,
    /// The object that was read last.
    pub last_object: Option<String>,
    /// What is wrong; at most a thousand.
    pub problems: Vec<Problem>,
}

impl VerifyReport {
    /// True when nothing that was stored is damaged, missing or unknown to the index.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.problems
            .iter()
            .all(|problem| matches!(problem.kind, ProblemKind::Orphan | ProblemKind::Headers))
    }

    fn problem(&mut self, kind: ProblemKind, place: impl ToString, sentence: impl Into<String>) {
        let problem = Problem {
            kind,
            place: place.to_string(),
            sentence: sentence.into(),
        };
        tracing::error!(?problem.kind, problem.place, problem.sentence, "verification found a problem");
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        }
    }
}

/// Keeps reading below a rate.
struct Pace {
    began: Instant,
    bytes_per_second: Option<u64>,
}

impl Pace {
    async fn keep(&self, bytes: u64) {
        let Some(rate) = self.bytes_per_second.filter(|rate| *rate > 0) else {
            return;
        };
        let due = Duration::from_secs_f64(bytes as f64 / rate as f64);
        if let Some(early) = due.checked_sub(self.began.elapsed()) {
            tokio::time::sleep(early).await;
        }
    }
}

impl Store {
    /// Reads every object and compares every SHA-256, the headers beside the packs, both directions between index and
    /// objects, what waits in intake, and the chain of the journal. The store may be in use meanwhile. `progress` is called
    /// after each object.
    ///
    /// # Errors
    /// [`StoreError`] when listing or the index fails; what is wrong with single objects is in the report.
    pub async fn verify(
        &self,
        options: VerifyOptions,
        mut progress: impl FnMut(&VerifyReport) + Send,
    ) -> Result<VerifyReport, StoreError> {
        let mut report = VerifyReport::default();
        let pace = Pace {
            began: Instant::now(),
            bytes_per_second: options.bytes_per_second,
        };
        let mut after = options.after;
        loop {
            let page = self
                .inner
                .objects
                .list("", after.as_ref(), PAGE)
                .await
                .map_err(from_objects)?;
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            for (name, _) in page {
                self.verify_object(&name, &mut report).await?;
                report.objects += 1;
                report.last_object = Some(name.to_string());
                progress(&report);
                pace.keep(report.bytes).await;
            }
        }
        self.verify_index(&mut report).await?;
        match self.inner.journal.verify().await {
            Ok(decisions) => report.decisions = decisions,
            Err(error) => report.problem(ProblemKind::Damaged, "journal", error.to_string()),
        }
        Ok(report)
    }

    async fn verify_object(&self, name: &ObjectName, report: &mut VerifyReport) -> Result<(), StoreError> {
        let series = name.as_pack();
        if series.is_none() && !name.as_str().starts_with("quarantine/") {
            return Ok(());
        }
        let read = {
            let name = name.clone();
            on_blocking_thread(self, move |store| Ok(store.read_pack(&name))).await?
        };
        let read = match read {
            Ok(read) => read,
            Err(reason) => {
                // A pack may have been merged into another since it was listed.
                if self.inner.objects.head(name).await.map_err(from_objects)?.is_some() {
                    report.problem(ProblemKind::Damaged, name, reason);
                }
                return Ok(());
            }
        };
        for (member, _, damage) in &read {
            report.instances += 1;
            report.bytes += member.length;
            if let Some(damage) = damage {
                report.problem(ProblemKind::Damaged, name, format!("{}: {damage}", member.sop_instance));
            }
        }
        let Some((study, series, pack)) = series else {
            return Ok(());
        };
        let key = (study, series);
        if !self.is_pack_known(&key, pack).await? {
            report.problem(ProblemKind::Orphan, name, "the index does not know this pack");
            return Ok(());
        }
        for (member, offset, _) in &read {
            let indexed = SopInstanceUid::new(&member.sop_instance).ok();
            let indexed = indexed
                .map(|sop| self.inner.catalog.instance(&sop))
                .transpose()?
                .flatten();
            match indexed {
                None => report.problem(
                    ProblemKind::NotIndexed,
                    name,
                    format!("{} is not indexed", member.sop_instance),
                ),
                Some(record) if record.sha256 != member.sha256 => {
                    report.problem(
                        ProblemKind::Damaged,
                        name,
                        format!("{} is indexed as other bytes", member.sop_instance),
                    );
                }
                Some(record) if record.location == (Location::Pack { pack, offset: *offset }) => {
                    if let Err(error) = self.header_from_pack(&record).await {
                        report.problem(ProblemKind::Headers, name, error.to_string());
                    }
                }
                // It lies in a later pack as well, which holds.
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Asked again while nothing is being settled: a pack is put before the index knows it.
    async fn is_pack_known(&self, series: &SeriesKey, pack: u64) -> Result<bool, StoreError> {
        let knows = || -> Result<bool, StoreError> {
            Ok(self
                .inner
                .catalog
                .packs_of(&series.0, &series.1)?
                .iter()
                .any(|(known, _)| *known == pack))
        };
        if knows()? {
            return Ok(true);
        }
        let _nothing_settles = self.inner.settling.lock().await;
        knows()
    }

    /// Reads a whole pack: each member, its place, and what is wrong with it. Blocks.
    fn read_pack(&self, name: &ObjectName) -> Result<Vec<(Member, u64, Option<String>)>, String> {
        let source = open_object(&self.inner.objects, &self.inner.runtime, name).map_err(|error| error.to_string())?;
        let walked = walk(source.as_ref())?;
        if walked.length != source.len() {
            return Err("there are bytes behind its end".into());
        }
        let mut read = Vec::with_capacity(walked.members.len());
        for (member, offset) in walked.members {
            let damage = compare(source.as_ref(), offset, &member).err();
            read.push((member, offset, damage));
        }
        Ok(read)
    }

    /// Looks for the bytes of every instance of the index.
    async fn verify_index(&self, report: &mut VerifyReport) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = self.inner.catalog.studies(&StudySelector::All, after.as_ref(), 1)?;
            let Some((cursor, study)) = page.into_iter().next() else {
                return Ok(());
            };
            after = Some(cursor);
            for series in self.inner.catalog.series_of(&study.study_instance_uid)? {
                let key = (series.study_instance_uid, series.series_instance_uid);
                self.verify_packs_of(&key, report).await?;
                let mut after = None;
                loop {
                    let page = self.inner.catalog.instances_of(&key.0, &key.1, after.as_ref(), PAGE)?;
                    let Some((cursor, _)) = page.last() else { break };
                    after = Some(cursor.clone());
                    for (_, record) in page {
                        report.indexed += 1;
                        self.verify_unsettled(record, report).await?;
                    }
                }
            }
        }
    }

    /// Every pack that the index names must be there, and as long as it was.
    async fn verify_packs_of(&self, series: &SeriesKey, report: &mut VerifyReport) -> Result<(), StoreError> {
        let rows: HashMap<_, _> = self.inner.catalog.packs_of(&series.0, &series.1)?.into_iter().collect();
        for (pack, instances) in self.instances_by_pack(series)? {
            let name = ObjectName::pack(&series.0, &series.1, pack);
            let length = self.inner.objects.head(&name).await.map_err(from_objects)?;
            let is_right = length.is_some() && length == rows.get(&pack).map(|row| row.length);
            // Between looking at the index and at the objects a merge may have moved them all.
            if !is_right && self.instances_by_pack(series)?.contains_key(&pack) {
                let sentence = format!("{instances} instances lie in this pack, and it is not there as it was put");
                report.problem(ProblemKind::Missing, name, sentence);
            }
        }
        Ok(())
    }

    /// Instances in packs were read with their pack; those in intake are read here.
    async fn verify_unsettled(&self, record: InstanceRecord, report: &mut VerifyReport) -> Result<(), StoreError> {
        if matches!(record.location, Location::Pack { .. }) {
            return Ok(());
        }
        report.instances += 1;
        report.bytes += record.length;
        let sop = record.sop_instance_uid.clone();
        let hashed = on_blocking_thread(self, move |store| {
            let length = record.data_set_length();
            let sha256 = store.with_source(&record, |source| hash(source, record.data_set_offset, length))?;
            Ok(sha256 == record.sha256)
        });
        match hashed.await {
            Ok(true) => {}
            Ok(false) => report.problem(
                ProblemKind::Damaged,
                sop,
                "its bytes in intake are not what was received",
            ),
            Err(error) => report.problem(ProblemKind::Missing, sop, error.to_string()),
        }
        Ok(())
    }
}

/// Compares the data set of a member with its SHA-256.
fn compare(source: &dyn ReadAt, offset: u64, member: &Member) -> Result<(), String> {
    let length = member
        .length
        .checked_sub(member.data_set_offset)
        .ok_or("it is shorter than its head")?;
    let sha256 = hash(source, offset + member.data_set_offset, length).map_err(|error| error.to_string())?;
    if sha256 == member.sha256 {
        Ok(())
    } else {
        Err("its SHA-256 is not that of what was received".into())
    }
}

fn hash(source: &dyn ReadAt, mut offset: u64, mut length: u64) -> std::io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    while length > 0 {
        let piece = source.read_at(offset, usize::try_from(length).unwrap_or(usize::MAX).min(PIECE_BYTES))?;
        if piece.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        hasher.update(&piece);
        offset += piece.len() as u64;
        length -= piece.len() as u64;
    }
    Ok(hasher.finalize().into())
}
