//! The characters of a message (MSH-18, HL7 table 0211).

use encoding_rs::Encoding;

use crate::problem::{Code, Problem};

/// The field of the header that names character sets.
const CHARACTER_SET: usize = 18;

/// A message as text, and what its answer is to be written in.
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) encoding: &'static Encoding,
}

/// Reads a message. Characters come before delimiters: in some sets a second byte looks like one.
pub(crate) fn read(message: &[u8]) -> Result<Text, Problem> {
    let named = named(message);
    let encoding = encoding(&named)
        .ok_or_else(|| Problem::error(Code::TableValueNotFound, place(), "the character set is not known here"))?;
    let message = message.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(message);
    let decoded = match encoding {
        Some(encoding) => {
            let (text, was_wrong) = encoding.decode_without_bom_handling(message);
            (!was_wrong).then(|| (text.into_owned(), encoding))
        }
        // Nothing is named: ASCII, or what those write who do not name what they write.
        None => Some(match std::str::from_utf8(message) {
            Ok(text) => (text.to_owned(), encoding_rs::UTF_8),
            Err(_) => {
                let (text, _) = encoding_rs::WINDOWS_1252.decode_without_bom_handling(message);
                (text.into_owned(), encoding_rs::WINDOWS_1252)
            }
        }),
    };
    match decoded {
        Some((text, encoding)) => Ok(Text { text, encoding }),
        None => Err(Problem::error(
            Code::DataType,
            place(),
            "the message is not in the character set that it names",
        )),
    }
}

/// Reads what is left to say of a message that cannot be read: who sends what, in ASCII.
pub(crate) fn ascii(message: &[u8]) -> String {
    let header = message
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let header = header.get(..header.len().min(1000)).unwrap_or_default();
    header
        .iter()
        .map(|byte| match byte {
            0x20..=0x7E => char::from(*byte),
            _ => '?',
        })
        .collect()
}

fn place() -> crate::problem::Place {
    crate::problem::Place {
        segment: "MSH",
        sequence: 1,
        field: CHARACTER_SET,
    }
}

/// The names in the header, in order.
fn named(message: &[u8]) -> Vec<String> {
    let header = message
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .next()
        .unwrap_or_default();
    let Some(&separator) = header.get(3) else {
        return Vec::new();
    };
    // The separator itself is the first field.
    let field = header
        .split(|byte| *byte == separator)
        .nth(CHARACTER_SET - 1)
        .unwrap_or_default();
    let repetition = header.get(5).copied().unwrap_or(b'~');
    field
        .split(|byte| *byte == repetition)
        .map(|name| String::from_utf8_lossy(name).trim().to_ascii_uppercase())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Outer `None`: not known; inner `None`: ASCII, or nothing is named.
fn encoding(names: &[String]) -> Option<Option<&'static Encoding>> {
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    match names.as_slice() {
        [] | ["ASCII"] => Some(None),
        ["UNICODE" | "UNICODE UTF-8" | "UTF-8"] => Some(Some(encoding_rs::UTF_8)),
        ["GB 18030-2000"] => Some(Some(encoding_rs::GB18030)),
        ["KS X 1001"] => Some(Some(encoding_rs::EUC_KR)),
        ["BIG-5"] => Some(Some(encoding_rs::BIG5)),
        [name] if name.starts_with("8859/") => {
            let label = name.replace("8859/", "iso-8859-");
            Encoding::for_label(label.as_bytes()).map(Some)
        }
        // Kanji and katakana by escape sequences (ISO 2022).
        names
            if names
                .iter()
                .all(|name| ["ASCII", "ISO IR6", "ISO IR14", "ISO IR87"].contains(name)) =>
        {
            Some(Some(encoding_rs::ISO_2022_JP))
        }
        _ => None,
    }
}
