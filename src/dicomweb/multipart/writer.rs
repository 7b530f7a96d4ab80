//! Frames parts as the pickiest clients read them: header names spelled `Content-Type:`, CRLF everywhere, short headers,
//! a first line that is the delimiter itself, and always a closing delimiter.

use std::fmt::Write as _;

use bytes::Bytes;

/// The boundary of one response: random, so that no stored content can hold it, and free of characters that need quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundary(String);

impl Boundary {
    /// A boundary that was not used before: 128 random bits.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().simple().to_string())
    }

    /// The `Content-Type` value of the response; `media_type` is that of its parts.
    #[must_use]
    pub fn content_type(&self, media_type: &str) -> String {
        format!("multipart/related; type=\"{media_type}\"; boundary={}", self.0)
    }

    /// What stands before the content of a part: delimiter line and header. `first` leaves out the line end that closes
    /// the part before. A part of unknown length has no `Content-Length`.
    #[must_use]
    pub fn open(&self, first: bool, content_type: &str, length: Option<u64>, location: Option<&str>) -> Bytes {
        let mut head = String::with_capacity(160 + content_type.len() + location.map_or(0, str::len));
        if !first {
            head.push_str("\r\n");
        }
        // Writing to a string cannot fail.
        let _ = write!(head, "--{}\r\nContent-Type: {content_type}\r\n", self.0);
        if let Some(length) = length {
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
        if let Some(location) = location {
            let _ = write!(head, "Content-Location: {location}\r\n");
        }
        head.push_str("\r\n");
        head.into()
    }

    /// What stands behind the content of the last part.
    #[must_use]
    pub fn close(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.0).into()
    }

    /// The delimiter alone, for readers.
    #[cfg(test)]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_parts_byte_for_byte() {
        let boundary = Boundary("b".to_owned());
        assert_eq!(
            boundary.content_type("application/dicom"),
            "multipart/related; type=\"application/dicom\"; boundary=b"
        );
        assert_eq!(
            boundary.open(true, "application/dicom; transfer-syntax=1.2", Some(3), None),
            "--b\r\nContent-Type: application/dicom; transfer-syntax=1.2\r\nContent-Length: 3\r\n\r\n"
        );
        assert_eq!(
            boundary.open(false, "image/jls; transfer-syntax=1.2", None, Some("http://h/x")),
            "\r\n--b\r\nContent-Type: image/jls; transfer-syntax=1.2\r\nContent-Location: http://h/x\r\n\r\n"
        );
        assert_eq!(boundary.close(), "\r\n--b--\r\n");
    }

    #[test]
    fn two_boundaries_differ() {
        assert_ne!(Boundary::random(), Boundary::random());
    }
}
