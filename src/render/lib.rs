//! The room that shows: frames become pictures as PS3.4 §N and PS3.3 C.11 say.
//!
//! All decoding and drawing runs on blocking threads, at most [`RenderOptions::workers`] at a time and within
//! [`RenderOptions::memory_max_bytes`]; who would wait too long is told so ([`RenderError::Busy`]). A picture that many ask
//! for is made once and kept, within [`RenderOptions::cache_max_bytes`].
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod animation;
pub mod annotate;
mod canvas;
pub mod card;
pub mod document;
pub mod encode;
mod font;
pub mod grey;
pub mod lut;
mod overlay;
pub mod picture;
mod pool;
pub mod presentation;
mod profile;
mod rendered;
mod representative;
pub mod softcopy;
mod thumbnail;
pub mod view;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use filmroom_storage::model::InstanceRecord;
use moka::future::Cache;

pub use encode::Media;
pub use rendered::{Otherwise, number_of_frames};
pub use softcopy::{Presented, is_presentation_state};
pub use view::Parameters;

use filmroom_pixels::decode::{DecodeError, Frame};
use filmroom_pixels::elements::DataSet;
use filmroom_retrieve::{Retrieve, RetrieveError};
use pool::Pool;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    /// The object has no picture: 406.
    #[error("the instance cannot be rendered: {0}")]
    NotRenderable(String),
    /// A parameter does not fit the object: 400.
    #[error("{0}")]
    Parameter(String),
    /// The frame cannot be decoded: 406.
    #[error("the instance cannot be rendered: {0}")]
    Decode(#[from] DecodeError),
    /// The picture does not fit the media type: 406.
    #[error("the picture cannot be encoded: {0}")]
    Encode(String),
    /// Too much is being rendered: 503.
    #[error("too many pictures are being made: ask again in a moment")]
    Busy,
    /// Reading failed.
    #[error(transparent)]
    Retrieve(#[from] RetrieveError),
    /// A blocking thread ended without an answer.
    #[error("rendering failed: {0}")]
    Failed(String),
}

/// Bounds of the room.
#[derive(Debug, Clone)]
pub struct RenderOptions {
    /// Pictures being made at the same time; the number of processors by default.
    pub workers: usize,
    /// Requests that may wait for a worker.
    pub waiting_max: usize,
    /// A request that waits longer is refused.
    pub wait_max: Duration,
    /// Memory that pictures being made may take together: 128 MiB. One that needs more is made alone.
    pub memory_max_bytes: usize,
    /// Memory for finished pictures: 48 MiB.
    pub cache_max_bytes: u64,
    /// Memory for decoded frames of compressed objects, which viewers window again and again: 32 MiB.
    pub frame_cache_max_bytes: u64,
    /// Memory for headers and their look-up tables: 16 MiB.
    pub header_cache_max_bytes: u64,
    /// Frames of an animation; longer runs are thinned out.
    pub animation_frames_max: usize,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            waiting_max: 512,
            wait_max: Duration::from_secs(20),
            memory_max_bytes: 128 << 20,
            cache_max_bytes: 48 << 20,
            frame_cache_max_bytes: 32 << 20,
            header_cache_max_bytes: 16 << 20,
            animation_frames_max: 128,
        }
    }
}

/// A finished answer.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Its media type.
    pub media_type: &'static str,
    /// Its bytes.
    pub bytes: Bytes,
}

/// The room. Cheap to clone.
#[derive(Clone)]
pub struct Render {
    inner: Arc<Inner>,
}

struct Inner {
    retrieve: Retrieve,
    options: RenderOptions,
    pool: Arc<Pool>,
    pictures: Cache<String, Rendered>,
    frames: Cache<String, Arc<Frame>>,
    data_sets: Cache<String, Arc<DataSet>>,
    representatives: Cache<String, InstanceRecord>,
}

/// Bytes that an entry of a cache costs beside its value.
const ENTRY_BYTES: usize = 256;

impl Render {
    /// Opens the room.
    #[must_use]
    pub fn new(retrieve: Retrieve, options: RenderOptions) -> Self {
        let weight = |key: &String, bytes: usize| u32::try_from(key.len() + bytes + ENTRY_BYTES).unwrap_or(u32::MAX);
        Self {
            inner: Arc::new(Inner {
                pool: Arc::new(Pool::new(&options)),
                pictures: Cache::builder()
                    .max_capacity(options.cache_max_bytes)
                    .weigher(move |key: &String, picture: &Rendered| weight(key, picture.bytes.len()))
                    .time_to_idle(Duration::from_secs(600))
                    .build(),
                frames: Cache::builder()
                    .max_capacity(options.frame_cache_max_bytes)
                    .weigher(move |key: &String, frame: &Arc<Frame>| {
                        weight(key, frame.samples.len() * frame.bits_allocated() as usize / 8)
                    })
                    .time_to_idle(Duration::from_secs(120))
                    .build(),
                data_sets: Cache::builder()
                    .max_capacity(options.header_cache_max_bytes)
                    .weigher(move |key: &String, data_set: &Arc<DataSet>| weight(key, data_set.bytes()))
                    .time_to_idle(Duration::from_secs(120))
                    .build(),
                representatives: representatives(),
                retrieve,
                options,
            }),
        }
    }

    /// The same room for another look at the archive: threads and pictures are shared, what stands for a study is not.
    #[must_use]
    pub fn seen(&self, retrieve: Retrieve) -> Self {
        let inner = &self.inner;
        Self {
            inner: Arc::new(Inner {
                pool: Arc::clone(&inner.pool),
                pictures: inner.pictures.clone(),
                frames: inner.frames.clone(),
                data_sets: inner.data_sets.clone(),
                representatives: representatives(),
                retrieve,
                options: inner.options.clone(),
            }),
        }
    }
}

fn representatives() -> Cache<String, InstanceRecord> {
    Cache::builder()
        .max_capacity(4096)
        .time_to_live(Duration::from_secs(15))
        .build()
}

/// What tells one version of an instance from another.
fn identity(instance: &InstanceRecord) -> String {
    use std::fmt::Write as _;
    let mut key = instance.sop_instance_uid.as_str().to_owned();
    for byte in instance.version().iter().take(8) {
        let _ = write!(key, "{byte:02x}");
    }
    key
}
