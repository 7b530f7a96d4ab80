//! What bytes of an object store run through, for the fuzz targets of `tests/fuzz`.

use std::io;

use bytes::Bytes;
use time::OffsetDateTime;

use crate::{
    index::{codec::Undecodable, instance_row::InstanceRow},
    objects::s3::xml,
    packs::{compose::compose, headers, tar::Member, walk::walk},
};

/// A pack of members with these contents, to begin with.
///
/// # Errors
/// When it cannot be put together.
pub fn a_pack(contents: &[&[u8]]) -> io::Result<Vec<u8>> {
    let members = contents.iter().zip(1_u8..).map(|(content, number)| {
        let member = Member {
            sop_instance: format!("1.2.3.{number}"),
            length: content.len() as u64,
            data_set_offset: 0,
            transfer_syntax: "1.2.840.10008.1.2.1".into(),
            sha256: [number; 32],
            crc32: crc32fast::hash(content),
            received_at: OffsetDateTime::UNIX_EPOCH,
            origin: None,
            reason: None,
        };
        (member, Bytes::copy_from_slice(content))
    });
    let mut bytes = Vec::new();
    for piece in compose(members.collect())?.body.pieces() {
        bytes.extend(piece.read_at(0, usize::try_from(piece.len()).unwrap_or(usize::MAX))?);
    }
    Ok(bytes)
}

/// Walks through bytes as a pack.
pub fn pack(bytes: &[u8]) {
    drop(walk(&Bytes::copy_from_slice(bytes)));
}

/// Reads bytes as the headers beside a pack.
pub fn pack_headers(bytes: &[u8]) {
    let Some(end) = headers::directory_end(bytes).and_then(|end| usize::try_from(end).ok()) else {
        return;
    };
    let Ok(directory) = headers::Directory::decode(bytes) else {
        return;
    };
    for group in 0..bytes.len().min(64) {
        drop(directory.decode_group(group, bytes.get(end..).unwrap_or_default()));
    }
}

/// Reads bytes as a row of an instance.
pub fn instance_row(bytes: &[u8]) {
    drop(InstanceRow::decode::<Undecodable>(bytes, "1.2", |_| Ok("1.2".into())));
}

/// Reads bytes as an answer of an S3 server.
pub fn s3_answer(bytes: &[u8]) {
    xml::text_of(bytes, "UploadId");
    xml::items_of(bytes, &["Key", "Size"]);
}
