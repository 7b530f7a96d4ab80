//! Pictures of what is no image: reports as text, waveforms as traces, everything else as a sheet that says what it is.

use super::picture::Picture;
use filmroom_pixels::elements::{DataSet, Elements};

const PAPER: [u8; 3] = [250, 249, 245];
const INK: [u8; 3] = [38, 42, 48];
const FAINT: [u8; 3] = [150, 154, 160];
const TRACE: [u8; 3] = [16, 64, 128];
const GRID: [u8; 3] = [244, 214, 208];

/// Side of the sheet in pixels.
pub const SIDE: usize = 512;
/// Lines of text that fit.
const LINES: usize = 42;
/// Letters of a line that fit.
const LETTERS: usize = 80;
/// Depth to which a report is read, and content items of it.
const DEPTH_MAX: usize = 16;

/// Bulk values that the picture of a waveform needs.
pub const WAVEFORM_DATA: &str = "54000100.0.54001010";

/// Draws a picture of an instance without pixels; waveforms on a sheet of so many pixels.
#[must_use]
pub fn draw(data_set: &DataSet, sop_class_uid: &str, side: usize, names: Names) -> Picture {
    let elements = data_set.elements();
    if let Some(group) = elements.item(0x5400_0100, 0)
        && let Some(picture) = waveform(&group, side.max(SIDE))
    {
        return picture;
    }
    if elements.value(0x0040_A730).is_some_and(|content| !content.is_empty()) {
        return report(&elements, names);
    }
    sheet(&elements, sop_class_uid)
}

/// Whether names of persons are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As the report has them.
    Shown,
    /// Content items that are names are left out.
    Hidden,
}

/// The text of a structured report, a line each, indented by depth.
#[must_use]
pub fn report_lines(elements: &Elements<'_>, lines_max: usize, names: Names) -> Vec<String> {
    let mut lines = Vec::new();
    let mut open = vec![(elements.items(0x0040_A730).collect::<Vec<_>>().into_iter(), 0usize)];
    while let Some((items, depth)) = open.last_mut() {
        let depth = *depth;
        let Some(item) = items.next() else {
            open.pop();
            continue;
        };
        if lines.len() >= lines_max {
            break;
        }
        if names == Names::Shown || item.text(0x0040_A040) != "PNAME" {
            let line = content(&item);
            if !line.is_empty() {
                lines.push(format!("{}{line}", "  ".repeat(depth)));
            }
        }
        if depth + 1 < DEPTH_MAX {
            open.push((item.items(0x0040_A730).collect::<Vec<_>>().into_iter(), depth + 1));
        }
    }
    lines
}

/// One content item (PS3.3 C.17.3) as text.
fn content(item: &Elements<'_>) -> String {
    let meaning = |tag: u32| {
        item.item(tag, 0)
            .map(|code| code.text(0x0008_0104).to_owned())
            .unwrap_or_default()
    };
    let value = match item.text(0x0040_A040) {
        "TEXT" => item.text(0x0040_A160).to_owned(),
        "PNAME" => item.text(0x0040_A123).to_owned(),
        "CODE" => meaning(0x0040_A168),
        "NUM" => item
            .item(0x0040_A300, 0)
            .map(|measured| {
                let unit = measured
                    .item(0x0040_08EA, 0)
                    .map(|unit| unit.text(0x0008_0100).to_owned())
                    .unwrap_or_default();
                format!("{} {}", measured.text(0x0040_A30A), unit)
            })
            .unwrap_or_default(),
        "DATE" => item.text(0x0040_A121).to_owned(),
        "TIME" => item.text(0x0040_A122).to_owned(),
        "DATETIME" => item.text(0x0040_A120).to_owned(),
        "IMAGE" | "COMPOSITE" | "WAVEFORM" => "(reference)".to_owned(),
        _ => String::new(),
    };
    [meaning(0x0040_A043), value]
        .into_iter()
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(": ")
}

fn report(elements: &Elements<'_>, names: Names) -> Picture {
    let mut picture = Picture::blank(SIDE, SIDE, PAPER);
    let title = elements
        .item(0x0040_A043, 0)
        .map(|code| code.text(0x0008_0104).to_owned())
        .unwrap_or_default();
    picture.text(16, 14, 2, if title.is_empty() { "Report" } else { &title }, INK, None);
    picture.fill(16, 36, SIDE - 32, 1, FAINT);
    let mut row = 46;
    let mut written = 0;
    for line in report_lines(elements, LINES, names) {
        let indent: String = line.chars().take_while(|letter| *letter == ' ').collect();
        for piece in wrap(line.trim_start(), LETTERS.saturating_sub(indent.len()).max(10)) {
            if written == LINES {
                return picture;
            }
            picture.text(16 + indent.len() * 6, row, 1, &piece, INK, None);
            row += 11;
            written += 1;
        }
    }
    picture
}

/// Breaks a text into lines of at most so many letters, at spaces where there are some.
fn wrap(text: &str, letters: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        for piece in word.chars().collect::<Vec<_>>().chunks(letters) {
            let piece: String = piece.iter().collect();
            match lines.last_mut() {
                Some(line) if line.is_empty() => line.push_str(&piece),
                Some(line) if line.chars().count() + 1 + piece.chars().count() <= letters => {
                    line.push(' ');
                    line.push_str(&piece);
                }
                _ => lines.push(piece),
            }
        }
        if lines.len() > LINES {
            break;
        }
    }
    lines
}

/// Traces of the first multiplex group, one below the other, each in its own range.
fn waveform(group: &Elements<'_>, side: usize) -> Option<Picture> {
    let channels = group.unsigned(0x003A_0005).filter(|count| (1..=64).contains(count))? as usize;
    let samples = group.unsigned(0x003A_0010).filter(|count| *count > 1)? as usize;
    let data = group.value(0x5400_1010).filter(|data| !data.is_empty())?;
    let wide = group.unsigned(0x5400_1004) != Some(8);
    let value = |sample: usize, channel: usize| -> Option<f64> {
        let index = sample.checked_mul(channels)?.checked_add(channel)?;
        if wide {
            let at = index.checked_mul(2)?;
            match data.get(at..at + 2) {
                Some(&[low, high]) => Some(f64::from(i16::from_le_bytes([low, high]))),
                _ => None,
            }
        } else {
            data.get(index).map(|&byte| f64::from(byte as i8))
        }
    };
    let mut picture = Picture::blank(side, side, [255, 252, 250]);
    for place in (0..side).step_by(side / 32) {
        picture.fill(place, 0, 1, side, GRID);
        picture.fill(0, place, side, 1, GRID);
    }
    // A picture shows about ten seconds of an ECG: more would be a smear.
    let shown = samples.min(data.len() / channels.max(1)).min(5000);
    let height = side as f64 / channels as f64;
    for channel in 0..channels {
        let trace: Vec<f64> = (0..shown).map_while(|sample| value(sample, channel)).collect();
        let (least, most) = trace
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), value| {
                (least.min(*value), most.max(*value))
            });
        let range = (most - least).max(1.0);
        let point = |(sample, value): (usize, &f64)| {
            (
                sample as f64 * (side - 1) as f64 / shown.max(2) as f64,
                height * (channel as f64 + 0.9 - 0.8 * (value - least) / range),
            )
        };
        let points: Vec<(f64, f64)> = trace.iter().enumerate().map(point).collect();
        for pair in points.windows(2) {
            if let [from, to] = pair {
                picture.line(*from, *to, TRACE);
            }
        }
        if let Some(name) = channel_name(group, channel) {
            let top = (height * channel as f64) as usize + 2;
            picture.text(4, top, (side / SIDE).max(1), &name, INK, Some([255, 252, 250]));
        }
    }
    Some(picture)
}

/// What a channel is called: its label, else the meaning of its source (PS3.3 C.10.9).
fn channel_name(group: &Elements<'_>, channel: usize) -> Option<String> {
    let channel = group.item(0x003A_0200, channel)?;
    let meaning = channel
        .item(0x003A_0208, 0)
        .map(|source| source.text(0x0008_0104).to_owned())
        .unwrap_or_default();
    [channel.text(0x003A_0203).to_owned(), meaning]
        .into_iter()
        .map(|name| name.trim().chars().take(24).collect::<String>())
        .find(|name| !name.is_empty())
}

/// A sheet of paper with what the object is.
fn sheet(elements: &Elements<'_>, sop_class_uid: &str) -> Picture {
    let mut picture = Picture::blank(SIDE, SIDE, [28, 31, 36]);
    let (left, top, width, height, fold) = (116, 60, 280, 392, 64);
    picture.fill(left, top, width, height, PAPER);
    for row in 0..fold {
        picture.fill(left + width - fold + row, top, fold - row, 1, [28, 31, 36]);
        picture.fill(left + width - fold, top + row, row, 1, FAINT);
    }
    for row in 0..fold {
        picture.fill(left + width - fold + row, top + row, fold - row, 1, [28, 31, 36]);
    }
    let (short, long) = kind(elements, sop_class_uid);
    let size = (width / (short.len().max(1) * 6)).clamp(3, 10);
    let text_width = short.len() * 6 * size;
    picture.text(
        left + (width.saturating_sub(text_width)) / 2,
        top + 150,
        size,
        &short,
        INK,
        None,
    );
    for (index, line) in wrap(&long, 22).iter().take(4).enumerate() {
        let text_width = line.len() * 12;
        picture.text(
            left + width.saturating_sub(text_width) / 2,
            top + 270 + index * 22,
            2,
            line,
            FAINT,
            None,
        );
    }
    picture
}

/// A short and a long word for what an object is.
fn kind(elements: &Elements<'_>, sop_class_uid: &str) -> (String, String) {
    let short = match (elements.text(0x0042_0012), sop_class_uid) {
        ("application/pdf", _) => "PDF",
        (_, uid) if uid.starts_with("1.2.840.10008.5.1.4.1.1.104.1") => "PDF",
        (_, uid) if uid.starts_with("1.2.840.10008.5.1.4.1.1.104.2") => "CDA",
        (_, uid) if uid.starts_with("1.2.840.10008.5.1.4.1.1.104.") => "3D",
        (_, uid) if uid.starts_with("1.2.840.10008.5.1.4.1.1.11.") => "PR",
        _ => match elements.text(0x0008_0060) {
            "" => "DICOM",
            modality => modality,
        },
    };
    let long = dicom_dictionary_std::StandardSopClassDictionary
        .by_uid(sop_class_uid)
        .map(|entry| entry.name.trim_end_matches(" Storage").to_owned())
        .unwrap_or_default();
    (short.to_owned(), long)
}

use dicom::core::dictionary::UidDictionary as _;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_at_spaces_and_breaks_long_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("", 4), [""]);
    }

    #[test]
    fn draws_something_of_an_empty_object() {
        let picture = draw(
            &DataSet::default(),
            "1.2.840.10008.5.1.4.1.1.104.1",
            SIDE,
            Names::Hidden,
        );
        assert_eq!((picture.width, picture.height), (SIDE, SIDE));
        assert!(picture.data.iter().any(|&byte| byte == INK[0]));
    }
}
