//! What a transfer syntax says about the encoding of elements (PS3.5 §10 and annex A).

use filmroom_storage::model::TransferSyntaxUid;

use super::file_head::{EXPLICIT_VR_BIG_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN};

/// How elements are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Encoding {
    /// VRs are written (PS3.5 §7.1.2).
    pub(crate) explicit: bool,
    /// Most significant byte first.
    pub(crate) big_endian: bool,
}

impl Encoding {
    pub(crate) const IMPLICIT_LITTLE: Self = Self {
        explicit: false,
        big_endian: false,
    };
    pub(crate) const EXPLICIT_LITTLE: Self = Self {
        explicit: true,
        big_endian: false,
    };
    pub(crate) const EXPLICIT_BIG: Self = Self {
        explicit: true,
        big_endian: true,
    };

    /// Of a transfer syntax; all but a few are explicit little endian.
    pub(crate) fn of(transfer_syntax: &str) -> Self {
        match transfer_syntax {
            // Papyrus 3 and a private form with big endian pixels are implicit too.
            IMPLICIT_VR_LITTLE_ENDIAN | "1.2.840.10008.1.20" | "1.2.840.113619.5.2" => Self::IMPLICIT_LITTLE,
            EXPLICIT_VR_BIG_ENDIAN => Self::EXPLICIT_BIG,
            _ => Self::EXPLICIT_LITTLE,
        }
    }

    pub(crate) fn read_u16(self, bytes: [u8; 2]) -> u16 {
        if self.big_endian {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    }

    pub(crate) fn read_u32(self, bytes: [u8; 4]) -> u32 {
        if self.big_endian {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    pub(crate) fn read_tag(self, [g0, g1, e0, e1]: [u8; 4]) -> u32 {
        u32::from(self.read_u16([g0, g1])) << 16 | u32::from(self.read_u16([e0, e1]))
    }
}

/// True for the transfer syntaxes whose whole data set is a deflated stream (RFC 1951).
pub(crate) fn is_deflated_uid(transfer_syntax: &str) -> bool {
    matches!(
        transfer_syntax,
        "1.2.840.10008.1.2.1.99" | "1.2.840.10008.1.2.4.95" | "1.2.840.10008.1.2.4.205"
    )
}

/// True for the transfer syntaxes whose whole data set is a deflated stream (RFC 1951): offsets in a description of such an
/// instance count in the inflated data set.
#[must_use]
pub fn is_deflated(transfer_syntax: &TransferSyntaxUid) -> bool {
    is_deflated_uid(transfer_syntax.as_str())
}

/// True for the transfer syntaxes whose pixel data are native (PS3.5 §8.1.1 and 8.2 the other way round).
pub(crate) fn is_native(transfer_syntax: &str) -> bool {
    matches!(
        transfer_syntax,
        "1.2.840.10008.1.2"
            | "1.2.840.10008.1.2.1"
            | "1.2.840.10008.1.2.1.99"
            | "1.2.840.10008.1.2.2"
            | "1.2.840.10008.1.20"
            | "1.2.840.113619.5.2"
    )
}

/// True for the video transfer syntaxes, whose fragments carry one stream for all frames.
pub(crate) fn is_video(transfer_syntax: &str) -> bool {
    let Some(last) = transfer_syntax.strip_prefix("1.2.840.10008.1.2.4.") else {
        return false;
    };
    let (number, fragmentable) = match last.split_once('.') {
        Some((number, "1")) => (number, true),
        Some(_) => return false,
        None => (last, false),
    };
    number.parse::<u32>().is_ok_and(|number| (100..=108).contains(&number)) && (!fragmentable || number != "107")
}
