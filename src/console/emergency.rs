//! `/emergency`: access that somebody takes who needs it now, and the banner of whoever has.

use axum::{
    Form,
    extract::{FromRef, FromRequestParts, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use maud::{Markup, Render, html};
use serde::Deserialize;
use time::format_description::well_known::Rfc3339;

use super::{
    Rooms,
    account::{Address, see},
    layout::{Depth, page},
    problem::Problem,
};
use filmroom_access::{Action, KnownBy, Passcode, Principal, Refused, Strength};
use filmroom_admission::Caller;
use filmroom_privacy::{Emergency, NewEmergency, PatientKey, PrivacyError, REASON_CODES, Scope};
use filmroom_storage::model::StudyInstanceUid;

/// What the person of a page has open, as a banner at its head.
pub(super) struct Open {
    emergencies: Vec<Emergency>,
    /// They may take access.
    pub(super) may_take: bool,
}

impl<S> FromRequestParts<S> for Open
where
    S: Send + Sync,
    Rooms: FromRef<S>,
{
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let rooms = Rooms::from_ref(state);
        let caller = Caller::of(&parts.extensions);
        Ok(Self {
            emergencies: caller.map(|caller| rooms.privacy.open_of(caller)).unwrap_or_default(),
            may_take: caller.is_some_and(may_take),
        })
    }
}

/// True for persons with a role that lets them: where nobody is asked, everything is seen in any case.
fn may_take(caller: &Principal) -> bool {
    caller.known_by != KnownBy::Nothing && caller.may(Action::TakeEmergencyAccess)
}

impl Open {
    /// The banner on a page of this depth.
    pub(super) fn banner(&self, depth: Depth) -> impl Render {
        let to = format!("{}emergency/end", depth.up());
        let banners = self.emergencies.iter().map(|emergency| {
            let until = emergency.until.format(&Rfc3339).unwrap_or_default();
            html! {
                form.emergency method="post" action=(to) role="alert" {
                    span { "Emergency access to " (whom(&emergency.scope)) " until " time datetime=(until) { (until) } }
                    input type="hidden" name="id" value=(emergency.id);
                    button type="submit" { "End it" }
                }
            }
        });
        html! { @for banner in banners { (banner) } }
    }
}

fn whom(scope: &Scope) -> String {
    match scope {
        Scope::Patient(patient) if patient.issuer.is_empty() => format!("patient {}", patient.id),
        Scope::Patient(patient) => format!("patient {} of {}", patient.id, patient.issuer),
        Scope::Study(study) => format!("study {study}"),
        Scope::Label(label) => format!("studies labelled {label}"),
    }
}

/// What the form says.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Said {
    patient: String,
    issuer: String,
    study: String,
    code: String,
    reason: String,
    passcode: String,
}

/// `GET /emergency`.
pub(super) async fn form_page(open: Open) -> Response {
    form(&open, &Said::default(), None, StatusCode::OK)
}

fn form(open: &Open, said: &Said, wrong: Option<&str>, status: StatusCode) -> Response {
    let body: Markup = html! {
        (open.banner(Depth::Top))
        div.notice {
            h1 { "Emergency access" }
            @if let Some(wrong) = wrong { p role="alert" { (wrong) } }
            p { "You will see what is protected of this patient or study for a short time. It is recorded, told to those who look after
                privacy, and looked at by one of them." }
            form.account method="post" action="emergency" {
                label { "Patient ID " input name="patient" value=(said.patient) autocomplete="off"; }
                label { "Issuer of the ID, where there is one " input name="issuer" value=(said.issuer) autocomplete="off"; }
                label { "or Study Instance UID " input name="study" value=(said.study) autocomplete="off"; }
                label { "Reason "
                    select name="code" required {
                        @for code in REASON_CODES { option value=(code) selected[code == said.code] { (code.replace('-', " ")) } }
                    }
                }
                label { "In words " textarea name="reason" rows="3" required maxlength="2000" { (said.reason) } }
                label { "Your passcode " input name="passcode" type="password" autocomplete="current-password" required; }
                button type="submit" { "Take access" }
            }
        }
    };
    (status, page("Emergency access", Depth::Top, &body)).into_response()
}

fn new(said: &Said) -> Result<NewEmergency, String> {
    let (patient, study) = (said.patient.trim(), said.study.trim());
    let scope = match (patient.is_empty(), study.is_empty()) {
        (false, true) => Scope::Patient(PatientKey {
            id: patient.to_owned(),
            issuer: said.issuer.trim().to_owned(),
        }),
        (true, false) => {
            Scope::Study(StudyInstanceUid::new(study).map_err(|error| format!("That is no study: {error}."))?)
        }
        _ => return Err("Name a patient or a study, one of them.".to_owned()),
    };
    Ok(NewEmergency {
        scope,
        code: said.code.clone(),
        reason: said.reason.clone(),
    })
}

/// `POST /emergency`.
pub(super) async fn take(
    State(rooms): State<Rooms>,
    caller: axum::Extension<Caller>,
    open: Open,
    Address(from): Address,
    Form(said): Form<Said>,
) -> Response {
    let Caller(Ok(Some(principal))) = &caller.0 else {
        return see("sign-in");
    };
    let wrong = |why: &str, status| form(&open, &said, Some(why), status);
    let wanted = match new(&said) {
        Ok(wanted) => wanted,
        Err(why) => return wrong(&why, StatusCode::BAD_REQUEST),
    };
    let passcode = Passcode::from(said.passcode.clone().into_bytes());
    // Who shows a passcode with the request has proved who they are by it.
    let is_shown = principal.known_by == KnownBy::Passcode
        && principal
            .proof()
            .is_some_and(|proof| proof.strength >= Strength::Passcode);
    if !is_shown {
        match rooms.admission.prove_again(principal, &passcode, from).await {
            Ok(()) => {}
            Err(Refused::Wait(wait)) => {
                let why = format!("There were too many tries. Wait {} seconds.", wait.as_secs().max(1));
                return wrong(&why, StatusCode::TOO_MANY_REQUESTS);
            }
            Err(Refused::Unknown) => return wrong("The passcode is another.", StatusCode::FORBIDDEN),
            Err(Refused::Failed(why)) => {
                tracing::error!(why, "who takes emergency access cannot be checked");
                return Problem::Internal.into_response();
            }
        }
    }
    match rooms.privacy.take(principal, &from.to_string(), wanted).await {
        Ok(_) => see("."),
        Err(error @ (PrivacyError::Journal(_) | PrivacyError::Failed(_))) => {
            tracing::error!(%error, "emergency access could not be opened");
            Problem::Internal.into_response()
        }
        Err(error) => wrong(&format!("It was not opened: {error}."), StatusCode::BAD_REQUEST),
    }
}

#[derive(Deserialize)]
pub(super) struct Ended {
    id: String,
}

/// `POST /emergency/end`.
pub(super) async fn end(
    State(rooms): State<Rooms>,
    caller: axum::Extension<Caller>,
    Address(from): Address,
    Form(ended): Form<Ended>,
) -> Response {
    let Caller(Ok(Some(principal))) = &caller.0 else {
        return see("../sign-in");
    };
    match rooms.privacy.give_back(principal, &from.to_string(), &ended.id).await {
        Ok(()) | Err(PrivacyError::Unknown(_)) => see("../"),
        Err(error) => {
            tracing::error!(%error, "emergency access could not be given back");
            Problem::Internal.into_response()
        }
    }
}
