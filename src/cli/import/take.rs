//! Takes one item: tells whether it is DICOM, and hands its data set on.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::Path,
    sync::Arc,
    time::Duration,
};

use filmroom_storage::model::{Door, Origin};
use tokio::runtime::Handle;

use super::{
    dicomdir::MEDIA_DIRECTORY_CLASS,
    journal::{self, Journal, Mark},
    tally::{Outcome, Refusal, Skipped},
    walk::{Item, unreadable},
    zip,
};
use filmroom_dataset::FileHead;
use filmroom_ingest::{Announced, Ingest, IngestError};

/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// A head that has not ended within so many bytes is none.
const HEAD_BYTES_MAX: usize = 2 << 20;
/// Pauses before an instance is tried again for which there was no room; after the last, the import stops.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];

/// Where instances go. Called from several threads.
pub trait Destination: Sync {
    /// Takes a data set to its end. Blocks.
    ///
    /// # Errors
    /// [`NotTaken`].
    fn take(&self, instance: &Instance<'_>, data_set: &mut dyn Read) -> Result<Outcome, NotTaken>;
}

/// What is known of an instance before its data set is read.
pub struct Instance<'a> {
    /// From the file meta information, or told from the first elements.
    pub head: &'a FileHead,
    /// Bytes of the data set.
    pub length: u64,
    /// What the user named.
    pub medium: &'a str,
}

/// Why an instance was not taken.
#[derive(Debug)]
pub enum NotTaken {
    /// It could not be read.
    Read(io::Error),
    /// Its bytes are no instance: no DICOM at all, unless something else said that they are.
    NoInstance(Refusal),
    /// It is not wanted.
    Refused(Refusal),
    /// Nothing can be taken now; perhaps later.
    NotNow(String),
}

/// What became of an item.
pub struct Done {
    /// For the report.
    pub path: String,
    /// Bytes of the source, as progress counts them.
    pub bytes: u64,
    /// What became of it; `None` when the import has to stop.
    pub outcome: Result<Outcome, String>,
}

/// Takes items, one after the other.
pub struct Taker<'a, D> {
    /// Where instances go.
    pub destination: &'a D,
    /// What is finished.
    pub journal: Option<&'a Journal>,
}

impl<D: Destination> Taker<'_, D> {
    /// Takes an item. `buffer` is kept from item to item.
    pub fn take(&self, item: &Item, buffer: &mut Vec<u8>) -> Done {
        match item {
            Item::Settled { path, outcome } => Done {
                path: path.clone(),
                bytes: 0,
                outcome: Ok(outcome.clone()),
            },
            Item::File { path, medium } => {
                let shown = item.shown();
                match open(path) {
                    Ok((file, metadata)) => {
                        let length = metadata.len();
                        drop(file);
                        let source = Source {
                            length,
                            medium,
                            mark: journal::mark(path, &metadata, None),
                            named_dicom: has_dicom_extension(path),
                            open: &|| Ok(Box::new(open(path)?.0) as Box<dyn Read>),
                        };
                        Done {
                            path: shown,
                            bytes: length,
                            outcome: self.source(&source, buffer),
                        }
                    }
                    Err(error) => Done {
                        path: shown,
                        bytes: 0,
                        outcome: Ok(unreadable(&error)),
                    },
                }
            }
            Item::Entry {
                path,
                archive,
                entry,
                medium,
            } => {
                let shown = item.shown();
                let bytes = entry.compressed_length;
                let mark = match fs::metadata(path) {
                    Ok(metadata) => journal::mark(path, &metadata, Some(entry.number)),
                    Err(error) => {
                        return Done {
                            path: shown,
                            bytes,
                            outcome: Ok(unreadable(&error)),
                        };
                    }
                };
                let source = Source {
                    length: entry.length,
                    medium,
                    mark,
                    named_dicom: has_dicom_extension(Path::new(&entry.name)),
                    open: &|| {
                        archive
                            .read(entry)
                            .map(|read| read as Box<dyn Read>)
                            .map_err(io::Error::other)
                    },
                };
                Done {
                    path: shown,
                    bytes,
                    outcome: self.source(&source, buffer),
                }
            }
        }
    }

    fn source(&self, source: &Source<'_>, buffer: &mut Vec<u8>) -> Result<Outcome, String> {
        if self.journal.is_some_and(|journal| journal.has(&source.mark)) {
            return Ok(Outcome::FinishedEarlier);
        }
        let mut pauses = PAUSES.iter();
        loop {
            let outcome = match self.attempt(source, buffer) {
                Ok(outcome) => outcome,
                Err(why) => match pauses.next() {
                    Some(pause) => {
                        std::thread::sleep(*pause);
                        continue;
                    }
                    None => return Err(why),
                },
            };
            let safe = matches!(
                outcome,
                Outcome::Stored | Outcome::AlreadyStored | Outcome::Quarantined(_)
            );
            if safe && let Some(journal) = self.journal {
                journal
                    .finish(&source.mark)
                    .map_err(|error| format!("the import journal cannot be written: {error}"))?;
            }
            return Ok(outcome);
        }
    }

    fn attempt(&self, source: &Source<'_>, buffer: &mut Vec<u8>) -> Result<Outcome, String> {
        let mut read = match (source.open)() {
            Ok(read) => read,
            Err(error) => return Ok(unreadable(&error)),
        };
        let head = match read_head(&mut read, buffer) {
            Ok(Some(head)) => head,
            Ok(None) => return Ok(source.no_dicom(buffer, "it ends within its head".to_owned())),
            Err(HeadError::Read(error)) => return Ok(unreadable(&error)),
            Err(HeadError::NoDicom(why)) => return Ok(source.no_dicom(buffer, why)),
        };
        if head.media_storage_sop_class_uid == MEDIA_DIRECTORY_CLASS {
            return Ok(Outcome::Skipped(Skipped::MediaDirectory));
        }
        let begun = buffer.get(head.data_set_offset..).unwrap_or_default();
        let instance = Instance {
            length: source.length.saturating_sub(head.data_set_offset as u64),
            head: &head,
            medium: source.medium,
        };
        match self.destination.take(&instance, &mut begun.chain(read)) {
            Ok(outcome) => Ok(outcome),
            Err(NotTaken::Read(error)) => Ok(unreadable(&error)),
            Err(NotTaken::Refused(refusal)) => Ok(Outcome::Refused(refusal)),
            Err(NotTaken::NoInstance(refusal)) if source.is_dicom(buffer) => Ok(Outcome::Refused(refusal)),
            Err(NotTaken::NoInstance(_)) => Ok(Outcome::Skipped(Skipped::NotDicom)),
            Err(NotTaken::NotNow(why)) => Err(why),
        }
    }
}

struct Source<'a> {
    length: u64,
    medium: &'a Arc<str>,
    mark: Mark,
    named_dicom: bool,
    open: &'a dyn Fn() -> io::Result<Box<dyn Read>>,
}

impl Source<'_> {
    /// True when more than a guess says that this is meant to be DICOM.
    fn is_dicom(&self, start: &[u8]) -> bool {
        self.named_dicom || start.get(128..132) == Some(b"DICM")
    }

    fn no_dicom(&self, start: &[u8], why: String) -> Outcome {
        if self.is_dicom(start) {
            return Outcome::Refused(Refusal {
                reason: "damaged",
                detail: why,
            });
        }
        let kind = if start.starts_with(&zip::LOCAL_HEADER) {
            Skipped::NestedArchive
        } else {
            Skipped::NotDicom
        };
        Outcome::Skipped(kind)
    }
}

enum HeadError {
    Read(io::Error),
    NoDicom(String),
}

/// Fills the buffer with the first bytes, as many as it takes to understand the head; `None` when it does not end.
fn read_head(read: &mut dyn Read, buffer: &mut Vec<u8>) -> Result<Option<FileHead>, HeadError> {
    buffer.clear();
    loop {
        let wanted = CHUNK_BYTES as u64;
        let count = read.take(wanted).read_to_end(buffer).map_err(HeadError::Read)?;
        let ended = (count as u64) < wanted;
        match filmroom_dataset::read_file_head(buffer) {
            Ok(Some(head)) => return Ok(Some(head)),
            Ok(None) if ended || buffer.len() >= HEAD_BYTES_MAX => return Ok(None),
            Ok(None) => {}
            Err(error) => return Err(HeadError::NoDicom(error.to_string())),
        }
    }
}

/// Opens a regular file; a pipe that took its place since the walk would block for ever.
fn open(path: &Path) -> io::Result<(File, fs::Metadata)> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is no regular file any more"));
    }
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn has_dicom_extension(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    ["dcm", "dicom", "ima"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

/// The archive in this process.
pub struct Rooms {
    /// The room that takes in.
    pub ingest: Ingest,
    /// Where it runs.
    pub runtime: Handle,
}

impl Destination for Rooms {
    fn take(&self, instance: &Instance<'_>, data_set: &mut dyn Read) -> Result<Outcome, NotTaken> {
        let announced = Announced {
            transfer_syntax_uid: instance.head.transfer_syntax_uid.clone(),
            // What a file says of itself before the data set may be wrong; the data set counts.
            sop_class_uid: None,
            sop_instance_uid: None,
            study_instance_uid: None,
            expected_length: instance.length,
        };
        let origin = Origin {
            door: Door::Import,
            sender: instance.medium.to_owned(),
            receiver: String::new(),
            address: String::new(),
        };
        let mut receiving = self.ingest.receive(announced, origin).map_err(not_taken)?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = data_set.read(&mut chunk).map_err(NotTaken::Read)?;
            if count == 0 {
                break;
            }
            let bytes = chunk.get(..count).unwrap_or_default();
            self.runtime.block_on(receiving.write(bytes)).map_err(not_taken)?;
        }
        let receipt = self.runtime.block_on(receiving.finish()).map_err(not_taken)?;
        Ok(match receipt.outcome() {
            filmroom_ingest::Outcome::Stored => Outcome::Stored,
            filmroom_ingest::Outcome::AlreadyStored => Outcome::AlreadyStored,
            filmroom_ingest::Outcome::Quarantined(why) => Outcome::Quarantined(why.clone()),
        })
    }
}

fn not_taken(error: IngestError) -> NotTaken {
    let detail = error.to_string();
    let refusal = |reason| Refusal {
        reason,
        detail: detail.clone(),
    };
    match error {
        IngestError::CannotUnderstand(_) => NotTaken::NoInstance(refusal("cannot be understood")),
        IngestError::Mismatch(_) => NotTaken::NoInstance(refusal("identifiers missing or unusable")),
        IngestError::InvalidUid(_) => NotTaken::Refused(refusal("identifiers missing or unusable")),
        IngestError::SopClass(_) => NotTaken::Refused(refusal("SOP class that is not taken")),
        IngestError::Note(..) => NotTaken::Refused(refusal("rejection note that is not taken")),
        IngestError::Destroyed(_) => NotTaken::Refused(refusal("destroyed by a decision")),
        IngestError::Failed(_) => NotTaken::Refused(refusal("processing failure")),
        IngestError::OutOfResources(_) | IngestError::OutOfStorage(_) => NotTaken::NotNow(detail),
    }
}
