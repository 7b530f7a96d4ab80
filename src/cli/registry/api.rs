//! Asks the running archive by `/api/v1`.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::cli::{
    failure::{Failure, Status},
    server::ADDRESS_FILE,
};
use filmroom_peers::{AeTitle, Peer};

/// Longest wait for the archive: it may have to wait for a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// An archive that runs on this machine.
pub(super) struct Api {
    address: SocketAddr,
}

impl Api {
    /// The archive that has a data folder.
    pub(super) fn of_folder(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join(ADDRESS_FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
        let address = text.trim().trim_start_matches("http://").parse();
        let address = address.map_err(|_| {
            let sentence = format!("{} names no archive", path.display());
            Failure::new(
                Status::Data,
                sentence,
                "another program has the data folder: wait for it to end",
            )
        })?;
        Ok(Self { address })
    }

    pub(super) fn put(&self, peer: &Peer) -> Result<(), Failure> {
        let body = serde_json::to_string(peer).map_err(|error| self.failure(&error.to_string()))?;
        self.ask("PUT", &peer.ae_title, &body)
    }

    pub(super) fn remove(&self, title: &AeTitle) -> Result<(), Failure> {
        self.ask("DELETE", title, "")
    }

    fn ask(&self, method: &str, title: &AeTitle, body: &str) -> Result<(), Failure> {
        let (status, answer) = self
            .exchange(method, title, body)
            .map_err(|error| self.failure(&error.to_string()))?;
        if (200..300).contains(&status) {
            return Ok(());
        }
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let detail = answer
            .get("detail")
            .and_then(Value::as_str)
            .unwrap_or("without a reason");
        let sentence = format!("the archive at {} refused ({status}): {detail}", self.address);
        let status = if status == 404 { Status::NoInput } else { Status::Usage };
        Err(Failure::new(status, sentence, "`filmroom peer list` lists all peers"))
    }

    fn exchange(&self, method: &str, title: &AeTitle, body: &str) -> std::io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let title = utf8_percent_encode(title.as_str(), NON_ALPHANUMERIC);
        let request = format!(
            "{method} /api/v1/peers/{title} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(stream.take(ANSWER_BYTES_MAX));
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other("the answer is no HTTP"))?;
        while line.trim_end() != "" {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                break;
            }
        }
        let mut answer = Vec::new();
        reader.read_to_end(&mut answer)?;
        Ok((status, answer))
    }

    fn failure(&self, why: &str) -> Failure {
        let sentence = format!("the archive at {} does not answer: {why}", self.address);
        Failure::new(Status::Unavailable, sentence, "is it starting or stopping? try again")
    }
}
