use proptest::prelude::*;
use tempfile::tempdir;

use super::*;

fn peer(title: &str) -> Peer {
    Peer::parse(&format!("{title}=10.0.0.5:104")).unwrap()
}

#[test]
fn registered_peers_outlive_the_process_and_those_of_the_settings_stand() {
    let data = tempdir().unwrap();
    let peers = Peers::open([peer("FIXED")], data.path()).unwrap();
    assert!(peers.put(peer("A B"), &Expected::Nothing).unwrap());
    assert!(
        !peers
            .put(
                Peer {
                    port: 105,
                    ..peer("A B")
                },
                &Expected::Any
            )
            .unwrap()
    );
    assert!(matches!(
        peers.put(peer("FIXED"), &Expected::Any),
        Err(PeersError::InSettings)
    ));
    drop(peers);
    let peers = Peers::open([peer("FIXED")], data.path()).unwrap();
    assert_eq!(peers.get(" A B ").unwrap().port, 105);
    let titles: Vec<_> = peers
        .list()
        .into_iter()
        .map(|(peer, source)| (peer.ae_title.to_string(), source))
        .collect();
    assert_eq!(
        titles,
        [
            ("A B".to_owned(), Source::Registered),
            ("FIXED".to_owned(), Source::Settings)
        ]
    );
    peers.remove(&AeTitle::new("A B").unwrap(), &Expected::Any).unwrap();
    assert!(Peers::look([], data.path()).unwrap().list().is_empty());
}

#[test]
fn changes_that_expect_another_state_are_refused() {
    let peers = Peers::of_settings([]);
    let a = peer("A");
    let title = &a.ae_title;
    let tags = |tag: &str| Expected::Tags(vec![tag.to_owned()]);
    assert!(matches!(
        peers.put(a.clone(), &tags("*")),
        Err(PeersError::NotAsExpected)
    ));
    peers.put(a.clone(), &Expected::Nothing).unwrap();
    assert!(matches!(
        peers.put(a.clone(), &Expected::Nothing),
        Err(PeersError::NotAsExpected)
    ));
    assert!(matches!(
        peers.remove(title, &tags("other")),
        Err(PeersError::NotAsExpected)
    ));
    peers.put(Peer { port: 9, ..a.clone() }, &tags(&tag_of(&a))).unwrap();
    assert!(matches!(
        peers.remove(title, &tags(&tag_of(&a))),
        Err(PeersError::NotAsExpected)
    ));
    peers.remove(title, &tags("*")).unwrap();
    assert!(matches!(peers.remove(title, &Expected::Any), Err(PeersError::Unknown)));
}

#[test]
fn a_peer_reads_what_it_writes_and_refuses_what_it_does_not_know() {
    let json = r#"{"ae_title":"PACS","address":"[::1]:2762","tls":true,"certificate":"dns:pacs.example",
        "may":["find","store"],"transfer_syntaxes":["1.2.840.10008.1.2.1"],"character_set":"ISO_IR 100",
        "quirks":["one-context-per-class"]}"#;
    let peer: Peer = serde_json::from_str(json).unwrap();
    assert_eq!((peer.host.as_str(), peer.transport), ("::1", Transport::Tls));
    let again: Peer = serde_json::from_str(&serde_json::to_string(&peer).unwrap()).unwrap();
    assert_eq!(again, peer);
    let least: Peer = serde_json::from_str(r#"{"ae_title":"A","address":"h:104"}"#).unwrap();
    assert!(least.is_plain() && least.may.len() == Permission::USUAL.len());
    for wrong in [
        r#"{"ae_title":"A","address":"h:104","colour":1}"#,
        r#"{"ae_title":"A","address":"h"}"#,
        r#"{"ae_title":"A","address":"::1:104"}"#,
        r#"{"ae_title":"A","address":"h:0"}"#,
        r#"{"ae_title":"SEVENTEEN LETTERS","address":"h:104"}"#,
        r#"{"ae_title":"A","address":"h:104","may":["delete"]}"#,
        r#"{"ae_title":"A","address":"h:104","certificate":"CT1"}"#,
        r#"{"ae_title":"A","address":"h:104","transfer_syntaxes":["x"]}"#,
    ] {
        assert!(serde_json::from_str::<Peer>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn a_certificate_is_the_bound_one_or_not() {
    let certificate = Certificate {
        sha256: "ab".repeat(32),
        common_names: vec!["CT1".into()],
        dns_names: vec!["ct1.example".into(), "*.wild.example".into()],
        addresses: vec!["10.0.0.7".parse().unwrap()],
        uris: vec!["urn:x".into()],
    };
    let is = |name: &str| name.parse::<CertificateName>().unwrap().is_of(&certificate);
    assert!(is("cn:CT1") && is("dns:CT1.example") && is("ip:10.0.0.7") && is("uri:urn:x"));
    assert!(is(&format!("sha256:{}", "AB:".repeat(32).trim_end_matches(':'))));
    assert!(!is("cn:ct1") && !is("dns:a.wild.example") && !is("dns:*.wild.example") && !is("ip:10.0.0.8"));
}

proptest! {
    #[test]
    fn random_texts_never_panic(text in "\\PC{0,60}") {
        let _ = Peer::parse(&text);
        let _ = text.parse::<CertificateName>();
        let _ = serde_json::from_str::<Peer>(&text);
    }
}
