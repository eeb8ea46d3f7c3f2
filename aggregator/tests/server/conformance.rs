//! What every store must do, written against the trait: each store joins with one line.

use std::collections::BTreeMap;
use std::sync::Arc;

use aggregator::intensity::{IntensityBasis, Signal, Slot};
use aggregator::rollup::Unfit;
use aggregator::site::Site;
use aggregator::store::{
    Cell, RunFilter, RunKey, SeriesBy, SqliteStore, Store, StoreError, Written,
};
use jiff::Timestamp;
use proptest::prelude::*;
use wire::Energy;
use wire::v1::Outcome;

use crate::batches::{START_MS, batch, interval, received, sample, time, workload, zone};

/// Runs `test` on a fresh store of each kind.
pub(crate) fn on_each_store(test: impl Fn(Arc<dyn Store>)) {
    let directory = tempfile::tempdir().unwrap();
    test(Arc::new(SqliteStore::open(directory.path()).unwrap()));
}

pub(crate) fn run_key(run: &str) -> RunKey {
    RunKey {
        cluster: "c1".to_owned(),
        workflow: "churn".to_owned(),
        run: run.to_owned(),
    }
}

pub(crate) fn assert_proved(store: &dyn Store) {
    let report = store.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
}

#[test]
fn a_batch_is_written_once() {
    on_each_store(|store| {
        let first = received(batch("n1", 1, "r1"));
        assert_eq!(store.write_batch(&first, "s").unwrap(), Written::New);
        assert_eq!(store.write_batch(&first, "s").unwrap(), Written::Duplicate);
        let nodes = store.nodes().unwrap();
        assert_eq!(nodes[0].zones[0].measured_microjoules, 4_750_000);

        let other = received(batch("n1", 1, "r2"));
        let refused = store.write_batch(&other, "s").unwrap_err();
        assert!(matches!(refused, StoreError::Conflict { sequence: 1, .. }));
        assert_eq!(
            store.nodes().unwrap(),
            nodes,
            "a refused batch changes nothing"
        );
        assert_eq!(store.runs(&RunFilter::default()).unwrap().len(), 1);

        let mut elsewhere = batch("n1", 1, "r1");
        elsewhere.stream_id = vec![8; 16];
        let elsewhere = received(elsewhere);
        assert_eq!(store.write_batch(&elsewhere, "s").unwrap(), Written::New);
        assert_proved(&*store);
    });
}

#[test]
fn what_a_ledger_cannot_hold_is_refused_and_harms_nothing() {
    on_each_store(|store| {
        let mut late = batch("n1", 1, "r1");
        late.intervals[0].start_unix_ms = wire::limits::MAX_START_UNIX_MS;
        let refused = store.write_batch(&received(late), "s").unwrap_err();
        assert!(matches!(refused, StoreError::Unfit(Unfit::TooLate(0))));

        let refused = store.write_batch(&received(batch("n1", u64::MAX, "r1")), "s");
        assert!(matches!(refused, Err(StoreError::Unfit(Unfit::TooGreat))));

        let mut implausible = batch("n1", 1, "r1");
        let most = wire::limits::MAX_SAMPLE_UJ;
        let zones = || vec![sample(0, 0, 0, &[most, 0])];
        implausible.intervals = vec![interval(0, 1, 2, zones()); 9_000];
        let refused = store.write_batch(&received(implausible), "s");
        let too_much = Unfit::TooMuchPower(0);
        assert!(matches!(refused, Err(StoreError::Unfit(unfit)) if unfit == too_much));

        // Each fits by itself; together they pass what 63 bits hold.
        let mut great = batch("n1", 1, "r1");
        let at = |number: i64| interval(number * 100_000, 100, 2, zones());
        great.intervals = (0..9_000).map(at).collect();
        store.write_batch(&received(great.clone()), "s").unwrap();
        great.sequence = 2;
        let refused = store.write_batch(&received(great.clone()), "s");
        assert!(matches!(refused, Err(StoreError::Unfit(Unfit::TooGreat))));

        let written = store.write_batch(&received(batch("n2", 1, "r1")), "s");
        assert_eq!(written.unwrap(), Written::New);

        // Another run and another node may together with it pass them.
        great.node = "n3".to_owned();
        great.workloads[0].run = "r2".to_owned();
        store.write_batch(&received(great), "s").unwrap();
        assert_eq!(store.runs(&RunFilter::default()).unwrap().len(), 2);
        assert!(store.stages().unwrap()[0].active_joules > 1.8e13);
        assert_proved(&*store);
    });
}

#[test]
fn a_run_gives_its_cells_with_all_who_ran() {
    on_each_store(|store| {
        store
            .write_batch(&received(batch("n1", 1, "r1")), "paris")
            .unwrap();
        // Another node in the same minute, on which the run did not run.
        store
            .write_batch(&received(batch("n2", 1, "r2")), "paris")
            .unwrap();
        // The same node two minutes later.
        let mut later = batch("n1", 2, "r3");
        later.intervals[0].start_unix_ms += 120_000;
        store.write_batch(&received(later), "paris").unwrap();

        let ledger = store.run_ledger(&run_key("r1")).unwrap().unwrap();
        assert_eq!(ledger.summary.start, time(50_000));
        assert_eq!(ledger.summary.end, time(70_000));
        assert_eq!(ledger.summary.stages, ["train"]);
        assert_eq!(ledger.summary.active_joules, 3.0);

        assert_eq!(
            ledger.cells.len(),
            2,
            "two minutes of one additive zone of one node"
        );
        for (cell, minute) in ledger.cells.iter().zip([0, 60_000]) {
            assert_eq!(cell.start, time(minute));
            assert_eq!(
                (cell.node.node.as_str(), cell.zone.as_str()),
                ("n1", "package-0")
            );
            assert_eq!((cell.site.as_str(), cell.modelled), ("paris", false));
            assert_eq!((cell.covered_ms, cell.idle_seeded), (10_000, false));
            assert_eq!(cell.measured, Energy::from_microjoules(2_375_000));
            assert_eq!(cell.system_usage_ns, 250);
            assert_balanced(cell);
        }
        let pods: Vec<&str> = ledger.cells[0]
            .shares
            .iter()
            .map(|share| ledger.workloads[share.workload].pod.as_str())
            .collect();
        assert_eq!(pods, ["trainer-0", "web-0"]);
        assert_eq!(ledger.cells[0].shares[0].usage_ns, 500);

        assert_eq!(store.run_ledger(&run_key("r4")).unwrap(), None);
        assert_eq!(store.run_ledger(&run_key("")).unwrap(), None);
    });
}

fn assert_balanced(cell: &Cell) {
    let shares: Energy = cell.shares.iter().map(|share| share.active).sum();
    assert_eq!(cell.measured, shares + cell.idle + cell.system);
}

#[test]
fn runs_are_listed_and_filtered() {
    on_each_store(|store| {
        let mut first = batch("n1", 1, "r1");
        // Arrives first, ran later: the order of stages is that of their time.
        first.workloads[0].stage = "validate".to_owned();
        store.write_batch(&received(first), "s").unwrap();
        let mut earlier = batch("n1", 2, "r1");
        earlier.intervals[0].start_unix_ms -= 600_000;
        store.write_batch(&received(earlier), "s").unwrap();
        let mut other = batch("n1", 3, "r0");
        other.workloads[0].workflow = "vision".to_owned();
        other.intervals[0].start_unix_ms += 60_000;
        store.write_batch(&received(other), "s").unwrap();

        let runs = store.runs(&RunFilter::default()).unwrap();
        let ids: Vec<&str> = runs.iter().map(|run| run.key.run.as_str()).collect();
        assert_eq!(ids, ["r0", "r1"], "the latest start first");
        assert_eq!(runs[1].stages, ["train", "validate"]);
        assert_eq!(runs[1].active_joules, 6.0);

        let check = |change: &dyn Fn(&mut RunFilter), expected: &[&str]| {
            let mut filter = RunFilter::default();
            change(&mut filter);
            let runs = store.runs(&filter).unwrap();
            let ids: Vec<&str> = runs.iter().map(|run| run.key.run.as_str()).collect();
            assert_eq!(ids, expected, "{filter:?}");
        };
        check(
            &|filter| filter.workflow = Some("churn".to_owned()),
            &["r1"],
        );
        check(
            &|filter| filter.stage = Some("train".to_owned()),
            &["r0", "r1"],
        );
        check(
            &|filter| filter.stage = Some("validate".to_owned()),
            &["r1"],
        );
        check(&|filter| filter.cluster = Some("c2".to_owned()), &[]);
        check(&|filter| filter.run = Some("r0".to_owned()), &["r0"]);
        check(&|filter| filter.since = Some(time(70_000)), &["r0", "r1"]);
        check(&|filter| filter.since = Some(time(70_001)), &["r0"]);

        let stages = store.stages().unwrap();
        let stages: Vec<_> = stages
            .iter()
            .map(|s| {
                (
                    s.workflow.as_str(),
                    s.stage.as_str(),
                    s.runs,
                    s.active_joules,
                )
            })
            .collect();
        let expected = [
            ("churn", "train", 1, 3.0),
            ("churn", "validate", 1, 3.0),
            ("vision", "train", 1, 3.0),
        ];
        assert_eq!(stages, expected);
    });
}

#[test]
fn nodes_give_their_totals_and_keep_nested_zones_apart() {
    on_each_store(|store| {
        store
            .write_batch(&received(batch("n2", 1, "r1")), "oslo")
            .unwrap();
        store
            .write_batch(&received(batch("n1", 1, "r1")), "paris")
            .unwrap();
        store
            .write_batch(&received(batch("n1", 2, "r1")), "lyon")
            .unwrap();
        let nodes = store.nodes().unwrap();
        let names: Vec<_> = nodes
            .iter()
            .map(|n| (n.key.node.as_str(), n.site.as_str()))
            .collect();
        assert_eq!(names, [("n1", "lyon"), ("n2", "oslo")]);
        assert_eq!(nodes[0].last_seen, time(90_000));
        let [package, core] = &nodes[0].zones[..] else {
            panic!("two zones, not {:?}", nodes[0].zones);
        };
        assert_eq!(
            (package.zone.as_str(), package.parent.as_str()),
            ("package-0", "")
        );
        assert_eq!(package.basis, "measured");
        assert_eq!(package.measured_microjoules, 9_500_000);
        assert_eq!(package.workload_microjoules, 6_500_000);
        assert_eq!(package.system_microjoules, 1_000_000);
        assert_eq!(package.idle_microjoules, 2_000_000);
        assert_eq!(
            (core.zone.as_str(), core.parent.as_str()),
            ("core", "package-0")
        );
        assert_eq!(
            (core.measured_microjoules, core.workload_microjoules),
            (4_000_000, 0)
        );
    });
}

#[test]
fn a_series_has_the_minutes_that_start_in_its_range() {
    on_each_store(|store| {
        store
            .write_batch(&received(batch("n1", 1, "r1")), "s")
            .unwrap();
        let series = |by, from, to| -> Vec<(i64, String, f64)> {
            let points = store.series(by, time(from), time(to)).unwrap();
            let point = |point: aggregator::store::SeriesPoint| {
                let offset_ms = point.minute.as_millisecond() - time(0).as_millisecond();
                (offset_ms, point.name, point.joules)
            };
            points.into_iter().map(point).collect()
        };
        let node = |offset| (offset, "c1/n1".to_owned(), 2.375);
        assert_eq!(series(SeriesBy::Node, 0, 120_000), [node(0), node(60_000)]);
        assert_eq!(series(SeriesBy::Node, 1, 60_001), [node(60_000)]);
        assert_eq!(series(SeriesBy::Node, 0, 60_000), [node(0)]);
        assert_eq!(
            series(SeriesBy::Stage, 0, 1),
            [(0, "c1/churn/train".to_owned(), 1.5)]
        );
        assert_eq!(
            series(SeriesBy::Run, 0, 1),
            [(0, "c1/churn/r1".to_owned(), 1.5)]
        );
    });
}

#[test]
fn a_minute_covers_at_most_a_minute_and_holes_cover_nothing() {
    on_each_store(|store| {
        let mut twice = batch("n1", 1, "r1");
        let full = interval(0, 60, 2, vec![sample(0, 10, 10, &[10, 10])]);
        twice.intervals = vec![full.clone(), full];
        store.write_batch(&received(twice), "s").unwrap();
        let mut hole = batch("n2", 1, "r1");
        hole.intervals[0].zones = vec![sample(0, 0, 0, &[0, 0])];
        hole.intervals[0].zones[0].outcome = Outcome::Failed.into();
        store.write_batch(&received(hole), "s").unwrap();

        let ledger = store.run_ledger(&run_key("r1")).unwrap().unwrap();
        let cells: Vec<_> = ledger
            .cells
            .iter()
            .map(|cell| (cell.node.node.as_str(), cell.covered_ms, cell.measured))
            .collect();
        let hole = ("n2", 0, Energy::ZERO);
        let full = ("n1", 60_000, Energy::from_microjoules(80));
        assert_eq!(cells, [full, hole, hole]);
        assert!(ledger.cells.iter().all(|cell| cell.shares.len() == 2));

        for by in [SeriesBy::Node, SeriesBy::Stage, SeriesBy::Run] {
            let series = store.series(by, time(0), time(120_000)).unwrap();
            assert_eq!(series.len(), 1, "a hole is a gap in a line: {series:?}");
        }
        let nodes = store.nodes().unwrap();
        let zones: Vec<_> = nodes.iter().map(|node| node.zones.len()).collect();
        assert_eq!(zones, [1, 0]);
        assert_proved(&*store);
    });
}

#[test]
fn sites_are_kept_as_they_were() {
    on_each_store(|store| {
        let first = Site {
            intensity_zone: Some("FR".to_owned()),
            pue: 1.2,
            ..Site::named("paris")
        };
        let put = |site: &Site, hour: i64| {
            store
                .put_sites(std::slice::from_ref(site), time(hour * HOUR_MS))
                .unwrap();
        };
        // How often it was told of, and what is known.
        let paris = |as_of: Option<i64>| {
            let sites = store.sites(as_of.map(|hour| time(hour * HOUR_MS))).unwrap();
            let mut paris = sites.into_iter().find(|site| site.name == "paris").unwrap();
            let times = std::mem::take(&mut paris.recorded);
            (times.len(), paris)
        };
        put(&first, 1);
        // The same again is no change.
        put(&first, 2);
        assert_eq!(paris(None), (1, first.clone()));
        let second = Site {
            pue_by_year: BTreeMap::from([(2025, 1.4)]),
            ..Site::named("paris")
        };
        put(&second, 3);
        store
            .write_batch(&received(batch("n1", 1, "r1")), "paris")
            .unwrap();
        store
            .write_batch(&received(batch("n1", 2, "r1")), "lyon")
            .unwrap();
        assert_eq!(store.sites(None).unwrap()[0], Site::named("lyon"));
        assert_eq!(paris(None), (2, second.clone()));
        assert_eq!(paris(Some(4)), (2, second.clone()));
        assert_eq!(paris(Some(2)), (1, first.clone()));
        // Before it was told of, nothing was known.
        assert_eq!(paris(Some(0)), (0, Site::named("paris")));

        // A clock that was set back makes no past.
        put(&first, 2);
        assert_eq!(paris(None), (3, first.clone()));
        assert_eq!(paris(Some(2)), (1, first));
    });
}

const HOUR_MS: i64 = 3_600_000;

fn slot(from_ms: i64, g_per_kwh: f64, basis: IntensityBasis) -> Slot {
    Slot {
        intensity_zone: "FR".to_owned(),
        from: time(from_ms),
        to: time(from_ms + 3_600_000),
        g_per_kwh,
        kind: Signal::default(),
        basis,
        source: "test".to_owned(),
    }
}

#[test]
fn slots_are_revised_and_the_newest_counts() {
    on_each_store(|store| {
        let slot = |from, g_per_kwh| slot(from, g_per_kwh, IntensityBasis::Estimated);
        // Recorded in such an hour, or a moment later where the store was busy.
        let put = |slots: &[Slot], hour: i64| store.put_slots(slots, time(hour * HOUR_MS)).unwrap();
        let (first, second) = (slot(0, 40.0), slot(3_600_000, 50.0));
        assert_eq!(put(&[second.clone(), first.clone()], 10), 2);
        assert_eq!(put(&[first.clone(), second.clone()], 15), 0);
        let revised = slot(0, 41.5);
        assert_eq!(put(&[revised.clone(), second.clone()], 20), 1);

        let slots = |from, to| store.slots("FR", time(from), time(to), None).unwrap();
        assert_eq!(slots(0, 7_200_000), [revised.clone(), second.clone()]);
        assert_eq!(slots(3_599_999, 3_600_000)[0], revised);
        assert_eq!(slots(3_600_000, 3_600_001)[0], second);
        let all = |zone| {
            store
                .slots(zone, Timestamp::MIN, Timestamp::MAX, None)
                .unwrap()
        };
        assert_eq!(all("DE"), []);
        assert_eq!(all("FR").len(), 2);

        let as_of = |hour: i64| {
            let as_of = Some(time(hour * HOUR_MS));
            store.slots("FR", time(0), time(7_200_000), as_of).unwrap()
        };
        assert_eq!(as_of(9), []);
        assert_eq!(as_of(11), [first.clone(), second.clone()]);
        assert_eq!(as_of(19), [first, second.clone()]);
        assert_eq!(as_of(21), [revised.clone(), second.clone()]);
        let hours = |to| {
            let revisions = store.slot_revisions("FR", time(0), time(to)).unwrap();
            assert!(revisions.iter().all(|(kind, _)| *kind == Signal::default()));
            let hour = |time: Timestamp| (time.as_millisecond() - START_MS).div_euclid(HOUR_MS);
            revisions
                .into_iter()
                .map(|(_, time)| hour(time))
                .collect::<Vec<_>>()
        };
        assert_eq!(hours(7_200_000), [10, 20]);
        assert_eq!(store.slot_revisions("DE", time(0), time(1)).unwrap(), []);

        // A clock that was set back makes no past: not of what is revised, and not of what is new.
        assert_eq!(put(&[slot(3_600_000, 52.0), slot(7_200_000, 1.0)], 5), 2);
        assert_eq!(as_of(9), []);
        assert_eq!(as_of(19).len(), 2);
        assert_eq!(slots(3_600_000, 3_600_001), [slot(3_600_000, 52.0)]);
        assert_eq!(hours(10_800_000), [10, 20, 20]);
    });
}

#[test]
fn a_forecast_that_comes_later_leaves_what_was_measured() {
    on_each_store(|store| {
        let slot = |g_per_kwh, basis| slot(0, g_per_kwh, basis);
        let put = |slots: &[Slot]| store.put_slots(slots, time(0)).unwrap();
        let measured = slot(40.0, IntensityBasis::Measured);
        let forecast = slot(90.0, IntensityBasis::Forecast);
        put(std::slice::from_ref(&measured));
        assert_eq!(put(std::slice::from_ref(&forecast)), 1);
        let slots = || store.slots("FR", time(0), time(1), None).unwrap();
        assert_eq!(slots(), [forecast.clone(), measured.clone()]);

        let corrected = slot(41.0, IntensityBasis::Measured);
        let twice = [slot(50.0, IntensityBasis::Measured), corrected.clone()];
        assert_eq!(put(&twice), 1, "the last one counts");
        assert_eq!(slots(), [forecast, corrected]);
        assert_eq!(put(&twice), 0);

        assert!(store.has_slots("FR").unwrap());
        assert!(!store.has_slots("DE").unwrap());
    });
}

#[test]
fn the_check_counts_what_it_proves() {
    on_each_store(|store| {
        store
            .write_batch(&received(batch("n1", 1, "r1")), "s")
            .unwrap();
        store
            .write_batch(&received(batch("n2", 1, "r1")), "s")
            .unwrap();
        let mut steps = Vec::new();
        let report = store
            .check(&mut |done, total| steps.push((done, total)))
            .unwrap();
        assert_eq!(steps, [(0, 2), (1, 2), (2, 2)]);
        assert_eq!((report.batches, report.cells), (2, 4));
        assert_eq!(report.measured, Energy::from_microjoules(9_500_000));
        assert_eq!(report.faults, Vec::<String>::new());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any intervals, in any number of batches, leave a ledger that its own check proves and whose total is
    /// what was sent.
    #[test]
    fn any_batches_are_conserved(
        intervals in prop::collection::vec(
            (0_i64..500_000, 1_u64..400, prop::array::uniform4(0_u64..1_000_000_000)),
            1..12,
        ),
    ) {
        on_each_store(|store| {
            let mut sent = 0;
            for (number, (offset_ms, seconds, [idle, system, a, b])) in intervals.iter().enumerate() {
                let mut batch = batch("n1", number as u64 + 1, "r1");
                batch.workloads[1] = workload("r1", "test", "tester-0");
                batch.zones[1] = zone("dram-0", "");
                let zones = vec![sample(0, *idle, *system, &[*a, *b]), sample(1, *b, *a, &[*system, *idle])];
                batch.intervals = vec![interval(*offset_ms, *seconds, 2, zones)];
                store.write_batch(&received(batch), "s").unwrap();
                sent += 2 * (idle + system + a + b);
            }
            let report = store.check(&mut |_, _| {}).unwrap();
            assert_eq!(report.faults, Vec::<String>::new());
            assert_eq!(report.measured, Energy::from_microjoules(sent));
            let ledger = store.run_ledger(&run_key("r1")).unwrap().unwrap();
            ledger.cells.iter().for_each(assert_balanced);
        });
    }
}
