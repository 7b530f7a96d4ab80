//! Whole instances of a study, a series, or one (PS3.18 §10.4.1.1.1).

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use filmroom_storage::model::InstanceRecord;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use super::{Preference, conditional::ETag, resource::Resource, stream_body, typed, zip};
use crate::{
    DicomwebState,
    accept::{Accept, Offer},
    error::Problem,
    multipart::Boundary,
};
use filmroom_retrieve::{Outgoing, Retrieve, RetrieveError};

const MULTIPART: Offer = Offer::multipart("application/dicom");
const SINGLE: Offer = Offer::single("application/dicom");
const ZIP: Offer = Offer::single("application/zip");

/// Instances known before the answer begins, so that its length can be told.
const KNOWN_AT_ONCE: usize = 256;
/// Instances opened ahead of the one that is being sent: their reads overlap with sending.
const OPEN_AHEAD: usize = 3;

pub(super) async fn retrieve(
    State(state): State<DicomwebState>,
    resource: Resource,
    accept: Accept,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let offers: &[Offer] = match resource.instance {
        Some(_) => &[MULTIPART, SINGLE, ZIP],
        None => &[MULTIPART, ZIP],
    };
    let offer = accept.negotiate(offers)?;
    let preference = Preference::read(&accept, offer);
    if offer == SINGLE {
        return single(&state, &resource, &preference, &headers).await;
    }
    let mut selected = state.retrieve.select(resource.selection());
    let mut first = Vec::new();
    while first.len() < KNOWN_AT_ONCE {
        match selected.try_next().await? {
            Some(record) => first.push(record),
            None => break,
        }
    }
    if first.is_empty() {
        return Err(resource.missing(&state.retrieve));
    }
    let is_all = first.len() < KNOWN_AT_ONCE;
    let rest = if is_all { stream::empty().boxed() } else { selected };
    if offer == ZIP {
        let instances = stream::iter(first.into_iter().map(Ok)).chain(rest).boxed();
        return Ok(zipped(&state.retrieve, &resource, instances, preference));
    }
    let (outgoing, left_out) = open_first(&state.retrieve, first, &preference).await?;
    let boundary = Boundary::random();
    let length = outgoing.length(&boundary).filter(|_| is_all);
    let parts = multipart(&state.retrieve, boundary.clone(), outgoing, rest, preference);
    let mut response = typed(&boundary.content_type("application/dicom"), length, stream_body(parts));
    if left_out {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// The first instances, the very first of them opened, so that a refusal can still be told by a status.
struct First {
    opened: (InstanceRecord, Outgoing),
    others: Vec<InstanceRecord>,
    /// Every one of the others is sent as it is stored.
    all_as_stored: bool,
}

impl First {
    /// Bytes of the whole body, where all is known.
    fn length(&self, boundary: &Boundary) -> Option<u64> {
        let (record, outgoing) = &self.opened;
        let mut total = part_length(
            boundary,
            true,
            record,
            outgoing.transfer_syntax_uid.as_str(),
            outgoing.length?,
        );
        if !self.others.is_empty() && !self.all_as_stored {
            return None;
        }
        for record in &self.others {
            let length = record.data_set_length();
            total += part_length(boundary, false, record, record.transfer_syntax_uid.as_str(), length);
        }
        Some(total + boundary.close().len() as u64)
    }
}

fn part_length(
    boundary: &Boundary,
    first: bool,
    record: &InstanceRecord,
    transfer_syntax: &str,
    data_set_length: u64,
) -> u64 {
    let head = part_head(boundary, first, record, transfer_syntax, Some(data_set_length));
    head.len() as u64 + data_set_length
}

/// Opens the first instance that can be given; true when one or more before it cannot.
async fn open_first(
    room: &Retrieve,
    records: Vec<InstanceRecord>,
    preference: &Preference,
) -> Result<(First, bool), Problem> {
    let mut refused = None;
    let mut records = records.into_iter();
    while let Some(record) = records.next() {
        match preference.open(room, &record).await {
            Ok(outgoing) => {
                let record = named(record, &outgoing);
                let others: Vec<InstanceRecord> = records.collect();
                let all_as_stored = others.iter().all(|record| preference.gives_stored(record));
                let first = First {
                    opened: (record, outgoing),
                    others,
                    all_as_stored,
                };
                return Ok((first, refused.is_some()));
            }
            Err(error @ (RetrieveError::TransferSyntax(_) | RetrieveError::Decode(_))) => refused = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(refused.map_or_else(|| Problem::not_found("no instance"), Problem::from))
}

/// Delimiter, part header and file meta information.
fn part_head(
    boundary: &Boundary,
    first: bool,
    record: &InstanceRecord,
    transfer_syntax: &str,
    data_set_length: Option<u64>,
) -> Bytes {
    let file_head = file_head(record, transfer_syntax);
    let content_type = format!("application/dicom; transfer-syntax={transfer_syntax}");
    let length = data_set_length.map(|length| length + file_head.len() as u64);
    let open = boundary.open(first, &content_type, length, None);
    let mut head = BytesMut::with_capacity(open.len() + file_head.len());
    head.extend_from_slice(&open);
    head.extend_from_slice(&file_head);
    head.freeze()
}

/// The record under the name of what goes out, which is another where its pixels have lost something on the way.
fn named(record: InstanceRecord, outgoing: &Outgoing) -> InstanceRecord {
    InstanceRecord {
        sop_instance_uid: outgoing.sop_instance_uid.clone(),
        ..record
    }
}

fn file_head(record: &InstanceRecord, transfer_syntax: &str) -> Bytes {
    filmroom_dataset::write_file_head(
        record.sop_class_uid.as_str(),
        record.sop_instance_uid.as_str(),
        transfer_syntax,
        "",
    )
}

type Pieces = BoxStream<'static, Result<Bytes, RetrieveError>>;

fn multipart(
    room: &Retrieve,
    boundary: Boundary,
    first: First,
    rest: BoxStream<'static, Result<InstanceRecord, RetrieveError>>,
    preference: Preference,
) -> Pieces {
    let room = room.clone();
    let opened = stream::iter([Ok(Some(first.opened))]);
    let others = stream::iter(first.others.into_iter().map(Ok)).chain(rest);
    let others = others
        .map(move |record| {
            let (room, preference) = (room.clone(), preference.clone());
            async move { open_next(&room, record?, &preference).await }
        })
        .buffered(OPEN_AHEAD);
    let mut is_first = true;
    let close = boundary.close();
    opened
        .chain(others)
        .map(move |next| match next {
            Ok(Some((record, outgoing))) => {
                let transfer_syntax = outgoing.transfer_syntax_uid.as_str();
                let head = part_head(&boundary, is_first, &record, transfer_syntax, outgoing.length);
                is_first = false;
                stream::iter([Ok(head)]).chain(outgoing.data_set).boxed()
            }
            Ok(None) => stream::empty().boxed(),
            Err(error) => stream::iter([Err(error)]).boxed(),
        })
        .flatten()
        .chain(stream::iter([Ok(close)]))
        .boxed()
}

/// Opens one of several; one that cannot be given in what was asked for is left out, as the others still serve.
async fn open_next(
    room: &Retrieve,
    record: InstanceRecord,
    preference: &Preference,
) -> Result<Option<(InstanceRecord, Outgoing)>, RetrieveError> {
    match preference.open(room, &record).await {
        Ok(outgoing) => Ok(Some((named(record, &outgoing), outgoing))),
        Err(error @ (RetrieveError::TransferSyntax(_) | RetrieveError::Decode(_))) => {
            tracing::warn!(%error, sop_instance_uid = %record.sop_instance_uid, "an instance was left out of an answer");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn zipped(
    room: &Retrieve,
    resource: &Resource,
    instances: BoxStream<'static, Result<InstanceRecord, RetrieveError>>,
    preference: Preference,
) -> Response {
    let room = room.clone();
    let entries = instances
        .map(move |record| {
            let (room, preference) = (room.clone(), preference.clone());
            async move { open_next(&room, record?, &preference).await }
        })
        .buffered(OPEN_AHEAD)
        .try_filter_map(|opened| async move {
            Ok(opened.map(|(record, outgoing)| {
                let head = file_head(&record, outgoing.transfer_syntax_uid.as_str());
                zip::Entry {
                    name: format!(
                        "{}/{}/{}.dcm",
                        record.study_instance_uid, record.series_instance_uid, record.sop_instance_uid
                    ),
                    modified_at: record.received_at,
                    length: outgoing.length.map(|length| length + head.len() as u64),
                    content: stream::iter([Ok(head)]).chain(outgoing.data_set).boxed(),
                }
            }))
        })
        .boxed();
    let mut response = typed("application/zip", None, stream_body(zip::write(entries)));
    let name = resource
        .instance
        .as_ref()
        .map(|uid| uid.as_str())
        .or(resource.series.as_ref().map(|uid| uid.as_str()))
        .unwrap_or(resource.study.as_str());
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.zip\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
    response
}

/// One instance as a body of its own, opened.
pub struct OneInstance {
    /// File meta information and data set.
    pub body: Body,
    /// Bytes of the body, where known.
    pub length: Option<u64>,
    /// `application/dicom` with its transfer syntax.
    pub content_type: String,
}

/// Opens one instance as Part 10 bytes.
///
/// # Errors
/// [`RetrieveError`].
pub async fn one_instance(
    room: &Retrieve,
    record: &InstanceRecord,
    preference: &Preference,
) -> Result<OneInstance, RetrieveError> {
    let outgoing = preference.open(room, record).await?;
    let transfer_syntax = outgoing.transfer_syntax_uid.as_str();
    let head = file_head(&named(record.clone(), &outgoing), transfer_syntax);
    Ok(OneInstance {
        length: outgoing.length.map(|length| length + head.len() as u64),
        content_type: format!("application/dicom; transfer-syntax={transfer_syntax}"),
        body: stream_body(stream::iter([Ok(head)]).chain(outgoing.data_set)),
    })
}

async fn single(
    state: &DicomwebState,
    resource: &Resource,
    preference: &Preference,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let (Some(series), Some(instance)) = (&resource.series, &resource.instance) else {
        return Err(Problem::not_acceptable(&[
            "multipart/related; type=\"application/dicom\"",
        ]));
    };
    let record = state
        .retrieve
        .instance(&resource.sight, &resource.study, series, instance)
        .await?;
    let preferred = format!("{preference:?}");
    let etag = ETag::of([b"dicom".as_slice(), &record.version(), preferred.as_bytes()]);
    if etag.is_known(headers) {
        return Ok(not_modified(&etag));
    }
    let one = one_instance(&state.retrieve, &record, preference).await?;
    let mut response = typed(&one.content_type, one.length, one.body);
    response.headers_mut().insert(header::ETAG, etag.header());
    Ok(response)
}

/// 304, with the tag that holds.
pub fn not_modified(etag: &ETag) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ETAG, etag.header());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    response
}
