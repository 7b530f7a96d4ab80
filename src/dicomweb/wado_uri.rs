//! Retrieval by query parameters (PS3.18 §9): the older service, told in the words of the newer one.

use std::fmt::Write as _;

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, Request, header},
    response::{IntoResponse, Response},
};
use filmroom_access::Action;
use filmroom_admission::{Caller, Routes, Rule, Seen};
use filmroom_privacy::Sight;
use filmroom_storage::model::{InstanceRecord, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, UidError};
use futures_util::TryStreamExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tower::ServiceExt;

use super::{
    DicomwebState,
    error::Problem,
    query_string::QueryString,
    rendered,
    wado::{Preference, one_instance, typed},
};
use filmroom_retrieve::Selection;

const DICOM: &str = "application/dicom";

/// The routes of this service.
pub(super) fn routes() -> Routes<DicomwebState> {
    Routes::new().get(Rule::May(Action::Retrieve), "/wado", retrieve)
}

async fn retrieve(
    State(state): State<DicomwebState>,
    query: QueryString,
    headers: HeaderMap,
    Extension(caller): Extension<Caller>,
    Seen(sight): Seen,
) -> Result<Response, Problem> {
    if !query
        .get("requestType")
        .is_some_and(|kind| kind.eq_ignore_ascii_case("WADO"))
    {
        return Err(Problem::bad_request("requestType is WADO"));
    }
    let record = record(&state, &query, sight).await?;
    let content_type = query.get("contentType").filter(|list| !list.trim().is_empty());
    let content_type = content_type.unwrap_or_else(|| default_type(&record));
    if content_type.split(',').next().map(media_type) == Some(DICOM) {
        let preference = Preference::of([query.get("transferSyntax").filter(|uid| !uid.is_empty())]);
        let one = one_instance(&state.retrieve, &record, &preference).await?;
        let mut response = typed(DICOM, one.length, one.body);
        let name = format!("attachment; filename=\"{}.dcm\"", record.sop_instance_uid);
        if let Ok(value) = HeaderValue::from_str(&name) {
            response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
        }
        return Ok(response);
    }
    rendered(state, &record, &query, content_type, &headers, caller).await
}

fn media_type(range: &str) -> &str {
    range.split(';').next().unwrap_or_default().trim()
}

/// One picture for an image of one frame, the instance itself for everything else (PS3.18 §9.1.2.2.1).
fn default_type(record: &InstanceRecord) -> &'static str {
    match &record.pixel_data {
        Some(pixel_data) if pixel_data.number_of_frames <= 1 => "image/jpeg",
        _ => DICOM,
    }
}

async fn record(state: &DicomwebState, query: &QueryString, sight: Sight) -> Result<InstanceRecord, Problem> {
    let malformed = |name: &str, error: UidError| Problem::bad_request(format!("{name} is no UID: {error}"));
    let instance = query
        .get("objectUID")
        .ok_or_else(|| Problem::bad_request("objectUID names the instance and is missing"))?;
    let instance = SopInstanceUid::new(instance).map_err(|error| malformed("objectUID", error))?;
    let mut selection = Selection {
        instances: vec![instance.clone()],
        ..Selection::of(sight.clone())
    };
    if let Some(study) = query.get("studyUID") {
        selection.studies = vec![StudyInstanceUid::new(study).map_err(|error| malformed("studyUID", error))?];
    }
    if let Some(series) = query.get("seriesUID") {
        selection.series = vec![SeriesInstanceUid::new(series).map_err(|error| malformed("seriesUID", error))?];
    }
    let study = selection.studies.first().cloned();
    let found = state.retrieve.select(selection).try_next().await?;
    let name = || format!("instance {instance}");
    found.ok_or_else(|| {
        let missing = state.retrieve.missing(&sight, study.as_ref(), &instance, name());
        missing.into()
    })
}

/// Hands the request to the rendered resource of the instance or frame.
async fn rendered(
    state: DicomwebState,
    record: &InstanceRecord,
    query: &QueryString,
    content_type: &str,
    headers: &HeaderMap,
    caller: Caller,
) -> Result<Response, Problem> {
    let mut uri = format!(
        "/studies/{}/series/{}/instances/{}",
        record.study_instance_uid, record.series_instance_uid, record.sop_instance_uid
    );
    if let Some(frame) = query.get("frameNumber").filter(|frame| !frame.is_empty()) {
        // Writing to a string cannot fail.
        let _ = write!(uri, "/frames/{}", encoded(frame));
    }
    let parameters = parameters(query)?;
    let _ = write!(uri, "/rendered?accept={}", encoded(content_type));
    for (name, value) in parameters {
        let _ = write!(uri, "&{name}={}", encoded(&value));
    }
    let mut request = Request::get(uri)
        .body(Body::empty())
        .map_err(|error| Problem::bad_request(error.to_string()))?;
    for name in [header::HOST, header::IF_NONE_MATCH] {
        if let Some(value) = headers.get(&name) {
            request.headers_mut().insert(name, value.clone());
        }
    }
    // It is decided on as the request for it is.
    request.extensions_mut().insert(caller);
    let router = rendered::routes().into_router().with_state::<()>(state);
    match router.oneshot(request).await {
        Ok(response) => Ok(response.into_response()),
        Err(never) => match never {},
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// The parameters of PS3.18 §9.1.2.2 in the words of §8.3.5.
fn parameters(query: &QueryString) -> Result<Vec<(&'static str, String)>, Problem> {
    let mut parameters = Vec::new();
    let given = |name| query.get(name).filter(|value| !value.trim().is_empty());
    match (given("windowCenter"), given("windowWidth")) {
        (Some(center), Some(width)) => parameters.push(("window", format!("{center},{width},linear"))),
        (None, None) => {}
        _ => return Err(Problem::bad_request("windowCenter and windowWidth are given together")),
    }
    let (rows, columns) = (given("rows"), given("columns"));
    if rows.is_some() || columns.is_some() {
        // A side that is not given does not bound the picture.
        let side = |given: Option<&str>| given.unwrap_or("8192").to_owned();
        parameters.push(("viewport", format!("{},{}", side(columns), side(rows))));
    }
    if given("region").is_some() {
        return Err(Problem::bad_request(
            "region is not taken here: ask the rendered resource of the instance with a viewport",
        ));
    }
    if let Some(quality) = given("imageQuality") {
        parameters.push(("quality", quality.to_owned()));
    }
    if let Some(annotation) = given("annotation") {
        parameters.push(("annotation", annotation.to_owned()));
    }
    if let Some(anonymize) = given("anonymize")
        && anonymize.eq_ignore_ascii_case("yes")
    {
        return Err(Problem::bad_request("anonymize=yes is not offered"));
    }
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Option<&[(&str, &str)]>) {
        let parameters = parameters(&QueryString::parse(query).unwrap()).ok();
        let got: Option<Vec<_>> = parameters
            .as_ref()
            .map(|parameters| parameters.iter().map(|(name, value)| (*name, value.as_str())).collect());
        assert_eq!(got.as_deref(), expected);
    }

    #[test]
    fn parameters_are_told_in_the_newer_words() {
        check("", Some(&[]));
        check(
            "windowCenter=40&windowWidth=400&imageQuality=80",
            Some(&[("window", "40,400,linear"), ("quality", "80")]),
        );
        check("rows=64&columns=32", Some(&[("viewport", "32,64")]));
        check("rows=64", Some(&[("viewport", "8192,64")]));
        check("windowCenter=40", None);
        check("anonymize=yes", None);
    }
}
