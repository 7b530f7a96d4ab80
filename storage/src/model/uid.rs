//! Unique identifiers (PS3.5 §9.1), validated once at the border.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a text is no UID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UidError {
    /// Nothing is left after trailing padding is removed.
    #[error("a UID is empty")]
    Empty,
    /// PS3.5 §9.1 allows 64 characters.
    #[error("a UID of {0} characters: at most 64 are allowed")]
    TooLong(usize),
    /// Only `0-9` and `.` may stand in a UID.
    #[error("a UID holds a character other than 0-9 and '.'")]
    Character,
    /// A leading, trailing or doubled dot.
    #[error("a UID has an empty component")]
    EmptyComponent,
}

/// Checks a UID as peers really send them: characters, length and empty components are enforced, since a UID becomes part
/// of an object name; leading zeros in a component are against PS3.5 §9.1 but common, and are let pass.
///
/// Trailing NUL and space padding is removed.
///
/// # Errors
/// [`UidError`] naming the first rule that is broken.
pub fn check_uid(text: &str) -> Result<&str, UidError> {
    let uid = text.trim_end_matches(['\0', ' ']);
    if uid.is_empty() {
        return Err(UidError::Empty);
    }
    if uid.len() > 64 {
        return Err(UidError::TooLong(uid.len()));
    }
    if !uid.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(UidError::Character);
    }
    if uid.split('.').any(str::is_empty) {
        return Err(UidError::EmptyComponent);
    }
    Ok(uid)
}

macro_rules! uid_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks the text with [`check_uid`].
            ///
            /// # Errors
            /// [`UidError`] naming the first rule that is broken.
            pub fn new(text: &str) -> Result<Self, UidError> {
                check_uid(text).map(|uid| Self(uid.into()))
            }

            /// The UID without padding.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = UidError;
            fn try_from(text: String) -> Result<Self, UidError> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(uid: $name) -> String {
                uid.0.into()
            }
        }

        impl std::str::FromStr for $name {
            type Err = UidError;
            fn from_str(text: &str) -> Result<Self, UidError> {
                Self::new(text)
            }
        }
    };
}

uid_type!(
    /// Study Instance UID (0020,000D).
    StudyInstanceUid
);
uid_type!(
    /// Series Instance UID (0020,000E).
    SeriesInstanceUid
);
uid_type!(
    /// SOP Instance UID (0008,0018).
    SopInstanceUid
);
uid_type!(
    /// SOP Class UID (0008,0016).
    SopClassUid
);
uid_type!(
    /// Transfer Syntax UID (0002,0010).
    TransferSyntaxUid
);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, UidError>) {
        assert_eq!(check_uid(text), expected);
    }

    #[test]
    fn removes_padding() {
        check("1.2.3\0", Ok("1.2.3"));
        check("1.2.3 ", Ok("1.2.3"));
    }

    #[test]
    fn refuses_what_could_leave_the_folder() {
        check("../etc", Err(UidError::Character));
        check("1..2", Err(UidError::EmptyComponent));
        check(".", Err(UidError::EmptyComponent));
        check("", Err(UidError::Empty));
        check(&"1".repeat(65), Err(UidError::TooLong(65)));
    }

    #[test]
    fn lets_leading_zeros_pass() {
        check("1.02.3", Ok("1.02.3"));
    }
}
