//! Requests over HTTP that ask for more than anybody should: a clear refusal, and little memory for it.

use std::{
    io::{Read, Write},
    net::Shutdown,
};

use crate::{
    harness::{PATIENCE, Start, python, run},
    hostile::{Besieged, request, resident_bytes},
    scu::connect,
    web::{Answer, ask, multipart, read_answer},
};

/// What a request that is refused may have cost in all, on top of what the archive takes anyway.
const MEMORY_MAX_BYTES: u64 = 200 << 20;

const JSON: &str = "application/dicom+json";
const DESCRIBED: &str = "multipart/related; type=\"application/dicom+json\"; boundary=b";

impl Besieged {
    fn instance(&self) -> String {
        let stored = &self.stored;
        format!(
            "/dicom-web/studies/{}/series/{}/instances/{}",
            stored.study_instance_uid, stored.series_instance_uid, stored.sop_instance_uid
        )
    }

    #[track_caller]
    fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(self.archive.http, "GET", path, headers, &[]).unwrap()
    }

    /// A refusal in words: 4xx, and a problem document unless HTTP itself refused.
    #[track_caller]
    fn refuses(&self, what: &str, answer: &Answer, allowed: &[u16]) {
        assert!(
            allowed.contains(&answer.status),
            "{what}: {} {}",
            answer.status,
            answer.text()
        );
        if answer.status != 431 && answer.status != 414 {
            let detail = answer.json()["detail"].as_str().unwrap_or_default().len();
            assert!((10..2_000).contains(&detail), "{what}: {}", answer.text());
        }
    }

    #[track_caller]
    fn assert_small(&self) {
        let resident = resident_bytes(self.archive.process_id());
        assert!(resident < MEMORY_MAX_BYTES, "{resident} bytes were resident");
    }
}

#[test]
fn header_fields_that_are_too_long() {
    let besieged = Besieged::start();
    let path = format!("{}/frames/1", besieged.instance());
    for length in [1_000, 4_000] {
        // 16 and 64 kB of media types that nobody has.
        let accept = (0..length)
            .map(|n| format!("a/{n};q=0.{n}"))
            .collect::<Vec<_>>()
            .join(",");
        let answer = besieged.get(&path, &[("Accept", &accept)]);
        besieged.refuses("Accept", &answer, &[400, 406, 431]);
    }
    let ranges = format!(
        "bytes={}",
        (0..5_000).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(",")
    );
    let answer = besieged.get(&path, &[("Range", &ranges), ("Accept", "application/octet-stream")]);
    assert!(matches!(answer.status, 200 | 406 | 416), "{}", answer.status);
    let tags = "\"x\",".repeat(8_000);
    let answer = besieged.get(
        &format!("{}/metadata", besieged.instance()),
        &[("If-None-Match", &tags), ("Accept", JSON)],
    );
    assert_eq!(answer.status, 200);
    besieged.assert_small();
    besieged.assert_unmoved();
}

#[test]
fn lists_that_are_too_long() {
    let besieged = Besieged::start();
    let frames = vec!["1"; 10_000].join(",");
    let answer = besieged.get(&format!("{}/frames/{frames}", besieged.instance()), &[]);
    besieged.refuses("frames", &answer, &[400, 414]);
    let uids = (0..2_000)
        .map(|n| format!("1.2.840.113619.{n}"))
        .collect::<Vec<_>>()
        .join(",");
    let answer = besieged.get(
        &format!("/dicom-web/studies?StudyInstanceUID={uids}"),
        &[("Accept", JSON)],
    );
    assert!(
        matches!(answer.status, 200 | 204 | 400 | 413 | 414),
        "{}",
        answer.status
    );
    let parameters = (0..3_000)
        .map(|n| format!("PatientID={n}"))
        .collect::<Vec<_>>()
        .join("&");
    let answer = besieged.get(&format!("/dicom-web/studies?{parameters}"), &[("Accept", JSON)]);
    besieged.refuses("parameters", &answer, &[400, 413, 414]);
    let fields = vec!["all"; 2_000].join(",");
    let answer = besieged.get(
        &format!("/dicom-web/studies?includefield={fields}"),
        &[("Accept", JSON)],
    );
    assert!(matches!(answer.status, 200 | 400), "{}", answer.status);
    besieged.assert_small();
    besieged.assert_unmoved();
}

#[test]
fn searches_that_are_made_to_explode() {
    let besieged = Besieged::start();
    let deep = ["ProcedureCodeSequence"; 1_000].join(".");
    let answer = besieged.get(&format!("/dicom-web/studies?{deep}.CodeValue=x"), &[("Accept", JSON)]);
    besieged.refuses("a deep path", &answer, &[400, 413]);
    for pattern in [
        "*a".repeat(5_000),
        "*?".repeat(5_000),
        "?".repeat(10_000),
        "*".repeat(10_000) + "b",
    ] {
        for fuzzy in [false, true] {
            let path = format!("/dicom-web/studies?PatientName={pattern}&fuzzymatching={fuzzy}");
            let answer = besieged.get(&path, &[("Accept", JSON)]);
            assert!(
                matches!(answer.status, 200 | 400),
                "{} {}",
                answer.status,
                answer.text()
            );
        }
    }
    for (query, allowed) in [
        // Beyond any cap: the cap.
        ("limit=99999999999999999999", [200, 400]),
        ("offset=18446744073709551615", [200, 200]),
        ("limit=-1", [400, 400]),
        ("StudyDate=20240101-20230101-20220101", [400, 400]),
        ("StudyInstanceUID=..", [400, 400]),
    ] {
        let answer = besieged.get(&format!("/dicom-web/studies?{query}"), &[("Accept", JSON)]);
        assert!(
            allowed.contains(&answer.status),
            "{query}: {} {}",
            answer.status,
            answer.text()
        );
    }
    besieged.assert_small();
    besieged.assert_unmoved();
}

#[test]
fn metadata_that_are_made_to_explode() {
    let besieged = Besieged::start();
    let post = |document: &[u8]| {
        let body = [
            b"--b\r\nContent-Type: application/dicom+json\r\n\r\n".as_slice(),
            document,
            b"\r\n--b--\r\n",
        ]
        .concat();
        let headers = [("Content-Type", DESCRIBED), ("Accept", JSON)];
        ask(besieged.archive.http, "POST", "/dicom-web/studies", &headers, &body).unwrap()
    };
    let item = "{\"00081032\":{\"vr\":\"SQ\",\"Value\":[";
    for (what, document) in [
        ("open for ever", b"[".repeat(1 << 20)),
        ("nested items", item.repeat(100_000).into_bytes()),
        (
            "a text without end",
            [
                b"[{\"00100010\":{\"vr\":\"PN\",\"Value\":[\"".as_slice(),
                &[b'x'; 4 << 20],
            ]
            .concat(),
        ),
        (
            "many empty data sets",
            [b"[{}".as_slice(), &b",{}".repeat(150_000), b"]"].concat(),
        ),
        (
            "many numbers",
            [
                b"[{\"00280010\":{\"vr\":\"US\",\"Value\":[1".as_slice(),
                &b",1".repeat(2 << 20),
                b"]}}]",
            ]
            .concat(),
        ),
        ("no JSON", vec![0; 1 << 20]),
    ] {
        let answer = post(&document);
        assert!(
            (400..500).contains(&answer.status),
            "{what}: {} {}",
            answer.status,
            answer.text().chars().take(300).collect::<String>()
        );
    }
    // Parts without a length, without a header and without an end.
    for body in [
        b"--b\r\n".as_slice(),
        b"--b\r\n\r\n",
        b"--b\r\n\r\n--b--",
        b"--b--\r\n",
        b"",
        b"--b\r\nContent-Length: 99999999999999\r\n\r\nx\r\n--b--\r\n",
    ] {
        let headers = [("Content-Type", DESCRIBED), ("Accept", JSON)];
        let answer = ask(besieged.archive.http, "POST", "/dicom-web/studies", &headers, body).unwrap();
        assert!((400..500).contains(&answer.status), "{body:?}: {}", answer.status);
    }
    besieged.assert_unmoved();
}

/// Lying descriptions, bombs of every codec, fragments and tables out of bounds: a picture, a placeholder or a refusal, in little memory.
#[test]
fn pixels_that_are_made_to_explode() {
    let besieged = Besieged::start();
    run(python("hostile_pixels.py").arg(besieged.archive.dicom_web()));
    let resident = resident_bytes(besieged.archive.process_id());
    assert!(resident < 2 * MEMORY_MAX_BYTES, "{resident} bytes were resident");
    besieged.archive.assert_holds(&besieged.stored);
}

#[test]
fn garbage_on_the_http_port() {
    let besieged = Besieged::start();
    let noise: Vec<u8> = (0..200_000u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect();
    for bytes in [
        noise.as_slice(),
        &request(),
        b"GET",
        b"GET / HTTP/9.9\r\n\r\n",
        &[b'A'; 300_000],
        b"\r\n\r\n\r\n",
    ] {
        let mut stream = connect(besieged.archive.http).unwrap();
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    besieged.assert_unmoved();
}

/// A body that never ends is cut off, and a part that is announced and does not come is not waited for without end.
#[test]
fn bodies_without_end() {
    let settings = "[http]\nstow_body_max = \"4 MiB\"\nbody_timeout = \"2s\"\n";
    let besieged = Besieged::started(Start::default().settings(settings));
    let head = "POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: application/dicom+json\r\nContent-Type: \
                multipart/related; type=\"application/dicom\"; boundary=fixture\r\n";
    let part = b"--fixture\r\nContent-Type: application/dicom\r\n\r\n";

    // Chunk after chunk, without end.
    let mut stream = connect(besieged.archive.http).unwrap();
    stream
        .write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
        .unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b'-'; 0x10000], b"\r\n"].concat();
    let mut sent = 0u64;
    while stream.write_all(&chunk).is_ok() {
        sent += chunk.len() as u64;
        assert!(sent < 1 << 30, "a gigabyte was taken");
    }

    // A length that is not kept: the sender waits, the archive does not.
    let mut stream = connect(besieged.archive.http).unwrap();
    stream
        .write_all(format!("{head}Content-Length: 1000000\r\n\r\n").as_bytes())
        .unwrap();
    stream.write_all(part).unwrap();
    stream.write_all(&besieged.stored.part10[..2000]).unwrap();
    match read_answer(&mut stream) {
        Ok(answer) => assert!((400..=599).contains(&answer.status), "{answer:?}"),
        Err(error) => assert_ne!(
            error.kind(),
            std::io::ErrorKind::WouldBlock,
            "still waiting after {PATIENCE:?}"
        ),
    }

    // A length beyond the limit is refused at once.
    let mut stream = connect(besieged.archive.http).unwrap();
    stream
        .write_all(format!("{head}Content-Length: 999999999999\r\n\r\n").as_bytes())
        .unwrap();
    let answer = read_answer(&mut stream).unwrap();
    assert_eq!(answer.status, 413, "{answer:?}");
    besieged.assert_unmoved();
}

/// Bodies that are no multipart, or no DICOM.
#[test]
fn bodies_that_are_something_else() {
    let besieged = Besieged::start();
    let post = |content_type: &str, body: &[u8]| {
        ask(
            besieged.archive.http,
            "POST",
            "/dicom-web/studies",
            &[("Content-Type", content_type)],
            body,
        )
        .unwrap()
        .status
    };
    let related = "multipart/related; type=\"application/dicom\"; boundary=fixture";
    assert!((400..500).contains(&post("text/plain", b"hello")));
    assert!((400..500).contains(&post(related, b"hello")));
    assert!((400..500).contains(&post("multipart/related; type=\"application/dicom\"", b"hello")));
    assert!((400..500).contains(&post(related, b"--fixture\r\n\r\n")));
    assert!((400..500).contains(&post(related, &multipart(&[b"hello"]).1)));
    assert!((400..500).contains(&post(related, &multipart(&[&[0; 132]]).1)));
    assert!((400..500).contains(&post(related, &multipart(&[]).1)));
    let whole = &besieged.stored.part10;
    for length in (130..whole.len() - 2).step_by(911) {
        let status = post(related, &multipart(&[&whole[..length]]).1);
        assert!(
            (400..500).contains(&status),
            "{length} of {} bytes: {status}",
            whole.len()
        );
    }
    besieged.assert_unmoved();
}
