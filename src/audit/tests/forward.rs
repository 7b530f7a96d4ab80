use std::{path::Path, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, BufReader},
    net::{TcpListener, UdpSocket},
    sync::oneshot,
};

use super::{open, seen};
use crate::{
    Audit,
    forward::Forwarder,
    syslog::{Destination, Sender, TlsFiles, Transport},
    xml::Source,
};

fn sender() -> Sender {
    Sender {
        host: "archive host".into(),
        application: "filmroom".into(),
        process: 42,
        source: Source {
            id: "FILMROOM".into(),
            site: String::new(),
        },
    }
}

fn to(port: u16, transport: Transport) -> Destination {
    Destination {
        host: "localhost".into(),
        port,
        transport,
    }
}

/// Sends on until it is dropped or told to stop.
fn start(audit: &Audit, destination: Destination) -> (oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let forwarder = Forwarder::open(audit.log().clone(), destination, sender()).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    (stop, tokio::spawn(forwarder.run(async { drop(stopped.await) })))
}

/// One message of octet counting.
async fn next(line: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut length = 0;
    loop {
        match line.read_u8().await.ok()? {
            b' ' => break,
            digit => length = length * 10 + usize::from(digit - b'0'),
        }
    }
    let mut message = vec![0; length];
    line.read_exact(&mut message).await.ok()?;
    Some(String::from_utf8(message).unwrap())
}

/// Reads messages until one names the study.
async fn until(line: &mut (impl AsyncRead + Unpin), study: u64) -> Vec<String> {
    let mut messages = Vec::new();
    loop {
        let message = next(line).await.unwrap();
        let is_last = message.contains(&format!("ParticipantObjectID=\"1.2.3.{study}\""));
        messages.push(message);
        if is_last {
            return messages;
        }
    }
}

async fn record(audit: &Audit, numbers: std::ops::Range<u64>) {
    for number in numbers {
        audit.record(seen(number)).await.unwrap();
    }
}

#[tokio::test]
async fn by_udp_each_event_is_one_datagram_of_rfc_5424() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let port = receiver.local_addr().unwrap().port();
    record(&audit, 0..3).await;
    let destination = Destination {
        host: "127.0.0.1".into(),
        ..to(port, Transport::Udp)
    };
    let (_stop, _running) = start(&audit, destination);
    let mut bytes = vec![0; 65_536];
    for number in 0..3 {
        let length = receiver.recv(&mut bytes).await.unwrap();
        let message = std::str::from_utf8(&bytes[..length]).unwrap();
        let (head, xml) = message.split_once('\u{FEFF}').unwrap();
        let fields: Vec<_> = head.split(' ').collect();
        let [priority, _, host, application, process, kind, data, ""] = fields[..] else {
            panic!("{head}")
        };
        assert_eq!((priority, host, application), ("<85>1", "archivehost", "filmroom"));
        assert_eq!((process, kind, data), ("42", "DICOM+RFC3881", "-"));
        assert!(xml.starts_with("<?xml") && xml.contains(&format!("1.2.3.{number}\"")));
    }
}

/// The receiver is not there, comes, goes in the middle and comes back; we are restarted meanwhile.
#[tokio::test]
async fn by_tcp_nothing_is_lost_over_broken_lines_and_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let destination = Destination {
        host: "127.0.0.1".into(),
        ..to(port, Transport::Tcp)
    };
    drop(listener);
    let (stop, running) = start(&audit, destination.clone());
    record(&audit, 0..5).await;
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let mut line = listener.accept().await.unwrap().0;
    assert_eq!(until(&mut line, 4).await.len(), 5);
    // Gone while some may be on the way: those are sent again.
    drop(line);
    record(&audit, 5..8).await;
    let mut line = listener.accept().await.unwrap().0;
    let again = until(&mut line, 7).await;
    assert!(again.len() >= 3 && again.iter().any(|message| message.contains("\"1.2.3.5\"")));
    stop.send(()).unwrap();
    running.await.unwrap();
    drop(line);
    record(&audit, 8..10).await;
    audit.close().await.unwrap();
    let audit = open(folder.path());
    let (_stop, _running) = start(&audit, destination);
    let mut line = listener.accept().await.unwrap().0;
    let rest = until(&mut line, 9).await;
    assert!(rest.iter().any(|message| message.contains("\"1.2.3.8\"")));
    // Whoever receives is a witness of the log too.
    let note = next(&mut line).await.unwrap();
    assert!(note.contains("CHECKPOINT") && note.contains("\n10\n"), "{note}");
}

fn certificate(folder: &Path) -> (std::path::PathBuf, std::path::PathBuf) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate, key)
}

fn acceptor(certificate: &Path, key: &Path) -> tokio_rustls::TlsAcceptor {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain = CertificateDer::pem_file_iter(certificate)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = PrivateKeyDer::from_pem_file(key).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config).into()
}

#[tokio::test]
async fn by_tls_only_the_receiver_that_is_trusted_gets_anything() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(&folder.path().join("audit"));
    let other = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    let (foreign, foreign_key) = self::certificate(other.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    record(&audit, 0..3).await;
    let files = TlsFiles {
        authorities: certificate.clone(),
        own: None,
    };
    let (_stop, _running) = start(&audit, to(port, Transport::Tls(files)));
    let stranger = listener.accept().await.unwrap().0;
    assert!(acceptor(&foreign, &foreign_key).accept(stranger).await.is_err());
    let stream = listener.accept().await.unwrap().0;
    let stream = acceptor(&certificate, &key).accept(stream).await.unwrap();
    assert_eq!(until(&mut BufReader::new(stream), 2).await.len(), 3);
}

#[tokio::test]
async fn a_receiver_that_does_not_read_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let destination = Destination {
        host: "127.0.0.1".into(),
        ..to(port, Transport::Tcp)
    };
    let (stop, running) = start(&audit, destination);
    let _line = listener.accept().await.unwrap();
    record(&audit, 0..2000).await;
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), running)
        .await
        .unwrap()
        .unwrap();
}
