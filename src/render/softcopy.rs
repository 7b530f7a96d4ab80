//! Softcopy presentation states as targets of rendering (PS3.18 §8.3.5, PS3.4 Annex N): the images that they reference, as they
//! say. Grayscale, colour and pseudo-colour states are applied; blending ones and masks are not.

mod area;
mod cielab;
mod curves;
mod graphics;
mod pipeline;
mod references;
mod shutter;

use std::sync::Arc;

use filmroom_storage::model::InstanceRecord;

use super::{
    Media, Parameters, Render, RenderError, Rendered,
    annotate::annotate,
    identity, number_of_frames,
    picture::{Channels, Picture, Placement},
    presentation, profile,
    rendered::{finish, working_bytes},
    view::{self, Overlays},
};
use area::Area;
use filmroom_pixels::{
    decode::{Frame, Reduction},
    elements::{DataSet, Elements},
    pixel_description::PixelDescription,
};
use filmroom_privacy::Sight;
use filmroom_retrieve::RetrieveError;
use references::Target;

/// Grayscale Softcopy Presentation State Storage.
const GRAYSCALE: &str = "1.2.840.10008.5.1.4.1.1.11.1";
/// Color Softcopy Presentation State Storage.
const COLOUR: &str = "1.2.840.10008.5.1.4.1.1.11.2";
/// Pseudo-Color Softcopy Presentation State Storage.
const PSEUDO_COLOUR: &str = "1.2.840.10008.5.1.4.1.1.11.3";
/// Frames of one state that are listed.
const FRAMES_MAX: usize = 10_000;

/// True for a presentation state, also of a kind that cannot be applied.
#[must_use]
pub fn is_presentation_state(instance: &InstanceRecord) -> bool {
    instance
        .sop_class_uid
        .as_str()
        .starts_with("1.2.840.10008.5.1.4.1.1.11.")
}

/// A frame that a presentation state presents.
#[derive(Debug, Clone)]
pub struct Presented {
    /// The image.
    pub instance: InstanceRecord,
    /// From 0.
    pub frame_index: u32,
}

impl Render {
    /// The frames that a presentation state presents and the archive holds, in its order.
    ///
    /// # Errors
    /// [`RenderError::NotRenderable`] for a state that cannot be applied and for one whose images are not here.
    pub async fn presented_by(&self, state: &InstanceRecord) -> Result<Vec<Presented>, RenderError> {
        let data_set = self.data_set(state).await?;
        let elements = data_set.elements();
        applicable(state, &elements)?;
        let mut presented = Vec::new();
        for reference in references::references(&elements) {
            let found = self
                .inner
                .retrieve
                // Of the same study: whoever sees the state sees them.
                .instance(
                    &Sight::all(),
                    &state.study_instance_uid,
                    &reference.series,
                    &reference.instance,
                )
                .await;
            let instance = match found {
                Ok(instance) if instance.pixel_data.is_some() => instance,
                Ok(_) | Err(RetrieveError::NotFound(_)) => continue,
                Err(error) => return Err(error.into()),
            };
            let count = number_of_frames(&instance);
            let frames: Vec<u32> = if reference.frame_numbers.is_empty() {
                (0..count).collect()
            } else {
                let given = reference.frame_numbers.iter().filter(|number| **number <= count);
                given.map(|number| number - 1).collect()
            };
            for frame_index in frames {
                presented.push(Presented {
                    instance: instance.clone(),
                    frame_index,
                });
                if presented.len() == FRAMES_MAX {
                    return Ok(presented);
                }
            }
        }
        if presented.is_empty() {
            return Err(RenderError::NotRenderable(
                "none of the images that it presents is in the archive".into(),
            ));
        }
        Ok(presented)
    }

    /// A frame as a presentation state presents it.
    ///
    /// # Errors
    /// [`RenderError`].
    pub async fn presented(
        &self,
        state: &InstanceRecord,
        presented: &Presented,
        parameters: &Parameters,
        media: Media,
    ) -> Result<Rendered, Arc<RenderError>> {
        let key = format!(
            "{}/{}/{}/{media:?}/{parameters:?}",
            identity(state),
            identity(&presented.instance),
            presented.frame_index
        );
        let (render, state, presented, parameters) = (self.clone(), state.clone(), presented.clone(), *parameters);
        self.inner
            .pictures
            .try_get_with(key, async move {
                render.make_presented(&state, &presented, parameters, media).await
            })
            .await
    }

    async fn make_presented(
        &self,
        state: &InstanceRecord,
        presented: &Presented,
        parameters: Parameters,
        media: Media,
    ) -> Result<Rendered, RenderError> {
        let Presented { instance, frame_index } = presented;
        let frame_index = *frame_index;
        let state_set = self.data_set(state).await?;
        applicable(state, &state_set.elements())?;
        let Some(pixel_data) = &instance.pixel_data else {
            return Err(RenderError::NotRenderable("the image has no pixels".into()));
        };
        let image_set = self.data_set(instance).await?;
        let description = PixelDescription::read(&image_set.elements(), pixel_data.tag)?;
        let area = area_of(&state_set, &image_set, instance, frame_index, &description)?;
        let placement = area
            .place(parameters.viewport.as_ref(), parameters.enlarge)
            .ok_or_else(outside)?;
        // A state can ask for a picture many times the size of its image.
        let bytes = working_bytes(instance, &description, &parameters)
            .saturating_add(area.bytes() * 2)
            .saturating_add(placement.bytes() * 2);
        let admission = self.inner.pool.admit(bytes).await?;
        let stored = self.stored(instance, frame_index, &description).await?;
        let (inner, key) = (self.inner.clone(), identity(instance));
        let sop_instance_uid = instance.sop_instance_uid.as_str().to_owned();
        let class = state.sop_class_uid.as_str().to_owned();
        self.inner
            .pool
            .run(admission, move || {
                let frame = inner.decoded(stored, &key, frame_index, &description, Reduction::None)?;
                let target = Target {
                    sop_instance_uid: &sop_instance_uid,
                    frame_number: frame_index + 1,
                };
                let toned = toned(
                    &class,
                    &state_set,
                    &image_set,
                    &target,
                    &frame,
                    &description,
                    &parameters,
                )?;
                let profile = profile::wanted(&state_set.elements(), parameters.icc_profile);
                let (toned, profile) = profile::apply(toned, profile)?;
                let laid = (&area, &placement);
                let picture = draw(toned, &state_set, &image_set, &target, &frame, laid, &parameters)?;
                finish(&picture, media, parameters.quality, profile.as_deref())
            })
            .await
    }
}

/// # Errors
/// [`RenderError::NotRenderable`] for what would be shown wrongly.
fn applicable(state: &InstanceRecord, elements: &Elements<'_>) -> Result<(), RenderError> {
    let refuse = |reason: &str| Err(RenderError::NotRenderable(reason.to_owned()));
    if !matches!(state.sop_class_uid.as_str(), GRAYSCALE | COLOUR | PSEUDO_COLOUR) {
        return refuse("presentation states of its kind are not applied here");
    }
    if elements.item(0x0028_6100, 0).is_some() {
        return refuse("it subtracts a mask, which is not done here");
    }
    Ok(())
}

fn area_of(
    state: &DataSet,
    image: &DataSet,
    instance: &InstanceRecord,
    frame_index: u32,
    description: &PixelDescription,
) -> Result<Area, RenderError> {
    let target = Target {
        sop_instance_uid: instance.sop_instance_uid.as_str(),
        frame_number: frame_index + 1,
    };
    let aspect = presentation::pixel_aspect(&image.elements(), frame_index);
    let size = (description.columns, description.rows);
    Area::read(&state.elements(), &target, size, aspect)
        .ok_or_else(|| RenderError::NotRenderable("its displayed area is many times larger than the image".into()))
}

/// The whole image in the greys or colours of the state.
fn toned(
    class: &str,
    state: &DataSet,
    image: &DataSet,
    target: &Target<'_>,
    frame: &Frame,
    description: &PixelDescription,
    parameters: &Parameters,
) -> Result<Picture, RenderError> {
    if class == COLOUR || !frame.photometric.is_monochrome() {
        // A colour state has no transformation of greys: those of a grey image stay the image's.
        let own = frame.photometric.is_monochrome().then(|| {
            presentation::pipeline(
                &image.elements(),
                description,
                target.frame_number - 1,
                parameters.window,
            )
        });
        return view::toned(frame, image, own.as_ref());
    }
    let elements = state.elements();
    let pipeline = pipeline::of_state(&elements, target, description, parameters.window);
    let grey = view::toned(frame, image, Some(&pipeline))?;
    if class != PSEUDO_COLOUR {
        return Ok(grey);
    }
    let palette = pipeline::palette(&elements).ok_or_else(|| {
        RenderError::NotRenderable("the palette of the presentation state is missing or unusable".into())
    })?;
    Ok(Picture {
        data: grey
            .data
            .iter()
            .flat_map(|&grey| palette.get(usize::from(grey)).copied().unwrap_or_default())
            .collect(),
        channels: Channels::Rgb,
        ..grey
    })
}

fn outside() -> RenderError {
    RenderError::Parameter("the region of the viewport lies outside the displayed area".into())
}

/// Shutters and overlays in the pixels of the image, then its area, turned and scaled, then graphics in the pixels of the result.
fn draw(
    toned: Picture,
    state: &DataSet,
    image: &DataSet,
    target: &Target<'_>,
    frame: &Frame,
    (area, placement): (&Area, &Placement),
    parameters: &Parameters,
) -> Result<Picture, RenderError> {
    let (state, image) = (state.elements(), image.elements());
    let frame_index = target.frame_number - 1;
    let aspect = presentation::pixel_aspect(&image, frame_index);
    let mut picture = shutter::apply(toned, &state, aspect);
    if parameters.overlays == Overlays::Shown {
        picture = graphics::overlays(picture, &state, &image, frame, frame_index);
    }
    let picture = area.cut(&picture).placed(placement).ok_or_else(outside)?;
    let text = match parameters.overlays {
        Overlays::Shown => graphics::Text::Written,
        Overlays::Hidden => graphics::Text::LeftOut,
    };
    let picture = graphics::draw(picture, &state, target, area, placement, text);
    Ok(annotate(picture, &image, frame_index, parameters.annotation))
}
