//! Colour profiles (PS3.3 C.11.15, PS3.18 §8.3.5.1.5).

use moxcms::{ColorProfile, Layout, TransformOptions};

use super::RenderError;
use super::picture::{Channels, Picture};
use super::view::IccProfile;
use filmroom_pixels::elements::Elements;

/// What is to become of the colours.
pub struct Wanted {
    /// The object's own profile.
    own: Option<Vec<u8>>,
    kind: IccProfile,
}

/// Reads (0028,2000), of the object or of its first optical path.
#[must_use]
pub fn wanted(elements: &Elements<'_>, kind: IccProfile) -> Wanted {
    let own = (kind != IccProfile::No)
        .then(|| {
            elements
                .value(0x0028_2000)
                .filter(|profile| !profile.is_empty())
                .or_else(|| elements.item(0x0048_0105, 0).and_then(|path| path.value(0x0028_2000)))
                .filter(|profile| !profile.is_empty())
                .map(<[u8]>::to_vec)
        })
        .flatten();
    Wanted { own, kind }
}

/// Brings a colour picture to the profile that is asked for, and gives the profile to embed. Colours without a profile of
/// their own are sRGB. Grey pictures have none.
///
/// # Errors
/// [`RenderError::Parameter`] when the object's profile cannot be used.
pub fn apply(picture: Picture, wanted: Wanted) -> Result<(Picture, Option<Vec<u8>>), RenderError> {
    let target = match wanted.kind {
        IccProfile::No => return Ok((picture, None)),
        _ if picture.channels == Channels::Grey => return Ok((picture, None)),
        IccProfile::Yes => return Ok((picture, wanted.own)),
        IccProfile::Srgb => ColorProfile::new_srgb(),
        IccProfile::AdobeRgb => ColorProfile::new_adobe_rgb(),
        IccProfile::RommRgb => ColorProfile::new_pro_photo_rgb(),
    };
    let unusable =
        |error: moxcms::CmsError| RenderError::Parameter(format!("the object's colour profile is unusable: {error}"));
    let source = match &wanted.own {
        Some(profile) => ColorProfile::new_from_slice(profile).map_err(unusable)?,
        None => ColorProfile::new_srgb(),
    };
    let transform = source
        .create_transform_8bit(Layout::Rgb, &target, Layout::Rgb, TransformOptions::default())
        .map_err(unusable)?;
    let mut data = vec![0u8; picture.data.len()];
    transform.transform(&picture.data, &mut data).map_err(unusable)?;
    let embedded = target.encode().map_err(unusable)?;
    Ok((Picture { data, ..picture }, Some(embedded)))
}
