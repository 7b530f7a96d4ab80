//! Identifiers of C-FIND, C-MOVE and C-GET (PS3.4 §C.4): which level, which keys, which character set.

use bytes::Bytes;
use filmroom_storage::model::{
    Attributes, Element, Elements, SeriesInstanceUid, SopInstanceUid, StudyInstanceUid, Tag, TransferSyntaxUid,
    UidError,
};

use super::{
    association::{Association, AssociationError, Context, QueryModel},
    session,
    status::Status,
};
use filmroom_dataset::CharacterSet;
use filmroom_peers::Peer;
use filmroom_privacy::Sight;
use filmroom_query::{Key, Level};
use filmroom_retrieve::Selection;

/// Query/Retrieve Level.
pub(super) const QUERY_RETRIEVE_LEVEL: Tag = 0x0008_0052;
pub(super) const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;
pub(super) const RETRIEVE_AE_TITLE: Tag = 0x0008_0054;
pub(super) const INSTANCE_AVAILABILITY: Tag = 0x0008_0056;
pub(super) const FAILED_SOP_INSTANCE_UID_LIST: Tag = 0x0008_0058;
const QUERY_RETRIEVE_VIEW: Tag = 0x0008_0053;
const TIMEZONE_OFFSET_FROM_UTC: Tag = 0x0008_0201;
const PATIENT_ID: Tag = 0x0010_0020;
const STUDY_INSTANCE_UID: Tag = 0x0020_000D;
const SERIES_INSTANCE_UID: Tag = 0x0020_000E;
const SOP_INSTANCE_UID: Tag = 0x0008_0018;
/// Sequences within sequences in an identifier; PS3.4 knows two.
const DEPTH_MAX: usize = 4;

/// Why an identifier is refused: what the peer reads.
pub(super) type Refusal = (Status, String);

/// An identifier as it came.
pub(super) struct Identifier {
    /// In normal form.
    pub(super) attributes: Attributes,
    /// What the requestor can read.
    pub(super) character_set: CharacterSet,
}

/// Reads the identifier that follows a request.
pub(super) async fn read(
    association: &mut Association,
    context: &Context,
    has_data_set: bool,
) -> Result<Result<Identifier, Refusal>, AssociationError> {
    if !has_data_set {
        return Ok(Err((Status::DOES_NOT_MATCH, "there is no identifier".to_owned())));
    }
    let longest = association.config().identifier_max_bytes;
    let Some(bytes) = session::read_data_set(association, context.id, longest).await? else {
        return Ok(Err((
            Status::OUT_OF_RESOURCES,
            format!("the identifier is longer than {longest} bytes"),
        )));
    };
    Ok(
        match filmroom_dataset::parse(&bytes, &context.transfer_syntax, longest) {
            Ok(attributes) => {
                let of_peer = || association.negotiated().peer.as_ref().map(Peer::character_set);
                let character_set = character_set(&bytes, &context.transfer_syntax)
                    .or_else(of_peer)
                    .unwrap_or(CharacterSet::Utf8);
                Ok(Identifier {
                    attributes,
                    character_set,
                })
            }
            Err(error) => Err((Status::from(&error), error.to_string())),
        },
    )
}

/// The requestor's own character set, so that it can read the answers; `None` when it names none.
fn character_set(bytes: &Bytes, transfer_syntax: &TransferSyntaxUid) -> Option<CharacterSet> {
    use super::association::{EXPLICIT_VR_BIG_ENDIAN, EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};
    let (explicit, big) = match transfer_syntax.as_str() {
        IMPLICIT_VR_LITTLE_ENDIAN => (false, false),
        EXPLICIT_VR_LITTLE_ENDIAN => (true, false),
        EXPLICIT_VR_BIG_ENDIAN => (true, true),
        _ => return None,
    };
    let two = |bytes: [u8; 2]| {
        if big {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    };
    let mut rest: &[u8] = bytes;
    // Before (0008,0005) only group lengths and the retired (0008,0001) can stand.
    for _ in 0..4 {
        let Some(([g0, g1, e0, e1, l0, l1, l2, l3], after)) = rest.split_first_chunk::<8>() else {
            break;
        };
        let tag = u32::from(two([*g0, *g1])) << 16 | u32::from(two([*e0, *e1]));
        let length = if explicit {
            usize::from(two([*l2, *l3]))
        } else {
            u32::from_le_bytes([*l0, *l1, *l2, *l3]) as usize
        };
        let Some((value, after)) = after.split_at_checked(length) else {
            break;
        };
        if tag == SPECIFIC_CHARACTER_SET {
            let terms = String::from_utf8_lossy(value).trim_matches([' ', '\0']).to_owned();
            return match terms.as_str() {
                "" => None,
                "ISO_IR 6" | "ISO_IR 192" => Some(CharacterSet::Utf8),
                _ => Some(CharacterSet::Terms(terms)),
            };
        }
        if tag > SPECIFIC_CHARACTER_SET {
            break;
        }
        rest = after;
    }
    None
}

/// The level of a query or retrieval, checked against the information model (PS3.4 §C.6).
pub(super) fn level(attributes: &Attributes, model: QueryModel) -> Result<Level, Refusal> {
    let text = attributes.text(QUERY_RETRIEVE_LEVEL).trim();
    let level = match text {
        "PATIENT" => Level::Patient,
        "STUDY" => Level::Study,
        "SERIES" => Level::Series,
        "IMAGE" => Level::Instance,
        "" => return Err((Status::DOES_NOT_MATCH, "there is no Query/Retrieve Level".to_owned())),
        _ => return Err((Status::DOES_NOT_MATCH, "the Query/Retrieve Level is unknown".to_owned())),
    };
    let allowed = match model {
        QueryModel::PatientRoot => true,
        QueryModel::StudyRoot => level > Level::Patient,
        QueryModel::PatientStudyOnly => level < Level::Series,
    };
    if allowed {
        Ok(level)
    } else {
        Err((
            Status::DOES_NOT_MATCH,
            format!("the information model has no level {text}"),
        ))
    }
}

/// What an identifier of C-FIND asks.
pub(super) struct Question {
    /// What has to match.
    pub(super) keys: Vec<Key>,
    /// The top-level attributes that an answer holds, ascending.
    pub(super) tags: Vec<Tag>,
}

/// Splits an identifier into keys to match and attributes to return.
pub(super) fn question(attributes: &Attributes) -> Question {
    let mut question = Question {
        keys: Vec::new(),
        tags: Vec::new(),
    };
    for element in attributes.iter() {
        let private_creator = element.tag >> 16 & 1 == 1 && (0x10..=0xff).contains(&(element.tag & 0xffff));
        match element.tag {
            SPECIFIC_CHARACTER_SET | QUERY_RETRIEVE_LEVEL | QUERY_RETRIEVE_VIEW | TIMEZONE_OFFSET_FROM_UTC => continue,
            // Answered by this node, not looked for.
            RETRIEVE_AE_TITLE | INSTANCE_AVAILABILITY => continue,
            _ if element.tag & 0xffff == 0 => continue,
            _ => {}
        }
        question.tags.push(element.tag);
        if !private_creator {
            collect(&element, &mut Vec::new(), &mut question.keys);
        }
    }
    question
}

fn collect(element: &Element<'_>, path: &mut Vec<Tag>, keys: &mut Vec<Key>) {
    path.push(element.tag);
    if element.vr == *b"SQ" {
        if path.len() < DEPTH_MAX {
            for inner in first_item(element.value) {
                collect(&inner, path, keys);
            }
        }
    } else {
        let value = key_text(element);
        if !value.is_empty() {
            keys.push(Key {
                path: path.clone(),
                value,
            });
        }
    }
    path.pop();
}

/// Keys of a sequence stand in its one item (PS3.4 §C.2.2.2.6).
fn first_item(value: &[u8]) -> Elements<'_> {
    Elements::new(filmroom_dataset::items(value).next().unwrap_or_default())
}

/// A key as text: text as it stands, binary numbers in decimal, several separated by `\`. Bulk has no text.
fn key_text(element: &Element<'_>) -> String {
    fn join<const N: usize, T: ToString>(value: &[u8], read: impl Fn([u8; N]) -> T) -> String {
        let (numbers, _) = value.as_chunks::<N>();
        numbers
            .iter()
            .map(|number| read(*number).to_string())
            .collect::<Vec<_>>()
            .join("\\")
    }
    let value = element.value;
    match &element.vr {
        b"US" => join(value, u16::from_le_bytes),
        b"SS" => join(value, i16::from_le_bytes),
        b"UL" => join(value, u32::from_le_bytes),
        b"SL" => join(value, i32::from_le_bytes),
        b"UV" => join(value, u64::from_le_bytes),
        b"SV" => join(value, i64::from_le_bytes),
        b"FL" => join(value, f32::from_le_bytes),
        b"FD" => join(value, f64::from_le_bytes),
        b"AT" => join(value, |[g0, g1, e0, e1]: [u8; 4]| {
            format!(
                "{:04X}{:04X}",
                u16::from_le_bytes([g0, g1]),
                u16::from_le_bytes([e0, e1])
            )
        }),
        b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"UN" => String::new(),
        _ => element.text().to_owned(),
    }
}

/// What an identifier of C-MOVE or C-GET means: the unique key of its level is required, those above narrow it down.
pub(super) fn selection(attributes: &Attributes, model: QueryModel, sight: Sight) -> Result<Selection, Refusal> {
    let level = level(attributes, model)?;
    let missing = |keyword: &str| (Status::DOES_NOT_MATCH, format!("{keyword} is missing"));
    let mut selection = Selection {
        patient_ids: values(attributes, PATIENT_ID).map(str::to_owned).collect(),
        ..Selection::of(sight)
    };
    if level >= Level::Study {
        selection.studies = uids(attributes, STUDY_INSTANCE_UID, StudyInstanceUid::new)?;
    }
    if level >= Level::Series {
        selection.series = uids(attributes, SERIES_INSTANCE_UID, SeriesInstanceUid::new)?;
    }
    if level >= Level::Instance {
        selection.instances = uids(attributes, SOP_INSTANCE_UID, SopInstanceUid::new)?;
    }
    match level {
        Level::Patient if selection.patient_ids.is_empty() => Err(missing("PatientID")),
        Level::Study if selection.studies.is_empty() => Err(missing("StudyInstanceUID")),
        Level::Series if selection.series.is_empty() => Err(missing("SeriesInstanceUID")),
        Level::Instance if selection.instances.is_empty() => Err(missing("SOPInstanceUID")),
        _ => Ok(selection),
    }
}

fn values(attributes: &Attributes, tag: Tag) -> impl Iterator<Item = &str> {
    attributes
        .text(tag)
        .split('\\')
        .map(|value| value.trim_matches([' ', '\0']))
        .filter(|value| !value.is_empty())
}

fn uids<T>(attributes: &Attributes, tag: Tag, new: impl Fn(&str) -> Result<T, UidError>) -> Result<Vec<T>, Refusal> {
    values(attributes, tag)
        .map(|value| new(value).map_err(|error| (Status::DOES_NOT_MATCH, error.to_string())))
        .collect()
}
