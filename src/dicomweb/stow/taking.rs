//! Takes instances in one after the other, while those before are made safe.

use std::collections::VecDeque;

use filmroom_storage::model::{Origin, StudyInstanceUid};
use tokio::task::JoinHandle;

use super::{
    instance::{self, Named, Pieces, Received, Refused},
    outcome::Outcomes,
};
use filmroom_dataset::DataSetError;
use filmroom_ingest::{Ingest, IngestError, Receipt};

/// Instances of one request that are being made safe at the same time: enough for one sync to serve many.
const FINISHING_MAX: usize = 16;

/// The instances of one request.
pub(super) struct Taking {
    ingest: Ingest,
    study: Option<StudyInstanceUid>,
    origin: Origin,
    finishing: VecDeque<(Named, JoinHandle<Result<Receipt, IngestError>>)>,
    outcomes: Outcomes,
}

impl Taking {
    pub(super) fn new(ingest: Ingest, study: Option<StudyInstanceUid>, origin: Origin) -> Self {
        Self {
            ingest,
            study,
            origin,
            finishing: VecDeque::new(),
            outcomes: Outcomes::default(),
        }
    }

    pub(super) fn ingest(&self) -> &Ingest {
        &self.ingest
    }

    pub(super) fn study(&self) -> Option<&StudyInstanceUid> {
        self.study.as_ref()
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Takes one instance in. An error ends the request: the instance is forgotten.
    pub(super) async fn instance<P: Pieces + Send>(
        &mut self,
        pieces: &mut P,
        length: Option<u64>,
    ) -> Result<(), P::Error> {
        match instance::receive(&self.ingest, pieces, self.study.as_ref(), &self.origin, length).await? {
            Ok(received) => self.finish(received).await,
            Err(refused) => self.refuse(refused),
        }
        Ok(())
    }

    /// Makes an instance safe while the next ones come. The work goes on when the request is gone, so that nothing is left
    /// half done.
    pub(super) async fn finish(&mut self, received: Received) {
        while self.finishing.len() >= FINISHING_MAX {
            self.settle_oldest().await;
        }
        let task = tokio::spawn(received.receiving.finish());
        self.finishing.push_back((received.named, task));
    }

    pub(super) fn refuse(&mut self, refused: Refused) {
        self.outcomes.failed(&refused.named, &refused.error);
    }

    /// A part that is no instance and describes none.
    pub(super) fn refuse_part(&mut self, reason: &str) {
        let error = IngestError::CannotUnderstand(DataSetError::Malformed(reason.to_owned()));
        self.outcomes.failed(&Named::default(), &error);
    }

    /// What became of all, once all is decided.
    pub(super) async fn outcomes(mut self) -> Outcomes {
        while !self.finishing.is_empty() {
            self.settle_oldest().await;
        }
        self.outcomes
    }

    async fn settle_oldest(&mut self) {
        let Some((named, task)) = self.finishing.pop_front() else {
            return;
        };
        match task.await {
            Ok(Ok(receipt)) => self.outcomes.receipt(&receipt),
            Ok(Err(error)) => self.outcomes.failed(&named, &error),
            Err(error) => self.outcomes.failed(&named, &IngestError::Failed(error.to_string())),
        }
    }
}
