//! The resource that a path names: a study, a series of it, or an instance of that (PS3.18 §10.1.2).

use axum::{
    extract::{FromRequestParts, RawPathParams},
    http::request::Parts,
};
use filmroom_storage::model::{SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, UidError};

use crate::{base_url::BaseUrl, error::Problem};
use filmroom_admission::Seen;
use filmroom_privacy::Sight;
use filmroom_retrieve::{Retrieve, Selection};

/// The UIDs of a path.
#[derive(Debug, Clone)]
pub struct Resource {
    /// What whoever asks for it sees.
    pub sight: Sight,
    /// (0020,000D).
    pub study: StudyInstanceUid,
    /// (0020,000E), below a study.
    pub series: Option<SeriesInstanceUid>,
    /// (0008,0018), below a series.
    pub instance: Option<SopInstanceUid>,
}

impl Resource {
    /// The instances of the resource.
    #[must_use]
    pub fn selection(&self) -> Selection {
        Selection {
            studies: vec![self.study.clone()],
            series: self.series.iter().cloned().collect(),
            instances: self.instance.iter().cloned().collect(),
            ..Selection::of(self.sight.clone())
        }
    }

    /// For messages: `series 1.2 of study 1`.
    #[must_use]
    pub fn name(&self) -> String {
        match (&self.series, &self.instance) {
            (Some(series), Some(instance)) => {
                format!("instance {instance} of series {series} of study {}", self.study)
            }
            (Some(series), None) => format!("series {series} of study {}", self.study),
            _ => format!("study {}", self.study),
        }
    }

    /// Why nothing of the resource is there: 404, or 410 for an instance that was destroyed.
    #[must_use]
    pub fn missing(&self, room: &Retrieve) -> Problem {
        match &self.instance {
            Some(instance) => room
                .missing(&self.sight, Some(&self.study), instance, self.name())
                .into(),
            None => self.not_found(),
        }
    }

    /// The 404 of this resource.
    #[must_use]
    pub fn not_found(&self) -> Problem {
        Problem::not_found(format!("{} is not in the archive", self.name()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Resource {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::bad_request("the path is not UTF-8"))?;
        let (mut study, mut series, mut instance) = (None, None, None);
        for (name, value) in &params {
            match name {
                "study" => study = Some(StudyInstanceUid::new(value).map_err(|error| malformed(name, &error))?),
                "series" => series = Some(SeriesInstanceUid::new(value).map_err(|error| malformed(name, &error))?),
                "instance" => instance = Some(SopInstanceUid::new(value).map_err(|error| malformed(name, &error))?),
                _ => {}
            }
        }
        let sight = Seen::of(&parts.extensions).map_err(Problem::internal)?;
        let study = study.ok_or_else(|| Problem::bad_request("the path names no study"))?;
        Ok(Self {
            sight,
            study,
            series,
            instance,
        })
    }
}

fn malformed(name: &str, error: &UidError) -> Problem {
    Problem::bad_request(format!("the {name} in the path is no UID: {error}"))
}

/// The URL of one instance's resource.
#[must_use]
pub fn instance_url(
    base: &BaseUrl,
    study: &StudyInstanceUid,
    series: &SeriesInstanceUid,
    instance: &SopInstanceUid,
) -> String {
    instance_path(base.as_str(), study, series, instance)
}

/// The same from another root.
#[must_use]
pub fn instance_path(
    root: &str,
    study: &StudyInstanceUid,
    series: &SeriesInstanceUid,
    instance: &SopInstanceUid,
) -> String {
    format!("{root}/studies/{study}/series/{series}/instances/{instance}")
}
