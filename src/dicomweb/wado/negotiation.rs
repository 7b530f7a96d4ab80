//! In which transfer syntax whole instances are given (PS3.18 §8.7.3.5).

use filmroom_storage::model::{InstanceRecord, TransferSyntaxUid};

use super::media::{self, EXPLICIT_VR_LITTLE_ENDIAN};
use crate::accept::{Accept, Offer};
use filmroom_retrieve::{Outgoing, Retrieve, RetrieveError, Wanted};

/// What is given when none of the transfer syntaxes named can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    /// Nothing: 406.
    Refuse,
    /// Explicit VR Little Endian where the pixels can be decoded and nothing is lost by it, else as stored.
    Default,
    /// As stored.
    Stored,
}

/// The transfer syntaxes that a client takes, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    named: Vec<TransferSyntaxUid>,
    otherwise: Otherwise,
}

impl Preference {
    /// Reads the `transfer-syntax` parameters of the ranges that cover an offer.
    #[must_use]
    pub fn read(accept: &Accept, offer: Offer) -> Self {
        let asked = accept
            .ranked()
            .filter(|range| range.covers(offer))
            .map(|range| range.transfer_syntax());
        Self::of(asked)
    }

    /// One transfer syntax by its UID, `*`, or none named.
    pub fn of<'a>(asked: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut named = Vec::new();
        for transfer_syntax in asked {
            let otherwise = match transfer_syntax {
                None => Otherwise::Default,
                Some("*") => Otherwise::Stored,
                Some(uid) => {
                    named.extend(TransferSyntaxUid::new(uid));
                    continue;
                }
            };
            return Self { named, otherwise };
        }
        Self {
            named,
            otherwise: Otherwise::Refuse,
        }
    }

    /// True when the instance goes out as it is stored, for certain.
    #[must_use]
    pub fn gives_stored(&self, instance: &InstanceRecord) -> bool {
        let stored = &instance.transfer_syntax_uid;
        if self.named.contains(stored) {
            return true;
        }
        self.named.is_empty()
            && match self.otherwise {
                Otherwise::Refuse => false,
                Otherwise::Default => stored.as_str() == EXPLICIT_VR_LITTLE_ENDIAN || media::is_lossy(stored.as_str()),
                Otherwise::Stored => true,
            }
    }

    /// Opens the data set of an instance.
    ///
    /// # Errors
    /// [`RetrieveError::TransferSyntax`], [`RetrieveError::Decode`] when nothing that the client takes can be had.
    pub async fn open(&self, room: &Retrieve, instance: &InstanceRecord) -> Result<Outgoing, RetrieveError> {
        let mut failed = None;
        if !self.named.is_empty() {
            match room.data_set(instance, &Wanted::OneOf(self.named.clone())).await {
                Err(error @ (RetrieveError::TransferSyntax(_) | RetrieveError::Decode(_))) => failed = Some(error),
                outcome => return outcome,
            }
        }
        match self.otherwise {
            Otherwise::Refuse => Err(failed.unwrap_or_else(|| {
                RetrieveError::TransferSyntax("no transfer syntax that is one was named".to_owned())
            })),
            Otherwise::Default if !self.gives_stored_by_default(instance) => {
                let explicit = TransferSyntaxUid::new(EXPLICIT_VR_LITTLE_ENDIAN);
                match room
                    .data_set(instance, &Wanted::OneOf(explicit.into_iter().collect()))
                    .await
                {
                    Err(RetrieveError::TransferSyntax(_) | RetrieveError::Decode(_)) => {
                        room.data_set(instance, &Wanted::AsStored).await
                    }
                    outcome => outcome,
                }
            }
            Otherwise::Default | Otherwise::Stored => room.data_set(instance, &Wanted::AsStored).await,
        }
    }

    fn gives_stored_by_default(&self, instance: &InstanceRecord) -> bool {
        media::is_lossy(instance.transfer_syntax_uid.as_str())
    }
}
