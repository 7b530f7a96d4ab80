//! What goes from one transfer syntax into another comes out as it went in.

use bytes::Bytes;
use filmroom_storage::model::{FrameTable, Header, PixelData, TransferSyntaxUid};
use proptest::prelude::*;

use super::{Form, Transcoder, cells};
use crate::compress::tests::frames;
use crate::decode::{Frame, Reduction, decode, native};
use crate::elements::Elements;
use crate::pixel_description::{Photometric, PixelDescription};
use filmroom_dataset::Builder;

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const BASELINE: &str = "1.2.840.10008.1.2.4.50";
const LOSSLESS: [&str; 13] = [
    EXPLICIT,
    "1.2.840.10008.1.2.5",
    "1.2.840.10008.1.2.4.57",
    "1.2.840.10008.1.2.4.70",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.4.91",
    "1.2.840.10008.1.2.4.201",
    "1.2.840.10008.1.2.4.202",
    "1.2.840.10008.1.2.4.203",
    "1.2.840.10008.1.2.8.1",
    "1.2.840.10008.1.2.1.98",
];

/// An object of one frame.
#[derive(Clone)]
struct Object {
    attributes: Builder,
    transfer_syntax: &'static str,
    frame: Bytes,
}

impl Object {
    /// `low_bit`: where the samples begin in their cells; `planar`: 1 for colour by plane.
    fn native(frame: &Frame, low_bit: u32, planar: u16) -> Self {
        let allocated = if frame.bits_stored + low_bit <= 8 { 8 } else { 16 };
        let mut cells = cells(frame, allocated).unwrap();
        if low_bit > 0 {
            let wide = frame.bits_stored.next_multiple_of(8);
            assert_eq!((wide, allocated), (16, 16));
            for cell in cells.as_chunks_mut::<2>().0 {
                *cell = (u16::from_le_bytes(*cell) << low_bit).to_le_bytes();
            }
        }
        if planar == 1 && frame.samples_per_pixel == 3 {
            let step = allocated as usize / 8;
            let pixels: Vec<&[u8]> = cells.chunks(step).collect();
            let planes = (0..3).flat_map(|sample| pixels.iter().skip(sample).step_by(3));
            cells = planes.flat_map(|cell| cell.to_vec()).collect();
        }
        let mut attributes = Builder::new();
        attributes
            .text(0x0028_0004, frame.photometric.term())
            .us(0x0028_0002, frame.samples_per_pixel as u16)
            .us(0x0028_0006, planar)
            .us(0x0028_0010, frame.rows as u16)
            .us(0x0028_0011, frame.columns as u16)
            .us(0x0028_0100, allocated as u16)
            .us(0x0028_0101, frame.bits_stored as u16)
            .us(0x0028_0102, (frame.bits_stored + low_bit - 1) as u16)
            .us(0x0028_0103, u16::from(frame.signed));
        Self {
            attributes,
            transfer_syntax: EXPLICIT,
            frame: cells.into(),
        }
    }

    fn header(&self) -> Header {
        Header {
            attributes: self.attributes.build(),
            bulk: Vec::new(),
        }
    }

    fn description(&self) -> PixelDescription {
        PixelDescription::read(&Elements::of(&self.header()), 0x7FE0_0010).unwrap()
    }

    fn values(&self) -> Vec<f64> {
        let frame = decode(&self.frame, self.transfer_syntax, &self.description(), Reduction::None).unwrap();
        (0..frame.samples.len()).map(|index| frame.value(index)).collect()
    }

    fn to(&self, transfer_syntax: &'static str) -> Self {
        if transfer_syntax == self.transfer_syntax {
            return self.clone();
        }
        let pixel_data = PixelData {
            tag: 0x7FE0_0010,
            offset: 0,
            length: self.frame.len() as u64,
            number_of_frames: 1,
            frames: FrameTable::Encapsulated(Vec::new()),
        };
        let form = Form::encapsulated(transfer_syntax).unwrap_or(Form::Native);
        let stored = TransferSyntaxUid::new(self.transfer_syntax).unwrap();
        let mut transcoder = Transcoder::new(&self.header(), &pixel_data, &stored, &self.frame, form).unwrap();
        let mut attributes = self.attributes.clone();
        for (tag, vr, value) in transcoder.changed() {
            attributes.value(tag, vr, &value);
        }
        let frame = transcoder.frame(&self.frame).unwrap();
        Self {
            attributes,
            transfer_syntax,
            frame,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_pair_of_lossless_syntaxes_keeps_the_pixels(frame in frames(), high in any::<bool>(), planar in 0u16..2) {
        let low_bit = if high && frame.bits_stored > 8 { 16 - frame.bits_stored } else { 0 };
        let planar = planar * u16::from(frame.samples_per_pixel == 3);
        let object = Object::native(&frame, low_bit, planar);
        let before = object.values();
        for first in LOSSLESS {
            let there = object.to(first);
            prop_assert_eq!(&there.values(), &before, "{} to {}", EXPLICIT, first);
            for second in LOSSLESS {
                let further = there.to(second);
                prop_assert_eq!(&further.values(), &before, "{} to {}", first, second);
                let back = further.to(EXPLICIT);
                prop_assert_eq!(&back.values(), &before, "{} to {} and back", first, second);
            }
        }
    }

    #[test]
    fn baseline_says_what_was_lost(frame in frames()) {
        prop_assume!(frame.bits_stored == 8 && !frame.signed);
        let lossy = Object::native(&frame, 0, 0).to(BASELINE);
        let header = lossy.header();
        let elements = Elements::of(&header);
        prop_assert_eq!(elements.text(0x0028_2110), "01");
        prop_assert_eq!(elements.text(0x0028_2114), "ISO_10918_1");
        prop_assert!(elements.decimal(0x0028_2112).is_some_and(|ratio| ratio > 0.0));
        prop_assert!(elements.text(0x0008_0008).starts_with("DERIVED\\"));
        let expected = if frame.samples_per_pixel == 3 { "YBR_FULL_422" } else { "MONOCHROME2" };
        prop_assert_eq!(elements.text(0x0028_0004), expected);
        let after = decode(&lossy.frame, BASELINE, &lossy.description(), Reduction::None).unwrap();
        prop_assert_eq!(after.samples.len(), frame.samples.len());
    }
}

#[test]
fn colour_says_how_it_was_transformed() {
    let frame = Frame {
        rows: 2,
        columns: 2,
        samples_per_pixel: 3,
        samples: native::interleave(crate::decode::Samples::U8((0..12).collect::<Vec<u8>>().into()), 3),
        bits_stored: 8,
        low_bit: 0,
        signed: false,
        photometric: Photometric::Rgb,
    };
    let object = Object::native(&frame, 0, 1);
    let term = |object: &Object| {
        let header = object.header();
        let elements = Elements::of(&header);
        (elements.text(0x0028_0004).to_owned(), elements.unsigned(0x0028_0006))
    };
    let j2k = object.to("1.2.840.10008.1.2.4.90");
    assert_eq!(term(&j2k), ("YBR_RCT".to_owned(), Some(0)));
    assert_eq!(term(&j2k.to(EXPLICIT)), ("RGB".to_owned(), Some(0)));
    assert_eq!(term(&j2k.to("1.2.840.10008.1.2.5")), ("RGB".to_owned(), Some(1)));
}
