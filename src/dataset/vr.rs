//! What each value representation means for reading and writing (PS3.5 §6.2).

/// The two letters of a value representation.
pub type Vr = [u8; 2];

/// How the bytes of a value are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Several text values joined by `\`, in the data set's character set.
    Texts,
    /// Person names: as [`Shape::Texts`], with components and groups.
    PersonNames,
    /// One text in the data set's character set; `\` is a character.
    Text,
    /// Several values of the default repertoire joined by `\`.
    Codes,
    /// One value of the default repertoire (UR).
    Code,
    /// Binary words of this many bytes, byte order as the transfer syntax says.
    Words(u8),
    /// Items.
    Sequence,
    /// Bytes as they come.
    Bytes,
}

/// The shape of a value representation; bytes for one that is not known.
#[must_use]
pub const fn shape(vr: Vr) -> Shape {
    match &vr {
        b"LO" | b"SH" | b"UC" => Shape::Texts,
        b"PN" => Shape::PersonNames,
        b"LT" | b"ST" | b"UT" => Shape::Text,
        b"AE" | b"AS" | b"CS" | b"DA" | b"DS" | b"DT" | b"IS" | b"TM" | b"UI" => Shape::Codes,
        b"UR" => Shape::Code,
        b"AT" | b"OW" | b"SS" | b"US" => Shape::Words(2),
        b"FL" | b"OF" | b"OL" | b"SL" | b"UL" => Shape::Words(4),
        b"FD" | b"OD" | b"OV" | b"SV" | b"UV" => Shape::Words(8),
        b"SQ" => Shape::Sequence,
        _ => Shape::Bytes,
    }
}

/// True for the value representations of PS3.5 table 6.2-1.
#[must_use]
pub const fn is_known(vr: Vr) -> bool {
    !matches!(shape(vr), Shape::Bytes) || matches!(&vr, b"OB" | b"UN")
}

/// True for text of any kind.
#[must_use]
pub const fn is_text(vr: Vr) -> bool {
    matches!(
        shape(vr),
        Shape::Texts | Shape::PersonNames | Shape::Text | Shape::Codes | Shape::Code
    )
}

/// True for binary values that JSON and XML carry whole rather than as a list of numbers.
#[must_use]
pub const fn is_bulk(vr: Vr) -> bool {
    matches!(&vr, b"OB" | b"OD" | b"OF" | b"OL" | b"OV" | b"OW" | b"UN")
}

/// The value representation with a 4-byte length that carries what is too long for a 2-byte length (PS3.5 §6.2.2 note).
#[must_use]
pub const fn long_form(vr: Vr) -> Vr {
    match shape(vr) {
        Shape::Texts | Shape::PersonNames | Shape::Codes => *b"UC",
        Shape::Text | Shape::Code => *b"UT",
        _ => *b"UN",
    }
}

/// The byte that makes a value's length even.
#[must_use]
pub const fn padding(vr: Vr) -> u8 {
    match &vr {
        b"UI" => 0,
        _ if is_text(vr) => b' ',
        _ => 0,
    }
}
