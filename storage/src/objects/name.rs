//! Names of objects.

use std::fmt;

use crate::model::{SeriesInstanceUid, StudyInstanceUid};

/// What the names of instances kept apart begin with.
pub(crate) const QUARANTINE: &str = "quarantine/";
/// What stands before the name of an object that was damaged, after it was repaired.
pub(crate) const DAMAGED: &str = "damaged/";

/// A name of an object: parts of `A-Z a-z 0-9 . _ -`, none beginning with a dot, joined by `/`. It can stand for a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectName(String);

impl ObjectName {
    /// Checks a name.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
        (name.len() <= 512 && name.split('/').all(is_part)).then(|| Self(name.to_owned()))
    }

    /// A pack of a series.
    #[must_use]
    pub fn pack(study: &StudyInstanceUid, series: &SeriesInstanceUid, pack: u64) -> Self {
        Self(format!("{}{pack:08}.tar", series_prefix(study, series)))
    }

    /// The headers beside a pack.
    #[must_use]
    pub fn pack_headers(study: &StudyInstanceUid, series: &SeriesInstanceUid, pack: u64) -> Self {
        Self(format!("{}{pack:08}.headers", series_prefix(study, series)))
    }

    /// An instance kept apart.
    pub(crate) fn quarantine(sha256: &[u8; 32]) -> Self {
        Self(format!("{QUARANTINE}{}.tar", crate::hexadecimal::hexadecimal(sha256)))
    }

    /// Where an object is kept after it was repaired. Names of objects are far shorter than the longest.
    pub(crate) fn damaged(&self) -> Self {
        Self(format!("{DAMAGED}{self}"))
    }

    /// Study, series and number, where this is the name of a pack.
    #[must_use]
    pub fn as_pack(&self) -> Option<(StudyInstanceUid, SeriesInstanceUid, u64)> {
        let mut parts = self.0.strip_prefix("studies/")?.split('/');
        let study = StudyInstanceUid::new(parts.next()?).ok()?;
        let series = SeriesInstanceUid::new(parts.next()?).ok()?;
        let pack = parts.next()?.strip_suffix(".tar")?.parse().ok()?;
        parts.next().is_none().then_some((study, series, pack))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What the names of a series' objects begin with.
pub(crate) fn series_prefix(study: &StudyInstanceUid, series: &SeriesInstanceUid) -> String {
    format!("studies/{study}/{series}/")
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_the_folder() {
        for name in ["", "/a", "a/", "a//b", "..", "a/../b", "a/.b", "a b", "a\\b", "a\0"] {
            assert!(ObjectName::new(name).is_none(), "{name:?}");
        }
        assert!(ObjectName::new("studies/1.2/3.4/00000001.tar").is_some());
    }

    #[test]
    fn a_pack_tells_its_series() {
        let (study, series) = (
            StudyInstanceUid::new("1.2").unwrap(),
            SeriesInstanceUid::new("1.3").unwrap(),
        );
        assert_eq!(
            ObjectName::pack(&study, &series, 7).as_pack(),
            Some((study.clone(), series.clone(), 7))
        );
        assert_eq!(ObjectName::pack_headers(&study, &series, 7).as_pack(), None);
    }
}
