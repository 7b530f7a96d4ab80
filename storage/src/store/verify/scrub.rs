//! The scrub: verification at a walking pace, over and over, as long as the archive serves.

use std::{
    sync::{PoisonError, Weak},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{VerifyOptions, VerifyPosition, VerifyReport};
use crate::store::{Inner, Store, StoreError};

/// How often it is looked whether a pass is due.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How often the position is written down.
const REMEMBER_EVERY: Duration = Duration::from_secs(30);

/// How the scrub goes about it.
#[derive(Debug, Clone, Copy)]
pub struct ScrubOptions {
    /// From the beginning of one pass to the beginning of the next.
    pub every: Duration,
    /// Read no faster than this.
    pub bytes_per_second: u64,
}

/// What the scrub remembers over restarts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ScrubState {
    /// When the pass that is under way began; `None` between two.
    #[serde(with = "time::serde::rfc3339::option")]
    pub began_at: Option<OffsetDateTime>,
    /// How far it is.
    pub report: VerifyReport,
    /// When the last whole pass began: everything that is older was verified since then.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_began_at: Option<OffsetDateTime>,
    /// When it ended.
    #[serde(with = "time::serde::rfc3339::option")]
    pub last_ended_at: Option<OffsetDateTime>,
    /// What it found.
    pub last_report: VerifyReport,
}

/// What it is remembered as, in the data folder.
const SCRUB: &str = "scrub.json";

impl ScrubState {
    fn is_due(&self, every: Duration) -> bool {
        self.began_at.is_some()
            || self
                .last_began_at
                .is_none_or(|began| OffsetDateTime::now_utc() - began >= every)
    }
}

impl Store {
    /// Verifies everything again and again at a walking pace, until the store is closed. A pass that a stop cut short is
    /// gone on with after the next start.
    pub fn start_scrub(&self, options: ScrubOptions) {
        let state: ScrubState = self.inner.read_place(SCRUB).unwrap_or_default();
        *self.inner.scrub.lock().unwrap_or_else(PoisonError::into_inner) = state;
        let task = tokio::spawn(scrub(std::sync::Arc::downgrade(&self.inner), options)).abort_handle();
        let mut running = self.inner.running.lock().unwrap_or_else(PoisonError::into_inner);
        match running.as_mut() {
            Some(running) => running.tasks.push(task),
            None => task.abort(),
        }
    }

    /// How far the scrub is, and what it last found.
    #[must_use]
    pub fn scrub_state(&self) -> ScrubState {
        self.inner.scrub.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// One pass, or what is left of it.
    ///
    /// # Errors
    /// As [`Store::verify`]; it is gone on with later.
    pub async fn scrub_pass(&self, bytes_per_second: u64) -> Result<(), StoreError> {
        let inner = &self.inner;
        let began_at = {
            let mut state = inner.scrub.lock().unwrap_or_else(PoisonError::into_inner);
            *state.began_at.get_or_insert_with(OffsetDateTime::now_utc)
        };
        let resume = self.scrub_state().report;
        let options = VerifyOptions {
            bytes_per_second: Some(bytes_per_second),
            resume: (resume.position != VerifyPosition::Start).then_some(resume),
        };
        let mut remembered = Instant::now();
        let report = self
            .verify(options, |report| {
                let mut state = inner.scrub.lock().unwrap_or_else(PoisonError::into_inner);
                state.report = report.clone();
                if remembered.elapsed() >= REMEMBER_EVERY {
                    remembered = Instant::now();
                    if let Err(error) = inner.write_place(SCRUB, &*state) {
                        tracing::warn!(%error, "how far the scrub is cannot be written down");
                    }
                }
            })
            .await?;
        let (objects, instances, bytes) = (report.objects, report.instances, report.bytes);
        let problems = report.problems_found;
        tracing::info!(objects, instances, bytes, problems, "all that is stored was verified");
        let state = ScrubState {
            began_at: None,
            report: VerifyReport::default(),
            last_began_at: Some(began_at),
            last_ended_at: Some(OffsetDateTime::now_utc()),
            last_report: report,
        };
        inner.write_place(SCRUB, &state)?;
        *inner.scrub.lock().unwrap_or_else(PoisonError::into_inner) = state;
        Ok(())
    }
}

async fn scrub(inner: Weak<Inner>, options: ScrubOptions) {
    loop {
        {
            let Some(inner) = inner.upgrade() else { return };
            let store = Store::whole(inner);
            if store.scrub_state().is_due(options.every)
                && let Err(error) = store.scrub_pass(options.bytes_per_second).await
            {
                tracing::error!(%error, "the scrub was cut short; it goes on later");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Inner {
    /// Writes down how far the scrub is, before the store is closed.
    pub(in crate::store) fn remember_scrub(&self) {
        let state = self.scrub.lock().unwrap_or_else(PoisonError::into_inner);
        if state.began_at.is_some()
            && let Err(error) = self.write_place(SCRUB, &*state)
        {
            tracing::warn!(%error, "how far the scrub is cannot be written down");
        }
    }
}
