//! The query parameters of rendering (PS3.18 §8.3.5.1).

use crate::{error::Problem, query_string::QueryString};
use filmroom_render::Parameters;
use filmroom_render::annotate::Annotation;
use filmroom_render::grey::{Function, Window};
use filmroom_render::picture::{Source, Viewport};
use filmroom_render::view::IccProfile;

/// Longest side of a viewport.
const SIDE_MAX: f64 = 8192.0;

/// All parameters of a rendered resource; unknown ones are ignored.
///
/// # Errors
/// [`Problem`] 400 that names the parameter.
pub(crate) fn rendering(query: &QueryString) -> Result<Parameters, Problem> {
    let mut parameters = Parameters {
        viewport: viewport(query)?,
        ..Parameters::default()
    };
    if let Some(text) = given(query, "window") {
        parameters.window = Some(window(text)?);
    }
    if let Some(text) = given(query, "quality") {
        match text.parse::<u8>() {
            Ok(quality @ 1..=100) => parameters.quality = Some(quality),
            _ => return Err(Problem::bad_request("quality is a whole number from 1 to 100")),
        }
    }
    if let Some(text) = given(query, "annotation") {
        parameters.annotation = annotation(text)?;
    }
    if let Some(text) = given(query, "iccprofile") {
        parameters.icc_profile = icc_profile(text)?;
    }
    Ok(parameters)
}

/// The `viewport` parameter: `width,height`, then the region of the source as `x,y,width,height`, each of which may be
/// left empty; a negative extent flips.
///
/// # Errors
/// [`Problem`] 400.
pub(crate) fn viewport(query: &QueryString) -> Result<Option<Viewport>, Problem> {
    let Some(text) = given(query, "viewport") else {
        return Ok(None);
    };
    let bad = || {
        Problem::bad_request(format!(
            "viewport is width,height or width,height,x,y,w,h: pixels, width and height from 1 to {SIDE_MAX}"
        ))
    };
    let parts: Vec<Option<f64>> = text
        .split(',')
        .map(|part| match part.trim() {
            "" => Ok(None),
            number => match number.parse::<f64>() {
                Ok(number) if number.is_finite() && number.abs() <= 1e9 => Ok(Some(number)),
                _ => Err(bad()),
            },
        })
        .collect::<Result<_, _>>()?;
    let (size, source) = match parts.as_slice() {
        [width, height] => ((*width, *height), None),
        [width, height, x, y, w, h] => {
            let source = Source {
                x: x.unwrap_or(0.0),
                y: y.unwrap_or(0.0),
                width: *w,
                height: *h,
            };
            if source.x < 0.0 || source.y < 0.0 || source.width == Some(0.0) || source.height == Some(0.0) {
                return Err(bad());
            }
            ((*width, *height), Some(source))
        }
        _ => return Err(bad()),
    };
    match size {
        (Some(width), Some(height)) if (1.0..=SIDE_MAX).contains(&width) && (1.0..=SIDE_MAX).contains(&height) => {
            Ok(Some(Viewport {
                width: width as u32,
                height: height as u32,
                source,
            }))
        }
        _ => Err(bad()),
    }
}

/// `center,width,function`.
fn window(text: &str) -> Result<Window, Problem> {
    let bad = || {
        Problem::bad_request(
            "window is center,width,function: two numbers and linear, linear-exact or sigmoid; the width is at least 1 for \
             linear and above 0 for the others",
        )
    };
    let mut parts = text.split(',').map(str::trim);
    let (Some(center), Some(width), Some(function), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad());
    };
    let function = match function.to_ascii_lowercase().as_str() {
        "linear" => Function::Linear,
        "linear-exact" | "linear_exact" => Function::LinearExact,
        "sigmoid" => Function::Sigmoid,
        _ => return Err(bad()),
    };
    let number = |text: &str| text.parse::<f64>().map_err(|_| bad());
    let window = Window {
        center: number(center)?,
        width: number(width)?,
        function,
    };
    if window.is_defined() { Ok(window) } else { Err(bad()) }
}

fn annotation(text: &str) -> Result<Annotation, Problem> {
    let mut annotation = Annotation::default();
    for part in text.split(',') {
        match part.trim().to_ascii_lowercase().as_str() {
            "patient" => annotation.patient = true,
            "technique" => annotation.technique = true,
            _ => {
                return Err(Problem::bad_request(
                    "annotation is patient, technique, or both with a comma between",
                ));
            }
        }
    }
    Ok(annotation)
}

fn icc_profile(text: &str) -> Result<IccProfile, Problem> {
    match text.to_ascii_lowercase().as_str() {
        "no" => Ok(IccProfile::No),
        "yes" => Ok(IccProfile::Yes),
        "srgb" => Ok(IccProfile::Srgb),
        "adobergb" => Ok(IccProfile::AdobeRgb),
        "rommrgb" => Ok(IccProfile::RommRgb),
        _ => Err(Problem::bad_request("iccprofile is no, yes, srgb, adobergb or rommrgb")),
    }
}

/// The value of a parameter that is not empty.
fn given<'a>(query: &'a QueryString, name: &str) -> Option<&'a str> {
    query.get(name).map(str::trim).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Option<Parameters>) {
        let result = rendering(&QueryString::parse(query).unwrap());
        match (result, expected) {
            (Ok(parameters), Some(expected)) => assert_eq!(parameters, expected),
            (Err(problem), None) => assert_eq!(problem.status(), 400),
            (result, expected) => panic!("{query}: {result:?}, not {expected:?}"),
        }
    }

    #[test]
    fn reads_windows() {
        let window = |center, width, function| {
            Some(Parameters {
                window: Some(Window {
                    center,
                    width,
                    function,
                }),
                ..Parameters::default()
            })
        };
        check("window=40,400,linear", window(40.0, 400.0, Function::Linear));
        check(
            "window=-100.5,51,LINEAR-EXACT",
            window(-100.5, 51.0, Function::LinearExact),
        );
        check("window=1e2,0.5,sigmoid", window(100.0, 0.5, Function::Sigmoid));
        check("window=1000,1,linear", window(1000.0, 1.0, Function::Linear));
        for bad in [
            "a,b",
            "40,400",
            "40,400,cubic",
            "40,0,linear",
            "40,0.5,linear",
            "40,-1,sigmoid",
            "nan,4,linear",
            ",,",
        ] {
            check(&format!("window={bad}"), None);
        }
    }

    #[test]
    fn reads_viewports() {
        let viewport = |source| {
            Some(Parameters {
                viewport: Some(Viewport {
                    width: 64,
                    height: 32,
                    source,
                }),
                ..Parameters::default()
            })
        };
        check("viewport=64,32", viewport(None));
        check("viewport=64%2C32", viewport(None));
        check(
            "viewport=64,32,,,-10,",
            viewport(Some(Source {
                x: 0.0,
                y: 0.0,
                width: Some(-10.0),
                height: None,
            })),
        );
        check("viewport=", Some(Parameters::default()));
        for bad in [
            "64",
            "0,10",
            "10,-1",
            "64,32,1",
            "64,32,0,0,0,4",
            "64,32,-1,0,4,4",
            "a,b",
            "99999,10",
            "inf,2",
        ] {
            check(&format!("viewport={bad}"), None);
        }
    }

    #[test]
    fn reads_the_others() {
        check(
            "quality=20",
            Some(Parameters {
                quality: Some(20),
                ..Parameters::default()
            }),
        );
        check(
            "annotation=technique,patient&x=y",
            Some(Parameters {
                annotation: Annotation {
                    patient: true,
                    technique: true,
                },
                ..Parameters::default()
            }),
        );
        check(
            "iccprofile=srgb",
            Some(Parameters {
                icc_profile: IccProfile::Srgb,
                ..Parameters::default()
            }),
        );
        for bad in [
            "quality=0",
            "quality=101",
            "quality=x",
            "annotation=all",
            "iccprofile=cmyk",
        ] {
            check(bad, None);
        }
    }

    proptest! {
        #[test]
        fn never_panics(query in "(window|viewport|quality|annotation)=[-0-9.,a-zA-Z]{0,40}") {
            if let Ok(query) = QueryString::parse(&query) {
                let _ = rendering(&query);
            }
        }
    }
}
