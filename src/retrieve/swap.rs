//! Byte order of values in big endian data sets (PS3.5 §7.3).

use bytes::{Bytes, BytesMut};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};

use super::RetrieveError;

/// Bytes of one word of a value representation; 1 where the order of bytes does not matter.
pub(super) fn word_bytes(vr: &str) -> usize {
    match vr {
        "OW" | "US" | "SS" | "AT" => 2,
        "OF" | "OL" | "FL" | "SL" | "UL" => 4,
        "OD" | "OV" | "FD" | "SV" | "UV" => 8,
        _ => 1,
    }
}

/// Reverses each word. A last word that is not whole stays as it is.
pub(super) fn swapped(bytes: &[u8], word: usize) -> Bytes {
    let mut turned = BytesMut::from(bytes);
    if word > 1 {
        turned.chunks_exact_mut(word).for_each(<[u8]>::reverse);
    }
    turned.freeze()
}

/// Reverses each word of a stream that begins at the start of a word, however its pieces are cut.
pub(super) fn swapped_stream(
    pieces: BoxStream<'static, Result<Bytes, RetrieveError>>,
    word: usize,
) -> BoxStream<'static, Result<Bytes, RetrieveError>> {
    if word < 2 {
        return pieces;
    }
    let begun = BytesMut::new();
    stream::unfold(
        (pieces, begun, false),
        move |(mut pieces, mut begun, ended)| async move {
            if ended {
                return None;
            }
            match pieces.next().await {
                Some(Ok(piece)) => {
                    begun.extend_from_slice(&piece);
                    let whole = begun.len() - begun.len() % word;
                    let turned = swapped(&begun.split_to(whole), word);
                    Some((Ok(turned), (pieces, begun, false)))
                }
                Some(Err(error)) => Some((Err(error), (pieces, begun, true))),
                None if begun.is_empty() => None,
                None => Some((Ok(begun.split().freeze()), (pieces, begun, true))),
            }
        },
    )
    .boxed()
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, TryStreamExt};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn turns_whole_words() {
        assert_eq!(swapped(b"abcdef", 2), "badcfe");
        assert_eq!(swapped(b"abcdef", 4), "dcbaef");
        assert_eq!(swapped(b"abc", 1), "abc");
    }

    proptest! {
        #[test]
        fn a_stream_gives_what_the_whole_gives(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            size in 1_usize..20,
            word in prop_oneof![Just(1_usize), Just(2), Just(4), Just(8)],
        ) {
            let pieces: Vec<_> = bytes.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            let turned: Vec<Bytes> = swapped_stream(stream::iter(pieces).boxed(), word).try_collect().now_or_never().unwrap().unwrap();
            prop_assert_eq!(turned.concat(), swapped(&bytes, word));
        }
    }
}
