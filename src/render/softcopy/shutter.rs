//! What a presentation state hides of an image (PS3.3 C.7.6.11, C.7.6.15).

use super::cielab;
use crate::{overlay, picture::Picture};
use filmroom_pixels::elements::Elements;

/// More vertices of a polygon are left out.
const VERTICES_MAX: usize = 4096;

/// Paints over what lies outside the shutters of a state. `aspect`: height of a pixel over its width.
#[must_use]
pub fn apply(picture: Picture, state: &Elements<'_>, aspect: f64) -> Picture {
    let shapes = state.text(0x0018_1600);
    if shapes.is_empty() {
        return picture;
    }
    let colour = cielab::colour(state, 0x0018_1624)
        .unwrap_or_else(|| cielab::grey(state.unsigned(0x0018_1622).unwrap_or_default()));
    let mut picture = match colour {
        [red, green, blue] if red == green && green == blue => picture,
        _ => picture.into_rgb(),
    };
    let number = |tag: u32| state.decimal(tag);
    for shape in shapes.split('\\').map(str::trim) {
        match shape {
            "RECTANGULAR" => {
                let (left, right) = (number(0x0018_1602), number(0x0018_1604));
                let (upper, lower) = (number(0x0018_1606), number(0x0018_1608));
                let inside = |value: f64, least: Option<f64>, most: Option<f64>| {
                    least.is_none_or(|least| value >= least) && most.is_none_or(|most| value <= most)
                };
                hide(&mut picture, colour, |x, y| {
                    inside(x, left, right) && inside(y, upper, lower)
                });
            }
            "CIRCULAR" => {
                let centre = state.decimals(0x0018_1610);
                if let (&[row, column, ..], Some(radius)) = (centre.as_slice(), number(0x0018_1612)) {
                    hide(&mut picture, colour, |x, y| {
                        let (across, down) = (x - column, (y - row) * aspect);
                        across * across + down * down <= radius * radius
                    });
                }
            }
            "POLYGONAL" => {
                let vertices: Vec<(f64, f64)> = state
                    .decimals(0x0018_1620)
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .take(VERTICES_MAX)
                    .map(|&[row, column]| (column, row))
                    .collect();
                polygon(&mut picture, colour, &vertices);
            }
            "BITMAP" => {
                let group = state.unsigned(0x0018_1623).unwrap_or_default();
                if (0x6000..=0x601E).contains(&group) {
                    overlay::bits(state, group << 16, 0, |x, y| picture.set(x, y, colour));
                }
            }
            _ => {}
        }
    }
    picture
}

/// Paints the pixels whose place, from 1, is not seen.
fn hide(picture: &mut Picture, colour: [u8; 3], is_seen: impl Fn(f64, f64) -> bool) {
    for y in 0..picture.height {
        for x in 0..picture.width {
            if !is_seen(x as f64 + 1.0, y as f64 + 1.0) {
                picture.set(x, y, colour);
            }
        }
    }
}

/// Paints what lies outside a polygon of vertices from 1, row by row. Its edges are seen.
fn polygon(picture: &mut Picture, colour: [u8; 3], vertices: &[(f64, f64)]) {
    if vertices.len() < 3 {
        return;
    }
    for row in 0..picture.height {
        let y = row as f64 + 1.0;
        let mut seen: Vec<(f64, f64)> = Vec::new();
        let mut crossings: Vec<f64> = Vec::new();
        for (&(x0, y0), &(x1, y1)) in vertices.iter().zip(vertices.iter().cycle().skip(1)) {
            if y0 == y && y1 == y {
                seen.push((x0.min(x1), x0.max(x1)));
            }
            if y0.min(y1) <= y && y0.max(y1) > y {
                crossings.push(x0 + (y - y0) * (x1 - x0) / (y1 - y0));
            }
            if y1 == y {
                seen.push((x1, x1));
            }
        }
        crossings.sort_by(f64::total_cmp);
        seen.extend(crossings.as_chunks::<2>().0.iter().map(|&[from, to]| (from, to)));
        seen.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut column = 0usize;
        for (from, to) in seen {
            let first = (from.ceil().max(1.0) as usize - 1).min(picture.width);
            for x in column..first {
                picture.set(x, row, colour);
            }
            column = column.max((to.floor().max(0.0) as usize).min(picture.width));
        }
        for x in column..picture.width {
            picture.set(x, row, colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Channels;
    use filmroom_dataset::Builder;
    use filmroom_pixels::elements::DataSet;
    use filmroom_storage::model::Header;

    #[track_caller]
    fn check(build: impl Fn(&mut Builder) -> &mut Builder, expected: [&str; 5]) {
        let mut builder = Builder::new();
        build(&mut builder);
        let data_set = DataSet {
            header: Header {
                attributes: builder.build(),
                bulk: Vec::new(),
            },
            ..DataSet::default()
        };
        let picture = Picture {
            width: 6,
            height: 5,
            channels: Channels::Grey,
            data: vec![255; 30],
        };
        let shut = apply(picture, &data_set.elements(), 1.0);
        let rows: Vec<String> = shut
            .data
            .chunks(6)
            .map(|row| row.iter().map(|&grey| if grey == 255 { '#' } else { '.' }).collect())
            .collect();
        assert_eq!(rows, expected);
    }

    #[test]
    fn shutters_leave_what_lies_within() {
        check(
            |builder| {
                builder
                    .text(0x0018_1600, "RECTANGULAR")
                    .value(0x0018_1602, *b"IS", b"2 ")
                    .value(0x0018_1604, *b"IS", b"4 ")
                    .value(0x0018_1606, *b"IS", b"2 ")
                    .value(0x0018_1608, *b"IS", b"3 ")
            },
            ["......", ".###..", ".###..", "......", "......"],
        );
        check(
            |builder| {
                builder
                    .text(0x0018_1600, "CIRCULAR")
                    .value(0x0018_1610, *b"IS", b"3\\3 ")
                    .value(0x0018_1612, *b"IS", b"2 ")
            },
            ["..#...", ".###..", "#####.", ".###..", "..#..."],
        );
        check(
            |builder| {
                builder
                    .text(0x0018_1600, "POLYGONAL")
                    .value(0x0018_1620, *b"IS", b"1\\1\\1\\5\\5\\1\\1\\1 ")
            },
            ["#####.", "####..", "###...", "##....", "#....."],
        );
        check(
            |builder| {
                builder
                    .text(0x0018_1600, "BITMAP")
                    .us(0x0018_1623, 0x6002)
                    .us(0x6002_0010, 5)
                    .us(0x6002_0011, 6)
                    .value(0x6002_0050, *b"SS", &[1, 0, 1, 0])
                    .value(0x6002_3000, *b"OB", &[0b0000_0011, 0, 0, 0])
            },
            ["..####", "######", "######", "######", "######"],
        );
    }
}
