//! What a request says beside its path: who acts, which part, as of when.

use std::collections::BTreeMap;

use axum::{
    extract::{FromRequestParts, Query},
    http::{HeaderMap, header, request::Parts},
    response::Response,
};
use filmroom_access::Principal;
use filmroom_admission::{Caller, Refusal, Seen};
use filmroom_privacy::Sight;
use filmroom_records::{Actor, Problem, RecordsError};
use filmroom_retention::PartialDate;
use filmroom_storage::model::StudyInstanceUid;
use serde::de::DeserializeOwned;
use time::Date;

use super::refused;

/// Given where nothing is asked for, and most at a time.
const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 1000;

/// A request, as far as routes of records ask.
pub(super) struct Asked {
    caller: Option<Principal>,
    query: BTreeMap<String, String>,
    headers: HeaderMap,
    /// What the caller sees of studies.
    pub(super) sight: Sight,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(pairs) = query.map_err(|rejection| wrong("", &rejection.body_text()))?;
        let mut query = BTreeMap::new();
        for (name, value) in pairs {
            if query.contains_key(&name) {
                return Err(wrong(&name, "it is given twice"));
            }
            query.insert(name, value);
        }
        Ok(Self {
            caller: Caller::of(&parts.extensions).cloned(),
            sight: Seen::from_request_parts(parts, state).await?.0,
            query,
            headers: parts.headers.clone(),
        })
    }
}

impl Asked {
    /// Refuses for a study that the caller does not see, as for one that is not there.
    ///
    /// # Errors
    /// A refusal.
    pub(super) fn seen(&self, study: &str) -> Result<(), Response> {
        match self.sees(study)? {
            true => Ok(()),
            false => Err(refused(&RecordsError::Unknown("there is no such study".to_owned()))),
        }
    }

    /// True when the caller sees a study.
    ///
    /// # Errors
    /// A refusal when the index fails.
    pub(super) fn sees(&self, study: &str) -> Result<bool, Response> {
        if self.sight.is_all() {
            return Ok(true);
        }
        let Ok(study) = StudyInstanceUid::new(study) else {
            return Ok(false);
        };
        let seen = self.sight.sees(&study);
        seen.map_err(|error| refused(&RecordsError::Failed(error.to_string())))
    }

    /// Who acts: somebody who is known, be it a program by its token.
    ///
    /// # Errors
    /// A refusal that says how to be known.
    pub(super) fn actor(&self) -> Result<Actor, Response> {
        let Some(principal) = &self.caller else {
            return Err(Refusal::Unknown.answer(&self.headers));
        };
        match principal.subject() {
            Some(subject) => Ok(Actor {
                subject: subject.to_owned(),
                roles: principal.roles().iter().map(|role| role.word().to_owned()).collect(),
            }),
            None => Err(Refusal::Nobody.answer(&self.headers)),
        }
    }

    /// The person who acts: what leads to the destruction of something, or hides it, no program decides of its own.
    ///
    /// # Errors
    /// A refusal that says how to be known.
    pub(super) fn person(&self) -> Result<Actor, Response> {
        let actor = self.actor()?;
        match self.caller.as_ref().and_then(Principal::person) {
            Some(_) => Ok(actor),
            None => Err(refused(&RecordsError::NotLet(
                "this is decided by a person, and this token acts for none: sign in by name and passcode, or take a token with an \
                 owner"
                    .to_owned(),
            ))),
        }
    }

    /// The parameters may be these alone.
    ///
    /// # Errors
    /// A refusal that names another.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Response> {
        match self.query.keys().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(wrong(
                name,
                &format!("there is no such parameter; there are: {}", known.join(", ")),
            )),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    pub(super) fn is(&self, name: &str) -> Result<bool, Response> {
        match self.text(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(wrong(name, "true or false is wanted")),
        }
    }

    pub(super) fn limit(&self) -> Result<usize, Response> {
        match self.text("limit").map(str::parse::<usize>) {
            None => Ok(LIMIT_DEFAULT),
            Some(Ok(limit)) if limit > 0 => Ok(limit.min(LIMIT_MAX)),
            Some(_) => Err(wrong("limit", "a number from 1 on is wanted")),
        }
    }

    pub(super) fn as_of(&self) -> Result<Option<Date>, Response> {
        match self.text("asOf").map(str::parse) {
            None => Ok(None),
            Some(Ok(PartialDate::Day(day))) => Ok(Some(day)),
            Some(_) => Err(wrong("asOf", "a day is wanted: YYYY-MM-DD")),
        }
    }

    /// The version that `If-Match` names; `None` where it names none, or any.
    ///
    /// # Errors
    /// A refusal for a tag that this archive never gave.
    pub(super) fn expected(&self) -> Result<Option<u64>, Response> {
        let Some(value) = self.headers.get(header::IF_MATCH) else {
            return Ok(None);
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(None);
        }
        let number = text
            .trim_matches('"')
            .strip_prefix('v')
            .and_then(|number| number.parse().ok());
        number.map(Some).ok_or_else(|| refused(&RecordsError::Stale))
    }

    pub(super) fn has_kind(&self, name: header::HeaderName, kind: &str) -> bool {
        let value = self.headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.to_ascii_lowercase().contains(kind))
    }
}

/// A body of JSON; an empty one is an empty object.
///
/// # Errors
/// A refusal with the place of what is wrong.
pub(super) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Response> {
    let bytes: &[u8] = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}"
    } else {
        bytes
    };
    serde_json::from_slice(bytes).map_err(|error| {
        let at = format!("line {}, column {}", error.line(), error.column());
        wrong(&at, &error.to_string())
    })
}

pub(super) fn wrong(at: &str, what: &str) -> Response {
    refused(&RecordsError::Invalid(vec![Problem {
        at: at.to_owned(),
        what: what.to_owned(),
    }]))
}
