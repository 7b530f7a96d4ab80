//! The part of an image that a presentation state shows, and how it lies (PS3.3 C.10.4, C.10.6).

use super::references::Target;
use crate::picture::{Channels, Picture, Placement, Viewport};
use filmroom_pixels::elements::Elements;

/// Longest side of a picture whose size the presentation state decides.
const SIDE_MAX: f64 = 8192.0;

/// Turning, clockwise (0070,0042).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    None,
    Quarter,
    Half,
    ThreeQuarters,
}

/// A part of an image and how it is laid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// First column of the image, from 0; outside it where the area is larger.
    left: i64,
    top: i64,
    columns: usize,
    rows: usize,
    turn: Turn,
    flipped: bool,
    /// Height of a pixel of the image over its width.
    aspect: f64,
    /// (0070,0103).
    magnification: Option<f64>,
}

impl Area {
    /// Reads the displayed area and the spatial transformation for a frame of so many columns and rows. `aspect`: of the
    /// image, where the state says nothing. `None` for an area that is so much larger than the image that it shows nothing.
    #[must_use]
    pub fn read(state: &Elements<'_>, target: &Target<'_>, (columns, rows): (u32, u32), aspect: f64) -> Option<Self> {
        let mut area = Self {
            left: 0,
            top: 0,
            columns: columns as usize,
            rows: rows as usize,
            turn: match state.unsigned(0x0070_0042) {
                Some(90) => Turn::Quarter,
                Some(180) => Turn::Half,
                Some(270) => Turn::ThreeQuarters,
                _ => Turn::None,
            },
            flipped: state.text(0x0070_0041) == "Y",
            aspect,
            magnification: None,
        };
        let Some(item) = target.item(state, 0x0070_005A) else {
            return Some(area);
        };
        let corner = |tag: u32| {
            let cells = item.value(tag).unwrap_or_default().as_chunks::<4>().0;
            match cells {
                [column, row, ..] => Some((
                    i64::from(i32::from_le_bytes(*column)),
                    i64::from(i32::from_le_bytes(*row)),
                )),
                _ => None,
            }
        };
        // The corners are named as they lie when all is turned, in pixels of the image as it is.
        if let (Some((x0, y0)), Some((x1, y1))) = (corner(0x0070_0052), corner(0x0070_0053)) {
            let (width, height) = (x0.abs_diff(x1) + 1, y0.abs_diff(y1) + 1);
            let (most_x, most_y) = (u64::from(columns) * 8 + 4096, u64::from(rows) * 8 + 4096);
            if width > most_x
                || height > most_y
                || width * height > (u64::from(columns) * u64::from(rows) * 8).max(1 << 24)
            {
                return None;
            }
            (area.left, area.top) = (x0.min(x1) - 1, y0.min(y1) - 1);
            (area.columns, area.rows) = (width as usize, height as usize);
        }
        let ratio = |tag: u32| match item.decimals(tag).as_slice() {
            [down, across, ..] if *down > 0.0 && *across > 0.0 => Some(down / across),
            _ => None,
        };
        if let Some(ratio) = ratio(0x0070_0101)
            .or_else(|| ratio(0x0070_0102))
            .filter(|ratio| (0.05..20.0).contains(ratio))
        {
            area.aspect = ratio;
        }
        if item.text(0x0070_0100) == "MAGNIFY" {
            area.magnification = item.decimal(0x0070_0103).filter(|ratio| (0.01..=100.0).contains(ratio));
        }
        Some(area)
    }

    /// Bytes of a colour picture of the area.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns * self.rows * 3
    }

    /// Columns and rows when turned.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        match self.turn {
            Turn::None | Turn::Half => (self.columns, self.rows),
            Turn::Quarter | Turn::ThreeQuarters => (self.rows, self.columns),
        }
    }

    /// Where it comes to lie: in the viewport, or as large as the state or its own pixels say. `None` for a region that has
    /// no pixel of it.
    #[must_use]
    pub fn place(&self, viewport: Option<&Viewport>, enlarge: crate::picture::Enlarge) -> Option<Placement> {
        let aspect = match self.turn {
            Turn::None | Turn::Half => self.aspect,
            Turn::Quarter | Turn::ThreeQuarters => 1.0 / self.aspect,
        };
        let size = self.size();
        match viewport {
            Some(viewport) => viewport.place(size, aspect, enlarge),
            None => {
                let wide = (size.0 as f64 * (1.0 / aspect).max(1.0), size.1 as f64 * aspect.max(1.0));
                let scale = self
                    .magnification
                    .unwrap_or(1.0)
                    .min(SIDE_MAX.max(wide.0.max(wide.1)) / wide.0.max(wide.1));
                let side = |extent: f64| (extent * scale).round().clamp(1.0, 65_535.0) as u32;
                Viewport {
                    width: side(wide.0),
                    height: side(wide.1),
                    source: None,
                }
                .place(size, aspect, crate::picture::Enlarge::Yes)
            }
        }
    }

    /// The area of a picture of the whole image, turned. What lies outside the image is black.
    #[must_use]
    pub fn cut(&self, picture: &Picture) -> Picture {
        let (width, height) = self.size();
        let bytes = picture.channels.count();
        let mut data = vec![0u8; width * height * bytes];
        for (row, line) in data.chunks_exact_mut(width * bytes).enumerate() {
            match picture.channels {
                Channels::Grey => {
                    for (column, pixel) in line.iter_mut().enumerate() {
                        if let Some(value) = self.source(picture, column, row).and_then(|at| picture.data.get(at)) {
                            *pixel = *value;
                        }
                    }
                }
                Channels::Rgb => {
                    for (column, pixel) in line.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                        if let Some(colour) = self
                            .source(picture, column, row)
                            .and_then(|at| picture.data.get(at * 3..)?.first_chunk::<3>())
                        {
                            *pixel = *colour;
                        }
                    }
                }
            }
        }
        Picture {
            width,
            height,
            channels: picture.channels,
            data,
        }
    }

    /// The pixel of the image that lies at a place of the turned area.
    fn source(&self, picture: &Picture, column: usize, row: usize) -> Option<usize> {
        let column = if self.flipped {
            self.size().0 - 1 - column
        } else {
            column
        };
        let (x, y) = match self.turn {
            Turn::None => (column, row),
            Turn::Quarter => (row, self.rows - 1 - column),
            Turn::Half => (self.columns - 1 - column, self.rows - 1 - row),
            Turn::ThreeQuarters => (self.columns - 1 - row, column),
        };
        let x = usize::try_from(x as i64 + self.left)
            .ok()
            .filter(|x| *x < picture.width)?;
        let y = usize::try_from(y as i64 + self.top)
            .ok()
            .filter(|y| *y < picture.height)?;
        Some(y * picture.width + x)
    }

    /// Where a point of the image, in pixels from its upper left corner, lies in the turned area.
    #[must_use]
    pub fn turned(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (x, y) = (x - self.left as f64, y - self.top as f64);
        let (columns, rows) = (self.columns as f64, self.rows as f64);
        let (x, y) = match self.turn {
            Turn::None => (x, y),
            Turn::Quarter => (rows - y, x),
            Turn::Half => (columns - x, rows - y),
            Turn::ThreeQuarters => (y, columns - x),
        };
        (if self.flipped { self.size().0 as f64 - x } else { x }, y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1 2 3
    /// 4 5 6
    fn picture() -> Picture {
        Picture {
            width: 3,
            height: 2,
            channels: Channels::Grey,
            data: vec![1, 2, 3, 4, 5, 6],
        }
    }

    #[track_caller]
    fn check(turn: Turn, flipped: bool, expected: [[u8; 2]; 3]) {
        let area = Area {
            left: 0,
            top: 0,
            columns: 3,
            rows: 2,
            turn,
            flipped,
            aspect: 1.0,
            magnification: None,
        };
        let cut = area.cut(&picture());
        assert_eq!(cut.data, expected.as_flattened(), "{turn:?} {flipped}");
        // The middle of every pixel goes where the pixel goes.
        for (index, value) in picture().data.iter().enumerate() {
            let (x, y) = area.turned(((index % 3) as f64 + 0.5, (index / 3) as f64 + 0.5));
            assert_eq!(cut.data[y as usize * cut.width + x as usize], *value);
        }
    }

    #[test]
    fn turns_clockwise_and_then_flips() {
        check(Turn::None, false, [[1, 2], [3, 4], [5, 6]]);
        check(Turn::None, true, [[3, 2], [1, 6], [5, 4]]);
        check(Turn::Quarter, false, [[4, 1], [5, 2], [6, 3]]);
        check(Turn::Quarter, true, [[1, 4], [2, 5], [3, 6]]);
        check(Turn::Half, false, [[6, 5], [4, 3], [2, 1]]);
        check(Turn::ThreeQuarters, false, [[3, 6], [2, 5], [1, 4]]);
        check(Turn::ThreeQuarters, true, [[6, 3], [5, 2], [4, 1]]);
    }

    #[test]
    fn what_lies_beside_the_image_is_black() {
        let area = Area {
            left: 2,
            top: -1,
            columns: 2,
            rows: 2,
            turn: Turn::None,
            flipped: false,
            aspect: 1.0,
            magnification: None,
        };
        assert_eq!(area.cut(&picture()).data, [0, 0, 3, 0]);
    }
}
