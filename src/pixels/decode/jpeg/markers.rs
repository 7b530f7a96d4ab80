//! Marker segments (ISO 10918-1 Annex B).

use super::super::DecodeError;

/// The processes that are decoded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// SOF0 and SOF1.
    Sequential,
    /// SOF2.
    Progressive,
    /// SOF3.
    Lossless,
}

/// One component of the frame header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Component {
    /// C: how scans name it.
    pub id: u8,
    /// H: horizontal sampling factor.
    pub h: u8,
    /// V: vertical sampling factor.
    pub v: u8,
    /// Tq: its quantization table.
    pub table: u8,
}

/// What stands before the first scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The coding process.
    pub process: Process,
    /// P: bits a sample.
    pub precision: u8,
    /// Y.
    pub rows: u16,
    /// X.
    pub columns: u16,
    /// One to four.
    pub components: Vec<Component>,
    /// The transform byte of an Adobe APP14 segment.
    pub adobe_transform: Option<u8>,
    /// First byte of the SOI marker.
    pub start: usize,
}

/// One marker segment.
pub struct Segment<'a> {
    /// The second byte of the marker.
    pub marker: u8,
    /// The parameters without their length.
    pub body: &'a [u8],
    /// First byte after the segment.
    pub end: usize,
}

/// Finds the next marker segment from `at`, over fill bytes and over anything that is no marker.
///
/// # Errors
/// [`DecodeError::Truncated`].
pub fn next_segment(stream: &[u8], at: usize) -> Result<Segment<'_>, DecodeError> {
    let mut at = at;
    loop {
        let rest = stream.get(at..).ok_or(DecodeError::Truncated)?;
        let ff = memchr::memchr(0xFF, rest).ok_or(DecodeError::Truncated)?;
        let marker = *rest.get(ff + 1).ok_or(DecodeError::Truncated)?;
        at += ff + 1;
        match marker {
            0x00 => at += 1,
            0xFF => {}
            // SOI, EOI, RSTn and TEM stand alone.
            0x01 | 0xD0..=0xD9 => {
                return Ok(Segment {
                    marker,
                    body: &[],
                    end: at + 1,
                });
            }
            _ => {
                let length = match stream.get(at + 1..at + 3) {
                    Some(&[high, low]) => usize::from(u16::from_be_bytes([high, low])),
                    _ => return Err(DecodeError::Truncated),
                };
                if length < 2 {
                    return Err(DecodeError::Damaged("a marker segment without length".into()));
                }
                let body = stream.get(at + 3..at + 1 + length).ok_or(DecodeError::Truncated)?;
                return Ok(Segment {
                    marker,
                    body,
                    end: at + 1 + length,
                });
            }
        }
    }
}

/// Reads up to the frame header.
///
/// # Errors
/// [`DecodeError`] for a stream that is no JPEG, or of a process that is not decoded here.
pub fn read_head(stream: &[u8]) -> Result<Head, DecodeError> {
    let start = memchr::memmem::find(stream.get(..stream.len().min(64)).unwrap_or_default(), &[0xFF, 0xD8])
        .ok_or_else(|| DecodeError::Damaged("no start of image".into()))?;
    let mut at = start + 2;
    let mut adobe_transform = None;
    loop {
        let segment = next_segment(stream, at)?;
        at = segment.end;
        let process = match segment.marker {
            0xEE => {
                if let (Some(b"Adobe"), Some(&transform)) = (segment.body.get(..5), segment.body.get(11)) {
                    adobe_transform = Some(transform);
                }
                continue;
            }
            0xC0 | 0xC1 => Process::Sequential,
            0xC2 => Process::Progressive,
            0xC3 => Process::Lossless,
            0xC5..=0xC7 => return Err(DecodeError::Unsupported("hierarchical JPEG".into())),
            0xC9..=0xCB | 0xCD..=0xCF => return Err(DecodeError::Unsupported("JPEG with arithmetic coding".into())),
            0xD9 | 0xDA => return Err(DecodeError::Damaged("a scan before the frame header".into())),
            0xF7 => return Err(DecodeError::Damaged("a JPEG-LS stream".into())),
            _ => continue,
        };
        let (precision, rows, columns, count, rest) = match segment.body {
            [precision, y1, y0, x1, x0, count, rest @ ..] => (
                *precision,
                u16::from_be_bytes([*y1, *y0]),
                u16::from_be_bytes([*x1, *x0]),
                usize::from(*count),
                rest,
            ),
            _ => return Err(DecodeError::Truncated),
        };
        let components: Vec<Component> = rest
            .as_chunks::<3>()
            .0
            .iter()
            .take(count)
            .map(|&[id, sampling, table]| Component {
                id,
                h: sampling >> 4,
                v: sampling & 15,
                table,
            })
            .collect();
        let valid = match process {
            Process::Lossless => (2..=16).contains(&precision),
            _ => precision == 8 || precision == 12,
        };
        if !valid || count == 0 || count > 4 || components.len() != count || columns == 0 {
            return Err(DecodeError::Damaged("an unusable frame header".into()));
        }
        if components
            .iter()
            .any(|c| !(1..=4).contains(&c.h) || !(1..=4).contains(&c.v) || c.table > 3)
        {
            return Err(DecodeError::Damaged("an unusable component".into()));
        }
        // A height of zero is given after the first scan.
        let rows = if rows == 0 {
            defined_number_of_lines(stream, at)?
        } else {
            rows
        };
        return Ok(Head {
            process,
            precision,
            rows,
            columns,
            components,
            adobe_transform,
            start,
        });
    }
}

/// DNL (ISO 10918-1 §B.2.5).
fn defined_number_of_lines(stream: &[u8], from: usize) -> Result<u16, DecodeError> {
    let mut at = from;
    loop {
        let segment = next_segment(stream, at)?;
        if let (0xDC, &[high, low]) = (segment.marker, segment.body) {
            return Ok(u16::from_be_bytes([high, low]));
        }
        at = segment.end;
    }
}

/// One component of a scan header.
#[derive(Debug, Clone, Copy)]
pub struct ScanComponent {
    /// Place in [`Head::components`].
    pub index: usize,
    /// Td: the table of DC coefficients or differences, 0 to 3.
    pub dc: usize,
    /// Ta: the table of AC coefficients, 0 to 3.
    pub ac: usize,
}

/// A scan header (ISO 10918-1 §B.2.3).
pub struct Scan {
    /// The components in order.
    pub components: Vec<ScanComponent>,
    /// Ss: first coefficient, or the predictor.
    pub spectral_start: u8,
    /// Se.
    pub spectral_end: u8,
    /// Ah.
    pub high: u8,
    /// Al, or the point transform.
    pub low: u8,
}

/// Reads a scan header.
///
/// # Errors
/// [`DecodeError::Damaged`].
pub fn read_scan(body: &[u8], head: &Head) -> Result<Scan, DecodeError> {
    let damaged = || DecodeError::Damaged("an unusable scan header".into());
    let (&count, rest) = body.split_first().ok_or_else(damaged)?;
    let (selectors, rest) = rest.split_at_checked(usize::from(count) * 2).ok_or_else(damaged)?;
    let &[spectral_start, spectral_end, approximation, ..] = rest else {
        return Err(damaged());
    };
    let mut components: Vec<ScanComponent> = Vec::with_capacity(4);
    for &[id, tables] in selectors.as_chunks::<2>().0 {
        // Streams that name all components alike exist: take the next one that is not yet in the scan.
        let index = head
            .components
            .iter()
            .enumerate()
            .position(|(index, component)| component.id == id && components.iter().all(|scan| scan.index != index))
            .ok_or_else(damaged)?;
        components.push(ScanComponent {
            index,
            dc: usize::from(tables >> 4 & 3),
            ac: usize::from(tables & 3),
        });
    }
    if components.is_empty() || components.len() > 4 {
        return Err(damaged());
    }
    Ok(Scan {
        components,
        spectral_start,
        spectral_end,
        high: approximation >> 4,
        low: approximation & 15,
    })
}
