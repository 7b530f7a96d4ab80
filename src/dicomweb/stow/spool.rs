//! Bulk parts wait here for the data sets they belong to: in memory while they are few, in an unnamed file beyond.

use std::{io, ops::Range};

use bytes::{Bytes, BytesMut};
use tokio::{
    fs::File,
    io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
    sync::Mutex,
};

use super::instance::Pieces;

/// Memory for the bulk parts of one request.
const MEMORY_MAX_BYTES: u64 = 4 << 20;
/// Read from a file at a time.
const PIECE_BYTES: u64 = 256 << 10;

/// The memory that the parts of one request may still take.
pub(super) struct Spool {
    memory_left: u64,
}

/// A part that has come whole.
pub(super) struct Spooled {
    content: Content,
    length: u64,
}

enum Content {
    Memory(Bytes),
    File(Mutex<File>),
}

impl Spool {
    pub(super) fn new() -> Self {
        Self {
            memory_left: MEMORY_MAX_BYTES,
        }
    }

    /// Reads a part to its end. The outer error is the sender's, the inner one that of the file system.
    pub(super) async fn take<P: Pieces + Send>(&mut self, pieces: &mut P) -> Result<io::Result<Spooled>, P::Error> {
        let mut held = BytesMut::new();
        let mut file: Option<File> = None;
        let mut length = 0;
        while let Some(piece) = pieces.piece().await? {
            length += piece.len() as u64;
            if file.is_none() && length <= self.memory_left {
                held.extend_from_slice(&piece);
                continue;
            }
            let written = match &mut file {
                Some(file) => file.write_all(&piece).await,
                None => match spill(&held).await {
                    Ok(mut opened) => {
                        held = BytesMut::new();
                        let written = opened.write_all(&piece).await;
                        file = Some(opened);
                        written
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = written {
                return Ok(Err(error));
            }
        }
        let content = match file {
            Some(mut file) => match file.flush().await {
                Ok(()) => Content::File(Mutex::new(file)),
                Err(error) => return Ok(Err(error)),
            },
            None => {
                self.memory_left -= length.min(self.memory_left);
                Content::Memory(held.freeze())
            }
        };
        Ok(Ok(Spooled { content, length }))
    }
}

async fn spill(held: &[u8]) -> io::Result<File> {
    let file = tokio::task::spawn_blocking(tempfile::tempfile)
        .await
        .map_err(io::Error::other)??;
    let mut file = File::from_std(file);
    file.write_all(held).await?;
    Ok(file)
}

impl Spooled {
    /// Bytes at hand; in a file where they are many.
    pub(super) async fn of(bytes: Bytes) -> io::Result<Self> {
        let length = bytes.len() as u64;
        let content = if length <= PIECE_BYTES {
            Content::Memory(bytes)
        } else {
            let mut file = spill(&bytes).await?;
            file.flush().await?;
            Content::File(Mutex::new(file))
        };
        Ok(Self { content, length })
    }

    /// All of it, in memory.
    pub(super) async fn whole(&self) -> io::Result<Vec<u8>> {
        let mut whole = Vec::with_capacity(usize::try_from(self.length).unwrap_or_default());
        while (whole.len() as u64) < self.length {
            let piece = self.read(whole.len() as u64..u64::MAX).await?;
            if piece.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// Bytes of the part.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Up to [`PIECE_BYTES`] of a range; empty at its end.
    pub(super) async fn read(&self, range: Range<u64>) -> io::Result<Bytes> {
        let end = range.end.min(self.length).min(range.start.saturating_add(PIECE_BYTES));
        if range.start >= end {
            return Ok(Bytes::new());
        }
        match &self.content {
            Content::Memory(bytes) => Ok(bytes.slice(range.start as usize..end as usize)),
            Content::File(file) => {
                let mut file = file.lock().await;
                file.seek(io::SeekFrom::Start(range.start)).await?;
                let mut buffer = BytesMut::zeroed((end - range.start) as usize);
                file.read_exact(&mut buffer).await?;
                Ok(buffer.freeze())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Given(Vec<Bytes>);

    impl Pieces for Given {
        type Error = std::convert::Infallible;

        async fn piece(&mut self) -> Result<Option<Bytes>, Self::Error> {
            Ok(self.0.pop())
        }
    }

    async fn check(pieces: usize, piece_bytes: usize) {
        let mut spool = Spool::new();
        let given = (0..pieces)
            .map(|index| Bytes::from(vec![index as u8; piece_bytes]))
            .collect::<Vec<_>>();
        let expected: Vec<u8> = given.iter().rev().flatten().copied().collect();
        let spooled = spool.take(&mut Given(given)).await.unwrap().unwrap();
        assert_eq!(spooled.length(), expected.len() as u64);
        let mut got = Vec::new();
        loop {
            let piece = spooled.read(got.len() as u64..u64::MAX).await.unwrap();
            if piece.is_empty() {
                break;
            }
            got.extend_from_slice(&piece);
        }
        assert!(got == expected);
    }

    #[tokio::test]
    async fn gives_back_what_came() {
        check(0, 0).await;
        check(3, 1000).await;
        check(20, 1 << 20).await;
    }
}
