//! Pictures for lists: small, without names, and of anything.

use std::sync::Arc;

use filmroom_storage::model::InstanceRecord;

use super::{
    Media, Parameters, Render, RenderError, Rendered, card, identity, is_presentation_state, number_of_frames,
    picture::{Enlarge, Viewport},
    rendered::{finish, working_bytes},
    view::{self, Overlays},
};
use filmroom_pixels::{decode::Coding, elements::DataSet, pixel_description::PixelDescription};
use filmroom_retrieve::RetrieveError;

/// Side of a thumbnail where none is asked for.
const THUMBNAIL_SIDE: u32 = 256;

impl Render {
    /// A picture of a frame of an instance, from 0, for lists; of what the instance is where it has no frame that can be
    /// shown. Nothing is written or drawn over it but a badge where a name may be burned in.
    ///
    /// # Errors
    /// [`RenderError`].
    pub async fn thumbnail(
        &self,
        instance: &InstanceRecord,
        frame_index: u32,
        viewport: Option<Viewport>,
        media: Media,
    ) -> Result<Rendered, Arc<RenderError>> {
        let viewport = viewport.unwrap_or(Viewport {
            width: THUMBNAIL_SIDE,
            height: THUMBNAIL_SIDE,
            source: None,
        });
        let parameters = Parameters {
            viewport: Some(viewport),
            overlays: Overlays::Hidden,
            enlarge: Enlarge::No,
            ..Parameters::default()
        };
        let key = format!("{}/{frame_index}/thumbnail/{media:?}/{viewport:?}", identity(instance));
        let (render, instance) = (self.clone(), instance.clone());
        self.inner
            .pictures
            .try_get_with(key, async move {
                render.make_thumbnail(&instance, frame_index, parameters, media).await
            })
            .await
    }

    async fn make_thumbnail(
        &self,
        instance: &InstanceRecord,
        frame_index: u32,
        parameters: Parameters,
        media: Media,
    ) -> Result<Rendered, RenderError> {
        let data_set = self.data_set(instance).await?;
        if is_presentation_state(instance)
            && let Some(picture) = self.presented_thumbnail(instance, parameters, media).await?
        {
            return Ok(picture);
        }
        let description = instance
            .pixel_data
            .as_ref()
            .filter(|_| Coding::of(instance.transfer_syntax_uid.as_str()) != Coding::Video)
            .and_then(|pixel_data| PixelDescription::read(&data_set.elements(), pixel_data.tag).ok());
        let bytes = description
            .as_ref()
            .map_or(4 << 20, |description| working_bytes(instance, description, &parameters));
        // Frames are read by those alone who may work on them: what waits holds no memory.
        let admission = self.inner.pool.admit(bytes).await?;
        let frame = match description {
            Some(description) => match self.stored(instance, frame_index, &description).await {
                Ok(stored) => Some((stored, description)),
                // What says that it has frames, and has not, is shown as what it is.
                Err(
                    RenderError::Decode(_)
                    | RenderError::Retrieve(RetrieveError::NotFound(_) | RetrieveError::Decode(_)),
                ) if frame_index < number_of_frames(instance) => None,
                Err(error) => return Err(error),
            },
            None => None,
        };
        let (inner, key, sop_class) = (self.inner.clone(), identity(instance), instance.sop_class_uid.clone());
        self.inner
            .pool
            .run(admission, move || {
                let drawn = match frame {
                    Some((stored, description)) => inner
                        .decoded(
                            stored,
                            &key,
                            frame_index,
                            &description,
                            view::reduction(&description, &parameters),
                        )
                        .and_then(|frame| view::picture(&frame, &description, &data_set, frame_index, &parameters)),
                    None => Err(RenderError::NotRenderable("it has no pixels".into())),
                };
                // A list shows what an object is where its pixels cannot be shown.
                let (picture, profile) = match drawn {
                    Ok(picture) if names_may_show(&data_set) => (picture.badge(), None),
                    Ok(picture) => (picture, None::<Vec<u8>>),
                    Err(RenderError::Parameter(reason)) => return Err(RenderError::Parameter(reason)),
                    Err(_) => {
                        let viewport = parameters.viewport.map(|viewport| Viewport {
                            source: None,
                            ..viewport
                        });
                        let card = card::draw(&data_set, sop_class.as_str(), card::SIDE, card::Names::Hidden);
                        let fitted = match viewport {
                            Some(viewport) => {
                                let full = (card.width, card.height);
                                card.fit(&viewport, full, 1.0, Enlarge::No)
                            }
                            None => Some(card),
                        };
                        (
                            fitted.ok_or_else(|| RenderError::Parameter("an empty viewport".into()))?,
                            None,
                        )
                    }
                };
                finish(&picture, media, None, profile.as_deref())
            })
            .await
    }
}

impl Render {
    /// The middle one of the images that a state presents, without its text; `None` where there is none that can be shown, or
    /// where a name may be burned in.
    async fn presented_thumbnail(
        &self,
        state: &InstanceRecord,
        parameters: Parameters,
        media: Media,
    ) -> Result<Option<Rendered>, RenderError> {
        let presented = match self.presented_by(state).await {
            Ok(presented) => presented,
            Err(RenderError::NotRenderable(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some(middle) = presented.get(presented.len() / 2) else {
            return Ok(None);
        };
        let data_set = self.data_set(&middle.instance).await?;
        if names_may_show(&data_set) {
            return Ok(None);
        }
        match self.presented(state, middle, &parameters, media).await {
            Ok(picture) => Ok(Some(picture)),
            Err(error) => match error.as_ref() {
                RenderError::NotRenderable(_) | RenderError::Decode(_) => Ok(None),
                _ => Err(RenderError::shared(&error)),
            },
        }
    }
}

/// (0028,0301): burned in, or not known where the class of the object makes it likely.
fn names_may_show(data_set: &DataSet) -> bool {
    let elements = data_set.elements();
    match elements.text(0x0028_0301) {
        "YES" => true,
        "NO" => false,
        // Captured screens and scanned films, by (0008,0064).
        _ => matches!(elements.text(0x0008_0064), "SI" | "SD" | "DF" | "DV"),
    }
}
