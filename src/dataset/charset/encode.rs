//! Encoding out of UTF-8.

use std::{collections::HashMap, sync::LazyLock};

use encoding_rs::{EUC_JP, EUC_KR, EncoderResult, Encoding, GBK, UTF_8};

use super::{
    super::vr::Shape,
    terms::{Repertoire, repertoire},
};

const ESC: u8 = 0x1B;

/// Encodes texts in the character sets of a value of (0008,0005).
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    terms: Vec<Repertoire>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    g0: Repertoire,
    g1: Option<Repertoire>,
}

impl Encoder {
    /// For a value of (0008,0005); `None` when a term is not known.
    pub(crate) fn new(terms: &str) -> Option<Self> {
        let terms: Option<Vec<_>> = terms.trim().split('\\').take(16).map(repertoire).collect();
        terms.map(|terms| Self { terms })
    }

    /// A value, or `None` when one of its characters is in none of the sets.
    pub(crate) fn encode(&self, text: &str, shape: Shape) -> Option<Vec<u8>> {
        if text.is_ascii() {
            return Some(text.as_bytes().to_vec());
        }
        if let Some(Repertoire::Whole(encoding)) = self.terms.first() {
            return whole(encoding, text);
        }
        let initial = self.initial();
        let mut state = initial;
        let mut out = Vec::with_capacity(text.len());
        for c in text.chars() {
            if resets(c, shape) {
                restore(&mut state, initial, &mut out);
                out.push(c as u8);
                state.g1 = initial.g1;
                continue;
            }
            self.push(c, &mut state, initial, &mut out)?;
        }
        restore(&mut state, initial, &mut out);
        Some(out)
    }

    fn initial(&self) -> State {
        match self.terms.first() {
            Some(Repertoire::Jis201) => State {
                g0: Repertoire::Romaji,
                g1: Some(Repertoire::Jis201),
            },
            Some(single @ Repertoire::Single(_)) => State {
                g0: Repertoire::Ascii,
                g1: Some(*single),
            },
            // As the sole term these are in G1 from the start in practice, yet the escape sequence is always right.
            _ => State {
                g0: Repertoire::Ascii,
                g1: None,
            },
        }
    }

    fn push(&self, c: char, state: &mut State, initial: State, out: &mut Vec<u8>) -> Option<()> {
        if c.is_ascii() {
            if matches!(state.g0, Repertoire::Jis208 | Repertoire::Jis212) {
                designate(initial.g0, state, out);
            }
            out.push(c as u8);
            return Some(());
        }
        let active = [Some(state.g0), state.g1];
        for repertoire in active.into_iter().flatten().chain(self.terms.iter().copied()) {
            let Some(code) = code(repertoire, c) else { continue };
            if !active.contains(&Some(repertoire)) {
                // Code extensions need terms that allow them: more than one, or one with an escape sequence of its own.
                designate(repertoire, state, out);
            }
            out.extend_from_slice(&code);
            return Some(());
        }
        None
    }
}

fn resets(c: char, shape: Shape) -> bool {
    match c {
        '\n' | '\u{C}' | '\r' | '\t' => true,
        '\\' => matches!(shape, Shape::Texts | Shape::PersonNames),
        '^' | '=' => shape == Shape::PersonNames,
        _ => false,
    }
}

/// Back to the initial G0, as must be before a delimiter and at the end.
fn restore(state: &mut State, initial: State, out: &mut Vec<u8>) {
    if state.g0 != initial.g0 {
        designate(initial.g0, state, out);
    }
}

fn designate(repertoire: Repertoire, state: &mut State, out: &mut Vec<u8>) {
    let sequence: &[u8] = match repertoire {
        Repertoire::Ascii => b"(B",
        Repertoire::Romaji => b"(J",
        Repertoire::Jis201 => b")I",
        Repertoire::Jis208 => b"$B",
        Repertoire::Jis212 => b"$(D",
        Repertoire::Korean => b"$)C",
        Repertoire::Chinese => b"$)A",
        Repertoire::Single(single) => {
            out.extend_from_slice(&[ESC, b'-', single.escape]);
            state.g1 = Some(repertoire);
            return;
        }
        Repertoire::Whole(_) => return,
    };
    match sequence {
        b")I" | b"$)C" | b"$)A" => state.g1 = Some(repertoire),
        _ => state.g0 = repertoire,
    }
    out.push(ESC);
    out.extend_from_slice(sequence);
}

/// The bytes of a character in a set.
fn code(repertoire: Repertoire, c: char) -> Option<Vec<u8>> {
    let mut text = [0; 4];
    let text: &str = c.encode_utf8(&mut text);
    match repertoire {
        Repertoire::Ascii | Repertoire::Romaji | Repertoire::Whole(_) => None,
        Repertoire::Single(single) => whole(single.encoding, text).filter(|bytes| bytes.len() == 1),
        Repertoire::Jis201 => match c {
            '\u{FF61}'..='\u{FF9F}' => Some(vec![(u32::from(c) - 0xFF61 + 0xA1) as u8]),
            _ => None,
        },
        Repertoire::Jis208 => match whole(EUC_JP, text)?.as_slice() {
            [first @ 0xA1..=0xFE, second @ 0xA1..=0xFE] => Some(vec![first & 0x7F, second & 0x7F]),
            _ => None,
        },
        Repertoire::Jis212 => JIS_X_0212.get(&c).map(|pair| pair.to_vec()),
        Repertoire::Korean => right_pair(whole(EUC_KR, text)?),
        Repertoire::Chinese => right_pair(whole(GBK, text)?),
    }
}

/// KS X 1001 and GB 2312 are the pairs with both bytes in the right half; the encodings have more.
fn right_pair(bytes: Vec<u8>) -> Option<Vec<u8>> {
    matches!(bytes.as_slice(), [0xA1..=0xFE, 0xA1..=0xFE]).then_some(bytes)
}

/// All of the text or nothing.
fn whole(encoding: &'static Encoding, text: &str) -> Option<Vec<u8>> {
    if encoding == UTF_8 {
        return Some(text.as_bytes().to_vec());
    }
    let mut encoder = encoding.new_encoder();
    let mut out = Vec::with_capacity(encoder.max_buffer_length_from_utf8_without_replacement(text.len())?);
    let (result, _) = encoder.encode_from_utf8_to_vec_without_replacement(text, &mut out, true);
    matches!(result, EncoderResult::InputEmpty).then_some(out)
}

/// `encoding_rs` decodes JIS X 0212 but does not encode it.
static JIS_X_0212: LazyLock<HashMap<char, [u8; 2]>> = LazyLock::new(|| {
    let mut codes = HashMap::new();
    for first in 0x21..=0x7E_u8 {
        for second in 0x21..=0x7E_u8 {
            let bytes = [0x8F, first | 0x80, second | 0x80];
            if let Some(text) = EUC_JP.decode_without_bom_handling_and_without_replacement(&bytes) {
                let mut chars = text.chars();
                if let (Some(c), None) = (chars.next(), chars.next()) {
                    codes.entry(c).or_insert([first, second]);
                }
            }
        }
    }
    codes
});
