//! Whatever comes, an answer goes: no panic, no hang, nothing unbounded.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::frame::{FrameError, Frames};

/// Messages with something wrong anywhere in them.
fn odd() -> impl Strategy<Value = Vec<u8>> {
    let good = adt(
        "A03",
        "1",
        "20230510120000",
        &[
            "PID|1||A1^^^H&1.2&ISO^MR~B||DOE^ANN||19500203|F",
            "PV1|1|I|||||||||||||||||V1|||||||||||||||||||||||||20230510|20230511",
        ],
    );
    let bytes = good.into_bytes();
    let edits = prop::collection::vec(
        (
            0..bytes.len(),
            prop_oneof![Just(b'|'), Just(b'^'), Just(b'\\'), Just(b'\r'), any::<u8>()],
        ),
        0..6,
    );
    let edited = edits.prop_map(move |edits| {
        let mut edited = bytes.clone();
        for (place, byte) in edits {
            edited[place] = byte;
        }
        edited
    });
    prop_oneof![4 => edited, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_message_is_answered_once(messages in prop::collection::vec(odd(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let room = Room::new(of_his()).await;
            for message in &messages {
                let answers = room.door.answer(message, local()).await;
                for answer in &answers {
                    let text = String::from_utf8_lossy(answer);
                    let codes = text.split('\r').filter(|line| line.starts_with("MSA|")).count();
                    assert!(text.starts_with("MSH|^~\\&|") && codes == 1, "{text}");
                    assert!(!answer.contains(&0x1C) && !answer.contains(&0x0B));
                }
            }
        });
    }

    #[test]
    fn blocks_are_cut_wherever_they_are_split(
        messages in prop::collection::vec(prop::collection::vec(any::<u8>().prop_filter("ends a block", |byte| *byte != 0x1C), 0..200), 0..5),
        step in 1_usize..50,
    ) {
        let mut stream = Vec::new();
        for message in &messages {
            stream.push(0x0B);
            stream.extend_from_slice(message);
            stream.extend_from_slice(&[0x1C, 0x0D]);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(async {
            let mut builder = tokio_test_stream(stream, step);
            let mut frames = Frames::new(&mut builder, 1000);
            let mut found = Vec::new();
            while frames.begun().await.unwrap() {
                found.push(frames.rest().await.unwrap());
            }
            found
        });
        prop_assert_eq!(found, messages);
    }
}

/// A stream that gives so many bytes at a time.
fn tokio_test_stream(bytes: Vec<u8>, step: usize) -> Slowly {
    Slowly {
        bytes: Cursor::new(bytes),
        step,
    }
}

struct Slowly {
    bytes: Cursor<Vec<u8>>,
    step: usize,
}

impl tokio::io::AsyncRead for Slowly {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let from = usize::try_from(self.bytes.position()).unwrap();
        let all = self.bytes.get_ref();
        let to = all.len().min(from + self.step.min(buffer.remaining()));
        buffer.put_slice(&all[from..to]);
        self.bytes.set_position(to as u64);
        std::task::Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn what_is_no_block_or_too_long_is_refused() {
    let read = async |bytes: &[u8]| {
        let mut frames = Frames::new(bytes, 10);
        match frames.begun().await {
            Ok(true) => frames.rest().await,
            Ok(false) => Ok(b"none".to_vec()),
            Err(error) => Err(error),
        }
    };
    assert_eq!(read(b"").await.unwrap(), b"none");
    assert_eq!(read(b"\r\n\x0Bsome\x1C\r").await.unwrap(), b"some");
    assert!(matches!(read(b"GET / HTTP/1.1\r\n").await, Err(FrameError::NoBlock)));
    assert!(matches!(read(&[b'\n'; 1000]).await, Err(FrameError::NoBlock)));
    assert!(matches!(read(b"\x0Bsome").await, Err(FrameError::Cut)));
    assert!(
        matches!(read(b"\x0Bsome that is long").await, Err(FrameError::TooLong(begins)) if begins.starts_with(b"some"))
    );
    assert!(matches!(
        read(b"\x0Bsome that is long\x1C\r").await,
        Err(FrameError::TooLong(_))
    ));
}
