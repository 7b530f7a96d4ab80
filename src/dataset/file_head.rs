//! The start of a Part 10 file: preamble, prefix and file meta information (PS3.10 §7.1).

use bytes::Bytes;
use filmroom_storage::model::{TransferSyntaxUid, has_long_length};

use super::{DataSetError, IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, builder::push_element, vr};

/// The start of a Part 10 file (PS3.10 §7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHead {
    /// (0002,0002), empty when absent.
    pub media_storage_sop_class_uid: String,
    /// (0002,0003), empty when absent.
    pub media_storage_sop_instance_uid: String,
    /// (0002,0010).
    pub transfer_syntax_uid: TransferSyntaxUid,
    /// Bytes before the data set.
    pub data_set_offset: usize,
}

pub(crate) const IMPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2";
pub(crate) const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
pub(crate) const EXPLICIT_VR_BIG_ENDIAN: &str = "1.2.840.10008.1.2.2";

const PREAMBLE: usize = 128;
/// File meta information longer than this is refused: real ones have some hundred bytes.
const META_MAX_BYTES: usize = 1 << 20;

/// Reads preamble and file meta information; `None` when more bytes are needed to tell. Bytes without a preamble, or
/// without file meta information, are understood where their transfer syntax can be told from the first elements.
///
/// At the end of the input `None` means that it ends within its head.
///
/// # Errors
/// [`DataSetError`] when the bytes are no DICOM.
pub fn read_file_head(bytes: &[u8]) -> Result<Option<FileHead>, DataSetError> {
    if let Some(prefix) = bytes.get(PREAMBLE..PREAMBLE + 4) {
        if prefix == b"DICM" {
            return read_meta(bytes, PREAMBLE + 4);
        }
    } else if bytes.iter().take(PREAMBLE).all(|byte| *byte == 0) {
        // Nothing but a preamble so far.
        return Ok(None);
    }
    if bytes.starts_with(b"DICM") {
        return read_meta(bytes, 4);
    }
    match bytes.split_first_chunk::<4>() {
        None => Ok(None),
        Some(([2, 0, _, 0], _)) => read_meta(bytes, 0),
        Some(_) if bytes.len() < PREAMBLE + 4 => {
            // The prefix may still come; but a whole small data set may be all there is.
            Ok(None)
        }
        Some(_) => bare_data_set(bytes, 0, FileHeadTexts::default()),
    }
}

#[derive(Default)]
struct FileHeadTexts {
    sop_class: String,
    sop_instance: String,
    transfer_syntax: String,
}

fn read_meta(bytes: &[u8], start: usize) -> Result<Option<FileHead>, DataSetError> {
    let mut texts = FileHeadTexts::default();
    let mut position = start;
    loop {
        let Some(rest) = bytes.get(position..).filter(|rest| rest.len() >= 12) else {
            return if position > META_MAX_BYTES {
                Err(DataSetError::Limit("1 MiB of file meta information"))
            } else {
                Ok(None)
            };
        };
        let Some((&[g0, g1, e0, e1, v0, v1, l0, l1], tail)) = rest.split_first_chunk::<8>() else {
            return Ok(None);
        };
        if [g0, g1] != [2, 0] {
            break;
        }
        let vr = [v0, v1];
        let (head, length) = if !vr::is_known(vr) {
            // Implicit VR, against the standard but seen.
            (8, u32::from_le_bytes([v0, v1, l0, l1]) as usize)
        } else if has_long_length(vr) {
            let Some(length) = tail.first_chunk::<4>() else {
                return Ok(None);
            };
            (12, u32::from_le_bytes(*length) as usize)
        } else {
            (8, usize::from(u16::from_le_bytes([l0, l1])))
        };
        if length > META_MAX_BYTES {
            return Err(DataSetError::Malformed(
                "file meta information with a length beyond reason".into(),
            ));
        }
        let from = position + head;
        let Some(value) = bytes.get(from..from + length) else {
            return if from + length > META_MAX_BYTES {
                Err(DataSetError::Limit("1 MiB of file meta information"))
            } else {
                Ok(None)
            };
        };
        let text = || String::from_utf8_lossy(value).trim_matches([' ', '\0']).to_owned();
        match u16::from_le_bytes([e0, e1]) {
            0x0002 => texts.sop_class = text(),
            0x0003 => texts.sop_instance = text(),
            0x0010 => texts.transfer_syntax = text(),
            _ => {}
        }
        position = from + length;
        if position > META_MAX_BYTES {
            return Err(DataSetError::Limit("1 MiB of file meta information"));
        }
    }
    bare_data_set(bytes, position, texts)
}

/// The data set begins at `offset`: completes the head, from the first element where the meta information lacks the
/// transfer syntax.
fn bare_data_set(bytes: &[u8], offset: usize, texts: FileHeadTexts) -> Result<Option<FileHead>, DataSetError> {
    let rest = bytes.get(offset..).unwrap_or_default();
    let transfer_syntax = if texts.transfer_syntax.is_empty() {
        match sniff(rest) {
            Sniffed::Syntax(uid) => uid.to_owned(),
            Sniffed::MoreNeeded => return Ok(None),
            Sniffed::Nothing => {
                return Err(DataSetError::Malformed(
                    "neither file meta information nor a data set".into(),
                ));
            }
        }
    } else {
        texts.transfer_syntax
    };
    let transfer_syntax_uid = TransferSyntaxUid::new(&transfer_syntax)
        .map_err(|error| DataSetError::Malformed(format!("transfer syntax of the file meta information: {error}")))?;
    Ok(Some(FileHead {
        media_storage_sop_class_uid: texts.sop_class,
        media_storage_sop_instance_uid: texts.sop_instance,
        transfer_syntax_uid,
        data_set_offset: offset,
    }))
}

enum Sniffed {
    Syntax(&'static str),
    MoreNeeded,
    Nothing,
}

/// Tells the encoding from the first element: data sets begin with a low even group (0008 nearly always).
fn sniff(bytes: &[u8]) -> Sniffed {
    let Some((&[g0, g1, e0, e1, v0, v1, l0, l1], _)) = bytes.split_first_chunk::<8>() else {
        return Sniffed::MoreNeeded;
    };
    let known = vr::is_known([v0, v1]);
    let little = u16::from_le_bytes([g0, g1]);
    let big = u16::from_be_bytes([g0, g1]);
    if (0x0004..=0x0040).contains(&little) && little % 2 == 0 {
        if known {
            return Sniffed::Syntax(EXPLICIT_VR_LITTLE_ENDIAN);
        }
        // Implicit VR: the first elements of group 0008 are short.
        let length = u32::from_le_bytes([v0, v1, l0, l1]);
        let element = u16::from_le_bytes([e0, e1]);
        if length < 0x1_0000 || (length == u32::MAX && element != 0) {
            return Sniffed::Syntax(IMPLICIT_VR_LITTLE_ENDIAN);
        }
    } else if (0x0004..=0x0040).contains(&big) && big % 2 == 0 && known {
        return Sniffed::Syntax(EXPLICIT_VR_BIG_ENDIAN);
    }
    Sniffed::Nothing
}

/// Writes an empty preamble, `DICM` and file meta information (PS3.10 §7.1) with Filmroom's implementation identifiers.
/// `source_application_entity_title` is left out when empty.
#[must_use]
pub fn write_file_head(
    sop_class_uid: &str,
    sop_instance_uid: &str,
    transfer_syntax_uid: &str,
    source_application_entity_title: &str,
) -> Bytes {
    let mut meta = Vec::with_capacity(320);
    push_element(&mut meta, 0x0002_0001, *b"OB", &[0, 1]);
    let mut text = |tag, vr: [u8; 2], value: &str| {
        let mut value = value.as_bytes().to_vec();
        if value.len() % 2 == 1 {
            value.push(vr::padding(vr));
        }
        push_element(&mut meta, tag, vr, &value);
    };
    text(0x0002_0002, *b"UI", sop_class_uid);
    text(0x0002_0003, *b"UI", sop_instance_uid);
    text(0x0002_0010, *b"UI", transfer_syntax_uid);
    text(0x0002_0012, *b"UI", IMPLEMENTATION_CLASS_UID);
    text(0x0002_0013, *b"SH", IMPLEMENTATION_VERSION_NAME);
    let source = source_application_entity_title.trim();
    if !source.is_empty() && source.is_ascii() {
        text(0x0002_0016, *b"AE", source.get(..16).unwrap_or(source));
    }
    let mut out = Vec::with_capacity(PREAMBLE + 16 + meta.len());
    out.resize(PREAMBLE, 0);
    out.extend_from_slice(b"DICM");
    push_element(
        &mut out,
        0x0002_0000,
        *b"UL",
        &u32::try_from(meta.len()).unwrap_or(u32::MAX).to_le_bytes(),
    );
    out.extend_from_slice(&meta);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CT: &str = "1.2.840.10008.5.1.4.1.1.2";

    fn element_of_0008() -> Vec<u8> {
        let mut out = Vec::new();
        push_element(&mut out, 0x0008_0016, *b"UI", b"1.2.840.10008.5.1.4.1.1.2\0");
        out
    }

    #[test]
    fn reads_what_it_writes() {
        let mut file = write_file_head(CT, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN, "MODALITY").to_vec();
        let offset = file.len();
        file.extend(element_of_0008());
        let head = read_file_head(&file).unwrap().unwrap();
        assert_eq!(head.data_set_offset, offset);
        assert_eq!(head.media_storage_sop_class_uid, CT);
        assert_eq!(head.media_storage_sop_instance_uid, "1.2.3");
        assert_eq!(head.transfer_syntax_uid.as_str(), EXPLICIT_VR_LITTLE_ENDIAN);
    }

    #[test]
    fn asks_for_more_until_it_can_tell() {
        let mut file = write_file_head(CT, "1.2.3", EXPLICIT_VR_LITTLE_ENDIAN, "").to_vec();
        let offset = file.len();
        file.extend(element_of_0008());
        for length in 0..offset {
            assert_eq!(read_file_head(&file[..length]), Ok(None), "after {length} bytes");
        }
    }

    #[test]
    fn understands_a_data_set_alone() {
        let mut explicit = element_of_0008();
        explicit.resize(400, 0);
        let head = read_file_head(&explicit).unwrap().unwrap();
        assert_eq!(
            (head.data_set_offset, head.transfer_syntax_uid.as_str()),
            (0, EXPLICIT_VR_LITTLE_ENDIAN)
        );
        let mut implicit = vec![8, 0, 5, 0, 10, 0, 0, 0];
        implicit.resize(400, b' ');
        assert_eq!(
            read_file_head(&implicit).unwrap().unwrap().transfer_syntax_uid.as_str(),
            IMPLICIT_VR_LITTLE_ENDIAN
        );
        let mut big = vec![0, 8, 0, 5, b'C', b'S', 0, 10];
        big.resize(400, b' ');
        assert_eq!(
            read_file_head(&big).unwrap().unwrap().transfer_syntax_uid.as_str(),
            EXPLICIT_VR_BIG_ENDIAN
        );
    }

    #[test]
    fn refuses_what_is_no_dicom() {
        let text = "a plain text, long enough to hold more than a preamble and a prefix. ".repeat(4);
        assert!(read_file_head(text.as_bytes()).is_err());
        assert_eq!(read_file_head(&[0; 128]), Ok(None));
        assert!(read_file_head(&[0; 4096]).is_err());
    }
}
