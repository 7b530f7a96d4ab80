//! Sends instances over several associations at one time and counts them together.

use tokio::sync::Mutex;

use super::{
    Asker, Occasion, Originator, Plan, Progress, Sent,
    send::{answer, transmit},
    supply::{Supplied, Supply},
};
use crate::association::{Association, AssociationError};
use filmroom_retrieve::Retrieve;

/// How it ended.
pub(crate) struct PerformedTogether {
    pub(crate) progress: Progress,
    pub(crate) cancelled: bool,
    /// For each receiver, why its association is over.
    pub(crate) lost: Vec<Option<AssociationError>>,
}

/// What the senders share. Whoever is free takes the next instance.
struct Shared<'a, A> {
    supply: Mutex<Supply>,
    count: Mutex<Count<'a, A>>,
}

struct Count<'a, A> {
    progress: Progress,
    asker: &'a mut A,
    ended: Option<End>,
}

enum End {
    Cancelled,
    Broken,
    AskerLeft(AssociationError),
}

/// Sends the instances of a plan over all receivers. One that is lost leaves what it has not sent to the others.
///
/// # Errors
/// Those of the asker.
pub(crate) async fn perform_together(
    receivers: &mut [Association],
    retrieve: &Retrieve,
    plan: Plan,
    originator: &Originator,
    asker: &mut impl Asker,
) -> Result<PerformedTogether, AssociationError> {
    let Some(contexts) = receivers
        .first()
        .map(|receiver| receiver.negotiated().contexts().to_vec())
    else {
        return Err(AssociationError::Left);
    };
    let progress = Progress::new(plan.total);
    let shared = Shared {
        supply: Mutex::new(Supply::new(retrieve, &contexts, plan)),
        count: Mutex::new(Count {
            progress,
            asker,
            ended: None,
        }),
    };
    let sending = receivers
        .iter_mut()
        .map(|receiver| shared.send_over(receiver, originator));
    let lost = futures_util::future::join_all(sending).await;
    let Count {
        mut progress, ended, ..
    } = shared.count.into_inner();
    let cancelled = match ended {
        Some(End::AskerLeft(error)) => return Err(error),
        Some(End::Cancelled) => true,
        Some(End::Broken) => {
            progress.rest_failed();
            false
        }
        None => false,
    };
    if !cancelled {
        // Nobody is left to send these.
        let mut supply = shared.supply.into_inner();
        while let Some(uid) = supply.next_uid().await {
            progress.failed(&uid);
        }
    }
    Ok(PerformedTogether {
        progress,
        cancelled,
        lost,
    })
}

impl<A: Asker> Shared<'_, A> {
    /// Sends over one association until there is nothing left. Why the association is over, if it is.
    async fn send_over(&self, receiver: &mut Association, originator: &Originator) -> Option<AssociationError> {
        loop {
            if self.is_over(receiver).await {
                return None;
            }
            let supplied = self.supply.lock().await.next().await;
            let ready = match supplied {
                Supplied::End => return None,
                Supplied::Broken(error) => {
                    tracing::error!(%error, "a retrieval broke off");
                    self.count.lock().await.ended.get_or_insert(End::Broken);
                    return None;
                }
                Supplied::Unsendable(uid) => {
                    let mut count = self.count.lock().await;
                    count.progress.failed(&uid);
                    count.tell(receiver, Sent::Unsendable(&uid)).await;
                    continue;
                }
                Supplied::Ready(ready) => ready,
            };
            let record = ready.record.clone();
            let answered = match transmit(receiver, ready, Occasion::AskedBy(originator)).await {
                Ok(message_id) => answer(receiver, message_id, None).await,
                Err(error) => Err(error),
            };
            let mut count = self.count.lock().await;
            match answered {
                Ok((status, _)) => {
                    count.progress.sent(status, &record.sop_instance_uid);
                    count.tell(receiver, Sent::Answered(&record, status)).await;
                }
                Err(error) => {
                    count.progress.failed(&record.sop_instance_uid);
                    return Some(error);
                }
            }
        }
    }

    /// True when nothing more is to be sent.
    async fn is_over(&self, receiver: &mut Association) -> bool {
        let mut count = self.count.lock().await;
        if count.ended.is_some() {
            return true;
        }
        match count.asker.is_cancelled(receiver).await {
            Ok(false) => false,
            Ok(true) => {
                count.ended = Some(End::Cancelled);
                true
            }
            Err(error) => {
                count.ended = Some(End::AskerLeft(error));
                true
            }
        }
    }
}

impl<A: Asker> Count<'_, A> {
    async fn tell(&mut self, receiver: &mut Association, sent: Sent<'_>) {
        if let Err(error) = self.asker.sent(receiver, sent, &self.progress).await {
            self.ended.get_or_insert(End::AskerLeft(error));
        }
    }
}
