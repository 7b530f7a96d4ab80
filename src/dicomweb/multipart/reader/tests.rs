use futures_util::stream;
use proptest::prelude::*;

use super::*;
use crate::multipart::Boundary;

type Part = (PartHeaders, Vec<u8>);

/// Reads a whole body that comes in the given pieces.
fn read(pieces: Vec<Bytes>, boundary: &str) -> (Vec<Part>, Option<MultipartError>) {
    let body = stream::iter(pieces.into_iter().map(Ok::<_, BodyError>));
    let mut parts = Vec::new();
    let outcome = futures_util::FutureExt::now_or_never(async {
        let mut reader = MultipartReader::new(body, boundary)?;
        while let Some(headers) = reader.next_part().await? {
            let mut content = Vec::new();
            while let Some(piece) = reader.piece().await? {
                assert!(!piece.is_empty());
                content.extend_from_slice(&piece);
            }
            parts.push((headers, content));
        }
        Ok(())
    });
    (parts, outcome.expect("a body at hand never waits").err())
}

fn cut(body: &[u8], cuts: &[usize]) -> Vec<Bytes> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).collect();
    places.extend([0, body.len()]);
    places.sort_unstable();
    places
        .windows(2)
        .map(|pair| Bytes::copy_from_slice(&body[pair[0]..pair[1]]))
        .collect()
}

#[track_caller]
fn check(body: &[u8], boundary: &str, contents: &[&[u8]], error: Option<MultipartError>) {
    // In one piece, byte by byte, and in every cut into two.
    let mut ways = vec![
        vec![Bytes::copy_from_slice(body)],
        cut(body, &(0..body.len()).collect::<Vec<_>>()),
    ];
    ways.extend((0..body.len()).map(|at| cut(body, &[at])));
    for pieces in ways {
        let (parts, outcome) = read(pieces, boundary);
        let got: Vec<&[u8]> = parts.iter().map(|(_, content)| content.as_slice()).collect();
        assert_eq!(got, contents);
        assert_eq!(outcome, error);
    }
}

#[test]
fn reads_parts_between_delimiters() {
    check(
        b"--x\r\nContent-Type: a/b\r\n\r\none\r\n--x\r\n\r\n\r\n--x--\r\n",
        "x",
        &[b"one", b""],
        None,
    );
    check(b"\r\n--x\r\nA: b\r\n\r\none\r\n--x--", "x", &[b"one"], None);
}

#[test]
fn skips_preamble_and_epilogue() {
    check(
        b"preamble text\r\n--x y\r\nA: b\r\n\r\none\r\n--x y--\r\nepilogue --x y\r\n--x y\r\n",
        "x y",
        &[b"one"],
        None,
    );
}

#[test]
fn padding_after_a_delimiter_is_skipped() {
    check(
        b"--x \t\r\nA: b\r\n\r\none\r\n--x  \r\n\r\ntwo\r\n--x-- \r\n",
        "x",
        &[b"one", b"two"],
        None,
    );
}

#[test]
fn what_only_looks_like_a_delimiter_is_content() {
    check(
        b"--x\r\n\r\none\n--x\r\n--xy\r\n--x--",
        "x",
        &[b"one\n--x\r\n--xy"],
        None,
    );
    check(
        b"--x\r\n\r\n\r\n--\r\n--y--\r\r\n--x--",
        "x",
        &[b"\r\n--\r\n--y--\r"],
        None,
    );
    check(b"--x\r\n\r\n--x--", "x", &[], Some(MultipartError::Truncated(1)));
}

#[test]
fn bare_line_feeds_hold_for_a_body_that_begins_with_them() {
    check(
        b"--x\nContent-Type: a/b\n\none\r\n--x\n\ntwo\n--x--\n",
        "x",
        &[b"one\r", b"two"],
        None,
    );
}

#[test]
fn a_body_that_breaks_off_says_in_which_part() {
    check(
        b"--x\r\n\r\none\r\n--x\r\n\r\ntw",
        "x",
        &[b"one"],
        Some(MultipartError::Truncated(2)),
    );
    check(
        b"--x\r\n\r\none\r\n--x\r\nA: b\r\n",
        "x",
        &[b"one"],
        Some(MultipartError::Truncated(2)),
    );
    check(b"--x\r\n\r\none\r\n--x", "x", &[], Some(MultipartError::Truncated(1)));
}

#[test]
fn a_body_without_parts_is_refused() {
    check(b"", "x", &[], Some(MultipartError::NoPart));
    check(b"no delimiter\r\n--y\r\n", "x", &[], Some(MultipartError::NoPart));
    check(b"--x--\r\n", "x", &[], None);
}

#[test]
fn endless_preamble_and_headers_are_cut_short() {
    let endless = |first: &'static [u8]| {
        let mut pieces = vec![Bytes::from_static(first)];
        pieces.extend((0..1000).map(|_| Bytes::from_static(&[b'a'; 8192])));
        pieces
    };
    assert_eq!(read(endless(b""), "x").1, Some(MultipartError::NoPart));
    assert_eq!(read(endless(b"--x\r\n"), "x").1, Some(MultipartError::Headers(1)));
}

#[test]
fn a_boundary_must_be_one() {
    for boundary in ["", "a\r\nb", &"x".repeat(201)] {
        assert_eq!(read(Vec::new(), boundary).1, Some(MultipartError::Boundary));
    }
}

/// Content that is rich in line ends, dashes and boundaries.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        Just(b"\r".to_vec()),
        Just(b"--".to_vec()),
        Just(b"\r\n--".to_vec()),
        Just(b"\r\n--bound".to_vec()),
        Just(b"\n--boundary".to_vec()),
        Just(b"\r\n--boundary1".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..40),
    ];
    proptest::collection::vec(piece, 0..12)
        .prop_map(|pieces| pieces.concat())
        .prop_filter("holds the delimiter itself", |content| {
            let ended = [content.as_slice(), b"\r\n"].concat();
            memchr::memmem::find_iter(&ended, b"\r\n--boundary").all(|at| ended.get(at + 12) == Some(&b'1'))
        })
}

proptest! {
    #[test]
    fn any_chunking_gives_the_parts_that_were_written(
        contents in proptest::collection::vec(content(), 1..5),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let mut body = Vec::new();
        for (index, content) in contents.iter().enumerate() {
            if index > 0 {
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"--boundary\r\nContent-Type: application/dicom\r\n\r\n");
            body.extend_from_slice(content);
        }
        body.extend_from_slice(b"\r\n--boundary--\r\n");
        let (parts, error) = read(cut(&body, &cuts), "boundary");
        prop_assert_eq!(error, None);
        let got: Vec<_> = parts.into_iter().map(|(_, content)| content).collect();
        prop_assert_eq!(got, contents);
    }

    #[test]
    fn what_the_writer_frames_the_reader_gives_back(
        contents in proptest::collection::vec(content(), 1..5),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let boundary = Boundary::random();
        let mut body = Vec::new();
        for (index, content) in contents.iter().enumerate() {
            body.extend_from_slice(&boundary.open(index == 0, "a/b; c=d", Some(content.len() as u64), Some("e")));
            body.extend_from_slice(content);
        }
        body.extend_from_slice(&boundary.close());
        let (parts, error) = read(cut(&body, &cuts), boundary.as_str());
        prop_assert_eq!(error, None);
        prop_assert_eq!(parts.len(), contents.len());
        for ((headers, got), content) in parts.iter().zip(&contents) {
            prop_assert_eq!(got, content);
            prop_assert_eq!(headers.content_length, Some(content.len() as u64));
            prop_assert_eq!(headers.content_location.as_deref(), Some("e"));
        }
    }

    #[test]
    fn any_bytes_give_the_same_in_any_chunking(
        body in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..400),
            proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'x'), Just(b':')], 0..200),
        ],
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        let whole = read(vec![Bytes::copy_from_slice(&body)], "x");
        let pieces = read(cut(&body, &cuts), "x");
        prop_assert_eq!(whole, pieces);
    }
}
