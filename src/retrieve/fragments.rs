//! Fragments of encapsulated pixel data (PS3.5 §A.4).

use bytes::{Bytes, BytesMut};
use filmroom_storage::store::StoreError;

use super::RetrieveError;

const ITEM: [u8; 4] = [0xFE, 0xFF, 0x00, 0xE0];

/// Takes the item headers out of a run of whole fragments. One fragment is given without a copy.
pub(super) fn without_item_headers(run: &Bytes) -> Result<Bytes, RetrieveError> {
    let (first, rest) = first_fragment(run)?;
    if rest.is_empty() {
        return Ok(first);
    }
    let mut joined = BytesMut::with_capacity(run.len());
    joined.extend_from_slice(&first);
    let mut rest = rest;
    while !rest.is_empty() {
        let (fragment, after) = first_fragment(&rest)?;
        joined.extend_from_slice(&fragment);
        rest = after;
    }
    Ok(joined.freeze())
}

/// What follows the Basic Offset Table, which is the first item.
pub(super) fn behind_offset_table(value: &Bytes) -> Result<Bytes, RetrieveError> {
    first_fragment(value).map(|(_, fragments)| fragments)
}

fn first_fragment(run: &Bytes) -> Result<(Bytes, Bytes), RetrieveError> {
    let damaged = || StoreError::Damaged("a fragment of pixel data has no item header".to_owned());
    let (head, _) = run.split_first_chunk::<8>().ok_or_else(damaged)?;
    let [t0, t1, t2, t3, l0, l1, l2, l3] = *head;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let end = length.saturating_add(8);
    if [t0, t1, t2, t3] != ITEM || end > run.len() {
        return Err(damaged().into());
    }
    Ok((run.slice(8..end), run.slice(end..)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(fragments: &[&[u8]]) -> Bytes {
        let mut run = Vec::new();
        for fragment in fragments {
            run.extend_from_slice(&ITEM);
            run.extend_from_slice(&(fragment.len() as u32).to_le_bytes());
            run.extend_from_slice(fragment);
        }
        run.into()
    }

    #[test]
    fn joins_fragments() {
        assert_eq!(without_item_headers(&run(&[b"one"])).unwrap(), "one");
        assert_eq!(without_item_headers(&run(&[b"one", b"", b"two!"])).unwrap(), "onetwo!");
    }

    #[test]
    fn says_when_there_is_no_item() {
        assert!(without_item_headers(&Bytes::new()).is_err());
        assert!(without_item_headers(&run(&[b"one"]).slice(..10)).is_err());
        assert!(without_item_headers(&Bytes::from_static(b"\xFE\xFF\xDD\xE0\0\0\0\0")).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_joined_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = without_item_headers(&Bytes::from(bytes));
        }
    }
}
