//! Frames in turn, as a GIF.

use std::sync::Arc;

use filmroom_storage::model::InstanceRecord;

use super::{
    Media, Parameters, Render, RenderError, Rendered, encode, identity, number_of_frames, picture::Picture,
    rendered::working_bytes, view,
};
use filmroom_pixels::{elements::DataSet, pixel_description::PixelDescription};

impl Render {
    /// Frames of an instance, from 0, or all of them, as one animated GIF; long runs are thinned out evenly.
    ///
    /// # Errors
    /// [`RenderError`].
    pub async fn animation(
        &self,
        instance: &InstanceRecord,
        frame_indices: Option<Vec<u32>>,
        parameters: &Parameters,
    ) -> Result<Rendered, Arc<RenderError>> {
        let key = format!("{}/animation/{frame_indices:?}/{parameters:?}", identity(instance));
        let (render, instance, parameters) = (self.clone(), instance.clone(), *parameters);
        self.inner
            .pictures
            .try_get_with(key, async move {
                render.make_animation(&instance, frame_indices, parameters).await
            })
            .await
    }

    async fn make_animation(
        &self,
        instance: &InstanceRecord,
        frame_indices: Option<Vec<u32>>,
        parameters: Parameters,
    ) -> Result<Rendered, RenderError> {
        let Some(pixel_data) = &instance.pixel_data else {
            return Err(RenderError::NotRenderable("it has no pixels".into()));
        };
        let data_set = self.data_set(instance).await?;
        let description = PixelDescription::read(&data_set.elements(), pixel_data.tag)?;
        let frame_indices = frame_indices.unwrap_or_else(|| (0..number_of_frames(instance)).collect());
        let step = frame_indices
            .len()
            .div_ceil(self.inner.options.animation_frames_max.max(1));
        let delay_ms = frame_time_ms(&data_set).saturating_mul(step as u32).max(20);
        let mut pictures: Vec<Picture> = Vec::new();
        let mut held = 0usize;
        for frame_index in frame_indices.into_iter().step_by(step.max(1)) {
            let admission = self
                .inner
                .pool
                .admit(working_bytes(instance, &description, &parameters))
                .await?;
            let stored = self.stored(instance, frame_index, &description).await?;
            let (inner, key) = (self.inner.clone(), identity(instance));
            let (description, data_set) = (description.clone(), data_set.clone());
            let picture = self
                .inner
                .pool
                .run(admission, move || {
                    let frame = inner.decoded(
                        stored,
                        &key,
                        frame_index,
                        &description,
                        view::reduction(&description, &parameters),
                    )?;
                    view::picture(&frame, &description, &data_set, frame_index, &parameters)
                })
                .await?;
            held += picture.data.len();
            if held > self.inner.options.memory_max_bytes / 4 {
                return Err(RenderError::Parameter(
                    "the animation is too large: ask for a smaller viewport, or for single frames".into(),
                ));
            }
            pictures.push(picture);
        }
        let admission = self.inner.pool.admit(held).await?;
        self.inner
            .pool
            .run(admission, move || {
                let bytes = encode::animate(&pictures, delay_ms)?;
                Ok(Rendered {
                    media_type: Media::Gif.media_type(),
                    bytes: bytes.into(),
                })
            })
            .await
    }
}

/// Time between frames in milliseconds: (0018,1063), (0018,0040), (0008,2144), else ten a second.
fn frame_time_ms(data_set: &DataSet) -> u32 {
    let elements = data_set.elements();
    let rate = |tag: u32| {
        elements
            .decimal(tag)
            .filter(|rate| *rate > 0.0)
            .map(|rate| 1000.0 / rate)
    };
    elements
        .decimal(0x0018_1063)
        .filter(|time| *time > 0.0)
        .or_else(|| rate(0x0018_0040))
        .or_else(|| rate(0x0008_2144))
        .unwrap_or(100.0)
        .clamp(20.0, 2000.0) as u32
}
