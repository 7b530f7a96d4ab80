use std::{fs, sync::Arc};

use serde_json::json;

use super::*;
use crate::objects::MemoryObjects;

struct Fixture {
    folder: tempfile::TempDir,
    objects: Arc<dyn ObjectStore>,
    key: Option<Secret>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            objects: Arc::new(MemoryObjects::default()),
            key: None,
        }
    }

    async fn open(&self) -> Result<Journal, JournalError> {
        Journal::open(self.folder.path(), Arc::clone(&self.objects), self.key.as_ref()).await
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("decisions.jsonl")
    }
}

async fn filled() -> Fixture {
    let fixture = Fixture::new();
    let journal = fixture.open().await.unwrap();
    for n in 0..5 {
        journal
            .append(
                "hold",
                json!({"study": format!("1.2.{n}"), "reason": "a \"court\" asks\nfor it"}),
            )
            .await
            .unwrap();
    }
    fixture
}

#[tokio::test]
async fn decisions_come_back_in_order() {
    let fixture = filled().await;
    let journal = fixture.open().await.unwrap();
    assert_eq!(journal.append("release", json!(null)).await.unwrap().number, 6);
    let decisions = journal.read(2).await.unwrap();
    assert_eq!(
        decisions.iter().map(|decision| decision.number).collect::<Vec<_>>(),
        [3, 4, 5, 6]
    );
    assert_eq!(decisions[0].payload["study"], "1.2.2");
    assert_eq!(journal.verify().await.unwrap(), 6);
}

#[tokio::test]
async fn a_torn_last_line_is_cut() {
    let fixture = filled().await;
    let mut bytes = fs::read(fixture.path()).unwrap();
    bytes.extend_from_slice(b"{\"number\":6,\"at\":");
    fs::write(fixture.path(), &bytes).unwrap();
    let journal = fixture.open().await.unwrap();
    assert_eq!(journal.latest(), 5);
    assert_eq!(journal.append("hold", json!(1)).await.unwrap().number, 6);
    assert_eq!(fixture.open().await.unwrap().verify().await.unwrap(), 6);
}

#[tokio::test]
async fn a_changed_or_missing_line_is_noticed() {
    let fixture = filled().await;
    let text = fs::read_to_string(fixture.path()).unwrap();
    fs::write(fixture.path(), text.replace("1.2.1", "1.2.9")).unwrap();
    assert!(matches!(
        fixture.open().await.err(),
        Some(JournalError::Damaged { number: 2, .. })
    ));
    let without: String = text
        .split_inclusive('\n')
        .enumerate()
        .filter(|(n, _)| *n != 2)
        .map(|(_, line)| line)
        .collect();
    fs::write(fixture.path(), without).unwrap();
    assert!(matches!(
        fixture.open().await.err(),
        Some(JournalError::Damaged { number: 3, .. })
    ));
}

#[tokio::test]
async fn what_the_disk_lost_comes_back_from_the_mirror() {
    let fixture = filled().await;
    let journal = fixture.open().await.unwrap();
    journal.mirror().await.unwrap();
    journal.append("hold", json!("late")).await.unwrap();
    journal.mirror().await.unwrap();
    journal.mirror().await.unwrap();
    let all = journal.read(0).await.unwrap();
    fs::remove_file(fixture.path()).unwrap();
    assert_eq!(fixture.open().await.unwrap().read(0).await.unwrap(), all);
    let text = fs::read_to_string(fixture.path()).unwrap();
    fs::write(fixture.path(), text.replace("1.2.1", "1.2.9")).unwrap();
    let healed = fixture.open().await.unwrap();
    assert_eq!(healed.read(0).await.unwrap(), all);
    assert_eq!(healed.append("hold", json!(7)).await.unwrap().number, 7);
}

#[tokio::test]
async fn a_mirror_that_was_changed_or_lost_something_is_named() {
    let fixture = filled().await;
    let journal = fixture.open().await.unwrap();
    journal.mirror().await.unwrap();
    assert_eq!(journal.verify().await.unwrap(), 5);
    let (name, length) = fixture.objects.list("journal/", None, 10).await.unwrap().remove(0);
    let whole = fixture.objects.get_range(&name, 0..length).await.unwrap();
    let changed = String::from_utf8(whole.to_vec()).unwrap().replace("1.2.3", "1.2.9");
    fixture
        .objects
        .put(&name, bytes::Bytes::from(changed).into())
        .await
        .unwrap();
    let error = journal.verify().await.unwrap_err();
    assert!(error.to_string().contains("decision 4"), "{error}");
    fixture.objects.delete(&name).await.unwrap();
    assert!(matches!(journal.verify().await, Err(JournalError::Mirror(_))));
}

#[tokio::test]
async fn lines_cut_from_the_end_come_back_from_the_mirror() {
    let fixture = filled().await;
    let journal = fixture.open().await.unwrap();
    journal.mirror().await.unwrap();
    let text = fs::read_to_string(fixture.path()).unwrap();
    let cut: String = text.split_inclusive('\n').take(3).collect();
    fs::write(fixture.path(), cut).unwrap();
    // The one that is open knows what it wrote.
    assert!(matches!(
        journal.verify().await,
        Err(JournalError::Damaged { number: 4, .. })
    ));
    assert_eq!(fixture.open().await.unwrap().verify().await.unwrap(), 5);
}

#[tokio::test]
async fn an_encrypted_journal_shows_nothing_and_a_plain_one_becomes_one() {
    let mut fixture = filled().await;
    let all = fixture.open().await.unwrap().read(0).await.unwrap();
    assert!(fs::read_to_string(fixture.path()).unwrap().contains("court"));
    fixture.key = Some(Secret::random().unwrap());
    let journal = fixture.open().await.unwrap();
    assert_eq!(journal.read(0).await.unwrap(), all);
    assert_eq!(journal.append("hold", json!("doe")).await.unwrap().number, 6);
    let text = fs::read_to_string(fixture.path()).unwrap();
    for word in ["court", "hold", "doe", "1.2."] {
        assert!(!text.contains(word), "{word}");
    }
    assert_eq!(fixture.open().await.unwrap().verify().await.unwrap(), 6);

    let mut lines: Vec<_> = text.split_inclusive('\n').collect();
    lines.swap(1, 2);
    fs::write(fixture.path(), lines.concat()).unwrap();
    assert!(matches!(
        fixture.open().await.err(),
        Some(JournalError::Damaged { number: 2, .. })
    ));
    // A torn end is cut as ever.
    fs::write(fixture.path(), &text[..text.len() - 10]).unwrap();
    assert_eq!(fixture.open().await.unwrap().latest(), 5);
    fixture.key = None;
    assert!(matches!(
        fixture.open().await.err(),
        Some(JournalError::Damaged { number: 1, .. })
    ));
}
