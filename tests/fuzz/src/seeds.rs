//! What a search begins with: small inputs that are right, or nearly so.

use std::sync::LazyLock;

use filmroom_dataset::{CharacterSet, describe, encode, write_json, write_xml};
use filmroom_fixtures::Instance;
use filmroom_pixels::{
    compress::{
        jpeg_baseline::{self, Chrominance, Colour},
        jpeg_lossless, jpeg_ls,
        jpeg2000::{self, BlockCoding},
        rle,
    },
    decode::{Frame, Samples},
    pixel_description::Photometric,
};
use filmroom_storage::model::{Header, TransferSyntaxUid};

use super::{pixel_data, source};

/// A seed is no longer: a search with short inputs tries more of them.
const SEED_BYTES: usize = 6 << 10;

/// One instance of every series of the catalogue, drawn once.
fn instances() -> impl Iterator<Item = &'static Instance> {
    static INSTANCES: LazyLock<Vec<Instance>> = LazyLock::new(|| {
        let catalogue = filmroom_fixtures::catalogue(1);
        catalogue.iter().flat_map(|study| study.sample(1)).collect()
    });
    INSTANCES.iter()
}

fn header_of(instance: &Instance) -> Option<Header> {
    let syntax = TransferSyntaxUid::new(&instance.transfer_syntax_uid).ok()?;
    Some(describe(&source(instance.data_set()), &syntax).ok()?.header)
}

/// Headers in three encodings, and the beginnings of whole data sets.
pub(super) fn data_sets() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for instance in instances() {
        let Some(header) = header_of(instance) else { continue };
        for (number, uid) in [
            (0, "1.2.840.10008.1.2"),
            (1, "1.2.840.10008.1.2.1"),
            (3, "1.2.840.10008.1.2.1.99"),
        ] {
            if let Ok(syntax) = TransferSyntaxUid::new(uid)
                && let Ok(bytes) = encode(&header.attributes, &syntax, &CharacterSet::Utf8)
            {
                seeds.push(marked(number, &bytes));
            }
        }
        let number = if instance.transfer_syntax_uid.starts_with("1.2.840.10008.1.2.4") {
            4
        } else {
            1
        };
        seeds.push(marked(number, instance.data_set()));
    }
    seeds
}

/// A byte and the beginning of what follows it.
fn marked(first: u8, bytes: &[u8]) -> Vec<u8> {
    let mut seed = vec![first];
    seed.extend(bytes.iter().take(SEED_BYTES));
    seed
}

/// The beginnings of files.
pub(super) fn part_10() -> Vec<Vec<u8>> {
    instances()
        .map(|instance| instance.part10.iter().copied().take(1 << 10).collect())
        .collect()
}

/// Headers in the DICOM JSON model.
pub(super) fn metadata_json() -> Vec<Vec<u8>> {
    written(|out, header| {
        out.push(b'[');
        write_json(out, header, "bulk");
        out.push(b']');
    })
}

/// Headers in the Native DICOM model.
pub(super) fn metadata_xml() -> Vec<Vec<u8>> {
    written(|out, header| write_xml(out, header, "bulk"))
}

fn written(write: impl Fn(&mut Vec<u8>, &Header)) -> Vec<Vec<u8>> {
    instances()
        .filter_map(header_of)
        .map(|header| {
            let mut out = Vec::new();
            write(&mut out, &header);
            out
        })
        .filter(|out| out.len() <= 4 * SEED_BYTES)
        .collect()
}

/// A small picture in every coding.
pub(super) fn pixel_data() -> Vec<Vec<u8>> {
    let (rows, columns) = (12, 16);
    let cells: Vec<u16> = (0..rows * columns).map(|cell| cell as u16 * 37 % 4096).collect();
    let grey = Frame {
        rows,
        columns,
        samples_per_pixel: 1,
        samples: Samples::U16(cells.clone()),
        bits_stored: 12,
        low_bit: 0,
        signed: false,
        photometric: Photometric::Monochrome2,
    };
    let bytes: Vec<u8> = (0..rows * columns * 3).map(|cell| (cell * 11) as u8).collect();
    let colour = Frame {
        samples_per_pixel: 3,
        samples: Samples::U8(bytes.clone().into()),
        bits_stored: 8,
        photometric: Photometric::Rgb,
        ..grey.clone()
    };
    let mut seeds = Vec::new();
    let mut add = |uid: &str, kind: u8, frame: Vec<u8>| {
        if let Some(number) = pixel_data::SYNTAXES.iter().position(|syntax| *syntax == uid) {
            let mut seed = vec![number as u8, kind, rows as u8, columns as u8];
            seed.extend(frame);
            seeds.push(seed);
        }
    };
    add(
        "1.2.840.10008.1.2.1",
        2,
        cells.iter().flat_map(|cell| cell.to_le_bytes()).collect(),
    );
    add("1.2.840.10008.1.2.1", 1 | 1 << 3, bytes.clone());
    for (frame, kind) in [(&grey, 2), (&colour, 1 | 1 << 3)] {
        let streams = [
            ("1.2.840.10008.1.2.5", rle::compress(frame)),
            ("1.2.840.10008.1.2.4.70", jpeg_lossless::compress(frame)),
            (
                "1.2.840.10008.1.2.4.80",
                jpeg_ls::compress(frame, 0, jpeg_ls::Order::Sample),
            ),
            (
                "1.2.840.10008.1.2.4.90",
                jpeg2000::compress(frame, BlockCoding::BitPlanes),
            ),
            (
                "1.2.840.10008.1.2.4.201",
                jpeg2000::compress(frame, BlockCoding::HighThroughput),
            ),
        ];
        for (uid, stream) in streams {
            add(uid, kind, stream.unwrap_or_default());
        }
    }
    for chrominance in [Chrominance::Full, Chrominance::Halved] {
        let stream = jpeg_baseline::compress(&bytes, columns, rows, Colour::Rgb(chrominance), 80, None);
        add("1.2.840.10008.1.2.4.50", 1 | 2 << 3, stream.unwrap_or_default());
    }
    seeds
}

/// Heads of compressed images without the four bytes that describe them.
pub(super) fn compressed_images() -> Vec<Vec<u8>> {
    pixel_data()
        .into_iter()
        .filter_map(|seed| seed.get(4..).map(<[u8]>::to_vec))
        .filter(|stream| stream.starts_with(&[0xFF]))
        .collect()
}

/// An association of C-ECHO, from its request to its release, and what comes after it is established.
pub(super) fn associations() -> Vec<Vec<u8>> {
    let mut request = vec![0, 1, 0, 0];
    request.extend_from_slice(b"FILMROOM        ");
    request.extend_from_slice(b"FUZZER          ");
    request.extend([0; 32]);
    request.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    let mut context = vec![1, 0, 0, 0];
    context.extend(item(0x30, b"1.2.840.10008.1.1"));
    context.extend(item(0x40, b"1.2.840.10008.1.2"));
    request.extend(item(0x20, &context));
    let mut user = item(0x51, &[0, 0, 0x40, 0]);
    user.extend(item(0x52, b"1.2.3"));
    user.extend(item(0x54, &[0, 5, b'1', b'.', b'2', b'.', b'3', 1, 1]));
    user.extend(item(0x58, &[2, 0, 0, 2, b'm', b'e', 0, 2, b'p', b'w']));
    request.extend(item(0x50, &user));

    let mut value = vec![0, 0, 0, 0, 1, 3];
    value.extend(c_echo());
    let length = value.len() as u32 - 4;
    value.splice(..4, length.to_be_bytes());

    let mut whole = vec![0b110];
    whole.extend(pdu(1, &request));
    let mut established = vec![0b111];
    established.extend(pdu(4, &value));
    established.extend(pdu(5, &[0; 4]));
    vec![whole, established, [&[0b111][..], &pdu(7, &[0, 0, 2, 1])].concat()]
}

fn item(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut item = vec![kind, 0];
    item.extend((body.len() as u16).to_be_bytes());
    item.extend_from_slice(body);
    item
}

fn pdu(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut pdu = vec![kind, 0];
    pdu.extend((body.len() as u32).to_be_bytes());
    pdu.extend_from_slice(body);
    pdu
}

fn c_echo() -> Vec<u8> {
    let mut elements = Vec::new();
    let mut add = |tag: u16, value: &[u8]| {
        elements.extend([0, 0]);
        elements.extend(tag.to_le_bytes());
        elements.extend((value.len() as u32).to_le_bytes());
        elements.extend_from_slice(value);
    };
    add(0x0002, b"1.2.840.10008.1.1\0");
    add(0x0100, &0x0030_u16.to_le_bytes());
    add(0x0110, &1_u16.to_le_bytes());
    add(0x0800, &0x0101_u16.to_le_bytes());
    let mut command = vec![0, 0, 0, 0, 4, 0, 0, 0];
    command.extend((elements.len() as u32).to_le_bytes());
    command.extend(elements);
    command
}

/// A command set.
pub(super) fn command_sets() -> Vec<Vec<u8>> {
    vec![c_echo()]
}

/// Bodies with a part, with LF line ends, and cut short. The first byte is how many bytes come at a time.
pub(super) fn multipart() -> Vec<Vec<u8>> {
    let bodies: [&[u8]; 3] = [
        b"\x03--x\r\nContent-Type: application/dicom\r\nContent-Length: 3\r\n\r\none\r\n--x\r\n\r\n\r\n--x--\r\n",
        b"\xFF--x\nContent-Type: image/jpeg;\n transfer-syntax=*\nContent-Location: \"a/b\"\n\none\n--x--\n",
        b"\x40preamble\r\n--x \t\r\nContent-ID: <a>\r\n\r\none\r\n--xy\r\n--x-",
    ];
    bodies.map(<[u8]>::to_vec).to_vec()
}

/// Queries, Accept lists and ranges.
pub(super) fn http_requests() -> Vec<Vec<u8>> {
    [
        "PatientName=M%C3%BCl*&fuzzymatching=true&includefield=00081030,StudyDescription&limit=10&offset=3",
        "00100020=1%5C2&StudyDate=20200101-20201231&StudyTime=-12&orderby=-StudyDate&includefield=all",
        "RequestAttributesSequence.ScheduledProcedureStepID=1&ModalitiesInStudy=CT%5CMR&emptyvaluematching=true",
        "window=40,400,linear-exact&viewport=100,100,,,-50,50&quality=80&annotation=patient,technique&iccprofile=srgb",
        "multipart/related; type=\"application/octet-stream\"; transfer-syntax=1.2.840.10008.1.2.4.50;q=0.5, */*;q=0.1",
        "bytes=0-99",
        "bytes=-5",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// A pack of two members.
pub(super) fn packs() -> Vec<Vec<u8>> {
    vec![filmroom_storage::fuzzing::a_pack(&[b"one", &[7; 600]]).unwrap_or_default()]
}

/// Answers to a list and to the beginning of a multipart upload.
pub(super) fn s3_answers() -> Vec<Vec<u8>> {
    [
        "<ListVersionsResult><Version><Key>a/b</Key><VersionId>1</VersionId></Version><DeleteMarker><Key>c</Key></DeleteMarker></ListVersionsResult>",
        "<?xml version=\"1.0\"?><InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><UploadId>u&amp;1</UploadId></InitiateMultipartUploadResult>",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// The packs that ship with the archive.
pub(super) fn policies() -> Vec<Vec<u8>> {
    filmroom_retention::templates::TEMPLATES
        .iter()
        .map(|(_, text)| text.as_bytes().to_vec())
        .collect()
}
