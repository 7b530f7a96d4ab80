//! Settings of the DIMSE door, and the names of those it talks with.

use std::{fmt, time::Duration};

/// An Application Entity title (PS3.5 §6.2 VR `AE`): 1 to 16 printable ASCII characters without `\`; leading and trailing
/// spaces do not count and are not kept.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AeTitle(Box<str>);

/// Why a text is no AE title.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AeTitleError {
    /// Nothing is left after spaces are removed.
    #[error("an AE title is empty")]
    Empty,
    /// PS3.5 §6.2 allows 16 characters.
    #[error("an AE title of {0} characters: at most 16 are allowed")]
    TooLong(usize),
    /// Only printable ASCII without backslash may stand in an AE title.
    #[error("an AE title holds a character other than printable ASCII, or a backslash")]
    Character,
}

impl AeTitle {
    /// Checks a text.
    ///
    /// # Errors
    /// [`AeTitleError`] naming the first rule that is broken.
    pub fn new(text: &str) -> Result<Self, AeTitleError> {
        let title = text.trim_matches([' ', '\0']);
        if title.is_empty() {
            return Err(AeTitleError::Empty);
        }
        if !title.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'\\') {
            return Err(AeTitleError::Character);
        }
        if title.len() > 16 {
            return Err(AeTitleError::TooLong(title.len()));
        }
        Ok(Self(title.into()))
    }

    /// The title without padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for AeTitle {
    type Err = AeTitleError;

    fn from_str(text: &str) -> Result<Self, AeTitleError> {
        Self::new(text)
    }
}

impl TryFrom<String> for AeTitle {
    type Error = AeTitleError;

    fn try_from(text: String) -> Result<Self, AeTitleError> {
        Self::new(&text)
    }
}

/// A node that this one may call: destination of C-MOVE, receiver of commitment reports, target of `send`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// By what name it is called.
    pub ae_title: AeTitle,
    /// Name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

/// Which called AE titles are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalledAeTitle {
    /// Only the archive's own; others are rejected with "called AE title not recognized".
    Own,
    /// Any: for modalities whose configuration cannot be changed.
    Any,
}

/// What happens with SOP classes outside the standard's storage classes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OtherSopClasses {
    /// Only classes below the standard's storage root 1.2.840.10008.5.1.4.1.1, retired ones of old, and these.
    Listed(Vec<String>),
    /// As above, and every class that does not belong to DICOM (1.2.840.10008): private classes.
    AllPrivate,
}

/// Settings of the DIMSE door. `Default` is what `filmroom serve` runs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DimseConfig {
    /// The archive's own AE title.
    pub ae_title: AeTitle,
    /// Which called AE titles are answered.
    pub called_ae_title: CalledAeTitle,
    /// Calling AE titles that are answered; empty answers all.
    pub calling_ae_titles: Vec<AeTitle>,
    /// The nodes that the archive may call.
    pub peers: Vec<Peer>,
    /// Storage SOP classes beyond the standard's.
    pub other_sop_classes: OtherSopClasses,
    /// Longest P-DATA-TF that peers may send, in bytes; 0 is no limit. A PDU is never held whole, so that the length costs
    /// no memory; 256 KiB is where longer ones no longer save time.
    pub max_pdu_length_bytes: u32,
    /// Longest P-DATA-TF that is sent to a peer that allows more or says 0 (no limit), in bytes.
    pub max_sent_pdu_length_bytes: u32,
    /// Associations at one time. The next is rejected as transient (local limit exceeded). Each holds up to about 1 MiB.
    pub associations_max: usize,
    /// Associations at one time from one network address; the next is rejected as transient (temporary congestion).
    pub associations_per_peer_max: usize,
    /// Connections at one time that have not yet become an association, or are being closed; the next is closed at once.
    pub pending_connections_max: usize,
    /// Operations that a peer may have outstanding when it negotiates an asynchronous operations window (PS3.7 §D.3.3.3).
    /// Lets a sender go on while an instance is being synced to disk.
    pub operations_max: u16,
    /// ARTIM (PS3.8 §9.1.5): time for an association request to arrive whole, and for a peer to close after a rejection,
    /// release or abort. A slow link needs a second.
    pub artim_timeout: Duration,
    /// Time without a single byte in the middle of a message, and for a peer to take what is sent. Longer than TCP needs to
    /// get over a lost link.
    pub network_timeout: Duration,
    /// Time between two messages of an association. Modalities keep an association open during an examination.
    pub idle_timeout: Duration,
    /// Time for a peer to answer a request of ours (sub-operations, reports).
    pub response_timeout: Duration,
    /// Time to reach a peer.
    pub connect_timeout: Duration,
    /// When stopping: time for running associations to finish before they are aborted.
    pub drain_timeout: Duration,
    /// Longest identifier of a query or action, in bytes. Lists of 100,000 UIDs fit.
    pub identifier_max_bytes: usize,
    /// Most answers to one C-FIND; more end with "out of resources" (A700H), after which the peer has to narrow the query.
    pub find_answers_max: u64,
    /// Attempts to report a storage commitment, with growing pauses between them (1 s, doubling, at most 10 minutes).
    pub commitment_attempts_max: u32,
}

impl Default for DimseConfig {
    fn default() -> Self {
        Self {
            ae_title: AeTitle("FILMROOM".into()),
            called_ae_title: CalledAeTitle::Own,
            calling_ae_titles: Vec::new(),
            peers: Vec::new(),
            other_sop_classes: OtherSopClasses::AllPrivate,
            max_pdu_length_bytes: 256 << 10,
            max_sent_pdu_length_bytes: 256 << 10,
            associations_max: 64,
            associations_per_peer_max: 64,
            pending_connections_max: 256,
            operations_max: 8,
            artim_timeout: Duration::from_secs(30),
            network_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(600),
            response_timeout: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
            identifier_max_bytes: 8 << 20,
            find_answers_max: 1_000_000,
            commitment_attempts_max: 40,
        }
    }
}

impl DimseConfig {
    /// The peer of this title.
    #[must_use]
    pub fn peer(&self, ae_title: &str) -> Option<&Peer> {
        let ae_title = ae_title.trim_matches([' ', '\0']);
        self.peers.iter().find(|peer| peer.ae_title.as_str() == ae_title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, AeTitleError>) {
        assert_eq!(
            AeTitle::new(text).as_ref().map(AeTitle::as_str),
            expected.as_ref().copied()
        );
    }

    #[test]
    fn spaces_around_a_title_do_not_count() {
        check("  CT 1  ", Ok("CT 1"));
        check("CT\0", Ok("CT"));
    }

    #[test]
    fn refuses_what_is_no_title() {
        check("   ", Err(AeTitleError::Empty));
        check("A\\B", Err(AeTitleError::Character));
        check("R\u{f6}ntgen", Err(AeTitleError::Character));
        check("SEVENTEEN LETTERS", Err(AeTitleError::TooLong(17)));
    }
}
