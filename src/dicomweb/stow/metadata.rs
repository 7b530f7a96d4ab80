//! Instances that are described by metadata, with their bulk data in other parts (PS3.18 §10.5.1.1.2).

use std::{collections::HashSet, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    Reader,
    assemble::{self, BulkPart, BulkParts, Segment},
    instance::{Named, Pieces, Received, Refused},
    png,
    spool::{Spool, Spooled},
    taking::Taking,
};
use crate::multipart::{MultipartError, PartHeaders};
use filmroom_dataset::{DataSetError, ReadDataSet, read_json, read_xml};
use filmroom_ingest::{Announced, IngestError};

/// Documents of metadata that are read at the same time come to so many bytes at most: a document takes some four times
/// its length while it is. Its turn lasts as long as the archive works on it, and never waits for a client.
#[derive(Clone)]
pub(crate) struct Turns {
    permits: Arc<Semaphore>,
    total: u32,
    unpacking: Arc<Semaphore>,
}

/// A document that waits longer for its turn is answered with 503.
const TURN_WAIT_MAX: Duration = Duration::from_secs(20);
const PERMIT_BYTES: u64 = 1024;

impl Turns {
    pub(crate) fn new(total_bytes: u64) -> Self {
        let total = u32::try_from(total_bytes / PERMIT_BYTES)
            .unwrap_or(u32::MAX >> 4)
            .max(1);
        Self {
            permits: Arc::new(Semaphore::new(total as usize)),
            total,
            unpacking: Arc::new(Semaphore::new(1)),
        }
    }

    async fn turn(&self, length: u64) -> Option<SemaphorePermit<'_>> {
        let permits = u32::try_from(length.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let turn = self.permits.acquire_many(permits.clamp(1, self.total));
        tokio::time::timeout(TURN_WAIT_MAX, turn).await.ok()?.ok()
    }
}

/// What came of one request so far. Metadata wait as they came until all parts are there.
pub(super) struct Described {
    metadata_max_bytes: u64,
    metadata_bytes: u64,
    turns: Turns,
    documents: Vec<Spooled>,
    parts: BulkParts,
    spool: Spool,
}

/// A part up to so many bytes.
struct Within<'a> {
    reader: &'a mut Reader,
    left: u64,
    is_longer: bool,
}

impl Pieces for Within<'_> {
    type Error = MultipartError;

    async fn piece(&mut self) -> Result<Option<bytes::Bytes>, MultipartError> {
        let piece = Pieces::piece(self.reader).await?;
        let length = piece.as_ref().map_or(0, bytes::Bytes::len) as u64;
        match self.left.checked_sub(length) {
            Some(left) => {
                self.left = left;
                Ok(piece)
            }
            None => {
                self.is_longer = true;
                Ok(None)
            }
        }
    }
}

impl Described {
    pub(super) fn new(metadata_max_bytes: u64, turns: Turns) -> Self {
        Self {
            metadata_max_bytes,
            metadata_bytes: 0,
            turns,
            documents: Vec::new(),
            parts: BulkParts::new(),
            spool: Spool::new(),
        }
    }

    /// Takes one part: metadata, an instance of its own, or bulk data.
    pub(super) async fn take(
        &mut self,
        reader: &mut Reader,
        headers: PartHeaders,
        taking: &mut Taking,
    ) -> Result<(), MultipartError> {
        let media_type = headers
            .content_type
            .as_ref()
            .map(|content_type| content_type.media_type.as_str());
        // What may be a document that an instance encapsulates describes instances only where it comes first, unnamed.
        let is_first = self.documents.is_empty() && self.parts.is_empty() && headers.content_location.is_none();
        match media_type {
            Some("application/dicom+json" | "application/dicom+xml") => self.metadata(reader, taking).await,
            Some("application/json" | "application/xml" | "text/xml") | None if is_first => {
                self.metadata(reader, taking).await
            }
            Some("application/dicom") => taking.instance(reader, headers.content_length).await,
            _ => self.bulk(reader, headers, taking).await,
        }
    }

    async fn metadata(&mut self, reader: &mut Reader, taking: &mut Taking) -> Result<(), MultipartError> {
        let mut part = Within {
            reader,
            left: self.metadata_max_bytes.saturating_sub(self.metadata_bytes),
            is_longer: false,
        };
        let spooled = self.spool.take(&mut part).await?;
        match spooled {
            _ if part.is_longer => taking.refuse_part(&format!(
                "the metadata are longer than {} bytes: store in several requests",
                self.metadata_max_bytes
            )),
            Ok(document) => {
                self.metadata_bytes += document.length();
                self.documents.push(document);
            }
            Err(error) => {
                let error = IngestError::OutOfResources(format!("the metadata cannot be kept meanwhile: {error}"));
                let named = Named::default();
                taking.refuse(Refused { named, error });
            }
        }
        Ok(())
    }

    async fn bulk(
        &mut self,
        reader: &mut Reader,
        headers: PartHeaders,
        taking: &mut Taking,
    ) -> Result<(), MultipartError> {
        let name = headers.content_location.or(headers.content_id).unwrap_or_default();
        match self.spool.take(reader).await? {
            Ok(content) => {
                let part = BulkPart {
                    content_type: headers.content_type,
                    content,
                    unpacked: None,
                };
                self.parts.entry(name).or_default().push(part);
            }
            Err(error) => {
                let error = IngestError::OutOfStorage(format!("a bulk part cannot be kept meanwhile: {error}"));
                let named = Named::default();
                taking.refuse(Refused { named, error });
            }
        }
        Ok(())
    }

    /// Takes the described instances in, once everything has come.
    pub(super) async fn finish(self, taking: &mut Taking) {
        let Self {
            documents,
            mut parts,
            turns,
            ..
        } = self;
        let mut used = HashSet::new();
        for document in documents {
            let Some(_turn) = turns.turn(document.length()).await else {
                let error = IngestError::OutOfResources("other metadata are being read: store again later".to_owned());
                let named = Named::default();
                taking.refuse(Refused { named, error });
                continue;
            };
            let instances = match read(document).await {
                Ok(instances) => instances,
                Err(reason) => {
                    taking.refuse_part(&format!("the metadata cannot be read: {reason}"));
                    continue;
                }
            };
            for data_set in instances {
                let named = assemble::named(&data_set);
                if let Err(reason) = unpack_pixels(&data_set, &mut parts, &turns).await {
                    let error = IngestError::CannotUnderstand(DataSetError::Malformed(reason));
                    taking.refuse(Refused { named, error });
                    continue;
                }
                match receive(&data_set, &parts, named.clone(), taking, &mut used).await {
                    Ok(received) => taking.finish(received).await,
                    Err(error) => taking.refuse(Refused { named, error }),
                }
            }
        }
        let unused = parts.keys().filter(|name| !used.contains(*name)).count();
        if unused > 0 {
            tracing::warn!(unused, "bulk parts of a STOW request belong to no instance");
        }
    }
}

/// Unpacks the pixels of an instance where no transfer syntax holds them as they came; one picture of all requests at a time,
/// since it is held whole.
async fn unpack_pixels(data_set: &ReadDataSet, parts: &mut BulkParts, turns: &Turns) -> Result<(), String> {
    let Some(frames) = assemble::pixel_parts(data_set, parts) else {
        return Ok(());
    };
    for part in frames {
        let is_png = part
            .content_type
            .as_ref()
            .is_some_and(|kind| kind.media_type == png::PNG);
        if is_png {
            let _alone = turns.unpacking.acquire().await.map_err(|error| error.to_string())?;
            png::unpack(part).await?;
        }
    }
    Ok(())
}

/// The data sets of a document.
async fn read(document: Spooled) -> Result<Vec<ReadDataSet>, String> {
    let text = document.whole().await.map_err(|error| error.to_string())?;
    drop(document);
    let parsing = tokio::task::spawn_blocking(move || {
        // The first character tells, whatever the part calls itself.
        let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
        if first.is_some_and(|byte| b"[{".contains(byte)) {
            read_json(&text)
        } else {
            read_xml(&text).map(|one| vec![one])
        }
    });
    let read = parsing.await.map_err(|error| error.to_string())?;
    read.map_err(|error| error.to_string())
}

async fn receive(
    data_set: &ReadDataSet,
    parts: &BulkParts,
    named: Named,
    taking: &Taking,
    used: &mut HashSet<String>,
) -> Result<Received, IngestError> {
    let plan = assemble::plan(data_set, parts)
        .await
        .map_err(|reason| IngestError::CannotUnderstand(DataSetError::Malformed(reason)))?;
    let expected_length = plan
        .segments
        .iter()
        .map(|segment| match segment {
            Segment::Bytes(bytes) => bytes.len() as u64,
            Segment::Bulk { range, .. } => range.end - range.start,
        })
        .sum();
    let announced = Announced {
        transfer_syntax_uid: plan.transfer_syntax_uid,
        sop_class_uid: None,
        sop_instance_uid: None,
        study_instance_uid: taking.study().cloned(),
        expected_length,
    };
    let mut receiving = taking.ingest().receive(announced, taking.origin().clone())?;
    for segment in plan.segments {
        match segment {
            Segment::Bytes(bytes) => receiving.write(&bytes).await?,
            Segment::Bulk { uri, index, range } => {
                let part = parts.get(&uri).and_then(|parts| parts.get(index));
                let part = part.ok_or_else(|| IngestError::Failed("a bulk part is gone".to_owned()))?;
                let mut at = range.start;
                while at < range.end {
                    let piece = part.content.read(at..range.end).await;
                    let piece = piece.map_err(|error| IngestError::Failed(error.to_string()))?;
                    if piece.is_empty() {
                        return Err(IngestError::Failed("a bulk part is shorter than it was".to_owned()));
                    }
                    at += piece.len() as u64;
                    receiving.write(&piece).await?;
                }
                used.insert(uri);
            }
        }
    }
    Ok(Received { receiving, named })
}
