//! Reinstating: what was destroyed may come again. One asks, another confirms: it undoes what several persons decided together, and
//! what comes is kept from then on as anything that is received.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{Actor, Records, RecordsError, Tombstone, actor, event::Event};

/// Longest reason, in bytes.
const TEXT_BYTES_MAX: usize = 500;

/// Who asked that a study may come again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReinstateAsked {
    /// Who asked.
    pub asked_by: String,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub asked_at: OffsetDateTime,
    /// Why.
    pub reason: String,
}

/// That a study may come again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reinstated {
    /// Number of the decision.
    pub decision: u64,
    /// When.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// Who asked, and who confirmed.
    pub by: Vec<String>,
    /// Why.
    pub reason: String,
}

/// What stands with a decision to reinstate.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    study: String,
    by: Vec<String>,
    reason: String,
}

impl Reinstated {
    /// What a decision of the store says, and of which study; `None` for one that this room did not make.
    pub(crate) fn of(decision: u64, at: OffsetDateTime, payload: &Value) -> Option<(String, Self)> {
        let said: Said = serde_json::from_value(payload.get("reason")?.clone()).ok()?;
        let reinstated = Self {
            decision,
            at,
            by: said.by,
            reason: said.reason,
        };
        Some((said.study, reinstated))
    }
}

impl Records {
    /// Asks that the instances of a destroyed study may come again, or, as another person, confirms it.
    ///
    /// # Errors
    /// [`RecordsError::Unknown`]; [`RecordsError::NotLet`] for one person twice; [`RecordsError::Conflict`] for what is reinstated, or
    /// not gone everywhere yet.
    pub async fn reinstate(&self, by: &Actor, study: &str, reason: &str) -> Result<Tombstone, RecordsError> {
        by.needs(actor::REINSTATE, "let in again what was destroyed")?;
        let _deciding = self.turn().await;
        self.check_clock()?;
        let tombstone = self.tombstone(study)?;
        if tombstone.reinstated.is_some() {
            return Err(RecordsError::conflict("reinstated", "it may come again already"));
        }
        let Some(asked) = tombstone.reinstate_asked else {
            if reason.trim().is_empty() || reason.len() > TEXT_BYTES_MAX {
                return Err(RecordsError::invalid("reason", "say why, in up to 500 bytes"));
            }
            self.decide(Event::ReinstateAsked {
                by: by.clone(),
                study: study.to_owned(),
                reason: reason.trim().to_owned(),
            })
            .await?;
            return self.tombstone(study);
        };
        if asked.asked_by == by.subject {
            return Err(RecordsError::NotLet(
                "it takes two persons: another one has to confirm it".to_owned(),
            ));
        }
        let said = Said {
            study: study.to_owned(),
            by: vec![asked.asked_by, by.subject.clone()],
            reason: asked.reason,
        };
        self.carried_through(|room| async move {
            let done = room.inner.store.reinstate(tombstone.decision, json!(said)).await?;
            let Some((decision, _)) = done else {
                return Err(RecordsError::conflict(
                    "not-gone",
                    "it is not gone everywhere yet: what came now would be destroyed with it",
                ));
            };
            let mut book = room
                .inner
                .book
                .write()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            book.replay(&decision)
        })
        .await?;
        self.tombstone(study)
    }

    /// Says no to a study's coming again that somebody asked for.
    ///
    /// # Errors
    /// [`RecordsError::Conflict`] when nobody did.
    pub async fn refuse_reinstating(&self, by: &Actor, study: &str) -> Result<Tombstone, RecordsError> {
        by.needs(actor::REINSTATE, "refuse to let in again what was destroyed")?;
        let _deciding = self.turn().await;
        if self.tombstone(study)?.reinstate_asked.is_none() {
            return Err(RecordsError::conflict("not-asked", "nobody asked for it"));
        }
        self.decide(Event::ReinstateRefused {
            by: by.clone(),
            study: study.to_owned(),
        })
        .await?;
        self.tombstone(study)
    }
}
