//! The journal in the object store: one object for every run of decisions that was new at one time.

use super::{Decision, JournalError};
use crate::objects::{ObjectName, ObjectStore};

const PREFIX: &str = "journal/";
const PAGE_OBJECTS: usize = 1000;

pub(super) async fn put(objects: &dyn ObjectStore, decisions: &[Decision]) -> Result<(), JournalError> {
    let Some(first) = decisions.first() else { return Ok(()) };
    // Numbers are padded so that names sort as numbers do.
    let name = ObjectName::new(&format!("{PREFIX}{:012}.jsonl", first.number))
        .ok_or_else(|| JournalError::Mirror("a name is none".into()))?;
    let lines: String = decisions.iter().map(Decision::to_line).collect();
    objects
        .put(&name, bytes::Bytes::from(lines).into())
        .await
        .map_err(|error| JournalError::Mirror(error.to_string()))
}

/// The decisions that the mirror has after `last`, as far as their chain holds.
pub(super) async fn read(objects: &dyn ObjectStore, last: Option<&Decision>) -> Result<Vec<Decision>, JournalError> {
    let failed = |error: crate::objects::ObjectError| JournalError::Mirror(error.to_string());
    let (mut number, mut previous) = last.map_or((0, [0; 32]), |decision| (decision.number, decision.hash));
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = objects
            .list(PREFIX, after.as_ref(), PAGE_OBJECTS)
            .await
            .map_err(failed)?;
        let Some((last, _)) = page.last() else { return Ok(found) };
        after = Some(last.clone());
        for (name, length) in page {
            let lines = objects.get_range(&name, 0..length).await.map_err(failed)?;
            for line in lines.split_inclusive(|byte| *byte == b'\n') {
                // Lines that the disk has already do not follow, and are passed over.
                if let Ok(decision) = Decision::from_line(line, number + 1, previous) {
                    (number, previous) = (decision.number, decision.hash);
                    found.push(decision);
                }
            }
        }
    }
}
