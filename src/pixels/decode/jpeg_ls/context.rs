//! Parameters and contexts of the model (ISO 14495-1 Annexes A and C).

use super::super::DecodeError;

/// Table A.1: the logarithm of run segment lengths.
pub const RUN_ORDER: [u8; 32] = [
    0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];

/// Preset coding parameters as a stream gives them; zeros mean the defaults (§C.2.4.1.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Presets {
    /// MAXVAL.
    pub maximum: u16,
    /// T1, T2, T3.
    pub thresholds: [u16; 3],
    /// RESET.
    pub reset: u16,
}

/// All parameters of a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// MAXVAL.
    pub maximum: i32,
    /// NEAR.
    pub near: i32,
    /// T1, T2, T3.
    pub gradients: [i32; 3],
    /// RESET.
    pub reset: i32,
    /// RANGE.
    pub range: i32,
    /// qbpp.
    pub bits: u32,
    /// LIMIT.
    pub limit: u32,
}

impl Thresholds {
    /// Completes presets with the defaults.
    ///
    /// # Errors
    /// [`DecodeError::Damaged`] for values that contradict each other.
    pub fn new(precision: u8, near: u8, presets: Presets) -> Result<Self, DecodeError> {
        let damaged = || DecodeError::Damaged("unusable JPEG-LS parameters".into());
        let largest = (1i32 << precision) - 1;
        let maximum = if presets.maximum == 0 {
            largest
        } else {
            i32::from(presets.maximum)
        };
        let near = i32::from(near);
        if maximum < 1 || maximum > largest || near > (maximum / 2).min(255) {
            return Err(damaged());
        }
        let clamp = |value: i32, least: i32| if value > maximum || value < least { least } else { value };
        let defaults = if maximum >= 128 {
            let factor = (maximum.min(4095) + 128) / 256;
            [
                factor + 2 + 3 * near,
                4 * factor + 3 + 5 * near,
                17 * factor + 4 + 7 * near,
            ]
        } else {
            let factor = 256 / (maximum + 1);
            [
                (3 / factor + 3 * near).max(2),
                (7 / factor + 5 * near).max(3),
                (21 / factor + 7 * near).max(4),
            ]
        };
        let t1 = clamp(defaults[0], near + 1);
        let t2 = clamp(defaults[1], t1);
        let t3 = clamp(defaults[2], t2);
        let given = presets.thresholds.map(i32::from);
        let or = |given: i32, default: i32| if given == 0 { default } else { given };
        let gradients = [or(given[0], t1), or(given[1], t2), or(given[2], t3)];
        if gradients[0] < near + 1
            || gradients[1] < gradients[0]
            || gradients[2] < gradients[1]
            || gradients[2] > maximum
        {
            return Err(damaged());
        }
        let reset = if presets.reset == 0 {
            64
        } else {
            i32::from(presets.reset)
        };
        if reset < 3 {
            return Err(damaged());
        }
        let range = (maximum + 2 * near) / (2 * near + 1) + 1;
        let log2 = |value: i32| 32 - (value - 1).leading_zeros();
        let bpp = log2(maximum + 1).max(2);
        Ok(Self {
            maximum,
            near,
            gradients,
            reset,
            range,
            bits: log2(range),
            limit: 2 * (bpp + bpp.max(8)),
        })
    }

    /// Region of a gradient, −4 to 4, for gradients from −T3 to T3 (beyond it is ±4); §A.3.3.
    #[must_use]
    pub fn regions(&self) -> Vec<i8> {
        let [t1, t2, t3] = self.gradients;
        (-t3..=t3)
            .map(|gradient| {
                let size = gradient.abs();
                let region = if size <= self.near {
                    0
                } else if size < t1 {
                    1
                } else if size < t2 {
                    2
                } else if size < t3 {
                    3
                } else {
                    4
                };
                if gradient < 0 { -region } else { region }
            })
            .collect()
    }

    /// Initial value of the accumulated magnitudes (§A.2.1).
    #[must_use]
    pub fn initial_magnitude(&self) -> i32 {
        ((self.range + 32) >> 6).max(2)
    }
}

/// A, B, C and N of a regular context.
#[derive(Debug, Clone, Copy)]
pub struct RegularContext {
    /// Sum of error magnitudes.
    pub a: i32,
    /// Bias.
    pub b: i32,
    /// Prediction correction.
    pub c: i32,
    /// Occurrences.
    pub n: i32,
}

impl RegularContext {
    /// k: the order of the Golomb code.
    #[inline(always)]
    #[must_use]
    pub fn order(&self) -> u32 {
        golomb_order(self.n, self.a)
    }

    /// §A.6.
    #[inline(always)]
    pub fn update(&mut self, error: i32, parameters: &Thresholds) {
        self.b += error * (2 * parameters.near + 1);
        self.a = self.a.saturating_add(error.abs());
        if self.n == parameters.reset {
            self.a >>= 1;
            self.b >>= 1;
            self.n >>= 1;
        }
        self.n += 1;
        if self.b <= -self.n {
            self.b = (self.b + self.n).max(1 - self.n);
            self.c = (self.c - 1).max(-128);
        } else if self.b > 0 {
            self.b = (self.b - self.n).min(0);
            self.c = (self.c + 1).min(127);
        }
    }
}

/// A, N and Nn of a run interruption context.
#[derive(Debug, Clone, Copy)]
pub struct RunContext {
    /// Sum of error magnitudes.
    pub a: i32,
    /// Occurrences.
    pub n: i32,
    /// Negative errors.
    pub negative: i32,
    /// RItype.
    pub kind: i32,
}

impl RunContext {
    /// k.
    #[must_use]
    pub fn order(&self) -> u32 {
        golomb_order(self.n, self.a.saturating_add((self.n >> 1) * self.kind))
    }

    /// §A.7.2, code segment A.23. `mapped` is EMErrval.
    pub fn update(&mut self, error: i32, mapped: i32, reset: i32) {
        if error < 0 {
            self.negative += 1;
        }
        self.a = self.a.saturating_add((mapped + 1 - self.kind) >> 1);
        if self.n == reset {
            self.a >>= 1;
            self.n >>= 1;
            self.negative >>= 1;
        }
        self.n += 1;
    }

    /// Error of a mapped one, EMErrval + RItype (code segment A.22 undone).
    #[must_use]
    pub fn error_of(&self, mapped: i32, order: u32) -> i32 {
        let odd = mapped & 1;
        let size = (mapped + odd) / 2;
        if (order != 0 || 2 * self.negative >= self.n) == (odd == 1) {
            -size
        } else {
            size
        }
    }
}

#[inline(always)]
fn golomb_order(n: i32, a: i32) -> u32 {
    let mut order = 0;
    // The bound keeps damaged data from shifting everything away; errors of 16 bits need no more.
    while (n as u32) << order < a as u32 && order < 16 {
        order += 1;
    }
    order
}
