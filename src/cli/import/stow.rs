//! Sends what is imported to a running archive by STOW-RS (PS3.18 §10.5): one instance a request, over kept connections.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use serde_json::Value;

use super::{
    take::{Destination, Instance, NotTaken},
    tally::{Outcome, Refusal},
};

/// Bytes sent in one chunk.
const CHUNK_BYTES: usize = 256 << 10;
/// An answer for one instance has a few hundred bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Longest line, and most lines, of an answer's head.
const HEAD_BYTES_MAX: u64 = 64 << 10;
/// Longest wait for the archive to take bytes or to answer: it may have to wait for a slow disk.
const PATIENCE: Duration = Duration::from_secs(120);

/// Another archive's DICOMweb service.
#[derive(Debug)]
pub struct Stow {
    /// `HOST:PORT`.
    authority: String,
    /// The path of the service, without a slash at its end.
    base_path: String,
    /// The header that says who sends; empty when nobody is asked.
    authorization: String,
    /// Connections that wait for their next request.
    idle: Mutex<Vec<BufReader<TcpStream>>>,
}

/// Why a request came to no answer.
enum Broken {
    /// The source could not be read.
    Source(io::Error),
    /// The connection failed.
    Connection(io::Error),
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    keep: bool,
}

fn authorization(token: Option<&str>) -> Result<String, String> {
    match token {
        None => Ok(String::new()),
        Some(token) if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(format!("Authorization: Bearer {token}\r\n"))
        }
        Some(_) => Err("the token is none".to_owned()),
    }
}

impl Stow {
    /// Understands the URL of a service, or of an archive (then `/dicom-web` is meant), and sees whether it answers. `token`: what it
    /// knows us by.
    ///
    /// # Errors
    /// One sentence.
    pub fn connect(url: &str, token: Option<&str>) -> Result<Self, String> {
        let rest = url
            .strip_prefix("http://")
            .ok_or_else(|| format!("{url} is no http:// URL"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        if authority.is_empty() || authority.contains(['@', ' ']) || path.contains([' ', '\r', '\n', '?', '#']) {
            return Err(format!("{url} is no URL of an archive"));
        }
        let authority = match authority.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with(':') {
            true => authority.to_owned(),
            false => format!("{authority}:80"),
        };
        let path = if path.is_empty() { "dicom-web" } else { path };
        let stow = Self {
            authority,
            base_path: format!("/{path}"),
            authorization: authorization(token)?,
            idle: Mutex::default(),
        };
        match stow.open() {
            Ok(connection) => stow.keep(connection),
            Err(error) => return Err(format!("{} cannot be reached: {error}", stow.authority)),
        }
        Ok(stow)
    }

    fn open(&self) -> io::Result<BufReader<TcpStream>> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, Duration::from_secs(10)) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.set_write_timeout(Some(PATIENCE))?;
                    return Ok(BufReader::new(stream));
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn keep(&self, connection: BufReader<TcpStream>) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(connection);
    }

    fn request(&self, instance: &Instance<'_>, data_set: &mut dyn Read) -> Result<Answer, Broken> {
        let kept = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .filter(is_open);
        let mut connection = match kept {
            Some(connection) => connection,
            None => self.open().map_err(Broken::Connection)?,
        };
        let boundary = uuid::Uuid::new_v4().simple().to_string();
        let head = format!(
            "POST {}/studies HTTP/1.1\r\nHost: {}\r\nAccept: application/dicom+json\r\nTransfer-Encoding: chunked\r\n{}\
             Content-Type: multipart/related; type=\"application/dicom\"; boundary={boundary}\r\n\r\n",
            self.base_path, self.authority, self.authorization
        );
        let file_head = filmroom_dataset::write_file_head(
            &instance.head.media_storage_sop_class_uid,
            &instance.head.media_storage_sop_instance_uid,
            instance.head.transfer_syntax_uid.as_str(),
            "",
        );
        let mut body = format!("--{boundary}\r\nContent-Type: application/dicom\r\n\r\n").into_bytes();
        body.extend_from_slice(&file_head);
        let answer = match send(connection.get_mut(), &head, body, &boundary, data_set) {
            Ok(()) => read_answer(&mut connection).map_err(Broken::Connection)?,
            // Who refuses need not have read everything.
            Err(Broken::Connection(error)) => match read_answer(&mut connection) {
                Ok(answer) if answer.status >= 400 => Answer { keep: false, ..answer },
                _ => return Err(Broken::Connection(error)),
            },
            Err(error) => return Err(error),
        };
        if answer.keep {
            self.keep(connection);
        }
        Ok(answer)
    }
}

/// Sends the head of a request, then its body: what is there already, the data set, and the end of the multipart.
fn send(
    stream: &mut TcpStream,
    head: &str,
    mut body: Vec<u8>,
    boundary: &str,
    data_set: &mut dyn Read,
) -> Result<(), Broken> {
    stream.write_all(head.as_bytes()).map_err(Broken::Connection)?;
    let mut piece = vec![0; CHUNK_BYTES];
    loop {
        let count = data_set.read(&mut piece).map_err(Broken::Source)?;
        if count == 0 {
            break;
        }
        body.extend_from_slice(piece.get(..count).unwrap_or_default());
        if body.len() >= CHUNK_BYTES {
            send_chunk(stream, &body).map_err(Broken::Connection)?;
            body.clear();
        }
    }
    body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    send_chunk(stream, &body).map_err(Broken::Connection)?;
    stream.write_all(b"0\r\n\r\n").map_err(Broken::Connection)
}

/// False for a connection that the archive closed while it was idle.
fn is_open(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    let mut byte = [0];
    let quiet = stream.set_nonblocking(true).and_then(|()| stream.peek(&mut byte));
    let open = quiet.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
    open && stream.set_nonblocking(false).is_ok()
}

/// Written in one piece: a chunk's length alone in a packet would wait for an acknowledgement.
fn send_chunk(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    stream.write_all(&chunk)
}

fn bad(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn read_answer(connection: &mut impl BufRead) -> io::Result<Answer> {
    loop {
        let mut head = connection.take(HEAD_BYTES_MAX);
        let mut line = String::new();
        head.read_line(&mut line)?;
        let mut words = line.split_whitespace();
        let status = match (words.next(), words.next().map(str::parse::<u16>)) {
            (Some(version), Some(Ok(status))) if version.starts_with("HTTP/1.") => status,
            _ => return Err(bad("no HTTP answer came")),
        };
        let (mut length, mut chunked, mut keep) = (None, false, line.starts_with("HTTP/1.1"));
        loop {
            let mut line = String::new();
            if head.read_line(&mut line)? == 0 {
                return Err(bad("the answer's head does not end"));
            }
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            match line.split_once(':').map(|(name, value)| (name, value.trim())) {
                Some(("content-length", value)) => length = value.parse::<u64>().ok(),
                Some(("transfer-encoding", value)) => chunked = value.ends_with("chunked"),
                Some(("connection", value)) => keep = keep && value != "close",
                _ => {}
            }
        }
        if status < 200 {
            continue;
        }
        let mut body = Vec::new();
        match (chunked, length) {
            (true, _) => read_chunks(connection, &mut body)?,
            (false, Some(length)) if length <= ANSWER_BYTES_MAX => {
                if connection.take(length).read_to_end(&mut body)? as u64 != length {
                    return Err(bad("the answer ends early"));
                }
            }
            (false, Some(_)) => return Err(bad("the answer is too long")),
            (false, None) => {
                keep = false;
                connection.take(ANSWER_BYTES_MAX).read_to_end(&mut body)?;
            }
        }
        return Ok(Answer { status, body, keep });
    }
}

fn read_chunks(connection: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    let line = |connection: &mut dyn BufRead| -> io::Result<String> {
        let mut line = String::new();
        connection.take(1024).read_line(&mut line)?;
        Ok(line.trim().to_owned())
    };
    loop {
        let head = line(connection)?;
        let length = head.split(';').next().unwrap_or_default();
        let length = u64::from_str_radix(length, 16).map_err(|_| bad("a chunk of the answer has no length"))?;
        if length > ANSWER_BYTES_MAX - body.len() as u64 {
            return Err(bad("the answer is too long"));
        }
        if length == 0 {
            // Trailers, and the empty line after them.
            while !line(connection)?.is_empty() {}
            return Ok(());
        }
        if connection.take(length).read_to_end(body)? as u64 != length {
            return Err(bad("the answer ends early"));
        }
        line(connection)?;
    }
}

impl Destination for Stow {
    fn take(&self, instance: &Instance<'_>, data_set: &mut dyn Read) -> Result<Outcome, NotTaken> {
        let answer = match self.request(instance, data_set) {
            Ok(answer) => answer,
            Err(Broken::Source(error)) => return Err(NotTaken::Read(error)),
            Err(Broken::Connection(error)) => return Err(NotTaken::NotNow(format!("{}: {error}", self.authority))),
        };
        let told = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        judge(answer.status, &told)
    }
}

/// What an answer (PS3.18 §10.5.3) says of the one instance that was sent.
fn judge(status: u16, told: &Value) -> Result<Outcome, NotTaken> {
    let refusal = |reason, detail: String| Refusal { reason, detail };
    let failure = told
        .pointer("/00081198/Value/0/00081197/Value/0")
        .and_then(Value::as_u64);
    match (status, failure) {
        (200, None) => Ok(Outcome::Stored),
        // Stored, and something was odd about it.
        (202, None) if told.pointer("/00081199/Value/0").is_some() => Ok(Outcome::Stored),
        (_, Some(code @ (0xC000..=0xCFFF | 0xA900..=0xA9FF))) => Err(NotTaken::NoInstance(refusal(
            "not understood by the archive",
            format!("failure reason {code:04X}H"),
        ))),
        (_, Some(code @ 0xA700..=0xA7FF)) => Err(NotTaken::NotNow(format!("the archive has no room: {code:04X}H"))),
        (_, Some(code)) => Err(NotTaken::Refused(refusal(
            "refused by the archive",
            format!("failure reason {code:04X}H"),
        ))),
        (401 | 403, None) => Err(NotTaken::NotNow(
            "the archive does not let us store: --token-file names the file of a token with a role that may".to_owned(),
        )),
        (503 | 507, None) => Err(NotTaken::NotNow(format!(
            "the archive answers with HTTP status {status}"
        ))),
        (400 | 409, None) => Err(NotTaken::NoInstance(refusal(
            "not understood by the archive",
            format!("HTTP status {status}"),
        ))),
        (status, None) => Err(NotTaken::Refused(refusal(
            "refused by the archive",
            format!("it answers with HTTP status {status}"),
        ))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(text: &str) -> io::Result<Answer> {
        read_answer(&mut text.as_bytes())
    }

    #[test]
    fn reads_answers_of_known_length_and_in_chunks() {
        let whole = answer("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}rest").unwrap();
        assert_eq!(
            (whole.status, whole.body.as_slice(), whole.keep),
            (200, b"{}".as_slice(), true)
        );
        let chunked = "HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n";
        let chunked = answer(chunked).unwrap();
        assert_eq!(
            (chunked.status, chunked.body.as_slice(), chunked.keep),
            (202, b"{}".as_slice(), false)
        );
    }

    #[test]
    fn answers_that_are_none_are_errors() {
        for text in [
            "",
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
        ] {
            assert!(answer(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_answer_is_judged_by_what_it_says_of_the_instance() {
        let failed = |code: u64| serde_json::json!({"00081198": {"Value": [{"00081197": {"Value": [code]}}]}});
        let stored = serde_json::json!({"00081199": {"Value": [{}]}});
        assert!(matches!(judge(200, &stored), Ok(Outcome::Stored)));
        assert!(matches!(judge(202, &stored), Ok(Outcome::Stored)));
        assert!(matches!(judge(202, &Value::Null), Err(NotTaken::Refused(_))));
        assert!(matches!(judge(409, &failed(0xC000)), Err(NotTaken::NoInstance(_))));
        assert!(matches!(judge(409, &failed(0xA700)), Err(NotTaken::NotNow(_))));
        assert!(matches!(judge(409, &failed(0x0122)), Err(NotTaken::Refused(_))));
        assert!(matches!(judge(507, &Value::Null), Err(NotTaken::NotNow(_))));
        assert!(matches!(judge(401, &Value::Null), Err(NotTaken::NotNow(_))));
    }

    #[test]
    fn urls_without_a_path_mean_the_usual_one() {
        assert!(
            Stow::connect("https://127.0.0.1/", None)
                .unwrap_err()
                .contains("http://")
        );
        assert!(Stow::connect("http:///x", None).is_err());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stow = Stow::connect(&format!("http://{address}/"), None).unwrap();
        assert_eq!(
            (stow.authority, stow.base_path),
            (address.to_string(), "/dicom-web".to_owned())
        );
        let stow = Stow::connect(&format!("http://{address}/pacs/rs/"), Some("filmroom_1_2")).unwrap();
        assert_eq!(stow.base_path, "/pacs/rs");
        assert_eq!(stow.authorization, "Authorization: Bearer filmroom_1_2\r\n");
        assert!(Stow::connect(&format!("http://{address}/"), Some("1\r\nX: 2")).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_answer(&mut bytes.as_slice());
            let _ = read_answer(&mut [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".as_slice(), &bytes].concat().as_slice());
        }
    }
}
