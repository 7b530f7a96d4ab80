use std::fs;

use super::*;

async fn settled() -> (Fixture, Vec<Sample>) {
    let fixture = Fixture::new().await;
    let mut samples: Vec<_> = (0..20).map(|n| Sample::new(n % 2, 1, n)).collect();
    samples.push(Sample {
        pixels: 80_000,
        ..Sample::new(1, 1, 99)
    });
    for sample in &samples {
        fixture.put(sample).await;
    }
    fixture.store().settle_now().await.unwrap();
    let late = Sample::new(1, 1, 100);
    fixture.put(&late).await;
    samples.push(late);
    (fixture, samples)
}

async fn verify(fixture: &Fixture) -> VerifyReport {
    fixture.store().verify(VerifyOptions::default(), |_| {}).await.unwrap()
}

fn pack(fixture: &Fixture, study: u32, number: u64) -> PathBuf {
    let sample = Sample::new(study, 1, 0);
    let folder = fixture
        .folder
        .path()
        .join("objects/studies")
        .join(sample.study_uid())
        .join(sample.series_uid());
    folder.join(format!("{number:08}.tar"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_store_has_no_problems() {
    let (fixture, samples) = settled().await;
    let other = Sample {
        fill: 200,
        ..Sample::new(1, 1, 1)
    };
    let Committed::Collision(collision) = fixture.commit(&other).await else {
        panic!("no collision")
    };
    fixture
        .store()
        .quarantine(collision.incoming, &origin(), "other bytes")
        .await
        .unwrap();
    fixture
        .store()
        .journal()
        .append("note", serde_json::json!({"text": "checked"}))
        .await
        .unwrap();
    let report = verify(&fixture).await;
    assert_eq!(report.problems, []);
    assert_eq!(report.indexed, samples.len() as u64);
    assert_eq!(
        report.instances,
        samples.len() as u64 + 1,
        "the one kept apart is read too"
    );
    assert_eq!(report.decisions, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_changed_bit_is_found() {
    let (fixture, _) = settled().await;
    let path = pack(&fixture, 0, 1);
    let mut bytes = fs::read(&path).unwrap();
    let record = fixture.record(&Sample::new(0, 1, 4));
    let Location::Pack { offset, .. } = record.location else {
        panic!("not settled")
    };
    bytes[(offset + record.length - 3) as usize] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = verify(&fixture).await;
    assert!(!report.is_sound());
    assert_eq!(report.problems.len(), 1);
    assert_eq!(report.problems[0].kind, ProblemKind::Damaged);
    assert!(report.problems[0].sentence.contains(&Sample::new(0, 1, 4).sop_uid()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_that_is_gone_and_one_that_nobody_knows_are_found() {
    let (fixture, _) = settled().await;
    fs::rename(pack(&fixture, 0, 1), pack(&fixture, 0, 7)).unwrap();
    let kinds: Vec<_> = verify(&fixture)
        .await
        .problems
        .into_iter()
        .map(|problem| problem.kind)
        .collect();
    assert_eq!(kinds, [ProblemKind::Orphan, ProblemKind::Missing]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_do_not_read_are_made_again() {
    let (fixture, _) = settled().await;
    fs::write(pack(&fixture, 0, 1).with_extension("headers"), b"no headers").unwrap();
    let report = verify(&fixture).await;
    assert!(report.is_sound());
    assert_eq!((report.problems, report.headers_made), (vec![], 1));
    let again = verify(&fixture).await;
    assert_eq!((again.problems, again.headers_made), (vec![], 0));
    fixture.check(&Sample::new(0, 1, 4)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn verification_goes_on_behind_an_object() {
    let (fixture, _) = settled().await;
    let all = verify(&fixture).await;
    // Every place that a run may have been stopped at.
    let mut stops = Vec::new();
    fixture
        .store()
        .verify(VerifyOptions::default(), |report| stops.push(report.clone()))
        .await
        .unwrap();
    assert!(
        stops
            .iter()
            .any(|stop| matches!(stop.position, VerifyPosition::Object(_)))
    );
    assert!(
        stops
            .iter()
            .any(|stop| matches!(stop.position, VerifyPosition::Study(_)))
    );
    for stop in stops {
        // As it comes back from where it was written down.
        let stop = serde_json::from_str(&serde_json::to_string(&stop).unwrap()).unwrap();
        let options = VerifyOptions {
            resume: Some(stop),
            bytes_per_second: Some(1 << 30),
        };
        assert_eq!(fixture.store().verify(options, |_| {}).await.unwrap(), all);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_state_and_what_is_kept_apart_are_verified_too() {
    let (fixture, samples) = settled().await;
    let (state, _) = crate::state::StateFolder::open::<u32>(&fixture.options.data, "peers").unwrap();
    state.put("CT", &7).unwrap();
    state.put("MR", &8).unwrap();
    let report = verify(&fixture).await;
    assert_eq!((report.problems.len(), report.state_records), (0, 2));
    let record = fixture.options.data.join("state/peers/CT.json");
    fs::write(&record, fs::read_to_string(&record).unwrap().replace('7', "9")).unwrap();
    let apart = fixture.options.data.join("objects/quarantine");
    fs::create_dir_all(&apart).unwrap();
    // A whole pack of another name.
    fs::copy(pack(&fixture, 1, 1), apart.join(format!("{}.tar", "ab".repeat(32)))).unwrap();
    let report = verify(&fixture).await;
    assert!(!report.is_sound());
    let of_kind = |kind| report.problems.iter().filter(move |problem| problem.kind == kind);
    assert_eq!(of_kind(ProblemKind::State).count(), 1);
    assert!(of_kind(ProblemKind::State).all(|problem| problem.place.ends_with("CT.json")));
    assert!(of_kind(ProblemKind::Damaged).all(|problem| problem.place.contains("abab")));
    assert!(of_kind(ProblemKind::Damaged).count() > 0);
    assert_eq!(report.indexed, samples.len() as u64);
}
