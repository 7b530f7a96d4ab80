//! Packs that the index does not know: left behind by a merge that was cut short, or lost to the index.

use std::{io, sync::PoisonError};

use super::{Store, StoreError, read::on_blocking_thread, settle::from_objects};
use crate::{
    index::{Addition, Index, PackRow, Position, Settled},
    intake::SeriesKey,
    model::{Description, Header, InstanceRecord, Location, SopInstanceUid, TransferSyntaxUid},
    objects::ObjectName,
    packs::{
        compose::SharedPart,
        tar::Member,
        walk::{Walked, walk},
    },
    store::rebuild::open_object,
};

/// What became of a pack that the index did not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Orphan {
    /// The index knows it after all.
    Known,
    /// It was merged into another, and has been removed since it was seen.
    Gone,
    /// The index finds all that it holds elsewhere: it was removed.
    Removed,
    /// The index has so many more instances now.
    Adopted(u64),
    /// It stays as it is; why.
    Left(String),
}

impl Store {
    /// Decides on a pack that the index does not know, whose bytes are whole. It is removed only where the index finds every
    /// member elsewhere as the same bytes; members that the index lacks are indexed.
    pub(super) async fn take_orphan(&self, series: &SeriesKey, pack: u64) -> Result<Orphan, StoreError> {
        let _nothing_settles = self.inner.settling.lock().await;
        let known = self.inner.catalog.packs_of(&series.0, &series.1)?;
        if known.iter().any(|(number, _)| *number == pack) {
            return Ok(Orphan::Known);
        }
        let name = ObjectName::pack(&series.0, &series.1, pack);
        let walked = {
            let name = name.clone();
            on_blocking_thread(self, move |store| {
                match open_object(&store.inner.objects, &store.inner.runtime, &name) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    source => walk(source?.as_ref()).map(Some).map_err(StoreError::Damaged),
                }
            })
            .await?
        };
        let Some(walked) = walked else {
            return Ok(Orphan::Gone);
        };
        let mut lacking = Vec::new();
        for (member, offset) in &walked.members {
            let Ok(sop) = SopInstanceUid::new(&member.sop_instance) else {
                return Ok(Orphan::Left(format!("{:?} is no UID", member.sop_instance)));
            };
            if self.inner.catalog.tombstone(&sop)?.is_some() {
                return Ok(Orphan::Left(format!("{sop} in it was destroyed by a decision")));
            }
            match self.inner.catalog.instance(&sop)? {
                None => lacking.push((member.clone(), *offset)),
                Some(record) => {
                    if !self.has_bytes_of(&record, member).await? {
                        return Ok(Orphan::Left(format!("the index has other bytes under {sop}")));
                    }
                    if !self.is_there(&record).await? {
                        return Ok(Orphan::Left(format!("{sop} is missing where the index looks for it")));
                    }
                }
            }
        }
        if lacking.is_empty() {
            self.remove_orphan(series, pack).await?;
            return Ok(Orphan::Removed);
        }
        let series = series.clone();
        on_blocking_thread(self, move |store| store.adopt(&series, pack, &walked, lacking)).await
    }

    /// As [`Store::is_member`], on a thread that may block.
    pub(super) async fn has_bytes_of(&self, record: &InstanceRecord, member: &Member) -> Result<bool, StoreError> {
        let (record, member) = (record.clone(), member.clone());
        on_blocking_thread(self, move |store| store.is_member(&record, &member)).await
    }

    async fn is_there(&self, record: &InstanceRecord) -> Result<bool, StoreError> {
        let Location::Pack { pack, .. } = record.location else {
            // In the log, or in a staged file: reading tells.
            let record = record.clone();
            let read = on_blocking_thread(self, move |store| {
                store.with_source(&record, |source| source.read_at(0, 1))
            });
            return Ok(read.await.is_ok());
        };
        let name = ObjectName::pack(&record.study_instance_uid, &record.series_instance_uid, pack);
        let length = self.inner.objects.head(&name).await.map_err(from_objects)?;
        let rows = self
            .inner
            .catalog
            .packs_of(&record.study_instance_uid, &record.series_instance_uid)?;
        let row = rows.into_iter().find(|(number, _)| *number == pack);
        Ok(length.is_some() && length == row.map(|(_, row)| row.length))
    }

    async fn remove_orphan(&self, series: &SeriesKey, pack: u64) -> Result<(), StoreError> {
        // What finds the members elsewhere must be on stable storage first.
        let inner = std::sync::Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || inner.engine.flush())
            .await
            .map_err(io::Error::other)??;
        for name in [
            ObjectName::pack(&series.0, &series.1, pack),
            ObjectName::pack_headers(&series.0, &series.1, pack),
        ] {
            tracing::info!(object = %name, "removes an object whose content the index finds elsewhere");
            self.inner.objects.delete(&name).await.map_err(from_objects)?;
        }
        Ok(())
    }

    fn adopt(
        &self,
        series: &SeriesKey,
        pack: u64,
        walked: &Walked,
        lacking: Vec<(Member, u64)>,
    ) -> Result<Orphan, StoreError> {
        let name = ObjectName::pack(&series.0, &series.1, pack);
        let whole = open_object(&self.inner.objects, &self.inner.runtime, &name)?;
        let mut additions = Vec::with_capacity(lacking.len());
        for (member, offset) in lacking {
            let data_set = SharedPart {
                whole: whole.clone(),
                offset: offset + member.data_set_offset,
                length: member.length.saturating_sub(member.data_set_offset),
            };
            let described = TransferSyntaxUid::new(&member.transfer_syntax)
                .map_err(|error| error.to_string())
                .and_then(|syntax| self.inner.describer.describe(&data_set, &syntax));
            match described {
                Ok(description)
                    if description.sop_instance_uid.as_str() == member.sop_instance
                        && (&description.study_instance_uid, &description.series_instance_uid)
                            == (&series.0, &series.1) =>
                {
                    additions.push(addition(member, description, pack, offset));
                }
                Ok(_) => return Ok(Orphan::Left(format!("{} does not belong there", member.sop_instance))),
                Err(reason) => return Ok(Orphan::Left(format!("{} does not read: {reason}", member.sop_instance))),
            }
        }
        // The same instances may be on their way in just now.
        let _nothing_comes_in = self.inner.turnstile.enter();
        let mut writer = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
        for addition in &additions {
            if self
                .inner
                .catalog
                .instance(&addition.description.sop_instance_uid)?
                .is_some()
            {
                return Ok(Orphan::Left("the same instances have come meanwhile".to_owned()));
            }
        }
        writer.add(&additions, Position::default())?;
        writer.settle(&Settled {
            study: series.0.clone(),
            series: series.1.clone(),
            pack,
            row: PackRow {
                length: walked.length,
                crc32: walked.crc32,
                instances: walked.members.len() as u64,
            },
            members: Vec::new(),
            replaced: Vec::new(),
        })?;
        tracing::warn!(object = %name, instances = additions.len(), "indexes instances that the index had lost");
        Ok(Orphan::Adopted(additions.len() as u64))
    }
}

fn addition(member: Member, description: Description, pack: u64, offset: u64) -> Addition {
    Addition {
        description: Description {
            header: Header::default(),
            ..description
        },
        location: Location::Pack { pack, offset },
        length: member.length,
        data_set_offset: member.data_set_offset,
        sha256: Some(member.sha256),
        crc32: member.crc32,
        received_at: member.received_at,
    }
}
