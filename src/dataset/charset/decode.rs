//! Decoding into UTF-8.

use encoding_rs::{EUC_JP, EUC_KR, Encoding, GBK, SHIFT_JIS, UTF_8, WINDOWS_1252};

use super::{
    super::vr::Shape,
    terms::{Repertoire, repertoire, single_by_escape},
};

const ESC: u8 = 0x1B;

/// Decodes the texts of one data set, or of one item that names character sets of its own.
#[derive(Debug, Clone)]
pub(crate) struct Decoder {
    /// The first value of (0008,0005), then those that code extensions may switch to.
    terms: Vec<Repertoire>,
    declared: bool,
}

/// How well a text could be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fidelity {
    /// By the character set that is declared.
    Declared,
    /// By a guess: no character set, or not the one that is declared.
    Guessed,
}

impl Decoder {
    /// For a data set without (0008,0005).
    pub(crate) fn undeclared() -> Self {
        Self {
            terms: vec![Repertoire::Ascii],
            declared: false,
        }
    }

    /// Of a value of (0008,0005). The second answer is false when a term is none that is known.
    pub(crate) fn declared(value: &[u8]) -> (Self, bool) {
        let text = String::from_utf8_lossy(value);
        let text = text.trim_matches([' ', '\0']);
        if text.is_empty() {
            return (Self::undeclared(), true);
        }
        let mut known = true;
        let mut terms = Vec::new();
        // Nine terms are defined; a longer list is nonsense.
        for term in text.split('\\').take(16) {
            match repertoire(term) {
                Some(found) => terms.push(found),
                None => known = false,
            }
        }
        if terms.is_empty() {
            return (Self::undeclared(), false);
        }
        // UTF-8 and GB18030 allow no others beside them; whoever lists them means them.
        if let Some(whole) = terms.iter().find(|term| matches!(term, Repertoire::Whole(_))).copied() {
            terms = vec![whole];
        }
        (Self { terms, declared: true }, known)
    }

    /// True when only the default repertoire is to be expected.
    fn is_plain(&self) -> bool {
        self.terms.iter().all(|term| *term == Repertoire::Ascii)
    }

    /// Appends a value in UTF-8.
    #[inline]
    pub(crate) fn decode(&self, value: &[u8], shape: Shape, out: &mut Vec<u8>) -> Fidelity {
        if value.is_ascii() && !value.contains(&ESC) {
            out.extend_from_slice(value);
            return Fidelity::Declared;
        }
        self.decode_special(value, shape, out)
    }

    #[cold]
    fn decode_special(&self, value: &[u8], shape: Shape, out: &mut Vec<u8>) -> Fidelity {
        let escapes = value.contains(&ESC);
        match self.terms.as_slice() {
            _ if self.is_plain() && !escapes => guess(value, out),
            [Repertoire::Whole(encoding)] => match whole(encoding, value, out) {
                true => Fidelity::Declared,
                false if escapes => self.extended(value, shape, out),
                false => guess(value, out),
            },
            [Repertoire::Single(single)] if !escapes => {
                if whole(single.encoding, value, out) {
                    return Fidelity::Declared;
                }
                guess(value, out)
            }
            // Half-width katakana are single bytes A1–DF; other high bytes are the Shift JIS of careless writers.
            [Repertoire::Jis201, ..]
                if !escapes && value.iter().any(|byte| matches!(byte, 0x80..=0xA0 | 0xE0..=0xFF)) =>
            {
                if !whole(SHIFT_JIS, value, out) {
                    return guess(value, out);
                }
                Fidelity::Guessed
            }
            _ => self.extended(value, shape, out),
        }
    }

    /// Code extensions (PS3.5 §6.1.2.5).
    fn extended(&self, value: &[u8], shape: Shape, out: &mut Vec<u8>) -> Fidelity {
        let mut state = State::initial(self.terms.first().copied());
        let fallback = self.terms.iter().copied().find(|term| {
            matches!(
                term,
                Repertoire::Single(_) | Repertoire::Jis201 | Repertoire::Korean | Repertoire::Chinese
            )
        });
        let mut fidelity = if self.declared {
            Fidelity::Declared
        } else {
            Fidelity::Guessed
        };
        let mut rest = value;
        while let Some((&byte, after)) = rest.split_first() {
            if byte == ESC {
                let (next, known) = state.escape(after);
                rest = next;
                if !known {
                    fidelity = Fidelity::Guessed;
                }
                continue;
            }
            if byte < 0x80 {
                rest = state.left(byte, after, out);
                if resets(byte, shape) && !matches!(state.g0, G0::Jis208 | G0::Jis212) {
                    state = State::initial(self.terms.first().copied());
                }
                continue;
            }
            let (next, good) = right(state.g1.or(fallback), byte, after, out);
            rest = next;
            if !good {
                fidelity = Fidelity::Guessed;
            }
        }
        fidelity
    }
}

/// Characters before which code extensions must be undone, so that after them the initial state holds (PS3.5 §6.1.2.5.3).
const fn resets(byte: u8, shape: Shape) -> bool {
    match byte {
        b'\n' | 0x0C | b'\r' | b'\t' => true,
        b'\\' => matches!(shape, Shape::Texts | Shape::PersonNames),
        b'^' | b'=' => matches!(shape, Shape::PersonNames),
        _ => false,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum G0 {
    Ascii,
    Jis208,
    Jis212,
}

struct State {
    g0: G0,
    g1: Option<Repertoire>,
}

impl State {
    fn initial(first: Option<Repertoire>) -> Self {
        match first {
            Some(Repertoire::Jis201) => Self {
                g0: G0::Ascii,
                g1: Some(Repertoire::Jis201),
            },
            Some(single @ (Repertoire::Single(_) | Repertoire::Korean | Repertoire::Chinese)) => Self {
                g0: G0::Ascii,
                g1: Some(single),
            },
            _ => Self {
                g0: G0::Ascii,
                g1: None,
            },
        }
    }

    /// Follows an escape sequence; gives what comes after it, and whether it is one of the standard's.
    fn escape<'a>(&mut self, after: &'a [u8]) -> (&'a [u8], bool) {
        const G0_SEQUENCES: [(&[u8], G0); 6] = [
            (b"(B", G0::Ascii),
            (b"(J", G0::Ascii),
            (b"$B", G0::Jis208),
            (b"$@", G0::Jis208),
            (b"$(B", G0::Jis208),
            (b"$(D", G0::Jis212),
        ];
        const G1_SEQUENCES: [(&[u8], Repertoire); 3] = [
            (b")I", Repertoire::Jis201),
            (b"$)C", Repertoire::Korean),
            (b"$)A", Repertoire::Chinese),
        ];
        for (sequence, g0) in G0_SEQUENCES {
            if let Some(rest) = after.strip_prefix(sequence) {
                self.g0 = g0;
                return (rest, true);
            }
        }
        for (sequence, g1) in G1_SEQUENCES {
            if let Some(rest) = after.strip_prefix(sequence) {
                self.g1 = Some(g1);
                return (rest, true);
            }
        }
        if let Some([b'-', escape, rest @ ..]) = Some(after)
            && let Some(single) = single_by_escape(*escape)
        {
            self.g1 = Some(Repertoire::Single(single));
            return (rest, true);
        }
        (after, false)
    }

    /// A byte of the left half. Romaji are read as ASCII: JIS X 0201 has yen sign and overline where ASCII has backslash and
    /// tilde, but the backslashes and tildes of devices that announce it are meant as such.
    fn left<'a>(&self, byte: u8, after: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        if matches!(self.g0, G0::Jis208 | G0::Jis212)
            && (0x21..=0x7E).contains(&byte)
            && let Some((second @ 0x21..=0x7E, rest)) = after.split_first()
        {
            let pair = [byte | 0x80, second | 0x80];
            let good = match self.g0 {
                G0::Jis208 => whole(EUC_JP, &pair, out),
                _ => whole(EUC_JP, &[0x8F, pair[0], pair[1]], out),
            };
            if !good {
                push(out, '\u{FFFD}');
            }
            return rest;
        }
        out.push(byte);
        after
    }
}

/// A byte of the right half.
fn right<'a>(g1: Option<Repertoire>, byte: u8, after: &'a [u8], out: &mut Vec<u8>) -> (&'a [u8], bool) {
    let pair = |encoding: &'static Encoding, out: &mut Vec<u8>| -> Option<&'a [u8]> {
        let (second, rest) = after.split_first()?;
        whole(encoding, &[byte, *second], out).then_some(rest)
    };
    let read = match g1 {
        Some(Repertoire::Single(single)) => whole(single.encoding, &[byte], out).then_some(after),
        Some(Repertoire::Jis201) if (0xA1..=0xDF).contains(&byte) => whole(SHIFT_JIS, &[byte], out).then_some(after),
        Some(Repertoire::Korean) => pair(EUC_KR, out),
        Some(Repertoire::Chinese) => pair(GBK, out),
        _ => None,
    };
    match read {
        Some(rest) => (rest, true),
        None => {
            whole(WINDOWS_1252, &[byte], out);
            (after, false)
        }
    }
}

/// Decodes all of the bytes or nothing.
fn whole(encoding: &'static Encoding, value: &[u8], out: &mut Vec<u8>) -> bool {
    match encoding.decode_without_bom_handling_and_without_replacement(value) {
        Some(text) => {
            out.extend_from_slice(text.as_bytes());
            true
        }
        None => false,
    }
}

/// Text whose character set is not declared, or declared wrongly: UTF-8 where it is valid (by chance it hardly ever is), else
/// Western European, which has a character for each byte.
fn guess(value: &[u8], out: &mut Vec<u8>) -> Fidelity {
    if !whole(UTF_8, value, out) {
        let (text, _) = WINDOWS_1252.decode_without_bom_handling(value);
        out.extend_from_slice(text.as_bytes());
    }
    Fidelity::Guessed
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}
