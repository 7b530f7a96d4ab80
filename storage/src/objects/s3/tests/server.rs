//! A real S3 server for a test, and a proxy before it that breaks things.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::super::{CredentialSource, S3Options, Secret};

/// The server ends with this.
pub(crate) struct Server {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    pub(crate) endpoint: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) bucket: String,
    /// A bucket with Object Lock, where the server has such.
    pub(crate) locked: Option<String>,
}

impl Server {
    /// Starts it, with the environment that `tests/run` makes.
    pub(crate) fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let interpreter = std::env::var_os("TEST_PYTHON")
            .map_or_else(|| root.join("target/test-venv/bin/python"), std::path::PathBuf::from);
        assert!(
            interpreter.exists(),
            "{} is missing: `tests/run` makes it",
            interpreter.display()
        );
        let mut child = Command::new(interpreter)
            .args(["-W", "ignore"])
            .arg(root.join("tests/python/s3_server.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.starts_with("ready ") {
            line.clear();
            assert!(output.read_line(&mut line).unwrap() > 0, "the S3 server did not start");
        }
        let mut words = line.split_whitespace().skip(1).map(str::to_owned);
        let mut next = || words.next().unwrap();
        Self {
            child,
            input,
            output,
            endpoint: next(),
            access_key: next(),
            secret_key: next(),
            bucket: next(),
            locked: Some(next()).filter(|name| name != "-"),
        }
    }

    pub(crate) fn options(&self) -> S3Options {
        S3Options {
            credentials: CredentialSource::Keys {
                access_key_id: self.access_key.clone(),
                secret_access_key: Secret::new(&self.secret_key),
            },
            ..S3Options::new(&self.endpoint, &self.bucket)
        }
    }

    /// What boto3 says.
    pub(crate) fn ask(&mut self, command: &str) -> serde_json::Value {
        writeln!(self.input.as_mut().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert!(self.output.read_line(&mut line).unwrap() > 0, "the S3 server is gone");
            if let Ok(answer) = serde_json::from_str(&line) {
                return answer;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

/// What the proxy does with one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mischief {
    /// Lets it pass.
    None,
    /// Cuts the connection before the request reaches the server.
    Cut,
    /// Lets the request through and cuts the connection instead of the answer.
    LoseAnswer,
    /// Lets so many bytes of the answer through, then cuts.
    CutAnswer(usize),
    /// Holds the answer up.
    Delay(Duration),
    /// Answers by itself.
    Say(&'static str),
}

/// Stands between us and the server. Each request takes the next mischief of the list; none when it is used up.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) endpoint: String,
    mischief: Arc<Mutex<VecDeque<(&'static str, Mischief)>>>,
    requests: Arc<AtomicU64>,
}

impl Proxy {
    pub(crate) async fn before(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = server.endpoint.trim_start_matches("http://").to_owned();
        let proxy = Self {
            endpoint: format!("http://{}", listener.local_addr().unwrap()),
            mischief: Arc::default(),
            requests: Arc::default(),
        };
        let accepting = proxy.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (proxy, target) = (accepting.clone(), target.clone());
                tokio::spawn(async move { proxy.serve(client, &target).await });
            }
        });
        proxy
    }

    /// The next requests whose head holds a text each meet with this.
    pub(crate) fn plan(&self, mischief: impl IntoIterator<Item = (&'static str, Mischief)>) {
        self.mischief.lock().unwrap().extend(mischief);
    }

    pub(crate) fn is_used_up(&self) -> bool {
        self.mischief.lock().unwrap().is_empty()
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    fn take(&self, head: &str) -> Mischief {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.mischief.lock().unwrap();
        match waiting.front() {
            Some((text, _)) if head.contains(text) => waiting.pop_front().unwrap().1,
            _ => Mischief::None,
        }
    }

    /// One request after the other, each on a connection of its own to the server.
    async fn serve(&self, mut client: TcpStream, target: &str) -> Option<()> {
        loop {
            let request = read_message(&mut client).await?;
            let head = String::from_utf8_lossy(&request[..request.len().min(4000)]).into_owned();
            let mischief = self.take(&head);
            match mischief {
                Mischief::Cut => return None,
                Mischief::Say(answer) => {
                    client.write_all(answer.as_bytes()).await.ok()?;
                    continue;
                }
                _ => {}
            }
            let mut server = TcpStream::connect(target).await.ok()?;
            server.write_all(&request).await.ok()?;
            let answer = read_answer(&mut server, head.starts_with("HEAD")).await?;
            match mischief {
                Mischief::LoseAnswer => return None,
                Mischief::CutAnswer(bytes) => {
                    client.write_all(&answer[..bytes.min(answer.len())]).await.ok()?;
                    return None;
                }
                Mischief::Delay(time) => tokio::time::sleep(time).await,
                _ => {}
            }
            client.write_all(&answer).await.ok()?;
        }
    }
}

fn content_length(head: &str) -> usize {
    let lower = head.to_ascii_lowercase();
    let at = lower.find("content-length:");
    at.and_then(|at| lower[at + 15..].lines().next()?.trim().parse().ok())
        .unwrap_or(0)
}

async fn read_message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    read(stream, content_length).await
}

async fn read_answer(stream: &mut TcpStream, is_head: bool) -> Option<Vec<u8>> {
    if is_head {
        return read(stream, |_| 0).await;
    }
    let mut chunked = false;
    let mut answer = read(stream, |head| {
        chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        content_length(head)
    })
    .await?;
    while chunked && !answer.ends_with(b"0\r\n\r\n") {
        let mut more = vec![0; 64 << 10];
        let read = stream.read(&mut more).await.ok().filter(|read| *read > 0)?;
        answer.extend_from_slice(&more[..read]);
    }
    Some(answer)
}

async fn read(stream: &mut TcpStream, mut body_length: impl FnMut(&str) -> usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut wanted = usize::MAX;
    while bytes.len() < wanted {
        let mut more = vec![0; 64 << 10];
        let read = stream.read(&mut more).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&more[..read]);
        if wanted == usize::MAX
            && let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n")
        {
            wanted = end + 4 + body_length(&String::from_utf8_lossy(&bytes[..end + 2]));
        }
    }
    Some(bytes)
}
