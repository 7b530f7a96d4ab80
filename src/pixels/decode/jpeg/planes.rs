//! Components of one size and place: upsampling, and the colour transform of ITU-R BT.601 (ISO 10918-5 §7).
#![expect(
    clippy::indexing_slicing,
    reason = "columns and rows are clamped to what the planes hold; a panic would be caught"
)]

use super::super::{DecodeError, Samples};
use super::coefficients::Plane;
use super::markers::Head;

/// Brings all components to the size of the frame and interleaves them, as RGB when `transformed`.
///
/// # Errors
/// [`DecodeError::Unsupported`] for sampling factors that are no whole fractions of the largest.
pub fn interleave(planes: Vec<Plane>, head: &Head, transformed: bool) -> Result<Samples, DecodeError> {
    let (columns, rows) = (usize::from(head.columns), usize::from(head.rows));
    let h_max = head.components.iter().map(|component| component.h).max().unwrap_or(1);
    let v_max = head.components.iter().map(|component| component.v).max().unwrap_or(1);
    let mut full = Vec::with_capacity(planes.len());
    for (plane, component) in planes.into_iter().zip(&head.components) {
        if h_max % component.h != 0 || v_max % component.v != 0 {
            return Err(DecodeError::Unsupported(
                "sampling factors that are no whole fractions".into(),
            ));
        }
        full.push(upsample(
            &plane,
            usize::from(h_max / component.h),
            usize::from(v_max / component.v),
            columns,
            rows,
        ));
    }
    let mut cells = vec![0u16; columns * rows * full.len()];
    let stride = full.len();
    for (index, plane) in full.iter().enumerate() {
        for (cell, value) in cells.iter_mut().skip(index).step_by(stride).zip(plane) {
            *cell = *value;
        }
    }
    if transformed {
        let (centre, most) = (
            f64::from(1u32 << (head.precision - 1)),
            f64::from((1u32 << head.precision) - 1),
        );
        for pixel in cells.as_chunks_mut::<3>().0 {
            let [y, cb, cr] = pixel.map(f64::from);
            let (cb, cr) = (cb - centre, cr - centre);
            *pixel = [
                y + 1.402 * cr,
                y - 0.344_136_286 * cb - 0.714_136_286 * cr,
                y + 1.772 * cb,
            ]
            .map(|value| value.round().clamp(0.0, most) as u16);
        }
    }
    if head.precision == 8 {
        return Ok(Samples::U8(
            cells.iter().map(|&cell| cell as u8).collect::<Vec<u8>>().into(),
        ));
    }
    Ok(Samples::U16(cells))
}

/// Chrominance between its samples is interpolated, three quarters of the nearer and one of the farther.
fn upsample(plane: &Plane, across: usize, down: usize, columns: usize, rows: usize) -> Vec<u16> {
    let mut out = Vec::with_capacity(columns * rows);
    for row in 0..rows {
        let (near, far) = neighbours(row, down, plane.rows);
        let line = |index: usize| &plane.samples[index * plane.stride..index * plane.stride + plane.columns];
        let (near, far) = (line(near), line(far));
        for column in 0..columns {
            let (x, x_far) = neighbours(column, across, plane.columns);
            let at = |place: usize| 3 * u32::from(near[place]) + u32::from(far[place]);
            out.push(((3 * at(x) + at(x_far) + 8) >> 4) as u16);
        }
    }
    out
}

/// The sample that covers a place, and the one next to it on the nearer side.
fn neighbours(place: usize, factor: usize, count: usize) -> (usize, usize) {
    let near = (place / factor).min(count - 1);
    match factor {
        2 if place.is_multiple_of(2) => (near, near.saturating_sub(1)),
        2 => (near, (near + 1).min(count - 1)),
        _ => (near, near),
    }
}
