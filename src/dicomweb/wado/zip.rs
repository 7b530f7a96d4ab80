//! A ZIP archive written as a stream (APPNOTE 6.3.9): entries are stored, sizes follow each entry.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use time::OffsetDateTime;

use filmroom_retrieve::RetrieveError;

/// What goes into the archive.
pub struct Entry {
    /// Path in the archive: plain ASCII, `/` between folders, at most 250 characters.
    pub name: String,
    /// When it was last changed.
    pub modified_at: OffsetDateTime,
    /// Bytes, where known.
    pub length: Option<u64>,
    /// The bytes.
    pub content: BoxStream<'static, Result<Bytes, RetrieveError>>,
}

/// Sizes and offsets from here on need the 64-bit records.
const ZIP64_FROM: u64 = 0xFFFF_FFFF;
/// "Sizes follow the entry" and "names are UTF-8".
const FLAGS: u16 = 1 << 3 | 1 << 11;

/// What the directory at the end says of an entry.
struct Written {
    name: String,
    date: u16,
    time: u16,
    crc: u32,
    length: u64,
    offset: u64,
}

struct Archive {
    entries: BoxStream<'static, Result<Entry, RetrieveError>>,
    current: Option<Current>,
    written: Vec<Written>,
    /// Bytes so far.
    at: u64,
    is_done: bool,
}

struct Current {
    content: BoxStream<'static, Result<Bytes, RetrieveError>>,
    hash: crc32fast::Hasher,
    is_zip64: bool,
    written: Written,
}

/// The bytes of the archive.
pub fn write(
    entries: BoxStream<'static, Result<Entry, RetrieveError>>,
) -> impl Stream<Item = Result<Bytes, RetrieveError>> + Send + 'static {
    let archive = Archive {
        entries,
        current: None,
        written: Vec::new(),
        at: 0,
        is_done: false,
    };
    stream::try_unfold(archive, |mut archive| async move {
        let piece = archive.next_piece().await?;
        Ok(piece.map(|piece| {
            archive.at += piece.len() as u64;
            (piece, archive)
        }))
    })
}

impl Archive {
    async fn next_piece(&mut self) -> Result<Option<Bytes>, RetrieveError> {
        if self.is_done {
            return Ok(None);
        }
        if let Some(mut current) = self.current.take() {
            return Ok(Some(match current.content.next().await {
                Some(piece) => {
                    let piece = piece?;
                    current.hash.update(&piece);
                    current.written.length += piece.len() as u64;
                    self.current = Some(current);
                    piece
                }
                None => self.end_entry(current),
            }));
        }
        match self.entries.next().await {
            Some(entry) => Ok(Some(self.begin_entry(entry?))),
            None => {
                self.is_done = true;
                Ok(Some(self.directory()))
            }
        }
    }

    fn begin_entry(&mut self, entry: Entry) -> Bytes {
        let is_zip64 = entry.length.is_none_or(|length| length >= ZIP64_FROM);
        let (date, time) = dos_time(entry.modified_at);
        let mut head = BytesMut::with_capacity(80 + entry.name.len());
        head.put_u32_le(0x0403_4B50);
        head.put_u16_le(if is_zip64 { 45 } else { 20 });
        head.put_u16_le(FLAGS);
        head.put_u16_le(0);
        head.put_u16_le(time);
        head.put_u16_le(date);
        head.put_u32_le(0);
        let size = if is_zip64 { ZIP64_FROM as u32 } else { 0 };
        head.put_u32_le(size);
        head.put_u32_le(size);
        head.put_u16_le(entry.name.len() as u16);
        head.put_u16_le(if is_zip64 { 20 } else { 0 });
        head.put_slice(entry.name.as_bytes());
        if is_zip64 {
            head.put_u16_le(1);
            head.put_u16_le(16);
            head.put_u64_le(0);
            head.put_u64_le(0);
        }
        self.current = Some(Current {
            content: entry.content,
            hash: crc32fast::Hasher::new(),
            is_zip64,
            written: Written {
                name: entry.name,
                date,
                time,
                crc: 0,
                length: 0,
                offset: self.at,
            },
        });
        head.freeze()
    }

    fn end_entry(&mut self, current: Current) -> Bytes {
        let mut written = current.written;
        written.crc = current.hash.finalize();
        let mut tail = BytesMut::with_capacity(24);
        tail.put_u32_le(0x0807_4B50);
        tail.put_u32_le(written.crc);
        if current.is_zip64 {
            tail.put_u64_le(written.length);
            tail.put_u64_le(written.length);
        } else {
            tail.put_u32_le(written.length as u32);
            tail.put_u32_le(written.length as u32);
        }
        self.written.push(written);
        tail.freeze()
    }

    fn directory(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.written.len() * 256 + 128);
        for entry in &self.written {
            let is_zip64 = entry.length >= ZIP64_FROM || entry.offset >= ZIP64_FROM;
            let narrow = |value: u64| if is_zip64 { ZIP64_FROM as u32 } else { value as u32 };
            out.put_u32_le(0x0201_4B50);
            out.put_u16_le(45);
            out.put_u16_le(if is_zip64 { 45 } else { 20 });
            out.put_u16_le(FLAGS);
            out.put_u16_le(0);
            out.put_u16_le(entry.time);
            out.put_u16_le(entry.date);
            out.put_u32_le(entry.crc);
            out.put_u32_le(narrow(entry.length));
            out.put_u32_le(narrow(entry.length));
            out.put_u16_le(entry.name.len() as u16);
            out.put_u16_le(if is_zip64 { 28 } else { 0 });
            out.put_u16_le(0);
            out.put_u16_le(0);
            out.put_u16_le(0);
            out.put_u32_le(0);
            out.put_u32_le(narrow(entry.offset));
            out.put_slice(entry.name.as_bytes());
            if is_zip64 {
                out.put_u16_le(1);
                out.put_u16_le(24);
                out.put_u64_le(entry.length);
                out.put_u64_le(entry.length);
                out.put_u64_le(entry.offset);
            }
        }
        let length = out.len() as u64;
        let count = self.written.len() as u64;
        if count >= 0xFFFF || self.at >= ZIP64_FROM || length >= ZIP64_FROM {
            out.put_u32_le(0x0606_4B50);
            out.put_u64_le(44);
            out.put_u16_le(45);
            out.put_u16_le(45);
            out.put_u32_le(0);
            out.put_u32_le(0);
            out.put_u64_le(count);
            out.put_u64_le(count);
            out.put_u64_le(length);
            out.put_u64_le(self.at);
            out.put_u32_le(0x0706_4B50);
            out.put_u32_le(0);
            out.put_u64_le(self.at + length);
            out.put_u32_le(1);
        }
        out.put_u32_le(0x0605_4B50);
        out.put_u16_le(0);
        out.put_u16_le(0);
        out.put_u16_le(count.min(0xFFFF) as u16);
        out.put_u16_le(count.min(0xFFFF) as u16);
        out.put_u32_le(length.min(ZIP64_FROM) as u32);
        out.put_u32_le(self.at.min(ZIP64_FROM) as u32);
        out.put_u16_le(0);
        out.freeze()
    }
}

/// Date and time as ZIP has them: to two seconds, from 1980 on.
fn dos_time(at: OffsetDateTime) -> (u16, u16) {
    let years = (at.year() - 1980).clamp(0, 127) as u16;
    let date = years << 9 | u16::from(u8::from(at.month())) << 5 | u16::from(at.day());
    let time = u16::from(at.hour()) << 11 | u16::from(at.minute()) << 5 | (u16::from(at.second()) / 2);
    (date, time)
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use futures_util::{FutureExt, TryStreamExt};
    use time::macros::datetime;

    use super::*;

    /// Name, pieces of the content, and the length when it is told beforehand.
    type Given<'a> = (&'a str, &'a [&'static [u8]], Option<u64>);

    #[track_caller]
    fn check(entries: &[Given<'_>]) {
        let given: Vec<_> = entries
            .iter()
            .map(|(name, pieces, length)| {
                let pieces: Vec<_> = pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect();
                Ok(Entry {
                    name: (*name).to_owned(),
                    modified_at: datetime!(2024-02-29 12:34:56 UTC),
                    length: *length,
                    content: stream::iter(pieces).boxed(),
                })
            })
            .collect();
        let pieces: Vec<Bytes> = write(stream::iter(given).boxed())
            .try_collect()
            .now_or_never()
            .expect("all is at hand")
            .unwrap();
        let mut archive = ::zip::ZipArchive::new(Cursor::new(pieces.concat())).unwrap();
        assert_eq!(archive.len(), entries.len());
        for (index, (name, content, _)) in entries.iter().enumerate() {
            let mut entry = archive.by_index(index).unwrap();
            assert_eq!(entry.name(), *name);
            let mut got = Vec::new();
            entry.read_to_end(&mut got).unwrap();
            assert_eq!(got, content.concat());
        }
    }

    #[test]
    fn another_reader_reads_it() {
        check(&[]);
        check(&[
            ("a/b.dcm", &[b"one", b"two"], Some(6)),
            ("c", &[], Some(0)),
            ("d", &[b"unknown length"], None),
        ]);
    }
}
