//! What queries cost as the archive grows: `cargo run --release -p filmroom-query --example curve -- 200 2000 20000`.
//!
//! For each number of studies, an index of metadata alone is made in a temporary folder (50 instances in one series each,
//! names of a few frequent and many rare words), then each kind of query is asked, and its time printed in milliseconds:
//! the median of 15, and what the index takes an instance.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use filmroom_dataset::{Builder, fold};
use filmroom_query::{Direction, Headers, Key, Level, OrderBy, Query, QueryError, QueryRoom};
use filmroom_storage::{
    index::{Addition, Catalog, CatalogWriter, Position, engine::EngineKind},
    model::{Attributes, Description, Header, InstanceRecord, Location, StudyKeys},
};
use time::OffsetDateTime;

const INSTANCES: u32 = 50;
const RUNS: usize = 15;
const CACHE_BYTES: u64 = 64 << 20;

/// Numbers that are the same each time (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    /// Small numbers often, large ones seldom, as names are.
    fn skewed(&mut self, limit: u64) -> u64 {
        let top = 1 + self.below(limit);
        self.below(top)
    }
}

/// A word of its own for each number.
fn word(number: u64) -> String {
    const SYLLABLES: [&str; 24] = [
        "ba", "ken", "sto", "li", "mar", "ro", "del", "son", "ha", "wei", "tri", "no", "ga", "shi", "ur", "pel", "mo",
        "dan", "ke", "vi", "an", "fre", "to", "sch",
    ];
    let mut left = number * 7 + 31;
    let mut word = String::new();
    while left > 0 {
        word.push_str(SYLLABLES[(left % 24) as usize]);
        left /= 24;
    }
    word
}

fn name(numbers: &mut Numbers, studies: u64) -> String {
    if numbers.below(10_000) == 0 {
        return "Quixote^Xaver".to_owned();
    }
    let family = word(numbers.skewed(100 + studies / 3));
    let given = word(5_000_000 + numbers.skewed(60 + studies / 50));
    format!("{family}^{given}")
}

fn additions(study: u64, patient: u64, name: &str) -> Vec<Addition> {
    let date = format!(
        "{:04}{:02}{:02}",
        2014 + study % 10,
        1 + study / 10 % 12,
        1 + study / 120 % 28
    );
    let study_uid = format!("1.2.826.0.1.3680043.8.498.{study}");
    let series_uid = format!("{study_uid}.1");
    let text = |values: &[(u32, &str)]| {
        let mut builder = Builder::new();
        for (tag, value) in values {
            builder.text(*tag, value);
        }
        builder.build()
    };
    let patient_id = format!("P{patient:08}");
    let accession_number = format!("A{study:010}");
    let of_study = text(&[
        (0x0008_0020, &date),
        (0x0008_0030, "101500"),
        (0x0008_0050, &accession_number),
        (0x0008_1030, "CT Abdomen"),
        (0x0010_0010, name),
        (0x0010_0020, &patient_id),
        (0x0020_000D, &study_uid),
    ]);
    let modality = ["CT", "MR", "DX", "US"][(study % 4) as usize];
    let of_series = text(&[(0x0008_0060, modality), (0x0020_000E, &series_uid), (0x0020_0011, "1")]);
    let addition = |number: u32| {
        let sop_uid = format!("{series_uid}.{number}");
        let of_instance = text(&[(0x0008_0018, &sop_uid), (0x0020_0013, &number.to_string())]);
        Addition {
            description: Description {
                study_instance_uid: study_uid.parse().unwrap(),
                series_instance_uid: series_uid.parse().unwrap(),
                sop_instance_uid: sop_uid.parse().unwrap(),
                sop_class_uid: "1.2.840.10008.5.1.4.1.1.2".parse().unwrap(),
                transfer_syntax_uid: "1.2.840.10008.1.2.1".parse().unwrap(),
                study: of_study.clone(),
                series: of_series.clone(),
                instance: of_instance,
                keys: StudyKeys {
                    patient_id: patient_id.clone(),
                    patient_names: vec![fold(name)],
                    accession_number: accession_number.clone(),
                    study_date: date.clone(),
                    ..StudyKeys::default()
                },
                header: Header::default(),
                pixel_data: None,
                quirks: Vec::new(),
            },
            location: Location::Pack {
                pack: 1,
                offset: u64::from(number) * 20_000,
            },
            length: 18_000,
            data_set_offset: 300,
            sha256: Some([number as u8; 32]),
            crc32: number,
            received_at: OffsetDateTime::UNIX_EPOCH,
        }
    };
    (1..=INSTANCES).map(addition).collect()
}

/// No query here asks for what only headers hold.
struct NoHeaders;

impl Headers for NoHeaders {
    fn header(&self, _: &InstanceRecord) -> Result<Attributes, QueryError> {
        Err(QueryError::Header("there are none".to_owned()))
    }
}

fn asked(studies: u64) -> Vec<(&'static str, Query)> {
    let page = |level| Query {
        limit: 100,
        combined_datetime: true,
        ..Query::new(level, filmroom_privacy::Sight::all())
    };
    let keyed = |tag: u32, value: &str| Query {
        keys: vec![Key {
            path: vec![tag],
            value: value.to_owned(),
        }],
        ..page(Level::Study)
    };
    let named = |value: &str| keyed(0x0010_0010, value);
    let fuzzy = |value: &str| Query {
        fuzzy: true,
        ..named(value)
    };
    let ordered = Query {
        order: vec![OrderBy {
            tag: 0x0010_0010,
            direction: Direction::Ascending,
        }],
        ..keyed(0x0008_0020, "20150101-20150131")
    };
    let uid = format!("1.2.826.0.1.3680043.8.498.{}", studies / 2);
    vec![
        ("all", page(Level::Study)),
        (
            "all, offset 1500",
            Query {
                offset: 1500,
                ..page(Level::Study)
            },
        ),
        ("patient ID", keyed(0x0010_0020, "P00000017")),
        ("accession number", keyed(0x0008_0050, &format!("A{:010}", studies / 2))),
        ("one day", keyed(0x0008_0020, "20180412")),
        ("modality", keyed(0x0008_0061, "MR")),
        ("name exactly", named("Quixote^Xaver")),
        ("name Qui*", named("Qui*")),
        ("name *uixot*", named("*uixot*")),
        ("name *xav*", named("*xav*")),
        ("name *x*", named("*x*")),
        ("name *a*", named("*a*")),
        ("name *qqq*", named("*qqq*")),
        ("like xaver qixote", fuzzy("xaver qixote")),
        ("like quixot", fuzzy("quixot")),
        ("like qq", fuzzy("qq")),
        ("like abcdefgh", fuzzy("abcdefgh")),
        ("a month by name", ordered),
        (
            "instances of a study",
            Query {
                keys: vec![Key {
                    path: vec![0x0020_000D],
                    value: uid,
                }],
                ..page(Level::Instance)
            },
        ),
    ]
}

fn fill(folder: &Path, studies: u64) -> Arc<Catalog> {
    let engine = EngineKind::Sled.open(folder, CACHE_BYTES).unwrap();
    let catalog = Arc::new(Catalog::open(engine).unwrap());
    let mut writer = CatalogWriter::new(Arc::clone(&catalog)).unwrap();
    for study in 0..studies {
        let patient = study / 2;
        let name = name(&mut Numbers(patient), studies);
        let batch = additions(study, patient, &name);
        writer.add(&batch, Position::default()).unwrap();
    }
    catalog.flush().unwrap();
    catalog
}

fn bytes_in(folder: &Path) -> u64 {
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => bytes += entry.metadata().unwrap().len(),
            }
        }
    }
    bytes
}

fn main() {
    let sizes: Vec<u64> = std::env::args()
        .skip(1)
        .map(|size| size.parse().expect("numbers of studies"))
        .collect();
    for studies in sizes {
        let folder = std::env::temp_dir().join(format!("filmroom-curve-{}", std::process::id()));
        let begin = Instant::now();
        let catalog = fill(&folder, studies);
        let room = QueryRoom::over(catalog, Arc::new(NoHeaders));
        let instances = studies * u64::from(INSTANCES);
        println!(
            "{studies} studies, {instances} instances, made in {:.0} s, {} bytes an instance",
            begin.elapsed().as_secs_f64(),
            bytes_in(&folder) / instances,
        );
        for (what, query) in asked(studies) {
            let mut times = Vec::new();
            let mut found = String::new();
            for run in 0..RUNS {
                // Each its own question, so that none goes on where another ended.
                let query = Query {
                    retrieve_url_base: Some(format!("/{run}")),
                    ..query.clone()
                };
                let begin = Instant::now();
                let answers = room.find(&query);
                times.push(begin.elapsed());
                found = match answers {
                    Ok(answers) => format!("{} found", answers.answers.len()),
                    Err(error) => error.to_string(),
                };
            }
            times.sort();
            println!("  {what:24} {:8.3} ms  {found}", times[RUNS / 2].as_secs_f64() * 1000.0);
        }
        drop(room);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
