//! What is forgotten, what is folded, and that no microjoule is lost by it.

use std::time::Duration;

use aggregator::store::{Retention, SeriesBy, Store, Written};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use wire::Energy;

use crate::batches::{batch, interval, received, sample, time, workload, zone};
use crate::conformance::{assert_proved, on_each_store, run_key};

const RETENTION: Retention = Retention {
    raw: Duration::from_secs(3_600),
    minutes: Duration::from_secs(2 * 3_600),
};

/// `hours` after all that a test writes came.
fn after(hours: i64) -> Timestamp {
    time(90_000) + SignedDuration::from_hours(hours)
}

/// All steps that are due.
fn tidy(store: &dyn Store, now: Timestamp) -> (u64, u64) {
    let (mut batches, mut minutes) = (0, 0);
    loop {
        let tidied = store.tidy(now, &RETENTION).unwrap();
        batches += tidied.batches;
        minutes += tidied.minutes;
        if !tidied.more {
            return (batches, minutes);
        }
    }
}

fn joules(store: &dyn Store, by: SeriesBy) -> f64 {
    let points = store.series(by, time(0), time(86_400_000)).unwrap();
    points.iter().map(|point| point.joules).sum()
}

#[test]
fn a_batch_whose_bytes_are_forgotten_is_still_known() {
    on_each_store(|store| {
        for sequence in [1, 3] {
            store
                .write_batch(&received(batch("n1", sequence, "r1")), "s")
                .unwrap();
        }
        assert_eq!(tidy(&*store, after(0)), (0, 0), "nothing is old yet");
        assert_eq!(tidy(&*store, after(1) + SignedDuration::from_secs(1)).0, 2);
        let again = |sequence, run| store.write_batch(&received(batch("n1", sequence, run)), "s");
        assert_eq!(again(1, "r1").unwrap(), Written::Duplicate);
        // What it once said is not known any more.
        assert_eq!(again(3, "r2").unwrap(), Written::Duplicate);
        assert_eq!(again(2, "r1").unwrap(), Written::New, "it never came");
        let report = store.check(&mut |_, _| {}).unwrap();
        assert_eq!((report.batches, report.missing), (1, 0));
        assert_eq!(report.measured, Energy::from_microjoules(3 * 4_750_000));
        assert_proved(&*store);
    });
}

#[test]
fn folded_minutes_answer_by_the_hour() {
    on_each_store(|store| {
        for sequence in 1..=3 {
            store
                .write_batch(&received(batch("n1", sequence, "r1")), "s")
                .unwrap();
        }
        let before = store.run_ledger(&run_key("r1")).unwrap().unwrap();
        let nodes = store.nodes().unwrap();
        assert_eq!(joules(&*store, SeriesBy::Node), 3.0 * 4.75);

        let (_, minutes) = tidy(&*store, after(4));
        assert_eq!(minutes, 2 * 2, "two minutes of two zones");
        assert_proved(&*store);
        assert_eq!(store.nodes().unwrap(), nodes);
        let folded = store.run_ledger(&run_key("r1")).unwrap().unwrap();
        assert_eq!(folded.summary, before.summary);
        let [hour] = &folded.cells[..] else {
            panic!("one hour, not {:?}", folded.cells);
        };
        assert!(hour.is_hour());
        assert_eq!((hour.start, hour.length_ms), (time(0), 3_600_000));
        assert_eq!(hour.measured, Energy::from_microjoules(3 * 4_750_000));
        assert_eq!(hour.covered_ms, 60_000);
        let points = store
            .series(SeriesBy::Run, time(0), time(3_600_000))
            .unwrap();
        assert_eq!(
            (points.len(), points[0].seconds, points[0].joules),
            (1, 3_600, 9.0)
        );

        // Late energy of that hour is counted at once, and folded when its turn comes.
        store
            .write_batch(&received(batch("n1", 4, "r1")), "s")
            .unwrap();
        assert_eq!(joules(&*store, SeriesBy::Node), 4.0 * 4.75);
        assert_eq!(
            store
                .run_ledger(&run_key("r1"))
                .unwrap()
                .unwrap()
                .cells
                .len(),
            3
        );
        assert_proved(&*store);
        tidy(&*store, after(4));
        assert_eq!(joules(&*store, SeriesBy::Stage), 4.0 * 3.0);
        assert_eq!(
            store
                .run_ledger(&run_key("r1"))
                .unwrap()
                .unwrap()
                .cells
                .len(),
            1
        );
        assert_proved(&*store);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Whatever comes, in whatever steps the retention is kept meanwhile: sums stay what was sent, and the check
    /// proves it.
    #[test]
    fn keeping_the_retention_changes_no_sum(
        intervals in prop::collection::vec(
            (0_i64..20_000_000, 1_u64..8_000, prop::array::uniform4(0_u64..1_000_000_000), 0_i64..9),
            1..10,
        ),
    ) {
        on_each_store(|store| {
            let (mut sent, mut active) = (0, 0);
            for (number, (offset_ms, seconds, [idle, system, a, b], hours)) in intervals.iter().enumerate() {
                let mut batch = batch("n1", number as u64 + 1, "r1");
                batch.workloads[1] = workload("r1", "test", "tester-0");
                batch.zones[1] = zone("dram-0", "");
                let zones = vec![sample(0, *idle, *system, &[*a, *b]), sample(1, *b, *a, &[*system, *idle])];
                batch.intervals = vec![interval(*offset_ms, *seconds, 2, zones)];
                store.write_batch(&received(batch), "s").unwrap();
                sent += 2 * (idle + system + a + b);
                active += idle + system + a + b;
                store.tidy(after(*hours), &RETENTION).unwrap();
                assert_proved(&*store);
            }
            tidy(&*store, after(20));
            let report = store.check(&mut |_, _| {}).unwrap();
            assert_eq!(report.faults, Vec::<String>::new());
            assert_eq!(report.measured, Energy::from_microjoules(sent));
            let ledger = store.run_ledger(&run_key("r1")).unwrap().unwrap();
            let cells = ledger.cells.iter();
            let shares: Energy = cells.flat_map(|cell| &cell.shares).map(|share| share.active).sum();
            assert_eq!(shares, Energy::from_microjoules(active));
        });
    }
}
