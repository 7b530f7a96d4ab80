//! Walks the instances that a selection means, a page at a time.

use std::{collections::VecDeque, sync::Arc};

use filmroom_storage::{
    index::{Index, IndexError, InstanceCursor, StudyCursor, StudySelector},
    model::{InstanceRecord, SeriesInstanceUid, StudyInstanceUid},
    store::StoreError,
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::{RetrieveError, Selection};

/// Instance records read at a time.
const INSTANCES_A_PAGE: usize = 256;
/// Study records read at a time.
const STUDIES_A_PAGE: usize = 64;
/// Up to so many listed instances are looked up without leaving the asker's thread.
const INSTANCES_AT_ONCE: usize = 4;

pub(super) fn select(
    index: Arc<dyn Index>,
    selection: Selection,
) -> BoxStream<'static, Result<InstanceRecord, RetrieveError>> {
    let walk = Walk::new(index, selection);
    stream::unfold(Some(walk), |walk| async move {
        let walk = walk?;
        match next_page(walk).await {
            Ok((_, None)) => None,
            Ok((walk, Some(page))) => Some((page.into_iter().map(Ok).collect::<Vec<_>>(), Some(walk))),
            Err(error) => Some((vec![Err(error)], None)),
        }
    })
    .map(stream::iter)
    .flatten()
    .boxed()
}

async fn next_page(mut walk: Walk) -> Result<(Walk, Option<Vec<InstanceRecord>>), RetrieveError> {
    if walk.is_short() {
        let page = walk.page().map_err(StoreError::from)?;
        return Ok((walk, page));
    }
    let page = tokio::task::spawn_blocking(move || walk.page().map(|page| (walk, page))).await?;
    Ok(page.map_err(StoreError::from)?)
}

/// Where the walk stands. Each step reads a bounded number of records.
struct Walk {
    index: Arc<dyn Index>,
    selection: Selection,
    stage: Stage,
    series: VecDeque<(StudyInstanceUid, SeriesInstanceUid)>,
    /// Behind the last instance given of the first of `series`.
    after: Option<InstanceCursor>,
}

enum Stage {
    /// Listed instances, from this place in the list.
    Instances(usize),
    /// Listed studies, from this place in the list.
    Studies(usize),
    /// Listed series of any study, from this place in the list.
    Series(usize),
    /// What these selectors let through, from this place in the list and behind this study.
    Selectors(Vec<StudySelector>, usize, Option<StudyCursor>),
    Done,
}

impl Walk {
    fn new(index: Arc<dyn Index>, selection: Selection) -> Self {
        let stage = if !selection.instances.is_empty() {
            Stage::Instances(0)
        } else if !selection.studies.is_empty() {
            Stage::Studies(0)
        } else if !selection.series.is_empty() {
            Stage::Series(0)
        } else if selection.patient_ids.is_empty() {
            Stage::Selectors(vec![StudySelector::All], 0, None)
        } else {
            let selectors = selection.patient_ids.iter().cloned().map(StudySelector::PatientId);
            Stage::Selectors(selectors.collect(), 0, None)
        };
        Self {
            index,
            selection,
            stage,
            series: VecDeque::new(),
            after: None,
        }
    }

    /// True when the next page costs a few records at most.
    fn is_short(&self) -> bool {
        matches!(self.stage, Stage::Instances(_)) && self.selection.instances.len() <= INSTANCES_AT_ONCE
    }

    /// The next instances; `None` at the end. A page may be empty.
    fn page(&mut self) -> Result<Option<Vec<InstanceRecord>>, IndexError> {
        if let Some((study, series)) = self.series.front() {
            let page = self
                .index
                .instances_of(study, series, self.after.as_ref(), INSTANCES_A_PAGE)?;
            if page.len() < INSTANCES_A_PAGE {
                self.series.pop_front();
                self.after = None;
            } else {
                self.after = page.last().map(|(cursor, _)| cursor.clone());
            }
            return Ok(Some(page.into_iter().map(|(_, record)| record).collect()));
        }
        match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Done => return Ok(None),
            Stage::Instances(from) => return self.listed_instances(from).map(Some),
            Stage::Studies(at) => {
                if let Some(study) = self.selection.studies.get(at).cloned() {
                    self.stage = Stage::Studies(at + 1);
                    self.take_study(&study)?;
                }
            }
            Stage::Series(at) => {
                if let Some(series) = self.selection.series.get(at) {
                    self.stage = Stage::Series(at + 1);
                    for record in self.index.series_by_uid(series)? {
                        if self.is_meant(&record.study_instance_uid)? {
                            self.series
                                .push_back((record.study_instance_uid, record.series_instance_uid));
                        }
                    }
                }
            }
            Stage::Selectors(selectors, at, after) => self.select_studies(selectors, at, after)?,
        }
        Ok(Some(Vec::new()))
    }

    fn listed_instances(&mut self, from: usize) -> Result<Vec<InstanceRecord>, IndexError> {
        let to = self.selection.instances.len().min(from + INSTANCES_A_PAGE);
        let mut page = Vec::new();
        for uid in self.selection.instances.get(from..to).unwrap_or_default() {
            let Some(record) = self.index.instance(uid)? else {
                continue;
            };
            let of_study =
                self.selection.studies.is_empty() || self.selection.studies.contains(&record.study_instance_uid);
            let of_series =
                self.selection.series.is_empty() || self.selection.series.contains(&record.series_instance_uid);
            if of_study && of_series && self.is_meant(&record.study_instance_uid)? {
                page.push(record);
            }
        }
        if to < self.selection.instances.len() {
            self.stage = Stage::Instances(to);
        }
        Ok(page)
    }

    fn select_studies(
        &mut self,
        selectors: Vec<StudySelector>,
        at: usize,
        after: Option<StudyCursor>,
    ) -> Result<(), IndexError> {
        let Some(selector) = selectors.get(at) else {
            return Ok(());
        };
        let page = self.index.studies(selector, after.as_ref(), STUDIES_A_PAGE)?;
        let last = page.last().map(|(cursor, _)| cursor.clone());
        self.stage = match last {
            Some(cursor) if page.len() == STUDIES_A_PAGE => Stage::Selectors(selectors, at, Some(cursor)),
            _ => Stage::Selectors(selectors, at + 1, None),
        };
        for (_, study) in page {
            let ids = &self.selection.patient_ids;
            let is_of_patient = ids.is_empty() || ids.contains(&study.keys.patient_id);
            if is_of_patient && self.selection.sight.sees_record(&study) {
                self.take_series_of(&study.study_instance_uid)?;
            }
        }
        Ok(())
    }

    fn take_study(&mut self, study: &StudyInstanceUid) -> Result<(), IndexError> {
        if self.is_meant(study)? {
            self.take_series_of(study)?;
        }
        Ok(())
    }

    fn take_series_of(&mut self, study: &StudyInstanceUid) -> Result<(), IndexError> {
        for record in self.index.series_of(study)? {
            if self.selection.series.is_empty() || self.selection.series.contains(&record.series_instance_uid) {
                self.series
                    .push_back((record.study_instance_uid, record.series_instance_uid));
            }
        }
        Ok(())
    }

    /// True when a study is seen, and of one of the patients where patients are named.
    fn is_meant(&self, study: &StudyInstanceUid) -> Result<bool, IndexError> {
        let (ids, sight) = (&self.selection.patient_ids, &self.selection.sight);
        if ids.is_empty() {
            return sight.sees(study);
        }
        let record = self.index.study(study)?;
        Ok(record.is_some_and(|record| ids.contains(&record.keys.patient_id) && sight.sees_record(&record)))
    }
}
