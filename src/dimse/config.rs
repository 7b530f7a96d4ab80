//! Settings of the DIMSE door, and the names of those it talks with.

use std::{collections::HashMap, sync::Arc, time::Duration};

use filmroom_access::{Access, Anyone};
use filmroom_audit::Trail;
use filmroom_peers::Peers;
pub use filmroom_peers::{AeTitle, AeTitleError, Peer};
use filmroom_privacy::Privacy;

use super::{Audience, tls::TlsClient};

/// Which called AE titles are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalledAeTitle {
    /// Only the archive's own; others are rejected with "called AE title not recognized".
    Own,
    /// Any: for modalities whose configuration cannot be changed.
    Any,
}

/// What becomes of callers whose AE title is none of the peers'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownCallers {
    /// Answered when they call from this machine, else rejected with "calling AE title not recognized".
    Local,
    /// Answered from anywhere.
    Answered,
    /// Rejected from anywhere.
    Rejected,
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
#[derive(Debug, Clone)]
pub struct DimseConfig {
    /// The archive's own AE title.
    pub ae_title: AeTitle,
    /// Which called AE titles are answered.
    pub called_ae_title: CalledAeTitle,
    /// Other titles that it is called by, and whom they are for.
    pub views: HashMap<String, Audience>,
    /// What becomes of callers that are no peers.
    pub unknown_callers: UnknownCallers,
    /// The nodes that the archive knows.
    pub peers: Arc<Peers>,
    /// Who lets the users of callers in.
    pub access: Arc<dyn Access>,
    /// Knows which studies a caller sees; where nobody does, all are seen.
    pub privacy: Option<Privacy>,
    /// Where it is recorded who asks for what.
    pub trail: Trail,
    /// How peers are called that speak TLS; `None` calls none of them.
    pub tls: Option<Arc<TlsClient>>,
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
    /// Associations that one C-MOVE opens with its destination at most.
    pub move_associations: usize,
    /// Time without a single byte in the middle of a message, and for a peer to take what is sent. Longer than TCP needs to
    /// get over a lost link.
    pub network_timeout: Duration,
    /// Time between two messages of an association. Modalities keep an association open during an examination.
    pub idle_timeout: Duration,
    /// Time for a peer to answer a request of ours (sub-operations, reports).
    pub response_timeout: Duration,
    /// Time for a peer to report on a request for storage commitment; then it is asked again.
    pub commitment_wait: Duration,
    /// Time to reach a peer.
    pub connect_timeout: Duration,
    /// When stopping: time for running associations to finish before they are aborted.
    pub drain_timeout: Duration,
    /// Longest identifier of a query or action, in bytes. Lists of 100,000 UIDs fit.
    pub identifier_max_bytes: usize,
    /// Most answers to one C-FIND; more end with "out of resources" (A700H), after which the peer has to narrow the query.
    pub find_answers_max: u64,
}

impl Default for DimseConfig {
    fn default() -> Self {
        Self {
            #[expect(clippy::unwrap_used, reason = "a title by its letters")]
            ae_title: AeTitle::new("FILMROOM").unwrap(),
            called_ae_title: CalledAeTitle::Own,
            views: HashMap::new(),
            unknown_callers: UnknownCallers::Local,
            peers: Arc::default(),
            access: Arc::new(Anyone),
            privacy: None,
            trail: Trail::off(),
            tls: None,
            other_sop_classes: OtherSopClasses::AllPrivate,
            max_pdu_length_bytes: 256 << 10,
            max_sent_pdu_length_bytes: 256 << 10,
            associations_max: 64,
            associations_per_peer_max: 64,
            pending_connections_max: 256,
            operations_max: 8,
            move_associations: 1,
            artim_timeout: Duration::from_secs(30),
            network_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(600),
            response_timeout: Duration::from_secs(120),
            commitment_wait: Duration::from_secs(300),
            connect_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
            identifier_max_bytes: 8 << 20,
            find_answers_max: 1_000_000,
        }
    }
}

impl DimseConfig {
    /// The peer of this title, as it is known now.
    #[must_use]
    pub fn peer(&self, ae_title: &str) -> Option<Peer> {
        self.peers.get(ae_title)
    }
}
