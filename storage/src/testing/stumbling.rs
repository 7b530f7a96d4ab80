//! A place where settling panics, or never comes to its end, when a test says so.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Mutex,
};

/// What happens to the next that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stumble {
    Panic,
    Hang,
}

static NEXT: Mutex<Option<HashMap<PathBuf, Stumble>>> = Mutex::new(None);

/// Lets the next that settles in a data folder stumble.
pub(crate) fn next(data: &Path, stumble: Stumble) {
    NEXT.lock()
        .unwrap()
        .get_or_insert_default()
        .insert(data.to_owned(), stumble);
}

/// True while nobody has stumbled yet.
pub(crate) fn is_ahead(data: &Path) -> bool {
    NEXT.lock()
        .unwrap()
        .as_ref()
        .is_some_and(|next| next.contains_key(data))
}

pub(crate) async fn pass(data: &Path) {
    let next = NEXT.lock().unwrap().as_mut().and_then(|next| next.remove(data));
    match next {
        Some(Stumble::Panic) => panic!("a test asked for it"),
        Some(Stumble::Hang) => std::future::pending().await,
        None => {}
    }
}
