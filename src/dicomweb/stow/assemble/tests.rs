use bytes::Bytes;

use super::*;
use crate::stow::{instance::Pieces, spool::Spool};
use filmroom_dataset::items;
use filmroom_dataset::{parse, read_json};
use filmroom_storage::model::Elements;

struct Given(Option<Bytes>);

impl Pieces for Given {
    type Error = std::convert::Infallible;

    async fn piece(&mut self) -> Result<Option<Bytes>, Self::Error> {
        Ok(self.0.take())
    }
}

async fn parts(given: &[(&str, &str, &[u8])]) -> BulkParts {
    let mut parts = BulkParts::new();
    let mut spool = Spool::new();
    for (name, media_type, bytes) in given {
        let content = spool
            .take(&mut Given(Some(Bytes::copy_from_slice(bytes))))
            .await
            .unwrap()
            .unwrap();
        parts.entry((*name).to_owned()).or_default().push(BulkPart {
            content_type: ContentType::parse(media_type),
            content,
            unpacked: None,
        });
    }
    parts
}

async fn assembled(json: &str, given: &[(&str, &str, &[u8])]) -> Result<(String, Vec<u8>), String> {
    let parts = parts(given).await;
    let data_sets = read_json(json.as_bytes()).unwrap();
    let plan = plan(&data_sets[0], &parts).await?;
    let mut bytes = Vec::new();
    for segment in plan.segments {
        match segment {
            Segment::Bytes(piece) => bytes.extend_from_slice(&piece),
            Segment::Bulk { uri, index, range } => {
                bytes.extend_from_slice(&parts[&uri][index].content.read(range).await.unwrap());
            }
        }
    }
    Ok((plan.transfer_syntax_uid.as_str().to_owned(), bytes))
}

const EXPLICIT: &str = EXPLICIT_VR_LITTLE_ENDIAN;

#[tokio::test]
async fn native_values_are_put_in_their_place() {
    let json = r#"{"00020010":{"vr":"UI","Value":["1.2.840.10008.1.2"]},"00280010":{"vr":"US","Value":[1]},
        "7FE00010":{"vr":"OW","BulkDataURI":"b"},"FFFCFFFC":{"vr":"OB"}}"#;
    let (transfer_syntax, bytes) = assembled(json, &[("b", "application/octet-stream", b"\x01\x02\x03")])
        .await
        .unwrap();
    assert_eq!(transfer_syntax, EXPLICIT);
    assert_eq!(
        bytes,
        b"\x28\0\x10\0US\x02\0\x01\0\xe0\x7f\x10\0OW\0\0\x04\0\0\0\x01\x02\x03\0\xfc\xff\xfc\xffOB\0\0\0\0\0\0"
    );
}

#[tokio::test]
async fn values_inside_of_sequences_are_found_by_their_path() {
    let json = r#"{"54000100":{"vr":"SQ","Value":[{"54001010":{"vr":"OW","BulkDataURI":"a"}},{"54001010":{"vr":"OW","BulkDataURI":"b"}}]}}"#;
    let given: &[(&str, &str, &[u8])] = &[
        ("b", "application/octet-stream", b"22"),
        ("a", "application/octet-stream", b"11"),
    ];
    let (_, bytes) = assembled(json, given).await.unwrap();
    let transfer_syntax = TransferSyntaxUid::new(EXPLICIT).unwrap();
    let read = parse(&bytes.into(), &transfer_syntax, 1 << 20).unwrap();
    let sequence = read.get(0x5400_0100).unwrap();
    let values: Vec<&[u8]> = items(sequence.value)
        .flat_map(|item| Elements::new(item).map(|element| element.value))
        .collect();
    assert_eq!(values, [b"11", b"22"]);
}

#[tokio::test]
async fn compressed_frames_become_fragments() {
    let jpeg = b"\xff\xd8\xff\xc0\0\x0b\x08\0\x05\0\x07\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\x01\0\0";
    let json = r#"{"7FE00010":{"vr":"OB","BulkDataURI":"http://h/frames"}}"#;
    let (transfer_syntax, bytes) = assembled(json, &[("frames", "image/jpeg", jpeg), ("frames", "image/jpeg", jpeg)])
        .await
        .unwrap();
    assert_eq!(transfer_syntax, "1.2.840.10008.1.2.4.50");
    let end = b"\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0\x1a\0\0\0";
    let at = memchr::memmem::find(&bytes, end).unwrap();
    assert!(bytes[..at].ends_with(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff"));
    assert!(bytes.ends_with(b"\0\xfe\xff\xdd\xe0\0\0\0\0"));
    // Rows, columns, frames and the meaning of the samples come from the codestream.
    for expected in [
        &b"\x28\0\x10\0US\x02\0\x05\0"[..],
        b"\x28\0\x11\0US\x02\0\x07\0",
        b"\x28\0\x08\0IS\x02\x002 ",
        b"MONOCHROME2 ",
    ] {
        assert!(memchr::memmem::find(&bytes, expected).is_some(), "{expected:?}");
    }
}

#[tokio::test]
async fn a_document_gets_its_type_and_length() {
    let json = r#"{"00420011":{"vr":"OB","BulkDataURI":"doc"}}"#;
    let (_, bytes) = assembled(json, &[("doc", "application/pdf", b"%PDF-")]).await.unwrap();
    for expected in [
        &b"\x42\0\x12\0LO\x10\0application/pdf "[..],
        b"\x42\0\x15\0UL\x04\0\x05\0\0\0",
    ] {
        assert!(memchr::memmem::find(&bytes, expected).is_some(), "{expected:?}");
    }
}

#[tokio::test]
async fn a_reference_without_its_part_is_told() {
    let json = r#"{"7FE00010":{"vr":"OW","BulkDataURI":"elsewhere"}}"#;
    let error = assembled(json, &[("b", "application/octet-stream", b"1")])
        .await
        .unwrap_err();
    assert!(error.contains("elsewhere"), "{error}");
}
