//! Compressed pixel data → samples.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use filmroom_storage::model::{FrameTable, InstanceRecord};
use tokio::sync::Semaphore;

use super::{Retrieve, RetrieveError};
use crate::render::{decode::DecodeError, transcode::Transcoder};

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
        let mut transcoder = Transcoder::new(&header, &pixel_data, &transfer_syntax, &stored)?;
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
