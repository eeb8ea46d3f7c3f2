//! Once only, in whatever order batches come, and what becomes of those that never will.

use std::sync::{Arc, Barrier};
use std::thread;

use aggregator::store::{
    LostBy, LostEnergy, NodeSummary, Prepared, RunSummary, SeriesBy, SqliteStore, Store,
    StoreError, Written,
};
use proptest::prelude::*;
use wire::Energy;
use wire::v1::{Batch, LossReason};

use crate::batches::{batch, loss, received, sample, time};
use crate::conformance::{assert_proved, on_each_store, run_key};

fn lost(by: LostBy, batches: u64, microjoules: u64) -> LostEnergy {
    LostEnergy {
        by,
        batches,
        energy: Energy::from_microjoules(microjoules),
    }
}

#[test]
fn missing_sequences_are_counted_until_they_come() {
    on_each_store(|store| {
        let check = |sequence, written, missing| {
            let came = store.write_batch(&received(batch("n1", sequence, "r1")), "s");
            assert_eq!(came.unwrap(), written, "{sequence}");
            assert_eq!(store.figures().unwrap().missing, missing, "{sequence}");
        };
        check(3, Written::New, 2);
        check(1_000_000_000_000, Written::New, 999_999_999_998);
        check(8, Written::New, 999_999_999_997);
        check(3, Written::Duplicate, 999_999_999_997);
        check(1, Written::New, 999_999_999_996);
        check(2, Written::New, 999_999_999_995);
        check(999_999_999_999, Written::New, 999_999_999_994);
        check(8, Written::Duplicate, 999_999_999_994);
        assert_eq!(
            store.check(&mut |_, _| {}).unwrap().missing,
            999_999_999_994
        );
        assert_proved(&*store);
    });
}

#[test]
fn a_loss_takes_its_sequence_and_adds_to_no_sum() {
    on_each_store(|store| {
        store
            .write_batch(&received(batch("n1", 1, "r1")), "s")
            .unwrap();
        let mut telling = batch("n1", 4, "r1");
        telling.intervals[0].start_unix_ms += 40_000;
        telling.losses = vec![
            loss(1, LossReason::Dropped, 77),
            loss(2, LossReason::Dropped, 100),
            loss(3, LossReason::Refused, 20),
        ];
        store.write_batch(&received(telling.clone()), "s").unwrap();

        let figures = store.figures().unwrap();
        let losses = [lost(LostBy::Dropped, 1, 100), lost(LostBy::Refused, 1, 20)];
        assert_eq!(figures.losses, losses, "what arrived after all is no loss");
        assert_eq!(figures.missing, 0, "a loss closes its gap");
        let nodes = store.nodes().unwrap();
        assert_eq!(nodes[0].zones[0].measured_microjoules, 2 * 4_750_000);
        let refused = store.write_batch(&received(batch("n1", 2, "r1")), "s");
        assert!(matches!(
            refused,
            Err(StoreError::DeclaredLost { sequence: 2, .. })
        ));

        // Told again, by another batch: once is enough.
        telling.sequence = 5;
        store.write_batch(&received(telling), "s").unwrap();
        let report = store.check(&mut |_, _| {}).unwrap();
        assert_eq!(
            (report.losses, report.faults),
            (losses.to_vec(), Vec::new())
        );

        let ledger = store.run_ledger(&run_key("r1")).unwrap().unwrap();
        assert_eq!(ledger.losses, losses, "a report tells of it");
    });
}

#[test]
fn a_new_stream_tells_what_the_old_one_lost() {
    on_each_store(|store| {
        store
            .write_batch(&received(batch("n1", 1, "r1")), "s")
            .unwrap();
        let mut telling = batch("n1", 1, "r1");
        telling.stream_id = vec![8; 16];
        telling.losses = vec![loss(3, LossReason::Damaged, 5)];
        telling.losses[0].stream_id = vec![7; 16];
        store.write_batch(&received(telling), "s").unwrap();
        let figures = store.figures().unwrap();
        assert_eq!(figures.losses, [lost(LostBy::Damaged, 1, 5)]);
        assert_eq!(figures.missing, 1, "batch 2 may still come");
        assert_proved(&*store);
    });
}

#[test]
fn lost_minutes_are_there_and_not_covered() {
    on_each_store(|store| {
        store
            .write_batch(&received(batch("n1", 1, "r1")), "s")
            .unwrap();
        let mut after = batch("n1", 3, "r1");
        after.intervals[0].start_unix_ms += 180_000;
        after.losses = vec![loss(2, LossReason::Dropped, 9)];
        after.losses[0].start_unix_ms = time(120_000).as_millisecond();
        store.write_batch(&received(after), "s").unwrap();
        let ledger = store.run_ledger(&run_key("r1")).unwrap().unwrap();
        let cell = ledger.cells.iter().find(|cell| cell.start == time(120_000));
        let cell = cell.unwrap();
        assert_eq!((cell.covered_ms, cell.measured), (0, Energy::ZERO));
        let points = store.series(SeriesBy::Node, time(120_000), time(180_000));
        assert_eq!(points.unwrap(), [], "a gap in a line");
        assert_proved(&*store);
    });
}

#[test]
fn what_nobody_watched_is_energy_and_no_coverage() {
    on_each_store(|store| {
        let mut unwatched = batch("n1", 1, "r1");
        unwatched.workloads.clear();
        let interval = &mut unwatched.intervals[0];
        interval.unwatched = true;
        interval.workloads.clear();
        interval.cpu_ns.clear();
        interval.zones[0] = sample(0, 3_000_000, 1_000_000, &[]);
        store.write_batch(&received(unwatched), "s").unwrap();
        let mut watched = batch("n1", 2, "r1");
        watched.intervals[0].start_unix_ms += 20_000;
        store.write_batch(&received(watched), "s").unwrap();

        let totals = &store.nodes().unwrap()[0].zones[0];
        assert_eq!(totals.measured_microjoules, 4_000_000 + 4_750_000);
        assert_eq!(totals.system_microjoules, 1_000_000 + 500_000);
        let points = store
            .series(SeriesBy::Node, time(0), time(120_000))
            .unwrap();
        let joules: Vec<f64> = points.iter().map(|point| point.joules).collect();
        assert_eq!(joules, [2.0, 2.0 + 4.75]);
        let ledger = store.run_ledger(&run_key("r1")).unwrap().unwrap();
        let covered: Vec<u32> = ledger.cells.iter().map(|cell| cell.covered_ms).collect();
        assert_eq!(covered, [20_000], "the time that was watched");
        assert_proved(&*store);
    });
}

/// What a ledger says, to compare two of them.
fn contents(store: &dyn Store) -> (Vec<NodeSummary>, Vec<RunSummary>, u64) {
    let runs = store
        .runs(&aggregator::store::RunFilter::default())
        .unwrap();
    (
        store.nodes().unwrap(),
        runs,
        store.figures().unwrap().missing,
    )
}

/// Batches of three nodes, some of them of another content under the same key.
fn crowd() -> Vec<Batch> {
    let mut batches = Vec::new();
    for node in ["n1", "n2", "n3"] {
        for sequence in 1..=40 {
            let mut batch = batch(node, sequence, &format!("r{}", sequence % 3));
            batch.intervals[0].start_unix_ms += 20_000 * sequence as i64;
            batches.push(batch);
        }
    }
    batches
}

#[test]
fn many_writers_at_once_leave_the_ledger_of_one() {
    on_each_store(|store| {
        let start = Arc::new(Barrier::new(8));
        let writers: Vec<_> = (0..8)
            .map(|writer| {
                let (store, start) = (Arc::clone(&store), Arc::clone(&start));
                thread::spawn(move || {
                    let mut batches = crowd();
                    // Each in an order of its own.
                    batches.sort_by_key(|batch| (batch.sequence * (writer + 3)) % 41);
                    start.wait();
                    let write = |batch: Batch| store.write_batch(&received(batch), "s").unwrap();
                    let written = batches.into_iter().map(write);
                    let new = written.filter(|written| *written == Written::New).count();
                    let mut conflicting = batch("n1", 7, "other");
                    conflicting.intervals[0].start_unix_ms += 1;
                    let refused = store.write_batch(&received(conflicting), "s");
                    assert!(matches!(refused, Err(StoreError::Conflict { .. })));
                    new
                })
            })
            .collect();
        let new: usize = writers
            .into_iter()
            .map(|writer| writer.join().unwrap())
            .sum();
        assert_eq!(new, crowd().len(), "each is new to one of them");
        assert_proved(&*store);

        let directory = tempfile::tempdir().unwrap();
        let alone = SqliteStore::open(directory.path()).unwrap();
        for batch in crowd() {
            alone.write_batch(&received(batch), "s").unwrap();
        }
        assert_eq!(contents(&*store), contents(&alone));
    });
}

#[test]
fn what_is_wrong_with_one_batch_spoils_only_that_one() {
    on_each_store(|store| {
        let mut great = batch("n1", 1, "r1");
        let most = wire::limits::MAX_SAMPLE_UJ;
        let at = |number: i64| {
            crate::batches::interval(number * 100_000, 100, 2, vec![sample(0, 0, 0, &[most, 0])])
        };
        great.intervals = (0..9_000).map(at).collect();
        store.write_batch(&received(great.clone()), "s").unwrap();
        great.sequence = 2;

        // Handed over without waiting, so that they become durable together.
        let (tell, told) = std::sync::mpsc::channel();
        let batches = [
            batch("n2", 1, "r2"),
            great,
            batch("n2", 1, "r3"),
            batch("n2", 2, "r4"),
        ];
        for (index, batch) in batches.into_iter().enumerate() {
            let prepared = Prepared::new(Arc::new(received(batch)), "s").unwrap();
            let tell = tell.clone();
            let answer = move |written| tell.send((index, written)).unwrap();
            store.submit(prepared, Box::new(answer));
        }
        drop(tell);
        let mut results: Vec<_> = told.iter().collect();
        results.sort_by_key(|(index, _)| *index);
        let [first, great, other, last] = &results[..] else {
            panic!("{results:?}");
        };
        assert!(matches!(first.1, Ok(Written::New)));
        assert!(matches!(great.1, Err(StoreError::Unfit(_))), "{great:?}");
        assert!(matches!(other.1, Err(StoreError::Conflict { .. })));
        assert!(matches!(last.1, Ok(Written::New)));
        assert_eq!(store.runs(&Default::default()).unwrap().len(), 3);
        assert_proved(&*store);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Batches and losses in any order: a sequence is there, lost or missing, and each is said once.
    #[test]
    fn every_sequence_is_in_one_place(
        steps in prop::collection::vec((1_u64..30, prop::collection::vec(1_u64..30, 0..3)), 1..25),
    ) {
        on_each_store(|store| {
            let (mut there, mut lost) = (std::collections::BTreeSet::new(), std::collections::BTreeSet::new());
            for (sequence, losses) in &steps {
                let mut batch = batch("n1", *sequence, "r1");
                batch.losses = losses.iter().map(|&sequence| loss(sequence, LossReason::Dropped, 1)).collect();
                let known = there.contains(sequence);
                match store.write_batch(&received(batch), "s") {
                    Ok(Written::New) => {
                        assert!(!known && !lost.contains(sequence));
                        there.insert(*sequence);
                        lost.extend(losses.iter().filter(|sequence| !there.contains(*sequence)));
                    }
                    Ok(Written::Duplicate) | Err(StoreError::Conflict { .. }) => assert!(known),
                    Err(StoreError::DeclaredLost { .. }) => assert!(lost.contains(sequence)),
                    Err(error) => panic!("{error}"),
                }
            }
            let mark = there.iter().chain(&lost).max().copied().unwrap_or(0);
            let figures = store.figures().unwrap();
            assert_eq!(figures.missing, mark - there.len() as u64 - lost.len() as u64);
            let batches: u64 = figures.losses.iter().map(|lost| lost.batches).sum();
            assert_eq!(batches, lost.len() as u64);
            assert_proved(&*store);
        });
    }
}
