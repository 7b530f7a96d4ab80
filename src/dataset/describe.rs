//! Telling all that the store keeps of an instance.

use filmroom_storage::{
    model::{
        Attributes, Description, Header, SeriesInstanceUid, SopClassUid, SopInstanceUid, StudyInstanceUid, StudyKeys,
        Tag, TransferSyntaxUid, UidError,
    },
    source::ReadAt,
    store::Describer,
};

use super::{
    DataSetError, fold, frames, levels,
    normal::{Keep, Rest, normalize},
    quirks::Quirks,
    scan::name,
};

/// Describes stored data sets for the store. They were acknowledged, so it is not for it to refuse them: one that a later
/// reader cannot read to its end is described by what comes before, as long as that names the instance.
#[derive(Debug, Clone, Default)]
pub struct DataSetDescriber;

impl Describer for DataSetDescriber {
    fn describe(&self, data_set: &dyn ReadAt, transfer_syntax: &TransferSyntaxUid) -> Result<Description, String> {
        described(data_set, transfer_syntax, Rest::LeftOut).map_err(|error| error.to_string())
    }
}

/// Describes an instance's data set on its way in (no preamble, no file meta information).
///
/// What is odd but can be read is let pass and told in [`Description::quirks`].
///
/// # Errors
/// [`DataSetError::Identity`] when a UID that the archive lives by is missing or unusable; the others when the bytes are no
/// whole data set.
pub fn describe(data_set: &dyn ReadAt, transfer_syntax: &TransferSyntaxUid) -> Result<Description, DataSetError> {
    described(data_set, transfer_syntax, Rest::Refused)
}

fn described(
    data_set: &dyn ReadAt,
    transfer_syntax: &TransferSyntaxUid,
    rest: Rest,
) -> Result<Description, DataSetError> {
    let syntax = transfer_syntax.as_str();
    let normal = normalize(data_set, syntax, Keep::HEADER, rest)?;
    let attributes = normal.attributes;
    let sop_class_uid = identity(&attributes, 0x0008_0016, "SOP Class UID", SopClassUid::new)?;
    let sop_instance_uid = identity(&attributes, 0x0008_0018, "SOP Instance UID", SopInstanceUid::new)?;
    let study_instance_uid = identity(&attributes, 0x0020_000D, "Study Instance UID", StudyInstanceUid::new)?;
    let series_instance_uid = identity(&attributes, 0x0020_000E, "Series Instance UID", SeriesInstanceUid::new)?;
    let mut quirks = normal.scanner.quirks;
    check_values(&attributes, &mut quirks);
    let extended = normal
        .bulk
        .iter()
        .find(|value| value.path == "7FE00001")
        .map(|value| (value.offset, value.length));
    let pixel_data = normal
        .pixel_data
        .map(|found| frames::locate(found, &attributes, extended, data_set, syntax, &mut quirks));
    let [study, series, instance] = levels::split(&attributes);
    Ok(Description {
        study_instance_uid,
        series_instance_uid,
        sop_instance_uid,
        sop_class_uid,
        transfer_syntax_uid: transfer_syntax.clone(),
        keys: keys(&attributes),
        study,
        series,
        instance,
        header: Header {
            attributes,
            bulk: normal.bulk,
        },
        pixel_data,
        quirks: quirks.into_phrases(),
    })
}

fn identity<T>(
    attributes: &Attributes,
    tag: Tag,
    keyword: &str,
    check: impl Fn(&str) -> Result<T, UidError>,
) -> Result<T, DataSetError> {
    let text = attributes.text(tag).trim_start_matches(' ');
    check(text).map_err(|error| match error {
        UidError::Empty => DataSetError::Identity(format!("{keyword} {} is missing", name(tag))),
        other => DataSetError::Identity(format!("{keyword} {} is unusable: {other}", name(tag))),
    })
}

fn keys(attributes: &Attributes) -> StudyKeys {
    let single = |tag| attributes.text(tag).trim_matches(' ').to_owned();
    let date = single(0x0008_0020);
    let name = attributes.text(0x0010_0010);
    StudyKeys {
        patient_id: single(0x0010_0020),
        issuer_of_patient_id: single(0x0010_0021),
        patient_names: name
            .splitn(3, '=')
            .map(|group| fold(group.trim_matches(['^', ' '])))
            .filter(|group| !group.is_empty())
            .collect(),
        accession_number: single(0x0008_0050),
        study_date: usable_date(&date).unwrap_or_default(),
    }
}

/// A date as `YYYYMMDD`; also the form with dots of ACR-NEMA that old devices send. A date that no calendar has keeps its
/// place between others, so that a search by range finds the study.
fn usable_date(text: &str) -> Option<String> {
    let digits: String = match text.len() {
        8 => text.to_owned(),
        10 => text.split(['.', '-', '/']).collect(),
        _ => return None,
    };
    (digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// Notes values that are not as their VR asks (PS3.5 §6.2), and what an archive would rather have.
fn check_values(attributes: &Attributes, quirks: &mut Quirks) {
    if attributes.text(0x0010_0020).is_empty() {
        quirks.note("no patient ID", 0x0010_0020);
    }
    for element in attributes.iter() {
        let legal: fn(&str) -> bool = match &element.vr {
            b"DA" => |value| value.len() == 8 && value.bytes().all(|byte| byte.is_ascii_digit()),
            b"DS" => |value| value.len() <= 16 && value.parse::<f64>().is_ok(),
            b"IS" => |value| value.parse::<i32>().is_ok(),
            b"UI" => |value| filmroom_storage::model::check_uid(value).is_ok(),
            _ => continue,
        };
        let text = element.text();
        if !text.is_empty()
            && !text
                .split('\\')
                .all(|value| value.is_empty() || legal(value.trim_matches(' ')))
        {
            let kind = match &element.vr {
                b"DA" => "illegal date in",
                b"DS" => "illegal decimal string in",
                b"IS" => "illegal integer string in",
                _ => "illegal UID in",
            };
            quirks.note(kind, element.tag);
        }
    }
}
