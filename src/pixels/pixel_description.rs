//! What the pixels of an instance are (PS3.3 C.7.6.3, Image Pixel Module).

use super::decode::{DecodeError, FRAME_MAX_BYTES};
use super::elements::Elements;

/// (0028,0004): what samples mean (PS3.3 C.7.6.3.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Photometric {
    /// Least value white.
    Monochrome1,
    /// Least value black.
    Monochrome2,
    /// An index into colour tables.
    PaletteColor,
    /// Red, green, blue.
    Rgb,
    /// Luminance and chrominance, full range.
    YbrFull,
    /// The same, chrominance for every second column.
    YbrFull422,
    /// Luminance 16 to 235, chrominance for every second column.
    YbrPartial422,
    /// The same for every second row too.
    YbrPartial420,
    /// Irreversible colour transform of JPEG 2000.
    YbrIct,
    /// Reversible colour transform of JPEG 2000.
    YbrRct,
    /// The colour space of JPEG XL.
    Xyb,
    /// Retired: alpha before red, green, blue.
    Argb,
    /// Retired: cyan, magenta, yellow, black.
    Cmyk,
    /// Retired: hue, saturation, value.
    Hsv,
}

impl Photometric {
    /// By defined term; an unknown or missing term is told from the number of samples, as viewers do.
    #[must_use]
    pub fn of(term: &str, samples_per_pixel: u32) -> Self {
        match term.trim().to_ascii_uppercase().as_str() {
            "MONOCHROME1" => Self::Monochrome1,
            "MONOCHROME2" => Self::Monochrome2,
            "PALETTE COLOR" => Self::PaletteColor,
            "RGB" => Self::Rgb,
            "YBR_FULL" => Self::YbrFull,
            "YBR_FULL_422" => Self::YbrFull422,
            "YBR_PARTIAL_422" => Self::YbrPartial422,
            "YBR_PARTIAL_420" => Self::YbrPartial420,
            "YBR_ICT" => Self::YbrIct,
            "YBR_RCT" => Self::YbrRct,
            "XYB" => Self::Xyb,
            "ARGB" => Self::Argb,
            "CMYK" => Self::Cmyk,
            "HSV" => Self::Hsv,
            _ if samples_per_pixel == 3 => Self::Rgb,
            _ => Self::Monochrome2,
        }
    }

    /// The defined term.
    #[must_use]
    pub fn term(self) -> &'static str {
        match self {
            Self::Monochrome1 => "MONOCHROME1",
            Self::Monochrome2 => "MONOCHROME2",
            Self::PaletteColor => "PALETTE COLOR",
            Self::Rgb => "RGB",
            Self::YbrFull => "YBR_FULL",
            Self::YbrFull422 => "YBR_FULL_422",
            Self::YbrPartial422 => "YBR_PARTIAL_422",
            Self::YbrPartial420 => "YBR_PARTIAL_420",
            Self::YbrIct => "YBR_ICT",
            Self::YbrRct => "YBR_RCT",
            Self::Xyb => "XYB",
            Self::Argb => "ARGB",
            Self::Cmyk => "CMYK",
            Self::Hsv => "HSV",
        }
    }

    /// True when native frames hold fewer chrominance than luminance samples.
    #[must_use]
    pub fn is_subsampled(self) -> bool {
        matches!(self, Self::YbrFull422 | Self::YbrPartial422 | Self::YbrPartial420)
    }

    /// The same colours with three samples a pixel.
    #[must_use]
    pub fn fully_sampled(self) -> Self {
        if self == Self::YbrFull422 { Self::YbrFull } else { self }
    }

    /// True for luminance with chrominance in any form.
    #[must_use]
    pub fn is_ybr(self) -> bool {
        matches!(
            self,
            Self::YbrFull | Self::YbrFull422 | Self::YbrPartial422 | Self::YbrPartial420 | Self::YbrIct | Self::YbrRct
        )
    }

    /// True for one grey sample a pixel.
    #[must_use]
    pub fn is_monochrome(self) -> bool {
        matches!(self, Self::Monochrome1 | Self::Monochrome2)
    }
}

/// (0028,0103), and floating point by the element that holds the pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Representation {
    /// Unsigned integers.
    Unsigned,
    /// Two's complement.
    Signed,
    /// IEEE 754.
    Float,
}

/// (0028,0006).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Planes {
    /// Colour by pixel.
    Interleaved,
    /// Colour by plane.
    Separate,
}

/// What the pixels of an instance are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PixelDescription {
    /// (0028,0010).
    pub rows: u32,
    /// (0028,0011).
    pub columns: u32,
    /// (0028,0002).
    pub samples_per_pixel: u32,
    /// (0028,0100).
    pub bits_allocated: u32,
    /// (0028,0101).
    pub bits_stored: u32,
    /// (0028,0102).
    pub high_bit: u32,
    /// (0028,0103).
    pub representation: Representation,
    /// (0028,0004).
    pub photometric: Photometric,
    /// (0028,0006).
    pub planes: Planes,
}

impl PixelDescription {
    /// Reads the description from a header; `pixel_data_tag` tells floating point from integers. What is missing is
    /// completed where only one value is plausible.
    ///
    /// # Errors
    /// [`DecodeError::Description`] when rows, columns or bits are missing.
    pub fn read(elements: &Elements<'_>, pixel_data_tag: u32) -> Result<Self, DecodeError> {
        let needed = |tag: u32, name: &str| {
            elements
                .unsigned(tag)
                .ok_or_else(|| DecodeError::Description(format!("{name} is missing")))
        };
        let float = match pixel_data_tag {
            0x7FE0_0008 => Some(32),
            0x7FE0_0009 => Some(64),
            _ => None,
        };
        let samples_per_pixel = elements.unsigned(0x0028_0002).unwrap_or(1);
        let bits_allocated = match float {
            Some(bits) => bits,
            None => needed(0x0028_0100, "BitsAllocated")?,
        };
        let bits_stored = match elements.unsigned(0x0028_0101) {
            Some(bits) if bits > 0 && bits <= bits_allocated && float.is_none() => bits,
            _ => bits_allocated,
        };
        let high_bit = match elements.unsigned(0x0028_0102) {
            Some(bit) if bit < bits_allocated && bit + 1 >= bits_stored => bit,
            _ => bits_stored.saturating_sub(1),
        };
        let description = Self {
            rows: needed(0x0028_0010, "Rows")?,
            columns: needed(0x0028_0011, "Columns")?,
            samples_per_pixel,
            bits_allocated,
            bits_stored,
            high_bit,
            representation: match (float, elements.unsigned(0x0028_0103)) {
                (Some(_), _) => Representation::Float,
                (None, Some(1)) => Representation::Signed,
                _ => Representation::Unsigned,
            },
            photometric: Photometric::of(elements.text(0x0028_0004), samples_per_pixel),
            planes: match elements.unsigned(0x0028_0006) {
                Some(1) => Planes::Separate,
                _ => Planes::Interleaved,
            },
        };
        description.check()?;
        Ok(description)
    }

    /// Checks that a frame has a size, that it is not too large, and that samples and meaning agree.
    ///
    /// # Errors
    /// [`DecodeError::Description`], [`DecodeError::TooLarge`].
    pub fn check(&self) -> Result<(), DecodeError> {
        if self.rows == 0 || self.columns == 0 {
            return Err(DecodeError::Description("a frame without rows or columns".into()));
        }
        if !matches!(self.bits_allocated, 1..=16 | 32 | 64) {
            return Err(DecodeError::Description(format!(
                "{} bits allocated",
                self.bits_allocated
            )));
        }
        let samples = match self.photometric {
            Photometric::Monochrome1 | Photometric::Monochrome2 | Photometric::PaletteColor => 1,
            Photometric::Argb | Photometric::Cmyk => 4,
            _ => 3,
        };
        if self.samples_per_pixel != samples {
            return Err(DecodeError::Description(format!(
                "{} samples a pixel for {}",
                self.samples_per_pixel,
                self.photometric.term()
            )));
        }
        if self.representation != Representation::Float && self.bits_allocated == 64 {
            return Err(DecodeError::Description("64 bits allocated".into()));
        }
        self.sample_count().map(|_| ())
    }

    /// Lowest bit of a cell that belongs to the sample.
    #[must_use]
    pub fn low_bit(&self) -> u32 {
        (self.high_bit + 1).saturating_sub(self.bits_stored)
    }

    /// Rows × columns.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`].
    pub fn pixel_count(&self) -> Result<usize, DecodeError> {
        self.sample_count()
            .map(|samples| samples / self.samples_per_pixel.max(1) as usize)
    }

    /// Rows × columns × samples, known to fit in memory.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`].
    pub fn sample_count(&self) -> Result<usize, DecodeError> {
        let count = u64::from(self.rows) * u64::from(self.columns) * u64::from(self.samples_per_pixel);
        let bytes = count.saturating_mul(u64::from(self.bits_allocated.div_ceil(8)));
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= FRAME_MAX_BYTES => Ok(count as usize),
            _ => Err(DecodeError::TooLarge(bytes)),
        }
    }

    /// Bytes that a native frame takes, rounded up to a whole byte.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`].
    pub fn frame_bytes(&self) -> Result<usize, DecodeError> {
        Ok((self.sample_count()? * self.bits_allocated as usize).div_ceil(8))
    }
}
