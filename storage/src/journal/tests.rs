use std::{fs, sync::Arc};

use serde_json::json;

use super::*;
use crate::objects::MemoryObjects;

struct Fixture {
    folder: tempfile::TempDir,
    objects: Arc<dyn ObjectStore>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            objects: Arc::new(MemoryObjects::default()),
        }
    }

    async fn open(&self) -> Result<Journal, JournalError> {
        Journal::open(self.folder.path(), Arc::clone(&self.objects)).await
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
