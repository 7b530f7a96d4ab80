//! Sizes and times, with their units.

use std::{fmt, time::Duration};

use super::{Value, quoted};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl Size {
    /// So many KiB.
    #[must_use]
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }
    /// So many MiB.
    #[must_use]
    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }
    /// The number for an interface that counts in `usize`; the largest there is when it does not fit.
    #[must_use]
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const SIZE_UNITS: [(&str, u64); 10] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

/// Splits `96 MiB` into number and unit.
fn number_and_unit(text: &str) -> Result<(u64, String), String> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '_')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number = number
        .replace('_', "")
        .parse()
        .map_err(|_| "it does not begin with a whole number".to_owned())?;
    Ok((number, unit.trim().to_ascii_lowercase()))
}

impl Value for Size {
    const ALLOWED: &'static str = "a size such as 64 MiB, 500 kB or a number of bytes";
    fn from_text(text: &str) -> Result<Self, String> {
        let (number, unit) = number_and_unit(text)?;
        let factor = SIZE_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let factor = factor.ok_or_else(|| format!("\"{unit}\" is no unit of size"))?;
        number
            .checked_mul(factor)
            .map(Self)
            .ok_or_else(|| "too large".to_owned())
    }
    fn show(&self) -> String {
        quoted(&self.to_string())
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, factor) in [
            ("TiB", 1 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1u64 << 10),
        ] {
            if self.0 >= factor && self.0.is_multiple_of(factor) {
                return write!(f, "{} {unit}", self.0 / factor);
            }
        }
        write!(f, "{} B", self.0)
    }
}

const TIME_UNITS: [(&str, u64); 8] = [
    ("ms", 1),
    ("s", 1_000),
    ("sec", 1_000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("hours", 3_600_000),
    ("d", 86_400_000),
];

impl Value for Duration {
    const ALLOWED: &'static str = "a time such as 500 ms, 30 s, 5 min or 2 h";
    fn from_text(text: &str) -> Result<Self, String> {
        let (number, unit) = number_and_unit(text)?;
        if unit.is_empty() {
            return Err("the unit is missing".to_owned());
        }
        let factor = TIME_UNITS
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let factor = factor.ok_or_else(|| format!("\"{unit}\" is no unit of time"))?;
        number
            .checked_mul(factor)
            .map(Self::from_millis)
            .ok_or_else(|| "too long".to_owned())
    }
    fn show(&self) -> String {
        let millis = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        for (unit, factor) in [("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
            if millis >= factor && millis.is_multiple_of(factor) {
                return quoted(&format!("{} {unit}", millis / factor));
            }
        }
        quoted(&format!("{millis} ms"))
    }
}
