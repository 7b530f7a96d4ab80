//! User identity negotiation (PS3.7 §D.3.3.7), request and answer byte by byte.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use filmroom_access::{Demand, Directory, Owner, Passcode, Role, Users};

/// An association request with a claim: its kind, whether an answer is wanted, and its fields.
fn request_with(claim: Option<(u8, bool, &str, &str)>) -> Vec<u8> {
    request_for(VERIFICATION, claim)
}

fn request_for(sop_class: &str, claim: Option<(u8, bool, &str, &str)>) -> Vec<u8> {
    let item = |kind: u8, body: &[u8]| {
        let mut bytes = vec![kind, 0];
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend(body);
        bytes
    };
    let mut body = vec![0, 1, 0, 0];
    body.extend(format!("{:16}{:16}", "ROOM", "CLIENT").bytes());
    body.extend([0; 32]);
    body.extend(item(0x10, b"1.2.840.10008.3.1.1.1"));
    let mut context = vec![1, 0, 0, 0];
    context.extend(item(0x30, sop_class.as_bytes()));
    context.extend(item(0x40, IMPLICIT.as_bytes()));
    body.extend(item(0x20, &context));
    let mut user = item(0x51, &16_384u32.to_be_bytes());
    user.extend(item(0x52, b"1.2.3"));
    if let Some((kind, wants_answer, primary, secondary)) = claim {
        let mut claim = vec![kind, u8::from(wants_answer)];
        for field in [primary, secondary] {
            claim.extend((field.len() as u16).to_be_bytes());
            claim.extend(field.bytes());
        }
        user.extend(item(0x58, &claim));
    }
    body.extend(item(0x50, &user));
    let mut pdu = vec![1, 0];
    pdu.extend((body.len() as u32).to_be_bytes());
    pdu.extend(body);
    pdu
}

/// The answer: type of the PDU and its body.
async fn answer(node: &Node, claim: Option<(u8, bool, &str, &str)>) -> (u8, Vec<u8>) {
    exchange(node, &request_with(claim)).await
}

async fn exchange(node: &Node, request: &[u8]) -> (u8, Vec<u8>) {
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut head = [0; 6];
    stream.read_exact(&mut head).await.unwrap();
    let mut body = vec![0; u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize];
    stream.read_exact(&mut body).await.unwrap();
    (head[0], body)
}

const PASSCODE: &str = "the film room at night";

/// A node, and the folder that its users are kept in.
async fn node(demand: Demand) -> (Node, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let directory = Directory::open(folder.path()).unwrap();
    let passcode = Passcode::from(PASSCODE.as_bytes().to_vec());
    for (name, role) in [("ada", Role::Viewer), ("root", Role::Administrator)] {
        directory
            .add_account(name, &passcode, [role].into(), Owner::default())
            .unwrap();
    }
    let config = DimseConfig {
        access: Arc::new(Users::new(Arc::new(directory), demand)),
        ..quick()
    };
    (Node::start("ROOM", config).await, folder)
}

const ACCEPTED: u8 = 2;
const REJECTED: u8 = 3;
/// The item that says that a claim was believed.
const BELIEVED: [u8; 6] = [0x59, 0, 0, 2, 0, 0];

#[tokio::test]
async fn claims_are_believed_when_they_can_be_proved() {
    let (node, _users) = node(Demand::Optional).await;
    let (kind, body) = answer(&node, Some((2, true, "ada", PASSCODE))).await;
    assert_eq!(kind, ACCEPTED);
    assert!(body.windows(6).any(|bytes| bytes == BELIEVED));
    // What cannot be checked is not believed, and nobody has to name a user.
    for claim in [
        None,
        Some((1, true, "ada", "")),
        Some((3, true, "ticket", "")),
        Some((4, true, "<saml/>", "")),
    ] {
        let (kind, body) = answer(&node, claim).await;
        assert_eq!(kind, ACCEPTED);
        assert!(!body.windows(6).any(|bytes| bytes == BELIEVED));
    }
    for claim in [
        (2, true, "ada", "wrong"),
        (2, true, "eve", PASSCODE),
        (5, true, "a.b.c", ""),
    ] {
        let (kind, body) = answer(&node, Some(claim)).await;
        // Permanent, by the service user, no reason given.
        assert_eq!((kind, body.as_slice()), (REJECTED, &[0, 1, 1, 1][..]), "{claim:?}");
    }
}

#[tokio::test]
async fn a_user_may_have_to_be_named() {
    let (node, _users) = node(Demand::Required).await;
    for claim in [None, Some((1, false, "ada", "")), Some((4, false, "<saml/>", ""))] {
        assert_eq!(answer(&node, claim).await.0, REJECTED);
    }
    assert_eq!(answer(&node, Some((2, false, "ada", PASSCODE))).await.0, ACCEPTED);
}

/// The result of the only context of an answer: 0 accepted, 1 refused by the user.
async fn result_of(node: &Node, sop_class: &str, user: &str) -> u8 {
    let request = request_for(sop_class, Some((2, false, user, PASSCODE)));
    let (kind, body) = exchange(node, &request).await;
    assert_eq!(kind, ACCEPTED);
    let context = [0x21, 0];
    let at = body.windows(2).skip(68).position(|bytes| bytes == context).unwrap() + 68;
    body[at + 6]
}

#[tokio::test]
async fn users_get_the_services_of_their_roles() {
    let (node, _users) = node(Demand::Required).await;
    const STUDY_ROOT_FIND: &str = "1.2.840.10008.5.1.4.1.2.2.1";
    const STUDY_ROOT_MOVE: &str = "1.2.840.10008.5.1.4.1.2.2.2";
    const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
    for (sop_class, user, expected) in [
        (VERIFICATION, "root", 0),
        (STUDY_ROOT_FIND, "ada", 0),
        (STUDY_ROOT_MOVE, "ada", 0),
        (CT_IMAGE_STORAGE, "ada", 1),
        (STUDY_ROOT_FIND, "root", 1),
        (STUDY_ROOT_MOVE, "root", 1),
        (CT_IMAGE_STORAGE, "root", 1),
    ] {
        assert_eq!(result_of(&node, sop_class, user).await, expected, "{sop_class} {user}");
    }
}

#[tokio::test]
async fn who_knows_no_users_does_not_look_at_claims() {
    let node = Node::start("ROOM", quick()).await;
    let (kind, body) = answer(&node, Some((2, true, "ada", "wrong"))).await;
    assert_eq!(kind, ACCEPTED);
    assert!(!body.windows(6).any(|bytes| bytes == BELIEVED));
}
