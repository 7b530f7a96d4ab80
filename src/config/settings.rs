//! Every setting there is.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use filmroom_storage::{model::SopClassUid, store::StoreOptions};

use super::{
    section::{Section, Setting, section},
    value::{AeTitle, Given, LogFilter, LogFormat, Peer, Size, Value, WebOrigin},
};

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
        insecure: bool = false,
            unit "",
            about "Listen on addresses that other machines reach, although nobody is authenticated.",
            why "Whoever reaches an open port can store, find and fetch every study: that must be somebody's decision.";
    }
}

section! {
    /// The DICOM node.
    Dicom "dicom" {
        listen: SocketAddr = text("127.0.0.1:11112"),
            unit "",
            about "Address and port for DICOM associations.",
            why "11112 is the registered port that needs no privilege; only this machine reaches it until you decide.";
        ae_title: AeTitle = text("FILMROOM"),
            unit "",
            about "Application entity title of this archive.",
            why "The name of the product; modalities are told it.";
        peers: Vec<Peer> = Vec::new(),
            unit "",
            about "Other application entities: C-MOVE destinations, and the callers known when calling titles are checked.",
            why "Images are only ever sent to peers listed here.";
        check_called_ae_title: bool = false,
            unit "",
            about "Refuse associations that call another AE title than ours.",
            why "Many modalities are set up with whatever title the last archive had.";
        check_calling_ae_title: bool = false,
            unit "",
            about "Refuse associations from AE titles that are not among the peers.",
            why "A title is no proof of identity; it keeps the wrong device out, not an attacker.";
        accept_any_storage_class: bool = true,
            unit "",
            about "Take instances of storage classes that this version does not know, private ones too.",
            why "A refused image is lost to the patient's file; an unknown one can be looked at later.";
        extra_storage_classes: Vec<SopClassUid> = Vec::new(),
            unit "",
            about "Storage SOP classes to take in addition when unknown ones are not taken.",
            why "The classes of the standard, retired ones included, are always taken.";
        associations_max: u32 = 64, range 1 => 4096,
            unit "associations",
            about "Associations open at one time; the next is rejected as transient.",
            why "A large department's modalities together, and a bound on memory.";
        pdu_length_max: Size = Size::kib(256), range Size::kib(4) => Size::mib(4),
            unit "bytes",
            about "Longest P-DATA-TF PDU that peers may send.",
            why "Larger ones gain no speed and cost memory for each association.";
        association_timeout: Duration = Duration::from_secs(30),
            range Duration::from_millis(100) => Duration::from_secs(3600),
            unit "",
            about "Longest wait for an association request, its answer, or the end of a release.",
            why "The usual ARTIM timer (PS3.8 §9.1.5).";
        idle_timeout: Duration = Duration::from_secs(300),
            range Duration::from_millis(100) => Duration::from_secs(86_400),
            unit "",
            about "Longest silence of a peer before its association is aborted.",
            why "Ultrasound carts keep associations open between images; half-open ones must still go.";
    }
}

section! {
    /// The web door: DICOMweb, previews and pages.
    Http "http" {
        listen: SocketAddr = text("127.0.0.1:8080"),
            unit "",
            about "Address and port for HTTP.",
            why "Only this machine reaches it until you decide.";
        connections_max: u32 = 1024, range 1 => 65_536,
            unit "connections",
            about "Connections open at one time; the next waits to be accepted.",
            why "A browser opens six; a bound on memory.";
        header_timeout: Duration = Duration::from_secs(15),
            range Duration::from_millis(100) => Duration::from_secs(600),
            unit "",
            about "Longest wait for the whole head of a request, also between requests of one connection.",
            why "Clients that dribble bytes must not hold connections.";
        header_bytes_max: Size = Size::kib(64), range Size::kib(8) => Size::mib(1),
            unit "bytes",
            about "Longest head of a request.",
            why "Lists of UIDs in a URL fit; more is an attack.";
        body_timeout: Duration = Duration::from_secs(60),
            range Duration::from_millis(100) => Duration::from_secs(3600),
            unit "",
            about "Longest silence within the body of a request.",
            why "A stalled upload must not hold memory.";
        cors_origins: Vec<WebOrigin> = vec![WebOrigin::any()],
            unit "",
            about "Origins whose pages may read through a browser.",
            why "Viewers are served from anywhere; while nobody is authenticated, the address is the only protection.";
        qido_limit_default: u32 = 1000, range 1 => 100_000,
            unit "matches",
            about "Matches that a search without a limit gives.",
            why "A worklist's length; the answer says when there are more.";
        qido_limit_max: u32 = 5000, range 1 => 100_000,
            unit "matches",
            about "Most matches that one search gives, whatever it asks for.",
            why "An answer is built in memory.";
        qido_empty_no_content: bool = false,
            unit "",
            about "Answer a search without matches with 204 rather than with 200 and an empty list.",
            why "CP-2473 made it 200; texts of the standard before 2026 say 204.";
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
            range Duration::from_millis(100) => Duration::from_secs(86_400),
            unit "",
            about "A series settles into a pack when no instance of it has come for this long.",
            why "Longer than the pauses within one series, short enough to keep the intake small.";
        settle_from: Size = Size(store_defaults().settle_from_bytes), range Size::mib(1) => Size::mib(16_384),
            unit "bytes",
            about "A series settles at once when this many bytes of it wait.",
            why "Bounds the intake and the length of one pack.";
        index_cache: Size = Size(store_defaults().index_cache_bytes), range Size::mib(8) => Size::mib(65_536),
            unit "bytes",
            about "Memory for the index engine's cache.",
            why "Enough for a million instances; raise it with the archive.";
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
        drain_timeout: Duration = Duration::from_secs(30),
            range Duration::from_millis(0) => Duration::from_secs(3600),
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
    storage: Storage "storage",
    run: Run "run",
    log: Log "log",
}

impl Config {
    /// What the store is opened with.
    #[must_use]
    pub fn store_options(&self) -> StoreOptions {
        let storage = &self.storage;
        let mut options = StoreOptions::new(&self.data.folder);
        options.intake_memory_max_bytes = storage.intake_memory_max.0;
        options.staged_from_bytes = storage.staged_from.0;
        options.segment_max_bytes = storage.segment_max.0;
        options.free_space_min_bytes = storage.free_space_min.0;
        options.settle_after = storage.settle_after;
        options.settle_from_bytes = storage.settle_from.0;
        options.index_cache_bytes = storage.index_cache.0;
        options
    }
}
