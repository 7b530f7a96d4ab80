//! Storing (PS3.18 §10.5): parts stream into the archive as they come; what is answered is safe.

use std::net::SocketAddr;

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, Request, State},
    http::{HeaderMap, header, request::Parts},
    response::{IntoResponse, Response},
};
use filmroom_access::{Action, Principal};
use filmroom_admission::{Caller, Routes, Rule};
use filmroom_ingest::Authority;
use filmroom_storage::model::{Door, Origin, StudyInstanceUid};

use super::{
    DicomwebState,
    accept::{Accept, Offer},
    base_url::BaseUrl,
    error::Problem,
    multipart::{BodyError, BodyStream, ContentType, MultipartError, MultipartReader, bounded},
};

mod assemble;
pub(crate) mod codestream;
mod instance;
mod metadata;
mod outcome;
mod png;
mod spool;
mod taking;

use instance::{Pieces, Whole};
pub(super) use metadata::Turns;
use outcome::{Outcomes, ResponseForm};
use taking::Taking;

const TAKEN: &[&str] = &[
    "multipart/related; type=\"application/dicom\"",
    "multipart/related; type=\"application/dicom+json\"",
    "multipart/related; type=\"application/dicom+xml\"",
    "application/dicom",
];

/// Parts of one request: what became of each is kept until the answer.
const PARTS_MAX: usize = 100_000;

/// The routes of this service.
pub(super) fn routes() -> Routes<DicomwebState> {
    const STORE: Rule = Rule::May(Action::Store);
    Routes::new()
        .post(STORE, "/studies", store)
        .post(STORE, "/studies/{study}", store)
}

/// What is the same for all parts of a request.
struct Asked {
    study: Option<StudyInstanceUid>,
    origin: Origin,
    authority: Authority,
    form: ResponseForm,
    base: BaseUrl,
}

async fn store(
    State(state): State<DicomwebState>,
    Path(params): Path<Vec<(String, String)>>,
    accept: Result<Accept, Problem>,
    base: BaseUrl,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let study = params
        .iter()
        .find(|(name, _)| name == "study")
        .map(|(_, value)| StudyInstanceUid::new(value))
        .transpose()
        .map_err(|error| Problem::bad_request(format!("the study in the path is no UID: {error}")))?;
    let address = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|ConnectInfo(address)| address.ip().to_string());
    let asked = Asked {
        study,
        origin: Origin {
            door: Door::Dicomweb,
            sender: sender(&parts),
            receiver: parts.uri.path().to_owned(),
            address: address.unwrap_or_default(),
        },
        authority: authority(&parts),
        form: response_form(&accept.unwrap_or_else(|_| Accept::any())),
        base,
    };
    if let Some(coding) = parts.headers.get(header::CONTENT_ENCODING)
        && !coding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        return Err(Problem::unsupported_content_coding());
    }
    let content_type = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(ContentType::parse)
        .ok_or_else(|| Problem::unsupported_media_type(TAKEN))?;
    if let Some(length) = content_length(&parts.headers)
        && length > state.config.stow_body_max_bytes
    {
        return Err(too_large(state.config.stow_body_max_bytes));
    }
    take(state, asked, content_type, body).await
}

/// In whose name it is sent, as far as it matters for what is rejected.
fn authority(parts: &Parts) -> Authority {
    match Caller::of(&parts.extensions) {
        Some(principal) if principal.may(Action::Reject) => match principal.person() {
            Some(person) => Authority::Rejecting(person.to_owned()),
            None => Authority::Rejecting(format!("token:{}", principal.name)),
        },
        _ => Authority::None,
    }
}

/// Who sends: the user, where the sender is known, else the program as it calls itself.
fn sender(parts: &Parts) -> String {
    match Caller::of(&parts.extensions).map_or("", Principal::known_name) {
        "" => user_agent(&parts.headers).trim_start_matches(Origin::USER).to_owned(),
        name => format!("{}{name}", Origin::USER),
    }
}

/// The name by which the sender calls itself, as far as it is plain.
fn user_agent(headers: &HeaderMap) -> String {
    let agent = headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    agent.chars().take(64).collect()
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(max: u64) -> Problem {
    Problem::too_large(format!(
        "the body is longer than {max} bytes: store in several requests"
    ))
}

/// The answer's form. A sender whose list names nothing that this service writes still learns what became of its
/// instances.
fn response_form(accept: &Accept) -> ResponseForm {
    const OFFERS: &[(Offer, ResponseForm)] = &[
        (
            Offer::single("application/dicom+json"),
            ResponseForm::Json("application/dicom+json"),
        ),
        (
            Offer::single("application/json"),
            ResponseForm::Json("application/json"),
        ),
        (
            Offer::single("application/dicom+xml"),
            ResponseForm::Xml("application/dicom+xml"),
        ),
        (Offer::single("application/xml"), ResponseForm::Xml("application/xml")),
        (
            Offer::multipart("application/dicom+xml"),
            ResponseForm::Xml("application/dicom+xml"),
        ),
    ];
    let offers: Vec<Offer> = OFFERS.iter().map(|(offer, _)| *offer).collect();
    let chosen = accept.choose(&offers);
    OFFERS
        .iter()
        .find(|(offer, _)| Some(*offer) == chosen)
        .map_or(ResponseForm::Json("application/dicom+json"), |(_, form)| *form)
}

/// How the parts of a request are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Each part is an instance.
    Dicom,
    /// One part describes the instances, the others are their bulk data.
    Metadata,
}

async fn take(state: DicomwebState, asked: Asked, content_type: ContentType, body: Body) -> Result<Response, Problem> {
    let config = &state.config;
    let body = bounded(body, config.stow_body_max_bytes, config.body_idle_max);
    let ingest = || state.ingest.in_the_name_of(asked.authority.clone());
    if content_type.media_type == "application/dicom" {
        let mut taking = Taking::new(ingest(), asked.study.clone(), asked.origin.clone());
        let mut whole = Whole(body);
        let broken = taking.instance(&mut whole, None).await.err();
        return answer(asked, taking.outcomes().await, broken.map(MultipartError::Body));
    }
    if content_type.media_type != "multipart/related" {
        return Err(Problem::unsupported_media_type(TAKEN));
    }
    let boundary = content_type.parameter("boundary").unwrap_or_default();
    let mut reader = MultipartReader::new(body, boundary).map_err(|error| Problem::bad_request(error.to_string()))?;
    let declared = content_type.parameter("type").map(str::to_ascii_lowercase);
    let declared = declared
        .as_deref()
        .map(|declared| kind_of(declared).ok_or_else(|| Problem::unsupported_media_type(TAKEN)));
    let declared = declared.transpose()?;
    let mut taking = Taking::new(ingest(), asked.study.clone(), asked.origin.clone());
    let broken = take_parts(&state, &mut reader, declared, &mut taking).await.err();
    answer(asked, taking.outcomes().await, broken)
}

fn kind_of(media_type: &str) -> Option<Kind> {
    match media_type {
        "application/dicom" => Some(Kind::Dicom),
        "application/dicom+json" | "application/json" | "application/dicom+xml" | "application/xml" | "text/xml" => {
            Some(Kind::Metadata)
        }
        _ => None,
    }
}

/// Reads every part. An error ends the request; what was stored before stays stored.
async fn take_parts(
    state: &DicomwebState,
    reader: &mut Reader,
    declared: Option<Kind>,
    taking: &mut Taking,
) -> Result<(), MultipartError> {
    let mut described = metadata::Described::new(state.config.stow_metadata_max_bytes, state.turns.clone());
    let mut kind = declared;
    let mut count = 0;
    while let Some(headers) = reader.next_part().await? {
        count += 1;
        if count > PARTS_MAX {
            return Err(MultipartError::Parts(PARTS_MAX));
        }
        let media_type = headers
            .content_type
            .as_ref()
            .map(|content_type| content_type.media_type.as_str());
        let kind = *kind.get_or_insert_with(|| media_type.and_then(kind_of).unwrap_or(Kind::Dicom));
        let encoding = headers.content_transfer_encoding.as_deref().unwrap_or("binary");
        if !matches!(encoding, "binary" | "8bit" | "7bit") {
            taking.refuse_part(&format!(
                "content transfer encoding {encoding} is not taken: send binary"
            ));
            continue;
        }
        match kind {
            Kind::Dicom => match media_type {
                None | Some("application/dicom" | "application/octet-stream") => {
                    taking.instance(reader, headers.content_length).await?;
                }
                Some(other) => taking.refuse_part(&format!("a part of media type {other} among instances")),
            },
            Kind::Metadata => described.take(reader, headers, taking).await?,
        }
    }
    described.finish(taking).await;
    Ok(())
}

type Reader = MultipartReader<BodyStream>;

impl Pieces for Reader {
    type Error = MultipartError;

    async fn piece(&mut self) -> Result<Option<bytes::Bytes>, MultipartError> {
        MultipartReader::piece(self).await
    }
}

/// The answer. A body that broke off after instances were stored is answered with these; one that held nothing is refused
/// as a whole.
fn answer(asked: Asked, outcomes: Outcomes, broken: Option<MultipartError>) -> Result<Response, Problem> {
    if let Some(error) = broken {
        tracing::warn!(%error, stored = outcomes.stored(), "a STOW request broke off");
        if outcomes.stored() == 0 {
            return Err(match error {
                MultipartError::Body(BodyError::TooLarge(max)) => too_large(max),
                MultipartError::Body(BodyError::Idle(_)) => Problem::request_timeout(),
                MultipartError::Parts(_) => Problem::too_large(error.to_string()),
                other => Problem::bad_request(other.to_string()),
            });
        }
        let mut outcomes = outcomes;
        outcomes.broke_off();
        return Ok(outcomes
            .respond(&asked.base, asked.study.as_ref(), asked.form)
            .into_response());
    }
    if outcomes.is_empty() {
        return Err(Problem::bad_request("the body holds no instance"));
    }
    if let Some(problem) = outcomes.refusal() {
        return Err(problem);
    }
    Ok(outcomes
        .respond(&asked.base, asked.study.as_ref(), asked.form)
        .into_response())
}
