//! Decisions to destroy that are not carried out to their end, and going on with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use serde_json::json;
use time::OffsetDateTime;

use super::{DESTROYED, Kept, Order, steps::Step, traces::Rewriting};
use crate::store::{Inner, ObjectsEngine, Store, StoreError, read::on_blocking_thread};

/// How often it is looked whether something is to be tried again.
const LOOK_EVERY: Duration = Duration::from_millis(if cfg!(test) { 20 } else { 1000 });
/// The first pause after something was left; each later one is twice as long.
const AGAIN_AFTER: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 30_000 });
/// No pause is longer.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(3600);

/// A decision, and the places that are still to be seen to.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) order: Order,
    steps: BTreeSet<Step>,
    left: BTreeMap<Step, Vec<Kept>>,
    attempts: u32,
    next: Instant,
}

impl Open {
    pub(super) fn new(order: Order) -> Self {
        Self {
            order,
            steps: Step::ALL.into(),
            left: BTreeMap::new(),
            attempts: 0,
            next: Instant::now(),
        }
    }

    fn left(&self) -> Vec<Kept> {
        self.left.values().flatten().cloned().collect()
    }

    /// When it is worth another try: not long before the first lock ends, where all that is left is locked.
    fn put_off(&mut self) {
        let pause = AGAIN_AFTER
            .saturating_mul(1 << self.attempts.min(10))
            .min(AGAIN_AFTER_MAX);
        self.attempts += 1;
        let now = OffsetDateTime::now_utc();
        let ends: Option<Vec<OffsetDateTime>> = self.left.values().flatten().map(|kept| kept.until).collect();
        let locked = ends.and_then(|ends| Duration::try_from(ends.into_iter().min()? - now).ok());
        // The rewriting of the index waits for its own time, and costs nothing to look at.
        let only_traces = self.left.keys().all(|step| *step == Step::Traces);
        self.next = Instant::now()
            + match locked {
                _ if only_traces => LOOK_EVERY,
                Some(locked) => locked.min(AGAIN_AFTER_MAX),
                None => pause,
            };
    }
}

/// How far carrying out goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Stores that may be away are left for later, so that nobody waits for them.
    Near,
    /// To the end.
    Everywhere,
}

/// What is being destroyed.
#[derive(Default)]
pub(in crate::store) struct Destroying {
    /// One at a time.
    pub(super) one: tokio::sync::Mutex<()>,
    open: Mutex<BTreeMap<u64, Open>>,
    pub(super) rewriting: Mutex<Rewriting>,
}

impl Destroying {
    fn open(&self) -> MutexGuard<'_, BTreeMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The index holds no trace any more of anything that is being destroyed.
    pub(super) fn without_traces(&self) {
        for open in self.open().values_mut() {
            open.steps.remove(&Step::Traces);
            open.left.remove(&Step::Traces);
        }
    }
}

impl Store {
    /// Decisions to destroy of which something is left, what, and why. It is tried again and again.
    #[must_use]
    pub fn destroying(&self) -> Vec<(u64, Vec<Kept>)> {
        let open = self.inner.destroying.open();
        open.iter().map(|(decision, open)| (*decision, open.left())).collect()
    }

    /// Who waits at the start of the archive does not wait for distant stores.
    pub(super) fn reach_at_start(&self) -> Reach {
        let options = &self.inner.options;
        let is_near = options.objects == ObjectsEngine::Local && self.inner.replica.is_none();
        if is_near { Reach::Everywhere } else { Reach::Near }
    }

    /// Carries out what is to be, and returns what is left. The caller destroys nothing else meanwhile.
    ///
    /// # Errors
    /// When the index fails, whose rows come first, or the journal.
    pub(super) async fn carry_out(&self, mut open: Open, reach: Reach) -> Result<Vec<Kept>, StoreError> {
        let decision = open.order.decision;
        let uids = Arc::new(open.order.uids.clone());
        for study in open.order.series.keys() {
            let (study, uids) = (study.clone(), Arc::clone(&uids));
            on_blocking_thread(self, move |store| {
                store.destroy_in_index(study, (*uids).clone(), decision)
            })
            .await?;
        }
        for uid in uids.iter() {
            self.inner.shelf.take(uid);
        }
        self.inner.headers.clear();
        crash_point!("destroy.indexed");
        for step in Step::ALL {
            let is_distant = matches!(step, Step::Replica | Step::Versions | Step::Keys);
            if !open.steps.contains(&step) {
                continue;
            }
            let left = if is_distant && reach == Reach::Near {
                vec![Kept {
                    place: step.place().to_owned(),
                    reason: "it comes when the archive has started".to_owned(),
                    until: None,
                }]
            } else {
                let taken = self.take_step(step, &open.order).await;
                taken.unwrap_or_else(|error| {
                    vec![Kept {
                        place: step.place().to_owned(),
                        reason: error.to_string(),
                        until: None,
                    }]
                })
            };
            if left.is_empty() {
                open.steps.remove(&step);
                open.left.remove(&step);
            } else {
                open.left.insert(step, left);
            }
        }
        let left = open.left();
        if left.is_empty() {
            let note = json!({ "decision": decision });
            self.inner.journal.append(DESTROYED, note).await?;
            self.inner.destroying.open().remove(&decision);
            return Ok(left);
        }
        if reach == Reach::Everywhere {
            for kept in &left {
                tracing::warn!(
                    decision,
                    kept.place,
                    kept.reason,
                    "something that was to be destroyed is left; it is tried again"
                );
            }
            open.put_off();
        }
        self.inner.destroying.open().insert(decision, open);
        Ok(left)
    }

    /// One decision that is due to be tried again.
    async fn go_on_destroying(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.inner.destroying.one.lock().await;
        let due = {
            let all = self.inner.destroying.open();
            let now = Instant::now();
            let mut due = all.iter().filter(|(_, open)| open.next <= now);
            due.next().map(|(decision, open)| (*decision, open.clone()))
        };
        let Some((decision, open)) = due else { return Ok(()) };
        let carried_out = self.carry_out(open, Reach::Everywhere).await;
        if carried_out.is_err()
            && let Some(open) = self.inner.destroying.open().get_mut(&decision)
        {
            open.put_off();
        }
        carried_out.map(drop)
    }
}

/// Tries again what is left, until the store is gone.
pub(in crate::store) async fn go_on(inner: Weak<Inner>) {
    let Some(destroying) = inner.upgrade().map(|inner| Arc::clone(&inner.destroying)) else {
        return;
    };
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if inner.strong_count() == 0 {
            return;
        }
        // Nobody holds the store for nothing.
        if destroying.open().is_empty() {
            continue;
        }
        let Some(inner) = inner.upgrade() else { return };
        let store = Store::whole(inner);
        store.watch_generation();
        if let Err(error) = store.go_on_destroying().await {
            tracing::error!(%error, "what was decided to be destroyed is not gone yet; it is tried again");
        }
    }
}
