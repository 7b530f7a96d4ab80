//! Building data sets in normal form.

use bytes::Bytes;
use filmroom_storage::model::{Attributes, Tag, has_long_length};

use super::{dictionary, normal::is_ascii, vr};

/// Builds data sets in normal form. Elements may come in any order; the last value given for a tag wins.
///
/// (0008,0005) is the builder's own affair: `ISO_IR 192` when it was set, or when a text needs it.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    elements: Vec<(Tag, [u8; 2], Vec<u8>)>,
    needs_character_set: bool,
}

const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;

impl Builder {
    /// An empty data set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with the elements of another data set.
    #[must_use]
    pub fn from_attributes(attributes: &Attributes) -> Self {
        let elements = attributes
            .iter()
            .map(|element| (element.tag, element.vr, element.value.to_vec()))
            .collect();
        Self {
            elements,
            needs_character_set: false,
        }
    }

    /// Sets a text value (already joined with `\` where there are several); the VR comes from the dictionary.
    ///
    /// For an attribute that the dictionary gives a binary VR the text is read as decimal numbers joined by `\`; where it is
    /// none, it is kept as UT, so that nothing is lost.
    pub fn text(&mut self, tag: Tag, value: &str) -> &mut Self {
        let by_dictionary = dictionary::entry(tag).relaxed();
        if vr::is_text(by_dictionary) {
            return self.value(tag, by_dictionary, value.as_bytes());
        }
        match numbers(by_dictionary, value) {
            Some(encoded) => self.value(tag, by_dictionary, &encoded),
            None => self.value(tag, *b"UT", value.as_bytes()),
        }
    }

    /// Sets a value by its VR and encoded bytes (little endian; padded here).
    pub fn value(&mut self, tag: Tag, vr: [u8; 2], value: &[u8]) -> &mut Self {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend_from_slice(value);
        if bytes.len() % 2 == 1 {
            bytes.push(vr::padding(vr));
        }
        self.needs_character_set |= vr::is_text(vr) && !value.is_ascii();
        self.set(tag, vr, bytes)
    }

    /// Sets one US value.
    pub fn us(&mut self, tag: Tag, value: u16) -> &mut Self {
        self.set(tag, *b"US", value.to_le_bytes().to_vec())
    }

    /// Sets an element of length zero.
    pub fn empty(&mut self, tag: Tag) -> &mut Self {
        self.set(tag, dictionary::entry(tag).relaxed(), Vec::new())
    }

    /// Sets a sequence. (0008,0005) of an item is left out: the data set around it has it.
    pub fn sequence(&mut self, tag: Tag, items: &[Attributes]) -> &mut Self {
        let mut value = Vec::with_capacity(items.iter().map(|item| item.as_bytes().len() + 8).sum());
        for item in items {
            if item.get(SPECIFIC_CHARACTER_SET).is_some() {
                self.needs_character_set |= !is_ascii(item.as_bytes());
                Self::from_attributes(item).append_item(&mut value);
                continue;
            }
            value.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0]);
            value.extend_from_slice(&u32::try_from(item.as_bytes().len()).unwrap_or(u32::MAX).to_le_bytes());
            value.extend_from_slice(item.as_bytes());
        }
        self.set(tag, *b"SQ", value)
    }

    /// Removes an element.
    pub fn remove(&mut self, tag: Tag) -> &mut Self {
        if let Ok(place) = self.elements.binary_search_by_key(&tag, |element| element.0) {
            self.elements.remove(place);
        }
        self
    }

    /// The block of private elements that a private creator has reserved (PS3.5 §7.8.1), reserved now where it is not;
    /// `None` when the group has no block left.
    pub(crate) fn private_block(&mut self, group: u32, creator: &str) -> Option<u32> {
        let of_group = |element: &&(Tag, [u8; 2], Vec<u8>)| {
            element.0 >> 16 == group && (0x10..=0xFF).contains(&(element.0 & 0xFFFF))
        };
        let text = |value: &[u8]| String::from_utf8_lossy(value).trim_end_matches([' ', '\0']).to_owned();
        if let Some(found) = self
            .elements
            .iter()
            .filter(of_group)
            .find(|element| text(&element.2) == creator.trim_end())
        {
            return Some(found.0 & 0xFF);
        }
        let taken: Vec<u32> = self
            .elements
            .iter()
            .filter(of_group)
            .map(|element| element.0 & 0xFF)
            .collect();
        let free = (0x10..=0xFF).find(|block| !taken.contains(block))?;
        self.value(group << 16 | free, *b"LO", creator.as_bytes());
        Some(free)
    }

    /// Appends the data set as an item of a sequence, without (0008,0005): the data set around it has it.
    pub(crate) fn append_item(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0xFE, 0xFF, 0x00, 0xE0, 0, 0, 0, 0]);
        let start = out.len();
        for (tag, vr, value) in &self.elements {
            if *tag != SPECIFIC_CHARACTER_SET {
                push_element(out, *tag, *vr, value);
            }
        }
        let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX).to_le_bytes();
        if let Some(field) = out.get_mut(start - 4..start) {
            field.copy_from_slice(&length);
        }
    }

    /// Whether a text of it is beyond ASCII.
    pub(crate) fn needs_character_set(&self) -> bool {
        self.needs_character_set
    }

    /// Notes that a text inside one of its items is beyond ASCII.
    pub(crate) fn set_needs_character_set(&mut self) {
        self.needs_character_set = true;
    }

    /// The finished data set.
    #[must_use]
    pub fn build(&self) -> Attributes {
        let length = self
            .elements
            .iter()
            .map(|(_, _, value)| value.len() + 12)
            .sum::<usize>()
            + 18;
        let mut out = Vec::with_capacity(length);
        let mut pending = self.needs_character_set;
        for (tag, vr, value) in &self.elements {
            if pending && *tag >= SPECIFIC_CHARACTER_SET {
                push_element(&mut out, SPECIFIC_CHARACTER_SET, *b"CS", b"ISO_IR 192");
                pending = false;
            }
            if *tag == SPECIFIC_CHARACTER_SET {
                if !self.needs_character_set {
                    let value: &[u8] = if value.is_empty() { b"" } else { b"ISO_IR 192" };
                    push_element(&mut out, *tag, *b"CS", value);
                }
                continue;
            }
            push_element(&mut out, *tag, *vr, value);
        }
        Attributes::from_normal_form(Bytes::from(out))
    }

    fn set(&mut self, tag: Tag, vr: [u8; 2], value: Vec<u8>) -> &mut Self {
        match self.elements.binary_search_by_key(&tag, |element| element.0) {
            Ok(place) => {
                if let Some(element) = self.elements.get_mut(place) {
                    *element = (tag, vr, value);
                }
            }
            Err(place) => self.elements.insert(place, (tag, vr, value)),
        }
        self
    }
}

/// Decimal numbers joined by `\` as little endian words; `None` when one does not fit.
fn numbers(vr: [u8; 2], text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    if text.trim().is_empty() {
        return Some(out);
    }
    for number in text.split('\\').map(str::trim) {
        match &vr {
            b"US" => out.extend_from_slice(&number.parse::<u16>().ok()?.to_le_bytes()),
            b"SS" => out.extend_from_slice(&number.parse::<i16>().ok()?.to_le_bytes()),
            b"UL" => out.extend_from_slice(&number.parse::<u32>().ok()?.to_le_bytes()),
            b"SL" => out.extend_from_slice(&number.parse::<i32>().ok()?.to_le_bytes()),
            b"UV" => out.extend_from_slice(&number.parse::<u64>().ok()?.to_le_bytes()),
            b"SV" => out.extend_from_slice(&number.parse::<i64>().ok()?.to_le_bytes()),
            b"FL" => out.extend_from_slice(&number.parse::<f32>().ok()?.to_le_bytes()),
            b"FD" => out.extend_from_slice(&number.parse::<f64>().ok()?.to_le_bytes()),
            b"AT" => {
                let tag = u32::from_str_radix(number, 16).ok().filter(|_| number.len() == 8)?;
                push_tag(&mut out, tag);
            }
            _ => return None,
        }
    }
    Some(out)
}

pub(crate) fn push_tag(out: &mut Vec<u8>, tag: Tag) {
    let [g0, g1, e0, e1] = tag.to_be_bytes();
    out.extend_from_slice(&[g1, g0, e1, e0]);
}

/// Appends one element of normal form; `value` is padded already. What is too long for a 2-byte length is given the VR of
/// the same kind that has a 4-byte one.
pub(crate) fn push_element(out: &mut Vec<u8>, tag: Tag, vr: [u8; 2], value: &[u8]) {
    let vr = if value.len() > 0xFFFE && !has_long_length(vr) {
        vr::long_form(vr)
    } else {
        vr
    };
    push_tag(out, tag);
    out.extend_from_slice(&vr);
    if has_long_length(vr) {
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    } else {
        out.extend_from_slice(&u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    }
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_elements_and_lets_the_last_value_win() {
        let mut builder = Builder::new();
        builder
            .text(0x0010_0020, "1")
            .text(0x0008_0060, "CT")
            .text(0x0010_0020, "12")
            .us(0x0028_0010, 512);
        let built = builder.build();
        assert_eq!(
            built.iter().map(|e| e.tag).collect::<Vec<_>>(),
            [0x0008_0060, 0x0010_0020, 0x0028_0010]
        );
        assert_eq!(built.text(0x0010_0020), "12");
        assert_eq!(built.get(0x0028_0010).unwrap().value, [0, 2]);
    }

    #[test]
    fn names_the_character_set_when_a_text_needs_it() {
        let mut builder = Builder::new();
        builder.text(0x0010_0010, "Müller").text(0x0008_0001, "1");
        let built = builder.build();
        assert_eq!(built.text(0x0008_0005), "ISO_IR 192");
        assert_eq!(built.text(0x0010_0010), "Müller");
    }

    #[test]
    fn keeps_long_lists_readable() {
        let mut builder = Builder::new();
        builder.text(0x0008_0018, &vec!["1.2.3.4.5.6.7.8.9"; 5000].join("\\"));
        assert_eq!(builder.build().text(0x0008_0018).split('\\').count(), 5000);
    }

    #[test]
    fn nests_sequences() {
        let item = Builder::new().text(0x0008_0100, "1").build();
        let built = Builder::new().sequence(0x0008_1032, &[item.clone(), item]).build();
        assert_eq!(built.get(0x0008_1032).unwrap().value.len(), 2 * (8 + 10));
    }
}
