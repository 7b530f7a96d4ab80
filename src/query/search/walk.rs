//! The walk from one match to the next.

use super::*;

impl Search {
    /// Finds the next match.
    pub(super) fn advance(&mut self) -> Result<bool, QueryError> {
        if std::mem::take(&mut self.looked_ahead) {
            return Ok(true);
        }
        match self.plan.level {
            Level::Patient => self.next_patient(),
            Level::Study => self.next_study(),
            Level::Series => self.next_series(),
            Level::Instance => self.next_instance(),
        }
    }

    pub(super) fn next_patient(&mut self) -> Result<bool, QueryError> {
        while self.next_study()? {
            let Some(record) = self.study.as_ref().and_then(|study| study.record.as_ref()) else {
                continue;
            };
            let keys = &record.keys;
            let mut hasher = DefaultHasher::new();
            (&keys.patient_id, &keys.issuer_of_patient_id).hash(&mut hasher);
            if keys.patient_id.is_empty() {
                keys.patient_names.hash(&mut hasher);
            }
            if self.patients_seen.insert(hasher.finish()) {
                return Ok(true);
            }
            self.spend(STUDY_COST)?;
        }
        Ok(false)
    }

    pub(super) fn next_study(&mut self) -> Result<bool, QueryError> {
        let needs_record = self.plan.level <= Level::Study || self.plan.needs_study();
        loop {
            let (uid, record, keys_decided) = match self.next_study_candidate()? {
                None => return Ok(false),
                Some(candidate) => candidate,
            };
            let record = match record {
                None if needs_record => match self.index.study(&uid)? {
                    None => continue,
                    record => record,
                },
                record => record,
            };
            let is_accepted = match &record {
                Some(record) => self.accepts_study(record, keys_decided)?,
                None => self.plan.sight.sees(&uid)?,
            };
            if !is_accepted {
                self.spend(STUDY_COST)?;
                continue;
            }
            self.study = Some(CurrentStudy {
                uid,
                record,
                accepted: true,
            });
            return Ok(true);
        }
    }

    pub(super) fn next_study_candidate(
        &mut self,
    ) -> Result<Option<(StudyInstanceUid, Option<StudyRecord>, bool)>, QueryError> {
        loop {
            match &mut self.studies {
                Studies::Known(uids) => return Ok(uids.next().map(|uid| (uid, None, false))),
                Studies::Selected {
                    selector,
                    after,
                    buffer,
                    ended,
                } => {
                    if let Some((cursor, record)) = buffer.pop_front() {
                        *after = Some(cursor);
                        return Ok(Some((record.study_instance_uid.clone(), Some(record), false)));
                    }
                    if *ended {
                        return Ok(None);
                    }
                    let batch = self.index.studies(selector, after.as_ref(), self.batch)?;
                    *ended = batch.len() < self.batch;
                    buffer.extend(batch);
                    if buffer.is_empty() {
                        return Ok(None);
                    }
                    // A walk that goes on takes larger steps.
                    self.batch = (self.batch * 2).min(*BATCH.end());
                }
                Studies::Keys {
                    selector,
                    after,
                    buffer,
                    ended,
                } => {
                    while let Some((cursor, uid, keys)) = buffer.pop_front() {
                        *after = Some(cursor);
                        if self.plan.study_keys.iter().all(|test| test.accepts(&keys)) {
                            return Ok(Some((uid, None, true)));
                        }
                    }
                    if *ended {
                        return Ok(None);
                    }
                    let step = match selector {
                        StudySelector::All => KEYS_BATCH,
                        _ => self.batch,
                    };
                    let batch = self.index.study_keys(selector, after.as_ref(), step)?;
                    *ended = batch.len() < step;
                    self.batch = (self.batch * 2).min(*BATCH.end());
                    let read = batch.len() as u64;
                    buffer.extend(batch);
                    self.spend(read)?;
                }
            }
        }
    }

    pub(super) fn accepts_study(&mut self, record: &StudyRecord, keys_decided: bool) -> Result<bool, QueryError> {
        let plan = &self.plan;
        if !plan.sight.sees_record(record) {
            return Ok(false);
        }
        let facts = &plan.study_facts;
        let alone = (keys_decided || plan.study_keys.iter().all(|test| test.accepts(&record.keys)))
            && plan
                .study_uids
                .as_ref()
                .is_none_or(|uids| uids.contains(&record.study_instance_uid))
            && plan.study.accept(record.attributes.iter())
            && facts
                .modalities
                .iter()
                .all(|test| test.accepts_text(&record.modalities_in_study.join("\\")))
            && facts.sop_classes.iter().all(|test| {
                record
                    .sop_classes_in_study
                    .iter()
                    .any(|class| test.accepts_text(class.as_str()))
            })
            && facts
                .number_of_series
                .as_ref()
                .is_none_or(|test| test.accepts_count(record.number_of_series))
            && facts
                .number_of_instances
                .as_ref()
                .is_none_or(|test| test.accepts_count(record.number_of_instances));
        if !alone || plan.level > Level::Study || !plan.has_series_tests() {
            return Ok(alone);
        }
        // Keys on series ask for studies with such a series.
        let series = self.index.series_of(&record.study_instance_uid)?;
        self.spend(SERIES_COST * series.len() as u64)?;
        Ok(series.iter().any(|record| self.accepts_series(record)))
    }

    pub(super) fn accepts_series(&self, record: &SeriesRecord) -> bool {
        let count = self.plan.number_of_series_instances.as_ref();
        count.is_none_or(|test| test.accepts_count(record.number_of_instances))
            && self.plan.series.accept(record.attributes.iter())
    }

    pub(super) fn next_series(&mut self) -> Result<bool, QueryError> {
        loop {
            let next = match &mut self.series {
                SeriesAhead::Known(series) => match series.next() {
                    None => return Ok(false),
                    Some(next) => {
                        if !self.enter_study(&next.study)? {
                            continue;
                        }
                        next
                    }
                },
                SeriesAhead::OfStudies(series) => match series.next() {
                    Some(record) => CurrentSeries {
                        study: record.study_instance_uid.clone(),
                        uid: record.series_instance_uid.clone(),
                        record: Some(record),
                    },
                    None => {
                        if !self.next_study()? {
                            return Ok(false);
                        }
                        if let Some(study) = &self.study {
                            self.series = SeriesAhead::OfStudies(self.index.series_of(&study.uid)?.into_iter());
                        }
                        continue;
                    }
                },
            };
            if next.record.as_ref().is_none_or(|record| self.accepts_series(record)) {
                self.current_series = Some(next);
                return Ok(true);
            }
            self.spend(SERIES_COST)?;
        }
    }

    /// Makes a study the current one on the way up from a series or instance; tells whether it matches.
    pub(super) fn enter_study(&mut self, uid: &StudyInstanceUid) -> Result<bool, QueryError> {
        if let Some(study) = self.study.as_ref().filter(|study| study.uid == *uid) {
            return Ok(study.accepted);
        }
        let mut study = CurrentStudy {
            uid: uid.clone(),
            record: None,
            accepted: true,
        };
        if !self.plan.needs_study() {
            study.accepted = self.plan.sight.sees(uid)?;
        } else {
            self.spend(STUDY_COST)?;
            study.record = self.index.study(uid)?;
            study.accepted = match &study.record {
                Some(record) => self.accepts_study(record, false)?,
                None => false,
            };
        }
        let accepted = study.accepted;
        self.study = Some(study);
        Ok(accepted)
    }

    pub(super) fn next_instance(&mut self) -> Result<bool, QueryError> {
        loop {
            let record = match &mut self.instances {
                InstancesAhead::Known(records) => match records.next() {
                    None => return Ok(false),
                    Some(record) => {
                        if !self.enter_series_of(&record)? {
                            continue;
                        }
                        record
                    }
                },
                InstancesAhead::OfSeries { after, buffer, ended } => match buffer.pop_front() {
                    Some((cursor, record)) => {
                        *after = Some(cursor);
                        self.taken_of_series += 1;
                        record
                    }
                    None if *ended => {
                        if !self.next_series()? {
                            return Ok(false);
                        }
                        self.instances = InstancesAhead::OfSeries {
                            after: None,
                            buffer: VecDeque::new(),
                            ended: false,
                        };
                        self.taken_of_series = 0;
                        continue;
                    }
                    None => {
                        let Some(series) = &self.current_series else {
                            return Ok(false);
                        };
                        let batch = self
                            .index
                            .instances_of(&series.study, &series.uid, after.as_ref(), self.batch)?;
                        *ended = batch.len() < self.batch;
                        buffer.extend(batch);
                        self.batch = (self.batch * 2).min(*BATCH.end());
                        continue;
                    }
                },
            };
            self.header = None;
            if self.accepts_instance(&record)? {
                self.instance = Some(record);
                return Ok(true);
            }
            self.spend(INSTANCE_COST)?;
        }
    }

    pub(super) fn accepts_instance(&mut self, record: &InstanceRecord) -> Result<bool, QueryError> {
        let plan = &self.plan;
        let alone = plan
            .sop_class
            .as_ref()
            .is_none_or(|test| test.accepts_text(record.sop_class_uid.as_str()))
            && plan
                .transfer_syntax
                .as_ref()
                .is_none_or(|test| test.accepts_text(record.transfer_syntax_uid.as_str()))
            && plan.instance.accept(record.attributes.iter());
        if !alone || plan.header.is_empty() {
            return Ok(alone);
        }
        self.spend_header()?;
        let header = self.headers.header(record)?;
        let accepted = self.plan.header.accept(header.iter());
        self.header = Some(header);
        Ok(accepted)
    }

    /// Makes the series of an instance the current one; tells whether it and its study match.
    pub(super) fn enter_series_of(&mut self, record: &InstanceRecord) -> Result<bool, QueryError> {
        if !self.enter_study(&record.study_instance_uid)? {
            return Ok(false);
        }
        let is_current = self.current_series.as_ref().is_some_and(|series| {
            series.uid == record.series_instance_uid && series.study == record.study_instance_uid
        });
        if !is_current {
            let mut series = CurrentSeries {
                study: record.study_instance_uid.clone(),
                uid: record.series_instance_uid.clone(),
                record: None,
            };
            if self.plan.has_series_tests() || self.plan.columns.of_series() {
                self.spend(SERIES_COST)?;
                let found = self.index.series_by_uid(&series.uid)?;
                series.record = found.into_iter().find(|found| found.study_instance_uid == series.study);
            }
            self.current_series = Some(series);
        }
        let series = self.current_series.as_ref().and_then(|series| series.record.as_ref());
        Ok(match series {
            Some(record) => self.accepts_series(record),
            None => !self.plan.has_series_tests(),
        })
    }
}
