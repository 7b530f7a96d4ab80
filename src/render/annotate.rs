//! Text over the picture, on request (PS3.18 §8.3.5.1.1): who and how.

use super::picture::Picture;
use filmroom_pixels::elements::Elements;

/// What is written over the picture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Annotation {
    /// Name, identifier, birth date and sex of the patient, and the study.
    pub patient: bool,
    /// How and with what the picture was made.
    pub technique: bool,
}

/// Writes the annotations into the upper and lower left corners.
#[must_use]
pub fn annotate(picture: Picture, elements: &Elements<'_>, frame_index: u32, annotation: Annotation) -> Picture {
    if !annotation.patient && !annotation.technique {
        return picture;
    }
    let mut picture = picture.into_rgb();
    let size = (picture.width.min(picture.height) / 256).clamp(1, 8);
    let (margin, line) = (4 * size, 10 * size);
    let mut write = |row: usize, text: &str| {
        picture.text(margin, row, size, text, [255, 255, 224], Some([0, 0, 0]));
    };
    if annotation.patient {
        let mut row = margin;
        for text in patient(elements) {
            write(row, &text);
            row += line;
        }
    }
    if annotation.technique {
        let lines = technique(elements, frame_index);
        let mut row = picture_bottom(picture.height, lines.len(), line, margin);
        for text in lines {
            picture.text(margin, row, size, &text, [255, 255, 224], Some([0, 0, 0]));
            row += line;
        }
    }
    picture
}

fn picture_bottom(height: usize, lines: usize, line: usize, margin: usize) -> usize {
    height.saturating_sub(lines * line + margin)
}

fn patient(elements: &Elements<'_>) -> Vec<String> {
    let name = elements
        .text(0x0010_0010)
        .split('=')
        .find(|group| !group.trim().is_empty())
        .unwrap_or_default();
    let name = name
        .split('^')
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    [
        name,
        elements.text(0x0010_0020).to_owned(),
        [date(elements.text(0x0010_0030)), elements.text(0x0010_0040).to_owned()].join(" "),
        [date(elements.text(0x0008_0020)), elements.text(0x0008_1030).to_owned()].join(" "),
        elements.text(0x0008_0050).to_owned(),
    ]
    .into_iter()
    .map(|line| line.trim().to_owned())
    .filter(|line| !line.is_empty())
    .collect()
}

fn technique(elements: &Elements<'_>, frame_index: u32) -> Vec<String> {
    let labelled = |label: &str, tag: u32, unit: &str| {
        let value = elements.text(tag);
        if value.is_empty() {
            String::new()
        } else {
            format!("{label} {value}{unit}")
        }
    };
    let frames = elements.unsigned(0x0028_0008).unwrap_or(1);
    let image = match (elements.text(0x0020_0013), frames) {
        (number, ..=1) => format!("Im {number}"),
        (number, frames) => format!("Im {number} frame {}/{frames}", frame_index + 1),
    };
    [
        [
            elements.text(0x0008_0060),
            elements.text(0x0008_0070),
            elements.text(0x0008_1090),
        ]
        .join(" "),
        [
            labelled("Se", 0x0020_0011, ""),
            image,
            elements.text(0x0008_103E).to_owned(),
        ]
        .join(" "),
        [
            labelled("", 0x0018_0060, " kV"),
            labelled("", 0x0018_1151, " mA"),
            labelled("", 0x0018_1152, " mAs"),
        ]
        .join(" "),
        [
            labelled("TR", 0x0018_0080, ""),
            labelled("TE", 0x0018_0081, ""),
            labelled("SL", 0x0018_0050, " mm"),
        ]
        .join(" "),
    ]
    .into_iter()
    .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    .filter(|line| !line.is_empty())
    .collect()
}

/// `YYYYMMDD` → `YYYY-MM-DD`.
fn date(value: &str) -> String {
    match (value.get(..4), value.get(4..6), value.get(6..8)) {
        (Some(year), Some(month), Some(day)) => format!("{year}-{month}-{day}"),
        _ => value.to_owned(),
    }
}
