//! The keys of the one tree that the index is: one letter for the kind of row, then what it is found by, in an order that
//! answers are given in.
//!
//! | letter | key | row |
//! |---|---|---|
//! | `M` | name | state of the index: schema, counters, checkpoint |
//! | `U` | number | an interned SOP class or transfer syntax UID |
//! | `s` | study UID | a study, what does not change |
//! | `c` | study number | a study's counts |
//! | `d` | date (newest first), study UID | secondary keys of a study |
//! | `p` `w` `a` `m` | text, NUL, date, study UID | patient ID, word of a name, accession number, modality |
//! | `l` | word turned, NUL | each word of all names, at each of its letters: see `words.rs` |
//! | `e` | study number, series number, series UID | a series, what does not change |
//! | `k` | series number | a series' counts |
//! | `j` | series number | study UID and series UID |
//! | `x` | series UID, study number | series number of (0020,0011) |
//! | `i` | series number, instance number, SOP Instance UID | an instance |
//! | `o` | SOP Instance UID | series and instance number |
//! | `t` | series number, pack number | a pack |
//! | `b` | SOP Instance UID | why the bytes of an instance are not served |
//! | `z` | SOP Instance UID | number of the decision that destroyed an instance |
//! | `g` | number of a batch | what came and went with it |

/// A study in keys.
pub(crate) type StudyId = u32;
/// A series in keys.
pub(crate) type SeriesId = u32;

pub(crate) const STATE: &[u8] = b"Mstate";
pub(crate) const EPOCH: &[u8] = b"Mepoch";
pub(crate) const UID: u8 = b'U';
pub(crate) const STUDY: u8 = b's';
pub(crate) const STUDY_COUNTS: u8 = b'c';
pub(crate) const STUDY_ORDER: u8 = b'd';
pub(crate) const PATIENT_ID: u8 = b'p';
pub(crate) const NAME_WORD: u8 = b'w';
pub(crate) const LEXICON: u8 = b'l';
pub(crate) const ACCESSION: u8 = b'a';
pub(crate) const MODALITY: u8 = b'm';
pub(crate) const SERIES: u8 = b'e';
pub(crate) const SERIES_COUNTS: u8 = b'k';
pub(crate) const SERIES_UIDS: u8 = b'j';
pub(crate) const SERIES_BY_UID: u8 = b'x';
pub(crate) const INSTANCE: u8 = b'i';
pub(crate) const SOP_INSTANCE: u8 = b'o';
pub(crate) const PACK: u8 = b't';
pub(crate) const DAMAGED: u8 = b'b';
pub(crate) const TOMBSTONE: u8 = b'z';
pub(crate) const CHANGES: u8 = b'g';

/// Secondary keys hold at most this much of a text: a longer one is matched by its beginning.
const TEXT_MAX_BYTES: usize = 256;

/// A UID in half a byte a character, in the order of its text; shorter, and neighbours stay neighbours.
pub(crate) fn pack_uid(uid: &str) -> Vec<u8> {
    let mut packed = Vec::with_capacity(uid.len().div_ceil(2));
    for pair in uid.as_bytes().chunks(2) {
        let mut halves = pair.iter().map(|byte| match byte {
            b'.' => 1,
            digit => 2 + (digit.wrapping_sub(b'0') & 0x0F).min(9),
        });
        packed.push(halves.next().unwrap_or(0) << 4 | halves.next().unwrap_or(0));
    }
    packed
}

/// The text of a packed UID.
pub(crate) fn unpack_uid(packed: &[u8]) -> String {
    let mut uid = String::with_capacity(packed.len() * 2);
    for half in packed.iter().flat_map(|byte| [byte >> 4, byte & 0x0F]) {
        match half {
            0 => break,
            1 => uid.push('.'),
            digit => uid.push(char::from(b'0' + digit.saturating_sub(2).min(9))),
        }
    }
    uid
}

/// A study date so that the newest sorts first; studies without a date come last.
pub(crate) fn newest_first(study_date: &str) -> [u8; 8] {
    match <[u8; 8]>::try_from(study_date.as_bytes()) {
        Ok(digits) if digits.iter().all(u8::is_ascii_digit) => digits.map(|digit| !digit),
        _ => UNDATED,
    }
}

/// The date of studies without one.
pub(crate) const UNDATED: [u8; 8] = [0xFF; 8];

/// An IS value (PS3.5 §6.2) in ascending order; one that is absent or no number sorts last.
pub(crate) fn ascending(number: &str) -> [u8; 4] {
    let number = number.split('\\').next().unwrap_or_default().trim();
    let value = number.parse::<i64>().map_or(i32::MAX, |value| {
        i32::try_from(value).unwrap_or(if value < 0 { i32::MIN } else { i32::MAX })
    });
    (value.cast_unsigned() ^ 0x8000_0000).to_be_bytes()
}

fn join(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(kind);
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

/// The place of a study in the order of answers.
pub(crate) fn study_place(study_date: &str, study_uid: &str) -> Vec<u8> {
    let mut place = newest_first(study_date).to_vec();
    place.extend_from_slice(&pack_uid(study_uid));
    place
}

/// The study UID at the end of a place.
pub(crate) fn study_uid_of_place(place: &[u8]) -> Option<String> {
    place.get(8..).map(unpack_uid)
}

pub(crate) fn by_uid(kind: u8, uid: &str) -> Vec<u8> {
    join(kind, &[&pack_uid(uid)])
}

pub(crate) fn by_id(kind: u8, id: u32) -> Vec<u8> {
    join(kind, &[&id.to_be_bytes()])
}

pub(crate) fn with_place(kind: u8, place: &[u8]) -> Vec<u8> {
    join(kind, &[place])
}

/// `text` as far as keys hold it, without NUL, which ends it there.
fn key_text(text: &str) -> Vec<u8> {
    text.bytes().take(TEXT_MAX_BYTES).map(|byte| byte.max(1)).collect()
}

/// Everything under one exact text.
pub(crate) fn text_prefix(kind: u8, text: &str) -> Vec<u8> {
    join(kind, &[&key_text(text), &[0]])
}

/// Everything under texts that begin so.
pub(crate) fn text_beginning(kind: u8, text: &str) -> Vec<u8> {
    join(kind, &[&key_text(text)])
}

pub(crate) fn by_text(kind: u8, text: &str, place: &[u8]) -> Vec<u8> {
    join(kind, &[&key_text(text), &[0], place])
}

pub(crate) fn series(study: StudyId, number: [u8; 4], series_uid: &str) -> Vec<u8> {
    join(SERIES, &[&study.to_be_bytes(), &number, &pack_uid(series_uid)])
}

pub(crate) fn series_by_uid(series_uid: &str, study: StudyId) -> Vec<u8> {
    join(SERIES_BY_UID, &[&pack_uid(series_uid), &study.to_be_bytes()])
}

/// Instance number and SOP Instance UID: the place of an instance in its series.
pub(crate) fn instance_place(number: [u8; 4], sop_instance_uid: &str) -> Vec<u8> {
    let mut place = number.to_vec();
    place.extend_from_slice(&pack_uid(sop_instance_uid));
    place
}

pub(crate) fn instance(series: SeriesId, place: &[u8]) -> Vec<u8> {
    join(INSTANCE, &[&series.to_be_bytes(), place])
}

pub(crate) fn changes(generation: u64) -> Vec<u8> {
    join(CHANGES, &[&generation.to_be_bytes()])
}

pub(crate) fn generation_of_changes(key: &[u8]) -> Option<u64> {
    let generation = <[u8; 8]>::try_from(key.get(1..)?).ok()?;
    Some(u64::from_be_bytes(generation))
}

pub(crate) fn pack(series: SeriesId, pack: u64) -> Vec<u8> {
    join(PACK, &[&series.to_be_bytes(), &pack.to_be_bytes()])
}

/// The first key after all that begin with `prefix`; `None` when there is none.
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xFF {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn packed_uids_come_back_and_keep_their_order(a in "[0-9]{1,9}(\\.[0-9]{1,9}){0,5}", b in "[0-9]{1,9}(\\.[0-9]{1,9}){0,5}") {
            prop_assert_eq!(unpack_uid(&pack_uid(&a)), a.clone());
            prop_assert_eq!(pack_uid(&a).cmp(&pack_uid(&b)), a.cmp(&b));
        }

        #[test]
        fn numbers_keep_their_order(a: i32, b: i32) {
            prop_assert_eq!(ascending(&a.to_string()).cmp(&ascending(&b.to_string())), a.cmp(&b));
        }
    }

    #[test]
    fn dates_sort_newest_first_and_undated_last() {
        assert!(newest_first("20240102") < newest_first("20240101"));
        assert!(newest_first("19000101") < newest_first(""));
        assert_eq!(newest_first("2024.1.1"), UNDATED);
    }

    #[test]
    fn absent_numbers_sort_last() {
        assert!(ascending("7") < ascending(""));
        assert!(ascending("-1") < ascending(" 3 "));
        assert!(ascending("99999999999") >= ascending("2147483646"));
    }
}
