//! Asks the query room for a page.

use filmroom_storage::model::Tag;

use super::problem::Problem;
use filmroom_privacy::Sight;
use filmroom_query::{Answers, Include, Key, Level, Query, QueryRoom};

/// Attributes that pages show (PS3.6).
pub mod tag {
    use filmroom_storage::model::Tag;

    pub const SOP_CLASS_UID: Tag = 0x0008_0016;
    pub const SOP_INSTANCE_UID: Tag = 0x0008_0018;
    pub const STUDY_DATE: Tag = 0x0008_0020;
    pub const STUDY_TIME: Tag = 0x0008_0030;
    pub const ACCESSION_NUMBER: Tag = 0x0008_0050;
    pub const MODALITY: Tag = 0x0008_0060;
    pub const MODALITIES_IN_STUDY: Tag = 0x0008_0061;
    pub const REFERRING_PHYSICIAN_NAME: Tag = 0x0008_0090;
    pub const STUDY_DESCRIPTION: Tag = 0x0008_1030;
    pub const SERIES_DESCRIPTION: Tag = 0x0008_103E;
    pub const PATIENT_NAME: Tag = 0x0010_0010;
    pub const PATIENT_ID: Tag = 0x0010_0020;
    pub const PATIENT_BIRTH_DATE: Tag = 0x0010_0030;
    pub const PATIENT_SEX: Tag = 0x0010_0040;
    pub const BODY_PART_EXAMINED: Tag = 0x0018_0015;
    pub const STUDY_INSTANCE_UID: Tag = 0x0020_000D;
    pub const SERIES_INSTANCE_UID: Tag = 0x0020_000E;
    pub const SERIES_NUMBER: Tag = 0x0020_0011;
    pub const INSTANCE_NUMBER: Tag = 0x0020_0013;
    pub const NUMBER_OF_STUDY_RELATED_SERIES: Tag = 0x0020_1206;
    pub const NUMBER_OF_STUDY_RELATED_INSTANCES: Tag = 0x0020_1208;
    pub const NUMBER_OF_SERIES_RELATED_INSTANCES: Tag = 0x0020_1209;
    pub const NUMBER_OF_FRAMES: Tag = 0x0028_0008;
    pub const ROWS: Tag = 0x0028_0010;
    pub const COLUMNS: Tag = 0x0028_0011;
}

/// What a page wants to know.
pub struct Question {
    level: Level,
    keys: Vec<Key>,
    include: Vec<Tag>,
    offset: u64,
    limit: u64,
    sight: Sight,
}

impl Question {
    /// Everything of a level that is seen, at most `limit` answers.
    pub fn new(sight: &Sight, level: Level, include: &[Tag], limit: u64) -> Self {
        Self {
            level,
            keys: Vec::new(),
            include: include.to_vec(),
            offset: 0,
            limit,
            sight: sight.clone(),
        }
    }

    /// Only what matches; an empty value matches all.
    pub fn key(mut self, tag: Tag, value: &str) -> Self {
        if !value.is_empty() {
            self.keys.push(Key {
                path: vec![tag],
                value: value.to_owned(),
            });
        }
        self
    }

    /// Leaves out so many.
    pub fn offset(mut self, offset: u64) -> Self {
        self.offset = offset;
        self
    }

    /// Asks.
    ///
    /// # Errors
    /// [`Problem`] as a page for people.
    pub async fn ask(self, room: &QueryRoom) -> Result<Answers, Problem> {
        let room = room.clone();
        let query = Query {
            keys: self.keys,
            include: Include::Listed(self.include),
            offset: self.offset,
            limit: self.limit,
            ..Query::new(self.level, self.sight)
        };
        match tokio::task::spawn_blocking(move || room.find(&query)).await {
            Ok(answers) => Ok(answers?),
            Err(error) => {
                tracing::error!(%error, "a query for a page ended by a panic");
                Err(Problem::Internal)
            }
        }
    }
}
