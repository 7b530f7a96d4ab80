//! What one more instance costs as an archive grows: rate, processor time, bytes of the index, and queries, from the first
//! thousand on.
//!
//!     cargo bench -p filmroom-ingest --bench curve -- --instances 100000 --senders 16 --folder /var/tmp/curve
//!
//! Instances are CT headers without pixels (1.2 kB, 50 to a series, 100 to a study, 3 studies to a patient), taken in by the
//! ingest room as the doors do it, each acknowledged before its sender brings the next; they settle while others come. The
//! folder is emptied first. A million takes about 6 GB there. Prints a line each time the archive has grown by a half, or
//! by 100,000.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use filmroom_dataset::{Builder, DataSetDescriber};
use filmroom_ingest::{Announced, Ingest};
use filmroom_storage::{
    index::{Index, StudySelector, engine::EngineKind},
    model::{Door, Origin, SeriesInstanceUid, StudyInstanceUid, TransferSyntaxUid},
    store::{Store, StoreOptions},
};

const CT_IMAGE_STORAGE: &str = "1.2.840.10008.5.1.4.1.1.2";
const EXPLICIT_LITTLE: &str = "1.2.840.10008.1.2.1";
const ROOT: &str = "1.2.826.0.1.3680043.8.498.7713";
const SERIES: u64 = 50;
const STUDY: u64 = 100;

fn study_uid(study: u64) -> String {
    format!("{ROOT}.{}.{}", 10_000_019 + study * 7919, study + 1)
}

fn series_uid(study: u64, series: u64) -> String {
    format!("{}.{}.0", study_uid(study), series + 1)
}

fn instance(n: u64) -> (String, Vec<u8>) {
    let (study, within) = (n / STUDY, n % STUDY);
    let (series, number) = (within / SERIES, within % SERIES);
    let sop = format!("{}.{}", series_uid(study, series), number + 1);
    let patient = study / 3;
    let date = format!(
        "20{:02}{:02}{:02}",
        study % 25,
        study / 25 % 12 + 1,
        study / 300 % 28 + 1
    );
    let mut builder = Builder::new();
    builder
        .text(0x0008_0005, "ISO_IR 100")
        .text(0x0008_0008, "ORIGINAL\\PRIMARY\\AXIAL\\CT_SOM5 SPI")
        .text(0x0008_0016, CT_IMAGE_STORAGE)
        .text(0x0008_0018, &sop)
        .text(0x0008_0020, &date)
        .text(0x0008_0021, &date)
        .text(0x0008_0023, &date)
        .text(0x0008_0030, "101112.000000")
        .text(0x0008_0032, &format!("1011{:02}.{:06}", number % 60, n % 999_983))
        .text(0x0008_0050, &format!("A{study:09}"))
        .text(0x0008_0060, "CT")
        .text(0x0008_0070, "SIEMENS")
        .text(0x0008_0080, "University Hospital")
        .text(0x0008_0090, "Referring^Physician")
        .text(0x0008_1030, "Thorax^1_Routine (Adult)")
        .text(0x0008_103E, "Thorax  1.0  B60f")
        .text(0x0008_1090, "SOMATOM Definition AS")
        .text(0x0010_0010, &format!("Family{}^Given{}", patient % 4001, patient % 97))
        .text(0x0010_0020, &format!("P{patient:08}"))
        .text(0x0010_0030, &format!("19{:02}0311", patient % 90))
        .text(0x0010_0040, if patient % 2 == 0 { "M" } else { "F" })
        .text(0x0018_0015, "CHEST")
        .text(0x0018_0050, "1")
        .text(0x0018_0060, "120")
        .text(0x0018_1151, &format!("{}", 180 + n % 61))
        .text(0x0018_1210, "B60f")
        .text(0x0020_000D, &study_uid(study))
        .text(0x0020_000E, &series_uid(study, series))
        .text(0x0020_0010, &format!("{}", study % 9999))
        .text(0x0020_0011, &format!("{}", series + 1))
        .text(0x0020_0013, &format!("{}", number + 1))
        .text(
            0x0020_0032,
            &format!("-172.16796875\\-329.66796875\\{}.5", 700 + number),
        )
        .text(0x0020_0037, "1\\0\\0\\0\\1\\0")
        .text(0x0020_0052, &format!("{}.9", study_uid(study)))
        .text(0x0020_1041, &format!("{}.5", 700 + number))
        .us(0x0028_0002, 1)
        .text(0x0028_0004, "MONOCHROME2")
        .us(0x0028_0010, 512)
        .us(0x0028_0011, 512)
        .text(0x0028_0030, "0.6640625\\0.6640625")
        .us(0x0028_0100, 16)
        .us(0x0028_0101, 12)
        .us(0x0028_0102, 11)
        .us(0x0028_0103, 0)
        .text(0x0028_1050, "-600")
        .text(0x0028_1051, "1200");
    (sop, builder.build().as_bytes().to_vec())
}

async fn send(ingest: &Ingest, n: u64) {
    let (sop, data_set) = instance(n);
    let announced = Announced {
        transfer_syntax_uid: TransferSyntaxUid::new(EXPLICIT_LITTLE).unwrap(),
        sop_class_uid: Some(CT_IMAGE_STORAGE.into()),
        sop_instance_uid: Some(sop),
        study_instance_uid: None,
        expected_length: data_set.len() as u64,
    };
    let origin = Origin {
        door: Door::Dimse,
        sender: "CURVE".into(),
        receiver: "FILMROOM".into(),
        address: "127.0.0.1".into(),
    };
    let mut receiving = ingest.receive(announced, origin).unwrap();
    receiving.write(&data_set).await.unwrap();
    receiving.finish().await.unwrap();
}

/// Processor time of this process, in seconds.
fn cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn bytes_in(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_in(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// Median milliseconds of a query.
fn timed(mut query: impl FnMut(u64)) -> f64 {
    let mut times: Vec<_> = (0..101)
        .map(|n| {
            let began = Instant::now();
            query(n * 7919);
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[50]
}

fn queries(index: &dyn Index, instances: u64) -> [f64; 5] {
    let studies = instances / STUDY;
    let patient = |n: u64| format!("P{:08}", n % studies / 3);
    let found = |selector, limit| assert!(!index.studies(&selector, None, limit).unwrap().is_empty());
    [
        timed(|_| found(StudySelector::All, 100)),
        timed(|n| found(StudySelector::PatientId(patient(n)), 100)),
        timed(|n| found(StudySelector::AccessionNumber(format!("A{:09}", n % studies)), 100)),
        timed(|n| {
            let date = format!("20{:02}0101", n % 25);
            let selector = StudySelector::StudyDate {
                from: Some(date.clone()),
                to: Some(date),
            };
            assert!(index.studies(&selector, None, 100).is_ok());
        }),
        timed(|n| {
            let study = n % studies;
            let series = SeriesInstanceUid::new(&series_uid(study, 0)).unwrap();
            let study = StudyInstanceUid::new(&study_uid(study)).unwrap();
            assert_eq!(
                index.instances_of(&study, &series, None, 100).unwrap().len() as u64,
                SERIES
            );
        }),
    ]
}

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let named: HashMap<_, _> = arguments
        .chunks_exact(2)
        .map(|pair| (pair[0].as_str(), pair[1].as_str()))
        .collect();
    let number = |name, default: u64| named.get(name).map_or(default, |text| text.parse().expect("a number"));
    let (instances, senders) = (number("--instances", 100_000), number("--senders", 16));
    let folder = named
        .get("--folder")
        .map_or_else(|| std::env::temp_dir().join("filmroom-curve"), PathBuf::from);
    let engine = EngineKind::ALL
        .into_iter()
        .find(|engine| Some(&engine.name()) == named.get("--engine"))
        .unwrap_or_default();
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut options = StoreOptions::new(&folder);
        options.index_engine = engine;
        options.settle_after = Duration::from_secs(number("--settle-after", 20));
        let store = Store::open(options, Arc::new(DataSetDescriber)).await.unwrap();
        let next = Arc::new(AtomicU64::new(0));
        let line = "instances     new/s  CPU ms  index B  waiting | ms: studies patient accession   date  series";
        println!("{line}");
        let mut until = 1000.min(instances);
        loop {
            let (began, cpu_before, from) = (Instant::now(), cpu(), next.load(Ordering::Relaxed));
            let tasks: Vec<_> = (0..senders)
                .map(|_| {
                    let (next, ingest) = (Arc::clone(&next), Ingest::new(store.clone()));
                    tokio::spawn(async move {
                        // A turn that is too late is not taken, so that the next round begins where this one ends.
                        let take = |n: u64| (n < until).then_some(n + 1);
                        while let Ok(n) = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
                            send(&ingest, n).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let (seconds, new) = (began.elapsed().as_secs_f64(), (until - from) as f64);
            let cpu_ms = (cpu() - cpu_before) * 1000.0 / new;
            let index_bytes = bytes_in(&folder.join("index")) / until;
            let waiting = store.metrics().instances_waiting;
            let index = store.index();
            let [all, patient, accession, date, series] =
                tokio::task::spawn_blocking(move || queries(index.as_ref(), until)).await.unwrap();
            println!(
                "{until:>9} {:>9.0} {cpu_ms:>7.3} {index_bytes:>8} {waiting:>8} | {all:>11.3} {patient:>7.3} {accession:>9.3} {date:>6.3} {series:>7.3}",
                new / seconds,
            );
            if until == instances {
                break;
            }
            until = (until + (until / 2).clamp(1000, 100_000)).min(instances);
        }
        let began = Instant::now();
        store.settle_now().await.unwrap();
        store.close().await.unwrap();
        println!(
            "settled the rest in {:.1} s; index {} B an instance, objects {} B",
            began.elapsed().as_secs_f64(),
            bytes_in(&folder.join("index")) / instances,
            bytes_in(&folder.join("objects")) / instances,
        );
    });
}
