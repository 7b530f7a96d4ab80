//! From the text of values to a value's bytes.

use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::super::{
    DataSetError,
    builder::push_tag,
    scan::name,
    vr::{self, Shape},
};

/// The values of one attribute, encoded one after the other.
pub(super) struct Values {
    tag: u32,
    vr: [u8; 2],
    out: Vec<u8>,
    count: usize,
}

impl Values {
    pub(super) fn new(tag: u32, vr: [u8; 2]) -> Self {
        Self {
            tag,
            vr,
            out: Vec::new(),
            count: 0,
        }
    }

    /// The next value by its text; empty for a value without content.
    pub(super) fn push(&mut self, text: &str) -> Result<(), DataSetError> {
        self.count += 1;
        match vr::shape(self.vr) {
            Shape::Words(_) => self.push_word(text.trim()).ok_or_else(|| self.unusable(text)),
            Shape::Bytes | Shape::Sequence => Err(self.unusable(text)),
            Shape::Text | Shape::Code => {
                if self.count > 1 {
                    return Err(self.unusable(text));
                }
                self.out.extend_from_slice(text.as_bytes());
                Ok(())
            }
            Shape::Texts | Shape::PersonNames | Shape::Codes => {
                if self.count > 1 {
                    self.out.push(b'\\');
                }
                self.out.extend_from_slice(text.as_bytes());
                Ok(())
            }
        }
    }

    /// The one value that an attribute of bytes has, in Base64.
    pub(super) fn push_base64(&mut self, text: &str) -> Result<(), DataSetError> {
        const LENIENT: GeneralPurpose = GeneralPurpose::new(
            &STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let plain: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        self.out = LENIENT
            .decode(plain)
            .map_err(|_| DataSetError::Malformed(format!("InlineBinary of {}", name(self.tag))))?;
        Ok(())
    }

    fn push_word(&mut self, text: &str) -> Option<()> {
        if text.is_empty() {
            // Words cannot be left empty among others (PS3.5 §6.4 allows it for text only).
            return (self.count == 1).then_some(());
        }
        let out = &mut self.out;
        match &self.vr {
            b"US" | b"OW" => out.extend_from_slice(&whole::<u16>(text)?.to_le_bytes()),
            b"SS" => out.extend_from_slice(&whole::<i16>(text)?.to_le_bytes()),
            b"UL" | b"OL" => out.extend_from_slice(&whole::<u32>(text)?.to_le_bytes()),
            b"SL" => out.extend_from_slice(&whole::<i32>(text)?.to_le_bytes()),
            b"UV" | b"OV" => out.extend_from_slice(&whole::<u64>(text)?.to_le_bytes()),
            b"SV" => out.extend_from_slice(&whole::<i64>(text)?.to_le_bytes()),
            b"FL" | b"OF" => out.extend_from_slice(&text.parse::<f32>().ok()?.to_le_bytes()),
            b"FD" | b"OD" => out.extend_from_slice(&text.parse::<f64>().ok()?.to_le_bytes()),
            b"AT" => {
                let hex = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
                push_tag(out, u32::from_str_radix(text, 16).ok().filter(|_| hex)?);
            }
            _ => return None,
        }
        Some(())
    }

    fn unusable(&self, text: &str) -> DataSetError {
        let vr = String::from_utf8_lossy(&self.vr).into_owned();
        let shown: String = text.chars().take(32).collect();
        DataSetError::Malformed(format!("{} of VR {vr} cannot have the value {shown:?}", name(self.tag)))
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// A whole number; also one that is written with an empty fraction, as some writers do with all numbers.
fn whole<T: std::str::FromStr>(text: &str) -> Option<T> {
    let text = text.strip_prefix('+').unwrap_or(text);
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (number, fraction) = text.split_once('.')?;
    if fraction.bytes().all(|byte| byte == b'0') {
        number.parse().ok()
    } else {
        None
    }
}
