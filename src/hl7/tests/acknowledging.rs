//! What is wrong is named with its place, in the words of the sender's version.

use super::*;
use crate::config::Sender;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_with_its_place() {
    let room = Room::new(of_his()).await;
    let at = "20230510120000";
    let of = |pid: &str| adt("A31", "1", at, &[pid]);
    for (message, wanted) in [
        (
            of("PID|1||A||DOE||19501350"),
            "AE PID^1^7|102^Data type error^HL70357|E||||it is no date",
        ),
        (
            of("PID|1||A||DOE||29990101"),
            "AE PID^1^7|102^Data type error^HL70357|E||||the date is in the future",
        ),
        (of("PID|1||||DOE||1950"), "AE PID^1^3|101^"),
        (
            of("PID|1||A||DOE||19500101||||||||||||||||||||||19490101"),
            "AE PID^1^29|102^",
        ),
        (
            of("PID|1||A||DOE||19500101||||||||||||||||||||||2010|N"),
            "AE PID^1^30|102^",
        ),
        (
            of("PID|1||A||DOE||19500101|||||||||||||||||||||||MAYBE"),
            "AE PID^1^30|103^",
        ),
        (adt("A31", "1", at, &[]), "AE PID^1|100^"),
        (adt("A31", "1", at, &["PID|1||A", "PID|2||B"]), "AE PID^2|100^"),
        (adt("A01", "1", at, &["PID|1||A"]), "AE PV1^1|100^"),
        (
            adt("A31", "1", at, &["PID|1||A", "no segment"]),
            "AE MSH^1|100^Segment sequence error^HL70357|E||||segment 4 of",
        ),
        (
            adt(
                "A03",
                "1",
                at,
                &[
                    "PID|1||A",
                    "PV1|1|I||||||||||||||||||||||||||||||||||||||||||20230510|20230509",
                ],
            ),
            "AE PV1^1^45|102^",
        ),
        (adt("A24", "1", at, &["PID|1||A"]), "AR MSH^1^9|201^"),
        (of("PID|1||A").replace("ADT^A31", "ORM^O01"), "AR MSH^1^9|200^"),
        (of("PID|1||A").replace("|P|2.5.1", "|T|2.5.1"), "AR MSH^1^11|202^"),
        (of("PID|1||A").replace("|P|2.5.1", "|P|3"), "AR MSH^1^12|203^"),
        (of("PID|1||A").replace("|1|P|2.5.1", "||P|2.5.1"), "AR MSH^1^10|101^"),
        (
            of("PID|1||A").replace("|20230510120000||ADT", "|10.5.2023||ADT"),
            "AE MSH^1^7|102^",
        ),
        ("PID|1||A".to_owned(), "AR MSH^1|100^"),
        ("MSH|||".to_owned(), "AR MSH^1"),
        (String::new(), "AR MSH^1|100^"),
    ] {
        let (code, error) = room.refused(&message).await;
        let (outcome, place) = wanted.split_once(' ').unwrap();
        assert_eq!(code, outcome, "{message:?}: {error}");
        assert!(error.starts_with(&format!("ERR||{place}")), "{message:?}: {error}");
    }
    assert!(room.facts("A", "").is_empty());
    assert_eq!(
        room.door.metrics.counts().erroneous + room.door.metrics.counts().rejected,
        20
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn older_versions_have_all_in_one_field() {
    let room = Room::new(of_his()).await;
    let message = adt("A31", "1", "20230510", &["PID|1||A||DOE||soon"]).replace("2.5.1", "2.3");
    assert_eq!(
        room.refused(&message).await.1,
        "ERR|PID^1^7^102&Data type error&HL70357"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledgements_are_those_that_are_asked_for() {
    let room = Room::new(of_his()).await;
    let good = adt("A31", "1", "20230510", &["PID|1||A||DOE||1950"]);
    let bad = adt("A31", "2", "20230510", &["PID|1||A||DOE||soon"]);
    for (accept, answer, of_good, of_bad) in [
        ("", "", &["AA"][..], &["AE"][..]),
        ("AL", "NE", &["CA"], &["CE"]),
        ("NE", "AL", &["AA"], &["AE"]),
        ("AL", "AL", &["CA", "AA"], &["CE", "AE"]),
        ("ER", "NE", &[], &["CE"]),
        ("NE", "SU", &["AA"], &[]),
        ("NE", "NE", &[], &[]),
    ] {
        for (message, wanted) in [(&good, of_good), (&bad, of_bad)] {
            let message = message.replace("|P|2.5.1", &format!("|P|2.5.1|||{accept}|{answer}"));
            let lines = room.send(&message).await;
            let codes: Vec<&str> = lines
                .iter()
                .filter_map(|line| line.strip_prefix("MSA|"))
                .map(|rest| &rest[..2])
                .collect();
            assert_eq!(codes, wanted, "{accept} {answer}");
        }
    }
    let header = room.send(&good).await.remove(0);
    assert!(header.starts_with("MSH|^~\\&|ARCHIVE|HOSP|HIS|HOSP|"), "{header}");
    assert!(
        header.contains("||ACK^A31^ACK|") && header.ends_with("|P|2.5.1"),
        "{header}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn delimiters_and_escapes_are_the_senders() {
    let room = Room::new(of_his()).await;
    room.taken("MSH#*!?@#HIS#H#A#B#20230510##ADT*A28#1#P#2.5\rPID#1##X?F?1***H@1.2@ISO##DOE##1950\r")
        .await;
    assert_eq!(room.facts("X#1", "H").len(), 1);
    // The truncation character of 2.7, lines that end otherwise, and segments that are nobody's.
    let message = "MSH|^~\\&#|HIS||||20230510||ADT^A28|2|P|2.7\r\nZZZ|x\nPID|1||Y\\T\\1||DOE||1950\n\n";
    room.taken(message).await;
    assert_eq!(room.facts("Y&1", "").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_registered_senders_are_heard() {
    let senders = ["HIS|HOSP@127.0.0.1", "RIS"]
        .map(|text| Sender::parse(text).unwrap())
        .to_vec();
    let room = Room::new(Hl7Config { senders, ..of_his() }).await;
    let message = adt("A31", "1", "20230510", &["PID|1||A||DOE||1950"]);
    let answer = async |message: &str, from: [u8; 4]| {
        let answers = room.door.answer(message.as_bytes(), from.into()).await;
        let text = String::from_utf8(answers.into_iter().next().unwrap()).unwrap();
        text.split("MSA|").nth(1).unwrap()[..2].to_owned()
    };
    assert_eq!(answer(&message, [127, 0, 0, 1]).await, "AA");
    assert_eq!(answer(&message, [10, 0, 0, 1]).await, "AR");
    assert_eq!(
        answer(&message.replace("HIS|HOSP|", "HIS|ELSE|"), [127, 0, 0, 1]).await,
        "AR"
    );
    assert_eq!(
        answer(&message.replace("HIS|HOSP|", "RIS|ELSE|"), [10, 0, 0, 1]).await,
        "AA"
    );
    let closed = Room::new(Hl7Config::default()).await;
    let (code, _) = closed.refused(&message).await;
    assert_eq!(code, "AR", "nobody where nobody is named");
}
