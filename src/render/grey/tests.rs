//! Greys as the standard gives them.

use super::*;
use filmroom_pixels::pixel_description::Photometric;

#[track_caller]
fn check(window: Window, values: &[f64], expected: &[f64]) {
    for (value, expected) in values.iter().zip(expected) {
        assert!(
            (window.apply(*value) * 255.0 - expected).abs() < 1e-9,
            "{value}: {}",
            window.apply(*value) * 255.0
        );
    }
}

fn frame(samples: Vec<u16>, bits_stored: u32, signed: bool) -> Frame {
    Frame {
        rows: 1,
        columns: samples.len() as u32,
        samples_per_pixel: 1,
        samples: Samples::U16(samples),
        bits_stored,
        low_bit: 0,
        signed,
        photometric: Photometric::Monochrome2,
    }
}

#[test]
fn maps_the_windows_of_the_standard() {
    // The example of PS3.3 C.11.2.1.2.1: centre 2048, width 4096.
    check(
        Window {
            center: 2048.0,
            width: 4096.0,
            function: Function::Linear,
        },
        &[0.0, 4095.0, -5.0, 5000.0],
        &[0.0, 255.0, 0.0, 255.0],
    );
    check(
        Window {
            center: 2048.0,
            width: 4096.0,
            function: Function::LinearExact,
        },
        &[0.0, 4096.0, 2048.0],
        &[0.0, 255.0, 127.5],
    );
    check(
        Window {
            center: 0.0,
            width: 1.0,
            function: Function::Linear,
        },
        &[-1.0, -0.5, 0.0],
        &[0.0, 0.0, 255.0],
    );
    check(
        Window {
            center: 10.0,
            width: 4.0,
            function: Function::Sigmoid,
        },
        &[10.0],
        &[127.5],
    );
}

#[test]
fn bits_above_the_sample_mean_nothing() {
    let pipeline = Pipeline {
        modality: Modality::IDENTITY,
        voi: Voi::Range(0.0, 4095.0),
        presentation: None,
        polarity: Polarity::Normal,
        padding: None,
    };
    assert_eq!(
        pipeline.apply(&frame(vec![0xF000, 0x0FFF, 0x1FFF], 12, false)),
        [0, 255, 255]
    );
}

#[test]
fn what_lies_beside_the_window_is_as_if_it_were_worked_out() {
    let every: Vec<u16> = (0..=u16::MAX).collect();
    for (slope, intercept, signed, bits) in [
        (1.0, -1024.0, false, 16),
        (-0.3, 20.0, true, 12),
        (7.5, 0.0, true, 16),
        (0.001, 4.0, false, 14),
    ] {
        for (center, width, function) in [
            (40.0, 400.0, Function::Linear),
            (-300.0, 1.0, Function::Linear),
            (0.5, 0.25, Function::LinearExact),
            (1e9, 10.0, Function::Linear),
        ] {
            let window = Window {
                center,
                width,
                function,
            };
            let pipeline = Pipeline {
                modality: Modality::Rescale { slope, intercept },
                voi: Voi::Window(window),
                presentation: None,
                polarity: Polarity::Inverse,
                padding: None,
            };
            let frame = frame(every.clone(), bits, signed);
            let one_by_one: Vec<u8> = (0..every.len())
                .map(|index| pipeline.grey(&pipeline.voi, frame.value(index)))
                .collect();
            assert!(pipeline.apply(&frame) == one_by_one, "{window:?} {slope} {signed}");
        }
    }
}

#[test]
fn min_to_max_leaves_padding_out() {
    let mut pipeline = Pipeline {
        modality: Modality::Rescale {
            slope: 2.0,
            intercept: -10.0,
        },
        voi: Voi::MinMax,
        presentation: None,
        polarity: Polarity::Normal,
        padding: Some((-2000.0, -2000.0)),
    };
    let signed = frame(vec![-2000i16 as u16, -100i16 as u16, 0, 100], 16, true);
    assert_eq!(pipeline.apply(&signed), [0, 0, 128, 255]);
    pipeline.padding = None;
    pipeline.polarity = Polarity::Inverse;
    assert_eq!(pipeline.apply(&signed), [255, 24, 12, 0]);
    assert_eq!(pipeline.apply(&frame(vec![7, 7], 12, false)), [255, 255]);
}
