//! A picture of 8 bits a channel, and its way into a viewport (PS3.18 §8.3.5.1.3).

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};

/// Channels of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channels {
    /// One byte a pixel, 0 black.
    Grey,
    /// Three bytes a pixel.
    Rgb,
}

impl Channels {
    /// Bytes a pixel.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// A picture: rows top to bottom, pixels left to right, without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Grey or RGB.
    pub channels: Channels,
    /// width × height × channels bytes.
    pub data: Vec<u8>,
}

/// What part of a picture is wanted, and how large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Viewport {
    /// Width of the box that the result fills in one direction.
    pub width: u32,
    /// Height of it.
    pub height: u32,
    /// The part of the picture; all of it when `None`.
    pub source: Option<Source>,
}

/// A region of a picture in its pixels. Negative extents flip (PS3.18 §8.3.5.1.3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Source {
    /// Left edge.
    pub x: f64,
    /// Top edge.
    pub y: f64,
    /// Width; `None` to the right edge.
    pub width: Option<f64>,
    /// Height; `None` to the bottom.
    pub height: Option<f64>,
}

/// What part of a picture is shown, and how large.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Left edge of the region, in pixels of the picture in full.
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    /// Width and height of the picture in full.
    full: (f64, f64),
    /// Width of the result.
    columns: u32,
    rows: u32,
    flip_x: bool,
    flip_y: bool,
}

impl Viewport {
    /// The part and size that a viewport wants. `full`: width and height that the picture stands for, which are more than its
    /// own where it was decoded smaller; `aspect`: the height of a pixel over its width. `None` for a region that has no
    /// pixel of the picture.
    #[must_use]
    pub fn place(&self, full: (usize, usize), aspect: f64, enlarge: Enlarge) -> Option<Placement> {
        let (width, height) = (full.0 as f64, full.1 as f64);
        let (mut left, mut top, mut right, mut bottom) = (0.0, 0.0, width, height);
        let (mut flip_x, mut flip_y) = (false, false);
        if let Some(source) = self.source {
            let (extent_x, extent_y) = (
                source.width.unwrap_or(width - source.x),
                source.height.unwrap_or(height - source.y),
            );
            (flip_x, flip_y) = (extent_x < 0.0, extent_y < 0.0);
            (left, top) = (source.x.max(0.0), source.y.max(0.0));
            (right, bottom) = (
                (source.x + extent_x.abs()).min(width),
                (source.y + extent_y.abs()).min(height),
            );
            if right - left < 1.0 || bottom - top < 1.0 {
                return None;
            }
        }
        let (region_width, region_height) = (right - left, bottom - top);
        let scale = (f64::from(self.width) / region_width).min(f64::from(self.height) / (region_height * aspect));
        let scale = if enlarge == Enlarge::No {
            scale.min(1.0).min(1.0 / aspect.max(1.0))
        } else {
            scale
        };
        let side = |extent: f64, most: u32| (extent.round() as u32).clamp(1, most.max(1));
        Some(Placement {
            left,
            top,
            width: region_width,
            height: region_height,
            full: (width, height),
            columns: side(region_width * scale, self.width),
            rows: side(region_height * aspect * scale, self.height),
            flip_x,
            flip_y,
        })
    }
}

impl Placement {
    /// Bytes of a colour picture that is placed.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.columns as usize * self.rows as usize * 3
    }

    /// Where a point of the picture in full comes to lie.
    #[must_use]
    pub fn map(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (columns, rows) = (f64::from(self.columns), f64::from(self.rows));
        let (x, y) = (
            (x - self.left) * columns / self.width,
            (y - self.top) * rows / self.height,
        );
        (
            if self.flip_x { columns - x } else { x },
            if self.flip_y { rows - y } else { y },
        )
    }
}

/// Whether small pictures are enlarged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enlarge {
    /// To fill the viewport.
    Yes,
    /// Never.
    No,
}

impl Picture {
    /// Paints one pixel; a grey picture takes the green. Outside the picture nothing happens.
    pub fn set(&mut self, x: usize, y: usize, colour: [u8; 3]) {
        if x >= self.width || y >= self.height {
            return;
        }
        let place = y * self.width + x;
        match self.channels {
            Channels::Grey => {
                if let Some(pixel) = self.data.get_mut(place) {
                    *pixel = colour[1];
                }
            }
            Channels::Rgb => {
                if let Some(pixel) = self.data.get_mut(place * 3..place * 3 + 3) {
                    pixel.copy_from_slice(&colour);
                }
            }
        }
    }

    /// Turns a grey picture into RGB.
    #[must_use]
    pub fn into_rgb(self) -> Self {
        match self.channels {
            Channels::Rgb => self,
            Channels::Grey => Self {
                data: self.data.iter().flat_map(|&grey| [grey; 3]).collect(),
                channels: Channels::Rgb,
                ..self
            },
        }
    }

    /// The part and size that a viewport wants; see [`Viewport::place`].
    #[must_use]
    pub fn fit(self, viewport: &Viewport, full: (usize, usize), aspect: f64, enlarge: Enlarge) -> Option<Self> {
        self.placed(&viewport.place(full, aspect, enlarge)?)
    }

    /// Cuts out, scales and flips.
    #[must_use]
    pub fn placed(self, placement: &Placement) -> Option<Self> {
        let Placement {
            left,
            top,
            width: region_width,
            height: region_height,
            full: (width, height),
            columns,
            rows,
            flip_x,
            flip_y,
        } = *placement;
        let whole = left == 0.0 && top == 0.0 && region_width == width && region_height == height;
        let mut picture = if whole && (columns as usize, rows as usize) == (self.width, self.height) {
            self
        } else {
            let (x, y) = (self.width as f64 / width, self.height as f64 / height);
            self.resample((left * x, top * y, region_width * x, region_height * y), columns, rows)?
        };
        if flip_x {
            let channels = picture.channels.count();
            for row in picture.data.chunks_exact_mut(picture.width * channels) {
                match picture.channels {
                    Channels::Grey => row.reverse(),
                    Channels::Rgb => row.as_chunks_mut::<3>().0.reverse(),
                }
            }
        }
        if flip_y {
            let stride = picture.width * picture.channels.count();
            picture.data = picture.data.chunks_exact(stride).rev().flatten().copied().collect();
        }
        Some(picture)
    }

    fn resample(
        &self,
        (left, top, width, height): (f64, f64, f64, f64),
        to_width: u32,
        to_height: u32,
    ) -> Option<Self> {
        let kind = match self.channels {
            Channels::Grey => PixelType::U8,
            Channels::Rgb => PixelType::U8x3,
        };
        let source = ImageRef::new(self.width as u32, self.height as u32, &self.data, kind).ok()?;
        let mut target = Image::new(to_width, to_height, kind);
        let shrinks = f64::from(to_width) < width || f64::from(to_height) < height;
        let filter = if shrinks {
            FilterType::Hamming
        } else {
            FilterType::Bilinear
        };
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(filter))
            .crop(left, top, width, height)
            .use_alpha(false);
        Resizer::new().resize(&source, &mut target, &options).ok()?;
        Some(Self {
            width: to_width as usize,
            height: to_height as usize,
            channels: self.channels,
            data: target.into_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Picture {
        Picture {
            width: 4,
            height: 2,
            channels: Channels::Grey,
            data: vec![1, 2, 3, 4, 5, 6, 7, 8],
        }
    }

    #[track_caller]
    fn check(source: Option<Source>, (width, height): (u32, u32), aspect: f64, expected: (usize, usize)) -> Picture {
        let fitted = picture()
            .fit(&Viewport { width, height, source }, (4, 2), aspect, Enlarge::Yes)
            .unwrap();
        assert_eq!((fitted.width, fitted.height), expected);
        fitted
    }

    #[test]
    fn fills_the_viewport_and_keeps_the_aspect() {
        check(None, (8, 8), 1.0, (8, 4));
        check(None, (8, 2), 1.0, (4, 2));
        check(None, (8, 8), 2.0, (8, 8));
    }

    #[test]
    fn crops_and_flips() {
        let source = |x, width, height| {
            Some(Source {
                x,
                y: 0.0,
                width: Some(width),
                height: Some(height),
            })
        };
        assert_eq!(check(source(1.0, 2.0, 2.0), (2, 2), 1.0, (2, 2)).data, [2, 3, 6, 7]);
        assert_eq!(check(source(1.0, -2.0, 2.0), (2, 2), 1.0, (2, 2)).data, [3, 2, 7, 6]);
        assert_eq!(check(source(1.0, 2.0, -2.0), (2, 2), 1.0, (2, 2)).data, [6, 7, 2, 3]);
        assert_eq!(
            picture().fit(
                &Viewport {
                    width: 2,
                    height: 2,
                    source: source(9.0, 2.0, 2.0)
                },
                (4, 2),
                1.0,
                Enlarge::Yes
            ),
            None
        );
    }

    #[test]
    fn thumbnails_are_never_enlarged() {
        let fitted = picture()
            .fit(
                &Viewport {
                    width: 100,
                    height: 100,
                    source: None,
                },
                (4, 2),
                1.0,
                Enlarge::No,
            )
            .unwrap();
        assert_eq!(fitted, picture());
    }
}
