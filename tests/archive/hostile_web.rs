//! Requests over HTTP that ask for more than anybody should: a clear refusal, and little memory for it.

use crate::{
    hostile::{Besieged, resident_bytes},
    web::{Answer, ask},
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
