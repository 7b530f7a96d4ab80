//! What an answer holds, and where each value comes from.

use std::iter::Peekable;

use bytes::Bytes;
use filmroom_storage::model::{
    Attributes, Element, Elements, InstanceRecord, SeriesRecord, StudyRecord, Tag, has_long_length,
};

use filmroom_dataset::vr;

use super::{
    Include, Level, Query, attribute,
    levels::{self, Presence},
    plan::asked_tags,
};

/// The columns of the answers to one question, in ascending order of tag.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<Column>,
    /// Every attribute of the level's own record beside the columns.
    all_of: Option<Level>,
    /// Root of the Retrieve URLs.
    retrieve_url_base: Option<String>,
    level: Level,
    /// Keys whose attribute nothing is known of at this level.
    unknown: Vec<Tag>,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    tag: Tag,
    vr: [u8; 2],
    source: Source,
    presence: Presence,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Study,
    Series,
    Instance,
    Header,
    Fact(Fact),
    Nowhere,
}

/// What the archive knows beside the attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    SopClassUid,
    SopInstanceUid,
    InstanceAvailability,
    ModalitiesInStudy,
    SopClassesInStudy,
    RetrieveUrl,
    AvailableTransferSyntaxUid,
    StudyInstanceUid,
    SeriesInstanceUid,
    NumberOfPatientRelatedStudies,
    NumberOfPatientRelatedSeries,
    NumberOfPatientRelatedInstances,
    NumberOfStudyRelatedSeries,
    NumberOfStudyRelatedInstances,
    NumberOfSeriesRelatedInstances,
}

/// How much the archive holds of one patient.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PatientTotals {
    pub(super) studies: u64,
    pub(super) series: u64,
    pub(super) instances: u64,
}

/// What one answer is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) study_instance_uid: &'a str,
    pub(super) series_instance_uid: &'a str,
    pub(super) study: Option<&'a StudyRecord>,
    pub(super) series: Option<&'a SeriesRecord>,
    pub(super) instance: Option<&'a InstanceRecord>,
    pub(super) header: Option<&'a Attributes>,
    pub(super) patient: Option<PatientTotals>,
}

impl Columns {
    pub(super) fn new(query: &Query) -> Self {
        let mut columns: Vec<Column> = Vec::new();
        let exactly = matches!(query.include, Include::Exactly(_));
        if !exactly {
            let always = levels::always_returned(query.level).iter();
            columns.extend(always.map(|(tag, presence)| Column::new(*tag, *presence, query)));
        }
        for tag in asked_tags(query) {
            // The character set is told where a text needs it.
            if tag == SPECIFIC_CHARACTER_SET {
                continue;
            }
            match columns.iter_mut().find(|column| column.tag == tag) {
                Some(column) => column.presence = Presence::Required,
                None => columns.push(Column::new(tag, Presence::Required, query)),
            }
        }
        columns.sort_unstable_by_key(|column| column.tag);
        let all_of = (query.include == Include::All).then_some(query.level);
        let unknown = columns
            .iter()
            .filter(|column| column.source == Source::Nowhere && !is_of_a_door(column.tag))
            .map(|column| column.tag)
            .filter(|tag| query.keys.iter().any(|key| key.path == [*tag]))
            .collect();
        Self {
            columns,
            all_of,
            retrieve_url_base: query.retrieve_url_base.clone(),
            level: query.level,
            unknown,
        }
    }

    /// True when the record of the study is needed.
    pub(super) fn of_study(&self) -> bool {
        matches!(self.all_of, Some(Level::Patient | Level::Study))
            || self
                .columns
                .iter()
                .any(|column| column.source == Source::Study || column.fact().is_some_and(Fact::is_of_study))
    }

    /// True when the record of the series is needed.
    pub(super) fn of_series(&self) -> bool {
        self.all_of == Some(Level::Series)
            || self.columns.iter().any(|column| {
                column.source == Source::Series || column.fact() == Some(Fact::NumberOfSeriesRelatedInstances)
            })
    }

    /// True when the header of the instance is needed.
    pub(super) fn of_header(&self) -> bool {
        self.columns.iter().any(|column| column.source == Source::Header)
    }

    /// True when the totals of the patient are needed.
    pub(super) fn of_patient(&self) -> bool {
        self.columns
            .iter()
            .any(|column| column.fact().is_some_and(Fact::is_of_patient))
    }

    /// Keys, of whatever value, whose attribute nothing is known of at this level.
    pub(super) fn unknown(&self) -> &[Tag] {
        &self.unknown
    }

    /// One answer.
    pub(super) fn answer(&self, sources: Sources<'_>) -> Attributes {
        let mut writer = Writer::new();
        let mut study = Cursor::new(sources.study.map(|record| &record.attributes));
        let mut series = Cursor::new(sources.series.map(|record| &record.attributes));
        let mut instance = Cursor::new(sources.instance.map(|record| &record.attributes));
        let mut header = Cursor::new(sources.header);
        for column in &self.columns {
            let own = match self.all_of {
                None => None,
                Some(Level::Patient | Level::Study) => Some(&mut study),
                Some(Level::Series) => Some(&mut series),
                Some(Level::Instance) => Some(&mut instance),
            };
            // What stands at the column's own tag is taken out here too, lest it come twice.
            let own_element = own.and_then(|own| {
                own.before(column.tag, |element| writer.element(element));
                own.seek(column.tag)
            });
            let element = match column.source {
                Source::Study => study.seek(column.tag).or(own_element),
                Source::Series => series.seek(column.tag).or(own_element),
                Source::Instance => instance.seek(column.tag).or(own_element),
                Source::Header => header.seek(column.tag),
                Source::Nowhere => None,
                Source::Fact(fact) if self.write_fact(&mut writer, *column, fact, sources) => continue,
                Source::Fact(_) => None,
            };
            match element {
                Some(element) => writer.element(element),
                None if column.presence == Presence::Required => writer.value(column.tag, column.vr, &[]),
                None => {}
            }
        }
        let rest = match self.all_of {
            None => None,
            Some(Level::Patient | Level::Study) => Some(study),
            Some(Level::Series) => Some(series),
            Some(Level::Instance) => Some(instance),
        };
        if let Some(mut rest) = rest {
            rest.before(Tag::MAX, |element| writer.element(element));
        }
        writer.finish()
    }

    /// Writes what the archive knows; false when it knows nothing here.
    fn write_fact(&self, writer: &mut Writer, column: Column, fact: Fact, sources: Sources<'_>) -> bool {
        let mut text = |text: &str| {
            writer.value(column.tag, column.vr, text.as_bytes());
            true
        };
        let count = |number: Option<u64>| number.map(|number| number.to_string());
        let counted = match fact {
            Fact::InstanceAvailability => return text("ONLINE"),
            Fact::StudyInstanceUid => return text(sources.study_instance_uid),
            Fact::SeriesInstanceUid => return text(sources.series_instance_uid),
            Fact::SopClassUid => {
                return sources
                    .instance
                    .is_some_and(|record| text(record.sop_class_uid.as_str()));
            }
            Fact::SopInstanceUid => {
                return sources
                    .instance
                    .is_some_and(|record| text(record.sop_instance_uid.as_str()));
            }
            Fact::AvailableTransferSyntaxUid => {
                return sources
                    .instance
                    .is_some_and(|record| text(record.transfer_syntax_uid.as_str()));
            }
            Fact::ModalitiesInStudy => {
                return sources
                    .study
                    .is_some_and(|record| match record.modalities_in_study.as_slice() {
                        [one] => text(one),
                        several => text(&several.join("\\")),
                    });
            }
            Fact::SopClassesInStudy => {
                return sources.study.is_some_and(|record| {
                    let classes: Vec<&str> = record.sop_classes_in_study.iter().map(|class| class.as_str()).collect();
                    text(&classes.join("\\"))
                });
            }
            Fact::RetrieveUrl => return self.retrieve_url(sources).is_some_and(|url| text(&url)),
            Fact::NumberOfPatientRelatedStudies => count(sources.patient.map(|patient| patient.studies)),
            Fact::NumberOfPatientRelatedSeries => count(sources.patient.map(|patient| patient.series)),
            Fact::NumberOfPatientRelatedInstances => count(sources.patient.map(|patient| patient.instances)),
            Fact::NumberOfStudyRelatedSeries => count(sources.study.map(|record| record.number_of_series)),
            Fact::NumberOfStudyRelatedInstances => count(sources.study.map(|record| record.number_of_instances)),
            Fact::NumberOfSeriesRelatedInstances => count(sources.series.map(|record| record.number_of_instances)),
        };
        counted.is_some_and(|number| text(&number))
    }

    /// (0008,1190) of what the answer describes.
    fn retrieve_url(&self, sources: Sources<'_>) -> Option<String> {
        let base = self.retrieve_url_base.as_deref()?;
        let (study, series) = (sources.study_instance_uid, sources.series_instance_uid);
        match (self.level, sources.instance) {
            (Level::Patient, _) => None,
            (Level::Study, _) => Some(format!("{base}/studies/{study}")),
            (Level::Series, _) => Some(format!("{base}/studies/{study}/series/{series}")),
            (Level::Instance, instance) => {
                let sop_instance_uid = &instance?.sop_instance_uid;
                Some(format!(
                    "{base}/studies/{study}/series/{series}/instances/{sop_instance_uid}"
                ))
            }
        }
    }
}

const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;

impl Column {
    fn new(tag: Tag, presence: Presence, query: &Query) -> Self {
        let source = source_of(tag, query);
        Self {
            tag,
            vr: attribute::vr_of(tag),
            source,
            presence,
        }
    }

    fn fact(&self) -> Option<Fact> {
        match self.source {
            Source::Fact(fact) => Some(fact),
            _ => None,
        }
    }
}

fn source_of(tag: Tag, query: &Query) -> Source {
    let level = query.level;
    let fact = match tag {
        0x0008_0016 if level == Level::Instance => Fact::SopClassUid,
        0x0008_0018 if level == Level::Instance => Fact::SopInstanceUid,
        0x0008_0056 => Fact::InstanceAvailability,
        0x0008_0060 if level == Level::Study => Fact::ModalitiesInStudy,
        0x0008_0061 if level >= Level::Study => Fact::ModalitiesInStudy,
        0x0008_0062 if level >= Level::Study => Fact::SopClassesInStudy,
        0x0008_1190 if level >= Level::Study && query.retrieve_url_base.is_some() => Fact::RetrieveUrl,
        0x0008_3002 if level == Level::Instance => Fact::AvailableTransferSyntaxUid,
        0x0020_000D if level >= Level::Study => Fact::StudyInstanceUid,
        0x0020_000E if level >= Level::Series => Fact::SeriesInstanceUid,
        0x0020_1200 => Fact::NumberOfPatientRelatedStudies,
        0x0020_1202 => Fact::NumberOfPatientRelatedSeries,
        0x0020_1204 => Fact::NumberOfPatientRelatedInstances,
        0x0020_1206 if level >= Level::Study => Fact::NumberOfStudyRelatedSeries,
        0x0020_1208 if level >= Level::Study => Fact::NumberOfStudyRelatedInstances,
        0x0020_1209 if level >= Level::Series => Fact::NumberOfSeriesRelatedInstances,
        // Of the data set as a whole: each level's records hold their own.
        0x0008_0201 => {
            return match level {
                Level::Patient | Level::Study => Source::Study,
                Level::Series => Source::Series,
                Level::Instance => Source::Instance,
            };
        }
        _ => {
            return match levels::home(tag, level) {
                Some(Level::Patient) => Source::Study,
                Some(Level::Study) if level >= Level::Study => Source::Study,
                Some(Level::Series) if level >= Level::Series => Source::Series,
                Some(Level::Instance) if level == Level::Instance => Source::Instance,
                None if level == Level::Instance && !is_of_a_door(tag) => Source::Header,
                _ => Source::Nowhere,
            };
        }
    };
    Source::Fact(fact)
}

/// What doors put in themselves: Query/Retrieve Level, Retrieve AE Title, Retrieve URL and their like.
fn is_of_a_door(tag: Tag) -> bool {
    matches!(
        tag,
        0x0008_0001 | 0x0008_0052 | 0x0008_0053 | 0x0008_0054 | 0x0008_1190 | 0x0088_0130 | 0x0088_0140
    )
}

impl Fact {
    fn is_of_study(self) -> bool {
        self.is_of_patient()
            || matches!(
                self,
                Self::ModalitiesInStudy
                    | Self::SopClassesInStudy
                    | Self::NumberOfStudyRelatedSeries
                    | Self::NumberOfStudyRelatedInstances
            )
    }

    fn is_of_patient(self) -> bool {
        matches!(
            self,
            Self::NumberOfPatientRelatedStudies
                | Self::NumberOfPatientRelatedSeries
                | Self::NumberOfPatientRelatedInstances
        )
    }
}

/// Goes through one record once, as the columns ascend.
struct Cursor<'a> {
    elements: Option<Peekable<Elements<'a>>>,
}

impl<'a> Cursor<'a> {
    fn new(attributes: Option<&'a Attributes>) -> Self {
        Self {
            elements: attributes.map(|attributes| attributes.iter().peekable()),
        }
    }

    fn seek(&mut self, tag: Tag) -> Option<Element<'a>> {
        let elements = self.elements.as_mut()?;
        while elements.next_if(|element| element.tag < tag).is_some() {}
        elements.next_if(|element| element.tag == tag)
    }

    /// Hands over all elements before a tag.
    fn before(&mut self, tag: Tag, mut take: impl FnMut(Element<'a>)) {
        let Some(elements) = self.elements.as_mut() else { return };
        while let Some(element) = elements.next_if(|element| element.tag < tag) {
            take(element);
        }
    }
}

/// Writes a data set in normal form into one piece of memory.
struct Writer {
    bytes: Vec<u8>,
    is_ascii: bool,
}

/// (0008,0005) `ISO_IR 192`: stands before everything an answer can hold.
const UTF8: &[u8; 18] = b"\x08\x00\x05\x00CS\x0A\x00ISO_IR 192";

impl Writer {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(1024);
        bytes.extend_from_slice(UTF8);
        Self { bytes, is_ascii: true }
    }

    fn element(&mut self, element: Element<'_>) {
        if element.tag != SPECIFIC_CHARACTER_SET {
            if vr::is_text(element.vr) || &element.vr == b"SQ" {
                self.is_ascii &= element.value.is_ascii();
            }
            self.head(element.tag, element.vr, element.value.len());
            self.bytes.extend_from_slice(element.value);
        }
    }

    /// `value` is text, which is padded here: UIDs with NUL, others with a space.
    fn value(&mut self, tag: Tag, vr: [u8; 2], value: &[u8]) {
        let odd = value.len() % 2;
        self.head(tag, vr, value.len() + odd);
        self.bytes.extend_from_slice(value);
        if odd == 1 {
            self.bytes.push(if &vr == b"UI" { 0 } else { b' ' });
        }
    }

    fn head(&mut self, tag: Tag, vr: [u8; 2], length: usize) {
        let vr = if length > 0xFFFE && !has_long_length(vr) {
            vr::long_form(vr)
        } else {
            vr
        };
        let [g1, g0, e1, e0] = tag.to_be_bytes();
        self.bytes.extend_from_slice(&[g0, g1, e0, e1]);
        self.bytes.extend_from_slice(&vr);
        if has_long_length(vr) {
            self.bytes.extend_from_slice(&[0, 0]);
            self.bytes
                .extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        } else {
            self.bytes
                .extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
        }
    }

    fn finish(self) -> Attributes {
        let bytes = Bytes::from(self.bytes);
        let start = if self.is_ascii { UTF8.len() } else { 0 };
        Attributes::from_normal_form(bytes.slice(start..))
    }
}
