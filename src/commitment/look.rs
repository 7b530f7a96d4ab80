//! Finds out which instances are safe.

use std::collections::{BTreeSet, HashMap};

use filmroom_storage::{
    model::{InstanceRecord, Location, SopInstanceUid},
    store::StoreError,
};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::{Commitments, NotSafe, Reference, Report};
use filmroom_retrieve::{RetrieveError, Selection, Wanted};

/// Instances looked up at a time.
const LOOKUP: usize = 256;

type Found = HashMap<String, InstanceRecord>;

impl Commitments {
    /// Looks at every instance of a request; settles first what lies in intake only.
    pub(super) async fn look(&self, transaction_uid: &str, references: &[Reference]) -> Report {
        let mut report = Report {
            transaction_uid: transaction_uid.to_owned(),
            ..Report::default()
        };
        for references in references.chunks(LOOKUP) {
            let (found, unsettled) = self.settled(references).await;
            for reference in references {
                match self.judge(reference, &found, unsettled).await {
                    Ok(()) => report.safe.push(reference.clone()),
                    Err(why) => report.not_safe.push((reference.clone(), why)),
                }
            }
        }
        report
    }

    /// The instances as they lie after their series have been settled, and why some may not have been.
    async fn settled(&self, references: &[Reference]) -> (Result<Found, RetrieveError>, NotSafe) {
        let mut unsettled = NotSafe::ProcessingFailure;
        let found = match self.look_up(references).await {
            Ok(found) => found,
            Err(error) => return (Err(error), unsettled),
        };
        let series: BTreeSet<_> = found
            .values()
            .filter(|record| !is_settled(record))
            .map(|record| (record.study_instance_uid.clone(), record.series_instance_uid.clone()))
            .collect();
        if series.is_empty() {
            return (Ok(found), unsettled);
        }
        let series: Vec<_> = series.into_iter().collect();
        if let Err(error) = self.inner.store.settle_these(&series).await {
            tracing::error!(%error, "instances that storage commitment was asked for could not be settled");
            if matches!(error, StoreError::OutOfSpace(_)) {
                unsettled = NotSafe::ResourceLimitation;
            }
        }
        (self.look_up(references).await, unsettled)
    }

    async fn look_up(&self, references: &[Reference]) -> Result<Found, RetrieveError> {
        let instances: Vec<_> = references
            .iter()
            .filter_map(|reference| SopInstanceUid::new(&reference.sop_instance_uid).ok())
            .collect();
        let mut found = HashMap::new();
        if instances.is_empty() {
            return Ok(found); // an empty selection would mean all
        }
        let mut records = self.inner.retrieve.select(Selection {
            instances,
            ..Selection::of(filmroom_privacy::Sight::all())
        });
        while let Some(record) = records.next().await {
            let record = record?;
            found.insert(record.sop_instance_uid.to_string(), record);
        }
        Ok(found)
    }

    async fn judge(
        &self,
        reference: &Reference,
        found: &Result<Found, RetrieveError>,
        unsettled: NotSafe,
    ) -> Result<(), NotSafe> {
        let found = found.as_ref().map_err(|error| {
            tracing::error!(%error, "instances could not be looked up for storage commitment");
            NotSafe::ProcessingFailure
        })?;
        let record = found
            .get(reference.sop_instance_uid.as_str())
            .ok_or(NotSafe::NoSuchInstance)?;
        if record.sop_class_uid.as_str() != reference.sop_class_uid {
            return Err(NotSafe::ClassInstanceConflict);
        }
        if !is_settled(record) {
            return Err(unsettled);
        }
        self.verify(record).await
    }

    /// Reads an instance back from the object store and compares its checksum.
    async fn verify(&self, record: &InstanceRecord) -> Result<(), NotSafe> {
        let failed = |error: RetrieveError| {
            tracing::error!(%error, sop_instance_uid = %record.sop_instance_uid, "an instance cannot be read back");
            NotSafe::ProcessingFailure
        };
        let outgoing = self.inner.retrieve.data_set(record, &Wanted::AsStored).await;
        let mut data_set = outgoing.map_err(failed)?.data_set;
        let mut hasher = Sha256::new();
        while let Some(piece) = data_set.next().await {
            hasher.update(piece.map_err(failed)?);
        }
        let read_back: [u8; 32] = hasher.finalize().into();
        if record.sha256 == Some(read_back) {
            Ok(())
        } else {
            tracing::error!(sop_instance_uid = %record.sop_instance_uid, "an instance is not what was received");
            Err(NotSafe::ProcessingFailure)
        }
    }
}

fn is_settled(record: &InstanceRecord) -> bool {
    matches!(record.location, Location::Pack { .. })
}
