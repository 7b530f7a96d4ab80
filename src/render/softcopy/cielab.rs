//! Colours that objects give as CIELab (PS3.3 C.10.7.1.1) → sRGB.

use filmroom_pixels::elements::Elements;

/// The colour of an element of three encoded values (US): L* from 0 to 100, a* and b* from −128 to 127, each over 16 bits.
#[must_use]
pub fn colour(elements: &Elements<'_>, tag: u32) -> Option<[u8; 3]> {
    let words = elements.words(tag);
    let &[l, a, b] = words.first_chunk::<3>()?;
    Some(srgb(
        f64::from(l) * 100.0 / 65_535.0,
        f64::from(a) * 255.0 / 65_535.0 - 128.0,
        f64::from(b) * 255.0 / 65_535.0 - 128.0,
    ))
}

/// A P-value of 16 bits as grey.
#[must_use]
pub fn grey(value: u32) -> [u8; 3] {
    [(f64::from(value.min(65_535)) / 257.0).round() as u8; 3]
}

/// CIELab of illuminant D50 (that of profile connection spaces) → sRGB, by Bradford's adaptation.
fn srgb(l: f64, a: f64, b: f64) -> [u8; 3] {
    let fy = (l + 16.0) / 116.0;
    let cubed = |f: f64| {
        if f > 6.0 / 29.0 {
            f * f * f
        } else {
            (f - 4.0 / 29.0) * 3.0 * (6.0f64 / 29.0).powi(2)
        }
    };
    let (x, y, z) = (
        0.964_22 * cubed(fy + a / 500.0),
        cubed(fy),
        0.825_21 * cubed(fy - b / 200.0),
    );
    [
        3.133_856 * x - 1.616_867 * y - 0.490_615 * z,
        -0.978_768 * x + 1.916_142 * y + 0.033_454 * z,
        0.071_945 * x - 0.228_991 * y + 1.405_243 * z,
    ]
    .map(|linear: f64| {
        let coded = if linear <= 0.003_130_8 {
            12.92 * linear
        } else {
            1.055 * linear.powf(1.0 / 2.4) - 0.055
        };
        (coded.clamp(0.0, 1.0) * 255.0).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lab: (f64, f64, f64), expected: [u8; 3]) {
        let got = srgb(lab.0, lab.1, lab.2);
        let near = got.iter().zip(expected).all(|(got, wanted)| got.abs_diff(wanted) <= 1);
        assert!(near, "{lab:?}: {got:?}, not {expected:?}");
    }

    #[test]
    fn the_corners_of_srgb_are_where_they_are() {
        // CIELab of illuminant D50 as colour management programs print it.
        check((100.0, 0.0, 0.0), [255, 255, 255]);
        check((0.0, 0.0, 0.0), [0, 0, 0]);
        check((54.29, 80.80, 69.89), [255, 0, 0]);
        check((87.82, -79.27, 80.99), [0, 255, 0]);
        check((29.57, 68.30, -112.03), [0, 0, 255]);
        check((53.59, 0.0, 0.0), [128, 128, 128]);
    }

    #[test]
    fn p_values_are_brought_to_eight_bits() {
        assert_eq!(grey(0), [0; 3]);
        assert_eq!(grey(65_535), [255; 3]);
        assert_eq!(grey(0x8080), [128; 3]);
    }
}
