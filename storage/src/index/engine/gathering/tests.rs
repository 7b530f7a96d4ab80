use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;

use super::{super::MemoryEngine, *};

#[derive(Debug, Clone)]
enum Operation {
    Apply(Vec<(u8, Option<u8>)>),
    Drain,
    Scan(u8, Option<u8>, usize),
    Get(u8),
}

fn operations() -> impl Strategy<Value = Vec<Operation>> {
    let row = (0..40_u8, proptest::option::weighted(0.7, any::<u8>()));
    let operation = prop_oneof![
        5 => proptest::collection::vec(row, 0..6).prop_map(Operation::Apply),
        1 => Just(Operation::Drain),
        3 => (0..40_u8, proptest::option::of(0..40_u8), 1..50_usize).prop_map(|(from, to, most)| Operation::Scan(from, to, most)),
        2 => (0..40_u8).prop_map(Operation::Get),
    ];
    proptest::collection::vec(operation, 1..60)
}

fn batch(rows: &[(u8, Option<u8>)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in rows {
        match value {
            Some(value) => batch.put(vec![*key], vec![*value]),
            None => batch.remove(vec![*key]),
        }
    }
    batch
}

fn scanned(engine: &dyn Engine, from: u8, to: Option<u8>, most: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let to = to.map(|to| [to]);
    let visit = &mut |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        if found.len() == most {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    engine
        .scan(&[from], to.as_ref().map(<[u8; 1]>::as_slice), visit)
        .unwrap();
    found
}

proptest! {
    #[test]
    fn it_reads_as_if_there_were_nothing_between(operations in operations()) {
        let below: Arc<dyn Engine> = Arc::new(MemoryEngine::default());
        let (engine, model) = (GatheringEngine::new(Arc::clone(&below)).unwrap(), MemoryEngine::default());
        for operation in operations {
            match operation {
                Operation::Apply(rows) => {
                    engine.apply(batch(&rows)).unwrap();
                    model.apply(batch(&rows)).unwrap();
                }
                Operation::Drain => engine.drain().unwrap(),
                Operation::Scan(from, to, most) => {
                    prop_assert_eq!(scanned(&engine, from, to, most), scanned(&model, from, to, most));
                }
                Operation::Get(key) => prop_assert_eq!(engine.get(&[key]).unwrap(), model.get(&[key]).unwrap()),
            }
        }
        drop(engine);
        prop_assert_eq!(scanned(below.as_ref(), 0, None, 99), scanned(&model, 0, None, 99));
    }
}

#[test]
fn readers_miss_nothing_while_rows_go_to_the_engine() {
    let engine = GatheringEngine::new(Arc::new(MemoryEngine::default())).unwrap();
    let stops = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 0..=255_u8 {
                engine.apply(batch(&[(round, Some(round))])).unwrap();
                if round % 8 == 0 {
                    engine.drain().unwrap();
                }
            }
            stops.store(true, Ordering::SeqCst);
        });
        scope.spawn(|| {
            let mut most = 0;
            while !stops.load(Ordering::SeqCst) {
                let found = scanned(&engine, 0, None, 999);
                assert!(found.len() >= most && found.iter().enumerate().all(|(n, row)| row.0 == [n as u8]));
                most = found.len();
            }
        });
    });
    assert_eq!(scanned(&engine, 0, None, 999).len(), 256);
}

struct Stubborn(MemoryEngine, AtomicBool);

impl Engine for Stubborn {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.0.get(key)
    }
    fn scan(&self, from: &[u8], to: Option<&[u8]>, visit: &mut Visit<'_>) -> Result<(), IndexError> {
        self.0.scan(from, to, visit)
    }
    fn apply(&self, batch: Batch) -> Result<(), IndexError> {
        if self.1.load(Ordering::SeqCst) {
            return Err(IndexError::Engine("no".into()));
        }
        self.0.apply(batch)
    }
    fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }
    fn recover(&self) -> Result<(), IndexError> {
        Ok(())
    }
    fn rewrite(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

#[test]
fn a_failure_is_told_to_all_who_come_after_and_reads_go_on() {
    let below = Arc::new(Stubborn(MemoryEngine::default(), AtomicBool::new(false)));
    let engine = GatheringEngine::new(Arc::clone(&below) as _).unwrap();
    engine.apply(batch(&[(1, Some(1))])).unwrap();
    engine.flush().unwrap();
    below.1.store(true, Ordering::SeqCst);
    engine.apply(batch(&[(1, Some(2)), (2, Some(2))])).unwrap();
    assert!(engine.flush().is_err());
    assert!(engine.apply(batch(&[(3, Some(3))])).is_err());
    assert_eq!(scanned(&engine, 0, None, 9), [(vec![1], vec![2]), (vec![2], vec![2])]);
    below.1.store(false, Ordering::SeqCst);
    engine.recover().unwrap();
    // What the engine never had comes from the log again.
    assert_eq!(scanned(&engine, 0, None, 9), [(vec![1], vec![1])]);
    engine.apply(batch(&[(3, Some(3))])).unwrap();
    engine.flush().unwrap();
    assert_eq!(below.get(&[3]).unwrap(), Some(vec![3]));
}

/// Whoever waits while the engine is taken up again must not wait on, and must not hear that it has what it has lost.
#[test]
fn nobody_waits_over_a_recovery_or_is_told_that_lost_rows_are_kept() {
    for _ in 0..50 {
        let below = Arc::new(Stubborn(MemoryEngine::default(), AtomicBool::new(false)));
        let engine = GatheringEngine::new(Arc::clone(&below) as _).unwrap();
        std::thread::scope(|scope| {
            let flushed = scope.spawn(|| {
                engine
                    .apply(batch(&[(1, Some(1))]))
                    .and_then(|()| engine.flush())
                    .is_ok()
            });
            engine.recover().unwrap();
            let kept = below.get(&[1]).unwrap().is_some();
            if flushed.join().unwrap() {
                assert!(kept || below.get(&[1]).unwrap().is_some());
            }
        });
        engine.apply(batch(&[(2, Some(2))])).unwrap();
        engine.flush().unwrap();
        assert_eq!(below.get(&[2]).unwrap(), Some(vec![2]));
    }
}

/// The same without chance: the state is that of a wait which a recovery overtakes.
#[test]
fn a_recovery_ends_the_waits_that_it_overtakes() {
    let engine = GatheringEngine::new(Arc::new(MemoryEngine::default())).unwrap();
    let mut state = engine.shared.lock();
    state.add(batch(&[(1, Some(1))]));
    let (until, recoveries) = (state.came, state.recoveries);
    drop(state);
    engine.recover().unwrap();
    assert!(engine.wait_for(until, recoveries).is_err());
}
