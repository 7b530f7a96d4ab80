//! What can be asked of the index, in the archive's own words.
//!
//! Engines are synchronous; callers in async code go through a blocking thread when they read more than a few records.
//! Every answer is ordered and the order does not change between calls, so that a page can begin after the last key of
//! the page before.

mod catalog;
mod changes;
pub(crate) mod codec;
mod destroy;
pub mod engine;
pub(crate) mod instance_row;
mod keys;
mod marks;
#[cfg(test)]
mod model_test;
mod place_in_row;
mod read;
mod rows;
mod settle;
mod typical;
mod veil;
mod words;
mod write;

pub(crate) use self::veil::Veiled;
pub use self::{
    catalog::{Catalog, InstancePlace},
    changes::{Change, ChangeKind, ChangePlace},
    destroy::{Destruction, Heir},
    rows::{PackRow, Position},
    settle::{Settled, SettledMember},
    veil::{Hidden, Veil},
    words::WordPart,
    write::{Addition, CatalogWriter},
};

use std::{ops::ControlFlow, sync::Arc};

use crate::model::{
    InstanceRecord, NameWord, SeriesInstanceUid, SeriesRecord, SopInstanceUid, StudyInstanceUid, StudyKeys, StudyRecord,
};

/// Why the index gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The engine failed; the text is the engine's own.
    #[error("the index engine failed: {0}")]
    Engine(String),
    /// Somebody else has the index open. It is no sign of damage.
    #[error("the index is in use: {0}")]
    InUse(String),
    /// A record could not be read back.
    #[error("the index holds a damaged record: {0}")]
    Damaged(String),
}

/// Which studies to walk through. The caller checks every record it gets against the whole query: a selector may let
/// more through than asked, never less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StudySelector {
    /// All studies.
    All,
    /// These studies, as far as they exist.
    Uids(Vec<StudyInstanceUid>),
    /// Studies whose patient ID is exactly this.
    PatientId(String),
    /// Studies whose patient's name has one of these words, as [`Index::name_words`] gives them, and those whose names are
    /// too long to tell.
    NameWords(Arc<[NameWord]>),
    /// Studies whose accession number is exactly this.
    AccessionNumber(String),
    /// Studies dated `YYYYMMDD` within these bounds, both included; `None` is open.
    StudyDate {
        /// Earliest date.
        from: Option<String>,
        /// Latest date.
        to: Option<String>,
    },
    /// Studies with a series of this modality.
    Modality(String),
}

/// The place of a study in the order of an answer: opaque to callers, stable between calls and restarts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StudyCursor(pub Vec<u8>);

/// The place of an instance in its series: instance number, then SOP Instance UID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceCursor(pub Vec<u8>);

/// The questions that rooms ask.
pub trait Index: Send + Sync {
    /// One study.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    fn study(&self, study: &StudyInstanceUid) -> Result<Option<StudyRecord>, IndexError>;

    /// Up to `limit` studies that the selector lets through, newest study date first, then by Study Instance UID, each
    /// once, after the place `after`.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    fn studies(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<(StudyCursor, StudyRecord)>, IndexError>;

    /// The same without reading records: the keys are enough to decide on name, date, accession number and patient ID.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    fn study_keys(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<(StudyCursor, StudyInstanceUid, StudyKeys)>, IndexError>;

    /// The same without reading anything of the studies.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    fn study_places(
        &self,
        selector: &StudySelector,
        after: Option<&StudyCursor>,
        limit: usize,
    ) -> Result<Vec<StudyCursor>, IndexError>;

    /// Visits the words of all patients' names that a text stands in so, in no order, until told to stop; a word that it
    /// stands in twice may come twice.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    fn name_words(
        &self,
        part: WordPart<'_>,
        visit: &mut dyn FnMut(NameWord) -> ControlFlow<()>,
    ) -> Result<(), IndexError>;

    /// Number of studies, series and instances.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    fn totals(&self) -> Result<Totals, IndexError>;

    /// All series of a study, by series number, then Series Instance UID. Empty when the study is unknown.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    fn series_of(&self, study: &StudyInstanceUid) -> Result<Vec<SeriesRecord>, IndexError>;

    /// The series of this UID in whatever study: more than one only where peers gave one UID to two series.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    fn series_by_uid(&self, series: &SeriesInstanceUid) -> Result<Vec<SeriesRecord>, IndexError>;

    /// Up to `limit` instances of a series by instance number, then SOP Instance UID, after the place `after`.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    fn instances_of(
        &self,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
        after: Option<&InstanceCursor>,
        limit: usize,
    ) -> Result<Vec<(InstanceCursor, InstanceRecord)>, IndexError>;

    /// One instance by its own UID.
    ///
    /// # Errors
    /// [`IndexError`] when the engine fails.
    fn instance(&self, sop_instance: &SopInstanceUid) -> Result<Option<InstanceRecord>, IndexError>;
}

/// How much the archive holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Studies.
    pub studies: u64,
    /// Series.
    pub series: u64,
    /// Instances.
    pub instances: u64,
    /// Bytes of all Part 10 files.
    pub length: u64,
}
