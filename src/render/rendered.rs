//! Instances and frames as the doors ask for them.

use std::sync::Arc;

use bytes::Bytes;
use filmroom_storage::model::{BulkValue, FrameTable, InstanceRecord};

use super::{Inner, Media, Parameters, Render, RenderError, Rendered, card, encode, identity, picture::Picture, view};
use filmroom_pixels::{
    decode::{self, Coding, Frame, Reduction, jpeg},
    elements::DataSet,
    pixel_description::{Photometric, PixelDescription},
};

/// Quality of JPEG where none is asked for: artefacts are below what a display of 8 bits shows.
const QUALITY: u8 = 90;
/// A bulk value longer than this is no look-up table, overlay, profile or waveform worth showing.
const BULK_MAX_BYTES: u64 = 4 << 20;

impl Render {
    /// One frame as a picture. `frame_index` counts from 0.
    ///
    /// # Errors
    /// [`RenderError`].
    pub async fn frame(
        &self,
        instance: &InstanceRecord,
        frame_index: u32,
        parameters: &Parameters,
        media: Media,
    ) -> Result<Rendered, Arc<RenderError>> {
        let key = format!("{}/{frame_index}/{media:?}/{parameters:?}", identity(instance));
        let (render, instance, parameters) = (self.clone(), instance.clone(), *parameters);
        self.inner
            .pictures
            .try_get_with(key, async move {
                render.make_frame(&instance, frame_index, parameters, media).await
            })
            .await
    }

    /// The frame that stands for an instance, from 0: Representative Frame Number (0028,6010), else as `otherwise` says.
    ///
    /// # Errors
    /// [`RenderError::Retrieve`].
    pub async fn representative_frame(
        &self,
        instance: &InstanceRecord,
        otherwise: Otherwise,
    ) -> Result<u32, RenderError> {
        let count = number_of_frames(instance);
        if count == 1 {
            return Ok(0);
        }
        let named = self.data_set(instance).await?.elements().unsigned(0x0028_6010);
        Ok(match (named, otherwise) {
            (Some(number), _) if (1..=count).contains(&number) => number - 1,
            (_, Otherwise::First) => 0,
            (_, Otherwise::Middle) => count / 2,
        })
    }

    async fn make_frame(
        &self,
        instance: &InstanceRecord,
        frame_index: u32,
        parameters: Parameters,
        media: Media,
    ) -> Result<Rendered, RenderError> {
        let Some(pixel_data) = &instance.pixel_data else {
            return Err(RenderError::NotRenderable("it has no pixels".into()));
        };
        let data_set = self.data_set(instance).await?;
        let description = PixelDescription::read(&data_set.elements(), pixel_data.tag)?;
        if may_pass(instance, &data_set, &description, &parameters, media) {
            // Before the kept frames are looked at: the answer must not depend on what was asked for earlier.
            let bytes = self.inner.retrieve.frame(instance, frame_index).await?;
            if is_plain(&bytes, &description) {
                return Ok(Rendered {
                    media_type: media.media_type(),
                    bytes,
                });
            }
        }
        // Frames are read by those alone who may work on them: what waits holds no memory.
        let admission = self
            .inner
            .pool
            .admit(working_bytes(instance, &description, &parameters))
            .await?;
        let stored = self.stored(instance, frame_index, &description).await?;
        let inner = self.inner.clone();
        let key = identity(instance);
        self.inner
            .pool
            .run(admission, move || {
                let frame = inner.decoded(
                    stored,
                    &key,
                    frame_index,
                    &description,
                    view::reduction(&description, &parameters),
                )?;
                let picture = view::picture(&frame, &description, &data_set, frame_index, &parameters)?;
                let profile = super::profile::wanted(&data_set.elements(), parameters.icc_profile);
                let (picture, profile) = super::profile::apply(picture, profile)?;
                finish(&picture, media, parameters.quality, profile.as_deref())
            })
            .await
    }

    /// The header, with the bulk values that rendering reads.
    pub(super) async fn data_set(&self, instance: &InstanceRecord) -> Result<Arc<DataSet>, RenderError> {
        let key = identity(instance);
        let (retrieve, instance) = (self.inner.retrieve.clone(), instance.clone());
        self.inner
            .data_sets
            .try_get_with(key, async move {
                let header = retrieve.header(&instance).await?;
                let mut bulk = std::collections::HashMap::new();
                for value in header.bulk.iter().filter(|value| is_needed(value)) {
                    let (bytes, _) = retrieve.bulk_value(&instance, &value.path, None).await?;
                    bulk.insert(value.path.clone(), bytes);
                }
                Ok(Arc::new(DataSet { header, bulk }))
            })
            .await
            .map_err(|error: Arc<RenderError>| RenderError::shared(&error))
    }

    /// The decoded frame where it is kept, else the stored bytes.
    pub(super) async fn stored(
        &self,
        instance: &InstanceRecord,
        frame_index: u32,
        description: &PixelDescription,
    ) -> Result<Stored, RenderError> {
        let key = format!("{}/{frame_index}", identity(instance));
        if let Some(frame) = self.inner.frames.get(&key).await {
            return Ok(Stored::Decoded(frame));
        }
        description.check()?;
        let bytes = self.inner.retrieve.frame(instance, frame_index).await?;
        Ok(Stored::Bytes(bytes, instance.transfer_syntax_uid.as_str().to_owned()))
    }
}

/// A frame on its way.
pub(super) enum Stored {
    /// As stored, with its transfer syntax.
    Bytes(Bytes, String),
    /// Decoded before.
    Decoded(Arc<Frame>),
}

impl Inner {
    /// Decodes a frame, and keeps it where decoding was work.
    pub(super) fn decoded(
        &self,
        stored: Stored,
        key: &str,
        frame_index: u32,
        description: &PixelDescription,
        reduction: Reduction,
    ) -> Result<Arc<Frame>, RenderError> {
        let (bytes, transfer_syntax_uid) = match stored {
            Stored::Decoded(frame) => return Ok(frame),
            Stored::Bytes(bytes, transfer_syntax_uid) => (bytes, transfer_syntax_uid),
        };
        let frame = Arc::new(decode::decode(&bytes, &transfer_syntax_uid, description, reduction)?);
        let whole = (frame.rows, frame.columns) == (description.rows, description.columns);
        if whole && Coding::of(&transfer_syntax_uid) != Coding::Native {
            let (frames, key, kept) = (self.frames.clone(), format!("{key}/{frame_index}"), frame.clone());
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move { frames.insert(key, kept).await });
            }
        }
        Ok(frame)
    }
}

pub(super) fn finish(
    picture: &Picture,
    media: Media,
    quality: Option<u8>,
    icc_profile: Option<&[u8]>,
) -> Result<Rendered, RenderError> {
    let bytes = encode::encode(picture, media, quality.unwrap_or(QUALITY), icc_profile)?;
    Ok(Rendered {
        media_type: media.media_type(),
        bytes: bytes.into(),
    })
}

/// Which frame stands for an instance that names none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// Where a film begins.
    First,
    /// Where most is to be seen.
    Middle,
}

/// Number of frames, at least 1: as many as the object says, but no more than it has.
#[must_use]
pub fn number_of_frames(instance: &InstanceRecord) -> u32 {
    let Some(pixel_data) = &instance.pixel_data else {
        return 1;
    };
    let held = match &pixel_data.frames {
        FrameTable::Encapsulated(frames) => frames.len() as u64,
        FrameTable::Native { frame_length_bits: 0 } => 1,
        FrameTable::Native { frame_length_bits } => pixel_data.length.saturating_mul(8).div_ceil(*frame_length_bits),
    };
    let held = u32::try_from(held).unwrap_or(u32::MAX);
    pixel_data.number_of_frames.min(held).max(1)
}

/// Look-up tables, overlays, profiles and waveforms.
fn is_needed(value: &BulkValue) -> bool {
    let tag = value.path.rsplit('.').next().unwrap_or_default();
    value.length <= BULK_MAX_BYTES
        && !value.encapsulated
        && (matches!(
            tag,
            "00281201"
                | "00281202"
                | "00281203"
                | "00281221"
                | "00281222"
                | "00281223"
                | "00282000"
                | "00283006"
                | "00700022"
        ) || (tag.starts_with("60") && tag.ends_with("3000"))
            || value.path == card::WAVEFORM_DATA
            || value.path.starts_with("0040A730"))
}

/// A bound of what decoding a frame and rendering it takes.
pub(super) fn working_bytes(
    instance: &InstanceRecord,
    description: &PixelDescription,
    parameters: &Parameters,
) -> usize {
    let pixels = description.pixel_count().unwrap_or(decode::FRAME_MAX_BYTES);
    let channels = if description.photometric.is_monochrome() { 1 } else { 3 };
    let viewport = parameters.viewport.map_or(0, |viewport| {
        viewport.width as usize * viewport.height as usize * channels
    });
    decode::working_bytes(instance.transfer_syntax_uid.as_str(), description)
        // The picture, and what it is encoded to.
        .saturating_add(pixels.saturating_mul(channels))
        .saturating_add(viewport)
        .saturating_add(pixels / 4)
}

/// True when a stored frame may be what is asked for: a JPEG in colour, as it is. Colour is not windowed.
fn may_pass(
    instance: &InstanceRecord,
    data_set: &DataSet,
    description: &PixelDescription,
    parameters: &Parameters,
    media: Media,
) -> bool {
    let plain = Parameters {
        window: parameters.window,
        ..Parameters::default()
    };
    media == Media::Jpeg
        && *parameters == plain
        && instance.transfer_syntax_uid.as_str() == "1.2.840.10008.1.2.4.50"
        && matches!(
            description.photometric,
            Photometric::YbrFull | Photometric::YbrFull422 | Photometric::Rgb
        )
        && data_set
            .elements()
            .iter()
            .all(|element| !(0x6000_0000..0x6020_0000).contains(&element.tag))
}

/// True for a whole baseline JPEG that every reader of JPEG shows as the object means it.
fn is_plain(bytes: &Bytes, description: &PixelDescription) -> bool {
    jpeg::read_head(bytes).is_ok_and(|head| {
        head.start == 0
            && head.precision == 8
            && head.process == jpeg::Process::Sequential
            && (u32::from(head.columns), u32::from(head.rows)) == (description.columns, description.rows)
            && head.components.len() == 3
            && jpeg::is_transformed(&head, description)
            && head.adobe_transform.is_none_or(|transform| transform == 1)
            && bytes.iter().rev().find(|byte| **byte != 0) == Some(&0xD9)
    })
}

impl RenderError {
    /// A copy of an error that several wait for.
    pub(super) fn shared(error: &Arc<Self>) -> Self {
        match error.as_ref() {
            Self::NotRenderable(reason) => Self::NotRenderable(reason.clone()),
            Self::Parameter(reason) => Self::Parameter(reason.clone()),
            Self::Decode(error) => Self::Decode(error.clone()),
            Self::Encode(reason) => Self::Encode(reason.clone()),
            Self::Busy => Self::Busy,
            Self::Retrieve(filmroom_retrieve::RetrieveError::NotFound(what)) => {
                Self::Retrieve(filmroom_retrieve::RetrieveError::NotFound(what.clone()))
            }
            Self::Retrieve(error) => Self::Failed(error.to_string()),
            Self::Failed(reason) => Self::Failed(reason.clone()),
        }
    }
}
