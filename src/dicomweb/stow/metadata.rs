//! Instances that are described by metadata, with their bulk data in other parts (PS3.18 §10.5.1.1.2).

use std::collections::HashSet;

use super::{
    Reader,
    assemble::{self, BulkPart, BulkParts, Segment},
    instance::{Named, Pieces, Received, Refused},
    spool::Spool,
    taking::Taking,
};
use crate::{
    dataset::{DataSetError, ReadDataSet, read_json, read_xml},
    dicomweb::multipart::{MultipartError, PartHeaders},
    ingest::{Announced, IngestError},
};

/// What came of one request so far.
pub(super) struct Described {
    metadata_max_bytes: u64,
    metadata_bytes: u64,
    instances: Vec<ReadDataSet>,
    parts: BulkParts,
    spool: Spool,
}

impl Described {
    pub(super) fn new(metadata_max_bytes: u64) -> Self {
        Self {
            metadata_max_bytes,
            metadata_bytes: 0,
            instances: Vec::new(),
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
        let is_first = self.instances.is_empty() && self.parts.is_empty();
        match media_type {
            Some("application/dicom+json" | "application/json") => self.metadata(reader, taking).await,
            Some("application/dicom+xml" | "application/xml" | "text/xml") => self.metadata(reader, taking).await,
            Some("application/dicom") => taking.instance(reader, headers.content_length).await,
            None if is_first => self.metadata(reader, taking).await,
            _ => self.bulk(reader, headers, taking).await,
        }
    }

    async fn metadata(&mut self, reader: &mut Reader, taking: &mut Taking) -> Result<(), MultipartError> {
        let mut text = Vec::new();
        while let Some(piece) = Pieces::piece(reader).await? {
            self.metadata_bytes += piece.len() as u64;
            if self.metadata_bytes > self.metadata_max_bytes {
                taking.refuse_part(&format!(
                    "the metadata are longer than {} bytes: store in several requests",
                    self.metadata_max_bytes
                ));
                return Ok(());
            }
            text.extend_from_slice(&piece);
        }
        // The first character tells, whatever the part calls itself.
        let is_json = text
            .iter()
            .find(|byte| !byte.is_ascii_whitespace())
            .is_some_and(|byte| b"[{".contains(byte));
        let parsing = tokio::task::spawn_blocking(move || {
            if is_json {
                read_json(&text)
            } else {
                read_xml(&text).map(|one| vec![one])
            }
        });
        match parsing.await {
            Ok(Ok(instances)) => self.instances.extend(instances),
            Ok(Err(error)) => taking.refuse_part(&format!("the metadata cannot be read: {error}")),
            Err(error) => taking.refuse_part(&format!("the metadata cannot be read: {error}")),
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
        let Self { instances, parts, .. } = self;
        let mut used = HashSet::new();
        for data_set in instances {
            let named = assemble::named(&data_set);
            match receive(&data_set, &parts, named.clone(), taking, &mut used).await {
                Ok(received) => taking.finish(received).await,
                Err(error) => taking.refuse(Refused { named, error }),
            }
        }
        let unused = parts.keys().filter(|name| !used.contains(*name)).count();
        if unused > 0 {
            tracing::warn!(unused, "bulk parts of a STOW request belong to no instance");
        }
    }
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
