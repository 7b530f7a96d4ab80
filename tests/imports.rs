//! Holds documents to the source: the import rules of `src/architecture.md`, who may name whom, and the tests that
//! `src/conformance.md` names.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with what is wrong")]

use std::{
    fs,
    path::{Path, PathBuf},
};

const DOORS: [&str; 5] = ["dimse", "dicomweb", "console", "api", "hl7"];
const ROOMS: [&str; 12] = [
    "audit",
    "ingest",
    "query",
    "retrieve",
    "render",
    "peers",
    "access",
    "commitment",
    "forwarding",
    "worklist",
    "privacy",
    "records",
];
const CODECS: [&str; 2] = ["dataset", "pixels"];

/// Rust source of a part, tests within it apart.
fn sources(part: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    let mut waiting = vec![root.join(part), root.join(format!("{part}.rs"))];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            if path
                .file_name()
                .is_some_and(|name| name == "tests" || name == "testing" || name == "examples")
            {
                continue;
            }
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.is_file()
            && path.extension().is_some_and(|extension| extension == "rs")
            && path.file_stem().is_some_and(|stem| stem != "tests")
        {
            let text = fs::read_to_string(&path).unwrap();
            let product = text.split("#[cfg(test)]\nmod").next().unwrap_or_default().to_owned();
            found.push((path, without_comments(&product)));
        }
    }
    found
}

fn without_comments(text: &str) -> String {
    text.lines().map(code_of_line).collect::<Vec<_>>().join("\n")
}

/// The line up to its comment, what stands in string literals left out.
fn code_of_line(line: &str) -> String {
    let mut code = String::new();
    let mut within = false;
    let line = line.replace("'\"'", "' '");
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if within => drop(characters.next()),
            '"' => within = !within,
            '/' if !within && characters.peek() == Some(&'/') => break,
            other if !within => code.push(other),
            _ => {}
        }
    }
    code
}

/// Every path that a source names, `use` trees taken apart: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn paths(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut prefixes = vec![String::new()];
    let mut path = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            c if c.is_alphanumeric() || c == '_' => path.push(c),
            ':' if characters.peek() == Some(&':') => {
                characters.next();
                path.push_str("::");
            }
            '{' if path.ends_with("::") => {
                let prefix = prefixes.last().cloned().unwrap_or_default();
                prefixes.push(prefix + &std::mem::take(&mut path));
            }
            c => {
                if !path.is_empty() {
                    found.push(prefixes.last().cloned().unwrap_or_default() + &std::mem::take(&mut path));
                }
                match c {
                    '{' => prefixes.push(String::new()),
                    '}' if prefixes.len() > 1 => drop(prefixes.pop()),
                    _ => {}
                }
            }
        }
    }
    found.extend((!path.is_empty()).then_some(path));
    found
}

/// Fails when a part names a path that starts with one of these.
#[track_caller]
fn refuses(part: &str, forbidden: &[String]) {
    let mut wrong = Vec::new();
    for (file, text) in sources(part) {
        for path in paths(&text) {
            if forbidden
                .iter()
                .any(|start| path == *start || path.starts_with(&format!("{start}::")))
            {
                wrong.push(format!("{} names {path}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn crates(parts: &[&str]) -> Vec<String> {
    parts.iter().map(|part| format!("filmroom_{part}")).collect()
}

fn store_engines() -> Vec<String> {
    ["store", "index", "objects", "intake", "packs"]
        .map(|module| format!("filmroom_storage::{module}"))
        .to_vec()
}

#[test]
fn doors_reach_the_store_only_through_rooms() {
    for door in DOORS {
        refuses(&format!("src/{door}"), &store_engines());
    }
}

#[test]
fn doors_do_not_know_each_other() {
    for door in DOORS {
        let others: Vec<&str> = DOORS.into_iter().filter(|other| *other != door).collect();
        refuses(&format!("src/{door}"), &crates(&others));
    }
}

#[test]
fn rooms_do_not_know_doors() {
    for room in ROOMS {
        refuses(&format!("src/{room}"), &crates(&DOORS));
    }
}

/// What stands before the doors knows none of them, and no room but those that know people and write down what they do.
#[test]
fn admission_knows_access_audit_and_privacy_alone() {
    refuses("src/admission", &crates(&DOORS));
    let known = ["access", "audit", "privacy"];
    let others: Vec<&str> = ROOMS.into_iter().filter(|room| !known.contains(room)).collect();
    refuses("src/admission", &crates(&others));
    refuses("src/admission", &store_engines());
}

#[test]
fn readers_do_not_know_ingest() {
    for room in ["query", "render"] {
        refuses(&format!("src/{room}"), &crates(&["ingest"]));
    }
}

#[test]
fn the_store_knows_nothing_of_the_archive() {
    refuses(
        "storage/src",
        &[
            "filmroom".to_owned(),
            "axum".to_owned(),
            "dicom".to_owned(),
            "dicom_ul".to_owned(),
        ],
    );
}

#[test]
fn codecs_know_neither_rooms_nor_doors() {
    for codec in CODECS {
        refuses(&format!("src/{codec}"), &crates(&ROOMS));
        refuses(&format!("src/{codec}"), &crates(&DOORS));
    }
}

/// The evaluator of retention rules is pure: it knows neither the store nor anything around it.
#[test]
fn retention_rules_know_nothing_of_the_archive() {
    for forbidden in [crates(&ROOMS), crates(&DOORS), crates(&CODECS), crates(&["storage"])] {
        refuses("src/retention", &forbidden);
    }
    refuses("src/retention", &["std::fs".into(), "std::time".into(), "tokio".into()]);
}

/// Only `records` destroys.
#[test]
fn destroying_is_done_by_records_alone() {
    let others = ROOMS.into_iter().filter(|room| *room != "records");
    for part in DOORS.into_iter().chain(others).chain(CODECS).chain(["cli", "config"]) {
        for (file, text) in sources(&format!("src/{part}")) {
            let destroys = text.contains(".destroy(") || text.contains(".destroy_if(") || text.contains("DestroyScope");
            assert!(!destroys, "{} destroys", file.display());
        }
    }
}

/// Only `ingest` builds a receipt.
#[test]
fn receipts_are_made_by_ingest_alone() {
    for part in DOORS
        .into_iter()
        .chain(["query", "retrieve", "render", "dataset", "pixels", "cli", "config"])
    {
        for (file, text) in sources(&format!("src/{part}")) {
            assert!(!text.contains("Receipt {"), "{} builds a receipt", file.display());
        }
    }
}

/// Only `ingest` commits instances to the store.
#[test]
fn instances_are_written_by_ingest_alone() {
    for part in DOORS.into_iter().chain(["query", "retrieve", "render", "dataset"]) {
        for (file, text) in sources(&format!("src/{part}")) {
            assert!(
                !text.contains("store.commit("),
                "{} commits an instance",
                file.display()
            );
        }
    }
}

/// The reader of paths itself.
#[test]
fn takes_use_trees_apart() {
    let found = paths(
        "use filmroom_dimse::{status, session::{Session, self}}; let x = filmroom_storage::store::Store::open();",
    );
    for path in [
        "filmroom_dimse::status",
        "filmroom_dimse::session::Session",
        "filmroom_storage::store::Store::open",
    ] {
        assert!(found.iter().any(|found| found == path), "{path} not in {found:?}");
    }
}

/// Names of all functions of the repository's Rust sources.
fn functions() -> std::collections::HashSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut waiting: Vec<_> = ["src", "storage/src", "fixtures/src", "tests"]
        .map(|part| root.join(part))
        .into();
    let mut found = std::collections::HashSet::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            waiting.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let names = text.split("fn ").skip(1).map(|rest| {
                rest.chars()
                    .take_while(|character| character.is_alphanumeric() || *character == '_')
                    .collect()
            });
            found.extend(names.collect::<Vec<String>>());
        }
    }
    found
}

#[test]
fn the_conformance_statement_names_tests_that_are_there() {
    let statement = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/conformance.md")).unwrap();
    let functions = functions();
    let mut named = 0;
    for claim in statement.split("*Test:*").skip(1) {
        for (position, part) in claim.split('`').enumerate() {
            if position % 2 == 1 {
                assert!(functions.contains(part), "there is no test {part}");
                named += 1;
            } else if position > 0 && part.trim() != "," && !part.trim().is_empty() {
                break;
            }
        }
    }
    assert!(named > 50, "only {named} tests are named");
}
