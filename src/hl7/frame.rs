//! Blocks of the Minimal Lower Layer Protocol (HL7 v2.5.1 appendix C): `<VT> message <FS> <CR>`.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Begins a block.
const VT: u8 = 0x0B;
/// Ends it, with a carriage return behind.
const FS: u8 = 0x1C;
const CR: u8 = 0x0D;
/// Bytes between two blocks at most: some senders put line ends there, none puts more.
const BETWEEN_BYTES_MAX: usize = 64;
/// Read at one time.
const READ_BYTES: usize = 8 << 10;

/// Why no message came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The peer closed in the middle of a message.
    #[error("the connection was closed within a message")]
    Cut,
    /// What came is no block.
    #[error("what came does not begin with 0BH: this port speaks HL7 over MLLP")]
    NoBlock,
    /// It is too long; its beginning.
    #[error("the message is longer than what is taken")]
    TooLong(Vec<u8>),
    /// It took too long.
    #[error("the message did not come to its end in time")]
    Slow,
    /// The line broke.
    #[error(transparent)]
    Line(#[from] std::io::Error),
}

/// Cuts messages out of a stream.
pub(crate) struct Frames<R> {
    stream: R,
    buffer: Vec<u8>,
    message_max_bytes: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub(crate) fn new(stream: R, message_max_bytes: usize) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            message_max_bytes,
        }
    }

    pub(crate) fn stream(&mut self) -> &mut R {
        &mut self.stream
    }

    /// Waits for a message to begin; `false` when the peer closed. Nothing is lost when it is dropped half way.
    pub(crate) async fn begun(&mut self) -> Result<bool, FrameError> {
        loop {
            let blank = self
                .buffer
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n' | 0))
                .count();
            match self.buffer.get(blank) {
                Some(&VT) => {
                    self.buffer.drain(..=blank);
                    return Ok(true);
                }
                Some(_) => return Err(FrameError::NoBlock),
                None if blank > BETWEEN_BYTES_MAX => return Err(FrameError::NoBlock),
                None => {}
            }
            if self.more().await? == 0 {
                return Ok(false);
            }
        }
    }

    /// The message that began.
    pub(crate) async fn rest(&mut self) -> Result<Vec<u8>, FrameError> {
        let mut looked = 0;
        loop {
            let new = self.buffer.get(looked..).unwrap_or_default();
            if let Some(place) = new.iter().position(|byte| *byte == FS) {
                let end = looked + place;
                if end > self.message_max_bytes {
                    return Err(FrameError::TooLong(self.buffer.drain(..end).collect()));
                }
                let message = self.buffer.drain(..=end).take(end).collect();
                return Ok(message);
            }
            looked = self.buffer.len();
            if looked > self.message_max_bytes {
                return Err(FrameError::TooLong(std::mem::take(&mut self.buffer)));
            }
            if self.more().await? == 0 {
                return Err(FrameError::Cut);
            }
        }
    }

    async fn more(&mut self) -> Result<usize, FrameError> {
        self.buffer.reserve(READ_BYTES);
        let room = READ_BYTES as u64;
        Ok((&mut self.stream).take(room).read_buf(&mut self.buffer).await?)
    }
}

/// Writes one message as a block, in one piece.
pub(crate) async fn write<W: AsyncWrite + Unpin>(stream: &mut W, message: &[u8]) -> std::io::Result<()> {
    let mut block = Vec::with_capacity(message.len() + 3);
    block.push(VT);
    block.extend_from_slice(message);
    block.extend_from_slice(&[FS, CR]);
    stream.write_all(&block).await?;
    stream.flush().await
}
