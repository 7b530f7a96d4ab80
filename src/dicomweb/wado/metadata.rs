//! Metadata of a study, a series or an instance (PS3.18 §10.4.1.1.2), written as it is read.

use std::collections::VecDeque;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, header},
    response::Response,
};
use bytes::Bytes;
use filmroom_storage::model::{Header, InstanceRecord, SeriesRecord};
use futures_util::{Stream, StreamExt, stream};

use super::{
    conditional::ETag,
    instances::not_modified,
    resource::{Resource, instance_path},
    stream_body, typed,
};
use crate::{
    DicomwebState,
    accept::{Accept, Offer, Packaging},
    base_url::BaseUrl,
    error::Problem,
    multipart::Boundary,
};
use filmroom_dataset::JsonSeries;
use filmroom_retrieve::{HeaderPages, Retrieve, RetrieveError};

mod kept;

use kept::Gathering;
pub(crate) use kept::KeptMetadata;

const DICOM_JSON: Offer = Offer::single("application/dicom+json");
const JSON: Offer = Offer::single("application/json");
const XML: Offer = Offer::multipart("application/dicom+xml");
const ONE_XML: Offer = Offer::single("application/dicom+xml");

/// A piece of the answer is at least so long, but for the first and the last: below a millisecond of work.
const PIECE_BYTES: usize = 256 << 10;

/// How the data sets of an answer are written.
#[derive(Debug, Clone)]
enum Form {
    Json(&'static str),
    Xml(Boundary),
    OneXml,
}

impl Form {
    fn of(offer: Offer) -> Self {
        match (offer.packaging, offer.media_type) {
            (Packaging::Multipart, _) => Self::Xml(Boundary::random()),
            (Packaging::Single, "application/dicom+xml") => Self::OneXml,
            (Packaging::Single, media_type) => Self::Json(media_type),
        }
    }

    fn content_type(&self) -> String {
        match self {
            Self::Json(media_type) => (*media_type).to_owned(),
            Self::Xml(boundary) => boundary.content_type("application/dicom+xml"),
            Self::OneXml => "application/dicom+xml".to_owned(),
        }
    }

    /// Writes one data set behind what was written before.
    fn write(
        &self,
        out: &mut Vec<u8>,
        base: &BaseUrl,
        is_first: bool,
        record: &InstanceRecord,
        header: &Header,
        json: &mut JsonSeries,
    ) {
        let instance = instance_path(
            base.for_references(),
            &record.study_instance_uid,
            &record.series_instance_uid,
            &record.sop_instance_uid,
        );
        let bulk_base = format!("{instance}/bulkdata");
        match self {
            Self::Json(_) => {
                if !is_first {
                    out.push(b',');
                }
                json.write(out, header, &bulk_base);
            }
            Self::Xml(boundary) => {
                out.extend_from_slice(&boundary.open(is_first, "application/dicom+xml", None, None));
                filmroom_dataset::write_xml(out, header, &bulk_base);
            }
            Self::OneXml => filmroom_dataset::write_xml(out, header, &bulk_base),
        }
    }

    /// What stands before the first data set.
    fn open(&self) -> Bytes {
        match self {
            Self::Json(_) => Bytes::from_static(b"["),
            Self::Xml(_) | Self::OneXml => Bytes::new(),
        }
    }

    /// What stands behind the last data set.
    fn close(&self) -> Bytes {
        match self {
            Self::Json(_) => Bytes::from_static(b"]"),
            Self::Xml(boundary) => boundary.close(),
            Self::OneXml => Bytes::new(),
        }
    }
}

pub(super) async fn retrieve(
    State(state): State<DicomwebState>,
    resource: Resource,
    accept: Accept,
    base: BaseUrl,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let offers: &[Offer] = match resource.instance {
        Some(_) => &[DICOM_JSON, JSON, XML, ONE_XML],
        None => &[DICOM_JSON, JSON, XML],
    };
    let offer = accept.negotiate(offers)?;
    let form = Form::of(offer);
    let kind = format!("{offer:?} {}", base.for_references());
    if let (Some(series), Some(instance)) = (&resource.series, &resource.instance) {
        let record = state
            .retrieve
            .instance(&resource.sight, &resource.study, series, instance)
            .await?;
        let etag = ETag::of([kind.as_bytes(), &record.version()]);
        if etag.is_known(&headers) {
            return Ok(not_modified(&etag));
        }
        let header = state.retrieve.header(&record).await?;
        let mut out = Vec::with_capacity(header.attributes.as_bytes().len() * 4);
        out.extend_from_slice(&form.open());
        form.write(&mut out, &base, true, &record, &header, &mut JsonSeries::default());
        out.extend_from_slice(&form.close());
        return Ok(tagged(&form, &etag, Body::from(out)));
    }
    let mut series = state.retrieve.series_of(&resource.sight, &resource.study).await?;
    if let Some(wanted) = &resource.series {
        series.retain(|record| record.series_instance_uid == *wanted);
    }
    if series.is_empty() {
        return Err(resource.not_found());
    }
    let etag = etag_of_series(&kind, &series);
    if etag.is_known(&headers) {
        return Ok(not_modified(&etag));
    }
    let is_json = matches!(form, Form::Json(_));
    if is_json && let Some(kept) = state.kept_metadata.answer(&etag, &headers) {
        let (parts, body) = kept.into_parts();
        let mut response = tagged(&form, &etag, body);
        response.headers_mut().extend(parts.headers);
        return Ok(response);
    }
    let gathering = is_json.then(|| state.kept_metadata.gather(&etag)).flatten();
    let pieces = written(Writing {
        gathering: gathering.and_then(|gathering| gathering.take(&form.open())),
        form: form.clone(),
        base,
        room: state.retrieve.clone(),
        series: series.into(),
        pages: None,
        json: JsonSeries::default(),
        is_first: true,
    });
    Ok(tagged(&form, &etag, stream_body(pieces)))
}

/// Changes whenever an instance came or went.
fn etag_of_series(kind: &str, series: &[SeriesRecord]) -> ETag {
    let states: Vec<String> = series
        .iter()
        .map(|series| {
            format!(
                "{} {} {} {}",
                series.series_instance_uid,
                series.number_of_instances,
                series.length,
                series.last_received_at.unix_timestamp_nanos()
            )
        })
        .collect();
    ETag::of(std::iter::once(kind.as_bytes()).chain(states.iter().map(String::as_bytes)))
}

fn tagged(form: &Form, etag: &ETag, body: Body) -> Response {
    let mut response = typed(&form.content_type(), None, body);
    response.headers_mut().insert(header::ETAG, etag.header());
    response
}

/// The data sets of several series on their way out. Its steps block.
struct Writing {
    form: Form,
    base: BaseUrl,
    room: Retrieve,
    series: VecDeque<SeriesRecord>,
    pages: Option<HeaderPages>,
    json: JsonSeries,
    is_first: bool,
    gathering: Option<Gathering>,
}

impl Writing {
    /// The next piece; `None` at the end.
    fn next_piece(&mut self) -> Result<Option<Bytes>, RetrieveError> {
        let mut out = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        while out.len() < PIECE_BYTES {
            let pages = match &mut self.pages {
                Some(pages) => pages,
                None => {
                    let Some(series) = self.series.pop_front() else { break };
                    let (study, series) = (series.study_instance_uid, series.series_instance_uid);
                    self.pages.insert(self.room.header_pages(&study, &series))
                }
            };
            let Some(page) = pages.next_page()? else {
                self.pages = None;
                continue;
            };
            let begins = self.is_first;
            for (record, header) in &page {
                let is_first = std::mem::take(&mut self.is_first);
                self.form
                    .write(&mut out, &self.base, is_first, record, header, &mut self.json);
            }
            // What comes first leaves at once.
            if begins {
                break;
            }
        }
        let piece = Bytes::from(out);
        if !piece.is_empty() {
            self.gathering = self.gathering.take().and_then(|gathering| gathering.take(&piece));
            return Ok(Some(piece));
        }
        let whole = self
            .gathering
            .take()
            .and_then(|gathering| gathering.take(&self.form.close()));
        if let Some(whole) = whole {
            // The client does not wait for it.
            tokio::task::spawn_blocking(move || whole.keep());
        }
        Ok(None)
    }
}

/// Writes data sets piece by piece.
fn written(writing: Writing) -> impl Stream<Item = Result<Bytes, RetrieveError>> + Send + 'static {
    let (open, close) = (writing.form.open(), writing.form.close());
    let pieces = ahead(writing, Writing::next_piece);
    stream::iter([Ok(open)]).chain(pieces).chain(stream::iter([Ok(close)]))
}

/// Makes pieces on blocking threads, one ahead of the client: the next is made while the last is on its way.
fn ahead<S: Send + 'static>(
    state: S,
    step: fn(&mut S) -> Result<Option<Bytes>, RetrieveError>,
) -> impl Stream<Item = Result<Bytes, RetrieveError>> + Send + 'static {
    let begin = move |mut state: S| {
        tokio::task::spawn_blocking(move || step(&mut state).map(|piece| piece.map(|piece| (piece, state))))
    };
    stream::try_unfold(begin(state), move |running| async move {
        let made = running.await??;
        Ok(made.map(|(piece, state)| (piece, begin(state))))
    })
}
