//! The rows of studies, series and packs, and the index's own state.

use time::OffsetDateTime;

use super::codec::{Decoder, Encoder, Undecodable};
use crate::{
    index::Totals,
    model::{Attributes, StudyKeys},
};

/// Raised when rows change their form; an index of another form is rebuilt.
pub(crate) const SCHEMA: u64 = 3;

/// A place in the intake log: everything before it has been applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Bytes from its start.
    pub offset: u64,
}

/// What the index knows about itself; written with every batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Counts batches. The intake log remembers the latest one it relies on.
    pub(crate) generation: u64,
    pub(crate) checkpoint: Position,
    pub(crate) next_study: u32,
    pub(crate) next_series: u32,
    pub(crate) totals: Totals,
}

impl State {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(48);
        row.number(SCHEMA).number(self.generation);
        row.number(self.checkpoint.segment).number(self.checkpoint.offset);
        row.number(self.next_study.into()).number(self.next_series.into());
        row.number(self.totals.studies).number(self.totals.series);
        row.number(self.totals.instances).number(self.totals.length);
        row.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut row = Decoder::new(bytes, "the state of the index");
        if row.number()? != SCHEMA {
            return Err(Undecodable("an index of another schema"));
        }
        Ok(Self {
            generation: row.number()?,
            checkpoint: Position {
                segment: row.number()?,
                offset: row.number()?,
            },
            next_study: row.number_u32()?,
            next_series: row.number_u32()?,
            totals: Totals {
                studies: row.number()?,
                series: row.number()?,
                instances: row.number()?,
                length: row.number()?,
            },
        })
    }
}

/// Microseconds since 2020-01-01, which is what rows keep of a time.
const EPOCH: i64 = 1_577_836_800_000_000;

pub(crate) fn encode_time(row: &mut Encoder, time: OffsetDateTime) {
    row.signed(micros(time) - EPOCH);
}

fn micros(time: OffsetDateTime) -> i64 {
    i64::try_from(time.unix_timestamp_nanos() / 1000).unwrap_or(i64::MAX / 2)
}

pub(crate) fn decode_time(row: &mut Decoder<'_>) -> Result<OffsetDateTime, Undecodable> {
    let micros = i128::from(row.signed()?) + i128::from(EPOCH);
    OffsetDateTime::from_unix_timestamp_nanos(micros * 1000).or_else(|_| row.fail())
}

/// A time as it will read back.
pub(crate) fn whole_micros(time: OffsetDateTime) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros(time)) * 1000).unwrap_or(time)
}

pub(crate) fn encode_keys(row: &mut Encoder, keys: &StudyKeys) {
    row.text(&keys.patient_id).text(&keys.issuer_of_patient_id);
    row.text(&keys.accession_number).text(&keys.study_date);
    row.number(keys.patient_names.len() as u64);
    for name in &keys.patient_names {
        row.text(name);
    }
}

pub(crate) fn decode_keys(row: &mut Decoder<'_>) -> Result<StudyKeys, Undecodable> {
    let patient_id = row.text()?.to_owned();
    let issuer_of_patient_id = row.text()?.to_owned();
    let accession_number = row.text()?.to_owned();
    let study_date = row.text()?.to_owned();
    let mut patient_names = Vec::new();
    for _ in 0..row.count()? {
        patient_names.push(row.text()?.to_owned());
    }
    Ok(StudyKeys {
        patient_id,
        issuer_of_patient_id,
        patient_names,
        accession_number,
        study_date,
    })
}

/// What does not change about a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StudyRow {
    pub(crate) id: u32,
    pub(crate) keys: StudyKeys,
    pub(crate) attributes: Attributes,
}

impl StudyRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(128 + self.attributes.as_bytes().len());
        row.number(self.id.into());
        encode_keys(&mut row, &self.keys);
        row.raw(self.attributes.as_bytes());
        row.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut row = Decoder::new(bytes, "a study");
        Ok(Self {
            id: row.number_u32()?,
            keys: decode_keys(&mut row)?,
            attributes: attributes(row.rest()),
        })
    }
}

pub(crate) fn attributes(bytes: &[u8]) -> Attributes {
    Attributes::from_normal_form(bytes::Bytes::copy_from_slice(bytes))
}

/// What changes with every instance of a study.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StudyCounts {
    pub(crate) first_received_at: OffsetDateTime,
    pub(crate) last_received_at: OffsetDateTime,
    pub(crate) series: u64,
    pub(crate) instances: u64,
    pub(crate) length: u64,
    /// Sorted.
    pub(crate) modalities: Vec<String>,
    /// Interned UIDs.
    pub(crate) sop_classes: Vec<u32>,
}

impl StudyCounts {
    pub(crate) fn count(&mut self, length: u64, received_at: OffsetDateTime) {
        self.instances += 1;
        self.length += length;
        self.first_received_at = self.first_received_at.min(received_at);
        self.last_received_at = self.last_received_at.max(received_at);
    }

    pub(crate) fn new(now: OffsetDateTime) -> Self {
        Self {
            first_received_at: now,
            last_received_at: now,
            series: 0,
            instances: 0,
            length: 0,
            modalities: vec![],
            sop_classes: vec![],
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(48);
        encode_time(&mut row, self.first_received_at);
        encode_time(&mut row, self.last_received_at);
        row.number(self.series).number(self.instances).number(self.length);
        row.number(self.modalities.len() as u64);
        for modality in &self.modalities {
            row.text(modality);
        }
        for id in &self.sop_classes {
            row.number((*id).into());
        }
        row.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut row = Decoder::new(bytes, "the counts of a study");
        let first_received_at = decode_time(&mut row)?;
        let last_received_at = decode_time(&mut row)?;
        let (series, instances, length) = (row.number()?, row.number()?, row.number()?);
        let mut modalities = Vec::new();
        for _ in 0..row.count()? {
            modalities.push(row.text()?.to_owned());
        }
        let mut sop_classes = Vec::new();
        while !row.is_at_end() {
            sop_classes.push(row.number_u32()?);
        }
        Ok(Self {
            first_received_at,
            last_received_at,
            series,
            instances,
            length,
            modalities,
            sop_classes,
        })
    }
}

/// What does not change about a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeriesRow {
    pub(crate) id: u32,
    pub(crate) attributes: Attributes,
}

impl SeriesRow {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(16 + self.attributes.as_bytes().len());
        row.number(self.id.into());
        row.raw(self.attributes.as_bytes());
        row.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut row = Decoder::new(bytes, "a series");
        Ok(Self {
            id: row.number_u32()?,
            attributes: attributes(row.rest()),
        })
    }
}

/// What changes with every instance of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeriesCounts {
    pub(crate) first_received_at: OffsetDateTime,
    pub(crate) last_received_at: OffsetDateTime,
    pub(crate) instances: u64,
    pub(crate) length: u64,
    /// The number that the next pack gets; a number is never given twice.
    pub(crate) next_pack: u64,
}

impl SeriesCounts {
    pub(crate) fn count(&mut self, length: u64, received_at: OffsetDateTime) {
        self.instances += 1;
        self.length += length;
        self.first_received_at = self.first_received_at.min(received_at);
        self.last_received_at = self.last_received_at.max(received_at);
    }

    pub(crate) fn new(now: OffsetDateTime) -> Self {
        Self {
            first_received_at: now,
            last_received_at: now,
            instances: 0,
            length: 0,
            next_pack: 1,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(24);
        encode_time(&mut row, self.first_received_at);
        encode_time(&mut row, self.last_received_at);
        row.number(self.instances).number(self.length).number(self.next_pack);
        row.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut row = Decoder::new(bytes, "the counts of a series");
        Ok(Self {
            first_received_at: decode_time(&mut row)?,
            last_received_at: decode_time(&mut row)?,
            instances: row.number()?,
            length: row.number()?,
            next_pack: row.number()?,
        })
    }
}

/// The two UIDs of a series' number.
pub(crate) fn encode_uids(study: &str, series: &str) -> Vec<u8> {
    let mut row = Encoder::with_capacity(72);
    row.counted(&super::keys::pack_uid(study))
        .raw(&super::keys::pack_uid(series));
    row.finish()
}

/// Study and series UID.
pub(crate) fn decode_uids(bytes: &[u8]) -> Result<(String, String), Undecodable> {
    let mut row = Decoder::new(bytes, "the UIDs of a series");
    let study = super::keys::unpack_uid(row.counted()?);
    Ok((study, super::keys::unpack_uid(row.rest())))
}

/// A settled pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackRow {
    /// Bytes of the object.
    pub length: u64,
    /// CRC-32 of the whole object.
    pub crc32: u32,
    /// Members.
    pub instances: u64,
}

impl PackRow {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut row = Encoder::with_capacity(16);
        row.number(self.length).number(self.crc32.into()).number(self.instances);
        row.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Undecodable> {
        let mut row = Decoder::new(bytes, "a pack");
        Ok(Self {
            length: row.number()?,
            crc32: row.number_u32()?,
            instances: row.number()?,
        })
    }
}
