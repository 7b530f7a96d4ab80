//! Bulk data and pixel data (PS3.18 §10.4.1.1.6, §10.4.1.1.7): single values by their path, or all of an instance, a series
//! or a study.

use axum::{
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use filmroom_access::Action;
use filmroom_admission::{Routes, Rule};
use filmroom_storage::model::InstanceRecord;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};

use super::{
    DicomwebState,
    accept::{Accept, Offer, Packaging},
    base_url::BaseUrl,
    error::Problem,
    multipart::Boundary,
    wado::{
        Numbers,
        conditional::{self, ETag, Wanted},
        frames_of,
        media::{self, EXPLICIT_VR_LITTLE_ENDIAN, OCTET_STREAM},
        not_modified,
        resource::{Resource, instance_url},
        stream_body, typed,
    },
};
use filmroom_render::number_of_frames;
use filmroom_retrieve::{Bulk, Retrieve, RetrieveError};

const STUDY: &str = "/studies/{study}";
const SERIES: &str = "/studies/{study}/series/{series}";
const INSTANCE: &str = "/studies/{study}/series/{series}/instances/{instance}";

/// Instances whose values are looked up ahead.
const INSTANCES_AHEAD: usize = 2;

/// The routes of this service.
pub(super) fn routes() -> Routes<DicomwebState> {
    const RETRIEVE: Rule = Rule::May(Action::Retrieve);
    let mut routes = Routes::new()
        .get(RETRIEVE, &format!("{INSTANCE}/bulkdata/{{*path}}"), one)
        .get(RETRIEVE, &format!("{INSTANCE}/pixeldata"), pixel_data_of_instance);
    for level in [STUDY, SERIES, INSTANCE] {
        routes = routes.get(RETRIEVE, &format!("{level}/bulkdata"), all);
    }
    for level in [STUDY, SERIES] {
        routes = routes.get(RETRIEVE, &format!("{level}/pixeldata"), pixel_data);
    }
    routes
}

/// One value by its path.
async fn one(
    State(state): State<DicomwebState>,
    resource: Resource,
    Path(params): Path<Vec<(String, String)>>,
    accept: Accept,
    base: BaseUrl,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path = params
        .iter()
        .find(|(name, _)| name == "path")
        .map_or("", |(_, value)| value.as_str());
    let record = record_of(&state.retrieve, &resource).await?;
    let bulk = state.retrieve.bulk(&record, path).await?;
    if bulk.is_frames() {
        return frames_of(&state.retrieve, record, Numbers::All, &accept, &headers).await;
    }
    let offer = accept.negotiate(&[Offer::single(OCTET_STREAM), Offer::multipart(OCTET_STREAM)])?;
    let etag = ETag::of([
        record.version().as_slice(),
        path.as_bytes(),
        format!("{offer:?}").as_bytes(),
    ]);
    if etag.is_known(&headers) {
        return Ok(not_modified(&etag));
    }
    let location = location(&base, &record, path);
    let mut response = match offer.packaging {
        Packaging::Single => single(&bulk, &octets(), &headers)?,
        Packaging::Multipart => {
            let boundary = Boundary::random();
            let head = boundary.open(true, &octets(), Some(bulk.length()), Some(&location));
            let length = head.len() as u64 + bulk.length() + boundary.close().len() as u64;
            let pieces = stream::iter([Ok(head)])
                .chain(bulk.stream(0..bulk.length()))
                .chain(stream::iter([Ok(boundary.close())]));
            typed(&boundary.content_type(OCTET_STREAM), Some(length), stream_body(pieces))
        }
    };
    let fields = response.headers_mut();
    fields.insert(header::ETAG, etag.header());
    if let Ok(value) = HeaderValue::from_str(&location) {
        fields.insert(header::CONTENT_LOCATION, value);
    }
    Ok(response)
}

async fn record_of(room: &Retrieve, resource: &Resource) -> Result<InstanceRecord, Problem> {
    match (&resource.series, &resource.instance) {
        (Some(series), Some(instance)) => Ok(room
            .instance(&resource.sight, &resource.study, series, instance)
            .await?),
        _ => Err(resource.not_found()),
    }
}

fn location(base: &BaseUrl, record: &InstanceRecord, path: &str) -> String {
    let instance = instance_url(
        base,
        &record.study_instance_uid,
        &record.series_instance_uid,
        &record.sop_instance_uid,
    );
    format!("{instance}/bulkdata/{path}")
}

/// The media type of values that are bytes or little endian words.
fn octets() -> String {
    format!("{OCTET_STREAM}; transfer-syntax={EXPLICIT_VR_LITTLE_ENDIAN}")
}

/// The value as the body itself, or a range of it.
pub(super) fn single(bulk: &Bulk, content_type: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let length = bulk.length();
    let part = match conditional::range(headers, length) {
        Wanted::Whole => None,
        Wanted::Part(part) => Some(part),
        Wanted::Nothing => return Err(Problem::range_not_satisfiable(length)),
    };
    let range = part.clone().unwrap_or(0..length);
    let body = stream_body(bulk.stream(range.clone()));
    let mut response = typed(content_type, Some(range.end - range.start), body);
    let fields = response.headers_mut();
    fields.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(part) = part {
        if let Ok(value) = HeaderValue::from_str(&format!("bytes {}-{}/{length}", part.start, part.end - 1)) {
            fields.insert(header::CONTENT_RANGE, value);
        }
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

type Parts = BoxStream<'static, Result<Part, RetrieveError>>;

/// One part of an answer with many.
struct Part {
    content_type: String,
    location: String,
    length: Option<u64>,
    content: BoxStream<'static, Result<Bytes, RetrieveError>>,
}

/// Every bulk value of the resource, a part each; pixel data that are encapsulated, a part a frame.
async fn all(
    State(state): State<DicomwebState>,
    resource: Resource,
    accept: Accept,
    base: BaseUrl,
) -> Result<Response, Problem> {
    accept.negotiate(&[Offer::multipart(OCTET_STREAM)])?;
    let room = state.retrieve.clone();
    in_parts(&state, &resource, move |record| {
        let (room, base) = (room.clone(), base.clone());
        async move { parts_of(&room, &base, &record, false).await }
    })
    .await
}

/// The pixel data of one instance, frame by frame, in the best form that the client takes.
async fn pixel_data_of_instance(
    State(state): State<DicomwebState>,
    resource: Resource,
    accept: Accept,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let record = record_of(&state.retrieve, &resource).await?;
    frames_of(&state.retrieve, record, Numbers::All, &accept, &headers).await
}

/// The pixel data of every instance of a study or series.
async fn pixel_data(
    State(state): State<DicomwebState>,
    resource: Resource,
    accept: Accept,
    base: BaseUrl,
) -> Result<Response, Problem> {
    accept.negotiate(&[Offer::multipart(OCTET_STREAM)])?;
    let room = state.retrieve.clone();
    in_parts(&state, &resource, move |record| {
        let (room, base) = (room.clone(), base.clone());
        async move { parts_of(&room, &base, &record, true).await }
    })
    .await
}

async fn in_parts<F, O>(state: &DicomwebState, resource: &Resource, parts_of: F) -> Result<Response, Problem>
where
    F: Fn(InstanceRecord) -> O + Send + 'static,
    O: Future<Output = Result<Parts, RetrieveError>> + Send + 'static,
{
    let mut selected = state.retrieve.select(resource.selection());
    let Some(first) = selected.try_next().await? else {
        return Err(resource.missing(&state.retrieve));
    };
    let boundary = Boundary::random();
    let close = boundary.close();
    let content_type = boundary.content_type(OCTET_STREAM);
    let parts = stream::iter([Ok(first)])
        .chain(selected)
        .map_ok(parts_of)
        .map(|opening| async move { opening?.await })
        .buffered(INSTANCES_AHEAD)
        .try_flatten();
    let mut parts = parts.boxed();
    // Looked at before the status goes out: a resource without any is not there.
    let Some(first) = parts.try_next().await? else {
        return Err(Problem::not_found(format!("{} has no bulk data", resource.name())));
    };
    let mut is_first = true;
    let pieces = stream::iter([Ok(first)])
        .chain(parts)
        .map(move |part| match part {
            Ok(part) => {
                let head = boundary.open(
                    std::mem::replace(&mut is_first, false),
                    &part.content_type,
                    part.length,
                    Some(&part.location),
                );
                stream::iter([Ok(head)]).chain(part.content).boxed()
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        })
        .flatten()
        .chain(stream::iter([Ok(close)]));
    Ok(typed(&content_type, None, stream_body(pieces)))
}

/// The values of one instance in their order.
async fn parts_of(
    room: &Retrieve,
    base: &BaseUrl,
    record: &InstanceRecord,
    pixel_data_only: bool,
) -> Result<Parts, RetrieveError> {
    let paths: Vec<String> = if pixel_data_only {
        record
            .pixel_data
            .iter()
            .map(|pixel_data| format!("{:08X}", pixel_data.tag))
            .collect()
    } else {
        room.header(record)
            .await?
            .bulk
            .into_iter()
            .map(|value| value.path)
            .collect()
    };
    let (room, base, record) = (room.clone(), base.clone(), record.clone());
    let parts = stream::iter(paths)
        .then(move |path| {
            let (room, base, record) = (room.clone(), base.clone(), record.clone());
            async move {
                let bulk = room.bulk(&record, &path).await?;
                let location = location(&base, &record, &path);
                if bulk.is_frames() {
                    return Ok::<Parts, RetrieveError>(frames(room, &base, record));
                }
                let part = Part {
                    content_type: octets(),
                    location,
                    length: Some(bulk.length()),
                    content: bulk.stream(0..bulk.length()),
                };
                Ok(stream::iter([Ok(part)]).boxed())
            }
        })
        .try_flatten();
    Ok(parts.boxed())
}

/// Encapsulated frames as stored, one part each.
fn frames(room: Retrieve, base: &BaseUrl, record: InstanceRecord) -> Parts {
    let stored = record.transfer_syntax_uid.as_str();
    let content_type = format!("{}; transfer-syntax={stored}", media::media_type(stored));
    let instance = instance_url(
        base,
        &record.study_instance_uid,
        &record.series_instance_uid,
        &record.sop_instance_uid,
    );
    let number_of_frames = number_of_frames(&record);
    stream::iter(0..number_of_frames)
        .then(move |frame_index| {
            let (room, record) = (room.clone(), record.clone());
            let location = format!("{instance}/frames/{}", u64::from(frame_index) + 1);
            let content_type = content_type.clone();
            async move {
                let frame = room.frame(&record, frame_index).await?;
                Ok(Part {
                    content_type,
                    location,
                    length: Some(frame.len() as u64),
                    content: stream::iter([Ok(frame)]).boxed(),
                })
            }
        })
        .boxed()
}
