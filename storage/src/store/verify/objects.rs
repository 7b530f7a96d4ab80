//! Every object: its bytes, and whether the index knows it.

use super::{Pace, ProblemKind, Run, VerifyPosition};
use crate::{
    hexadecimal::hexadecimal,
    index::Index,
    intake::SeriesKey,
    model::{Location, SopInstanceUid},
    objects::{DAMAGED, ObjectName, QUARANTINE},
    packs::{tar::Member, walk::walk},
    source::ReadAt,
    store::{Store, StoreError, orphan::Orphan, read::on_blocking_thread, rebuild::open_object, settle::from_objects},
};

/// Objects listed at once.
const PAGE: usize = 256;

/// A member of a pack, its place, and what is wrong with its bytes.
type ReadMember = (Member, u64, Option<String>);

impl Run<'_> {
    pub(super) async fn objects(&mut self, mut after: Option<ObjectName>) -> Result<(), StoreError> {
        loop {
            let objects = &self.store.inner.stored;
            let page = objects.list("", after.as_ref(), PAGE).await.map_err(from_objects)?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            after = Some(last.clone());
            for (name, _) in page {
                self.object(&name).await?;
                if !name.as_str().starts_with(DAMAGED) {
                    // A replica that is new has nothing yet.
                    objects.share(&name).await.map_err(from_objects)?;
                }
                self.report.objects += 1;
                self.reached(VerifyPosition::Object(name.to_string()));
            }
        }
    }

    async fn object(&mut self, name: &ObjectName) -> Result<(), StoreError> {
        let series = name.as_pack();
        if series.is_none() && !name.as_str().starts_with(QUARANTINE) {
            return Ok(());
        }
        let mut read = self.read_pack(name).await?;
        let is_whole = read
            .as_ref()
            .is_ok_and(|members| members.iter().all(|(_, _, damage)| damage.is_none()));
        if !is_whole && self.store.repair(name).await? {
            self.report.repaired += 1;
            tracing::warn!(object = %name, "a damaged object was repaired from the replica; the damaged one is kept apart");
            read = self.read_pack(name).await?;
        }
        let read = match read {
            Ok(read) => read,
            Err(reason) => {
                // A pack may have been merged into another since it was listed.
                if self
                    .store
                    .inner
                    .objects
                    .head(name)
                    .await
                    .map_err(from_objects)?
                    .is_some()
                {
                    self.report.problem(ProblemKind::Damaged, name, reason);
                }
                return Ok(());
            }
        };
        let named = name
            .as_str()
            .strip_prefix(QUARANTINE)
            .map(|name| name.trim_end_matches(".tar"));
        for (member, _, damage) in &read {
            self.report.instances += 1;
            self.report.bytes += member.length;
            if named.is_some_and(|named| named != hexadecimal(&member.sha256)) {
                let sentence = "what is kept apart under this name is another data set";
                self.report.problem(ProblemKind::Damaged, name, sentence);
            }
            if let Some(damage) = damage {
                let sentence = format!("{}: {damage}", member.sop_instance);
                self.report.problem(ProblemKind::Damaged, name, sentence);
            }
        }
        let Some((study, series, pack)) = series else {
            return Ok(());
        };
        let key = (study, series);
        if !self.store.is_pack_known(&key, pack).await? {
            return self.orphan(name, &key, pack, &read).await;
        }
        let mut lacks_headers = false;
        for member in &read {
            lacks_headers |= self.member(name, pack, member).await?.is_some();
        }
        if lacks_headers {
            self.headers(name, &key, pack).await?;
        }
        Ok(())
    }

    /// The block of headers is made again from the instances.
    async fn headers(&mut self, name: &ObjectName, series: &SeriesKey, pack: u64) -> Result<(), StoreError> {
        match self.store.make_headers(series, pack).await {
            Ok(()) => self.report.headers_made += 1,
            Err(error) => {
                let sentence = format!("its headers do not read, and cannot be made again: {error}");
                self.report.problem(ProblemKind::Headers, name, sentence);
            }
        }
        Ok(())
    }

    async fn orphan(
        &mut self,
        name: &ObjectName,
        series: &SeriesKey,
        pack: u64,
        read: &[ReadMember],
    ) -> Result<(), StoreError> {
        if read.iter().any(|(_, _, damage)| damage.is_some()) {
            let sentence = "the index does not know this pack";
            self.report.problem(ProblemKind::Orphan, name, sentence);
            return Ok(());
        }
        match self.store.take_orphan(series, pack).await? {
            Orphan::Known | Orphan::Gone => {}
            Orphan::Removed => self.report.removed += 1,
            Orphan::Adopted(instances) => self.report.adopted += instances,
            Orphan::Left(reason) => {
                let sentence = format!("the index does not know this pack, and it is left as it is: {reason}");
                self.report.problem(ProblemKind::Orphan, name, sentence);
            }
        }
        Ok(())
    }

    async fn read_pack(&mut self, name: &ObjectName) -> Result<Result<Vec<ReadMember>, String>, StoreError> {
        let (name, pace) = (name.clone(), self.pace.clone());
        on_blocking_thread(self.store, move |store| Ok(store.read_pack(&name, &pace))).await
    }

    /// Why the header beside the pack does not read, where it does not.
    async fn member(
        &mut self,
        name: &ObjectName,
        pack: u64,
        member: &ReadMember,
    ) -> Result<Option<StoreError>, StoreError> {
        let (member, offset, damage) = member;
        let indexed = SopInstanceUid::new(&member.sop_instance).ok();
        let catalog = &self.store.inner.catalog;
        let indexed = indexed.map(|sop| catalog.instance(&sop)).transpose()?.flatten();
        match indexed {
            None => {
                let sentence = format!("{} is not indexed", member.sop_instance);
                self.report.problem(ProblemKind::NotIndexed, name, sentence);
            }
            Some(record) if !self.store.has_bytes_of(&record, member).await? => {
                let sentence = format!("{} is indexed as other bytes", member.sop_instance);
                self.report.problem(ProblemKind::Damaged, name, sentence);
            }
            Some(record) if record.location == (Location::Pack { pack, offset: *offset }) => {
                self.store.mark(&record.sop_instance_uid, damage.as_deref())?;
                if damage.is_none() {
                    return Ok(self.store.header_from_pack(&record).await.err());
                }
            }
            // It lies in a later pack as well, which holds.
            Some(_) => {}
        }
        Ok(None)
    }
}

impl Store {
    /// Asked again while nothing is being settled: a pack is put before the index knows it.
    async fn is_pack_known(&self, series: &SeriesKey, pack: u64) -> Result<bool, StoreError> {
        let knows = || -> Result<bool, StoreError> {
            let packs = self.inner.catalog.packs_of(&series.0, &series.1)?;
            Ok(packs.iter().any(|(known, _)| *known == pack))
        };
        if knows()? {
            return Ok(true);
        }
        let _nothing_settles = self.inner.settling.lock().await;
        knows()
    }

    /// Reads a whole pack: each member, its place, and what is wrong with it. Blocks.
    fn read_pack(&self, name: &ObjectName, pace: &Pace) -> Result<Vec<ReadMember>, String> {
        let source = open_object(&self.inner.stored, &self.inner.runtime, name).map_err(|error| error.to_string())?;
        let walked = walk(source.as_ref())?;
        if walked.length != source.len() {
            return Err("there are bytes behind its end".into());
        }
        let mut read = Vec::with_capacity(walked.members.len());
        for (member, offset) in walked.members {
            let damage = compare(source.as_ref(), offset, &member, pace).err();
            read.push((member, offset, damage));
        }
        Ok(read)
    }
}

/// Compares the data set of a member with its SHA-256.
fn compare(source: &dyn ReadAt, offset: u64, member: &Member, pace: &Pace) -> Result<(), String> {
    let length = member
        .length
        .checked_sub(member.data_set_offset)
        .ok_or("it is shorter than its head")?;
    let sha256 = pace.hash(source, offset + member.data_set_offset, length);
    if sha256.map_err(|error| error.to_string())? == member.sha256 {
        Ok(())
    } else {
        Err("its SHA-256 is not that of what was received".into())
    }
}
