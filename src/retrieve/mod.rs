//! The room that reads back: the only reader of objects.

use std::ops::Range;

use bytes::Bytes;
use filmroom_storage::{
    model::{Header, InstanceRecord, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, TransferSyntaxUid},
    store::{Store, StoreError},
};
use futures_util::stream::BoxStream;

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum RetrieveError {
    /// No such study, series, instance, frame or bulk value.
    #[error("{0} is not in the archive")]
    NotFound(String),
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

/// Which instances are meant.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Patient IDs (0010,0020), exact; empty means any.
    pub patient_ids: Vec<String>,
    /// Studies; empty means any.
    pub studies: Vec<StudyInstanceUid>,
    /// Series; empty means all of the studies.
    pub series: Vec<SeriesInstanceUid>,
    /// Instances; empty means all of the series.
    pub instances: Vec<SopInstanceUid>,
}

/// The transfer syntax in which an instance is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// As stored.
    AsStored,
    /// The first of these that can be had: as stored when it is among them.
    OneOf(Vec<TransferSyntaxUid>),
}

/// An instance ready to be sent.
pub struct Outgoing {
    /// What it is encoded in.
    pub transfer_syntax_uid: TransferSyntaxUid,
    /// Bytes of the data set when known before it is read.
    pub length: Option<u64>,
    /// The data set in pieces of bounded size.
    pub data_set: BoxStream<'static, Result<Bytes, RetrieveError>>,
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Retrieve {
    #[expect(dead_code, reason = "the room is furnished in the next commit")]
    store: Store,
}

impl Retrieve {
    /// Opens the room over a store.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// The instances meant, in order of study, series number and instance number, in pages of bounded size.
    #[must_use]
    pub fn select(&self, _selection: Selection) -> BoxStream<'static, Result<InstanceRecord, RetrieveError>> {
        unimplemented!()
    }

    /// One instance of a study and series.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`] also when the instance belongs to another series or study.
    pub async fn instance(
        &self,
        _study: &StudyInstanceUid,
        _series: &SeriesInstanceUid,
        _instance: &SopInstanceUid,
    ) -> Result<InstanceRecord, RetrieveError> {
        unimplemented!()
    }

    /// The data set of an instance in a wanted transfer syntax: as stored where that will do, else transcoded.
    ///
    /// # Errors
    /// [`RetrieveError`].
    pub async fn data_set(&self, _instance: &InstanceRecord, _wanted: &Wanted) -> Result<Outgoing, RetrieveError> {
        unimplemented!()
    }

    /// The header of an instance.
    ///
    /// # Errors
    /// [`RetrieveError`].
    pub async fn header(&self, _instance: &InstanceRecord) -> Result<Header, RetrieveError> {
        unimplemented!()
    }

    /// The headers of a series in order of instance number.
    #[must_use]
    pub fn headers_of_series(
        &self,
        _study: &StudyInstanceUid,
        _series: &SeriesInstanceUid,
    ) -> BoxStream<'static, Result<(InstanceRecord, Header), RetrieveError>> {
        unimplemented!()
    }

    /// One frame as stored: encapsulated frames without item headers, native frames in little endian byte order.
    /// `frame_index` counts from 0.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`] beyond the last frame.
    pub async fn frame(&self, _instance: &InstanceRecord, _frame_index: u32) -> Result<Bytes, RetrieveError> {
        unimplemented!()
    }

    /// A bulk value by its path ([`filmroom_storage::model::BulkValue::path`]), or a range of it, without item headers.
    /// Returns the value and its whole length.
    ///
    /// # Errors
    /// [`RetrieveError::NotFound`].
    pub async fn bulk_value(
        &self,
        _instance: &InstanceRecord,
        _path: &str,
        _range: Option<Range<u64>>,
    ) -> Result<(Bytes, u64), RetrieveError> {
        unimplemented!()
    }
}
