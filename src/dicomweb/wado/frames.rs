//! Frames of an instance (PS3.18 §10.4.1.1.5).

use axum::{
    body::Body,
    extract::{FromRequestParts, Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::Response,
};
use bytes::Bytes;
use filmroom_storage::model::InstanceRecord;
use futures_util::{StreamExt, stream};

use super::{
    conditional::{self, ETag, Wanted},
    instances::not_modified,
    media::{self, FrameContent, FrameForm},
    resource::Resource,
    stream_body, typed,
};
use crate::{
    DicomwebState,
    accept::{Accept, Packaging},
    error::Problem,
    multipart::Boundary,
};
use filmroom_render::number_of_frames;
use filmroom_retrieve::{Retrieve, RetrieveError};

/// Frames read or decoded ahead of the one that is being sent.
const FRAMES_AHEAD: usize = 2;

/// The list in the path.
pub struct FrameList(String);

impl<S: Send + Sync> FromRequestParts<S> for FrameList {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path: Result<Path<Vec<(String, String)>>, _> = Path::from_request_parts(parts, state).await;
        let Path(params) = path.map_err(|_| Problem::bad_request("the path is not UTF-8"))?;
        let list = params
            .into_iter()
            .find(|(name, _)| name == "frames")
            .map(|(_, value)| value);
        list.map(Self)
            .ok_or_else(|| Problem::bad_request("the path names no frame"))
    }
}

impl FrameList {
    /// The frame numbers, which count from 1.
    ///
    /// # Errors
    /// [`Problem`] 400 for what is no list of frame numbers, or is longer than `max`.
    pub fn numbers(&self, max: usize) -> Result<Vec<u32>, Problem> {
        let mut numbers = Vec::new();
        for text in self.0.split(',') {
            if numbers.len() == max {
                return Err(Problem::bad_request(format!(
                    "more than {max} frames in one list: ask in several requests"
                )));
            }
            match text.trim().parse::<u32>() {
                Ok(number) if number > 0 => numbers.push(number),
                _ => {
                    let shown: String = text.chars().take(20).collect();
                    return Err(Problem::bad_request(format!(
                        "{shown:?} is no frame number: they count from 1"
                    )));
                }
            }
        }
        Ok(numbers)
    }
}

/// Which frames are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numbers {
    /// These, in this order.
    Listed(Vec<u32>),
    /// Every frame: the pixel data.
    All,
}

pub(super) async fn retrieve(
    State(state): State<DicomwebState>,
    resource: Resource,
    list: FrameList,
    accept: Accept,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let numbers = list.numbers(state.config.frame_list_max)?;
    let (Some(series), Some(instance)) = (&resource.series, &resource.instance) else {
        return Err(resource.not_found());
    };
    let record = state
        .retrieve
        .instance(&resource.sight, &resource.study, series, instance)
        .await?;
    frames_of(&state.retrieve, record, Numbers::Listed(numbers), &accept, &headers).await
}

/// Answers of more frames than this are not given: who wants all of so many takes the instance.
const FRAMES_MAX: u32 = 1_000_000;

/// The numbers of all frames that an instance has.
///
/// # Errors
/// [`Problem`] 413 for more than a list can hold.
pub fn every_frame(record: &InstanceRecord) -> Result<Vec<u32>, Problem> {
    match number_of_frames(record) {
        count if count > FRAMES_MAX => Err(Problem::too_large(format!(
            "the instance has {count} frames: ask for lists of them, or for the instance"
        ))),
        count => Ok((1..=count).collect()),
    }
}

/// Answers with frames of an instance in the best form that the client takes.
///
/// # Errors
/// [`Problem`] 404 for a frame that is not there, 406.
pub async fn frames_of(
    room: &Retrieve,
    record: InstanceRecord,
    numbers: Numbers,
    accept: &Accept,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    if record.pixel_data.is_none() {
        return Err(Problem::not_found(format!(
            "instance {} has no pixel data",
            record.sop_instance_uid
        )));
    }
    let number_of_frames = number_of_frames(&record);
    let (numbers, listed) = match numbers {
        Numbers::Listed(numbers) => {
            let listed = format!("{numbers:?}");
            (numbers, listed)
        }
        Numbers::All => (every_frame(&record)?, "all".to_owned()),
    };
    if let Some(number) = numbers.iter().find(|number| **number > number_of_frames) {
        return Err(Problem::not_found(format!(
            "frame {number} of instance {} is not there: it has {number_of_frames}",
            record.sop_instance_uid
        )));
    }
    let several = if numbers.len() == 1 {
        media::Parts::One
    } else {
        media::Parts::Several
    };
    let forms = media::frame_forms(accept, record.transfer_syntax_uid.as_str(), several);
    let mut refused = None;
    for form in forms {
        let kind = form.content_type();
        let etag = ETag::of([record.version().as_slice(), kind.as_bytes(), listed.as_bytes()]);
        if etag.is_known(headers) {
            return Ok(not_modified(&etag));
        }
        let Some(first) = numbers.first() else { break };
        match content(room, &record, *first, &form.content).await {
            Ok(first) => {
                let mut response = match form.packaging {
                    Packaging::Single => single(&form, first, headers)?,
                    Packaging::Multipart => parts(room, &record, &form, first, &numbers),
                };
                response.headers_mut().insert(header::ETAG, etag.header());
                return Ok(response);
            }
            Err(error @ (RetrieveError::Decode(_) | RetrieveError::TransferSyntax(_))) => refused = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    Err(refused.map_or_else(|| not_acceptable(&record), Problem::from))
}

fn not_acceptable(record: &InstanceRecord) -> Problem {
    let stored = record.transfer_syntax_uid.as_str();
    let named = format!(
        "multipart/related; type=\"{}\"; transfer-syntax={stored}",
        media::media_type(stored)
    );
    Problem::not_acceptable(&["multipart/related; type=\"application/octet-stream\"", &named])
}

async fn content(
    room: &Retrieve,
    record: &InstanceRecord,
    number: u32,
    content: &FrameContent,
) -> Result<Bytes, RetrieveError> {
    let frame_index = number.saturating_sub(1);
    match content {
        FrameContent::Stored => room.frame(record, frame_index).await,
        FrameContent::Decoded => room.decoded_frame(record, frame_index).await,
        FrameContent::Compressed(transfer_syntax) => room.compressed_frame(record, frame_index, transfer_syntax).await,
    }
}

/// One frame as the body itself, or a range of it: progressive viewers read the front of a frame first.
fn single(form: &FrameForm, frame: Bytes, headers: &HeaderMap) -> Result<Response, Problem> {
    let length = frame.len() as u64;
    let (body, part) = match conditional::range(headers, length) {
        Wanted::Whole => (frame, None),
        Wanted::Part(part) => (frame.slice(part.start as usize..part.end as usize), Some(part)),
        Wanted::Nothing => return Err(Problem::range_not_satisfiable(length)),
    };
    let mut response = typed(&form.content_type(), Some(body.len() as u64), Body::from(body));
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

fn parts(room: &Retrieve, record: &InstanceRecord, form: &FrameForm, first: Bytes, numbers: &[u32]) -> Response {
    let boundary = Boundary::random();
    let content_type = form.content_type();
    let outer = boundary.content_type(form.media_type);
    let close = boundary.close();
    let head = boundary.open(true, &content_type, Some(first.len() as u64), None);
    if numbers.len() == 1 {
        let length = (head.len() + first.len() + close.len()) as u64;
        let pieces = stream::iter([head, first, close].map(Ok));
        return typed(&outer, Some(length), stream_body(pieces));
    }
    let rest: Vec<u32> = numbers.iter().skip(1).copied().collect();
    let (room, record, kind) = (room.clone(), record.clone(), form.content.clone());
    let rest = stream::iter(rest)
        .map(move |number| {
            let (room, record, kind) = (room.clone(), record.clone(), kind.clone());
            async move { content(&room, &record, number, &kind).await }
        })
        .buffered(FRAMES_AHEAD)
        .map(move |frame| match frame {
            Ok(frame) => {
                let head = boundary.open(false, &content_type, Some(frame.len() as u64), None);
                vec![Ok(head), Ok(frame)]
            }
            Err(error) => vec![Err(error)],
        })
        .map(stream::iter)
        .flatten();
    let pieces = stream::iter([head, first].map(Ok))
        .chain(rest)
        .chain(stream::iter([Ok(close)]));
    typed(&outer, None, stream_body(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, expected: Option<&[u32]>) {
        assert_eq!(FrameList(list.to_owned()).numbers(4).ok().as_deref(), expected);
    }

    #[test]
    fn reads_a_list_in_its_order() {
        check("1", Some(&[1]));
        check("3,1, 2", Some(&[3, 1, 2]));
    }

    #[test]
    fn refuses_what_is_no_list() {
        for list in ["", "0", "abc", "1,", "-1", "1,2,3,4,5", "99999999999"] {
            check(list, None);
        }
    }
}
