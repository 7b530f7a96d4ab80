//! Header fields of a part, and the `Content-Type` value.

/// A media type with its parameters (RFC 9110 §8.3.1). Type and parameter names are in lower case; values are as sent,
/// without quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    /// `type/subtype`.
    pub media_type: String,
    /// Name and value of each parameter, in the order sent.
    pub parameters: Vec<(String, String)>,
}

impl ContentType {
    /// Reads a `Content-Type` value. `None` when there is no `type/subtype`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (media_type, mut rest) = match text.find(';') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let media_type = media_type.trim().to_ascii_lowercase();
        let (kind, subtype) = media_type.split_once('/')?;
        if kind.is_empty() || subtype.is_empty() || !media_type.bytes().all(is_type_byte) {
            return None;
        }
        let mut parameters = Vec::new();
        while let Some(tail) = rest.strip_prefix(';') {
            let (name, after_name) = match tail.find(['=', ';']) {
                Some(at) => tail.split_at(at),
                None => (tail, ""),
            };
            let (value, after_value) = match after_name.strip_prefix('=') {
                Some(value) => parameter_value(value),
                None => (String::new(), after_name),
            };
            let name = name.trim().to_ascii_lowercase();
            if !name.is_empty() {
                parameters.push((name, value));
            }
            rest = after_value;
        }
        Some(Self { media_type, parameters })
    }

    /// The value of a parameter, by its name in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

fn is_type_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&-^_.+/*".contains(&byte)
}

/// The value that `text` begins with, and what follows from the next `;` on.
fn parameter_value(text: &str) -> (String, &str) {
    let trimmed = text.trim_start();
    let Some(quoted) = trimmed.strip_prefix('"') else {
        let (value, rest) = match text.find(';') {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => {
                let rest = quoted.get(at + 1..).unwrap_or_default();
                let rest = rest.find(';').and_then(|at| rest.get(at..)).unwrap_or_default();
                return (value, rest);
            }
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// The header fields of one part. Unknown fields are forgotten.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartHeaders {
    /// `Content-Type`, where it can be read.
    pub content_type: Option<ContentType>,
    /// `Content-Location`.
    pub content_location: Option<String>,
    /// `Content-ID`, without its angle brackets.
    pub content_id: Option<String>,
    /// `Content-Length`: what the sender says, which need not be true.
    pub content_length: Option<u64>,
    /// `Content-Transfer-Encoding` in lower case.
    pub content_transfer_encoding: Option<String>,
}

impl PartHeaders {
    /// Reads a header block without its closing empty line. Lines that are no header fields are skipped; a line that
    /// begins with white space continues the one before it (RFC 2822 §2.2.3).
    #[must_use]
    pub fn parse(block: &[u8]) -> Self {
        let mut headers = Self::default();
        let text = String::from_utf8_lossy(block);
        let mut field = String::new();
        for line in text.split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.starts_with([' ', '\t']) {
                field.push(' ');
                field.push_str(line.trim());
                continue;
            }
            headers.take(&field);
            line.clone_into(&mut field);
        }
        headers.take(&field);
        headers
    }

    fn take(&mut self, field: &str) {
        let Some((name, value)) = field.split_once(':') else {
            return;
        };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "content-type" => self.content_type = ContentType::parse(value),
            "content-location" => self.content_location = Some(value.trim_matches('"').to_owned()),
            "content-id" => self.content_id = Some(value.trim_matches(['<', '>', '"']).to_owned()),
            "content-length" => self.content_length = value.parse().ok(),
            "content-transfer-encoding" => self.content_transfer_encoding = Some(value.to_ascii_lowercase()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, media_type: &str, parameters: &[(&str, &str)]) {
        let parsed = ContentType::parse(text).unwrap();
        assert_eq!(parsed.media_type, media_type);
        let got: Vec<_> = parsed
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(got, parameters);
    }

    #[test]
    fn quoted_and_unquoted_parameters_are_equal() {
        check("application/dicom", "application/dicom", &[]);
        let expected = [("type", "application/dicom"), ("boundary", "x y")];
        check(
            "Multipart/Related; Type=\"application/dicom\"; BOUNDARY=\"x y\"",
            "multipart/related",
            &expected,
        );
        check(
            "multipart/related;type=application/dicom ;boundary=x y",
            "multipart/related",
            &expected,
        );
    }

    #[test]
    fn a_semicolon_within_quotes_belongs_to_the_value() {
        check("a/b; c=\"d;e\\\"f\"; g=h", "a/b", &[("c", "d;e\"f"), ("g", "h")]);
    }

    #[test]
    fn what_is_no_media_type_is_none() {
        for text in ["", ";", "text", "/", "a/", "/b", "a b/c", "a/b c"] {
            assert_eq!(ContentType::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn header_names_are_read_in_any_case_and_folded_lines_are_joined() {
        let headers = PartHeaders::parse(
            b"content-TYPE: application/octet-stream;\r\n transfer-syntax=1.2\r\nnonsense\r\nContent-Location: bulk1\r\nContent-Length: 12",
        );
        assert_eq!(
            headers.content_type.as_ref().unwrap().parameter("transfer-syntax"),
            Some("1.2")
        );
        assert_eq!(headers.content_location.as_deref(), Some("bulk1"));
        assert_eq!(headers.content_length, Some(12));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            let _ = ContentType::parse(&text);
            let _ = PartHeaders::parse(text.as_bytes());
        }
    }
}
