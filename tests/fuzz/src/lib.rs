//! Every parser of foreign bytes behind one signature: bytes in, nothing out, no harm done.
//!
//! [`TARGETS`] is the list. The fuzzers of `coverage/` run them with bytes that find new ways through the code, `tests/replay.rs` with the
//! seeds and with everything in `regressions/`, where each input that once did harm is kept.

mod data_sets;
mod pixel_data;
mod seeds;

use bytes::Bytes;

/// One parser, or several that read the same bytes.
pub struct Target {
    /// Names the fuzzer, its corpus and its regressions.
    pub name: &'static str,
    /// Reads bytes; a panic is a finding.
    pub run: fn(&[u8]),
    /// Inputs that a search begins with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "data_set",
        run: data_sets::data_set,
        seeds: seeds::data_sets,
    },
    Target {
        name: "part_10",
        run: data_sets::part_10,
        seeds: seeds::part_10,
    },
    Target {
        name: "metadata_json",
        run: data_sets::metadata_json,
        seeds: seeds::metadata_json,
    },
    Target {
        name: "metadata_xml",
        run: data_sets::metadata_xml,
        seeds: seeds::metadata_xml,
    },
    Target {
        name: "drawing",
        run: data_sets::drawing,
        seeds: seeds::data_sets,
    },
    Target {
        name: "pixel_data",
        run: pixel_data::decode,
        seeds: seeds::pixel_data,
    },
    Target {
        name: "association",
        run: association,
        seeds: seeds::associations,
    },
    Target {
        name: "command_set",
        run: filmroom_dimse::fuzzing::command_set,
        seeds: seeds::command_sets,
    },
    Target {
        name: "multipart",
        run: multipart,
        seeds: seeds::multipart,
    },
    Target {
        name: "http_request",
        run: http_request,
        seeds: seeds::http_requests,
    },
    Target {
        name: "compressed_image",
        run: filmroom_dicomweb::fuzzing::compressed_image,
        seeds: seeds::compressed_images,
    },
    Target {
        name: "pack",
        run: filmroom_storage::fuzzing::pack,
        seeds: seeds::packs,
    },
    Target {
        name: "pack_headers",
        run: filmroom_storage::fuzzing::pack_headers,
        seeds: Vec::new,
    },
    Target {
        name: "instance_row",
        run: filmroom_storage::fuzzing::instance_row,
        seeds: Vec::new,
    },
    Target {
        name: "s3_answer",
        run: filmroom_storage::fuzzing::s3_answer,
        seeds: seeds::s3_answers,
    },
    Target {
        name: "policy",
        run: policy,
        seeds: seeds::policies,
    },
];

/// The target of a name.
#[must_use]
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// The first byte tells whether the association is established, and how many bytes come at a time.
fn association(bytes: &[u8]) {
    if let Some((how, bytes)) = bytes.split_first() {
        let piece = [1, 7, 100, 4096];
        let piece = piece.get(usize::from(how >> 1 & 3)).copied().unwrap_or(1);
        filmroom_dimse::fuzzing::association(bytes, how & 1 == 1, piece);
    }
}

/// The first byte tells how many bytes come at a time.
fn multipart(bytes: &[u8]) {
    if let Some((piece, body)) = bytes.split_first() {
        filmroom_dicomweb::fuzzing::multipart(body, usize::from(*piece));
    }
}

fn http_request(bytes: &[u8]) {
    filmroom_dicomweb::fuzzing::request(&String::from_utf8_lossy(bytes));
}

fn policy(bytes: &[u8]) {
    if let Ok(value) = serde_json::from_slice(bytes) {
        drop(filmroom_retention::read_json(&value));
    }
    drop(filmroom_retention::read_toml(&String::from_utf8_lossy(bytes)));
}

/// Bytes as a source that a scanner reads.
fn source(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
