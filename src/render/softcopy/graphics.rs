//! Graphics and text of presentation states, layer by layer (PS3.3 C.10.5, C.10.7).

use super::{
    area::Area,
    cielab,
    curves::{STEPS, clip, ellipse, smooth},
    references::Target,
};
use crate::{
    font, overlay,
    picture::{Picture, Placement},
};
use filmroom_pixels::{decode::Frame, elements::Elements};

/// Points of all graphics together; what comes after is left out.
const POINTS_MAX: usize = 200_000;
/// Dots of all lines together.
const DOTS_MAX: usize = 20_000_000;
/// White, where a layer recommends nothing.
const INK: [u8; 3] = [255, 255, 255];

/// Whether text, which may say who the patient is, is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text {
    /// Yes.
    Written,
    /// No: graphics only.
    LeftOut,
}

/// A layer, from (0070,0060).
struct Layer {
    name: String,
    colour: [u8; 3],
}

/// The layers in their order, lowest first.
fn layers(state: &Elements<'_>) -> Vec<Layer> {
    let mut layers: Vec<(u32, Layer)> = state
        .items(0x0070_0060)
        .map(|item| {
            let colour = cielab::colour(&item, 0x0070_0401)
                .or_else(|| item.unsigned(0x0070_0066).map(cielab::grey))
                .unwrap_or(INK);
            let layer = Layer {
                name: item.text(0x0070_0002).to_owned(),
                colour,
            };
            (item.unsigned(0x0070_0062).unwrap_or_default(), layer)
        })
        .collect();
    layers.sort_by_key(|(order, _)| *order);
    layers.into_iter().map(|(_, layer)| layer).collect()
}

/// Draws the overlay planes that a state activates, its own or those of the image, over a picture of the whole image.
#[must_use]
pub fn overlays(
    mut picture: Picture,
    state: &Elements<'_>,
    image: &Elements<'_>,
    frame: &Frame,
    frame_index: u32,
) -> Picture {
    let active: Vec<(u32, &str)> = (0x6000_0000u32..0x6020_0000)
        .step_by(0x2_0000)
        .map(|group| (group, state.text(group | 0x1001)))
        .filter(|(_, layer)| !layer.is_empty())
        .collect();
    if active.is_empty() {
        return picture;
    }
    for layer in layers(state) {
        for (group, _) in active.iter().filter(|(_, name)| *name == layer.name) {
            let of = if state.value(group | 0x3000).is_some() {
                state
            } else {
                image
            };
            picture = coloured(picture, layer.colour);
            overlay::plane(&mut picture, of, frame, *group, frame_index, layer.colour);
        }
    }
    picture
}

/// Draws all that is meant for the target over the placed picture.
#[must_use]
pub fn draw(
    picture: Picture,
    state: &Elements<'_>,
    target: &Target<'_>,
    area: &Area,
    placement: &Placement,
    text: Text,
) -> Picture {
    let layers = layers(state);
    // What names no layer of the state is drawn all the same, above the others.
    let rank = |item: &Elements<'_>| {
        let name = item.text(0x0070_0002);
        layers
            .iter()
            .position(|layer| layer.name == name)
            .unwrap_or(layers.len())
    };
    let mut annotations: Vec<(usize, Elements<'_>)> = state
        .items(0x0070_0001)
        .filter(|item| target.is_meant_by(item))
        .map(|item| (rank(&item), item))
        .collect();
    annotations.sort_by_key(|(rank, _)| *rank);
    let thickness = (picture.width.max(picture.height) / 512).clamp(1, 8);
    let mut pen = Pen {
        picture,
        area,
        placement,
        thickness,
        points: POINTS_MAX,
        dots: DOTS_MAX,
    };
    for (rank, annotation) in &annotations {
        let colour = layers.get(*rank).map_or(INK, |layer| layer.colour);
        for graphic in annotation.items(0x0070_0009) {
            let style = |sequence: u32, tag: u32| graphic.item(sequence, 0).and_then(|item| cielab::colour(&item, tag));
            let line = style(0x0070_0232, 0x0070_0251).unwrap_or(colour);
            let filling = style(0x0070_0233, 0x0070_0251).unwrap_or(line);
            pen.graphic(&graphic, line, filling);
        }
        for words in annotation.items(0x0070_0008).filter(|_| text == Text::Written) {
            let style = words
                .item(0x0070_0231, 0)
                .and_then(|item| cielab::colour(&item, 0x0070_0241));
            pen.words(&words, style.unwrap_or(colour));
        }
    }
    pen.picture
}

fn coloured(picture: Picture, [red, green, blue]: [u8; 3]) -> Picture {
    if red == green && green == blue {
        picture
    } else {
        picture.into_rgb()
    }
}

struct Pen<'a> {
    picture: Picture,
    area: &'a Area,
    placement: &'a Placement,
    thickness: usize,
    points: usize,
    dots: usize,
}

impl Pen<'_> {
    /// A point in its units as it lies in the picture; `None` for units that no place in the picture follows from.
    fn place(&self, units: &str, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let point = match units {
            "PIXEL" => self.area.turned((x, y)),
            "DISPLAY" => {
                let (width, height) = self.area.size();
                (x * width as f64, y * height as f64)
            }
            _ => return None,
        };
        let (x, y) = self.placement.map(point);
        (x.is_finite() && y.is_finite()).then_some((x, y))
    }

    fn graphic(&mut self, graphic: &Elements<'_>, line: [u8; 3], filling: [u8; 3]) {
        let units = graphic.text(0x0070_0005);
        let given: Vec<(f64, f64)> = graphic
            .decimals(0x0070_0022)
            .as_chunks::<2>()
            .0
            .iter()
            .take(self.points)
            .map(|&[x, y]| (x, y))
            .collect();
        self.points -= given.len();
        let kind = graphic.text(0x0070_0023);
        let path = match (kind, given.as_slice()) {
            ("POINT", [(x, y), ..]) => {
                if let Some((x, y)) = self.place(units, (*x, *y)) {
                    let arm = 4.0 * self.thickness as f64;
                    self.stroke((x - arm, y), (x + arm, y), line);
                    self.stroke((x, y - arm), (x, y + arm), line);
                }
                return;
            }
            ("POLYLINE", points) => points.to_vec(),
            ("INTERPOLATED", points) => smooth(points, self.points / STEPS),
            ("CIRCLE", &[centre, edge]) => {
                let radius = (edge.0 - centre.0).hypot(edge.1 - centre.1);
                ellipse(centre, (radius, 0.0), (0.0, radius))
            }
            ("ELLIPSE", &[a, b, c, d]) => {
                let centre = ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0);
                ellipse(
                    centre,
                    ((b.0 - a.0) / 2.0, (b.1 - a.1) / 2.0),
                    ((d.0 - c.0) / 2.0, (d.1 - c.1) / 2.0),
                )
            }
            _ => return,
        };
        let placed: Vec<(f64, f64)> = path.iter().filter_map(|point| self.place(units, *point)).collect();
        let closed = kind == "CIRCLE" || kind == "ELLIPSE" || (path.len() > 2 && path.first() == path.last());
        if closed && graphic.text(0x0070_0024) == "Y" {
            self.fill(&placed, filling);
        }
        for pair in placed.windows(2) {
            if let &[from, to] = pair {
                self.stroke(from, to, line);
            }
        }
    }

    /// A straight line as thick as the pen, as far as it lies in the picture.
    fn stroke(&mut self, from: (f64, f64), to: (f64, f64), colour: [u8; 3]) {
        let margin = self.thickness as f64;
        let (width, height) = (self.picture.width as f64, self.picture.height as f64);
        let Some((from, to)) = clip(from, to, (-margin, -margin, width + margin, height + margin)) else {
            return;
        };
        let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().max(1.0);
        let dots = (steps as usize + 1) * self.thickness * self.thickness;
        if dots > self.dots {
            return;
        }
        self.dots -= dots;
        self.ink(colour);
        let half = (self.thickness as f64 - 1.0) / 2.0;
        for step in 0..=steps as usize {
            let along = step as f64 / steps;
            let (x, y) = (from.0 + (to.0 - from.0) * along, from.1 + (to.1 - from.1) * along);
            for down in 0..self.thickness {
                for across in 0..self.thickness {
                    self.dot(x - half + across as f64, y - half + down as f64, colour);
                }
            }
        }
    }

    /// Makes the picture one that can show a colour.
    fn ink(&mut self, colour: [u8; 3]) {
        let empty = Picture {
            width: 0,
            height: 0,
            channels: self.picture.channels,
            data: Vec::new(),
        };
        self.picture = coloured(std::mem::replace(&mut self.picture, empty), colour);
    }

    fn dot(&mut self, x: f64, y: f64, colour: [u8; 3]) {
        if x >= 0.0 && y >= 0.0 {
            self.picture.set(x as usize, y as usize, colour);
        }
    }

    /// Fills a polygon, row by row, by the even-odd rule.
    fn fill(&mut self, corners: &[(f64, f64)], colour: [u8; 3]) {
        let cost = corners.len().saturating_mul(self.picture.height) + self.picture.width * self.picture.height;
        if cost > self.dots {
            return;
        }
        self.dots -= cost;
        self.ink(colour);
        for row in 0..self.picture.height {
            let y = row as f64 + 0.5;
            let mut crossings: Vec<f64> = corners
                .iter()
                .zip(corners.iter().cycle().skip(1))
                .filter(|((_, y0), (_, y1))| y0.min(*y1) <= y && y0.max(*y1) > y)
                .map(|((x0, y0), (x1, y1))| x0 + (y - y0) * (x1 - x0) / (y1 - y0))
                .collect();
            crossings.sort_by(f64::total_cmp);
            for &[from, to] in crossings.as_chunks::<2>().0 {
                let (from, to) = (from.max(0.0).round() as usize, to.max(0.0).round() as usize);
                for column in from..to.min(self.picture.width) {
                    self.picture.set(column, row, colour);
                }
            }
        }
    }

    /// A text object: in its box, else at its anchor; a line leads from the box to an anchor that is to be seen.
    fn words(&mut self, words: &Elements<'_>, colour: [u8; 3]) {
        let pair = |tag: u32| match words.decimals(tag).as_slice() {
            [x, y, ..] => Some((*x, *y)),
            _ => None,
        };
        let in_box = |tag: u32| pair(tag).and_then(|point| self.place(words.text(0x0070_0003), point));
        let corners = in_box(0x0070_0010).zip(in_box(0x0070_0011));
        let anchor = pair(0x0070_0014).and_then(|point| self.place(words.text(0x0070_0004), point));
        let lines: Vec<&str> = words.text(0x0070_0006).lines().map(str::trim_end).take(64).collect();
        let letters = lines
            .iter()
            .map(|line| line.chars().count())
            .max()
            .unwrap_or_default()
            .clamp(1, 1024);
        let (across, down) = ((font::WIDTH + 1) * letters, (font::HEIGHT + 2) * lines.len().max(1));
        let usual = (self.picture.width.min(self.picture.height) / 256).clamp(1, 8);
        let (left, top, room, size) = match (corners, anchor) {
            (Some((one, other)), _) => {
                let (left, right) = (one.0.min(other.0), one.0.max(other.0));
                let (top, bottom) = (one.1.min(other.1), one.1.max(other.1));
                let fits = ((right - left) / across as f64).min((bottom - top) / down as f64);
                // Too small a box makes no text that nobody can read: it is written beyond the box.
                (left, top, right - left, (fits as usize).clamp(usual, 16))
            }
            (None, Some((x, y))) => (x, y, 0.0, usual),
            (None, None) => return,
        };
        self.ink(colour);
        for (index, line) in lines.iter().enumerate() {
            let spare = room - ((font::WIDTH + 1) * size * line.chars().count()) as f64;
            let indent = match words.text(0x0070_0012) {
                "RIGHT" => spare.max(0.0),
                "CENTER" => (spare / 2.0).max(0.0),
                _ => 0.0,
            };
            let y = top + (index * (font::HEIGHT + 2) * size) as f64;
            if y < self.picture.height as f64 {
                let (x, y) = ((left + indent).max(0.0) as usize, y.max(0.0) as usize);
                // Dark ink wants a light shade.
                let shade = if colour.iter().map(|&part| u32::from(part)).sum::<u32>() < 200 {
                    [255; 3]
                } else {
                    [0; 3]
                };
                self.picture.text(x, y, size, line, colour, Some(shade));
            }
        }
        if let (Some((one, other)), Some(anchor), "Y") = (corners, anchor, words.text(0x0070_0015)) {
            let nearest = (
                anchor.0.clamp(one.0.min(other.0), one.0.max(other.0)),
                anchor.1.clamp(one.1.min(other.1), one.1.max(other.1)),
            );
            self.stroke(nearest, anchor, colour);
        }
    }
}
