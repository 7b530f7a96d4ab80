//! The archive that runs on a data folder, for commands that find the folder in use: where it is asked, and by what it knows them.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use filmroom_storage::state;
use serde_json::Value;

use super::failure::{Failure, Status};
use crate::config::Config;

/// Written into the data folder while it is served. It holds a secret: only who may read the data folder may read it.
const FILE: &str = "serving";
/// Longest wait for the archive: it may have to wait for a slow disk.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// How a running archive is reached.
pub struct Way {
    /// Its URL for people and clients.
    pub url: String,
    /// Where commands on this machine ask it, without TLS.
    pub local: SocketAddr,
    /// What they show.
    pub secret: String,
}

impl Way {
    /// Writes it down for this user alone.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let path = folder.join(FILE);
        // A file that is there keeps the permissions that somebody gave it.
        let _ = fs::remove_file(&path);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(format!("{}\nhttp://{}\n{}\n", self.url, self.local, self.secret).as_bytes())
    }

    /// Reads what was written down; `None` when it is something else.
    ///
    /// # Errors
    /// When there is nothing that can be read.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(folder.join(FILE))?;
        let mut lines = text.lines().map(str::to_owned);
        let (url, local, secret) = (lines.next(), lines.next(), lines.next());
        let local = local.and_then(|local| local.trim_start_matches("http://").parse().ok());
        match (url, local, secret) {
            (Some(url), Some(local), Some(secret)) => Ok(Self { url, local, secret }),
            _ => Err(io::Error::other("it names no archive")),
        }
    }
}

/// Forgets what was written down.
pub fn remove(folder: &Path) {
    let _ = fs::remove_file(folder.join(FILE));
}

/// An archive that runs on this machine, asked by `/api/v1`.
pub struct Running(Way);

/// What it answered.
pub struct Answer {
    /// The body, where it is JSON.
    pub body: Value,
    status: u16,
    by: SocketAddr,
}

impl Running {
    /// The archive that runs on the data folder, if one does.
    ///
    /// # Errors
    /// [`Failure`] when the folder is in use by something that is not to be reached.
    pub fn find(config: &Config) -> Result<Option<Self>, Failure> {
        let folder = &config.data.folder;
        if !folder.is_dir() || lock(folder)?.is_some() {
            return Ok(None);
        }
        let way = Way::read(folder).map_err(|error| {
            let sentence = format!("{} cannot be read: {error}", folder.join(FILE).display());
            let advice = "another program has the data folder: wait for it to end, or run this as the user that runs the archive";
            Failure::new(Status::TryLater, sentence, advice)
        })?;
        Ok(Some(Self(way)))
    }

    /// Asks. The path is below `/api/v1`.
    ///
    /// # Errors
    /// [`Failure`] when there is no answer.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let headers = [
            ("Authorization", format!("Bearer {}", self.0.secret)),
            ("Content-Type", "application/json".to_owned()),
        ];
        self.ask_with(method, path, &headers, &body)
    }

    /// Asks as whoever the headers say, rather than as a program of this machine's user.
    ///
    /// # Errors
    /// [`Failure`] when there is no answer.
    pub fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, String)],
        body: &str,
    ) -> Result<Answer, Failure> {
        let (status, bytes) = self.exchange(method, path, headers, body).map_err(|error| {
            let sentence = format!("the archive at {} does not answer: {error}", self.0.local);
            Failure::new(Status::Unavailable, sentence, "is it starting or stopping? try again")
        })?;
        Ok(Answer {
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            status,
            by: self.0.local,
        })
    }

    fn exchange(&self, method: &str, path: &str, headers: &[(&str, String)], body: &str) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect_timeout(&self.0.local, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let headers: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let request = format!(
            "{method} /api/v1/{path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            self.0.local,
            body.len()
        );
        stream.write_all(request.as_bytes())?;
        let mut reader = BufReader::new(stream.take(ANSWER_BYTES_MAX));
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other("the answer is no HTTP"))?;
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
}

impl Answer {
    /// The body, when it did what was asked for.
    ///
    /// # Errors
    /// [`Failure`] with what the archive says; `advice`: what to do then.
    pub fn done(self, advice: &str) -> Result<Value, Failure> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        let detail = self
            .body
            .get("detail")
            .and_then(Value::as_str)
            .unwrap_or("without a reason");
        let sentence = format!("the archive at {} refused ({}): {detail}", self.by, self.status);
        let status = match self.status {
            404 => Status::NoInput,
            500.. => Status::InputOutput,
            _ => Status::Usage,
        };
        Err(Failure::new(status, sentence, advice))
    }
}

/// Takes the data folder, unless somebody has it.
///
/// # Errors
/// [`Failure`] when it cannot be had at all.
pub fn lock(folder: &Path) -> Result<Option<fs::File>, Failure> {
    state::lock(folder)
        .map_err(|error| Failure::new(Status::InputOutput, error.to_string(), "check the folder (--data)"))
}

/// Makes the data folder where there is none, and takes it.
///
/// # Errors
/// [`Failure`] when somebody has it, or it cannot be had.
pub fn take(config: &Config) -> Result<fs::File, Failure> {
    let folder = &config.data.folder;
    fs::create_dir_all(folder).map_err(|error| Failure::io("make the folder", folder, &error))?;
    lock(folder)?.ok_or_else(|| {
        let sentence = format!("the data folder {} is in use", folder.display());
        Failure::new(Status::TryLater, sentence, "try again in a moment")
    })
}
