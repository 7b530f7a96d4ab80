//! A small HTTP client, so that the archive is not tested with the code that it is made of.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

use filmroom_fixtures::Instance;

use crate::harness::{Archive, PATIENCE};

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value; names in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The bodies of the parts of a multipart answer.
    #[track_caller]
    pub fn parts(&self) -> Vec<Vec<u8>> {
        let content_type = self.header("content-type").unwrap_or_default();
        let (_, rest) = content_type
            .split_once("boundary=")
            .unwrap_or_else(|| panic!("not multipart: {content_type}"));
        let boundary = rest.split(';').next().unwrap_or_default().trim_matches('"');
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        let mut body = b"\r\n".to_vec();
        body.extend_from_slice(&self.body);
        let mut parts = Vec::new();
        let mut rest = &body[find(&body, &delimiter).expect("a first boundary") + delimiter.len()..];
        while !rest.starts_with(b"--") {
            let head = find(rest, b"\r\n\r\n").expect("a part's headers end");
            let end = find(rest, &delimiter).expect("a part ends");
            parts.push(rest[head + 4..end].to_vec());
            rest = &rest[end + delimiter.len()..];
        }
        parts
    }
}

/// Where a pattern first occurs.
pub fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, pattern)
}

/// Asks, on a connection of its own.
///
/// # Errors
/// When there is no whole answer.
pub fn ask(server: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        request.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    stream.write_all(body)?;
    read_answer(&mut stream)
}

/// Reads one answer up to the end of the connection.
///
/// # Errors
/// When what comes is no HTTP answer.
pub fn read_answer(stream: &mut impl Read) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    let wrong = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let end = find(&bytes, b"\r\n\r\n").ok_or_else(|| wrong("no header of an answer"))?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .and_then(|code| code.parse().ok());
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer {
        status: status.ok_or_else(|| wrong("no status"))?,
        headers,
        body: bytes[end + 4..].to_vec(),
    };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunked(&answer.body).ok_or_else(|| wrong("the chunks are cut off"))?;
    } else if let Some(length) = answer
        .header("content-length")
        .and_then(|length| length.parse::<usize>().ok())
        && answer.body.len() != length
    {
        return Err(wrong("the body is cut off"));
    }
    Ok(answer)
}

fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = find(bytes, b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).ok()?.split(';').next()?, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(line + 2..line + 2 + length)?);
        bytes = bytes.get(line + 4 + length..)?;
    }
}

/// The body of a STOW-RS request, and its content type.
pub fn multipart(parts: &[&[u8]]) -> (String, Vec<u8>) {
    let mut body = Vec::new();
    for part in parts {
        body.extend_from_slice(b"--fixture\r\nContent-Type: application/dicom\r\n\r\n");
        body.extend_from_slice(part);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--fixture--\r\n");
    (
        "multipart/related; type=\"application/dicom\"; boundary=fixture".to_owned(),
        body,
    )
}

impl Archive {
    /// `GET` under the DICOMweb root.
    #[track_caller]
    pub fn get(&self, path: &str, accept: &str) -> Answer {
        ask(
            self.http,
            "GET",
            &format!("/dicom-web{path}"),
            &[("Accept", accept)],
            &[],
        )
        .unwrap_or_else(|error| panic!("GET {path}: {error}\n{}", self.log()))
    }

    /// Stores instances by STOW-RS.
    #[track_caller]
    pub fn stow(&self, instances: &[&Instance]) -> Answer {
        let parts: Vec<&[u8]> = instances.iter().map(|instance| instance.part10.as_slice()).collect();
        self.stow_bytes(&parts)
    }

    /// Stores bytes that may be no instances by STOW-RS.
    #[track_caller]
    pub fn stow_bytes(&self, parts: &[&[u8]]) -> Answer {
        let (content_type, body) = multipart(parts);
        let headers = [
            ("Content-Type", content_type.as_str()),
            ("Accept", "application/dicom+json"),
        ];
        ask(self.http, "POST", "/dicom-web/studies", &headers, &body)
            .unwrap_or_else(|error| panic!("POST studies: {error}\n{}", self.log()))
    }

    /// The matches of a QIDO-RS search.
    #[track_caller]
    pub fn search(&self, path: &str) -> Vec<serde_json::Value> {
        let answer = self.get(path, "application/dicom+json");
        if answer.status == 204 {
            return Vec::new();
        }
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json().as_array().expect("an array").clone()
    }

    /// An instance as stored, as a Part 10 file; `None` when the archive does not have it.
    #[track_caller]
    pub fn retrieve(&self, instance: &Instance) -> Option<Vec<u8>> {
        let path = format!(
            "/studies/{}/series/{}/instances/{}",
            instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid
        );
        let answer = self.get(
            &path,
            "multipart/related; type=\"application/dicom\"; transfer-syntax=*",
        );
        match answer.status {
            200 => {
                let mut parts = answer.parts();
                assert_eq!(parts.len(), 1);
                parts.pop()
            }
            404 => None,
            status => panic!("{path}: {status} {}", answer.text()),
        }
    }

    /// Fails the test unless the archive gives back the instance's data set, byte for byte, in its transfer syntax.
    #[track_caller]
    pub fn assert_holds(&self, instance: &Instance) {
        let Some(part10) = self.retrieve(instance) else {
            panic!("{} is not in the archive\n{}", instance.sop_instance_uid, self.log())
        };
        assert!(
            find(
                &part10[..400.min(part10.len())],
                instance.transfer_syntax_uid.as_bytes()
            )
            .is_some()
        );
        assert!(
            data_set(&part10) == instance.data_set(),
            "{} ({}) came back with another data set",
            instance.sop_instance_uid,
            instance.sop_class_uid
        );
    }
}

/// The data set of a Part 10 file, found by the group length of its file meta information.
#[track_caller]
pub fn data_set(part10: &[u8]) -> &[u8] {
    assert_eq!(&part10[128..138], b"DICM\x02\x00\x00\x00UL", "no Part 10 file");
    let length = u32::from_le_bytes(part10[140..144].try_into().unwrap()) as usize;
    &part10[144 + length..]
}

/// A Part 10 file around a data set.
pub fn part10(sop_class_uid: &str, sop_instance_uid: &str, transfer_syntax_uid: &str, data_set: &[u8]) -> Vec<u8> {
    let mut group = Vec::new();
    let uids = [
        (0x02u16, sop_class_uid),
        (0x03, sop_instance_uid),
        (0x10, transfer_syntax_uid),
        (0x12, "2.25.1"),
    ];
    group.extend(b"\x02\0\x01\0OB\0\0\x02\0\0\0\0\x01");
    for (element, uid) in uids {
        let value = crate::scu::uid(uid);
        group.extend([2, 0]);
        group.extend(element.to_le_bytes());
        group.extend(b"UI");
        group.extend((value.len() as u16).to_le_bytes());
        group.extend(value);
    }
    let mut bytes = vec![0; 128];
    bytes.extend(b"DICM\x02\0\0\0UL\x04\0");
    bytes.extend((group.len() as u32).to_le_bytes());
    bytes.extend(group);
    bytes.extend(data_set);
    bytes
}
