//! Marker segments of JPEG-LS (ISO 14495-1 Annex C).

use super::super::DecodeError;
use super::super::jpeg::next_segment;
use super::bit_reader::BitReader;
use super::context::{Presets, Thresholds};
use super::scan::{Interleave, ScanPlan, decode_scan};
use crate::pixel_description::PixelDescription;

/// The frame header.
pub struct Head {
    /// P.
    pub precision: u8,
    /// Y.
    pub rows: usize,
    /// X.
    pub columns: usize,
    /// C of each component.
    pub components: Vec<u8>,
}

/// Decodes all scans into interleaved cells.
///
/// # Errors
/// [`DecodeError`].
pub fn decode_stream(stream: &[u8], description: &PixelDescription) -> Result<(Head, Vec<u16>), DecodeError> {
    let mut at = memchr::memmem::find(stream.get(..stream.len().min(64)).unwrap_or_default(), &[0xFF, 0xD8])
        .ok_or_else(|| DecodeError::Damaged("no start of image".into()))?
        + 2;
    let mut head: Option<Head> = None;
    let mut cells = Vec::new();
    let (mut presets, mut restart_interval, mut decoded) = (Presets::default(), 0usize, 0usize);
    loop {
        let segment = next_segment(stream, at)?;
        at = segment.end;
        match (segment.marker, head.as_ref()) {
            (0xF7, None) => {
                let read = read_head(segment.body, description)?;
                cells = vec![0u16; read.rows * read.columns * read.components.len()];
                head = Some(read);
            }
            (0xF8, _) => presets = read_presets(segment.body, presets)?,
            (0xDD, _) => {
                restart_interval = segment
                    .body
                    .iter()
                    .take(4)
                    .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
            }
            (0xDA, Some(head)) => {
                let plan = read_scan(segment.body, head, presets, restart_interval)?;
                let mut bits = BitReader::new(stream, at);
                decode_scan(&mut bits, &plan, head, &mut cells)?;
                decoded += plan.components.len();
                at = bits.position();
                if decoded >= head.components.len() {
                    break;
                }
            }
            (0xD9, _) => return Err(DecodeError::Truncated),
            (0xDA, None) | (0xC0..=0xC3, _) => return Err(DecodeError::Damaged("not a JPEG-LS stream".into())),
            _ => {}
        }
    }
    head.map(|head| (head, cells)).ok_or(DecodeError::Truncated)
}

fn read_head(body: &[u8], description: &PixelDescription) -> Result<Head, DecodeError> {
    let (precision, rows, columns, count, rest) = match body {
        [precision, y1, y0, x1, x0, count, rest @ ..] => (
            *precision,
            u16::from_be_bytes([*y1, *y0]),
            u16::from_be_bytes([*x1, *x0]),
            *count,
            rest,
        ),
        _ => return Err(DecodeError::Truncated),
    };
    let components: Vec<u8> = rest
        .as_chunks::<3>()
        .0
        .iter()
        .take(usize::from(count))
        .map(|&[id, _, _]| id)
        .collect();
    let sampled = rest
        .as_chunks::<3>()
        .0
        .iter()
        .take(usize::from(count))
        .all(|&[_, sampling, _]| sampling == 0x11);
    if !(2..=16).contains(&precision) || components.len() != usize::from(count) {
        return Err(DecodeError::Damaged("an unusable frame header".into()));
    }
    if !sampled && count > 1 {
        return Err(DecodeError::Unsupported("JPEG-LS with subsampled components".into()));
    }
    if (u32::from(columns), u32::from(rows), u32::from(count))
        != (description.columns, description.rows, description.samples_per_pixel)
    {
        return Err(DecodeError::Damaged(format!(
            "a stream of {columns} x {rows} x {count} for {} columns and {} rows",
            description.columns, description.rows
        )));
    }
    Ok(Head {
        precision,
        rows: usize::from(rows),
        columns: usize::from(columns),
        components,
    })
}

fn read_presets(body: &[u8], presets: Presets) -> Result<Presets, DecodeError> {
    match body {
        [1, rest @ ..] => match rest.as_chunks::<2>().0 {
            [maximum, t1, t2, t3, reset, ..] => Ok(Presets {
                maximum: u16::from_be_bytes(*maximum),
                thresholds: [t1, t2, t3].map(|threshold| u16::from_be_bytes(*threshold)),
                reset: u16::from_be_bytes(*reset),
            }),
            _ => Err(DecodeError::Truncated),
        },
        [2 | 3, ..] => Err(DecodeError::Unsupported("JPEG-LS with mapping tables".into())),
        _ => Ok(presets),
    }
}

fn read_scan(body: &[u8], head: &Head, presets: Presets, restart_interval: usize) -> Result<ScanPlan, DecodeError> {
    let damaged = || DecodeError::Damaged("an unusable scan header".into());
    let (&count, rest) = body.split_first().ok_or_else(damaged)?;
    let (selectors, rest) = rest.split_at_checked(usize::from(count) * 2).ok_or_else(damaged)?;
    let &[near, interleave, transform, ..] = rest else {
        return Err(damaged());
    };
    let mut components: Vec<usize> = Vec::with_capacity(4);
    for &[id, table] in selectors.as_chunks::<2>().0 {
        if table != 0 {
            return Err(DecodeError::Unsupported("JPEG-LS with mapping tables".into()));
        }
        let index = (0..head.components.len())
            .find(|index| head.components.get(*index) == Some(&id) && !components.contains(index))
            .ok_or_else(damaged)?;
        components.push(index);
    }
    let interleave = match (interleave, components.len()) {
        (_, 0) => return Err(damaged()),
        (_, 1) => Interleave::None,
        (1, _) => Interleave::Line,
        (2, _) => Interleave::Sample,
        _ => return Err(damaged()),
    };
    let shift = u32::from(transform & 15);
    if shift >= u32::from(head.precision) {
        return Err(damaged());
    }
    Ok(ScanPlan {
        components,
        interleave,
        shift,
        parameters: Thresholds::new(head.precision, near, presets)?,
        restart_interval,
    })
}
