//! Associations over which a peer can be told something while it asks for nothing.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::Event;

/// Reports that wait for one association.
const WAITING_MAX: usize = 4;

/// A report to be sent over an association, and where to say how it went.
pub(crate) struct Order {
    pub(crate) event: Event,
    pub(crate) taken: oneshot::Sender<Result<(), String>>,
}

/// The associations that are open, by calling AE title.
#[derive(Default)]
pub(crate) struct Lines {
    open: Mutex<HashMap<String, Vec<mpsc::Sender<Order>>>>,
}

/// The association's end.
pub(crate) struct Line {
    lines: Arc<Lines>,
    ae_title: String,
    orders: mpsc::Receiver<Order>,
}

/// The sender's end.
pub(super) struct Sender(mpsc::Sender<Order>);

impl Lines {
    /// Opens a line for as long as it is kept.
    pub(crate) fn open(self: &Arc<Self>, ae_title: &str) -> Line {
        let (sender, orders) = mpsc::channel(WAITING_MAX);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.entry(ae_title.to_owned()).or_default().push(sender);
        Line {
            lines: self.clone(),
            ae_title: ae_title.to_owned(),
            orders,
        }
    }

    /// The line that was opened last.
    pub(super) fn of(&self, ae_title: &str) -> Option<Sender> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(ae_title)?.last().cloned().map(Sender)
    }
}

impl Line {
    /// The next report to be sent. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Order> {
        self.orders.recv().await
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.orders.close();
        let mut open = self.lines.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(senders) = open.get_mut(&self.ae_title) {
            senders.retain(|sender| !sender.is_closed());
            if senders.is_empty() {
                open.remove(&self.ae_title);
            }
        }
    }
}

impl Sender {
    /// Sends a report and waits for its answer.
    pub(super) async fn deliver(&self, event: Event, limit: Duration) -> Result<(), String> {
        const OVER: &str = "the association ended before the report was answered";
        let (taken, answer) = oneshot::channel();
        let order = Order { event, taken };
        let delivered = async {
            self.0.send(order).await.map_err(|_| OVER.to_owned())?;
            answer.await.map_err(|_| OVER.to_owned())?
        };
        timeout(limit, delivered)
            .await
            .map_err(|_| "the report was not answered in time".to_owned())?
    }
}
