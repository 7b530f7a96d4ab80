//! `rendered` of films (PS3.18 table 8.7.4-1, category video): the stream as it is stored, whole or a range of it, which is how
//! browsers play it.

use axum::{
    http::{HeaderMap, header},
    response::Response,
};
use filmroom_storage::model::InstanceRecord;
use futures_util::TryStreamExt as _;

use super::answer;
use crate::{
    DicomwebState,
    accept::{Accept, Offer},
    bulkdata,
    error::Problem,
    wado::media,
};
use filmroom_retrieve::Bulk;

/// Pixel Data (7FE0,0010) as a path of bulk data.
const PIXEL_DATA: &str = "7FE00010";
/// Bytes that show a container.
const HEAD_BYTES: u64 = 12;

/// True for an instance whose pixels are a film.
pub(super) fn is_film(record: &InstanceRecord) -> bool {
    media::media_type(record.transfer_syntax_uid.as_str()).starts_with("video/")
}

/// Answers with the film.
///
/// # Errors
/// [`Problem`] 406 for a stream that no medium of the table holds, or of none that the client takes.
pub(super) async fn retrieve(
    state: &DicomwebState,
    record: &InstanceRecord,
    accept: &Accept,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let film = state.retrieve.bulk(record, PIXEL_DATA).await?;
    let Some(media_type) = container(&film, record).await? else {
        return Err(Problem::not_acceptable(&[
            "the stream itself, from its bulk data (it is in no container that players know, and single pictures are not decoded)",
        ]));
    };
    let offer = accept.negotiate(&[Offer::single(media_type)])?;
    let tag = answer::tag(record, offer, "film");
    if let Some(response) = answer::known(&tag, headers) {
        return Ok(response);
    }
    let mut response = bulkdata::single(&film, media_type, headers)?;
    response.headers_mut().insert(header::ETAG, tag.header());
    Ok(response)
}

/// The media type of the stream: MPEG-2 is its own, H.264 and HEVC are played out of an MP4 file.
async fn container(film: &Bulk, record: &InstanceRecord) -> Result<Option<&'static str>, Problem> {
    if media::media_type(record.transfer_syntax_uid.as_str()) == "video/mpeg" {
        return Ok(Some("video/mpeg"));
    }
    let head: Vec<_> = film.stream(0..HEAD_BYTES.min(film.length())).try_collect().await?;
    Ok((head.concat().get(4..8) == Some(b"ftyp")).then_some("video/mp4"))
}
