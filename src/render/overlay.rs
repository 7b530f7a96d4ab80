//! Overlay planes (PS3.3 C.9.2): white over the picture where a bit is set.

use super::picture::Picture;
use filmroom_pixels::decode::{Frame, Samples};
use filmroom_pixels::elements::Elements;

/// Draws every overlay plane of the frame.
pub fn draw(picture: &mut Picture, elements: &Elements<'_>, frame: &Frame, frame_index: u32) {
    for group in (0x6000_0000u32..0x6020_0000).step_by(0x2_0000) {
        let tag = |element: u32| group | element;
        let (Some(rows), Some(columns)) = (elements.unsigned(tag(0x10)), elements.unsigned(tag(0x11))) else {
            continue;
        };
        let origin: Vec<i32> = elements
            .words(tag(0x50))
            .iter()
            .map(|&word| i32::from(word as i16))
            .collect();
        let (top, left) = match origin.as_slice() {
            [row, column, ..] => (row - 1, column - 1),
            _ => (0, 0),
        };
        let data = elements.value(tag(0x3000)).unwrap_or_default();
        if data.is_empty() {
            embedded(picture, frame, elements.unsigned(tag(0x102)).unwrap_or_default());
            continue;
        }
        let frames = elements.unsigned(tag(0x15)).unwrap_or(1).max(1);
        let first_frame = elements.unsigned(tag(0x51)).unwrap_or(1).max(1) - 1;
        let place = match frame_index.checked_sub(first_frame) {
            Some(place) if place < frames => place,
            // One plane without an origin among the frames belongs to all of them.
            _ if frames == 1 && elements.value(tag(0x51)).is_none() => 0,
            _ => continue,
        };
        let mut bit = u64::from(place) * u64::from(rows) * u64::from(columns);
        for row in 0..rows {
            for column in 0..columns {
                let set = usize::try_from(bit / 8)
                    .ok()
                    .and_then(|at| data.get(at))
                    .is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
                bit += 1;
                if set
                    && let (Ok(y), Ok(x)) = (usize::try_from(row as i32 + top), usize::try_from(column as i32 + left))
                {
                    picture.set_white(x, y);
                }
            }
        }
    }
}

/// The retired form: a bit of the cells above the sample.
fn embedded(picture: &mut Picture, frame: &Frame, position: u32) {
    let sample = frame.low_bit..frame.low_bit + frame.bits_stored;
    if position >= 16 || sample.contains(&position) {
        return;
    }
    let width = picture.width.max(1);
    let mut mark = |index: usize, cell: u16| {
        if cell >> position & 1 == 1 {
            picture.set_white(index % width, index / width);
        }
    };
    match &frame.samples {
        Samples::U16Le(cells) => {
            for (index, cell) in cells.as_chunks::<2>().0.iter().enumerate() {
                mark(index, u16::from_le_bytes(*cell));
            }
        }
        Samples::U16(cells) => cells.iter().enumerate().for_each(|(index, &cell)| mark(index, cell)),
        _ => {}
    }
}
