//! The forms that pixel data can be given in.

/// A form of pixel data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// Samples, little endian.
    Native,
    /// PS3.5 Annex G.
    Rle,
    /// ISO 10918-1 process 1: loses.
    JpegBaseline,
    /// ISO 10918-1 process 14.
    JpegLossless,
    /// ISO 14495-1, lossless.
    JpegLs,
    /// ISO 15444-1, reversible.
    Jpeg2000,
    /// ISO 15444-15, reversible, by resolution.
    HighThroughput,
    /// RFC 1951 a frame (PS3.5 §A.4.13).
    Deflated,
    /// Native frames in items (PS3.5 §A.4.11).
    Uncompressed,
}

impl Form {
    /// The form for an encapsulating transfer syntax; `None` for others, and for those that nothing here writes. Syntaxes
    /// that allow loss are served without any: nobody has to lose what they did not ask to.
    #[must_use]
    pub fn encapsulated(transfer_syntax_uid: &str) -> Option<Self> {
        Some(match transfer_syntax_uid {
            "1.2.840.10008.1.2.5" => Self::Rle,
            "1.2.840.10008.1.2.1.98" => Self::Uncompressed,
            "1.2.840.10008.1.2.8.1" => Self::Deflated,
            other => match other.strip_prefix("1.2.840.10008.1.2.4.")? {
                "50" => Self::JpegBaseline,
                "57" | "70" => Self::JpegLossless,
                "80" | "81" => Self::JpegLs,
                "90" | "91" => Self::Jpeg2000,
                "201" | "202" | "203" => Self::HighThroughput,
                _ => return None,
            },
        })
    }

    /// True for what does not come back as it was.
    #[must_use]
    pub fn is_lossy(self) -> bool {
        self == Self::JpegBaseline
    }

    /// True for codings of samples; others take cells as they are, with the bits that belong to no sample.
    pub(super) fn keeps_samples_only(self) -> bool {
        matches!(
            self,
            Self::JpegBaseline | Self::JpegLossless | Self::JpegLs | Self::Jpeg2000 | Self::HighThroughput
        )
    }
}
