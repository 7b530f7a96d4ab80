//! Every setting there is.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use filmroom_storage::{
    encryption::{MasterKeySource, PlainObjects},
    index::engine::EngineKind,
    model::SopClassUid,
    store::StoreOptions,
};

use super::{
    audit::Audit,
    hl7::Hl7,
    objects::{AcknowledgeAt, Objects, ReplicaS3, S3},
    records::Records,
    section::{Section, Setting, section},
    value::{Authentication, Given, Insecure, LogFilter, LogFormat, Size, TlsCallers, Value, ViewTitle, WebOrigin},
};
use filmroom_access::Demand;
use filmroom_commitment::Limits;
use filmroom_dicomweb::{DicomwebConfig, EmptyAnswer};
use filmroom_dimse::{AeTitle, DimseConfig, OtherSopClasses, Peer, tls::TlsVersions};
use filmroom_forwarding::Rule;

/// The least that a timeout can be: below it, a machine under load times out by itself.
const MOMENT: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

fn text<T: Value>(text: &str) -> T {
    #[expect(
        clippy::unwrap_used,
        reason = "only defaults written below come here, and a test reads them all"
    )]
    T::from_text(text).unwrap()
}

section! {
    /// Where everything lies.
    Data "data" {
        folder: PathBuf = PathBuf::from("filmroom-data"),
            unit "",
            about "The folder that holds everything: index, intake, objects and journal.",
            why "In the current folder, so that whoever tries it sees what it makes; the systemd unit says /var/lib/filmroom.";
    }
}

section! {
    /// Who is let in.
    Access "access" {
        authentication: Authentication = Authentication::Auto,
            unit "",
            about "Whether HTTP callers have to sign in, or show a passcode or token with each request: auto demands it unless HTTP is answered on this machine alone (or access.insecure covers it), required always, off never.",
            why "Whoever tries it on their own machine needs no account; nothing else is open by itself. Behind a proxy say required: what it passes on comes from this machine too.";
        insecure: Insecure = Insecure::Nothing,
            unit "",
            about "Doors that may be open to other machines without what protects them: dicom without TLS and certificates, http without TLS and authentication, or both.",
            why "Whoever reaches an open port can store, find and fetch every study, and read along: that must be somebody's decision.";
        step_up_within: Duration = filmroom_admission::FRESH_FOR, range MOMENT => DAY,
            unit "",
            about "What cannot be taken back is done by whoever proved so recently, by passcode or better, that they are there.",
            why "Long enough to read what is about to be done; a session that somebody left open an hour ago does not do it, nor does a token.";
        emergency_lasts: Duration = HOUR, range MOMENT => DAY,
            unit "",
            about "How long access lasts that somebody takes in an emergency.",
            why "Long enough to treat somebody; who needs it longer takes it again, and says why.";
    }
}

fn dimse() -> DimseConfig {
    DimseConfig::default()
}

fn dicomweb() -> DicomwebConfig {
    DicomwebConfig::default()
}

section! {
    /// The DICOM node.
    Dicom "dicom" {
        listen: SocketAddr = text("127.0.0.1:11112"),
            unit "",
            about "Address and port for DICOM associations.",
            why "11112 is the registered port that needs no privilege; only this machine reaches it until you decide.";
        tls_listen: Option<SocketAddr> = None,
            unit "",
            about "A second address and port for DICOM associations, by TLS.",
            why "It needs a certificate; 2762 is the port registered for it.";
        tls_certificate: Option<PathBuf> = None,
            unit "",
            about "PEM file with our certificate, then those between it and its authority; shown when called and when calling.",
            why "Nobody can make one but you. It is read again when the file changes.";
        tls_key: Option<PathBuf> = None,
            unit "",
            about "PEM file with the private key of the certificate.",
            why "As for the certificate.";
        tls_authorities: Option<PathBuf> = None,
            unit "",
            about "PEM file with the authorities that TLS peers have to be vouched for by, or with certificates to trust themselves.",
            why "Nobody is trusted by default, public authorities included.";
        tls_callers: TlsCallers = TlsCallers::Required,
            unit "",
            about "Whether those that call by TLS have to show a certificate.",
            why "An encrypted line to nobody in particular protects from listeners, not from callers.";
        tls_version_min: TlsVersions = TlsVersions::From12,
            unit "",
            about "Oldest version of TLS that is spoken.",
            why "PS3.15 B.12 demands 1.2 beside 1.3; nothing older is safe.";
        user_identity: Demand = Demand::Optional,
            unit "",
            about "Whether callers have to name a user by user identity negotiation: an account and its passcode, or a token. A user gets the services that its roles allow.",
            why "Most modalities cannot. Where there are accounts, a passcode that is shown has to be right; ignored does not look at it.";
        ae_title: AeTitle = dimse().ae_title,
            unit "",
            about "Application entity title of this archive.",
            why "The name of the product; modalities are told it.";
        peers: Vec<Peer> = Vec::new(),
            unit "",
            about "Other application entities: callers that are known, and C-MOVE destinations. More can be registered while the archive runs (`filmroom peer`).",
            why "Images are only ever sent to peers.";
        views: Vec<ViewTitle> = Vec::new(),
            unit "",
            about "Further AE titles of this archive, each with what its callers see of what is rejected: by default nothing, in regular use what is rejected for quality, as manager (for peers that may reject) all of it. DICOMweb has the same under /regular and /manager.",
            why "What is rejected must not be read by mistake; who corrects it has to see it.";
        check_called_ae_title: bool = false,
            unit "",
            about "Refuse associations that call another AE title than ours.",
            why "Many modalities are set up with whatever title the last archive had.";
        check_calling_ae_title: bool = false,
            unit "",
            about "Refuse associations from AE titles that are not among the peers.",
            why "A title is no proof of identity; it keeps the wrong device out, not an attacker.";
        answer_unknown_callers: bool = false,
            unit "",
            about "Answer AE titles that are not among the peers also when they call from other machines.",
            why "Whoever reaches the port could store, find and fetch; on this machine every title is answered in any case.";
        accept_private_sop_classes: bool = matches!(dimse().other_sop_classes, OtherSopClasses::AllPrivate),
            unit "",
            about "Take instances of every private SOP class (outside 1.2.840.10008).",
            why "A refused image is lost to the patient's file; an unknown one can be looked at later.";
        extra_sop_classes: Vec<SopClassUid> = Vec::new(),
            unit "",
            about "SOP classes to take beside the standard's when private ones are not all taken.",
            why "Every storage class of the standard, retired ones included, is taken anyway.";
        associations_max: u32 = dimse().associations_max as u32, range 1 => 4096,
            unit "associations",
            about "Associations open at one time; the next is rejected as transient.",
            why "A large department's modalities together, and a bound on memory: each may hold about 1 MiB.";
        associations_per_host_max: u32 = dimse().associations_per_peer_max as u32, range 1 => 4096,
            unit "associations",
            about "Associations open at one time from one network address.",
            why "As many as there are at all: gateways send for whole departments. Lower it when one device hogs the node.";
        pending_connections_max: u32 = dimse().pending_connections_max as u32, range 1 => 65_536,
            unit "connections",
            about "Connections that are not yet, or no longer, associations; the next is closed at once.",
            why "Port scanners and half-open connections must not keep modalities out.";
        pdu_length_max: Size = Size(u64::from(dimse().max_pdu_length_bytes)), range Size::kib(4) => Size::mib(64),
            unit "bytes",
            about "Longest P-DATA-TF PDU that peers may send.",
            why "Beyond 256 KiB longer ones no longer save time.";
        sent_pdu_length_max: Size = Size(u64::from(dimse().max_sent_pdu_length_bytes)), range Size::kib(4) => Size::mib(64),
            unit "bytes",
            about "Longest P-DATA-TF PDU that is sent to peers that take longer ones.",
            why "Beyond 256 KiB longer ones no longer save time.";
        operations_max: u32 = u32::from(dimse().operations_max), range 1 => 1024,
            unit "operations",
            about "Operations outstanding on one association when the peer negotiates an asynchronous window.",
            why "A sender goes on while an instance is synced to disk.";
        move_associations: u32 = dimse().move_associations as u32, range 1 => 64,
            unit "associations",
            about "Associations that one C-MOVE opens with its destination, to send over at one time.",
            why "Most workstations take one at a time from one sender; more help over long or slow lines.";
        association_timeout: Duration = dimse().artim_timeout, range MOMENT => HOUR,
            unit "",
            about "Longest wait for a whole association request, and for a peer to close (ARTIM, PS3.8 §9.1.5).",
            why "A slow link needs a second.";
        network_timeout: Duration = dimse().network_timeout, range MOMENT => HOUR,
            unit "",
            about "Longest silence in the middle of a message, and longest wait for a peer to take what is sent.",
            why "Longer than TCP needs to get over a lost link.";
        idle_timeout: Duration = dimse().idle_timeout, range MOMENT => DAY,
            unit "",
            about "Longest silence between two messages before the association is aborted.",
            why "Modalities keep associations open during an examination; half-open ones must still go.";
        response_timeout: Duration = dimse().response_timeout, range MOMENT => HOUR,
            unit "",
            about "Longest wait for a peer's answer to a request of ours.",
            why "A workstation may have to store what it was sent before it answers.";
        connect_timeout: Duration = dimse().connect_timeout, range MOMENT => HOUR,
            unit "",
            about "Longest wait to reach a peer.",
            why "A peer that is there answers within a second.";
        identifier_max: Size = Size(dimse().identifier_max_bytes as u64), range Size::kib(64) => Size::mib(256),
            unit "bytes",
            about "Longest identifier of a query or retrieval.",
            why "Lists of 100,000 UIDs fit.";
        find_answers_max: u32 = dimse().find_answers_max as u32, range 1 => u32::MAX,
            unit "answers",
            about "Most answers to one C-FIND; then it ends with status A700H and the peer has to narrow the query.",
            why "Answers are streamed, so the bound is there to end mistakes.";
        forward: Vec<Rule> = Vec::new(),
            unit "",
            about "Rules by which instances that come in are passed on to peers, or peers are notified of them.",
            why "Nothing leaves the archive by itself.";
        forward_after: Duration = filmroom_forwarding::Limits::default().quiet, range MOMENT => HOUR,
            unit "",
            about "A series is passed on when no instance of it has come for this long.",
            why "One association for a series rather than one an instance.";
        forward_for: Duration = filmroom_forwarding::Limits::default().try_for, range MOMENT => YEAR,
            unit "",
            about "Passing on is tried for so long, with pauses growing to 10 minutes; then it waits for a person (/api/v1/forwards).",
            why "A workstation that is off over a holiday still gets its images.";
        forwards_max: u32 = filmroom_forwarding::Limits::default().at_once as u32, range 1 => 256,
            unit "series",
            about "Series that are passed on at one time.",
            why "Reading for others must not keep modalities waiting.";
        forwards_per_peer_max: u32 = filmroom_forwarding::Limits::default().at_once_each as u32, range 1 => 256,
            unit "series",
            about "Series that are passed on to one peer at one time.",
            why "Small systems take few associations.";
        commitment_report_for: Duration = Limits::default().report_for, range MOMENT => YEAR,
            unit "",
            about "A report of storage commitment is tried for so long, with pauses growing to 10 minutes.",
            why "A workstation that is off over a holiday still gets it.";
        commitment_wait: Duration = dimse().commitment_wait, range MOMENT => HOUR,
            unit "",
            about "Longest wait for a peer's report on what was forwarded, where the peer is asked to commit; then it is asked again.",
            why "Archives look at what they hold before they answer; most take seconds.";
    }
}

section! {
    /// The web door: DICOMweb, previews and pages.
    Http "http" {
        listen: SocketAddr = text("127.0.0.1:8080"),
            unit "",
            about "Address and port for HTTP.",
            why "Only this machine reaches it until you decide.";
        tls_certificate: Option<PathBuf> = None,
            unit "",
            about "PEM file with the certificate of the web door, then those between it and its authority; HTTP is answered by TLS alone then.",
            why "Nobody can make one but you. It is read again when the file changes.";
        tls_key: Option<PathBuf> = None,
            unit "",
            about "PEM file with the private key of the certificate.",
            why "As for the certificate.";
        public_url: String = String::new(),
            unit "",
            about "URL of the DICOMweb service as clients see it, such as https://pacs.example/dicom-web.",
            why "Empty: told from each request, also behind a proxy that forwards host and protocol.";
        connections_max: u32 = 1024, range 1 => 65_536,
            unit "connections",
            about "Connections open at one time; the next waits to be accepted.",
            why "A browser opens six; a bound on memory.";
        header_timeout: Duration = Duration::from_secs(60), range MOMENT => HOUR,
            unit "",
            about "Longest wait for the whole head of a request, which is also the longest pause between requests of a connection.",
            why "Clients that dribble bytes must not hold connections.";
        header_max: Size = Size::kib(128), range Size::kib(16) => Size::mib(1),
            unit "bytes",
            about "Longest head of a request.",
            why "Lists of UIDs in a URL and long Accept headers fit; more is an attack.";
        body_timeout: Duration = dicomweb().body_idle_max, range MOMENT => HOUR,
            unit "",
            about "Longest silence within the body of a request.",
            why "A stalled upload must not hold memory.";
        write_timeout: Duration = Duration::from_secs(120), range MOMENT => HOUR,
            unit "",
            about "Longest wait for a client to take what is sent.",
            why "A viewer that was closed without a word must not hold a connection.";
        stow_body_max: Size = Size(dicomweb().stow_body_max_bytes), range Size::mib(1) => Size::mib(16 << 20),
            unit "bytes",
            about "Longest body of one STOW-RS request.",
            why "Instances are streamed to disk, so that only a body without end has to be stopped.";
        stow_metadata_max: Size = Size(dicomweb().stow_metadata_max_bytes), range Size::kib(64) => Size::mib(1024),
            unit "bytes",
            about "Longest metadata (JSON or XML) of one STOW-RS request, and of all that are being read at one time.",
            why "They are read in memory.";
        cors_origins: Vec<WebOrigin> = vec![WebOrigin::any()],
            unit "",
            about "Origins whose pages may read through a browser; * is every one.",
            why "Viewers are served from anywhere; who has to be known shows it with each request, and cookies are never sent from elsewhere.";
        queries_max: u32 = dicomweb().queries_max as u32, range 1 => 1024,
            unit "searches",
            about "Searches at work at one time; more wait.",
            why "More than there are processors gain nothing.";
        query_wait_max: Duration = dicomweb().query_wait_max, range MOMENT => HOUR,
            unit "",
            about "A search that waits longer for its turn is answered with 503.",
            why "A viewer gives up by then.";
        qido_limit_default: u32 = dicomweb().qido_limit_default as u32, range 1 => 1_000_000,
            unit "matches",
            about "Matches that a search without a limit gives.",
            why "As many as the cap: a client that does not page must not miss slices of a series.";
        qido_limit_max: u32 = dicomweb().qido_limit_max as u32, range 1 => 1_000_000,
            unit "matches",
            about "Most matches that one search gives, whatever it asks for; Warning 299 says that there are more.",
            why "An answer is built in memory.";
        qido_empty_no_content: bool = matches!(dicomweb().empty_answer, EmptyAnswer::NoContent),
            unit "",
            about "Answer a search without matches with 204 rather than with 200 and an empty list.",
            why "CP-2473 made it 200; texts of the standard before 2026 say 204.";
        frame_list_max: u32 = dicomweb().frame_list_max as u32, range 1 => 1_000_000,
            unit "frames",
            about "Most frames that one request may list.",
            why "More than any viewer asks for at once.";
    }
}

fn worklist() -> filmroom_worklist::Options {
    filmroom_worklist::Options::default()
}

section! {
    /// What is scheduled, and what was performed.
    Worklist "worklist" {
        folder: Option<PathBuf> = None,
            unit "",
            about "Folder that worklist files (*.wl, DICOM) are dropped in, or in folders below it; they are offered to modalities while they lie there.",
            why "Entries come by /api/v1/worklist otherwise. Files are only read, and read again when they change.";
        keep: Duration = worklist().keep, range Duration::ZERO => 10 * YEAR,
            unit "",
            about "Entries are let go so long after the day they were scheduled for, performed procedure steps so long after their last change; 0: never.",
            why "Whoever wants to know whether a study came whole asks within weeks. Images are never let go.";
    }
}

fn store_defaults() -> StoreOptions {
    StoreOptions::new("")
}

section! {
    /// The store.
    Storage "storage" {
        intake_memory_max: Size = Size(store_defaults().intake_memory_max_bytes), range Size::mib(8) => Size::mib(65_536),
            unit "bytes",
            about "Memory for instances on their way in, all senders together; beyond it they go to staged files early.",
            why "Many slices at once stay in memory, and the whole stays under 300 MB.";
        staged_from: Size = Size(store_defaults().staged_from_bytes), range Size::kib(64) => Size::mib(1024),
            unit "bytes",
            about "Instances longer than this are staged in a file of their own.",
            why "Memory must not grow with an object's size.";
        segment_max: Size = Size(store_defaults().segment_max_bytes), range Size::mib(16) => Size::mib(16_384),
            unit "bytes",
            about "Length at which a segment of the intake log is closed.",
            why "Space comes back segment by segment as series settle.";
        free_space_min: Size = Size(store_defaults().free_space_min_bytes), range Size::mib(16) => Size::mib(1 << 24),
            unit "bytes",
            about "New instances are refused (A700H, 507) when fewer bytes than this are free.",
            why "Settling and the index need room to finish what was acknowledged.";
        settle_after: Duration = store_defaults().settle_after,
            range MOMENT => DAY,
            unit "",
            about "A series settles into a pack when no instance of it has come for this long.",
            why "Longer than the pauses within one series, short enough to keep the intake small.";
        settle_from: Size = Size(store_defaults().settle_from_bytes), range Size::mib(1) => Size::mib(16_384),
            unit "bytes",
            about "A series settles at once when this many bytes of it wait.",
            why "Bounds the intake and the length of one pack.";
        acknowledge: AcknowledgeAt = AcknowledgeAt::Intake,
            unit "",
            about "When a sender is told success: once the instance is synced to the intake log, or only once the object store has it.",
            why "The log is on a disk of ours and quick; with the other, losing this machine loses nothing that was acknowledged.";
        index_cache: Size = Size(store_defaults().index_cache_bytes), range Size::mib(8) => Size::mib(65_536),
            unit "bytes",
            about "Memory for the index engine's cache.",
            why "Enough for a million instances; raise it with the archive.";
    }
}

section! {
    /// The second store.
    Replica "replica" {
        folder: Option<PathBuf> = None,
            unit "",
            about "A folder, best on another disk or machine, that every object is put into as well; damaged ones are repaired from it. Empty: none.",
            why "Only whoever runs the archive knows of a second disk. A copy that is missed while it is away is caught up with.";
    }
}

section! {
    /// The index.
    Index "index" {
        engine: EngineKind = store_defaults().index_engine,
            unit "",
            about "The embedded engine that the index is kept in; one of another engine is put aside and made anew at the next start.",
            why "sled is the one with the longest use here; fjall takes less of the disk and checks all that it reads.";
    }
}

section! {
    /// Verification beside everything else.
    Scrub "scrub" {
        every: Duration = Duration::from_secs(30 * 86_400), range Duration::ZERO => Duration::from_secs(366 * 86_400),
            unit "",
            about "Everything that is stored is read and compared with its SHA-256 this often; 0: never.",
            why "Disks lose bits silently: what is found within a month can mostly be repaired from a copy.";
        rate: Size = Size::mib(16), range Size::kib(64) => Size::mib(65_536),
            unit "bytes a second",
            about "It reads no faster than this.",
            why "A tenth of what one disk reads: nobody notices, and 40 TB are read in a month.";
    }
}

section! {
    /// Encryption at rest.
    Encryption "encryption" {
        master_key: Option<MasterKeySource> = None,
            unit "",
            about "Where the master key comes from: file:PATH, env:VARIABLE or command:COMMAND; set, all that is stored from now on is encrypted.",
            why "Off: who loses the key loses the archive, so that somebody has to decide who keeps it.";
        plain_objects: PlainObjects = PlainObjects::Read,
            unit "",
            about "What to do with objects from before encryption was turned on: read them, or refuse to look at them.",
            why "An archive goes on working while they are encrypted; once all are, refuse makes foreign objects useless.";
    }
}

section! {
    /// How the process runs.
    Run "run" {
        worker_threads: u32 = 0, range 0 => 1024,
            unit "threads",
            about "Threads that drive connections; 0: one a processor.",
            why "Decoding and disk have threads of their own.";
        blocking_threads_max: u32 = 64, range 4 => 1024,
            unit "threads",
            about "Most threads for decoding, queries and disk.",
            why "Disks need some in parallel; each costs memory only while it works.";
        drain_timeout: Duration = dimse().drain_timeout, range Duration::ZERO => HOUR,
            unit "",
            about "After SIGTERM, running associations and requests have this long to finish before they are aborted.",
            why "Within the 90 s that systemd grants; what was acknowledged is safe either way.";
    }
}

section! {
    /// What is logged, to standard error.
    Log "log" {
        format: LogFormat = LogFormat::Text,
            unit "",
            about "Lines for people, or JSON for collectors.",
            why "People read it first.";
        level: LogFilter = text("info"),
            unit "",
            about "What is logged.",
            why "One line an operation; patients are never named.";
    }
}

macro_rules! tree {
    ($($field:ident : $kind:ident $name:literal),* $(,)?) => {
        /// All settings, with their effective values.
        #[derive(Debug, Clone, Default)]
        pub struct Config {
            $(
                #[doc = concat!("Section `[", $name, "]`.")]
                pub $field: $kind,
            )*
        }

        impl Config {
            /// Every setting there is, in the order of the sections.
            #[must_use]
            pub fn settings() -> Vec<Setting> {
                let mut settings = Vec::new();
                $(settings.extend($kind::settings());)*
                settings
            }

            pub(super) fn set(&mut self, setting: &Setting, given: &Given) -> Result<(), String> {
                match setting.section() {
                    $($name => self.$field.set(setting.name(), given),)*
                    _ => Err("there is no such section".to_owned()),
                }
            }

            /// The effective value of a setting as TOML; masked when it is secret.
            #[must_use]
            pub fn show(&self, setting: &Setting) -> String {
                match setting.section() {
                    $($name => self.$field.show(setting.name()),)*
                    _ => None,
                }
                .unwrap_or_default()
            }
        }
    };
}

tree! {
    data: Data "data",
    access: Access "access",
    dicom: Dicom "dicom",
    http: Http "http",
    worklist: Worklist "worklist",
    hl7: Hl7 "hl7",
    records: Records "records",
    storage: Storage "storage",
    objects: Objects "objects",
    s3: S3 "objects.s3",
    replica: Replica "replica",
    replica_s3: ReplicaS3 "replica.s3",
    scrub: Scrub "scrub",
    index: Index "index",
    encryption: Encryption "encryption",
    run: Run "run",
    audit: Audit "audit",
    log: Log "log",
}
