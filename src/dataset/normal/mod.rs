//! From any encoding into normal form.

mod writer;

use filmroom_storage::{
    model::{Attributes, BulkValue, Elements, Tag, has_long_length},
    source::ReadAt,
};

use self::writer::Writer;
use super::{
    DataSetError,
    builder::push_element,
    items::items,
    scan::{Fragment, Place, Scanner, Token},
    transfer_syntax::{Encoding, is_deflated_uid},
    vr,
};

const SPECIFIC_CHARACTER_SET: Tag = 0x0008_0005;

/// A header longer than this is refused; those of the largest multi-frame instances have some ten megabytes.
const HEADER_MAX_BYTES: usize = 192 << 20;

/// Which values are left out of the normal form.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keep {
    /// Binary values (OB, OD, OF, OL, OV, OW, UN) up to this length stay.
    pub(crate) binary_max_bytes: u64,
    /// Any value up to this length stays.
    pub(crate) value_max_bytes: u64,
    /// Whether pixel data may stay.
    pub(crate) pixel_data: bool,
    /// Whether groups 0000 and 0002 stay, which have no place in the data set of an instance.
    pub(crate) command_and_meta: bool,
}

impl Keep {
    /// For headers.
    pub(crate) const HEADER: Self = Self {
        binary_max_bytes: 1024,
        value_max_bytes: 64 << 10,
        pixel_data: false,
        command_and_meta: false,
    };
    /// For small data sets, of which nothing is left out.
    pub(crate) const ALL: Self = Self {
        binary_max_bytes: u64::MAX,
        value_max_bytes: u64::MAX,
        pixel_data: true,
        command_and_meta: true,
    };
}

/// What becomes of a data set that cannot be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// It is refused.
    Refused,
    /// What was read until there stands, with a quirk that says so: for data sets that were acknowledged once.
    LeftOut,
}

/// A data set in normal form, and what was found on the way.
pub(crate) struct Normal<'a> {
    pub(crate) attributes: Attributes,
    pub(crate) bulk: Vec<BulkValue>,
    /// The pixel data of the data set itself.
    pub(crate) pixel_data: Option<PixelPlace>,
    /// The scanner, at its end: for its quirks and to look at fragments again.
    pub(crate) scanner: Scanner<'a>,
}

/// Where the pixel data lie, before frames are looked for.
pub(crate) struct PixelPlace {
    pub(crate) place: Place,
    /// The Basic Offset Table's item first; `None` for native pixel data.
    pub(crate) fragments: Option<Vec<Fragment>>,
}

/// Reads a data set into normal form.
pub(crate) fn normalize<'a>(
    source: &'a dyn ReadAt,
    transfer_syntax: &str,
    keep: Keep,
    rest: Rest,
) -> Result<Normal<'a>, DataSetError> {
    let encoding = Encoding::of(transfer_syntax);
    let mut scanner = Scanner::new(source, encoding, is_deflated_uid(transfer_syntax))?;
    let mut writer = Writer::new(keep);
    match write_all(&mut scanner, &mut writer) {
        Ok(()) => {}
        // Bytes that the device did not give may be there the next time.
        Err(error) if rest == Rest::Refused || matches!(error, DataSetError::Unreadable(_)) => return Err(error),
        Err(_) => {
            writer.end_all();
            scanner.quirks.note_whole("cannot be read to its end");
        }
    }
    if writer.wrong_character_set {
        scanner
            .quirks
            .note_whole("text in another character set than (0008,0005) says");
    }
    if writer.unknown_character_set {
        scanner.quirks.note_whole("unknown character set in (0008,0005)");
    }
    if writer.unordered {
        scanner.quirks.note_whole("elements out of order or twice");
        writer.drop_replaced_bulk();
    }
    Ok(Normal {
        attributes: Attributes::from_normal_form(writer.finish_bytes()),
        bulk: writer.bulk,
        pixel_data: writer.pixel_data,
        scanner,
    })
}

fn write_all(scanner: &mut Scanner<'_>, writer: &mut Writer) -> Result<(), DataSetError> {
    loop {
        match scanner.next()? {
            Token::Value(place) => writer.value(scanner, &place)?,
            Token::Fragments(place) => writer.fragments(scanner, &place)?,
            Token::SequenceStart(tag) => writer.start_sequence(tag),
            Token::ItemStart => writer.start_item(),
            Token::ItemEnd => writer.end_item(),
            Token::SequenceEnd => writer.end_sequence(),
            Token::End => return Ok(()),
        }
        if writer.out.len() > HEADER_MAX_BYTES {
            return Err(DataSetError::Limit("192 MiB of elements beside bulk data"));
        }
    }
}

/// Texts beyond ASCII need (0008,0005), also where it was absent or empty.
fn with_character_set(out: Vec<u8>, present: bool) -> Vec<u8> {
    let mut elements = Elements::new(&out);
    let mut place = out.len();
    let mut consumed = 0;
    let mut after = None;
    for element in elements.by_ref() {
        let length = element.value.len() + if has_long_length(element.vr) { 12 } else { 8 };
        if element.tag >= SPECIFIC_CHARACTER_SET {
            place = consumed;
            after = Some((element.tag == SPECIFIC_CHARACTER_SET, element.value.is_empty(), length));
            break;
        }
        consumed += length;
    }
    let skip = match after {
        Some((true, false, _)) if present => return out,
        Some((true, true, length)) => length,
        _ => 0,
    };
    let (before, rest) = out.split_at(place.min(out.len()));
    let mut with = Vec::with_capacity(out.len() + 18);
    with.extend_from_slice(before);
    push_element(&mut with, SPECIFIC_CHARACTER_SET, *b"CS", b"ISO_IR 192");
    with.extend_from_slice(rest.get(skip..).unwrap_or_default());
    with
}

/// Appends words with their bytes in reverse.
pub(crate) fn push_swapped(out: &mut Vec<u8>, value: &[u8], size: usize) {
    let words = value.chunks_exact(size.max(1));
    let rest = words.remainder();
    for word in words {
        out.extend(word.iter().rev());
    }
    out.extend_from_slice(rest);
}

/// True when an element's value is, or holds, nothing beyond ASCII text. Looks into items without recursion.
pub(crate) fn is_ascii(attributes: &[u8]) -> bool {
    let mut waiting = vec![Elements::new(attributes)];
    while let Some(elements) = waiting.pop() {
        for element in elements {
            if &element.vr == b"SQ" {
                waiting.extend(items(element.value).map(Elements::new));
            } else if vr::is_text(element.vr) && !element.value.is_ascii() {
                return false;
            }
        }
    }
    true
}
