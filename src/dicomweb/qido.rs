//! Search (PS3.18 §10.6).

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, State},
    http::HeaderMap,
    response::Response,
};
use filmroom_access::Action;
use filmroom_admission::{Routes, Rule, Seen};
use filmroom_storage::model::{Tag, check_uid};

use super::{
    DicomwebState,
    accept::{Accept, Offer},
    base_url::BaseUrl,
    error::Problem,
    query_string::QueryString,
};
use filmroom_query::{Answers, Key, Level, Query};

mod answer;
pub(crate) mod parameters;

const STUDY_INSTANCE_UID: Tag = 0x0020_000D;
const SERIES_INSTANCE_UID: Tag = 0x0020_000E;
const PATIENT_ID: Tag = 0x0010_0020;

/// What searches answer in, preferred first.
const OFFERS: [Offer; 3] = [
    Offer::single("application/dicom+json"),
    Offer::single("application/json"),
    Offer::multipart("application/dicom+xml"),
];

/// The searches: path, and what an answer describes.
const SEARCHES: [(&str, Level); 9] = [
    ("/patients", Level::Patient),
    ("/patients/{patient}/studies", Level::Study),
    ("/studies", Level::Study),
    ("/series", Level::Series),
    ("/instances", Level::Instance),
    ("/studies/{study}/series", Level::Series),
    ("/studies/{study}/instances", Level::Instance),
    ("/studies/{study}/series/{series}/instances", Level::Instance),
    ("/series/{series}/instances", Level::Instance),
];

/// The routes of this service.
pub(super) fn routes() -> Routes<DicomwebState> {
    SEARCHES.into_iter().fold(Routes::new(), |routes, (path, level)| {
        let handler =
            move |State(state): State<DicomwebState>,
                  Path(named): Path<Vec<(String, String)>>,
                  accept: Accept,
                  base: BaseUrl,
                  query: QueryString,
                  seen: Seen,
                  headers: HeaderMap| search(state, level, named, accept, base, query, seen, headers);
        routes.get(Rule::May(Action::Query), path, handler)
    })
}

#[expect(
    clippy::too_many_arguments,
    reason = "what a request says, each part read by its own extractor"
)]
async fn search(
    state: DicomwebState,
    level: Level,
    named: Vec<(String, String)>,
    accept: Accept,
    base: BaseUrl,
    query_string: QueryString,
    Seen(sight): Seen,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let offer = accept.negotiate(&OFFERS)?;
    let mut asked = parameters::read(level, &query_string, &state.config, sight)?;
    add_path(&mut asked.query, &named)?;
    asked.query.retrieve_url_base = Some(base.as_str().to_owned());
    let encoded = run(&state, asked.query, move |answers| answer::encode(answers, offer)).await?;
    Ok(answer::respond(
        encoded,
        &asked.warnings,
        base.as_str(),
        &state.config,
        &headers,
    ))
}

/// What the path names are keys like others; a search over all studies or series returns what leads to each answer.
fn add_path(query: &mut Query, named: &[(String, String)]) -> Result<(), Problem> {
    let mut names = |name: &str, tag: Tag| -> Result<bool, Problem> {
        let Some((_, value)) = named.iter().find(|(other, _)| other == name) else {
            return Ok(false);
        };
        if name != "patient" {
            check_uid(value)
                .map_err(|error| Problem::bad_request(format!("the {name} named in the path is no UID: {error}")))?;
        }
        query.keys.push(Key {
            path: vec![tag],
            value: value.clone(),
        });
        Ok(true)
    };
    names("patient", PATIENT_ID)?;
    let (study, series) = (
        names("study", STUDY_INSTANCE_UID)?,
        names("series", SERIES_INSTANCE_UID)?,
    );
    parameters::include_parents(query, study, series);
    Ok(())
}

/// Searches on a blocking thread, as many at a time as configured; `encode` runs there too. A search goes on to its end when
/// the client goes away, and holds its permit so long.
async fn run<T: Send + 'static>(
    state: &DicomwebState,
    query: Query,
    encode: impl FnOnce(Answers) -> T + Send + 'static,
) -> Result<T, Problem> {
    let permits = Arc::clone(&state.queries);
    let wait: Duration = state.config.query_wait_max;
    let permit = match tokio::time::timeout(wait, permits.acquire_owned()).await {
        Ok(Ok(permit)) => permit,
        Ok(Err(_)) => return Err(Problem::unavailable("the archive is stopping")),
        Err(_) => {
            return Err(Problem::unavailable(
                "too many searches at the same time: try again in a moment",
            ));
        }
    };
    let room = state.query.clone();
    let search = tokio::task::spawn_blocking(move || {
        let found = room.find(&query).map(encode);
        drop(permit);
        found
    });
    search.await.map_err(Problem::internal)?.map_err(Problem::from)
}
