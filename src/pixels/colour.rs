//! Colour spaces (PS3.3 C.7.6.3.1.2) → RGB.

use super::decode::{Frame, Samples, mask};
use super::pixel_description::Photometric;

/// ITU-R BT.601 at full range, in sixteenths of a bit: 1.402, 0.344136, 0.714136, 1.772.
const CR_RED: i32 = 91_881;
const CB_GREEN: i32 = 22_554;
const CR_GREEN: i32 = 46_802;
const CB_BLUE: i32 = 116_130;

/// One YBR_FULL pixel of 8 bits.
#[inline(always)]
#[must_use]
pub fn rgb_of_ybr([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (
        (i32::from(y) << 16) + (1 << 15),
        i32::from(cb) - 128,
        i32::from(cr) - 128,
    );
    let red = (y + CR_RED * cr) >> 16;
    let green = (y - CB_GREEN * cb - CR_GREEN * cr) >> 16;
    let blue = (y + CB_BLUE * cb) >> 16;
    [
        red.clamp(0, 255) as u8,
        green.clamp(0, 255) as u8,
        blue.clamp(0, 255) as u8,
    ]
}

/// Turns a YBR_FULL frame of any depth into RGB.
pub fn ybr_full_to_rgb(frame: &mut Frame) {
    frame.photometric = Photometric::Rgb;
    if let (Samples::U8(samples), 8) = (&frame.samples, frame.bits_stored) {
        let rgb: Vec<u8> = samples
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|&pixel| rgb_of_ybr(pixel))
            .collect();
        frame.samples = Samples::U8(rgb.into());
        return;
    }
    let (most, centre) = (
        f64::from(mask(frame.bits_stored)),
        f64::from(1u32 << (frame.bits_stored.max(1) - 1)),
    );
    let values: Vec<f64> = (0..frame.samples.len()).map(|index| frame.value(index)).collect();
    let rgb = values.as_chunks::<3>().0.iter().flat_map(|&[y, cb, cr]| {
        let (cb, cr) = (cb - centre, cr - centre);
        [
            y + 1.402 * cr,
            y - 0.344_136_286 * cb - 0.714_136_286 * cr,
            y + 1.772 * cb,
        ]
        .map(|value| value.round().clamp(0.0, most))
    });
    frame.samples = match frame.samples {
        Samples::U8(_) => Samples::U8(rgb.map(|value| value as u8).collect::<Vec<u8>>().into()),
        Samples::U16Le(_) | Samples::U16(_) => Samples::U16(rgb.map(|value| value as u16).collect()),
        _ => Samples::U32(rgb.map(|value| value as u32).collect()),
    };
    frame.low_bit = 0;
    frame.signed = false;
}

/// The frame as 8-bit RGB; depths other than 8 are scaled to it. Palettes are not for here.
#[must_use]
pub fn to_rgb(frame: &Frame) -> Vec<u8> {
    let eight = eight_bits(frame);
    match frame.photometric {
        Photometric::YbrFull | Photometric::YbrFull422 | Photometric::YbrIct | Photometric::YbrRct => eight
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|&pixel| rgb_of_ybr(pixel))
            .collect(),
        Photometric::YbrPartial422 | Photometric::YbrPartial420 => eight
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|&pixel| rgb_of_partial(pixel))
            .collect(),
        Photometric::Argb => eight
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|&[_, red, green, blue]| [red, green, blue])
            .collect(),
        Photometric::Cmyk => eight
            .as_chunks::<4>()
            .0
            .iter()
            .flat_map(|&[c, m, y, k]| {
                let light = 255 - u32::from(k);
                [c, m, y].map(|ink| ((255 - u32::from(ink)) * light).div_ceil(255) as u8)
            })
            .collect(),
        Photometric::Hsv => eight
            .as_chunks::<3>()
            .0
            .iter()
            .flat_map(|&pixel| rgb_of_hsv(pixel))
            .collect(),
        _ => eight,
    }
}

/// Luminance 16 to 235, chrominance 16 to 240 around 128 (ITU-R BT.601 §2.5).
fn rgb_of_partial([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (
        1.164_383 * (f64::from(y) - 16.0),
        f64::from(cb) - 128.0,
        f64::from(cr) - 128.0,
    );
    [
        y + 1.596_027 * cr,
        y - 0.391_762 * cb - 0.812_968 * cr,
        y + 2.017_232 * cb,
    ]
    .map(|value| value.round().clamp(0.0, 255.0) as u8)
}

fn rgb_of_hsv([h, s, v]: [u8; 3]) -> [u8; 3] {
    let (sector, saturation, value) = (f64::from(h) * 6.0 / 256.0, f64::from(s) / 255.0, f64::from(v));
    let fraction = sector.fract();
    let (p, q, t) = (
        value * (1.0 - saturation),
        value * (1.0 - saturation * fraction),
        value * (1.0 - saturation * (1.0 - fraction)),
    );
    let rgb = match sector as u32 {
        0 => [value, t, p],
        1 => [q, value, p],
        2 => [p, value, t],
        3 => [p, q, value],
        4 => [t, p, value],
        _ => [value, p, q],
    };
    rgb.map(|value| value.round() as u8)
}

/// Samples scaled from their own depth to 8 bits.
fn eight_bits(frame: &Frame) -> Vec<u8> {
    match &frame.samples {
        Samples::U8(samples) if frame.bits_stored == 8 && frame.low_bit == 0 => samples.to_vec(),
        _ => {
            let most = f64::from(mask(frame.bits_stored));
            let bias = if frame.signed { (most + 1.0) / 2.0 } else { 0.0 };
            (0..frame.samples.len())
                .map(|index| ((frame.value(index) + bias) * 255.0 / most).round().clamp(0.0, 255.0) as u8)
                .collect()
        }
    }
}
