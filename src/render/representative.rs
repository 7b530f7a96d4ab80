//! One instance for a series or a study: the middle one of those that can be shown.

use std::sync::Arc;

use filmroom_storage::{
    model::{InstanceRecord, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid},
    store::StoreError,
};
use futures_util::StreamExt as _;

use super::{Render, RenderError};
use filmroom_privacy::Sight;
use filmroom_retrieve::{RetrieveError, Selection};

/// More instances of a series are not looked at.
const LOOKED_AT_MAX: usize = 20_000;
/// More series of a study are not looked at.
const SERIES_LOOKED_AT_MAX: usize = 32;

/// How much an instance says about its study, least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    /// No pixels.
    Document,
    /// Pixels over or of other images: segmentations, maps, doses, captured screens.
    Derived,
    /// Acquired images.
    Image,
}

impl Render {
    /// The middle instance of the first series that has images; of everything where nothing has.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`] for a study or series without instances, and for one that is not seen.
    pub async fn representative(
        &self,
        sight: &Sight,
        study: &StudyInstanceUid,
        series: Option<&SeriesInstanceUid>,
    ) -> Result<InstanceRecord, Arc<RenderError>> {
        // Which one it is does not depend on who asks, once they see the study.
        match sight.sees(study).map_err(StoreError::from) {
            Ok(true) => {}
            Ok(false) => return Err(Arc::new(nothing_of(study).into())),
            Err(error) => return Err(Arc::new(RetrieveError::from(error).into())),
        }
        let key = format!("{study}/{}", series.map(SeriesInstanceUid::as_str).unwrap_or_default());
        let (render, of, series) = (self.clone(), study.clone(), series.cloned());
        let chosen = self
            .inner
            .representatives
            .try_get_with(key.clone(), async move { render.choose(&of, series).await })
            .await?;
        // It may have been rejected or destroyed since.
        let found = self
            .inner
            .retrieve
            .instance(
                &Sight::all(),
                study,
                &chosen.series_instance_uid,
                &chosen.sop_instance_uid,
            )
            .await;
        match found {
            Ok(found) => Ok(found),
            Err(_) => {
                self.inner.representatives.invalidate(&key).await;
                let series = (!key.ends_with('/')).then_some(chosen.series_instance_uid);
                self.choose(study, series).await.map_err(Arc::new)
            }
        }
    }

    async fn choose(
        &self,
        study: &StudyInstanceUid,
        series: Option<SeriesInstanceUid>,
    ) -> Result<InstanceRecord, RenderError> {
        let of_study = match series {
            Some(series) => vec![series],
            None => self.by_worth(study).await?,
        };
        let mut best: Option<(Worth, InstanceRecord)> = None;
        for series in of_study.into_iter().take(SERIES_LOOKED_AT_MAX) {
            let found = self.middle(study, &series).await?;
            if let Some((worth, record)) = found {
                if worth == Worth::Image {
                    return Ok(record);
                }
                if best.as_ref().is_none_or(|(other, _)| worth > *other) {
                    best = Some((worth, record));
                }
            }
        }
        match best {
            Some((_, record)) => Ok(record),
            None => Err(nothing_of(study).into()),
        }
    }

    /// The series of a study in their order, those that rarely hold images last.
    async fn by_worth(&self, study: &StudyInstanceUid) -> Result<Vec<SeriesInstanceUid>, RenderError> {
        const LAST: [&str; 12] = [
            "SR", "KO", "PR", "DOC", "SEG", "REG", "RTSTRUCT", "RTPLAN", "RTRECORD", "ANN", "OT", "SC",
        ];
        let mut series = self.inner.retrieve.series_of(&Sight::all(), study).await?;
        series.sort_by_key(|series| LAST.contains(&series.attributes.text(0x0008_0060)));
        Ok(series.into_iter().map(|series| series.series_instance_uid).collect())
    }

    /// The middle one of the instances of a series that are worth most.
    async fn middle(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
    ) -> Result<Option<(Worth, InstanceRecord)>, RenderError> {
        let mut records = self.inner.retrieve.select(Selection {
            studies: vec![study.clone()],
            series: vec![series.clone()],
            ..Selection::of(Sight::all())
        });
        let mut candidates: Vec<(Worth, SopInstanceUid)> = Vec::new();
        while let Some(record) = records.next().await {
            let record = record?;
            candidates.push((worth(&record), record.sop_instance_uid));
            if candidates.len() == LOOKED_AT_MAX {
                break;
            }
        }
        let Some(best) = candidates.iter().map(|(worth, _)| *worth).max() else {
            return Ok(None);
        };
        candidates.retain(|(worth, _)| *worth == best);
        let Some((worth, middle)) = candidates.get(candidates.len() / 2) else {
            return Ok(None);
        };
        Ok(Some((
            *worth,
            self.inner
                .retrieve
                .instance(&Sight::all(), study, series, middle)
                .await?,
        )))
    }
}

fn nothing_of(study: &StudyInstanceUid) -> RetrieveError {
    RetrieveError::NotFound(format!("study {study}, or its series,"))
}

fn worth(record: &InstanceRecord) -> Worth {
    const DERIVED: [&str; 6] = [
        "1.2.840.10008.5.1.4.1.1.66.",
        "1.2.840.10008.5.1.4.1.1.30",
        "1.2.840.10008.5.1.4.1.1.481.2",
        "1.2.840.10008.5.1.4.1.1.7",
        "1.2.840.10008.5.1.4.1.1.104.",
        "1.2.840.10008.5.1.4.1.1.11.",
    ];
    let class = record.sop_class_uid.as_str();
    match &record.pixel_data {
        None => Worth::Document,
        Some(_) if DERIVED.iter().any(|prefix| class.starts_with(prefix)) => Worth::Derived,
        // Localizers say little of a study: (0008,0008), third value.
        Some(_)
            if record
                .attributes
                .text(0x0008_0008)
                .split('\\')
                .nth(2)
                .is_some_and(|kind| kind.trim() == "LOCALIZER") =>
        {
            Worth::Derived
        }
        Some(_) => Worth::Image,
    }
}
