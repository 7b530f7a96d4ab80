//! A stored data set given in another transfer syntax, piece by piece: values are re-encoded, frames decoded and compressed
//! one at a time.

use std::io::{self, Write};

use bytes::Bytes;
use filmroom_storage::{
    model::{FrameTable, InstanceRecord, PixelData, SopInstanceUid, TransferSyntaxUid},
    source::ReadAt,
    store::StoreError,
};
use flate2::{Compression, write::DeflateEncoder};
use futures_util::{StreamExt, stream};
use sha2::{Digest, Sha256};
use tokio::{runtime::Handle, sync::mpsc};

use super::{Outgoing, Retrieve, RetrieveError};
use filmroom_dataset::{DataSetError, Piece, PixelDataIs, Reencoder};
use filmroom_pixels::transcode::{Changed, Form, Transcoder};

/// Pieces waiting for a slow reader.
const PIECES_AHEAD: usize = 3;
/// The tag of pixel data that is written, whatever the stored ones were in.
const PIXEL_DATA: u32 = 0x7FE0_0010;
const SOP_INSTANCE_UID: u32 = 0x0008_0018;
const ITEM: u32 = 0xFFFE_E000;
const SEQUENCE_DELIMITER: u32 = 0xFFFE_E0DD;
/// Element values have a 32-bit length.
const VALUE_MAX_BYTES: u64 = 0xFFFF_FFFE;

/// The encodings that any data set can be given in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    Implicit,
    Explicit,
    Deflated,
    /// Explicit, with the pixel data in items.
    Encapsulated(Form),
}

impl Target {
    pub(super) fn of(transfer_syntax: &TransferSyntaxUid) -> Option<Self> {
        match transfer_syntax.as_str() {
            "1.2.840.10008.1.2" => Some(Self::Implicit),
            "1.2.840.10008.1.2.1" => Some(Self::Explicit),
            "1.2.840.10008.1.2.1.99" => Some(Self::Deflated),
            other => Form::encapsulated(other).map(Self::Encapsulated),
        }
    }

    /// The form of the pixel data.
    fn form(self) -> Form {
        match self {
            Self::Encapsulated(form) => form,
            _ => Form::Native,
        }
    }

    /// True where pixels do not come back as they were.
    pub(super) fn is_lossy(self) -> bool {
        self.form().is_lossy()
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
    let form = target.form();
    let transcoder = match &instance.pixel_data {
        Some(pixel_data) if form != Form::Native || matches!(pixel_data.frames, FrameTable::Encapsulated(_)) => {
            Some(transcoder(room, instance, pixel_data, form).await?)
        }
        // Encapsulating transfer syntaxes are for pixel data (PS3.5 §A.4).
        None if form != Form::Native => {
            return Err(RetrieveError::TransferSyntax(
                "it has no pixel data to compress".to_owned(),
            ));
        }
        _ => None,
    };
    let sop_instance_uid = match &transcoder {
        Some(_) if form.is_lossy() => derived_uid(instance, transfer_syntax_uid)?,
        _ => instance.sop_instance_uid.clone(),
    };
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    let work = Work {
        room: room.clone(),
        instance: instance.clone(),
        target,
        sop_instance_uid: sop_instance_uid.clone(),
        runtime: Handle::current(),
        sender,
    };
    // Begins with the first poll: an answer that is not sent costs no thread.
    let mut begin = Some(move || tokio::task::spawn_blocking(move || work.run(transcoder)));
    let data_set = stream::unfold(receiver, move |mut receiver| {
        if let Some(begin) = begin.take() {
            begin();
        }
        async move { receiver.recv().await.map(|piece| (piece, receiver)) }
    });
    Ok(Outgoing {
        transfer_syntax_uid: transfer_syntax_uid.clone(),
        sop_instance_uid,
        length: None,
        data_set: data_set.boxed(),
    })
}

/// The UID of what has lost something: another instance than the one it is made from (PS3.3 C.7.6.1.1.5), the same each time
/// it is asked for.
fn derived_uid(
    instance: &InstanceRecord,
    transfer_syntax_uid: &TransferSyntaxUid,
) -> Result<SopInstanceUid, RetrieveError> {
    let mut hasher = Sha256::new();
    hasher.update(instance.version());
    hasher.update(transfer_syntax_uid.as_str());
    let digest = hasher.finalize();
    let bytes = digest.first_chunk::<16>().copied().unwrap_or_default();
    let number = uuid::Builder::from_custom_bytes(bytes).into_uuid().as_u128();
    SopInstanceUid::new(&format!("2.25.{number}"))
        .map_err(|error| RetrieveError::TransferSyntax(format!("no UID for what is derived: {error}")))
}

async fn transcoder(
    room: &Retrieve,
    instance: &InstanceRecord,
    pixel_data: &PixelData,
    form: Form,
) -> Result<Transcoder, RetrieveError> {
    let first = room.frame(instance, 0).await?;
    let header = room.header(instance).await?;
    let (pixel_data, stored) = (pixel_data.clone(), instance.transfer_syntax_uid.clone());
    let turn = room.decoders.turn().await;
    let work = move || {
        let _turn = turn;
        Transcoder::new(&header, &pixel_data, &stored, &first, form)
    };
    let transcoder = tokio::task::spawn_blocking(work).await??;
    if form == Form::Native && transcoder.value_length() > VALUE_MAX_BYTES {
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
    sop_instance_uid: SopInstanceUid,
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
    fn run(self, transcoder: Option<Transcoder>) {
        if let Err(Ended::Failed(error)) = self.pieces(transcoder) {
            // Nobody is left to tell when the reader is gone.
            let _ = self.sender.blocking_send(Err(error));
        }
    }

    fn pieces(&self, mut transcoder: Option<Transcoder>) -> Result<(), Ended> {
        let source = Stored {
            room: &self.room,
            instance: &self.instance,
            runtime: &self.runtime,
        };
        let (pixels, changed) = match &transcoder {
            Some(transcoder) => (PixelDataIs::Replaced, self.changed(transcoder)),
            None => (PixelDataIs::Kept, Vec::new()),
        };
        let to_explicit = self.target != Target::Implicit;
        let stored = &self.instance.transfer_syntax_uid;
        let mut reencoder = Reencoder::new(&source, stored, to_explicit, pixels, changed).map_err(not_readable)?;
        let mut out = Out::new(self.target, &self.sender);
        while let Some(piece) = reencoder.next_piece().map_err(not_readable)? {
            match (piece, &mut transcoder) {
                (Piece::Bytes(piece), _) => out.write(piece)?,
                (Piece::PixelData, Some(transcoder)) if self.target.form() == Form::Native => {
                    let vr = transcoder.value_representation();
                    out.write(reencoder.element_head(PIXEL_DATA, vr, transcoder.value_length() as u32))?;
                    self.frames(transcoder, |frame| out.write(frame))?;
                    out.write(transcoder.finish())?;
                }
                (Piece::PixelData, Some(transcoder)) => {
                    // An empty Basic Offset Table: what is not compressed yet has no length.
                    out.write(reencoder.element_head(PIXEL_DATA, *b"OB", u32::MAX))?;
                    out.write(item_head(ITEM, 0))?;
                    self.frames(transcoder, |frame| {
                        let length = u32::try_from(frame.len()).map_err(|_| {
                            RetrieveError::Decode("a compressed frame is longer than an item can be".to_owned())
                        })?;
                        out.write(item_head(ITEM, length))?;
                        out.write(frame)
                    })?;
                    out.write(item_head(SEQUENCE_DELIMITER, 0))?;
                }
                (Piece::PixelData, None) => {}
            }
        }
        out.finish()
    }

    fn changed(&self, transcoder: &Transcoder) -> Vec<Changed> {
        let mut changed = transcoder.changed();
        if self.sop_instance_uid != self.instance.sop_instance_uid {
            let mut uid = self.sop_instance_uid.as_str().as_bytes().to_vec();
            uid.resize(uid.len().next_multiple_of(2), 0);
            changed.push((SOP_INSTANCE_UID, *b"UI", uid));
        }
        changed
    }

    /// Goes frame by frame; each waits for its turn, so that one large object does not keep others waiting.
    fn frames(
        &self,
        transcoder: &mut Transcoder,
        mut write: impl FnMut(Bytes) -> Result<(), Ended>,
    ) -> Result<(), Ended> {
        let number_of_frames = self
            .instance
            .pixel_data
            .as_ref()
            .map_or(0, |pixel_data| pixel_data.number_of_frames.max(1));
        for frame_index in 0..number_of_frames {
            let stored = match transcoder.first_stored().filter(|_| frame_index == 0) {
                Some(first) => first,
                None => self.runtime.block_on(self.room.frame(&self.instance, frame_index))?,
            };
            let turn = self.runtime.block_on(self.room.decoders.turn());
            let frame = transcoder.frame(&stored).map_err(RetrieveError::from)?;
            drop(turn);
            write(frame)?;
        }
        Ok(())
    }
}

/// The head of an item or of what ends them, in little endian.
fn item_head(tag: u32, length: u32) -> Bytes {
    let [a, b, c, d] = tag.to_be_bytes();
    let mut head = vec![b, a, d, c];
    head.extend_from_slice(&length.to_le_bytes());
    head.into()
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
