//! Overlay planes (PS3.3 C.9.2): white over the picture where a bit is set.

use super::picture::Picture;
use filmroom_pixels::decode::{Frame, Samples};
use filmroom_pixels::elements::Elements;

/// Draws every overlay plane of the frame.
pub fn draw(picture: &mut Picture, elements: &Elements<'_>, frame: &Frame, frame_index: u32) {
    for group in (0x6000_0000u32..0x6020_0000).step_by(0x2_0000) {
        plane(picture, elements, frame, group, frame_index, [255, 255, 255]);
    }
}

/// Draws one overlay plane, of the group that begins at `group`.
pub fn plane(
    picture: &mut Picture,
    elements: &Elements<'_>,
    frame: &Frame,
    group: u32,
    frame_index: u32,
    colour: [u8; 3],
) {
    if elements.unsigned(group | 0x10).is_none() || elements.unsigned(group | 0x11).is_none() {
        return;
    }
    if elements.value(group | 0x3000).unwrap_or_default().is_empty() {
        let position = elements.unsigned(group | 0x102).unwrap_or_default();
        embedded(picture, frame, position, colour);
    } else {
        bits(elements, group, frame_index, |x, y| picture.set(x, y, colour));
    }
}

/// Gives every place of the image, from 0, where a bit of an overlay plane is set; some may lie outside the image.
pub fn bits(elements: &Elements<'_>, group: u32, frame_index: u32, mut mark: impl FnMut(usize, usize)) {
    let tag = |element: u32| group | element;
    let (Some(rows), Some(columns)) = (elements.unsigned(tag(0x10)), elements.unsigned(tag(0x11))) else {
        return;
    };
    let origin: Vec<i64> = elements
        .words(tag(0x50))
        .iter()
        .map(|&word| i64::from(word as i16))
        .collect();
    let (top, left) = match origin.as_slice() {
        [row, column, ..] => (row - 1, column - 1),
        _ => (0, 0),
    };
    let data = elements.value(tag(0x3000)).unwrap_or_default();
    let frames = elements.unsigned(tag(0x15)).unwrap_or(1).max(1);
    let first_frame = elements.unsigned(tag(0x51)).unwrap_or(1).max(1) - 1;
    let place = match frame_index.checked_sub(first_frame) {
        Some(place) if place < frames => place,
        // One plane without an origin among the frames belongs to all of them.
        _ if frames == 1 && elements.value(tag(0x51)).is_none() => 0,
        _ => return,
    };
    let first_bit = u64::from(place) * u64::from(rows) * u64::from(columns);
    // What the value does not hold is not set: its length bounds the work, whatever rows and columns say.
    for row in 0..rows {
        let begin = first_bit + u64::from(row) * u64::from(columns);
        if begin / 8 >= data.len() as u64 {
            break;
        }
        for column in 0..columns {
            let bit = begin + u64::from(column);
            let set = usize::try_from(bit / 8)
                .ok()
                .and_then(|at| data.get(at))
                .is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
            if set
                && let (Ok(y), Ok(x)) = (
                    usize::try_from(i64::from(row) + top),
                    usize::try_from(i64::from(column) + left),
                )
            {
                mark(x, y);
            }
        }
    }
}

/// The retired form: a bit of the cells above the sample.
fn embedded(picture: &mut Picture, frame: &Frame, position: u32, colour: [u8; 3]) {
    let sample = frame.low_bit..frame.low_bit + frame.bits_stored;
    if position >= 16 || sample.contains(&position) {
        return;
    }
    let width = picture.width.max(1);
    let mut mark = |index: usize, cell: u16| {
        if cell >> position & 1 == 1 {
            picture.set(index % width, index / width, colour);
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
