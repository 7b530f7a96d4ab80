//! A stored data set given in another transfer syntax, piece by piece: native values are re-encoded, compressed frames
//! decoded one at a time.

use std::io::{self, Write};

use bytes::Bytes;
use filmroom_storage::{
    model::{FrameTable, InstanceRecord, PixelData, TransferSyntaxUid},
    source::ReadAt,
    store::StoreError,
};
use flate2::{Compression, write::DeflateEncoder};
use futures_util::{StreamExt, stream};
use tokio::{runtime::Handle, sync::mpsc};

use super::{Outgoing, Retrieve, RetrieveError};
use crate::{
    dataset::{DataSetError, Encapsulated, Piece, Reencoder},
    render::transcode::Transcoder,
};

/// Pieces waiting for a slow reader.
const PIECES_AHEAD: usize = 3;
/// The tag of native pixel data, whatever the stored ones were in.
const PIXEL_DATA: u32 = 0x7FE0_0010;
/// Element values have a 32-bit length.
const VALUE_MAX_BYTES: u64 = 0xFFFF_FFFE;

/// The encodings that any data set can be given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Implicit,
    Explicit,
    Deflated,
}

impl Target {
    pub(super) fn of(transfer_syntax: &TransferSyntaxUid) -> Option<Self> {
        match transfer_syntax.as_str() {
            "1.2.840.10008.1.2" => Some(Self::Implicit),
            "1.2.840.10008.1.2.1" => Some(Self::Explicit),
            "1.2.840.10008.1.2.1.99" => Some(Self::Deflated),
            _ => None,
        }
    }
}

/// Opens an instance in another encoding.
///
/// # Errors
/// [`RetrieveError::Decode`] when the pixel data cannot be decoded: the first frame was tried.
pub(super) async fn open(
    room: &Retrieve,
    instance: &InstanceRecord,
    transfer_syntax_uid: &TransferSyntaxUid,
    target: Target,
) -> Result<Outgoing, RetrieveError> {
    let decoder = match &instance.pixel_data {
        Some(pixel_data) if matches!(pixel_data.frames, FrameTable::Encapsulated(_)) => {
            Some(transcoder(room, instance, pixel_data).await?)
        }
        _ => None,
    };
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    let work = Work {
        room: room.clone(),
        instance: instance.clone(),
        target,
        runtime: Handle::current(),
        sender,
    };
    // Begins with the first poll: an answer that is not sent costs no thread.
    let mut begin = Some(move || tokio::task::spawn_blocking(move || work.run(decoder)));
    let data_set = stream::unfold(receiver, move |mut receiver| {
        if let Some(begin) = begin.take() {
            begin();
        }
        async move { receiver.recv().await.map(|piece| (piece, receiver)) }
    });
    Ok(Outgoing {
        transfer_syntax_uid: transfer_syntax_uid.clone(),
        length: None,
        data_set: data_set.boxed(),
    })
}

async fn transcoder(
    room: &Retrieve,
    instance: &InstanceRecord,
    pixel_data: &PixelData,
) -> Result<Transcoder, RetrieveError> {
    let first = room.frame(instance, 0).await?;
    let header = room.header(instance).await?;
    let (pixel_data, stored) = (pixel_data.clone(), instance.transfer_syntax_uid.clone());
    let turn = room.decoders.turn().await;
    let work = move || {
        let _turn = turn;
        Transcoder::new(&header, &pixel_data, &stored, &first)
    };
    let transcoder = tokio::task::spawn_blocking(work).await??;
    if transcoder.value_length() > VALUE_MAX_BYTES {
        return Err(RetrieveError::Decode(format!(
            "{} bytes of samples are more than one element can hold",
            transcoder.value_length()
        )));
    }
    Ok(transcoder)
}

/// What runs on a blocking thread.
struct Work {
    room: Retrieve,
    instance: InstanceRecord,
    target: Target,
    runtime: Handle,
    sender: mpsc::Sender<Result<Bytes, RetrieveError>>,
}

/// Why a run ended early.
enum Ended {
    /// Nobody reads any more.
    Unread,
    Failed(RetrieveError),
}

impl<E: Into<RetrieveError>> From<E> for Ended {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Work {
    fn run(self, decoder: Option<Transcoder>) {
        if let Err(Ended::Failed(error)) = self.pieces(decoder) {
            // Nobody is left to tell when the reader is gone.
            let _ = self.sender.blocking_send(Err(error));
        }
    }

    fn pieces(&self, mut decoder: Option<Transcoder>) -> Result<(), Ended> {
        let source = Stored {
            room: &self.room,
            instance: &self.instance,
            runtime: &self.runtime,
        };
        let (encapsulated, changed) = match &decoder {
            Some(decoder) => (Encapsulated::Replace, decoder.changed()),
            None => (Encapsulated::Keep, Vec::new()),
        };
        let to_explicit = self.target != Target::Implicit;
        let stored = &self.instance.transfer_syntax_uid;
        let mut reencoder =
            Reencoder::new(&source, stored, to_explicit, encapsulated, changed).map_err(not_readable)?;
        let mut out = Out::new(self.target, &self.sender);
        while let Some(piece) = reencoder.next_piece().map_err(not_readable)? {
            match (piece, &mut decoder) {
                (Piece::Bytes(piece), _) => out.write(piece)?,
                (Piece::PixelData, Some(decoder)) => {
                    let vr = decoder.value_representation();
                    out.write(reencoder.element_head(PIXEL_DATA, vr, decoder.value_length() as u32))?;
                    self.frames(decoder, &mut out)?;
                }
                (Piece::PixelData, None) => {}
            }
        }
        out.finish()
    }

    /// Decodes frame by frame; each waits for its turn, so that one large object does not keep others waiting.
    fn frames(&self, decoder: &mut Transcoder, out: &mut Out<'_>) -> Result<(), Ended> {
        let number_of_frames = self
            .instance
            .pixel_data
            .as_ref()
            .map_or(0, |pixel_data| pixel_data.number_of_frames.max(1));
        for frame_index in 0..number_of_frames {
            let stored = self.runtime.block_on(self.room.frame(&self.instance, frame_index))?;
            let turn = self.runtime.block_on(self.room.decoders.turn());
            let samples = decoder.frame(&stored)?;
            drop(turn);
            out.write(samples)?;
        }
        out.write(decoder.finish())
    }
}

fn not_readable(error: DataSetError) -> RetrieveError {
    StoreError::Damaged(error.to_string()).into()
}

/// Where the pieces go.
struct Out<'a> {
    sender: &'a mpsc::Sender<Result<Bytes, RetrieveError>>,
    deflate: Option<DeflateEncoder<Vec<u8>>>,
    sent: u64,
}

impl<'a> Out<'a> {
    /// Deflated bytes gathered before they are sent.
    const GATHERED_BYTES: usize = 128 << 10;

    fn new(target: Target, sender: &'a mpsc::Sender<Result<Bytes, RetrieveError>>) -> Self {
        let deflate = (target == Target::Deflated).then(|| DeflateEncoder::new(Vec::new(), Compression::fast()));
        Self {
            sender,
            deflate,
            sent: 0,
        }
    }

    fn write(&mut self, piece: Bytes) -> Result<(), Ended> {
        let Some(deflate) = &mut self.deflate else {
            return self.send(piece);
        };
        deflate.write_all(&piece).map_err(StoreError::from)?;
        if deflate.get_ref().len() < Self::GATHERED_BYTES {
            return Ok(());
        }
        let gathered = std::mem::take(deflate.get_mut());
        self.send(gathered.into())
    }

    fn finish(mut self) -> Result<(), Ended> {
        let Some(deflate) = self.deflate.take() else {
            return Ok(());
        };
        let mut rest = deflate.finish().map_err(StoreError::from)?;
        // PS3.5 §A.5: one zero makes an odd length even.
        if (self.sent + rest.len() as u64) % 2 == 1 {
            rest.push(0);
        }
        self.send(rest.into())
    }

    fn send(&mut self, piece: Bytes) -> Result<(), Ended> {
        self.sent += piece.len() as u64;
        if piece.is_empty() {
            return Ok(());
        }
        self.sender.blocking_send(Ok(piece)).map_err(|_| Ended::Unread)
    }
}

/// A stored data set for a reader on a blocking thread.
struct Stored<'a> {
    room: &'a Retrieve,
    instance: &'a InstanceRecord,
    runtime: &'a Handle,
}

impl ReadAt for Stored<'_> {
    fn len(&self) -> u64 {
        self.instance.data_set_length()
    }

    fn read_at(&self, offset: u64, length: usize) -> io::Result<Bytes> {
        let end = offset.saturating_add(length as u64).min(self.len());
        if offset >= end {
            return Ok(Bytes::new());
        }
        self.runtime
            .block_on(self.room.store.read(self.instance, offset..end))
            .map_err(io::Error::other)
    }
}
