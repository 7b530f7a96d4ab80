//! Serves HTTP/1.1 and HTTP/2 on one socket, plain or by TLS, with a bound on everything that a client can hold.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::ConnectInfo, http::Request};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::patient_stream::PatientStream;
use crate::config::Http;
use filmroom_dimse::tls::TlsServer;

/// How an HTTP/2 client with prior knowledge begins (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// By what name TLS clients choose HTTP/2 (RFC 9113 §3.2).
const HTTP2_PROTOCOL: &[u8] = b"h2";
/// How a TLS handshake begins (RFC 8446 §5.1).
const TLS_HANDSHAKE: u8 = 22;
/// What who speaks HTTP without TLS is told where TLS is spoken.
const TLS_ALONE: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 45\r\n\r\n\
    this port speaks TLS: ask by https, not http\n";
/// Requests at one time on one HTTP/2 connection: twice what browsers open.
const HTTP2_STREAMS_MAX: u32 = 128;
/// What is buffered for one HTTP/2 stream that is not read, in bytes.
const HTTP2_SEND_BUFFER_BYTES: usize = 256 << 10;
/// Upload window of one HTTP/2 stream, in bytes: STOW at full speed on a local network.
const HTTP2_WINDOW_BYTES: u32 = 1 << 20;
/// After the system would not give a connection (no more descriptors), so long until the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening door.
pub struct HttpServing {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl HttpServing {
    /// Where it listens.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.address
    }

    /// Returns when the door is closed: after `shutdown` was cancelled and the last connection ended.
    pub async fn closed(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the HTTP listener ended by a panic");
        }
    }
}

/// Serves until `shutdown` is cancelled. Then no new connections are taken, and running requests finish or are cut off
/// after `drain_timeout`.
///
/// # Errors
/// When the listener has no local address.
pub fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<TlsServer>>,
    settings: &Http,
    drain_timeout: Duration,
    shutdown: CancellationToken,
) -> std::io::Result<HttpServing> {
    let address = listener.local_addr()?;
    let door = Door {
        router,
        tls,
        builders: Builders::new(settings),
        header_timeout: settings.header_timeout,
        write_timeout: settings.write_timeout,
        shutdown,
        abort: CancellationToken::new(),
    };
    let connections = Arc::new(Semaphore::new(settings.connections_max as usize));
    let task = tokio::spawn(accept(listener, Arc::new(door), connections, drain_timeout));
    Ok(HttpServing { address, task })
}

struct Door {
    router: Router,
    tls: Option<Arc<TlsServer>>,
    builders: Builders,
    header_timeout: Duration,
    write_timeout: Duration,
    shutdown: CancellationToken,
    abort: CancellationToken,
}

struct Builders {
    http1: auto::Builder<TokioExecutor>,
    http2: auto::Builder<TokioExecutor>,
}

impl Builders {
    fn new(settings: &Http) -> Self {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(settings.header_timeout)
            .max_buf_size(settings.header_max.as_usize());
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(settings.header_timeout)
            .keep_alive_timeout(settings.header_timeout)
            .max_header_list_size(u32::try_from(settings.header_max.0).unwrap_or(u32::MAX))
            .max_concurrent_streams(HTTP2_STREAMS_MAX)
            .max_send_buf_size(HTTP2_SEND_BUFFER_BYTES)
            .initial_stream_window_size(HTTP2_WINDOW_BYTES)
            .initial_connection_window_size(HTTP2_WINDOW_BYTES * 2);
        Self {
            http1: builder.clone().http1_only(),
            http2: builder.http2_only(),
        }
    }
}

async fn accept(listener: TcpListener, door: Arc<Door>, connections: Arc<Semaphore>, drain_timeout: Duration) {
    let tasks = TaskTracker::new();
    loop {
        let permit = tokio::select! {
            () = door.shutdown.cancelled() => break,
            permit = Arc::clone(&connections).acquire_owned() => permit,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            () = door.shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let door = Arc::clone(&door);
                tasks.spawn(async move {
                    connection(&door, stream, peer).await;
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(drain_timeout, tasks.wait()).await.is_err() {
        tracing::warn!(
            connections = tasks.len(),
            "HTTP requests are cut off: the time to drain is over"
        );
        door.abort.cancel();
        tasks.wait().await;
    }
}

async fn connection(door: &Door, stream: TcpStream, peer: SocketAddr) {
    // A response that waits for a delayed acknowledgement costs 40 ms.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY");
    }
    let first = tokio::select! {
        () = door.shutdown.cancelled() => return,
        first = tokio::time::timeout(door.header_timeout, sniff(&stream)) => first,
    };
    let Ok(Ok(first)) = first else { return };
    let stream = PatientStream::new(stream, door.write_timeout);
    match (&door.tls, first) {
        (None, First::Http2) => requests(door, &door.builders.http2, stream, peer).await,
        (None, First::Other) => requests(door, &door.builders.http1, stream, peer).await,
        (Some(tls), First::Tls) => secure(door, tls, stream, peer).await,
        (Some(_), _) => tell(stream, TLS_ALONE).await,
        (None, First::Tls) => tracing::debug!(%peer, "a TLS handshake where none is spoken"),
    }
}

/// Shakes hands, then serves what was chosen in it.
async fn secure(door: &Door, tls: &TlsServer, stream: PatientStream, peer: SocketAddr) {
    let accepted = tokio::select! {
        () = door.shutdown.cancelled() => return,
        accepted = tls.accept(stream, door.header_timeout) => accepted,
    };
    match accepted {
        Ok((stream, _)) => {
            let builder = match stream.get_ref().1.alpn_protocol() {
                Some(HTTP2_PROTOCOL) => &door.builders.http2,
                _ => &door.builders.http1,
            };
            requests(door, builder, stream, peer).await;
        }
        Err(error) => tracing::debug!(%peer, %error, "no TLS"),
    }
}

async fn tell(mut stream: PatientStream, answer: &[u8]) {
    // Whoever is gone need not hear it.
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
}

async fn requests<S>(door: &Door, builder: &auto::Builder<TokioExecutor>, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let router = door.router.clone();
    let service = TowerToHyperService::new(tower::service_fn(move |mut request: Request<_>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    }));
    let mut serving = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut draining = false;
    loop {
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "an HTTP connection ended early");
                }
                return;
            }
            () = door.shutdown.cancelled(), if !draining => {
                draining = true;
                serving.as_mut().graceful_shutdown();
            }
            () = door.abort.cancelled() => return,
        }
    }
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy)]
enum First {
    Tls,
    Http2,
    Other,
}

/// Tells the protocol by the first bytes without taking them. `auto` would do so too, but waits for them without end.
async fn sniff(stream: &TcpStream) -> std::io::Result<First> {
    let mut buffer = [0; HTTP2_PREFACE.len()];
    loop {
        let count = stream.peek(&mut buffer).await?;
        let seen = buffer.get(..count).unwrap_or_default();
        if seen.is_empty() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if seen.first() == Some(&TLS_HANDSHAKE) {
            return Ok(First::Tls);
        }
        if seen == HTTP2_PREFACE {
            return Ok(First::Http2);
        }
        if !HTTP2_PREFACE.starts_with(seen) {
            return Ok(First::Other);
        }
        // `peek` returns at once as long as anything is there.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
