use std::{fs, path::Path};

use super::{open, options, patient, seen, us};
use crate::{Audit, Options, Participant, Search, seal};

const KEY: [u8; 32] = [7; 32];

/// Patients' names and identifiers in the bytes of the log's segments.
fn names(folder: &Path) -> usize {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let bytes: Vec<u8> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .flat_map(|path| fs::read(path).unwrap())
        .collect();
    let is_name = |window: &[u8]| window == b"Doe^J" || window.starts_with(b"PAT-");
    bytes.windows(5).filter(|window| is_name(window)).count()
}

#[tokio::test]
async fn a_log_that_was_plain_is_sealed_and_what_it_says_stays() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    for number in 0..1200 {
        audit.record(seen(number)).await.unwrap();
    }
    let erased = audit
        .erase(&us(), Participant::user("dpo", ""), patient(3), "request")
        .await
        .unwrap();
    assert_eq!(erased.entries, 240);
    let before = audit.checkpoint().await.unwrap().unwrap();
    audit.close().await.unwrap();
    assert!(names(folder.path()) > 0);

    let sealed = seal(folder.path(), &KEY).unwrap();
    assert_eq!((sealed, names(folder.path())), (1201, 0));
    assert_eq!(seal(folder.path(), &KEY).unwrap(), 0, "nothing is sealed twice");

    let sealed = Options {
        key: Some(KEY),
        ..options()
    };
    let audit = Audit::open(folder.path(), &sealed).unwrap();
    assert_eq!((audit.log().size(), audit.log().damage()), (1201, None));
    audit.record(seen(1)).await.unwrap();
    let verified = audit.log().verify(None, &[before], |_| {}).unwrap();
    assert_eq!((verified.first_bad, verified.erased), (None, 240));
    let search = Search {
        patient_id: Some("PAT-1".into()),
        limit: 1000,
        ..Search::default()
    };
    assert_eq!(audit.log().search(search).await.unwrap().entries.len(), 241);
    audit.close().await.unwrap();
    assert_eq!(names(folder.path()), 0);
}

/// What is damaged keeps its bytes, and is named as before.
#[tokio::test]
async fn damage_is_not_sealed_away() {
    let folder = tempfile::tempdir().unwrap();
    let audit = open(folder.path());
    for number in 0..20 {
        audit.record(seen(number)).await.unwrap();
    }
    audit.close().await.unwrap();
    let path = folder.path().join(format!("{:020}.log", 0));
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(8).position(|window| window == b"1.2.3.7.").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(seal(folder.path(), &KEY).unwrap(), 19);
    let log = crate::Log::open(folder.path(), Some(&KEY)).unwrap();
    assert_eq!(log.verify(None, &[], |_| {}).unwrap().first_bad.unwrap().0, 7);
}
