//! The grayscale pipeline (PS3.4 §N.2.1): modality → values of interest → presentation, as one table where samples have at
//! most 16 bits.

use super::lut::Lut;
use filmroom_pixels::decode::{Frame, Samples, mask};

/// Modality transformation (PS3.3 C.11.1).
#[derive(Debug, Clone, PartialEq)]
pub enum Modality {
    /// (0028,1053) and (0028,1052); 1 and 0 where there is none.
    Rescale {
        /// (0028,1053).
        slope: f64,
        /// (0028,1052).
        intercept: f64,
    },
    /// (0028,3000).
    Table(Lut),
}

impl Modality {
    /// No transformation.
    pub const IDENTITY: Self = Self::Rescale {
        slope: 1.0,
        intercept: 0.0,
    };

    /// Applies it.
    #[inline]
    #[must_use]
    pub fn apply(&self, stored: f64) -> f64 {
        match self {
            Self::Rescale { slope, intercept } => stored * slope + intercept,
            Self::Table(lut) => f64::from(lut.get(stored)),
        }
    }
}

/// (0028,1056), and the third value of the `window` parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// PS3.3 C.11.2.1.2.1.
    Linear,
    /// PS3.3 C.11.2.1.3.2.
    LinearExact,
    /// PS3.3 C.11.2.1.3.1.
    Sigmoid,
}

/// A window over modality values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// (0028,1050).
    pub center: f64,
    /// (0028,1051); at least 1 for a linear window, above 0 for the others.
    pub width: f64,
    /// How it maps.
    pub function: Function,
}

impl Window {
    /// 0 to 1.
    #[must_use]
    pub fn apply(&self, value: f64) -> f64 {
        let Self {
            center,
            width,
            function,
        } = *self;
        match function {
            Function::Linear if width <= 1.0 => f64::from(u8::from(value > center - 0.5)),
            Function::Linear => ((value - (center - 0.5)) / (width - 1.0) + 0.5).clamp(0.0, 1.0),
            Function::LinearExact => ((value - center) / width + 0.5).clamp(0.0, 1.0),
            Function::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - center) / width).exp()),
        }
    }

    /// True when the width is one that the function is defined for.
    #[must_use]
    pub fn is_defined(&self) -> bool {
        let least = if self.function == Function::Linear {
            self.width >= 1.0
        } else {
            self.width > 0.0
        };
        least && self.center.is_finite() && self.width.is_finite()
    }
}

/// Values of interest (PS3.3 C.11.2).
#[derive(Debug, Clone, PartialEq)]
pub enum Voi {
    /// A window.
    Window(Window),
    /// (0028,3010).
    Table(Lut),
    /// From so much, black, to so much, white.
    Range(f64, f64),
    /// The least and the greatest value of the frame.
    MinMax,
}

/// Which polarity the picture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polarity {
    /// Least value black.
    Normal,
    /// Least value white: MONOCHROME1, or Presentation LUT Shape INVERSE.
    Inverse,
}

/// All that a grey frame goes through.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// First.
    pub modality: Modality,
    /// Second.
    pub voi: Voi,
    /// A Presentation LUT (2050,0010) over the whole range of the second.
    pub presentation: Option<Lut>,
    /// Last.
    pub polarity: Polarity,
    /// Stored values that are padding (0028,0120), (0028,0121), and do not count as least or greatest.
    pub padding: Option<(f64, f64)>,
}

impl Pipeline {
    /// Maps a frame of one sample a pixel to 8-bit grey, rows × columns, 0 black.
    #[must_use]
    pub fn apply(&self, frame: &Frame) -> Vec<u8> {
        let voi = match self.voi {
            Voi::MinMax => self.min_max(frame),
            ref other => other.clone(),
        };
        let grey = |stored: f64| self.grey(&voi, stored);
        match &frame.samples {
            Samples::U8(cells) => {
                let mut table = [0u8; 256];
                for (cell, entry) in (0u32..).zip(&mut table) {
                    *entry = grey(frame.interpret(cell));
                }
                // A cell is an index of the table by its type.
                #[expect(clippy::indexing_slicing, reason = "256 entries for the 256 values of a byte")]
                cells.iter().map(|&cell| table[usize::from(cell)]).collect()
            }
            Samples::U16Le(cells) => {
                let table = self.table(frame, &voi);
                #[expect(clippy::indexing_slicing, reason = "65536 entries for the 65536 values of a word")]
                cells
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|&cell| table[usize::from(u16::from_le_bytes(cell))])
                    .collect()
            }
            Samples::U16(cells) => {
                let table = self.table(frame, &voi);
                #[expect(clippy::indexing_slicing, reason = "65536 entries for the 65536 values of a word")]
                cells.iter().map(|&cell| table[usize::from(cell)]).collect()
            }
            _ => (0..frame.samples.len()).map(|index| grey(frame.value(index))).collect(),
        }
    }

    /// The grey of every 16-bit cell.
    fn table(&self, frame: &Frame, voi: &Voi) -> Box<[u8; 65_536]> {
        let mut table: Box<[u8; 65_536]> = vec![0u8; 65_536]
            .into_boxed_slice()
            .try_into()
            .unwrap_or_else(|_| Box::new([0; 65_536]));
        if frame.low_bit == 0 && frame.bits_stored <= 16 {
            // Bits above the sample mean nothing: the entries of the sample alone repeat.
            let distinct = 1usize << frame.bits_stored;
            let (first, rest) = table.split_at_mut(distinct);
            let (positive, negative) = first.split_at_mut(if frame.signed { distinct / 2 } else { distinct });
            self.fill(positive, 0.0, voi);
            self.fill(negative, -(negative.len() as f64), voi);
            for copy in rest.chunks_exact_mut(distinct) {
                copy.copy_from_slice(first);
            }
        } else {
            for (cell, entry) in (0u32..).zip(table.iter_mut()) {
                *entry = self.grey(voi, frame.interpret(cell));
            }
        }
        table
    }

    /// The greys of consecutive stored values from `first` on. Below and above a linear window nothing changes any more, and
    /// nothing is worked out.
    fn fill(&self, entries: &mut [u8], first: f64, voi: &Voi) {
        let count = entries.len();
        let (from, to) = match self.ramp(voi) {
            Some((low, high)) => {
                let from = ((low - first).floor() as usize).min(count);
                (
                    from,
                    ((high - first).ceil() as usize).saturating_add(1).clamp(from, count),
                )
            }
            None => (0, count),
        };
        let (below, rest) = entries.split_at_mut(from);
        let (within, above) = rest.split_at_mut(to - from);
        below.fill(self.grey(voi, first));
        for (index, entry) in within.iter_mut().enumerate() {
            *entry = self.grey(voi, first + (from + index) as f64);
        }
        above.fill(self.grey(voi, first + count.saturating_sub(1) as f64));
    }

    /// The stored values between which greys change, with a little more on both sides; `None` where that is not known.
    fn ramp(&self, voi: &Voi) -> Option<(f64, f64)> {
        let (low, high) = match voi {
            Voi::Window(window) if window.function != Function::Sigmoid => (
                window.center - window.width / 2.0 - 1.0,
                window.center + window.width / 2.0 + 1.0,
            ),
            Voi::Range(low, high) => (*low, *high),
            _ => return None,
        };
        let Modality::Rescale { slope, intercept } = self.modality else {
            return None;
        };
        let (a, b) = ((low - intercept) / slope, (high - intercept) / slope);
        (a.is_finite() && b.is_finite()).then(|| (a.min(b) - 1.0, a.max(b) + 1.0))
    }

    #[inline(always)]
    fn grey(&self, voi: &Voi, stored: f64) -> u8 {
        let value = self.modality.apply(stored);
        let mut level = match voi {
            Voi::Window(window) => window.apply(value),
            Voi::Table(lut) => f64::from(lut.get(value)) / lut.most(),
            Voi::Range(least, most) if most > least => ((value - least) / (most - least)).clamp(0.0, 1.0),
            _ => 0.0,
        };
        if let Some(lut) = &self.presentation {
            level = f64::from(lut.get(f64::from(lut.first) + level * (lut.entries.len() - 1) as f64)) / lut.most();
        }
        if self.polarity == Polarity::Inverse {
            level = 1.0 - level;
        }
        (level.clamp(0.0, 1.0) * 255.0).round() as u8
    }

    /// The range of the modality values of a frame, padding left out.
    fn min_max(&self, frame: &Frame) -> Voi {
        let stored = match (&frame.samples, self.padding) {
            (Samples::U16Le(cells), None) if frame.low_bit == 0 => integer_range(
                cells.as_chunks::<2>().0.iter().map(|&cell| u16::from_le_bytes(cell)),
                frame,
            ),
            (Samples::U16(cells), None) if frame.low_bit == 0 => integer_range(cells.iter().copied(), frame),
            (_, padding) => (0..frame.samples.len())
                .map(|index| frame.value(index))
                .filter(|value| value.is_finite() && padding.is_none_or(|(from, to)| *value < from || *value > to))
                .fold(None, |range: Option<(f64, f64)>, value| match range {
                    Some((least, most)) => Some((least.min(value), most.max(value))),
                    None => Some((value, value)),
                }),
        };
        let Some((least, most)) = stored else {
            return Voi::Range(0.0, 0.0);
        };
        match &self.modality {
            Modality::Rescale { .. } => {
                let (a, b) = (self.modality.apply(least), self.modality.apply(most));
                Voi::Range(a.min(b), a.max(b))
            }
            // A table need not rise: every value between counts.
            Modality::Table(_) => {
                let mut range = (f64::INFINITY, f64::NEG_INFINITY);
                for value in (least as i64)..=(most as i64).min(least as i64 + 65_535) {
                    let value = self.modality.apply(value as f64);
                    range = (range.0.min(value), range.1.max(value));
                }
                Voi::Range(range.0, range.1)
            }
        }
    }
}

/// Least and greatest of 16-bit cells, without a branch a sample.
fn integer_range(cells: impl Iterator<Item = u16>, frame: &Frame) -> Option<(f64, f64)> {
    let cut = mask(frame.bits_stored.min(16)) as u16;
    // Flipping the sign bit makes two's complement sort like unsigned numbers.
    let flip = if frame.signed {
        1u16 << (frame.bits_stored.clamp(1, 16) - 1)
    } else {
        0
    };
    let (mut least, mut most) = (u16::MAX, 0u16);
    for cell in cells {
        let value = (cell & cut) ^ flip;
        least = least.min(value);
        most = most.max(value);
    }
    (least <= most).then(|| (f64::from(least) - f64::from(flip), f64::from(most) - f64::from(flip)))
}

#[cfg(test)]
mod tests;
