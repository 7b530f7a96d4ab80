//! Media types of pixel data and the transfer syntaxes they carry (PS3.18 §8.7.3.3, table 8.7.3-2 to -5).

use filmroom_storage::model::TransferSyntaxUid;

use crate::accept::{Accept, MediaRange, Packaging};
use filmroom_pixels::transcode::Form;

/// Explicit VR Little Endian: the default of the service, and the only uncompressed form that it sends unasked.
pub const EXPLICIT_VR_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";
/// The media type of bytes.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// True when frames are stored as plain samples.
#[must_use]
pub fn is_native(transfer_syntax: &str) -> bool {
    matches!(
        transfer_syntax,
        "1.2.840.10008.1.2"
            | "1.2.840.10008.1.2.1"
            | "1.2.840.10008.1.2.2"
            | "1.2.840.10008.1.2.1.99"
            | "1.2.840.113619.5.2"
    )
}

/// True when a codec of this transfer syntax may have changed the samples, so that decoding it gives nothing better than
/// what is stored.
#[must_use]
pub fn is_lossy(transfer_syntax: &str) -> bool {
    let process = transfer_syntax.strip_prefix("1.2.840.10008.1.2.4.").unwrap_or_default();
    matches!(
        process,
        "50" | "51" | "53" | "55" | "81" | "91" | "93" | "203" | "111" | "112"
    ) || process.starts_with("10")
}

/// The media type of a frame in a transfer syntax.
#[must_use]
pub fn media_type(transfer_syntax: &str) -> &'static str {
    if transfer_syntax == "1.2.840.10008.1.2.5" {
        return "image/dicom-rle";
    }
    if transfer_syntax == "1.2.840.10008.1.2.8.1" {
        return "application/x-deflate";
    }
    let process = transfer_syntax.strip_prefix("1.2.840.10008.1.2.4.").unwrap_or_default();
    let process = process.split('.').next().unwrap_or_default();
    match process.parse::<u32>().unwrap_or_default() {
        50..=66 | 70 => "image/jpeg",
        80 | 81 => "image/jls",
        90 | 91 => "image/jp2",
        92 | 93 => "image/jpx",
        100 | 101 => "video/mpeg",
        102..=106 => "video/mp4",
        107 | 108 => "video/H265",
        110..=112 => "image/jxl",
        201..=203 => "image/jphc",
        _ => OCTET_STREAM,
    }
}

/// The name in use now of a media type that older texts and some viewers write.
fn current_name(media_type: &str) -> &str {
    match media_type {
        "image/x-dicom-rle" | "image/dicom+rle" => "image/dicom-rle",
        "image/x-jls" | "image/dicom+jpeg-ls" | "image/jpeg-ls" => "image/jls",
        "image/dicom+jpeg" => "image/jpeg",
        "image/dicom+jp2" | "image/j2k" => "image/jp2",
        "image/dicom+jpx" => "image/jpx",
        "image/jph" | "image/jhc" => "image/jphc",
        "video/mpeg2" => "video/mpeg",
        "video/h265" => "video/H265",
        other => other,
    }
}

/// How frames of one instance are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameForm {
    /// As a body of its own, or in parts.
    pub packaging: Packaging,
    /// Without parameters.
    pub media_type: &'static str,
    /// What the bytes are encoded in, as the `transfer-syntax` parameter says.
    pub transfer_syntax: String,
    /// Whether the stored frame is sent, or what it decodes to.
    pub content: FrameContent,
}

impl FrameForm {
    /// The value of `Content-Type`, with the transfer syntax always.
    #[must_use]
    pub fn content_type(&self) -> String {
        format!("{}; transfer-syntax={}", self.media_type, self.transfer_syntax)
    }
}

/// What is sent of a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrameContent {
    /// Its bytes as they are stored.
    Stored,
    /// Its samples, little endian.
    Decoded,
    /// Its samples, compressed anew.
    Compressed(TransferSyntaxUid),
}

/// Which media types may be answered in one response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// One frame: with parts or without.
    One,
    /// Several: with parts only.
    Several,
}

/// The forms in which a client takes frames that are stored in a transfer syntax, best first; empty: none.
#[must_use]
pub fn frame_forms(accept: &Accept, stored: &str, parts: Parts) -> Vec<FrameForm> {
    accept
        .ranked()
        .filter(|range| parts == Parts::One || range.packaging() != Some(Packaging::Single))
        .flat_map(|range| forms_of_range(range, stored))
        .collect()
}

fn forms_of_range(range: &MediaRange, stored: &str) -> Vec<FrameForm> {
    let packaging = range.packaging().unwrap_or(Packaging::Multipart);
    let form = |media_type, transfer_syntax: &str, content| FrameForm {
        packaging,
        media_type,
        transfer_syntax: transfer_syntax.to_owned(),
        content,
    };
    let samples = |content| form(OCTET_STREAM, EXPLICIT_VR_LITTLE_ENDIAN, content);
    let asked = range.transfer_syntax();
    let wants_stored = asked == Some("*") || asked == Some(stored);
    let wants_samples = asked.is_none() || asked == Some(EXPLICIT_VR_LITTLE_ENDIAN);
    let stored_type = media_type(stored);
    match current_name(range.media_type()) {
        "*/*" | "application/octet-stream" | "application/*" if !wants_stored && !wants_samples => {
            compressed(asked, None, form)
        }
        "application/octet-stream" | "application/*" if is_native(stored) => (wants_stored || wants_samples)
            .then(|| samples(FrameContent::Stored))
            .into_iter()
            .collect(),
        // Who asks for bytes in whatever transfer syntax gets the stored frame, labelled with it.
        "application/octet-stream" | "application/*" if wants_stored => {
            vec![form(OCTET_STREAM, stored, FrameContent::Stored)]
        }
        "application/octet-stream" | "application/*" if wants_samples => vec![samples(FrameContent::Decoded)],
        "*/*" if is_native(stored) => (wants_stored || wants_samples)
            .then(|| samples(FrameContent::Stored))
            .into_iter()
            .collect(),
        "*/*" if wants_stored => vec![form(stored_type, stored, FrameContent::Stored)],
        // What no decoder here knows is better given as it is than not at all to someone who takes anything.
        "*/*" if wants_samples => {
            vec![
                samples(FrameContent::Decoded),
                form(stored_type, stored, FrameContent::Stored),
            ]
        }
        named => {
            let of_kind = named
                .strip_suffix("/*")
                .is_some_and(|kind| stored_type.split('/').next() == Some(kind));
            let takes = of_kind || named.eq_ignore_ascii_case(stored_type);
            if !is_native(stored) && (asked.is_none() || wants_stored) && takes {
                return vec![form(stored_type, stored, FrameContent::Stored)];
            }
            compressed(asked, Some(named), form)
        }
    }
}

/// The frame compressed anew: in the transfer syntax asked for, else in the default of its media type (table 8.7.3-2).
fn compressed(
    asked: Option<&str>,
    named: Option<&str>,
    form: impl Fn(&'static str, &str, FrameContent) -> FrameForm,
) -> Vec<FrameForm> {
    let of_type = match named {
        Some("image/jpeg") => "1.2.840.10008.1.2.4.70",
        Some("image/dicom-rle") => "1.2.840.10008.1.2.5",
        Some("image/jls") => "1.2.840.10008.1.2.4.80",
        Some("image/jp2") => "1.2.840.10008.1.2.4.90",
        Some("image/jphc") => "1.2.840.10008.1.2.4.201",
        Some("application/x-deflate") => "1.2.840.10008.1.2.8.1",
        Some(_) => return Vec::new(),
        None => "",
    };
    let wanted = asked.filter(|asked| *asked != "*").unwrap_or(of_type);
    let kind = media_type(wanted);
    if Form::encapsulated(wanted).is_none() || named.is_some_and(|named| !named.eq_ignore_ascii_case(kind)) {
        return Vec::new();
    }
    TransferSyntaxUid::new(wanted)
        .map(|uid| vec![form(kind, wanted, FrameContent::Compressed(uid))])
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const J2K: &str = "1.2.840.10008.1.2.4.90";
    const JPEG: &str = "1.2.840.10008.1.2.4.50";

    #[track_caller]
    fn check(accept: &str, stored: &str, expected: Option<(&str, FrameContent)>) {
        let accept = Accept::parse(accept).unwrap();
        let forms = frame_forms(&accept, stored, Parts::One);
        let got = forms.first().map(|form| (form.content_type(), form.content.clone()));
        assert_eq!(got, expected.map(|(text, content)| (text.to_owned(), content)));
    }

    #[test]
    fn samples_are_the_default() {
        let samples = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1";
        for accept in [
            "",
            "*/*",
            "multipart/related; type=\"application/octet-stream\"",
            "application/octet-stream",
        ] {
            check(accept, "1.2.840.10008.1.2", Some((samples, FrameContent::Stored)));
            check(accept, J2K, Some((samples, FrameContent::Decoded)));
        }
    }

    #[test]
    fn a_stored_frame_is_always_labelled() {
        let bytes = "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.4.90";
        let image = "image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90";
        check(
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            J2K,
            Some((bytes, FrameContent::Stored)),
        );
        check(
            "multipart/related; type=\"image/jp2\"; transfer-syntax=*",
            J2K,
            Some((image, FrameContent::Stored)),
        );
        check("image/jp2", J2K, Some((image, FrameContent::Stored)));
        check("image/*", J2K, Some((image, FrameContent::Stored)));
        check("*/*; transfer-syntax=*", J2K, Some((image, FrameContent::Stored)));
    }

    #[track_caller]
    fn check_compressed(accept: &str, stored: &str, media_type: &str, transfer_syntax: &str) {
        let uid = TransferSyntaxUid::new(transfer_syntax).unwrap();
        let content_type = format!("{media_type}; transfer-syntax={transfer_syntax}");
        check(accept, stored, Some((&content_type, FrameContent::Compressed(uid))));
    }

    #[test]
    fn what_is_not_stored_is_compressed_anew() {
        const NATIVE: &str = "1.2.840.10008.1.2.1";
        check_compressed("image/jls", J2K, "image/jls", "1.2.840.10008.1.2.4.80");
        check_compressed("image/jp2", NATIVE, "image/jp2", J2K);
        check_compressed("image/jpeg", NATIVE, "image/jpeg", "1.2.840.10008.1.2.4.70");
        let asked = "image/jphc; transfer-syntax=1.2.840.10008.1.2.4.202";
        check_compressed(asked, NATIVE, "image/jphc", "1.2.840.10008.1.2.4.202");
        let asked = "*/*; transfer-syntax=1.2.840.10008.1.2.5";
        check_compressed(asked, NATIVE, "image/dicom-rle", "1.2.840.10008.1.2.5");
        let asked = "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.70";
        check_compressed(asked, JPEG, "image/jpeg", "1.2.840.10008.1.2.4.70");
    }

    #[test]
    fn what_nothing_here_writes_is_not_offered() {
        check("image/jxl", J2K, None);
        check("image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.51", J2K, None);
        check("image/jp2; transfer-syntax=1.2.840.10008.1.2.4.80", JPEG, None);
        check("video/mp4", J2K, None);
        check("text/plain", J2K, None);
    }

    #[test]
    fn falls_through_to_what_can_be_given() {
        check(
            "multipart/related; type=\"image/jxl\", multipart/related; type=\"application/octet-stream\"; q=0.5",
            J2K,
            Some((
                "application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1",
                FrameContent::Decoded,
            )),
        );
    }

    #[test]
    fn several_frames_need_parts() {
        let accept = Accept::parse("image/jp2").unwrap();
        assert!(frame_forms(&accept, J2K, Parts::Several).is_empty());
    }
}
