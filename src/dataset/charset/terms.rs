//! The defined terms of (0008,0005), and what people write instead of them.

use encoding_rs::{
    BIG5, EUC_JP, Encoding, GB18030, GBK, ISO_8859_2, ISO_8859_3, ISO_8859_4, ISO_8859_5, ISO_8859_6, ISO_8859_7,
    ISO_8859_8, ISO_8859_15, SHIFT_JIS, WINDOWS_874, WINDOWS_1252, WINDOWS_1254,
};

/// A set of characters that code extensions can switch to, or a whole encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repertoire {
    /// ISO-IR 6.
    Ascii,
    /// A single-byte set in G1 over ASCII in G0.
    Single(Single),
    /// JIS X 0201: katakana in G1, over romaji in G0 where it is the first term.
    Jis201,
    /// JIS X 0201 romaji in G0; a state, never a term.
    Romaji,
    /// JIS X 0208 in G0.
    Jis208,
    /// JIS X 0212 in G0.
    Jis212,
    /// KS X 1001 in G1.
    Korean,
    /// GB 2312 in G1.
    Chinese,
    /// An encoding without code extensions: UTF-8, GB18030, GBK and what is not in the standard.
    Whole(&'static Encoding),
}

/// A single-byte set: its encoding and the final byte of its escape sequence into G1 (PS3.3 table C.12-3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Single {
    pub(super) encoding: &'static Encoding,
    pub(super) escape: u8,
}

/// The single-byte sets by ISO registration number.
const SINGLES: [(u32, Single); 12] = [
    (
        100,
        Single {
            encoding: WINDOWS_1252,
            escape: b'A',
        },
    ),
    (
        101,
        Single {
            encoding: ISO_8859_2,
            escape: b'B',
        },
    ),
    (
        109,
        Single {
            encoding: ISO_8859_3,
            escape: b'C',
        },
    ),
    (
        110,
        Single {
            encoding: ISO_8859_4,
            escape: b'D',
        },
    ),
    (
        126,
        Single {
            encoding: ISO_8859_7,
            escape: b'F',
        },
    ),
    (
        127,
        Single {
            encoding: ISO_8859_6,
            escape: b'G',
        },
    ),
    (
        138,
        Single {
            encoding: ISO_8859_8,
            escape: b'H',
        },
    ),
    (
        144,
        Single {
            encoding: ISO_8859_5,
            escape: b'L',
        },
    ),
    (
        148,
        Single {
            encoding: WINDOWS_1254,
            escape: b'M',
        },
    ),
    (
        166,
        Single {
            encoding: WINDOWS_874,
            escape: b'T',
        },
    ),
    (
        203,
        Single {
            encoding: ISO_8859_15,
            escape: b'b',
        },
    ),
    // Not in the standard: the Latin-10 of an ISO 8859 number that some write.
    (
        226,
        Single {
            encoding: encoding_rs::ISO_8859_16,
            escape: b'f',
        },
    ),
];

/// The single-byte set whose escape sequence ends so.
pub(super) fn single_by_escape(escape: u8) -> Option<Single> {
    SINGLES
        .iter()
        .find(|(_, single)| single.escape == escape)
        .map(|(_, single)| *single)
}

/// One term of (0008,0005), as it stands or as it was meant; `None` when it tells nothing.
pub(super) fn repertoire(term: &str) -> Option<Repertoire> {
    let plain: String = term
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .collect();
    match plain.as_str() {
        "" => return Some(Repertoire::Ascii),
        "GB18030" => return Some(Repertoire::Whole(GB18030)),
        "GBK" | "GB2312" | "CP936" => return Some(Repertoire::Whole(GBK)),
        "UTF8" | "UTF" | "UNICODE" => return Some(Repertoire::Whole(encoding_rs::UTF_8)),
        "SHIFTJIS" | "SJIS" | "MSKANJI" | "CP932" => return Some(Repertoire::Whole(SHIFT_JIS)),
        "EUCJP" => return Some(Repertoire::Whole(EUC_JP)),
        "EUCKR" | "CP949" => return Some(Repertoire::Whole(encoding_rs::EUC_KR)),
        "BIG5" => return Some(Repertoire::Whole(BIG5)),
        "WINDOWS1252" | "CP1252" => return Some(Repertoire::Whole(WINDOWS_1252)),
        "WINDOWS1251" | "CP1251" => return Some(Repertoire::Whole(encoding_rs::WINDOWS_1251)),
        "ASCII" | "USASCII" => return Some(Repertoire::Ascii),
        "LATIN1" => return by_number(100),
        _ => {}
    }
    if let Some(part) = plain.strip_prefix("ISO8859") {
        return match part.parse::<u32>().ok()? {
            1 => by_number(100),
            2 => by_number(101),
            3 => by_number(109),
            4 => by_number(110),
            5 => by_number(144),
            6 => by_number(127),
            7 => by_number(126),
            8 => by_number(138),
            9 => by_number(148),
            11 => by_number(166),
            15 => by_number(203),
            16 => by_number(226),
            _ => None,
        };
    }
    let number = plain.strip_prefix("ISO").unwrap_or(&plain);
    let number = number.strip_prefix("2022").unwrap_or(number);
    let number = number.strip_prefix("IR").unwrap_or(number);
    by_number(number.parse().ok()?)
}

fn by_number(number: u32) -> Option<Repertoire> {
    match number {
        6 => Some(Repertoire::Ascii),
        13 => Some(Repertoire::Jis201),
        87 => Some(Repertoire::Jis208),
        159 => Some(Repertoire::Jis212),
        149 => Some(Repertoire::Korean),
        58 => Some(Repertoire::Chinese),
        192 => Some(Repertoire::Whole(encoding_rs::UTF_8)),
        _ => SINGLES
            .iter()
            .find(|(known, _)| *known == number)
            .map(|(_, single)| Repertoire::Single(*single)),
    }
}
