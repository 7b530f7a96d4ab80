//! Baseline JPEG (ISO 10918-1 process 1): grey, and RGB as luminance and chrominance. Lossy.
//!
//! Previews are this by the thousand: transform and entropy coding are written so that the compiler makes vectors of them and
//! eight bytes leave at a time.
#![expect(
    clippy::indexing_slicing,
    reason = "rows lie within samples whose number was checked, blocks within a strip that was made for them"
)]

mod entropy;
mod tables;
mod transform;

use super::CompressError;
use entropy::{Codes, Writer};
use tables::{CHROMINANCE, LUMINANCE, ZIGZAG};
use transform::Quantizer;

/// Bytes of a colour profile that a marker segment takes (ICC.1 Annex B.4).
const PROFILE_CHUNK: usize = 65_519;

/// What the samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// One byte a pixel.
    Grey,
    /// Red, green and blue, stored as luminance and chrominance.
    Rgb(Chrominance),
}

/// How much chrominance is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chrominance {
    /// A sample for each pixel: 4:4:4.
    Full,
    /// One for two pixels of a row: 4:2:2.
    Halved,
}

/// Compresses `samples`, rows × columns pixels of 8 bits, at a `quality` from 1 to 100. `icc_profile` is embedded.
///
/// # Errors
/// [`CompressError::Unsupported`] for sizes that JPEG has no room for.
pub fn compress(
    samples: &[u8],
    columns: u32,
    rows: u32,
    colour: Colour,
    quality: u8,
    icc_profile: Option<&[u8]>,
) -> Result<Vec<u8>, CompressError> {
    let unsupported = |what: &str| CompressError::Unsupported("JPEG", what.to_owned());
    let (Ok(across), Ok(down)) = (u16::try_from(columns), u16::try_from(rows)) else {
        return Err(unsupported("more than 65535 rows or columns"));
    };
    let channels = if colour == Colour::Grey { 1 } else { 3 };
    let (columns, rows) = (usize::from(across), usize::from(down));
    if columns == 0 || rows == 0 || samples.len() != columns * rows * channels {
        return Err(unsupported("a picture without its samples"));
    }
    let quantizers = [
        Quantizer::new(&LUMINANCE.quantization, quality),
        Quantizer::new(&CHROMINANCE.quantization, quality),
    ];
    let mut out = Vec::with_capacity(samples.len() / 6 + 1024);
    head(&mut out, (across, down), colour, &quantizers, icc_profile)?;
    let mut writer = Writer::new(out);
    let codes = [Codes::of(&LUMINANCE), Codes::of(&CHROMINANCE)];
    let blocks: &[usize] = match colour {
        Colour::Grey => &[0],
        Colour::Rgb(Chrominance::Full) => &[0, 1, 2],
        Colour::Rgb(Chrominance::Halved) => &[0, 0, 1, 2],
    };
    let unit = if colour == Colour::Rgb(Chrominance::Halved) {
        16
    } else {
        8
    };
    let mut strip = Strip::new(columns.next_multiple_of(unit), colour);
    let mut before = [0i32; 3];
    for top in (0..rows).step_by(8) {
        strip.fill(samples, columns, rows, top);
        let mut places = [0usize; 3];
        for _ in 0..columns.div_ceil(unit) {
            for &component in blocks {
                let kind = usize::from(component > 0);
                let block = strip.block(component, places[component]);
                places[component] += 8;
                let coefficients = quantizers[kind].coefficients(&block);
                before[component] = writer.block(&coefficients, before[component], &codes[kind]);
            }
        }
    }
    Ok(writer.finish())
}

/// Eight rows of every component, as wide as whole units.
struct Strip {
    planes: [Vec<u8>; 3],
    strides: [usize; 3],
    colour: Colour,
}

impl Strip {
    fn new(stride: usize, colour: Colour) -> Self {
        let strides = match colour {
            Colour::Grey => [stride, 0, 0],
            Colour::Rgb(Chrominance::Full) => [stride; 3],
            Colour::Rgb(Chrominance::Halved) => [stride, stride / 2, stride / 2],
        };
        Self {
            planes: strides.map(|stride| vec![0; stride * 8]),
            strides,
            colour,
        }
    }

    /// Takes rows from `top` on; what lies beyond the picture is its last row and column again.
    fn fill(&mut self, samples: &[u8], columns: usize, rows: usize, top: usize) {
        let Self {
            planes: [first, second, third],
            strides,
            colour,
        } = self;
        let line = columns * if *colour == Colour::Grey { 1 } else { 3 };
        for row in 0..8 {
            let from = (top + row).min(rows - 1) * line;
            let pixels = &samples[from..from + line];
            let y = &mut first[row * strides[0]..(row + 1) * strides[0]];
            if *colour == Colour::Grey {
                y[..columns].copy_from_slice(pixels);
                repeat_last(y, columns);
                continue;
            }
            let cb = &mut second[row * strides[1]..(row + 1) * strides[1]];
            let cr = &mut third[row * strides[2]..(row + 1) * strides[2]];
            let pixels = pixels.as_chunks::<3>().0;
            for (y, &pixel) in y.iter_mut().zip(pixels) {
                *y = luminance(pixel);
            }
            repeat_last(y, columns);
            if *colour == Colour::Rgb(Chrominance::Full) {
                for ((cb, cr), &pixel) in cb.iter_mut().zip(cr.iter_mut()).zip(pixels) {
                    (*cb, *cr) = chrominance(pixel.map(i32::from), 1);
                }
                repeat_last(cb, columns);
                repeat_last(cr, columns);
            } else {
                for ((cb, cr), pair) in cb.iter_mut().zip(cr.iter_mut()).zip(pixels.chunks(2)) {
                    let (one, other) = (pair[0], pair[pair.len() - 1]);
                    let sum = std::array::from_fn(|channel| i32::from(one[channel]) + i32::from(other[channel]));
                    (*cb, *cr) = chrominance(sum, 2);
                }
                repeat_last(cb, columns.div_ceil(2));
                repeat_last(cr, columns.div_ceil(2));
            }
        }
    }

    #[inline(always)]
    fn block(&self, component: usize, left: usize) -> [[u8; 8]; 8] {
        let (plane, stride) = (&self.planes[component], self.strides[component]);
        let mut block = [[0; 8]; 8];
        for (row, line) in block.iter_mut().zip(plane.chunks_exact(stride)) {
            row.copy_from_slice(&line[left..left + 8]);
        }
        block
    }
}

fn repeat_last(row: &mut [u8], known: usize) {
    let last = row[known - 1];
    row[known..].fill(last);
}

/// ITU-R BT.601 at full range, in sixteen bits behind the point.
#[inline(always)]
fn luminance(pixel: [u8; 3]) -> u8 {
    let [red, green, blue] = pixel.map(u32::from);
    ((19_595 * red + 38_470 * green + 7_471 * blue + 32_768) >> 16) as u8
}

/// Of the sum of so many pixels: 1 or 2.
#[inline(always)]
fn chrominance([red, green, blue]: [i32; 3], pixels: i32) -> (u8, u8) {
    let shift = 15 + pixels;
    let bias = (128 << shift) + (1 << (shift - 1)) - 1;
    (
        ((-11_059 * red - 21_709 * green + 32_768 * blue + bias) >> shift) as u8,
        ((32_768 * red - 27_439 * green - 5_329 * blue + bias) >> shift) as u8,
    )
}

/// Everything before the entropy-coded segment.
fn head(
    out: &mut Vec<u8>,
    (columns, rows): (u16, u16),
    colour: Colour,
    quantizers: &[Quantizer; 2],
    icc_profile: Option<&[u8]>,
) -> Result<(), CompressError> {
    let (components, kinds) = match colour {
        Colour::Grey => (1u8, 1usize),
        Colour::Rgb(_) => (3, 2),
    };
    // SOI, and JFIF 1.1 without units.
    out.extend_from_slice(&[0xFF, 0xD8, 0xFF, 0xE0, 0, 16]);
    out.extend_from_slice(b"JFIF\0");
    out.extend_from_slice(&[1, 1, 0, 0, 1, 0, 1, 0, 0]);
    let chunks = icc_profile.unwrap_or_default().chunks(PROFILE_CHUNK);
    let count = u8::try_from(chunks.len())
        .map_err(|_| CompressError::Unsupported("JPEG", "so long a colour profile".to_owned()))?;
    for (number, chunk) in (1u8..).zip(chunks) {
        out.extend_from_slice(&[0xFF, 0xE2]);
        out.extend_from_slice(&(chunk.len() as u16 + 16).to_be_bytes());
        out.extend_from_slice(b"ICC_PROFILE\0");
        out.extend_from_slice(&[number, count]);
        out.extend_from_slice(chunk);
    }
    for (number, quantizer) in (0u8..).zip(quantizers).take(kinds) {
        out.extend_from_slice(&[0xFF, 0xDB, 0, 67, number]);
        out.extend(ZIGZAG.iter().map(|&place| quantizer.steps[usize::from(place)]));
    }
    // SOF0.
    out.extend_from_slice(&[0xFF, 0xC0, 0, 8 + 3 * components, 8]);
    out.extend_from_slice(&rows.to_be_bytes());
    out.extend_from_slice(&columns.to_be_bytes());
    out.push(components);
    for number in 0..components {
        let sampling = if number == 0 && colour == Colour::Rgb(Chrominance::Halved) {
            0x21
        } else {
            0x11
        };
        out.extend_from_slice(&[number + 1, sampling, u8::from(number > 0)]);
    }
    for (number, kind) in (0u8..).zip([&LUMINANCE, &CHROMINANCE]).take(kinds) {
        for (class, lengths, symbols) in [
            (0, &kind.dc_lengths, kind.dc_symbols().to_vec()),
            (0x10, &kind.ac_lengths, kind.ac_symbols()),
        ] {
            out.extend_from_slice(&[0xFF, 0xC4]);
            out.extend_from_slice(&(19 + symbols.len() as u16).to_be_bytes());
            out.push(class | number);
            out.extend_from_slice(lengths);
            out.extend_from_slice(&symbols);
        }
    }
    // SOS.
    out.extend_from_slice(&[0xFF, 0xDA, 0, 6 + 2 * components, components]);
    for number in 0..components {
        out.extend_from_slice(&[number + 1, if number == 0 { 0 } else { 0x11 }]);
    }
    out.extend_from_slice(&[0, 63, 0]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use zune_jpeg::{
        JpegDecoder,
        zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
    };

    /// A picture with ramps, edges, noise and flat parts.
    fn picture(columns: u32, rows: u32, channels: u32) -> Vec<u8> {
        let mut noise = 7u32;
        (0..rows * columns * channels)
            .map(|index| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (pixel, channel) = (index / channels, index % channels);
                let (x, y) = (pixel % columns, pixel / columns);
                match (x / 24 + y / 16) % 4 {
                    0 => (x * 3 + y * 2 + channel * 40) as u8,
                    1 => (noise >> 24) as u8,
                    2 => 255 * ((x / 5 + channel) % 2) as u8,
                    _ => 77,
                }
            })
            .collect()
    }

    fn decoded(jpeg: &[u8], out: ColorSpace) -> Vec<u8> {
        let options = DecoderOptions::new_safe().jpeg_set_out_colorspace(out);
        JpegDecoder::new_with_options(ZCursor::new(jpeg), options)
            .decode()
            .unwrap()
    }

    fn mean_square(one: &[u8], other: &[u8]) -> f64 {
        assert_eq!(one.len(), other.len());
        let sum: u64 = one
            .iter()
            .zip(other)
            .map(|(a, b)| u64::from(a.abs_diff(*b)).pow(2))
            .sum();
        sum as f64 / one.len() as f64
    }

    /// As good as another encoder, at no greater length.
    #[track_caller]
    fn check(columns: u32, rows: u32, colour: Colour, quality: u8) {
        use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
        let channels = if colour == Colour::Grey { 1 } else { 3 };
        let samples = picture(columns, rows, channels);
        let ours = compress(&samples, columns, rows, colour, quality, None).unwrap();
        let mut theirs = Vec::new();
        let mut encoder = Encoder::new(&mut theirs, quality);
        encoder.set_sampling_factor(if colour == Colour::Rgb(Chrominance::Halved) {
            SamplingFactor::F_2_1
        } else {
            SamplingFactor::F_1_1
        });
        let kind = if channels == 1 { ColorType::Luma } else { ColorType::Rgb };
        encoder.encode(&samples, columns as u16, rows as u16, kind).unwrap();
        let out = if channels == 1 {
            ColorSpace::Luma
        } else {
            ColorSpace::RGB
        };
        let (own, other) = (
            mean_square(&decoded(&ours, out), &samples),
            mean_square(&decoded(&theirs, out), &samples),
        );
        let what = format!("{columns} x {rows} {colour:?} at {quality}");
        assert!(own <= other * 1.05 + 0.5, "{what}: {own} instead of {other}");
        assert!(
            ours.len() <= theirs.len() * 21 / 20 + 64,
            "{what}: {} bytes instead of {}",
            ours.len(),
            theirs.len()
        );
    }

    #[test]
    fn is_as_good_as_another_encoder() {
        for (columns, rows) in [(64, 64), (97, 41), (8, 8), (200, 33)] {
            for quality in [1, 30, 75, 90, 100] {
                for colour in [
                    Colour::Grey,
                    Colour::Rgb(Chrominance::Full),
                    Colour::Rgb(Chrominance::Halved),
                ] {
                    check(columns, rows, colour, quality);
                }
            }
        }
    }

    #[test]
    fn every_size_is_decoded() {
        for columns in 1..20 {
            for rows in 1..20 {
                for colour in [
                    Colour::Grey,
                    Colour::Rgb(Chrominance::Full),
                    Colour::Rgb(Chrominance::Halved),
                ] {
                    let channels = if colour == Colour::Grey { 1 } else { 3 };
                    let samples = vec![200u8; (columns * rows * channels) as usize];
                    let jpeg = compress(&samples, columns, rows, colour, 90, None).unwrap();
                    let out = if channels == 1 {
                        ColorSpace::Luma
                    } else {
                        ColorSpace::RGB
                    };
                    let back = decoded(&jpeg, out);
                    assert!(mean_square(&back, &samples) <= 1.0, "{columns} x {rows} {colour:?}");
                }
            }
        }
    }

    #[test]
    fn refuses_what_it_has_no_room_for() {
        assert!(compress(&[], 0, 1, Colour::Grey, 90, None).is_err());
        assert!(compress(&[0; 3], 2, 2, Colour::Grey, 90, None).is_err());
        assert!(compress(&vec![0; 65_536], 65_536, 1, Colour::Grey, 90, None).is_err());
        let profile = vec![1u8; 20_000_000];
        assert!(compress(&[0], 1, 1, Colour::Grey, 90, Some(&profile)).is_err());
        assert!(compress(&[0], 1, 1, Colour::Grey, 90, Some(&profile[..200_000])).is_ok());
    }
}
