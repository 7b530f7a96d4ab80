//! What is kept apart: instances that a person is to decide on, and damaged objects after they were repaired.

use std::collections::HashSet;

use super::{DestroyScope, DestroyedInstance, Kept, Order};
use crate::{
    index::Index,
    model::{Attributes, Description, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid},
    objects::{DAMAGED, ObjectName, ObjectStore, QUARANTINE, series_prefix},
    packs::{compose::SharedPart, tar::Member, walk::walk},
    source::ReadAt,
    store::{Store, StoreError, read::on_blocking_thread, rebuild::open_object, settle::from_objects},
};

/// Objects listed at once.
const PAGE: usize = 1000;
/// (0002,0010).
const TRANSFER_SYNTAX_UID: u32 = 0x0002_0010;
/// Preamble and `DICM` (PS3.10 §7.1).
const PREAMBLE_BYTES: u64 = 132;

impl Store {
    /// The data sets kept apart that belong to what is to be destroyed, by SHA-256, and the objects that do not read. Blocks.
    pub(super) fn quarantined_in(
        &self,
        scope: &DestroyScope,
        instances: &[DestroyedInstance],
    ) -> Result<(Vec<String>, Vec<String>), StoreError> {
        let mut uids: HashSet<&str> = instances
            .iter()
            .map(|instance| instance.sop_instance_uid.as_str())
            .collect();
        if let DestroyScope::Instances(named) = scope {
            uids.extend(named.iter().map(SopInstanceUid::as_str));
        }
        let belongs = |description: &Description| {
            let of_scope = match scope {
                DestroyScope::Study(study) => description.study_instance_uid == *study,
                DestroyScope::Series(study, series) => {
                    (&description.study_instance_uid, &description.series_instance_uid) == (study, series)
                }
                DestroyScope::Instances(_) => false,
            };
            of_scope || uids.contains(description.sop_instance_uid.as_str())
        };
        let (mut found, mut unread) = (Vec::new(), Vec::new());
        for name in self
            .inner
            .runtime
            .block_on(self.all_of(&*self.inner.stored, QUARANTINE))?
        {
            let Some(sha256) = name
                .as_str()
                .strip_prefix(QUARANTINE)
                .and_then(|name| name.strip_suffix(".tar"))
            else {
                continue;
            };
            match self.describe_quarantined(&name) {
                Ok(described) if described.iter().any(&belongs) => found.push(sha256.to_owned()),
                Ok(_) => {}
                Err(reason) => {
                    tracing::warn!(object = %name, reason, "an object kept apart does not read: whose it is cannot be said");
                    unread.push(name.to_string());
                }
            }
        }
        Ok((found, unread))
    }

    fn describe_quarantined(&self, name: &ObjectName) -> Result<Vec<Description>, String> {
        let source = open_object(&self.inner.stored, &self.inner.runtime, name).map_err(|error| error.to_string())?;
        let mut described = Vec::new();
        for (member, offset) in walk(source.as_ref())?.members {
            let syntax = transfer_syntax(source.as_ref(), &member, offset)?;
            let data_set = SharedPart {
                whole: source.clone(),
                offset: offset + member.data_set_offset,
                length: member.length.saturating_sub(member.data_set_offset),
            };
            described.push(self.inner.describer.describe(&data_set, &syntax)?);
        }
        Ok(described)
    }

    pub(super) async fn destroy_apart(&self, order: &Order) -> Result<Vec<Kept>, StoreError> {
        let objects = &self.inner.objects;
        for sha256 in &order.quarantined {
            let name = ObjectName::new(&format!("{QUARANTINE}{sha256}.tar"));
            let name = name.ok_or_else(|| StoreError::Damaged(format!("{sha256:?} is no SHA-256")))?;
            for name in [name.damaged(), name] {
                objects.delete(&name).await.map_err(from_objects)?;
            }
        }
        for (study, series) in &order.series {
            if self.is_gone(study)? {
                let prefix = format!("{DAMAGED}studies/{study}/");
                for name in self.all_of(&**objects, &prefix).await? {
                    objects.delete(&name).await.map_err(from_objects)?;
                }
                continue;
            }
            for series in series {
                let prefix = format!("{DAMAGED}{}", series_prefix(study, series));
                for name in self.all_of(&**objects, &prefix).await? {
                    // Its good copy stands in its place: one that does not tell what it holds is needless.
                    if self.may_hold(&name, order).await? {
                        objects.delete(&name).await.map_err(from_objects)?;
                    }
                }
            }
        }
        Ok(Vec::new())
    }

    /// True when the index has nothing of a study any more.
    pub(super) fn is_gone(&self, study: &StudyInstanceUid) -> Result<bool, StoreError> {
        Ok(self.inner.catalog.study(study)?.is_none())
    }

    async fn may_hold(&self, name: &ObjectName, order: &Order) -> Result<bool, StoreError> {
        let (name, uids) = (name.clone(), order.uids.clone());
        on_blocking_thread(self, move |store| {
            Ok(may_hold(&store.inner.objects, &store.inner.runtime, &name, &uids))
        })
        .await
    }

    /// The names of all objects that begin so.
    pub(super) async fn all_of(&self, objects: &dyn ObjectStore, prefix: &str) -> Result<Vec<ObjectName>, StoreError> {
        let mut names: Vec<ObjectName> = Vec::new();
        loop {
            let page = objects.list(prefix, names.last(), PAGE).await.map_err(from_objects)?;
            if page.is_empty() {
                return Ok(names);
            }
            names.extend(page.into_iter().map(|(name, _)| name));
        }
    }
}

/// True for a pack that holds one of the instances, or does not read. Blocks.
pub(super) fn may_hold(
    objects: &std::sync::Arc<dyn ObjectStore>,
    runtime: &tokio::runtime::Handle,
    name: &ObjectName,
    uids: &HashSet<SopInstanceUid>,
) -> bool {
    let Ok(source) = open_object(objects, runtime, name) else {
        return true;
    };
    let Ok(walked) = walk(source.as_ref()) else {
        return true;
    };
    let is_going = |(member, _): &(Member, u64)| uids.iter().any(|uid| uid.as_str() == member.sop_instance);
    walked.members.iter().any(is_going)
}

/// As the head of the Part 10 file says.
fn transfer_syntax(source: &dyn ReadAt, member: &Member, offset: u64) -> Result<TransferSyntaxUid, String> {
    if let Ok(syntax) = TransferSyntaxUid::new(&member.transfer_syntax) {
        return Ok(syntax);
    }
    let length = member.data_set_offset.saturating_sub(PREAMBLE_BYTES);
    let length = usize::try_from(length).map_err(|error| error.to_string())?;
    let meta = source
        .read_at(offset + PREAMBLE_BYTES, length)
        .map_err(|error| error.to_string())?;
    let meta = Attributes::from_normal_form(meta);
    TransferSyntaxUid::new(meta.text(TRANSFER_SYNTAX_UID)).map_err(|error| format!("its transfer syntax: {error}"))
}
