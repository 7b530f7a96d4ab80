//! Policies: submitted by one person, simulated, published by another, and from then on never changed.

use std::sync::Arc;

use filmroom_retention::{Binding, Lint, Pack, Policies, Simulation, read_json, read_toml};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{Actor, Problem, Records, RecordsError, actor, canonical::hexadecimal, event::Event};

/// Studies that change listed with a simulation at most.
const LISTED_MAX: usize = 1000;
/// Most bindings.
const BINDINGS_MAX: usize = 1000;

/// How far a submission is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SubmissionState {
    /// It waits.
    Submitted,
    /// It is in force, as far as its days say.
    Published,
    /// Its author took it back.
    Withdrawn,
}

/// What a simulation found, and what it was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Simulated {
    /// Digest of the policies that were in force, and of those that would be.
    pub(crate) of: String,
    /// Counts, without the list.
    #[serde(flatten)]
    pub(crate) found: Simulation,
}

/// A change of policies: a pack, where policies are in force, or both.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Submission {
    /// Its id.
    pub id: String,
    /// How far it is.
    pub state: SubmissionState,
    /// The pack.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared")]
    pub pack: Option<Arc<Pack>>,
    /// The pack as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where policies are in force from then on: all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bindings: Option<Vec<Binding>>,
    /// Who submitted it.
    pub submitted_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub submitted_at: OffsetDateTime,
    /// The latest simulation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub simulated: Option<Simulated>,
    /// Who published it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_by: Option<String>,
    /// When.
    #[serde(with = "time::serde::rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub published_at: Option<OffsetDateTime>,
    /// Counts its changes.
    pub version: u64,
}

/// A version of a pack that was published.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyVersion {
    /// The submission that it came by.
    pub submission: String,
    /// It.
    #[serde(flatten)]
    pub pack: Pack,
    /// SHA-256 of its rules, in hexadecimal.
    pub digest: String,
}

fn shared<S: serde::Serializer>(pack: &Option<Arc<Pack>>, serializer: S) -> Result<S::Ok, S::Error> {
    pack.as_deref().serialize(serializer)
}

impl Submission {
    pub(crate) fn new(
        number: u64,
        at: OffsetDateTime,
        by: &Actor,
        pack: Option<Pack>,
        text: Option<String>,
        bindings: Option<Vec<Binding>>,
    ) -> Self {
        Self {
            id: format!("p{number}"),
            state: SubmissionState::Submitted,
            pack: pack.map(Arc::new),
            text,
            bindings,
            submitted_by: by.subject.clone(),
            submitted_at: at,
            simulated: None,
            published_by: None,
            published_at: None,
            version: number,
        }
    }

    /// The policies with the change made.
    pub(crate) fn applied_to(&self, policies: &Policies) -> Policies {
        let mut policies = policies.clone();
        policies.packs.extend(self.pack.clone());
        if let Some(bindings) = &self.bindings {
            policies.bindings.clone_from(bindings);
        }
        policies
    }
}

/// Reads a pack that is given as TOML or as JSON.
fn read(text: Option<&str>, json: Option<&Value>) -> Result<Option<(Pack, Vec<Lint>)>, RecordsError> {
    let read = match (text, json) {
        (Some(_), Some(_)) => {
            return Err(RecordsError::invalid(
                "",
                "the pack is given twice, as text and as JSON",
            ));
        }
        (Some(text), None) => read_toml(text),
        (None, Some(json)) => read_json(json),
        (None, None) => return Ok(None),
    };
    read.map(Some)
        .map_err(|lints| RecordsError::Invalid(lints.iter().map(problem).collect()))
}

fn problem(lint: &Lint) -> Problem {
    let line = lint.line.map(|line| format!("line {line}"));
    let at: Vec<String> = line.into_iter().chain(lint.rule.clone()).collect();
    let what = if lint.allowed.is_empty() {
        lint.what.clone()
    } else {
        format!("{}; allowed: {}", lint.what, lint.allowed)
    };
    Problem {
        at: at.join(", "),
        what,
    }
}

impl Records {
    /// Says what is wrong with a pack, and what is odd; nothing is kept.
    ///
    /// # Errors
    /// [`RecordsError::Invalid`].
    pub fn lint_policy(&self, text: Option<&str>, json: Option<&Value>) -> Result<(Pack, Vec<Lint>), RecordsError> {
        read(text, json)?.ok_or_else(|| RecordsError::invalid("", "there is no pack"))
    }

    /// Submits a change: a pack as TOML or JSON, bindings in the place of all there are, or both.
    ///
    /// # Errors
    /// [`RecordsError::Invalid`] for a pack that does not read, [`RecordsError::Conflict`] for a version that is published.
    pub async fn submit_policy(
        &self,
        by: &Actor,
        text: Option<String>,
        json: Option<Value>,
        bindings: Option<Vec<Binding>>,
    ) -> Result<(Submission, Vec<Lint>), RecordsError> {
        by.needs(actor::WRITE_POLICY, "submit a policy")?;
        let read = read(text.as_deref(), json.as_ref())?;
        if read.is_none() && bindings.is_none() {
            return Err(RecordsError::invalid("", "there is neither a pack nor bindings"));
        }
        let (pack, warnings) = read.map_or((None, Vec::new()), |(pack, warnings)| (Some(pack), warnings));
        if pack.as_ref().is_some_and(|pack| pack.template) {
            return Err(RecordsError::conflict(
                "template",
                "it is a template: let counsel look at it, give it a version of your own, and take template = true out",
            ));
        }
        let _deciding = self.turn().await;
        {
            let book = self.book();
            if let Some(pack) = &pack
                && book
                    .policies
                    .packs
                    .iter()
                    .any(|there| there.reference() == pack.reference())
            {
                let what = format!(
                    "{} is published and is never changed: give it another version",
                    pack.reference()
                );
                return Err(RecordsError::conflict("published", what));
            }
            if let Some(bindings) = &bindings {
                let known: Vec<&str> = book
                    .policies
                    .packs
                    .iter()
                    .map(|pack| pack.pack.as_str())
                    .chain(pack.as_ref().map(|pack| pack.pack.as_str()))
                    .collect();
                let unknown: Vec<Problem> = bindings
                    .iter()
                    .filter(|binding| !known.contains(&binding.pack.as_str()))
                    .map(|binding| Problem {
                        at: "bindings".to_owned(),
                        what: format!("there is no pack {}", binding.pack),
                    })
                    .collect();
                if !unknown.is_empty() || bindings.len() > BINDINGS_MAX {
                    return Err(RecordsError::Invalid(unknown));
                }
            }
        }
        let number = self
            .decide(Event::PolicySubmitted {
                by: by.clone(),
                pack: pack.map(Box::new),
                text,
                bindings,
            })
            .await?;
        Ok((self.submission(&format!("p{number}"))?, warnings))
    }

    /// One submission.
    ///
    /// # Errors
    /// [`RecordsError::Unknown`].
    pub fn submission(&self, id: &str) -> Result<Submission, RecordsError> {
        let book = self.book();
        let found = book.submission(id).cloned();
        found.ok_or_else(|| RecordsError::Unknown("there is no such submission".to_owned()))
    }

    /// All submissions, oldest first.
    #[must_use]
    pub fn submissions(&self) -> Vec<Submission> {
        self.book().submissions.values().cloned().collect()
    }

    /// All versions that were published, oldest first, and where policies are in force.
    #[must_use]
    pub fn policies(&self) -> (Vec<PolicyVersion>, Vec<Binding>) {
        let book = self.book();
        let mut published: Vec<&Submission> = book
            .submissions
            .values()
            .filter(|submission| submission.state == SubmissionState::Published)
            .collect();
        published.sort_by_key(|submission| submission.published_at);
        let versions = published
            .into_iter()
            .filter_map(|submission| {
                let pack = submission.pack.clone()?;
                Some(PolicyVersion {
                    submission: submission.id.clone(),
                    digest: digest_of(std::slice::from_ref(&pack), &[]),
                    pack: Pack::clone(&pack),
                })
            })
            .collect();
        (versions, book.policies.bindings.clone())
    }

    /// Tries what a submission would do to all studies: counts, and the first of those that change. Publishing needs it.
    ///
    /// # Errors
    /// [`RecordsError::Conflict`] for one that is published.
    pub async fn simulate_policy(&self, by: &Actor, id: &str) -> Result<Simulation, RecordsError> {
        by.needs(actor::WRITE_POLICY, "simulate a policy")?;
        let submission = self.open_submission(id)?;
        let (of, found) = self
            .blocking(move |room| {
                let (now, then) = {
                    let book = room.book();
                    (book.policies.clone(), submission.applied_to(&book.policies))
                };
                // A pack that begins later is tried on the day on which it does.
                let begins = submission.pack.as_ref().map(|pack| pack.effective_from);
                let as_of = begins.map_or(room.today(), |begins| begins.max(room.today()));
                Ok((digest_between(&now, &then), room.simulated(&then, as_of, LISTED_MAX)?))
            })
            .await?;
        let counts = Simulation {
            changes: Vec::new(),
            truncated: found.truncated || !found.changes.is_empty(),
            ..found.clone()
        };
        let _deciding = self.turn().await;
        self.open_submission(id)?;
        self.decide(Event::PolicySimulated {
            by: by.clone(),
            submission: id.to_owned(),
            simulated: Simulated { of, found: counts },
        })
        .await?;
        Ok(found)
    }

    fn open_submission(&self, id: &str) -> Result<Submission, RecordsError> {
        let submission = self.submission(id)?;
        match submission.state {
            SubmissionState::Submitted => Ok(submission),
            SubmissionState::Published => Err(RecordsError::conflict("published", "it is published")),
            SubmissionState::Withdrawn => Err(RecordsError::conflict("withdrawn", "it was withdrawn")),
        }
    }

    /// Publishes a submission: as another person than its author, after a simulation against the policies as they are. One by which
    /// a study may go earlier has to be acknowledged as such.
    ///
    /// # Errors
    /// [`RecordsError::NotLet`], [`RecordsError::Conflict`].
    pub async fn publish_policy(
        &self,
        by: &Actor,
        id: &str,
        acknowledges_shortening: bool,
        expected: Option<u64>,
    ) -> Result<Submission, RecordsError> {
        by.needs(actor::WRITE_POLICY, "publish a policy")?;
        let _deciding = self.turn().await;
        let submission = self.open_submission(id)?;
        if expected.is_some_and(|expected| expected != submission.version) {
            return Err(RecordsError::Stale);
        }
        if submission.submitted_by == by.subject {
            return Err(RecordsError::NotLet(
                "a policy takes two persons: another one than its author has to publish it".to_owned(),
            ));
        }
        let of = {
            let book = self.book();
            if let Some(pack) = &submission.pack
                && book
                    .policies
                    .packs
                    .iter()
                    .any(|there| there.reference() == pack.reference())
            {
                return Err(RecordsError::conflict(
                    "published",
                    format!("{} is published", pack.reference()),
                ));
            }
            digest_between(&book.policies, &submission.applied_to(&book.policies))
        };
        let Some(simulated) = submission.simulated.as_ref().filter(|simulated| simulated.of == of) else {
            return Err(RecordsError::conflict(
                "not-simulated",
                "it was not simulated against the policies as they are: simulate it first",
            ));
        };
        if simulated.found.shortens() && !acknowledges_shortening {
            return Err(RecordsError::conflict(
                "shortens",
                format!(
                    "by it {} studies may go earlier, {} of them at once: acknowledge that",
                    simulated.found.earlier, simulated.found.newly_eligible
                ),
            ));
        }
        self.decide(Event::PolicyPublished {
            by: by.clone(),
            submission: id.to_owned(),
            acknowledges_shortening,
        })
        .await?;
        self.refresh_batches().await?;
        self.submission(id)
    }

    /// Takes a submission back.
    ///
    /// # Errors
    /// [`RecordsError::Conflict`] for one that is published.
    pub async fn withdraw_policy(&self, by: &Actor, id: &str) -> Result<Submission, RecordsError> {
        by.needs(actor::WRITE_POLICY, "withdraw a policy")?;
        let _deciding = self.turn().await;
        self.open_submission(id)?;
        self.decide(Event::PolicyWithdrawn {
            by: by.clone(),
            submission: id.to_owned(),
        })
        .await?;
        self.submission(id)
    }
}

fn digest_of(packs: &[Arc<Pack>], bindings: &[Binding]) -> String {
    let packs: Vec<&Pack> = packs.iter().map(Arc::as_ref).collect();
    let text = serde_json::to_string(&(packs, bindings)).unwrap_or_default();
    hexadecimal(&Sha256::digest(text))
}

fn digest_between(now: &Policies, then: &Policies) -> String {
    let of = |policies: &Policies| digest_of(&policies.packs, &policies.bindings);
    format!("{}:{}", of(now), of(then))
}
