//! Data sets (PS3.5), files (PS3.10) and their forms in JSON and XML (PS3.18 Annex F, PS3.19 Annex A).

use std::collections::HashMap;

use filmroom_dataset::{
    CharacterSet, DataSetDescriber, PixelDataIs, Reencoder, describe, encode, identify, parse, read_file_head,
    read_json, read_xml, write_json, write_xml,
};
use filmroom_pixels::{elements::DataSet, pixel_description::PixelDescription};
use filmroom_render::{card, presentation};
use filmroom_storage::{model::TransferSyntaxUid, store::Describer as _};

use super::source;

const SYNTAXES: [&str; 5] = [
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.4.70",
];

/// The transfer syntax that a first byte names, and the rest.
fn syntax_of(bytes: &[u8]) -> Option<(TransferSyntaxUid, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let uid = SYNTAXES.get(usize::from(*first) % SYNTAXES.len())?;
    Some((TransferSyntaxUid::new(uid).ok()?, rest))
}

/// What every instance that comes in runs through, then what it is read as and written as later. The first byte is its transfer
/// syntax.
pub(super) fn data_set(bytes: &[u8]) {
    let Some((syntax, bytes)) = syntax_of(bytes) else {
        return;
    };
    let bytes = source(bytes);
    let strict = describe(&bytes, &syntax).ok();
    let stored = DataSetDescriber.describe(&bytes, &syntax).ok();
    assert!(
        strict.is_none() || stored.is_some(),
        "what may come in can be described again"
    );
    for description in strict.iter().chain(&stored) {
        let mut out = Vec::new();
        write_json(&mut out, &description.header, "bulk");
        assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok(), "JSON");
        out.clear();
        write_xml(&mut out, &description.header, "bulk");
    }
    drop(parse(&bytes, &syntax, 1 << 20));
    drop(identify(&bytes, &syntax));
    for to_explicit in [true, false] {
        if let Ok(mut reencoder) = Reencoder::new(&bytes, &syntax, to_explicit, PixelDataIs::Kept, Vec::new()) {
            while let Ok(Some(_)) = reencoder.next_piece() {}
        }
    }
}

/// A file of a disc or a folder.
pub(super) fn part_10(bytes: &[u8]) {
    drop(read_file_head(&source(bytes)));
}

/// Metadata of a STOW-RS request: what is taken is written and described as if it had come over DIMSE.
pub(super) fn metadata_json(bytes: &[u8]) {
    for data_set in read_json(bytes).into_iter().flatten().take(16) {
        again(&data_set.attributes);
    }
}

/// The same in XML.
pub(super) fn metadata_xml(bytes: &[u8]) {
    if let Ok(data_set) = read_xml(bytes) {
        again(&data_set.attributes);
    }
}

fn again(attributes: &filmroom_storage::model::Attributes) {
    for uid in SYNTAXES.iter().take(2) {
        if let Ok(syntax) = TransferSyntaxUid::new(uid)
            && let Ok(bytes) = encode(attributes, &syntax, &CharacterSet::Utf8)
        {
            drop(describe(&bytes, &syntax));
        }
    }
}

/// What is drawn of an instance beside its pixels. The first byte is its transfer syntax.
pub(super) fn drawing(bytes: &[u8]) {
    let Some((syntax, bytes)) = syntax_of(bytes) else {
        return;
    };
    let Ok(description) = describe(&source(bytes), &syntax) else {
        return;
    };
    let data_set = DataSet {
        header: description.header,
        bulk: HashMap::new(),
    };
    let elements = data_set.elements();
    for names in [card::Names::Hidden, card::Names::Shown] {
        let _ = card::draw(&data_set, elements.text(0x0008_0016), card::SIDE, names);
    }
    let _ = card::report_lines(&elements, 100, card::Names::Hidden);
    let _ = presentation::pixel_aspect(&elements, 0);
    if let Ok(description) = PixelDescription::read(&elements, 0x7FE0_0010) {
        drop(description.check());
        let _ = presentation::pipeline(&elements, &description, 0, None);
    }
}
