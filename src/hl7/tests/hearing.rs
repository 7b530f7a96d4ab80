//! What messages tell becomes facts.

use super::*;

const ANN: &str = "PID|1||A1^^^HOSP^MR~999^^^STATE^SS||DOE^ANN||19500203|F";

#[tokio::test(flavor = "multi_thread")]
async fn a_stay_begins_ends_and_did_not_end_after_all() {
    let room = Room::new(of_his()).await;
    room.taken(&adt(
        "A01",
        "1",
        "20230510120000",
        &[ANN, "PV1|1|I|||||||||||||||||V1|||||||||||||||||||||||||20230510"],
    ))
    .await;
    assert_eq!(
        room.active("A1", "HOSP"),
        [
            ("patient.birth", "1950-02-03".into()),
            ("patient.sex", "F".into()),
            ("encounter", "2023-05-10/".into())
        ]
    );
    assert!(
        room.facts("999", "STATE").is_empty(),
        "a social security number is no patient ID"
    );
    // No admission is named: the visit number tells which stay it is.
    room.taken(&adt(
        "A03",
        "2",
        "20230514120000",
        &[ANN, "PV1|1|I|||||||||||||||||V1||||||||||||||||||||||||||202305141100"],
    ))
    .await;
    assert_eq!(room.active("A1", "HOSP")[2].1, "2023-05-10/2023-05-14");
    room.taken(&adt("A13", "3", "20230514130000", &[ANN, "PV1|1|I|||||||||||||||||V1"]))
        .await;
    assert_eq!(room.active("A1", "HOSP")[2].1, "2023-05-10/");
    room.taken(&adt("A11", "4", "20230514140000", &[ANN, "PV1|1|I|||||||||||||||||V1"]))
        .await;
    assert_eq!(room.active("A1", "HOSP").len(), 2, "it never was");
    let said = room.facts("A1", "HOSP");
    let message = said[0].message.as_ref().unwrap();
    assert_eq!(
        (
            message.control_id.as_str(),
            message.event.as_str(),
            said[0].said.source.as_str()
        ),
        ("1", "ADT^A01", "hl7:HIS|HOSP")
    );
    // All of it is there again after a restart.
    let room = room.reopened().await;
    assert_eq!(room.facts("A1", "HOSP"), said);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_comes_again_or_late_changes_nothing() {
    let room = Room::new(of_his()).await;
    let first = adt("A08", "1", "20230510120000", &["PID|1||A1||DOE||1950"]);
    let second = adt("A08", "2", "20230510130000", &["PID|1||A1||DOE||19510203"]);
    room.taken(&first).await;
    room.taken(&second).await;
    let known = room.facts("A1", "");
    room.taken(&first).await;
    let room = room.reopened().await;
    room.taken(&first).await;
    room.taken(&second).await;
    assert_eq!(
        room.facts("A1", ""),
        known,
        "also where nothing is remembered of the first"
    );
    // The same control ID with something else in it is another message.
    room.taken(&adt("A08", "2", "20230510140000", &["PID|1||A1||DOE||19520203"]))
        .await;
    assert_eq!(room.active("A1", ""), [("patient.birth", "1952-02-03".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deaths_are_told_and_taken_back() {
    let room = Room::new(of_his()).await;
    let pid = |death: &str| format!("PID|1||A1||DOE||1950||||||||||||||||||||||{death}");
    let mut minute = 10;
    let mut tell = async |death: &str| {
        minute += 1;
        room.taken(&adt(
            "A31",
            &minute.to_string(),
            &format!("2023051012{minute}00"),
            &[&pid(death)],
        ))
        .await;
        let active = room
            .active("A1", "")
            .into_iter()
            .find(|(name, _)| *name == "patient.death");
        active.map(|(_, value)| value)
    };
    assert_eq!(tell("|Y").await.as_deref(), Some("unknown"));
    assert_eq!(tell("20230509|Y").await.as_deref(), Some("2023-05-09"));
    assert_eq!(tell("202305").await.as_deref(), Some("2023-05"));
    assert_eq!(
        tell("").await.as_deref(),
        Some("2023-05"),
        "nothing said is nothing changed"
    );
    assert_eq!(tell("\"\"|N").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_are_those_of_dicom() {
    let config = Hl7Config {
        authorities: ["HOSP=", "1.2.3=CITY"]
            .map(|text| crate::Authority::parse(text).unwrap())
            .to_vec(),
        ..of_his()
    };
    let room = Room::new(config).await;
    let pid = "PID|1||A1^^^HOSP^MR~B2^^^&1.2.3&ISO~C3^^^OTHER||DOE||1950";
    room.taken(&adt("A28", "1", "20230510120000", &[pid])).await;
    for (id, issuer, count) in [("A1", "", 1), ("B2", "CITY", 1), ("C3", "OTHER", 0), ("A1", "HOSP", 0)] {
        assert_eq!(room.facts(id, issuer).len(), count, "{id} {issuer}");
    }
    let (code, error) = room
        .refused(&adt("A28", "2", "20230510120000", &["PID|1||C3^^^OTHER"]))
        .await;
    assert_eq!((code.as_str(), error.contains("PID^1^3|204")), ("AE", true), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn merges_link_once_and_never_wrongly() {
    let room = Room::new(of_his()).await;
    let merge = |id: &str, stays: &str, goes: &str| {
        adt(
            "A40",
            id,
            "20230510120000",
            &[&format!("PID|1||{stays}||DOE"), &format!("MRG|{goes}")],
        )
    };
    room.taken(&merge("1", "A^^^H", "B^^^H")).await;
    room.taken(&merge("2", "A^^^H", "B^^^H")).await;
    assert_eq!(room.door.records.patient_links(None).len(), 1, "it is merged once");
    room.taken(&merge("3", "Z^^^H", "A^^^H")).await;
    for (id, stays, goes, wanted) in [
        ("4", "A^^^H", "A^^^H", "MRG^1^1|205"),
        ("5", "A^^^H", "C^^^OTHER", "MRG^1^1|204"),
        ("6", "B^^^H", "Z^^^H", "MRG^1^1|205"),
        ("7", "B^^^H", "C^^^H", "MRG^1^1|205"),
        ("8", "C^^^H", "B^^^H", "MRG^1^1|205"),
        ("9", "A^^^H", "", "MRG^1^1|101"),
    ] {
        let (code, error) = room.refused(&merge(id, stays, goes)).await;
        assert_eq!(
            (code.as_str(), error.contains(wanted)),
            ("AE", true),
            "{stays} {goes}: {error}"
        );
    }
    let (_, error) = room
        .refused(&adt("A40", "10", "20230510120000", &["PID|1||A^^^H"]))
        .await;
    assert!(error.contains("MRG^1|100"), "{error}");
    assert_eq!(room.reopened().await.door.records.patient_links(None).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn characters_come_before_delimiters() {
    let room = Room::new(of_his()).await;
    let message = |set: &str, id: &[u8]| {
        let mut bytes = format!("MSH|^~\\&|HIS||||20230510||ADT^A28^ADT_A05|1|P|2.5||||||{set}\rPID|1||").into_bytes();
        bytes.extend_from_slice(id);
        bytes.extend_from_slice(b"||DOE||1950");
        bytes
    };
    for (set, bytes, id) in [
        ("8859/1", &b"M\xFCller"[..], "Müller"),
        ("8859/2", b"\xE8", "č"),
        ("UNICODE UTF-8", "Ω".as_bytes(), "Ω"),
        ("", "é".as_bytes(), "é"),
        ("BIG-5", b"\xA4\x7C", "弋"),
        ("GB 18030-2000", b"\x81\x5E", "乛"),
        ("~ISO IR87", b"\x1B$B;3\x1B(B", "山"),
    ] {
        let answer = room.door.answer(&message(set, bytes), local()).await;
        let answer = String::from_utf8_lossy(&answer[0]).into_owned();
        assert!(answer.contains("MSA|AA|1"), "{set}: {answer}");
        assert_eq!(room.facts(id, "").len(), 1, "{set}");
    }
    for (set, bytes) in [("UNICODE UTF-8", &b"\xFF"[..]), ("KLINGON", b"A")] {
        let answer = room.door.answer(&message(set, bytes), local()).await;
        let answer = String::from_utf8_lossy(&answer[0]).into_owned();
        assert!(
            answer.contains("MSA|AE|1") && answer.contains("ERR||MSH^1^18|"),
            "{answer}"
        );
    }
}
