//! What one picture costs when nothing is kept: CPU milliseconds of decoding, rendering and encoding.
//!
//! `cargo bench -p filmroom-render --profile fast --bench cold -- FILE…`, each file a Part 10 file with pixels, of which the first frame
//! is rendered; `FILE@256` for a thumbnail of that side. Prints the least and the middle of the repetitions.

use std::{error::Error, time::Duration, time::Instant};

use bytes::Bytes;
use filmroom_dataset::{describe, read_file_head};
use filmroom_pixels::{
    decode::{self, Reduction},
    elements::DataSet,
    pixel_description::PixelDescription,
};
use filmroom_render::{
    Media, Parameters, encode,
    picture::{Enlarge, Viewport},
    view::{self, Overlays},
};
use filmroom_storage::model::{FrameTable, PixelData};

const REPETITIONS: usize = 30;

fn main() -> Result<(), Box<dyn Error>> {
    for argument in std::env::args().skip(1).filter(|argument| !argument.starts_with("--")) {
        let (path, side) = match argument.split_once('@') {
            Some((path, side)) => (path, Some(side.parse()?)),
            None => (argument.as_str(), None),
        };
        measure(path, side)?;
    }
    Ok(())
}

fn measure(path: &str, side: Option<u32>) -> Result<(), Box<dyn Error>> {
    let file = Bytes::from(std::fs::read(path)?);
    let head = read_file_head(&file)?.ok_or("the file ends within its head")?;
    let data = file.slice(head.data_set_offset..);
    let described = describe(&data, &head.transfer_syntax_uid)?;
    let pixel_data = described.pixel_data.ok_or("no pixels")?;
    let frame = first_frame(&data, &pixel_data);
    let data_set = DataSet {
        header: described.header,
        ..DataSet::default()
    };
    let description = PixelDescription::read(&data_set.elements(), pixel_data.tag)?;
    let mut parameters = Parameters::default();
    let mut reduction = Reduction::None;
    if let Some(side) = side {
        let viewport = Viewport {
            width: side,
            height: side,
            source: None,
        };
        parameters = Parameters {
            viewport: Some(viewport),
            overlays: Overlays::Hidden,
            enlarge: Enlarge::No,
            ..parameters
        };
        reduction = view::reduction(&description, &parameters);
    }
    let mut stages = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..REPETITIONS {
        let begin = Instant::now();
        let decoded = decode::decode(&frame, head.transfer_syntax_uid.as_str(), &description, reduction)?;
        let after_decode = Instant::now();
        let picture = view::picture(&decoded, &description, &data_set, 0, &parameters)?;
        let after_picture = Instant::now();
        let jpeg = encode::encode(&picture, Media::Jpeg, 90, None)?;
        let end = Instant::now();
        std::hint::black_box(jpeg);
        for (stage, spent) in stages.iter_mut().zip([
            end - begin,
            after_decode - begin,
            after_picture - after_decode,
            end - after_picture,
        ]) {
            stage.push(spent);
        }
    }
    print!("{path}{}:", side.map(|side| format!("@{side}")).unwrap_or_default());
    for (name, mut stage) in ["all", "decode", "picture", "encode"].into_iter().zip(stages) {
        stage.sort();
        let ms = |spent: Option<&Duration>| spent.map_or(0.0, |spent| spent.as_secs_f64() * 1000.0);
        print!(
            "  {name} {:.2} ({:.2})",
            ms(stage.first()),
            ms(stage.get(REPETITIONS / 2))
        );
    }
    println!(" ms");
    Ok(())
}

/// The first frame as a decoder wants it.
fn first_frame(data: &Bytes, pixel_data: &PixelData) -> Bytes {
    let cut = |offset: u64, length: u64| data.slice(offset as usize..(offset + length) as usize);
    match &pixel_data.frames {
        FrameTable::Native { frame_length_bits } => cut(pixel_data.offset, frame_length_bits.div_ceil(8)),
        // One fragment a frame: an item header of eight bytes.
        FrameTable::Encapsulated(frames) => frames
            .first()
            .map(|range| cut(range.offset + 8, range.length - 8))
            .unwrap_or_default(),
    }
}
