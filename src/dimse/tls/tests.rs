//! Handshakes over real sockets, with certificates made for the test.

use std::{fs, path::Path};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tokio::net::TcpListener;

use super::*;
use crate::{
    AeTitle, AssociationError, DimseConfig, Listener, Peer, Status,
    scu::{self, ScuError},
    serve,
};
use filmroom_peers::{Peers, Transport};

/// An authority of its own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// Writes a certificate for a name, and its key.
    fn issue(&self, folder: &Path, name: &str, alternatives: &[&str]) -> TlsFiles {
        let key = KeyPair::generate().unwrap();
        let alternatives: Vec<String> = alternatives.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(alternatives).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        write(folder, name, &certificate.pem(), &key.serialize_pem())
    }

    fn write(&self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, &self.pem).unwrap();
        path
    }
}

fn write(folder: &Path, name: &str, certificate: &str, key: &str) -> TlsFiles {
    let files = TlsFiles {
        certificate: folder.join(format!("{name}.crt")),
        key: folder.join(format!("{name}.key")),
    };
    fs::write(&files.certificate, certificate).unwrap();
    fs::write(&files.key, key).unwrap();
    files
}

/// A node that answers C-ECHO by TLS.
struct Node {
    port: u16,
    folder: tempfile::TempDir,
    authority: Authority,
    _shutdown: tokio_util::sync::DropGuard,
}

impl Node {
    async fn start(
        callers: impl FnOnce(PathBuf) -> ClientCertificates,
        versions: TlsVersions,
        peers: Vec<Peer>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new("Authority");
        let trusted = authority.write(folder.path(), "authority.pem");
        let files = authority.issue(folder.path(), "server", &["localhost", "127.0.0.1"]);
        let tls = TlsServer::new(files, callers(trusted), versions).unwrap();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listener = Listener {
            socket,
            tls: Some(Arc::new(tls)),
        };
        let mut options = filmroom_storage::store::StoreOptions::new(folder.path().join("data"));
        options.free_space_min_bytes = 0;
        let store = filmroom_storage::store::Store::open(options, Arc::new(filmroom_dataset::DataSetDescriber))
            .await
            .unwrap();
        let rooms = crate::tests::rooms(&store, &folder.path().join("data"));
        let config = DimseConfig {
            peers: Arc::new(Peers::of_settings(peers)),
            ..DimseConfig::default()
        };
        let shutdown = tokio_util::sync::CancellationToken::new();
        let serving = serve(vec![listener], config, rooms, shutdown.clone()).unwrap();
        Self {
            port: serving.local_addresses()[0].port(),
            folder,
            authority,
            _shutdown: shutdown.drop_guard(),
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn authorities(&self) -> PathBuf {
        self.path().join("authority.pem")
    }

    fn peer(&self, host: &str) -> Peer {
        Peer {
            transport: Transport::Tls,
            ..Peer::new(AeTitle::new("FILMROOM").unwrap(), host, self.port)
        }
    }

    async fn echo(&self, peer: &Peer, own: Option<TlsFiles>, authorities: PathBuf) -> Result<Status, ScuError> {
        let tls = TlsClient::new(own, authorities, TlsVersions::From12).unwrap();
        let config = DimseConfig {
            ae_title: AeTitle::new("CT1").unwrap(),
            tls: Some(Arc::new(tls)),
            ..DimseConfig::default()
        };
        scu::echo(peer, Arc::new(config)).await
    }

    /// The echo with a certificate of the authority.
    async fn echo_as(&self, name: &str) -> Result<Status, ScuError> {
        let own = self.authority.issue(self.path(), name, &["ct1.example"]);
        self.echo(&self.peer("127.0.0.1"), Some(own), self.authorities()).await
    }
}

#[track_caller]
fn handshake_failed(result: Result<Status, ScuError>) {
    // A client of TLS 1.3 has sent its certificate when it hears that it will not do.
    assert!(
        matches!(
            result,
            Err(ScuError::Association(
                AssociationError::Tls { .. } | AssociationError::Io(_) | AssociationError::Closed
            ))
        ),
        "{result:?}"
    );
}

#[track_caller]
fn rejected(result: Result<Status, ScuError>) {
    let told = match result {
        Err(ScuError::Association(AssociationError::Rejected(rejection))) => rejection.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(told, "calling AE title not recognized (permanent, source 1, reason 3)");
}

#[tokio::test]
async fn both_ends_prove_who_they_are() {
    let node = Node::start(ClientCertificates::Required, TlsVersions::From12, vec![]).await;
    assert_eq!(node.echo_as("ct1").await.unwrap(), Status::SUCCESS);
    let peer = node.peer("127.0.0.1");
    handshake_failed(node.echo(&peer, None, node.authorities()).await);
    let other = Authority::new("Other");
    let foreign = other.issue(node.path(), "foreign", &["ct1.example"]);
    handshake_failed(node.echo(&peer, Some(foreign), node.authorities()).await);
    let own = node.authority.issue(node.path(), "ct1", &["ct1.example"]);
    let others = other.write(node.path(), "other.pem");
    handshake_failed(node.echo(&peer, Some(own), others).await);
}

#[tokio::test]
async fn the_called_has_the_name_that_it_was_called_by_or_is_bound_to() {
    let node = Node::start(|_| ClientCertificates::NotAsked, TlsVersions::Only13, vec![]).await;
    let bound = |name: &str| Peer {
        certificate: Some(name.parse().unwrap()),
        ..node.peer("127.0.0.1")
    };
    let ask = |peer: Peer| {
        let node = &node;
        async move { node.echo(&peer, None, node.authorities()).await }
    };
    assert!(ask(node.peer("localhost")).await.is_ok());
    assert!(ask(node.peer("127.0.0.1")).await.is_ok());
    node.authority.issue(node.path(), "server", &["localhost"]);
    assert!(ask(node.peer("localhost")).await.is_ok());
    handshake_failed(ask(node.peer("127.0.0.1")).await);
    assert!(ask(bound("cn:server")).await.is_ok());
    assert!(matches!(
        ask(bound("cn:other")).await,
        Err(ScuError::Association(AssociationError::Tls {
            source: TlsError::NotBound(_),
            ..
        }))
    ));
    // A binding alone demands TLS.
    let plain = Peer {
        transport: Transport::Plain,
        ..bound("dns:localhost")
    };
    assert!(ask(plain).await.is_ok());
}

#[tokio::test]
async fn an_ae_title_is_bound_to_a_certificate() {
    let peer = |name: &str| Peer {
        certificate: Some(name.parse().unwrap()),
        ..Peer::parse("CT1=127.0.0.1:104").unwrap()
    };
    let node = Node::start(
        ClientCertificates::Required,
        TlsVersions::From12,
        vec![peer("dns:CT1.example")],
    )
    .await;
    assert_eq!(node.echo_as("ct1").await.unwrap(), Status::SUCCESS);
    let node = Node::start(ClientCertificates::Optional, TlsVersions::From12, vec![peer("cn:ct1")]).await;
    assert_eq!(node.echo_as("ct1").await.unwrap(), Status::SUCCESS);
    rejected(node.echo_as("ct2").await);
    rejected(node.echo(&node.peer("127.0.0.1"), None, node.authorities()).await);
}

#[tokio::test]
async fn changed_certificates_are_read_again() {
    let node = Node::start(ClientCertificates::Required, TlsVersions::From12, vec![]).await;
    let other = Authority::new("Other");
    let foreign = other.issue(node.path(), "foreign", &["ct1.example"]);
    let peer = node.peer("127.0.0.1");
    let before = node.path().join("before.pem");
    fs::copy(node.authorities(), &before).unwrap();
    handshake_failed(node.echo(&peer, Some(foreign.clone()), before.clone()).await);
    // A file that does not do changes nothing.
    fs::write(node.authorities(), "nothing").unwrap();
    let own = node.authority.issue(node.path(), "ct1", &["ct1.example"]);
    assert!(node.echo(&peer, Some(own), before.clone()).await.is_ok());
    fs::write(node.authorities(), &other.pem).unwrap();
    assert!(node.echo(&peer, Some(foreign), before).await.is_ok());
}

/// Devices often have a certificate that nobody signed but themselves, marked as an authority's.
#[tokio::test]
async fn a_certificate_that_is_listed_itself_is_trusted() {
    let node = Node::start(ClientCertificates::Required, TlsVersions::From12, vec![]).await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["device".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = params.self_signed(&key).unwrap().pem();
    let device = write(node.path(), "device", &own, &key.serialize_pem());
    let before = node.path().join("before.pem");
    fs::copy(node.authorities(), &before).unwrap();
    let peer = node.peer("127.0.0.1");
    handshake_failed(node.echo(&peer, Some(device.clone()), before.clone()).await);
    fs::write(node.authorities(), format!("{}{own}", node.authority.pem)).unwrap();
    assert!(node.echo(&peer, Some(device), before).await.is_ok());
}

#[tokio::test]
async fn a_peer_of_tls_is_not_called_without() {
    let config = Arc::new(DimseConfig::default());
    let peer = Peer {
        transport: Transport::Tls,
        ..Peer::parse("A=127.0.0.1:1").unwrap()
    };
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = Peer {
        port: socket.local_addr().unwrap().port(),
        ..peer
    };
    let error = scu::echo(&peer, config).await.unwrap_err();
    assert!(
        matches!(error, ScuError::Association(AssociationError::NoTls(_))),
        "{error}"
    );
}

#[test]
fn files_that_do_not_do_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let files = write(folder.path(), "bad", "no certificate", "no key");
    let error = TlsServer::new(files, ClientCertificates::NotAsked, TlsVersions::From12).unwrap_err();
    assert!(error.to_string().contains("bad.crt"), "{error}");
    let missing = folder.path().join("missing.pem");
    let error = TlsClient::new(None, missing, TlsVersions::From12).unwrap_err();
    assert!(error.to_string().contains("missing.pem"), "{error}");
}
