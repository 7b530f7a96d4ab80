//! What an object says when its pixels have lost something on the way (PS3.3 C.7.6.1.1.5, C.12.4).

use super::{Changed, padded};
use crate::elements::Elements;

/// A loss that has just happened.
pub(super) struct Loss {
    image_type: Vec<u8>,
    ratios: Vec<u8>,
    methods: Vec<u8>,
}

impl Loss {
    /// `native` and `compressed`: bytes of a frame.
    pub(super) fn of(elements: &Elements<'_>, native: u64, compressed: usize) -> Self {
        // Steps of loss follow each other, one value each.
        let after = |before: &str, step: String| {
            if before.is_empty() {
                step
            } else {
                format!("{before}\\{step}")
            }
        };
        let ratio = native as f64 / compressed.max(1) as f64;
        let mut kind: Vec<&str> = elements.text(0x0008_0008).split('\\').collect();
        match kind.first_mut() {
            Some(first) => *first = "DERIVED",
            None => kind.push("DERIVED"),
        }
        if kind.len() < 2 {
            kind.push("PRIMARY");
        }
        Self {
            image_type: padded(&kind.join("\\")),
            ratios: padded(&after(elements.text(0x0028_2112), format!("{ratio:.2}"))),
            methods: padded(&after(elements.text(0x0028_2114), "ISO_10918_1".to_owned())),
        }
    }

    pub(super) fn changed(&self) -> Vec<Changed> {
        vec![
            (0x0008_0008, *b"CS", self.image_type.clone()),
            (0x0028_2110, *b"CS", b"01".to_vec()),
            (0x0028_2112, *b"DS", self.ratios.clone()),
            (0x0028_2114, *b"CS", self.methods.clone()),
        ]
    }
}
