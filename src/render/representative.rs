//! One instance for a series or a study: the middle one of those that can be shown.

use std::sync::Arc;

use filmroom_storage::model::{InstanceRecord, SeriesInstanceUid, StudyInstanceUid};
use futures_util::StreamExt as _;

use super::{Render, RenderError};
use crate::retrieve::{RetrieveError, Selection};

/// More instances of a study are not looked at.
const LOOKED_AT_MAX: usize = 20_000;

struct Candidate {
    series: SeriesInstanceUid,
    instance: filmroom_storage::model::SopInstanceUid,
    worth: Worth,
}

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
    /// [`RetrieveError::NotFound`] for a study or series without instances.
    pub async fn representative(
        &self,
        study: &StudyInstanceUid,
        series: Option<&SeriesInstanceUid>,
    ) -> Result<InstanceRecord, Arc<RenderError>> {
        let key = format!("{study}/{}", series.map(SeriesInstanceUid::as_str).unwrap_or_default());
        let (render, study, series) = (self.clone(), study.clone(), series.cloned());
        self.inner
            .representatives
            .try_get_with(key, async move { render.choose(&study, series).await })
            .await
    }

    async fn choose(
        &self,
        study: &StudyInstanceUid,
        series: Option<SeriesInstanceUid>,
    ) -> Result<InstanceRecord, RenderError> {
        let mut records = self.inner.retrieve.select(Selection {
            studies: vec![study.clone()],
            series: series.into_iter().collect(),
            ..Selection::default()
        });
        let mut candidates: Vec<Candidate> = Vec::new();
        while let Some(record) = records.next().await {
            let record = record?;
            candidates.push(Candidate {
                worth: worth(&record),
                series: record.series_instance_uid,
                instance: record.sop_instance_uid,
            });
            if candidates.len() == LOOKED_AT_MAX {
                break;
            }
        }
        let best = candidates.iter().map(|candidate| candidate.worth).max();
        let chosen = best
            .and_then(|best| candidates.iter().find(|candidate| candidate.worth == best))
            .map(|first| {
                let of_series: Vec<&Candidate> = candidates
                    .iter()
                    .filter(|candidate| candidate.series == first.series && candidate.worth == first.worth)
                    .collect();
                of_series.get(of_series.len() / 2).copied().unwrap_or(first)
            });
        let Some(chosen) = chosen else {
            return Err(RetrieveError::NotFound(format!("study {study}, or its series,")).into());
        };
        Ok(self
            .inner
            .retrieve
            .instance(study, &chosen.series, &chosen.instance)
            .await?)
    }
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
