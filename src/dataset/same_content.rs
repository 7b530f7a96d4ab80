//! Whether two data sets are the same instance in another encoding.

use filmroom_storage::model::{Attributes, BulkValue, Element, Elements, Header, TransferSyntaxUid};

use super::{
    items::{Items, items},
    transfer_syntax::{Encoding, is_native},
    vr::{self, Shape},
};

/// Two left-out values that must be compared byte by byte for two instances to be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkPair {
    /// Of the one.
    pub one: BulkValue,
    /// Of the other.
    pub other: BulkValue,
    /// Bytes of the words whose byte order differs between the two; 1 where it does not.
    pub swapped_word_bytes: usize,
}

/// Compares two headers: `None` when they differ in content, else the left-out values that are still to be compared.
///
/// Encodings may differ in what bears no meaning: byte order, lengths of sequences and items, group lengths, padding, character
/// set, and a VR of UN where the other knows better. Pixel data must be coded alike.
#[must_use]
pub fn same_header(
    one: &Header,
    one_syntax: &TransferSyntaxUid,
    other: &Header,
    other_syntax: &TransferSyntaxUid,
) -> Option<Vec<BulkPair>> {
    let (one_syntax, other_syntax) = (one_syntax.as_str(), other_syntax.as_str());
    if one_syntax != other_syntax && !(is_native(one_syntax) && is_native(other_syntax)) {
        return None;
    }
    if one.bulk.len() != other.bulk.len() || !same_elements(&one.attributes, &other.attributes) {
        return None;
    }
    let swapped = Encoding::of(one_syntax).big_endian != Encoding::of(other_syntax).big_endian;
    let mut pairs = Vec::with_capacity(one.bulk.len());
    for (one, other) in in_path_order(&one.bulk).into_iter().zip(in_path_order(&other.bulk)) {
        // The length of native pixel data may be odd here and padded there.
        let lengths_differ = one.length.abs_diff(other.length) > u64::from(!one.encapsulated);
        if one.path != other.path || one.encapsulated != other.encapsulated || lengths_differ {
            return None;
        }
        let mut vr = [b'U', b'N'];
        for (to, from) in vr.iter_mut().zip(one.vr.bytes()) {
            *to = from;
        }
        let swapped_word_bytes = match vr::shape(vr) {
            Shape::Words(size) if swapped => usize::from(size),
            _ => 1,
        };
        pairs.push(BulkPair {
            one: one.clone(),
            other: other.clone(),
            swapped_word_bytes,
        });
    }
    Some(pairs)
}

fn in_path_order(bulk: &[BulkValue]) -> Vec<&BulkValue> {
    let mut sorted: Vec<_> = bulk.iter().collect();
    sorted.sort_by(|one, other| one.path.cmp(&other.path));
    sorted
}

/// A pair of sequences being compared, to go on with after one of their items.
struct Open<'a> {
    items: (Items<'a>, Items<'a>),
    after: (Elements<'a>, Elements<'a>),
}

fn same_elements(one: &Attributes, other: &Attributes) -> bool {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut lists = (one.iter(), other.iter());
    loop {
        match (next(&mut lists.0), next(&mut lists.1)) {
            (Some(one), Some(other)) => {
                if one.tag != other.tag {
                    return false;
                }
                if &one.vr == b"SQ" && &other.vr == b"SQ" {
                    let after = std::mem::replace(&mut lists, (Elements::new(&[]), Elements::new(&[])));
                    open.push(Open {
                        items: (items(one.value), items(other.value)),
                        after,
                    });
                } else if !same_value(&one, &other) {
                    return false;
                } else {
                    continue;
                }
            }
            (None, None) => {}
            _ => return false,
        }
        // A list has ended, or a sequence has begun: on to the next pair of items, or out of the sequence.
        let Some(mut sequence) = open.pop() else { return true };
        match (sequence.items.0.next(), sequence.items.1.next()) {
            (Some(one), Some(other)) => {
                lists = (Elements::new(one), Elements::new(other));
                open.push(sequence);
            }
            (None, None) => lists = sequence.after,
            _ => return false,
        }
    }
}

/// The next element but (0008,0005), which tells of the encoding only.
fn next<'a>(elements: &mut Elements<'a>) -> Option<Element<'a>> {
    elements.find(|element| element.tag != 0x0008_0005)
}

fn same_value(one: &Element<'_>, other: &Element<'_>) -> bool {
    let kinds = (vr::shape(one.vr), vr::shape(other.vr));
    let unknown = &one.vr == b"UN" || &other.vr == b"UN";
    if vr::is_text(one.vr) && vr::is_text(other.vr) || unknown {
        return trimmed(one.value) == trimmed(other.value);
    }
    (kinds.0 == kinds.1 || vr::is_bulk(one.vr) && vr::is_bulk(other.vr)) && one.value == other.value
}

fn trimmed(value: &[u8]) -> &[u8] {
    let end = value
        .iter()
        .rposition(|byte| !matches!(byte, b' ' | 0))
        .map_or(0, |place| place + 1);
    value.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Builder, CharacterSet, describe, encode};

    fn syntax(uid: &str) -> TransferSyntaxUid {
        TransferSyntaxUid::new(uid).unwrap()
    }

    fn instance(change: impl FnOnce(&mut Builder)) -> Attributes {
        let item = Builder::new().text(0x0008_0104, "Schädel").build();
        let mut builder = Builder::new();
        builder
            .text(0x0008_0016, "1.2.840.10008.5.1.4.1.1.7")
            .text(0x0008_0018, "1.2.3")
            .text(0x0010_0010, "Müller")
            .sequence(0x0008_2218, &[item.clone(), item])
            .text(0x0020_000D, "1.2")
            .text(0x0020_000E, "1.2.1")
            .us(0x0028_0010, 2)
            .us(0x0028_0011, 2)
            .us(0x0028_0100, 16)
            .value(0x7FE0_0010, *b"OW", &[1, 0, 2, 0, 3, 0, 4, 0]);
        change(&mut builder);
        builder.build()
    }

    #[track_caller]
    fn compare(
        one: (&Attributes, &str, CharacterSet),
        other: (&Attributes, &str, CharacterSet),
    ) -> Option<Vec<BulkPair>> {
        let read = |(attributes, uid, set): (&Attributes, &str, CharacterSet)| {
            let bytes = encode(attributes, &syntax(uid), &set).unwrap();
            (describe(&bytes, &syntax(uid)).unwrap().header, syntax(uid))
        };
        let (one, one_syntax) = read(one);
        let (other, other_syntax) = read(other);
        same_header(&one, &one_syntax, &other, &other_syntax)
    }

    #[test]
    fn sees_through_encodings() {
        let one = instance(|_| {});
        let latin = CharacterSet::Terms("ISO_IR 100".into());
        let pairs = compare(
            (&one, "1.2.840.10008.1.2.1", CharacterSet::Utf8),
            (&one, "1.2.840.10008.1.2.2", latin),
        )
        .unwrap();
        assert_eq!(pairs.len(), 1);
        assert_eq!(pairs[0].swapped_word_bytes, 2);
        let implicit = compare(
            (&one, "1.2.840.10008.1.2.1", CharacterSet::Utf8),
            (&one, "1.2.840.10008.1.2", CharacterSet::Utf8),
        );
        assert_eq!(implicit.unwrap()[0].swapped_word_bytes, 1);
    }

    #[test]
    fn sees_what_differs() {
        let one = instance(|_| {});
        for other in [
            instance(|b| {
                b.text(0x0010_0010, "Mueller");
            }),
            instance(|b| {
                b.text(0x0010_0040, "M");
            }),
            instance(|b| {
                b.sequence(0x0008_2218, &[Builder::new().text(0x0008_0104, "Schädel").build()]);
            }),
            instance(|b| {
                b.value(0x7FE0_0010, *b"OW", &[1, 0, 2, 0]);
            }),
        ] {
            let explicit = "1.2.840.10008.1.2.1";
            assert_eq!(
                compare(
                    (&one, explicit, CharacterSet::Utf8),
                    (&other, explicit, CharacterSet::Utf8)
                ),
                None
            );
        }
    }
}
