//! Reads a multipart body part by part, piece by piece. Nothing is held but the piece that came last.

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use memchr::memmem::Finder;

use super::{BodyError, PartHeaders};

/// Header block of one part, in bytes. Real clients send less than 500.
const HEADERS_MAX_BYTES: usize = 16 << 10;
/// Text before the first part, in bytes. Mail programs put a line there; more is no multipart body.
const PREAMBLE_MAX_BYTES: usize = 64 << 10;
/// Text after the last part that is read, so that the connection can be used again.
const EPILOGUE_MAX_BYTES: usize = 64 << 10;
/// White space between a delimiter and its line end (RFC 2046 §5.1.1, transport padding).
const PADDING_MAX_BYTES: usize = 256;
/// RFC 2046 §5.1.1 allows 70; some clients take more.
const BOUNDARY_MAX_BYTES: usize = 200;
/// Bytes taken from a new piece when something of the last one is left, so that little is copied.
const JOIN_BYTES: usize = 4 << 10;

/// Why a body is no multipart body, or no whole one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// The boundary parameter is missing, empty or too long.
    #[error("the Content-Type has no usable boundary parameter")]
    Boundary,
    /// No delimiter line where the first part should begin.
    #[error("the body does not begin with a part: no line with the boundary was found")]
    NoPart,
    /// The header block of a part does not end.
    #[error("the header of part {0} is longer than {HEADERS_MAX_BYTES} bytes")]
    Headers(usize),
    /// The body ended without its closing delimiter.
    #[error("the body ends within part {0}: the closing boundary is missing")]
    Truncated(usize),
    /// More parts than are taken in one request.
    #[error("the body has more than {0} parts: store in several requests")]
    Parts(usize),
    /// The connection failed.
    #[error("the body could not be received: {0}")]
    Body(BodyError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first delimiter.
    Preamble,
    /// Behind a header block.
    Content,
    /// Behind a delimiter and its line end.
    Headers,
    /// Behind the closing delimiter.
    Closed,
}

/// How lines end, decided by the first delimiter: by the standard with CRLF; a body whose first delimiter line ends with a
/// bare LF is read with LF throughout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEnd {
    CrLf,
    Lf,
}

enum Delimiter {
    /// So many bytes from the start of the match up to the end of the delimiter's line.
    Open(usize),
    Close(usize),
    /// The match is content.
    None,
    More,
}

/// Reads parts from a stream of bytes.
///
/// Call [`next_part`](Self::next_part), then [`piece`](Self::piece) until it gives `None`; a part that is not read to its
/// end is skipped by the next `next_part`. Dropping a future of either loses nothing that was not handed out.
#[derive(Debug)]
pub struct MultipartReader<S> {
    body: S,
    /// What came and was not handed out yet.
    buffer: Bytes,
    /// Came after `buffer`.
    behind: Bytes,
    ended: bool,
    state: State,
    line_end: LineEnd,
    delimiter: Finder<'static>,
    /// Parts begun.
    part: usize,
}

impl<S, E> MultipartReader<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<BodyError>,
{
    /// Begins a body.
    ///
    /// # Errors
    /// [`MultipartError::Boundary`].
    pub fn new(body: S, boundary: &str) -> Result<Self, MultipartError> {
        if boundary.is_empty() || boundary.len() > BOUNDARY_MAX_BYTES || boundary.contains(['\r', '\n']) {
            return Err(MultipartError::Boundary);
        }
        // The first delimiter may stand at the very start of the body: a line end is put before it.
        Ok(Self {
            body,
            buffer: Bytes::from_static(b"\r\n"),
            behind: Bytes::new(),
            ended: false,
            state: State::Preamble,
            line_end: LineEnd::Lf,
            delimiter: Finder::new(&format!("\n--{boundary}")).into_owned(),
            part: 0,
        })
    }

    /// Skips what is left of the current part and reads the header of the next one. `None` after the last part.
    ///
    /// # Errors
    /// [`MultipartError`]: nothing more can be read.
    pub async fn next_part(&mut self) -> Result<Option<PartHeaders>, MultipartError> {
        match self.state {
            State::Preamble => self.skip_preamble().await?,
            State::Content => while self.piece().await?.is_some() {},
            State::Headers | State::Closed => {}
        }
        if self.state == State::Closed {
            self.skip_epilogue().await;
            return Ok(None);
        }
        self.part += 1;
        let headers = self.headers().await?;
        self.state = State::Content;
        Ok(Some(headers))
    }

    /// The next bytes of the current part's content, `None` at its end.
    ///
    /// # Errors
    /// [`MultipartError::Truncated`], [`MultipartError::Body`].
    pub async fn piece(&mut self) -> Result<Option<Bytes>, MultipartError> {
        match self.state {
            State::Content => self.content().await,
            _ => Ok(None),
        }
    }

    async fn content(&mut self) -> Result<Option<Bytes>, MultipartError> {
        // Matches before this place are known to be content.
        let mut from = 0;
        loop {
            let found = self
                .buffer
                .get(from..)
                .and_then(|bytes| self.delimiter.find(bytes))
                .map(|at| at + from);
            let Some(at) = found else {
                let keep = self.tail_to_keep();
                if self.buffer.len() > keep {
                    return Ok(Some(self.buffer.split_to(self.buffer.len() - keep)));
                }
                self.more().await?;
                continue;
            };
            let content_end = self.content_end(at);
            match self.delimiter_at(at) {
                Delimiter::None => from = at + 1,
                Delimiter::More if content_end > 0 => return Ok(Some(self.buffer.split_to(content_end))),
                Delimiter::More => self.more().await?,
                Delimiter::Open(length) => return Ok(self.end_content(content_end, at + length, State::Headers)),
                Delimiter::Close(length) => return Ok(self.end_content(content_end, at + length, State::Closed)),
            }
        }
    }

    fn end_content(&mut self, content_end: usize, line_end: usize, state: State) -> Option<Bytes> {
        let line = self.buffer.split_to(line_end);
        if self.state == State::Preamble && line.ends_with(b"\r\n") {
            self.line_end = LineEnd::CrLf;
        }
        self.state = state;
        (content_end > 0).then(|| line.slice(..content_end))
    }

    /// Where the content ends whose delimiter's LF stands at `at`.
    fn content_end(&self, at: usize) -> usize {
        let cr = at
            .checked_sub(1)
            .filter(|before| self.buffer.get(*before) == Some(&b'\r'));
        match (self.line_end, cr) {
            (LineEnd::CrLf, Some(cr)) => cr,
            _ => at,
        }
    }

    /// What stands at a match of the delimiter.
    fn delimiter_at(&self, at: usize) -> Delimiter {
        let length = self.delimiter.needle().len();
        // In a body with CRLF, a bare LF before the dashes is content.
        let is_line_start = self.line_end == LineEnd::Lf || (at > 0 && self.buffer.get(at - 1) == Some(&b'\r'));
        if !is_line_start {
            return Delimiter::None;
        }
        let Some(after) = self.buffer.get(at + length..) else {
            return Delimiter::More;
        };
        match after {
            [b'-', b'-', ..] => return Delimiter::Close(length + 2),
            [] | [b'-'] if !self.ended => return Delimiter::More,
            _ => {}
        }
        let padding = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if padding > PADDING_MAX_BYTES {
            return Delimiter::None;
        }
        match after.get(padding..) {
            Some([b'\r', b'\n', ..]) => Delimiter::Open(length + padding + 2),
            Some([b'\n', ..]) => Delimiter::Open(length + padding + 1),
            Some([] | [b'\r']) if !self.ended => Delimiter::More,
            _ => Delimiter::None,
        }
    }

    /// Bytes at the end of the buffer that may be the start of a delimiter.
    fn tail_to_keep(&self) -> usize {
        let needle = self.delimiter.needle();
        let longest = needle.len().min(self.buffer.len());
        let tail = self.buffer.get(self.buffer.len() - longest..).unwrap_or_default();
        let begun = memchr::memchr_iter(b'\n', tail)
            .filter_map(|at| tail.get(at..))
            .find(|begun| needle.starts_with(begun))
            .map_or(0, <[u8]>::len);
        let before = self.buffer.len() - begun;
        let cr = before
            .checked_sub(1)
            .is_some_and(|at| self.buffer.get(at) == Some(&b'\r'));
        begun + usize::from(cr)
    }

    async fn skip_preamble(&mut self) -> Result<(), MultipartError> {
        let mut skipped = 0;
        // Read as content up to the first delimiter; the line end that it has holds from then on.
        while self.state == State::Preamble {
            match self.content().await {
                Ok(piece) => skipped += piece.map_or(0, |piece| piece.len()),
                Err(MultipartError::Truncated(_)) => return Err(MultipartError::NoPart),
                Err(error) => return Err(error),
            }
            if skipped > PREAMBLE_MAX_BYTES {
                return Err(MultipartError::NoPart);
            }
        }
        Ok(())
    }

    async fn skip_epilogue(&mut self) {
        let mut skipped = self.buffer.len() + self.behind.len();
        self.buffer.clear();
        self.behind.clear();
        while skipped <= EPILOGUE_MAX_BYTES && !self.ended {
            match self.body.next().await {
                Some(Ok(piece)) => skipped += piece.len(),
                Some(Err(_)) | None => self.ended = true,
            }
        }
    }

    async fn headers(&mut self) -> Result<PartHeaders, MultipartError> {
        let mut searched = 0;
        loop {
            if let Some((length, consumed)) = header_block_end(&self.buffer, &mut searched) {
                let block = self.buffer.split_to(consumed);
                return Ok(PartHeaders::parse(block.get(..length).unwrap_or_default()));
            }
            if self.buffer.len() > HEADERS_MAX_BYTES {
                return Err(MultipartError::Headers(self.part));
            }
            self.more().await?;
        }
    }

    /// Gets more bytes behind those in the buffer.
    async fn more(&mut self) -> Result<(), MultipartError> {
        while self.behind.is_empty() {
            if self.ended {
                return Err(MultipartError::Truncated(self.part));
            }
            match self.body.next().await {
                Some(Ok(piece)) => self.behind = piece,
                Some(Err(error)) => {
                    self.ended = true;
                    return Err(MultipartError::Body(error.into()));
                }
                None => {
                    // What is left may be a closing delimiter that needed a look further.
                    self.ended = true;
                    return Ok(());
                }
            }
        }
        if self.buffer.is_empty() {
            self.buffer = std::mem::take(&mut self.behind);
            return Ok(());
        }
        let more = self.behind.split_to(self.behind.len().min(JOIN_BYTES));
        let mut joined = BytesMut::with_capacity(self.buffer.len() + more.len());
        joined.extend_from_slice(&self.buffer);
        joined.extend_from_slice(&more);
        self.buffer = joined.freeze();
        Ok(())
    }
}

/// Length of the header block and the bytes up to the content, once the empty line is there.
fn header_block_end(buffer: &[u8], searched: &mut usize) -> Option<(usize, usize)> {
    match buffer {
        [b'\r', b'\n', ..] => return Some((0, 2)),
        [b'\n', ..] => return Some((0, 1)),
        _ => {}
    }
    for at in memchr::memchr_iter(b'\n', buffer.get(*searched..)?).map(|at| at + *searched) {
        match buffer.get(at + 1..) {
            Some([b'\r', b'\n', ..]) => return Some((at, at + 3)),
            Some([b'\n', ..]) => return Some((at, at + 2)),
            _ => {}
        }
    }
    *searched = buffer.len().saturating_sub(3);
    None
}

#[cfg(test)]
mod tests;
