//! Ways in: UIDs below the studies are turned into the studies, series or instances that they name.

use super::*;

impl Search {
    /// Turns UIDs below the studies into the studies, series or instances that they name.
    pub(super) fn find_ways(&mut self) -> Result<(), QueryError> {
        let plan = Arc::clone(&self.plan);
        if let Some(uids) = &plan.sop_uids {
            return self.begin_at_instances(uids);
        }
        if let Some(uids) = &plan.series_uids {
            return self.begin_at_series(uids);
        }
        if !plan.is_narrow
            && let Some(few) = plan.sight.few()?
        {
            self.begin_at_studies(few);
            return Ok(());
        }
        let by_names = if plan.is_narrow || plan.wanted.is_empty() {
            None
        } else {
            names::narrowest(self.index.as_ref(), &plan.wanted)?
        };
        self.studies = match (by_names.as_ref().unwrap_or(&plan.selector), plan.level) {
            (StudySelector::Uids(uids), level) if uids.len() == 1 || level > Level::Study => {
                Studies::Known(uids.clone().into_iter())
            }
            (selector @ (StudySelector::All | StudySelector::NameWords(_)), _) if !plan.study_keys.is_empty() => {
                Studies::Keys {
                    selector: selector.clone(),
                    after: None,
                    buffer: VecDeque::new(),
                    ended: false,
                }
            }
            (selector, _) => Studies::Selected {
                selector: selector.clone(),
                after: None,
                buffer: VecDeque::new(),
                ended: false,
            },
        };
        Ok(())
    }

    pub(super) fn begin_at_instances(
        &mut self,
        uids: &[filmroom_storage::model::SopInstanceUid],
    ) -> Result<(), QueryError> {
        let mut records = Vec::new();
        for uid in uids {
            self.spend(INSTANCE_COST)?;
            if let Some(record) = self.index.instance(uid)?
                && self
                    .plan
                    .study_uids
                    .as_ref()
                    .is_none_or(|studies| studies.contains(&record.study_instance_uid))
                && self
                    .plan
                    .series_uids
                    .as_ref()
                    .is_none_or(|series| series.contains(&record.series_instance_uid))
            {
                records.push(record);
            }
        }
        match self.plan.level {
            Level::Instance => self.instances = InstancesAhead::Known(records.into_iter()),
            Level::Series => {
                let mut found: Vec<_> = records
                    .into_iter()
                    .map(|record| (record.study_instance_uid, record.series_instance_uid))
                    .collect();
                found.sort();
                found.dedup();
                self.begin_at_known_series(found)?;
            }
            Level::Patient | Level::Study => {
                self.begin_at_studies(records.into_iter().map(|record| record.study_instance_uid).collect());
            }
        }
        Ok(())
    }

    pub(super) fn begin_at_series(&mut self, uids: &[SeriesInstanceUid]) -> Result<(), QueryError> {
        let series_read =
            self.plan.level == Level::Series || self.plan.has_series_tests() || self.plan.columns.of_series();
        if let (Level::Instance, false, Some([study])) = (self.plan.level, series_read, self.plan.study_uids.as_deref())
        {
            // The usual way of viewers: study and series are named, nothing of them is asked.
            let series = uids.iter().map(|uid| CurrentSeries {
                study: study.clone(),
                uid: uid.clone(),
                record: None,
            });
            self.series = SeriesAhead::Known(series.collect::<Vec<_>>().into_iter());
            return Ok(());
        }
        let mut found = Vec::new();
        for uid in uids {
            self.spend(SERIES_COST)?;
            let records = self.index.series_by_uid(uid)?.into_iter();
            let studies = self.plan.study_uids.as_ref();
            found.extend(
                records.filter(|record| studies.is_none_or(|studies| studies.contains(&record.study_instance_uid))),
            );
        }
        if self.plan.level <= Level::Study {
            found.retain(|record| self.accepts_series(record));
            self.begin_at_studies(found.into_iter().map(|record| record.study_instance_uid).collect());
        } else {
            let series = found.into_iter().map(|record| CurrentSeries {
                study: record.study_instance_uid.clone(),
                uid: record.series_instance_uid.clone(),
                record: Some(record),
            });
            self.series = SeriesAhead::Known(series.collect::<Vec<_>>().into_iter());
        }
        Ok(())
    }

    pub(super) fn begin_at_known_series(
        &mut self,
        uids: Vec<(StudyInstanceUid, SeriesInstanceUid)>,
    ) -> Result<(), QueryError> {
        let mut series = Vec::new();
        for (study, uid) in uids {
            self.spend(SERIES_COST)?;
            let record = self
                .index
                .series_by_uid(&uid)?
                .into_iter()
                .find(|record| record.study_instance_uid == study);
            series.extend(record.map(|record| CurrentSeries {
                study,
                uid,
                record: Some(record),
            }));
        }
        self.series = SeriesAhead::Known(series.into_iter());
        Ok(())
    }

    pub(super) fn begin_at_studies(&mut self, mut uids: Vec<StudyInstanceUid>) {
        uids.sort();
        uids.dedup();
        self.studies = if uids.len() == 1 {
            Studies::Known(uids.into_iter())
        } else {
            let ended = uids.is_empty();
            Studies::Selected {
                selector: StudySelector::Uids(uids),
                after: None,
                buffer: VecDeque::new(),
                ended,
            }
        };
    }
}
