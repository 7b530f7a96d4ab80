//! Putting an answer together.

use super::*;

impl Search {
    pub(super) fn answer(&mut self) -> Result<Answer, QueryError> {
        if self.plan.columns.of_header()
            && self.header.is_none()
            && let Some(record) = &self.instance
        {
            let header = self.headers.header(record)?;
            self.header = Some(header);
            self.spend(HEADER_COST)?;
        }
        if self.plan.columns.of_patient() {
            self.patient = self.patient_totals()?;
        }
        let below_study = self.plan.level > Level::Study;
        let study = self.study.as_ref();
        let series = self.current_series.as_ref().filter(|_| below_study);
        let study_uid = series.map(|series| &series.study).or(study.map(|study| &study.uid));
        let attributes = self.plan.columns.answer(Sources {
            study_instance_uid: study_uid.map(StudyInstanceUid::as_str).unwrap_or_default(),
            series_instance_uid: series.map(|series| series.uid.as_str()).unwrap_or_default(),
            study: study.and_then(|study| study.record.as_ref()),
            series: series.and_then(|series| series.record.as_ref()),
            instance: self.instance.as_ref(),
            header: self.header.as_ref(),
            patient: self.patient,
        });
        Ok(Answer {
            attributes,
            study_instance_uid: study_uid.filter(|_| self.plan.level > Level::Patient).cloned(),
            series_instance_uid: series.map(|series| series.uid.clone()),
        })
    }

    /// Sums over the studies of the current patient; `None` where no patient ID tells which they are.
    pub(super) fn patient_totals(&mut self) -> Result<Option<PatientTotals>, QueryError> {
        let Some(keys) = self
            .study
            .as_ref()
            .and_then(|study| study.record.as_ref())
            .map(|record| record.keys.clone())
        else {
            return Ok(None);
        };
        if keys.patient_id.is_empty() {
            return Ok(None);
        }
        let selector = StudySelector::PatientId(keys.patient_id.clone());
        let mut totals = PatientTotals::default();
        let mut after = None;
        loop {
            let batch = self.index.studies(&selector, after.as_ref(), *BATCH.end())?;
            self.spend(STUDY_COST * batch.len() as u64)?;
            let ended = batch.len() < *BATCH.end();
            for (cursor, record) in batch {
                after = Some(cursor);
                if record.keys.patient_id == keys.patient_id
                    && record.keys.issuer_of_patient_id == keys.issuer_of_patient_id
                    && self.plan.sight.sees_record(&record)
                {
                    totals.studies += 1;
                    totals.series += record.number_of_series;
                    totals.instances += record.number_of_instances;
                }
            }
            if ended {
                return Ok(Some(totals));
            }
        }
    }
}
