//! Names of application entities.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An Application Entity title (PS3.5 §6.2 VR `AE`): 1 to 16 printable ASCII characters without `\`; leading and trailing
/// spaces do not count and are not kept.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AeTitle(Box<str>);

/// Why a text is no AE title.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AeTitleError {
    /// Nothing is left after spaces are removed.
    #[error("an AE title is empty")]
    Empty,
    /// PS3.5 §6.2 allows 16 characters.
    #[error("an AE title of {0} characters: at most 16 are allowed")]
    TooLong(usize),
    /// Only printable ASCII without backslash may stand in an AE title.
    #[error("an AE title holds a character other than printable ASCII, or a backslash")]
    Character,
}

impl AeTitle {
    /// Checks a text.
    ///
    /// # Errors
    /// [`AeTitleError`] naming the first rule that is broken.
    pub fn new(text: &str) -> Result<Self, AeTitleError> {
        let title = text.trim_matches([' ', '\0']);
        if title.is_empty() {
            return Err(AeTitleError::Empty);
        }
        if !title.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'\\') {
            return Err(AeTitleError::Character);
        }
        if title.len() > 16 {
            return Err(AeTitleError::TooLong(title.len()));
        }
        Ok(Self(title.into()))
    }

    /// The title without padding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AeTitle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for AeTitle {
    type Err = AeTitleError;

    fn from_str(text: &str) -> Result<Self, AeTitleError> {
        Self::new(text)
    }
}

impl TryFrom<String> for AeTitle {
    type Error = AeTitleError;

    fn try_from(text: String) -> Result<Self, AeTitleError> {
        Self::new(&text)
    }
}

impl From<AeTitle> for String {
    fn from(title: AeTitle) -> Self {
        title.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, AeTitleError>) {
        assert_eq!(
            AeTitle::new(text).as_ref().map(AeTitle::as_str),
            expected.as_ref().copied()
        );
    }

    #[test]
    fn spaces_around_a_title_do_not_count() {
        check("  CT 1  ", Ok("CT 1"));
        check("CT\0", Ok("CT"));
    }

    #[test]
    fn refuses_what_is_no_title() {
        check("   ", Err(AeTitleError::Empty));
        check("A\\B", Err(AeTitleError::Character));
        check("R\u{f6}ntgen", Err(AeTitleError::Character));
        check("SEVENTEEN LETTERS", Err(AeTitleError::TooLong(17)));
    }
}
