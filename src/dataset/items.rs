//! The items of a sequence in normal form.

/// Iterates over the items of a sequence's value in normal form; each is the bytes of the item's own elements, to be read
/// with [`filmroom_storage::model::Elements::new`]. Ends at the first byte that is not in normal form.
#[derive(Debug, Clone)]
pub struct Items<'a>(&'a [u8]);

/// The items of the value of an `SQ` element.
#[must_use]
pub fn items(value: &[u8]) -> Items<'_> {
    Items(value)
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        let [0xFE, 0xFF, 0x00, 0xE0, a, b, c, d] = *head else {
            return None;
        };
        let (item, rest) = rest.split_at_checked(u32::from_le_bytes([a, b, c, d]) as usize)?;
        self.0 = rest;
        Some(item)
    }
}
