use super::*;

impl Fixture {
    /// Settles each instance into a pack of its own.
    async fn settle_one_by_one(&self, samples: &[Sample]) {
        for sample in samples {
            self.put(sample).await;
            self.store().settle_now().await.unwrap();
        }
    }

    fn objects(&self, sample: &Sample) -> Vec<String> {
        let folder = self
            .folder
            .path()
            .join("objects/studies")
            .join(sample.study_uid())
            .join(sample.series_uid());
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_packs_become_one() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..8).rev().map(|n| Sample::new(1, 1, n)).collect();
    fixture.settle_one_by_one(&samples[..7]).await;
    assert_eq!(fixture.objects(&samples[0]).len(), 14, "a pack and its headers each");
    let before = fixture.record(&samples[0]);
    fixture.settle_one_by_one(&samples[7..]).await;
    assert_eq!(fixture.store().metrics().merges, 1);
    for sample in &samples {
        assert!(matches!(
            fixture.record(sample).location,
            Location::Pack { pack: 9, .. }
        ));
        fixture.check(sample).await;
    }
    // The old ones go behind a flush of the index, and records from before still find their bytes.
    fixture.store().flush_and_trim().await.unwrap();
    assert_eq!(fixture.objects(&samples[0]), ["00000009.headers", "00000009.tar"]);
    let all = fixture
        .store()
        .read(&before, 0..before.data_set_length())
        .await
        .unwrap();
    assert_eq!(all, samples[0].data_set());
    assert_eq!(
        fixture.store().header(&before).await.unwrap(),
        samples[0].description().header
    );
    fixture.reopen().await;
    for sample in &samples {
        fixture.check(sample).await;
    }
    let report = fixture.store().verify(VerifyOptions::default(), |_| {}).await.unwrap();
    assert_eq!(report.problems, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_that_holds_more_than_the_index_has_is_left_alone() {
    let mut fixture = Fixture::new().await;
    let samples: Vec<_> = (0..10).map(|n| Sample::new(1, 1, n)).collect();
    fixture.settle_one_by_one(&samples[..2]).await;
    fixture.put(&samples[2]).await;
    fixture.settle_one_by_one(&samples[3..4]).await;
    let problems = fixture.rebuild_without(&samples[2]).await;
    // In its pack, and in the log that is not trimmed of it.
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems.iter().all(|problem| problem.contains(&samples[2].sop_uid())),
        "{problems:?}"
    );
    fixture.settle_one_by_one(&samples[4..]).await;
    assert_eq!(fixture.store().metrics().merges, 1, "of the packs that can be");
    fixture.store().flush_and_trim().await.unwrap();
    // Nobody decided to destroy it: it is found again by whoever can read it.
    assert!(fixture.objects(&samples[2]).contains(&"00000003.tar".to_owned()));
    drop(fixture.store.take());
    let report = Store::rebuild(fixture.options.clone(), describer(), |_| {})
        .await
        .unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    fixture.reopen().await;
    for sample in &samples {
        fixture.check(sample).await;
    }
}
