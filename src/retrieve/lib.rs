//! The room that reads back: the only reader of objects.
//!
//! Everything is read in pieces of bounded size; a frame is one range read. What is not stored in a form that can be read
//! in place (deflated data sets) is inflated once and kept for a while within a bound.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use filmroom_storage::{
    model::{
        Header, InstanceRecord, SeriesInstanceUid, SeriesRecord, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid,
    },
    store::{Store, StoreError},
};
use futures_util::{StreamExt, stream::BoxStream};

use filmroom_dataset::is_deflated;
use filmroom_privacy::Sight;

mod bulk;
mod changes;
mod data_set;
mod fragments;
mod frame;
mod inflate;
mod reencode;
mod select;
mod swap;
mod transcode;

pub use bulk::Bulk;
pub use changes::{Change, ChangeCursor, ChangeKind, ChangesError, ChangesPage, NotACursor, Since};
use inflate::InflatedCache;
use transcode::{CompressedFrames, Decoders};

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum RetrieveError {
    /// No such study, series, instance, frame or bulk value.
    #[error("{0} is not in the archive")]
    NotFound(String),
    /// An instance that was here and was destroyed by a decision.
    #[error("{0} was destroyed")]
    Gone(String),
    /// The instance cannot be given in any of the transfer syntaxes asked for.
    #[error("not available in the transfer syntax asked for: {0}")]
    TransferSyntax(String),
    /// The pixel data cannot be decoded.
    #[error("the pixel data cannot be decoded: {0}")]
    Decode(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<tokio::task::JoinError> for RetrieveError {
    fn from(error: tokio::task::JoinError) -> Self {
        Self::Store(StoreError::Unavailable(error.to_string()))
    }
}

/// Which instances are meant.
#[derive(Debug, Clone)]
pub struct Selection {
    /// What whoever wants them sees: what they do not is not there.
    pub sight: Sight,
    /// Patient IDs (0010,0020), exact; empty means any.
    pub patient_ids: Vec<String>,
    /// Studies; empty means any.
    pub studies: Vec<StudyInstanceUid>,
    /// Series; empty means all of the studies.
    pub series: Vec<SeriesInstanceUid>,
    /// Instances; empty means all of the series.
    pub instances: Vec<SopInstanceUid>,
}

impl Selection {
    /// All that is seen, to be narrowed down.
    #[must_use]
    pub fn of(sight: Sight) -> Self {
        Self {
            sight,
            patient_ids: Vec::new(),
            studies: Vec::new(),
            series: Vec::new(),
            instances: Vec::new(),
        }
    }
}

/// The transfer syntax in which an instance is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// As stored.
    AsStored,
    /// The first of these that can be had: as stored when it is among them, one that loses nothing before one that does.
    OneOf(Vec<TransferSyntaxUid>),
}

/// An instance ready to be sent.
pub struct Outgoing {
    /// What it is encoded in.
    pub transfer_syntax_uid: TransferSyntaxUid,
    /// What it is: another instance than the one stored where its pixels have lost something on the way.
    pub sop_instance_uid: SopInstanceUid,
    /// Bytes of the data set when known before it is read.
    pub length: Option<u64>,
    /// The data set in pieces of bounded size.
    pub data_set: BoxStream<'static, Result<Bytes, RetrieveError>>,
}

/// The headers of a series, page by page.
pub struct HeaderPages(filmroom_storage::store::HeaderPages);

impl HeaderPages {
    /// The next instances and their headers; `None` at the end. Blocks.
    ///
    /// # Errors
    /// [`RetrieveError::Store`].
    pub fn next_page(&mut self) -> Result<Option<Vec<(InstanceRecord, Header)>>, RetrieveError> {
        Ok(self.0.next_page()?)
    }
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Retrieve {
    store: Store,
    inflated: Arc<InflatedCache>,
    decoders: Decoders,
    compressed: CompressedFrames,
}

impl Retrieve {
    /// Opens the room over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self {
            store,
            inflated: Arc::new(InflatedCache::default()),
            decoders: Decoders::default(),
            compressed: CompressedFrames::default(),
        }
    }

    /// The same over another look at the store; what is kept at hand is shared.
    #[must_use]
    pub fn seen(&self, store: Store) -> Self {
        Self { store, ..self.clone() }
    }

    /// The instances meant, in order of study, series number and instance number, in pages of bounded size. Instances
    /// that are listed come in the order of the list. Unknown ones are left out.
    #[must_use]
    pub fn select(&self, selection: Selection) -> BoxStream<'static, Result<InstanceRecord, RetrieveError>> {
        select::select(self.store.index(), selection)
    }

    /// One instance of a study and series.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`] also when the instance belongs to another series or study, or is not seen; [`RetrieveError::Gone`].
    pub async fn instance(
        &self,
        sight: &Sight,
        study: &StudyInstanceUid,
        series: &SeriesInstanceUid,
        instance: &SopInstanceUid,
    ) -> Result<InstanceRecord, RetrieveError> {
        let record = self.store.index().instance(instance).map_err(StoreError::from)?;
        let is_seen = sight.sees(study).map_err(StoreError::from)?;
        record
            .filter(|record| record.study_instance_uid == *study && record.series_instance_uid == *series)
            .filter(|_| is_seen)
            .ok_or_else(|| {
                self.missing(
                    sight,
                    Some(study),
                    instance,
                    format!("instance {instance} of series {series} of study {study}"),
                )
            })
    }

    /// Why an instance is not there: it never was, or it was destroyed. A tombstone does not tell of which series it was. Whoever does
    /// not see the study is told nothing of either.
    #[must_use]
    pub fn missing(
        &self,
        sight: &Sight,
        study: Option<&StudyInstanceUid>,
        instance: &SopInstanceUid,
        name: String,
    ) -> RetrieveError {
        let is_seen = match study {
            Some(study) => sight.sees(study).map_err(StoreError::from),
            None => Ok(sight.is_all()),
        };
        match is_seen {
            Ok(true) => {}
            Ok(false) => return RetrieveError::NotFound(name),
            Err(error) => return error.into(),
        }
        match self.store.destroyed_by(instance) {
            Ok(Some(_)) => RetrieveError::Gone(name),
            Ok(None) => RetrieveError::NotFound(name),
            Err(error) => error.into(),
        }
    }

    /// The series of a study, by series number; empty when the study is unknown or not seen.
    ///
    /// # Errors
    /// [`RetrieveError::Store`].
    pub async fn series_of(&self, sight: &Sight, study: &StudyInstanceUid) -> Result<Vec<SeriesRecord>, RetrieveError> {
        let (index, sight, study) = (self.store.index(), sight.clone(), study.clone());
        let series = tokio::task::spawn_blocking(move || match sight.sees(&study)? {
            true => index.series_of(&study),
            false => Ok(Vec::new()),
        });
        let series = series.await?;
        Ok(series.map_err(StoreError::from)?)
    }

    /// The data set of an instance in a wanted transfer syntax: as stored where that will do, else transcoded.
    ///
    /// # Errors
    /// [`RetrieveError`].
    pub async fn data_set(&self, instance: &InstanceRecord, wanted: &Wanted) -> Result<Outgoing, RetrieveError> {
        data_set::data_set(self, instance, wanted).await
    }

    /// The header of an instance.
    ///
    /// # Errors
    /// [`RetrieveError`].
    pub async fn header(&self, instance: &InstanceRecord) -> Result<Header, RetrieveError> {
        Ok(self.store.header(instance).await?)
    }

    /// The headers of a series that [`Retrieve::series_of`] gave, in order of instance number, to be taken page by page on a blocking
    /// thread.
    #[must_use]
    pub fn header_pages(&self, study: &StudyInstanceUid, series: &SeriesInstanceUid) -> HeaderPages {
        HeaderPages(self.store.header_pages(study, series))
    }

    /// One frame as stored: encapsulated frames without item headers, native frames in little endian byte order, their
    /// first bit in the lowest bit of the first byte. `frame_index` counts from 0.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`] beyond the last frame.
    pub async fn frame(&self, instance: &InstanceRecord, frame_index: u32) -> Result<Bytes, RetrieveError> {
        frame::frame(self, instance, frame_index).await
    }

    /// The samples of one frame, little endian and interleaved as the attributes of the instance say: what is stored where
    /// that is native, else what it decodes to. `frame_index` counts from 0.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`] beyond the last frame, [`RetrieveError::Decode`].
    pub async fn decoded_frame(&self, instance: &InstanceRecord, frame_index: u32) -> Result<Bytes, RetrieveError> {
        transcode::decoded_frame(self, instance, frame_index).await
    }

    /// One frame in an encapsulating transfer syntax: compressed anew where it is not stored so. `frame_index` counts from 0.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`] beyond the last frame, [`RetrieveError::TransferSyntax`] for what the transfer syntax has
    /// no place for, [`RetrieveError::Decode`].
    pub async fn compressed_frame(
        &self,
        instance: &InstanceRecord,
        frame_index: u32,
        transfer_syntax_uid: &TransferSyntaxUid,
    ) -> Result<Bytes, RetrieveError> {
        transcode::compressed_frame(self, instance, frame_index, transfer_syntax_uid).await
    }

    /// A bulk value by its path ([`filmroom_storage::model::BulkValue::path`]), or a range of it, without item headers.
    /// Returns the value and its whole length. For values that fit in memory; [`Retrieve::bulk`] has no bound.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`].
    pub async fn bulk_value(
        &self,
        instance: &InstanceRecord,
        path: &str,
        range: Option<Range<u64>>,
    ) -> Result<(Bytes, u64), RetrieveError> {
        bulk::collect(self.bulk(instance, path).await?, range).await
    }

    /// Finds a bulk value, to be read in pieces: see [`Retrieve::bulk_value`].
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`].
    pub async fn bulk(&self, instance: &InstanceRecord, path: &str) -> Result<Bulk, RetrieveError> {
        bulk::bulk(self, instance, path).await
    }

    /// A range of the data set as the index counts it: of the inflated data set for a deflated transfer syntax.
    async fn read(&self, instance: &InstanceRecord, range: Range<u64>) -> Result<Bytes, RetrieveError> {
        if is_deflated(&instance.transfer_syntax_uid) {
            return self.inflated.read(&self.store, instance, range).await;
        }
        Ok(self.store.read(instance, range).await?)
    }

    /// As [`Retrieve::read`], in pieces.
    fn stream(&self, instance: &InstanceRecord, range: Range<u64>) -> BoxStream<'static, Result<Bytes, RetrieveError>> {
        if is_deflated(&instance.transfer_syntax_uid) {
            return self.inflated.stream(&self.store, instance, range);
        }
        self.store
            .stream(instance, range)
            .map(|piece| piece.map_err(RetrieveError::from))
            .boxed()
    }
}
