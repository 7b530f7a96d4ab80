//! Drawing on pictures: text, lines, boxes.

use super::font;
use super::picture::{Channels, Picture};

/// A colour.
pub type Colour = [u8; 3];

impl Picture {
    /// An RGB picture of one colour.
    #[must_use]
    pub fn blank(width: usize, height: usize, colour: Colour) -> Self {
        Self {
            width,
            height,
            channels: Channels::Rgb,
            data: colour.repeat(width * height),
        }
    }

    /// Fills a box; what lies outside the picture is left out.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: Colour) {
        for row in y..(y + height).min(self.height) {
            for column in x..(x + width).min(self.width) {
                self.set(column, row, colour);
            }
        }
    }

    /// Draws a line of one dot's width.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: Colour) {
        let steps = (to.0 - from.0)
            .abs()
            .max((to.1 - from.1).abs())
            .ceil()
            .clamp(1.0, 20_000.0);
        for step in 0..=steps as usize {
            let along = step as f64 / steps;
            let (x, y) = (from.0 + (to.0 - from.0) * along, from.1 + (to.1 - from.1) * along);
            if x >= 0.0 && y >= 0.0 {
                self.set(x as usize, y as usize, colour);
            }
        }
    }

    /// Writes one line of text in letters whose dots are `size` pixels wide; what does not fit is cut off. `shade` is
    /// drawn one dot to the lower right first, so that text can be read on any ground.
    pub fn text(&mut self, x: usize, y: usize, size: usize, text: &str, colour: Colour, shade: Option<Colour>) {
        let size = size.max(1);
        if let Some(shade) = shade {
            self.letters(x + size, y + size, size, text, shade);
        }
        self.letters(x, y, size, text, colour);
    }

    fn letters(&mut self, x: usize, y: usize, size: usize, text: &str, colour: Colour) {
        let mut left = x;
        for letter in font::plain(text).chars() {
            if left >= self.width {
                break;
            }
            for (column, dots) in font::letter(letter).into_iter().enumerate() {
                for row in 0..font::HEIGHT {
                    if dots >> row & 1 == 1 {
                        self.fill(left + column * size, y + row * size, size, size, colour);
                    }
                }
            }
            left += (font::WIDTH + 1) * size;
        }
    }

    /// A triangle with an exclamation mark in the upper right corner: the picture may show who the patient is.
    pub fn badge(self) -> Self {
        let mut picture = self.into_rgb();
        let side = (picture.width.min(picture.height) / 6)
            .clamp(10, 64)
            .min(picture.width)
            .min(picture.height);
        let left = picture.width - side;
        for row in 0..side {
            let half = row * side / 2 / side.max(1);
            let centre = left + side / 2;
            picture.fill(centre.saturating_sub(half), row, half * 2 + 1, 1, [255, 176, 0]);
        }
        let mark = (side / 10).max(1);
        let centre = left + side / 2 - mark / 2;
        picture.fill(centre, side * 2 / 5, mark, side / 3, [0, 0, 0]);
        picture.fill(centre, side * 17 / 20, mark, mark, [0, 0, 0]);
        picture
    }
}
