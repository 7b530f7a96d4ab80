//! Tells the audit trail of every request that asks for, or changes, something of the archive: after it was carried out, and
//! before its answer leaves.

use std::net::SocketAddr;

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Method, StatusCode, Uri},
    middleware::Next,
    response::{IntoResponse, Response},
};
use filmroom_access::Principal;
use filmroom_admission::{Caller as Known, Refusal};
use filmroom_audit::{AuditError, Caller, EventType, Outcome, Trail, Way, transfers::Item};
use percent_encoding::percent_decode_str;

/// What the layer knows.
#[derive(Clone)]
pub struct HttpTrail {
    /// Where events go.
    pub trail: Trail,
    /// The path of DICOMweb, without a slash at its end.
    pub dicomweb: String,
}

/// The layer.
pub async fn record(State(state): State<HttpTrail>, request: Request, next: Next) -> Response {
    let asked = match state.trail.is_on() {
        true => Asked::of(&state.dicomweb, request.method(), request.uri()),
        false => None,
    };
    let Some(asked) = asked else {
        return next.run(request).await;
    };
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let place = address
        .map(|ConnectInfo(address)| address.to_string())
        .unwrap_or_default();
    let user = Known::of(request.extensions())
        .map_or("", Principal::known_name)
        .to_owned();
    let response = next.run(request).await;
    // Who is not known is told of by who asked them; a page leads them elsewhere.
    if let Some(refusal) = response.extensions().get::<Refusal>()
        && *refusal != Refusal::NotLet
    {
        return response;
    }
    let who = Caller {
        user: &user,
        place: &place,
        ..Caller::default()
    };
    match asked.tell(&state.trail, who, response.status()).await {
        Ok(()) => response,
        Err(error) => {
            tracing::error!(%error, "a request is refused: it cannot be recorded");
            let sentence = "the archive cannot record who asks for what, and answers nobody until it can";
            (StatusCode::SERVICE_UNAVAILABLE, sentence).into_response()
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    /// What there is.
    Question { service: &'static str, text: String },
    /// Something of a study.
    Study {
        service: &'static str,
        study: String,
        series: String,
        instance: String,
        what: &'static str,
    },
    /// That instances be taken in; those that are have been recorded by then.
    Taking { study: String },
    /// That a setting be another.
    Change { what: String, method: Method },
}

/// What of a study is asked for, by the words of paths.
const WHAT: [&str; 7] = [
    "metadata",
    "rendered",
    "thumbnail",
    "frames",
    "bulkdata",
    "pixeldata",
    "instances",
];

/// What stands before the path of a study where another view is asked.
const VIEWS: [&str; 2] = ["regular", "manager"];

/// What of the API says who may come in.
const OF_USERS: [&str; 4] = [
    "/api/v1/accounts",
    "/api/v1/tokens",
    "/api/v1/session",
    "/api/v1/grants",
];

/// What of the API names patients.
const OF_PATIENTS: [&str; 14] = [
    "rejections",
    "returned",
    "grants",
    "emergencies",
    "labels",
    "worklist",
    "procedure-steps",
    "studies",
    "facts",
    "retention-decisions",
    "holds",
    "disposal-batches",
    "certificates/",
    "tombstones",
];

impl Asked {
    /// `None` where neither data nor settings are asked for: pages' styles, capabilities, health.
    fn of(dicomweb: &str, method: &Method, uri: &Uri) -> Option<Self> {
        let is_reading = matches!(*method, Method::GET | Method::HEAD);
        let path = uri.path();
        if let Some(path) = path.strip_prefix("/api/v1/") {
            let names_patients = OF_PATIENTS.iter().any(|start| path.starts_with(start));
            return match is_reading {
                true => names_patients.then(|| question("api", uri)),
                false => (method != Method::OPTIONS).then(|| Self::Change {
                    what: uri.path().to_owned(),
                    method: method.clone(),
                }),
            };
        }
        if let Some(path) = path.strip_prefix(dicomweb).filter(|path| path.starts_with('/')) {
            let mut segments: Vec<&str> = path.split('/').skip(1).filter(|segment| !segment.is_empty()).collect();
            // Another view of the same.
            if segments.first().is_some_and(|first| VIEWS.contains(first)) {
                segments.remove(0);
            }
            return match *method {
                Method::POST => Self::posted(&segments),
                _ if is_reading => Self::web(&segments, uri),
                _ => None,
            };
        }
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        match segments.as_slice() {
            _ if !is_reading => None,
            [] => Some(question("page", uri)),
            ["studies", study] => Some(part("page", study, "", "", "page")),
            ["studies", study, "series", series] => Some(part("page", study, series, "", "page")),
            _ => None,
        }
    }

    fn posted(segments: &[&str]) -> Option<Self> {
        match segments {
            ["studies"] => Some(Self::Taking {
                study: "unknown".to_owned(),
            }),
            ["studies", study] => Some(Self::Taking {
                study: (*study).to_owned(),
            }),
            _ => None,
        }
    }

    fn web(segments: &[&str], uri: &Uri) -> Option<Self> {
        match segments {
            ["studies" | "series" | "instances"] => Some(question("QIDO-RS", uri)),
            ["changes"] => Some(question("changes", uri)),
            ["studies", .., "series" | "instances"] => Some(question("QIDO-RS", uri)),
            ["wado"] => {
                let text = |name: &str| parameter(uri, name).unwrap_or_default();
                let (study, series, instance) = (text("studyUID"), text("seriesUID"), text("objectUID"));
                Some(part("WADO-URI", &study, &series, &instance, "instances"))
            }
            ["studies", study, rest @ ..] => {
                let after = |word: &str| {
                    let mut pairs = rest.windows(2);
                    pairs.find_map(|pair| match pair {
                        [name, uid] if *name == word => Some(*uid),
                        _ => None,
                    })
                };
                let series = after("series").unwrap_or_default();
                let instance = after("instances").unwrap_or_default();
                let what = WHAT.into_iter().find(|what| rest.contains(what)).unwrap_or("instances");
                Some(part("WADO-RS", study, series, instance, what))
            }
            _ => None,
        }
    }

    async fn tell(&self, trail: &Trail, who: Caller<'_>, status: StatusCode) -> Result<(), AuditError> {
        let outcome = match status.as_u16() {
            ..400 => Outcome::Success,
            400..500 => Outcome::MinorFailure,
            _ => Outcome::SeriousFailure,
        };
        match self {
            Self::Question { service, text } => trail.queried(who, service, outcome, || text.clone()).await,
            Self::Study {
                service,
                study,
                series,
                instance,
                what,
            } => {
                let item = Item {
                    series_instance_uid: series,
                    sop_class_uid: "",
                    sop_instance_uid: instance,
                    what,
                };
                trail
                    .went(Way::Out { to: who }, service, study, outcome, item, || None)
                    .await
            }
            Self::Taking { .. } if outcome == Outcome::Success => Ok(()),
            Self::Taking { study } => {
                let item = Item {
                    series_instance_uid: "",
                    sop_class_uid: "",
                    sop_instance_uid: "",
                    what: "requests",
                };
                trail
                    .went(Way::In { from: who }, "STOW-RS", study, outcome, item, || None)
                    .await
            }
            Self::Change { what, method } => {
                let is_of_users = OF_USERS.iter().any(|start| what.starts_with(start));
                let below = what.strip_prefix("/api/v1/").unwrap_or_default();
                let kind = match below.split('/').next().unwrap_or_default() {
                    _ if is_of_users => EventType::UserSecurityAttributesChanged,
                    "holds" | "facts" | "disposal-batches" | "studies" | "emergencies" => {
                        EventType::ObjectSecurityAttributesChanged
                    }
                    "policy-submissions" => EventType::SecurityConfiguration,
                    _ => EventType::NetworkConfiguration,
                };
                trail.configured(who, kind, what, method.as_str(), outcome).await
            }
        }
    }
}

fn question(service: &'static str, uri: &Uri) -> Asked {
    let text = uri.path_and_query().map_or("", |text| text.as_str());
    Asked::Question {
        service,
        text: decoded(text),
    }
}

fn part(service: &'static str, study: &str, series: &str, instance: &str, what: &'static str) -> Asked {
    Asked::Study {
        service,
        study: decoded(study),
        series: decoded(series),
        instance: decoded(instance),
        what,
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    let mut found = pairs.filter(|(found, _)| *found == name);
    found.next().map(|(_, value)| decoded(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: Method, uri: &str, expected: Option<Asked>) {
        assert_eq!(
            Asked::of("/dicom-web", &method, &uri.parse().unwrap()),
            expected,
            "{uri}"
        );
    }

    #[test]
    fn every_way_to_a_study_is_told_by_its_path() {
        let get = Method::GET;
        let of = |series, instance, what| Some(part("WADO-RS", "1.2", series, instance, what));
        check(get.clone(), "/dicom-web/studies/1.2", of("", "", "instances"));
        check(get.clone(), "/dicom-web/studies/1.2/metadata", of("", "", "metadata"));
        check(
            get.clone(),
            "/dicom-web/studies/1.2/series/1.3/thumbnail",
            of("1.3", "", "thumbnail"),
        );
        let instance = "/dicom-web/studies/1.2/series/1.3/instances/1.4";
        check(get.clone(), instance, of("1.3", "1.4", "instances"));
        for (path, what) in [
            ("frames/1,2", "frames"),
            ("frames/1/rendered", "rendered"),
            ("bulkdata/7FE00010", "bulkdata"),
            ("pixeldata", "pixeldata"),
            ("rendered?viewport=1,1", "rendered"),
        ] {
            check(get.clone(), &format!("{instance}/{path}"), of("1.3", "1.4", what));
        }
        let uri = "/dicom-web/wado?requestType=WADO&studyUID=1.2&seriesUID=1.3&objectUID=1.4";
        check(
            get.clone(),
            uri,
            Some(part("WADO-URI", "1.2", "1.3", "1.4", "instances")),
        );
        check(get.clone(), "/studies/1.2", Some(part("page", "1.2", "", "", "page")));
        check(
            get,
            "/studies/1.2/series/1.3",
            Some(part("page", "1.2", "1.3", "", "page")),
        );
    }

    #[test]
    fn questions_changes_and_what_holds_no_data_are_told_apart() {
        let ask = |service, text: &str| {
            Some(Asked::Question {
                service,
                text: text.to_owned(),
            })
        };
        let uri = "/dicom-web/studies?PatientName=Doe%5EJ*";
        check(
            Method::GET,
            uri,
            ask("QIDO-RS", "/dicom-web/studies?PatientName=Doe^J*"),
        );
        let uri = "/dicom-web/studies/1.2/series";
        check(Method::GET, uri, ask("QIDO-RS", uri));
        let uri = "/dicom-web/studies/1.2/series/1.3/instances";
        check(Method::GET, uri, ask("QIDO-RS", uri));
        check(Method::GET, "/?q=Doe", ask("page", "/?q=Doe"));
        let taking = |study: &str| {
            Some(Asked::Taking {
                study: study.to_owned(),
            })
        };
        check(Method::POST, "/dicom-web/studies", taking("unknown"));
        check(Method::POST, "/dicom-web/studies/1.2", taking("1.2"));
        let change = Asked::Change {
            what: "/api/v1/peers/CT".to_owned(),
            method: Method::PUT,
        };
        check(Method::PUT, "/api/v1/peers/CT", Some(change));
        for uri in [
            "/dicom-web",
            "/dicom-web/",
            "/dicom-web/openapi.json",
            "/healthz",
            "/metrics",
            "/console/console.css",
            "/api/v1/peers",
            "/favicon.ico",
        ] {
            check(Method::GET, uri, None);
        }
        check(Method::OPTIONS, "/dicom-web/studies", None);
        check(Method::OPTIONS, "/api/v1/peers", None);
    }
}
