//! Single frames in another form than the stored one.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use filmroom_storage::{
    model::{FrameTable, InstanceRecord, TransferSyntaxUid},
    store::StoreError,
};
use moka::future::Cache;
use tokio::sync::Semaphore;

use super::{Retrieve, RetrieveError};
use filmroom_pixels::{
    decode::DecodeError,
    transcode::{Form, TranscodeError, Transcoder},
};

/// Memory for compressed frames, which viewers ask for again and in ranges.
const COMPRESSED_MAX_BYTES: u64 = 32 << 20;

/// Frames that were compressed lately: by the SHA-256 of their instance, their index and form.
#[derive(Clone)]
pub(super) struct CompressedFrames(Cache<([u8; 32], u32, Form), Bytes>);

impl Default for CompressedFrames {
    fn default() -> Self {
        let weight = |_: &_, frame: &Bytes| u32::try_from(frame.len() + 128).unwrap_or(u32::MAX);
        Self(
            Cache::builder()
                .max_capacity(COMPRESSED_MAX_BYTES)
                .weigher(weight)
                .time_to_idle(Duration::from_secs(120))
                .build(),
        )
    }
}

/// Permits to decode: as many frames at a time as there are processors, whoever asks.
#[derive(Clone)]
pub(super) struct Decoders(Arc<Semaphore>);

impl Default for Decoders {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        Self(Arc::new(Semaphore::new(processors)))
    }
}

impl Decoders {
    /// Waits for a turn; `None` never comes, since nobody closes the gate.
    pub(super) async fn turn(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        self.0.clone().acquire_owned().await.ok()
    }
}

impl From<DecodeError> for RetrieveError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error.to_string())
    }
}

impl From<TranscodeError> for RetrieveError {
    fn from(error: TranscodeError) -> Self {
        match error {
            TranscodeError::Decode(error) => error.into(),
            TranscodeError::Compress(error) => Self::TransferSyntax(error.to_string()),
        }
    }
}

/// One frame compressed; who asks while it is being made waits for it.
pub(super) async fn compressed_frame(
    room: &Retrieve,
    instance: &InstanceRecord,
    frame_index: u32,
    transfer_syntax_uid: &TransferSyntaxUid,
) -> Result<Bytes, RetrieveError> {
    if instance.transfer_syntax_uid == *transfer_syntax_uid {
        return room.frame(instance, frame_index).await;
    }
    let unknown = || RetrieveError::TransferSyntax(format!("nothing here writes {transfer_syntax_uid}"));
    let form = Form::encapsulated(transfer_syntax_uid.as_str()).ok_or_else(unknown)?;
    let key = (instance.version(), frame_index, form);
    let make = compress(room.clone(), instance.clone(), frame_index, form);
    let made = room.compressed.0.try_get_with(key, make).await;
    made.map_err(|error: Arc<RetrieveError>| match &*error {
        RetrieveError::NotFound(what) => RetrieveError::NotFound(what.clone()),
        RetrieveError::Gone(what) => RetrieveError::Gone(what.clone()),
        RetrieveError::TransferSyntax(why) => RetrieveError::TransferSyntax(why.clone()),
        RetrieveError::Decode(why) => RetrieveError::Decode(why.clone()),
        RetrieveError::Store(error) => RetrieveError::Store(StoreError::Unavailable(error.to_string())),
    })
}

async fn compress(
    room: Retrieve,
    instance: InstanceRecord,
    frame_index: u32,
    form: Form,
) -> Result<Bytes, RetrieveError> {
    let stored = room.frame(&instance, frame_index).await?;
    let header = room.header(&instance).await?;
    let Some(pixel_data) = instance.pixel_data else {
        return Err(RetrieveError::NotFound("pixel data".to_owned()));
    };
    let transfer_syntax = instance.transfer_syntax_uid;
    let turn = room.decoders.turn().await;
    let work = move || {
        let _turn = turn;
        let mut transcoder = Transcoder::new(&header, &pixel_data, &transfer_syntax, &stored, form)?;
        Ok(transcoder.frame(&stored)?)
    };
    tokio::task::spawn_blocking(work).await?
}

/// The samples of one frame.
pub(super) async fn decoded_frame(
    room: &Retrieve,
    instance: &InstanceRecord,
    frame_index: u32,
) -> Result<Bytes, RetrieveError> {
    let stored = room.frame(instance, frame_index).await?;
    let Some(pixel_data) = instance
        .pixel_data
        .clone()
        .filter(|pixel_data| matches!(pixel_data.frames, FrameTable::Encapsulated(_)))
    else {
        return Ok(stored);
    };
    let header = room.header(instance).await?;
    let transfer_syntax = instance.transfer_syntax_uid.clone();
    let turn = room.decoders.turn().await;
    let work = move || {
        let _turn = turn;
        let mut transcoder = Transcoder::new(&header, &pixel_data, &transfer_syntax, &stored, Form::Native)?;
        let length = transcoder.frame_length();
        let samples = transcoder.frame(&stored)?;
        if samples.len() as u64 >= length {
            return Ok(samples);
        }
        // Bits that fill no byte wait for the next frame, which does not come.
        let mut whole = BytesMut::from(&samples[..]);
        whole.extend_from_slice(&transcoder.finish());
        whole.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(whole.freeze())
    };
    tokio::task::spawn_blocking(work).await?
}
