use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Mutex, atomic::AtomicBool},
    time::Duration,
};

use proptest::prelude::*;

use super::{
    take::{Instance, NotTaken},
    tally::{Counts, Outcome, Refusal, Skipped},
    *,
};

const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";

/// Keeps the data sets it is given; refuses what says so.
#[derive(Default)]
struct Shelf {
    kept: Mutex<BTreeMap<Vec<u8>, u32>>,
}

impl Destination for Shelf {
    fn take(&self, _: &Instance<'_>, data_set: &mut dyn Read) -> Result<Outcome, NotTaken> {
        let mut bytes = Vec::new();
        data_set.read_to_end(&mut bytes).map_err(NotTaken::Read)?;
        if bytes.windows(6).any(|window| window == b"REFUSE") {
            return Err(NotTaken::Refused(Refusal {
                reason: "unwanted",
                detail: "says so".to_owned(),
            }));
        }
        if bytes.windows(4).any(|window| window == b"FULL") {
            return Err(NotTaken::NotNow("no room".to_owned()));
        }
        let mut kept = self.kept.lock().unwrap();
        let times = kept.entry(bytes).or_default();
        *times += 1;
        Ok(if *times == 1 {
            Outcome::Stored
        } else {
            Outcome::AlreadyStored
        })
    }
}

fn instance(number: u32, text: &str) -> Vec<u8> {
    let uid = format!("1.2.3.{number}");
    let mut bytes = filmroom_dataset::write_file_head(SECONDARY_CAPTURE, &uid, EXPLICIT_LITTLE, "TEST").to_vec();
    let mut data_set = filmroom_dataset::Builder::new();
    data_set
        .text(0x0008_0016, SECONDARY_CAPTURE)
        .text(0x0008_0018, &uid)
        .text(0x0010_0010, text);
    bytes.extend_from_slice(data_set.build().as_bytes());
    bytes
}

fn zipped(entries: &[(&str, &[u8])], method: ::zip::CompressionMethod) -> Vec<u8> {
    let mut writer = ::zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        writer
            .start_file(
                *name,
                ::zip::write::SimpleFileOptions::default().compression_method(method),
            )
            .unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

struct Imported {
    counts: Counts,
    ending: Ending,
    table: String,
    json: serde_json::Value,
}

fn import(paths: &[PathBuf], shelf: &Shelf, journal: Option<&Journal>, zip_max_bytes: u64) -> Imported {
    let walk = Walk {
        leave_out: Vec::new(),
        zip_max_bytes,
    };
    let stop = AtomicBool::new(false);
    let tally = Tally::default();
    let run = Run {
        walk: &walk,
        jobs: 3,
        journal,
        stop: &stop,
    };
    let ending = run.all(paths, shelf, &tally, &Progress::begin());
    Imported {
        counts: tally.counts(),
        table: tally.table(Duration::from_secs(1), &ending),
        json: serde_json::from_str(&tally.json(Duration::from_secs(1), &ending)).unwrap(),
        ending,
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_folder_is_taken_with_all_below_and_the_rest_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    write(&at("a/1.dcm"), &instance(1, "A"));
    write(&at("a/b/c/2"), &instance(2, "B"));
    write(&at("a/again.dcm"), &instance(1, "A"));
    write(&at("bare"), instance(3, "C").split_at(0).1);
    write(
        &at("notes.txt"),
        b"Dear colleague, thank you for referring this patient to us.",
    );
    write(&at("empty.dcm"), b"");
    write(&at("torn.dcm"), &instance(4, "D")[..140]);
    write(&at("unwanted.dcm"), &instance(5, "REFUSE"));
    std::os::unix::fs::symlink("..", at("a/b/circle")).unwrap();
    std::os::unix::fs::symlink(at("a/1.dcm"), at("link.dcm")).unwrap();

    let shelf = Shelf::default();
    let imported = import(&[folder.path().to_path_buf()], &shelf, None, 1 << 30);
    assert_eq!(imported.ending, Ending::Complete);
    let counts = &imported.counts;
    assert_eq!(
        (counts.stored, counts.already_stored, counts.refused),
        (3, 1, 3),
        "{}",
        imported.table
    );
    assert_eq!(counts.skipped.get(&Skipped::NotDicom), Some(&1));
    assert_eq!(counts.skipped.get(&Skipped::SymbolicLink), Some(&2));
    assert!(imported.table.contains("refused, unwanted: 1"), "{}", imported.table);
    assert!(imported.table.contains("unwanted.dcm: says so"), "{}", imported.table);
    assert_eq!(imported.json["refused"], 3);
    assert_eq!(imported.json["skipped"]["symbolic_link"], 2);
    assert_eq!(imported.json["refused_items"].as_array().unwrap().len(), 3);
}

#[test]
fn archives_are_unpacked_without_a_name_becoming_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let inner = zipped(&[("x.dcm", &instance(9, "N"))], ::zip::CompressionMethod::Stored);
    let entries: [(&str, &[u8]); 5] = [
        ("../../etc/1.dcm", &instance(1, "A")),
        ("/absolute/2", &instance(2, "B")),
        ("readme.txt", b"Read me first, please, before anything else."),
        ("nested.zip", &inner),
        ("empty", b""),
    ];
    for (name, method) in [
        ("deflated.zip", ::zip::CompressionMethod::Deflated),
        ("stored.ZIP", ::zip::CompressionMethod::Stored),
    ] {
        let path = folder.path().join(name);
        write(&path, &zipped(&entries, method));
        let shelf = Shelf::default();
        let imported = import(&[path], &shelf, None, 1 << 30);
        assert_eq!(imported.counts.stored, 2, "{}", imported.table);
        assert_eq!(imported.counts.skipped.get(&Skipped::NotDicom), Some(&2));
        assert_eq!(imported.counts.skipped.get(&Skipped::NestedArchive), Some(&1));
        assert!(
            shelf
                .kept
                .lock()
                .unwrap()
                .keys()
                .all(|bytes| instance(1, "A").ends_with(bytes) || instance(2, "B").ends_with(bytes))
        );
    }
    let imported = import(&[folder.path().to_path_buf()], &Shelf::default(), None, 1 << 30);
    assert_eq!(
        (imported.counts.stored, imported.counts.already_stored),
        (2, 2),
        "{}",
        imported.table
    );
}

#[test]
fn an_archive_that_unpacks_without_end_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let mut bomb = instance(1, "A");
    bomb.resize(8 << 20, 0);
    let path = folder.path().join("bomb.zip");
    write(&path, &zipped(&[("1.dcm", &bomb)], ::zip::CompressionMethod::Deflated));
    let imported = import(&[path], &Shelf::default(), None, 1 << 20);
    assert_eq!(
        (imported.counts.stored, imported.counts.refused),
        (0, 1),
        "{}",
        imported.table
    );
    assert!(imported.table.contains("--zip-max"), "{}", imported.table);
}

#[test]
fn a_wrong_checksum_keeps_an_entry_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = zipped(&[("1.dcm", &instance(1, "PATIENT"))], ::zip::CompressionMethod::Stored);
    let at = bytes.windows(7).position(|window| window == b"PATIENT").unwrap();
    bytes[at] = b'X';
    let path = folder.path().join("wrong.zip");
    write(&path, &bytes);
    let imported = import(&[path], &Shelf::default(), None, 1 << 30);
    assert_eq!(
        (imported.counts.stored, imported.counts.refused),
        (0, 1),
        "{}",
        imported.table
    );
    assert!(imported.table.contains("checksum"), "{}", imported.table);
}

#[test]
fn what_an_earlier_run_finished_is_left_out_until_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    let media = at("media");
    write(&media.join("1.dcm"), &instance(1, "A"));
    write(
        &media.join("2.zip"),
        &zipped(&[("2.dcm", &instance(2, "B"))], ::zip::CompressionMethod::Deflated),
    );
    write(&media.join("3.dcm"), &instance(3, "REFUSE"));
    let paths = [media.clone()];
    let journal_path = at("journal/finished");

    let journal = Journal::open(&journal_path, Forget::Nothing).unwrap();
    assert_eq!(
        import(&paths, &Shelf::default(), Some(&journal), 1 << 30).counts.stored,
        2
    );
    drop(journal);
    // The last mark is torn by a crash.
    let torn = [fs::read(&journal_path).unwrap(), vec![7; 5]].concat();
    fs::write(&journal_path, torn).unwrap();

    let journal = Journal::open(&journal_path, Forget::Nothing).unwrap();
    let again = import(&paths, &Shelf::default(), Some(&journal), 1 << 30).counts;
    assert_eq!((again.stored, again.finished_earlier, again.refused), (0, 2, 1));
    write(&media.join("1.dcm"), &instance(1, "CHANGED"));
    assert_eq!(
        import(&paths, &Shelf::default(), Some(&journal), 1 << 30).counts.stored,
        1
    );
    drop(journal);

    let journal = Journal::open(&journal_path, Forget::All).unwrap();
    assert_eq!(
        import(&paths, &Shelf::default(), Some(&journal), 1 << 30).counts.stored,
        2
    );
}

#[test]
fn a_folder_that_is_left_out_is_not_walked() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    write(&at("1.dcm"), &instance(1, "A"));
    write(&at("data/2.dcm"), &instance(2, "B"));
    let walk = Walk {
        leave_out: vec![at("data").canonicalize().unwrap()],
        zip_max_bytes: 0,
    };
    let mut found = 0;
    walk.walk(folder.path(), &mut |_| {
        found += 1;
        Go::On
    });
    assert_eq!(found, 1);
}

fn media_directory(ids: &[&str]) -> Vec<u8> {
    let items: Vec<_> = ids
        .iter()
        .map(|id| {
            let mut record = filmroom_dataset::Builder::new();
            record.text(0x0004_1430, "IMAGE").text(0x0004_1500, id);
            record.build()
        })
        .collect();
    let mut directory = filmroom_dataset::Builder::new();
    directory.text(0x0004_1130, "MEDIUM").sequence(0x0004_1220, &items);
    let mut bytes =
        filmroom_dataset::write_file_head(dicomdir::MEDIA_DIRECTORY_CLASS, "1.2.3", EXPLICIT_LITTLE, "TEST").to_vec();
    bytes.extend_from_slice(directory.build().as_bytes());
    bytes
}

#[test]
fn a_media_directory_names_what_is_meant_and_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let at = |path: &str| folder.path().join(path);
    write(&at("outside.dcm"), &instance(8, "OUTSIDE"));
    write(
        &at("cd/DICOMDIR"),
        &media_directory(&["IMAGES\\I1", "IMAGES\\I2", "IMAGES\\GONE", "..\\OUTSIDE.DCM"]),
    );
    write(&at("cd/IMAGES/I1"), &instance(1, "A"));
    write(&at("cd/images/i2.;1"), &instance(2, "B"));
    write(&at("cd/IMAGES/unlisted"), &instance(3, "C"));
    fs::rename(at("cd/images/i2.;1"), at("cd/IMAGES/i2.;1")).unwrap();

    let named = import(&[at("cd/DICOMDIR")], &Shelf::default(), None, 0);
    assert_eq!((named.counts.stored, named.counts.refused), (2, 2), "{}", named.table);
    assert_eq!(named.counts.skipped.get(&Skipped::MediaDirectory), Some(&1));
    assert!(named.table.contains("IMAGES/GONE"), "{}", named.table);

    let walked = import(&[at("cd")], &Shelf::default(), None, 0);
    assert_eq!(
        (walked.counts.stored, walked.counts.refused),
        (3, 2),
        "{}",
        walked.table
    );
}

#[test]
fn reports_print_no_control_characters() {
    let tally = Tally::default();
    let refusal = Refusal {
        reason: "damaged",
        detail: "x\x1b[2J".to_owned(),
    };
    tally.add("evil\x1b]0;\x07.dcm", 1, Outcome::Refused(refusal));
    let table = tally.table(Duration::from_secs(1), &Ending::Complete);
    assert!(!table.contains('\x1b') && !table.contains('\x07'), "{table:?}");
}

fn read_archive(bytes: &[u8]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.zip");
    fs::write(&path, bytes).unwrap();
    let Ok(archive) = zip::Archive::open(&path, 1 << 20) else {
        return 0;
    };
    let mut total = 0;
    for entry in archive.entries().map_while(Result::ok) {
        if let Ok(read) = archive.read(&entry) {
            let mut out = Vec::new();
            let _ = read.take(2 << 20).read_to_end(&mut out);
            total += out.len();
        }
    }
    total
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_mutated_archive_does_no_harm(at in 0usize..4000, bits in 1u8..=255, cut in 0usize..4000) {
        let noise: Vec<u8> = (0..1500u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut bytes = zipped(&[("a", &noise), ("b", &[0; 4096]), ("c", b"")], ::zip::CompressionMethod::Deflated);
        let at = at % bytes.len();
        bytes[at] ^= bits;
        prop_assert!(read_archive(&bytes) <= 1 << 20);
        bytes.truncate(cut.min(bytes.len()));
        prop_assert!(read_archive(&bytes) <= 1 << 20);
    }

    #[test]
    fn any_bytes_are_no_archive_or_a_bounded_one(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(read_archive(&bytes) <= 1 << 20);
        prop_assert!(read_archive(&[b"PK\x05\x06".as_slice(), &bytes].concat()) <= 1 << 20);
    }
}
