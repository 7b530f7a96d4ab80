//! User identity negotiation (PS3.7 §D.3.3.7), request and answer byte by byte.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use filmroom_access::{Demand, Users, hash};

/// An association request with a claim: its kind, whether an answer is wanted, and its fields.
fn request_with(claim: Option<(u8, bool, &str, &str)>) -> Vec<u8> {
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
    context.extend(item(0x30, VERIFICATION.as_bytes()));
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
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(&request_with(claim)).await.unwrap();
    let mut head = [0; 6];
    stream.read_exact(&mut head).await.unwrap();
    let mut body = vec![0; u32::from_be_bytes([head[2], head[3], head[4], head[5]]) as usize];
    stream.read_exact(&mut body).await.unwrap();
    (head[0], body)
}

async fn node(demand: Demand) -> Node {
    let hashes = [
        ("ada".to_owned(), hash(b"secret").unwrap()),
        ("ct".to_owned(), String::new()),
    ];
    let users = Users::new(hashes.into(), demand).unwrap();
    let config = DimseConfig {
        access: Arc::new(users),
        ..quick()
    };
    Node::start("ROOM", config).await
}

const ACCEPTED: u8 = 2;
const REJECTED: u8 = 3;
/// The item that says that a claim was believed.
const BELIEVED: [u8; 6] = [0x59, 0, 0, 2, 0, 0];

#[tokio::test]
async fn claims_are_believed_when_they_can_be_proved() {
    let node = node(Demand::Optional).await;
    let (kind, body) = answer(&node, Some((2, true, "ada", "secret"))).await;
    assert_eq!(kind, ACCEPTED);
    assert!(body.windows(6).any(|bytes| bytes == BELIEVED));
    // Nobody asked to be told.
    let (kind, body) = answer(&node, Some((1, false, "ct", ""))).await;
    assert_eq!(kind, ACCEPTED);
    assert!(!body.windows(6).any(|bytes| bytes == BELIEVED));
    assert_eq!(answer(&node, None).await.0, ACCEPTED);
    for claim in [
        (2, true, "ada", "wrong"),
        (2, true, "eve", "secret"),
        (1, true, "ada", ""),
        (3, true, "ticket", ""),
        (4, true, "<saml/>", ""),
        (5, true, "a.b.c", ""),
    ] {
        let (kind, body) = answer(&node, Some(claim)).await;
        // Permanent, by the service user, no reason given.
        assert_eq!((kind, body.as_slice()), (REJECTED, &[0, 1, 1, 1][..]), "{claim:?}");
    }
}

#[tokio::test]
async fn a_user_may_have_to_be_named() {
    let node = node(Demand::Required).await;
    assert_eq!(answer(&node, None).await.0, REJECTED);
    assert_eq!(answer(&node, Some((2, false, "ada", "secret"))).await.0, ACCEPTED);
}

#[tokio::test]
async fn who_knows_no_users_does_not_look_at_claims() {
    let node = Node::start("ROOM", quick()).await;
    let (kind, body) = answer(&node, Some((2, true, "ada", "wrong"))).await;
    assert_eq!(kind, ACCEPTED);
    assert!(!body.windows(6).any(|bytes| bytes == BELIEVED));
}
