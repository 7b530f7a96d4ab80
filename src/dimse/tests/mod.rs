//! The door over real rooms, driven by this node's own SCU and by messages made by hand.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use filmroom_fixtures::Instance;
use filmroom_storage::{
    model::{Door, Origin, SopInstanceUid, StudyInstanceUid},
    store::{Store, StoreOptions},
};
use futures_util::StreamExt;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    association::{Arrival, Association, Event, Proposal, ProposedContext, Reach, Wait, connect},
    message::{CommandSet, Operation},
    *,
};
use filmroom_commitment::Limits;
use filmroom_dataset::DataSetDescriber;
use filmroom_ingest::Announced;
use filmroom_peers::Peers;
use filmroom_retrieve::{Selection, Wanted};

mod commitment;
mod find;
mod hostile;
mod identity;
mod limits;
mod procedure_step;
mod retrieval;
mod store;
mod worklist;

const VERIFICATION: &str = "1.2.840.10008.1.1";
const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";

/// An archive of its own with its door open.
struct Node {
    address: SocketAddr,
    title: AeTitle,
    rooms: Rooms,
    shutdown: CancellationToken,
    serving: Serving,
    _folder: TempDir,
}

fn title(text: &str) -> AeTitle {
    AeTitle::new(text).unwrap()
}

fn known(peers: impl IntoIterator<Item = Peer>) -> Arc<Peers> {
    Arc::new(Peers::of_settings(peers))
}

/// An arrival from this machine.
fn arrival() -> Arrival {
    Arrival {
        address: String::new(),
        reach: Reach::Local,
        certificate: None,
    }
}

/// Times that let a test that fails fail soon.
fn quick() -> DimseConfig {
    DimseConfig {
        artim_timeout: Duration::from_secs(5),
        network_timeout: Duration::from_secs(10),
        response_timeout: Duration::from_secs(10),
        drain_timeout: Duration::from_secs(3),
        ..DimseConfig::default()
    }
}

/// Rooms over a store whose data folder this is.
pub(crate) fn rooms(store: &Store, data: &std::path::Path) -> Rooms {
    let retrieve = Retrieve::new(store.clone());
    let limits = filmroom_forwarding::Limits::default();
    Rooms {
        views: Arc::default(),
        ingest: Ingest::new(store.clone()),
        query: QueryRoom::new(store.clone()),
        forwarding: Forwarding::open(Vec::new(), retrieve.clone(), data, limits).unwrap(),
        commitment: Commitments::open(store.clone(), retrieve.clone(), data, Limits::default()).unwrap(),
        worklist: Worklist::open(filmroom_worklist::Options::default(), retrieve.clone(), data).unwrap(),
        retrieve,
    }
}

impl Node {
    async fn start(name: &str, config: DimseConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = StoreOptions::new(folder.path());
        options.free_space_min_bytes = 0;
        let store = Store::open(options, Arc::new(DataSetDescriber)).await.unwrap();
        let rooms = rooms(&store, folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shutdown = CancellationToken::new();
        let config = DimseConfig {
            ae_title: title(name),
            ..config
        };
        let serving = serve(
            vec![Listener {
                socket: listener,
                tls: None,
            }],
            config,
            rooms.clone(),
            shutdown.clone(),
        )
        .unwrap();
        Self {
            address: serving.local_addresses()[0],
            title: title(name),
            rooms,
            shutdown,
            serving,
            _folder: folder,
        }
    }

    fn peer(&self) -> Peer {
        Peer::new(self.title.clone(), self.address.ip().to_string(), self.address.port())
    }

    /// Puts instances into the archive, not over its door.
    async fn take_in(&self, instances: &[Instance]) {
        for instance in instances {
            let announced = Announced {
                transfer_syntax_uid: instance.transfer_syntax_uid.parse().unwrap(),
                sop_class_uid: None,
                sop_instance_uid: None,
                study_instance_uid: None,
                expected_length: 0,
            };
            let origin = Origin {
                door: Door::Import,
                sender: String::new(),
                receiver: String::new(),
                address: String::new(),
            };
            let mut receiving = self.rooms.ingest.receive(announced, origin).unwrap();
            receiving.write(instance.data_set()).await.unwrap();
            receiving.finish().await.unwrap();
        }
    }

    /// The data set of an instance as the archive keeps it; `None` when it does not.
    async fn data_set(&self, sop_instance_uid: &str) -> Option<Vec<u8>> {
        let selection = Selection {
            instances: vec![SopInstanceUid::new(sop_instance_uid).unwrap()],
            ..Selection::of(filmroom_privacy::Sight::all())
        };
        let record = self.rooms.retrieve.select(selection).next().await?.unwrap();
        let mut pieces = self
            .rooms
            .retrieve
            .data_set(&record, &Wanted::AsStored)
            .await
            .unwrap()
            .data_set;
        let mut out = Vec::new();
        while let Some(piece) = pieces.next().await {
            out.extend_from_slice(&piece.unwrap());
        }
        Some(out)
    }

    /// Fails unless the archive holds these instances, byte for byte.
    async fn holds(&self, instances: &[Instance]) {
        for instance in instances {
            let stored = self.data_set(&instance.sop_instance_uid).await;
            assert!(
                stored.as_deref() == Some(instance.data_set()),
                "{} differs or is missing",
                instance.sop_instance_uid
            );
        }
    }
}

/// Settings of a client of its own.
fn client() -> Arc<DimseConfig> {
    Arc::new(DimseConfig {
        ae_title: title("CLIENT"),
        ..quick()
    })
}

/// Opens an association with one context for each pair.
async fn associate(node: &Node, contexts: &[(&str, &str)]) -> Association {
    let proposal = Proposal {
        contexts: contexts
            .iter()
            .map(|(abstract_syntax, transfer_syntax)| ProposedContext {
                abstract_syntax: (*abstract_syntax).to_owned(),
                transfer_syntaxes: vec![(*transfer_syntax).to_owned()],
            })
            .collect(),
        ..Proposal::default()
    };
    connect(&node.peer(), &proposal, client()).await.unwrap()
}

/// A request with a message ID.
fn request(operation: Operation, message_id: u16, sop_class_uid: &str) -> CommandSet {
    CommandSet {
        sop_class_uid: sop_class_uid.to_owned(),
        command_field: operation.command_field(),
        message_id: Some(message_id),
        ..CommandSet::default()
    }
}

fn store_request(message_id: u16, instance: &Instance) -> CommandSet {
    CommandSet {
        has_data_set: true,
        sop_instance_uid: instance.sop_instance_uid.clone(),
        ..request(Operation::Store, message_id, &instance.sop_class_uid)
    }
}

/// The next message of the node: its command and its data set.
async fn receive(association: &mut Association) -> (CommandSet, Bytes) {
    let Event::Command { context_id } = association.next(Wait::Response).await.unwrap() else {
        panic!("no command")
    };
    let command = association.command().unwrap();
    let mut data = Bytes::new();
    if command.has_data_set {
        data = session::read_data_set(association, context_id, 1 << 20)
            .await
            .unwrap()
            .unwrap();
    }
    (command, data)
}

/// Sends a request and tells the status of its answer.
async fn ask(association: &mut Association, context_id: u8, command: &CommandSet, data_set: Option<&[u8]>) -> Status {
    association.send(context_id, command, data_set).await.unwrap();
    Status(receive(association).await.0.status.unwrap())
}

/// A few slices of one series.
fn slices(count: usize) -> Vec<Instance> {
    filmroom_fixtures::scale(7, count).collect()
}

fn study_of(instance: &Instance) -> Selection {
    Selection {
        studies: vec![StudyInstanceUid::new(&instance.study_instance_uid).unwrap()],
        ..Selection::of(filmroom_privacy::Sight::all())
    }
}
