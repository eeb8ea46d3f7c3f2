//! Names that come after the energy.

use std::time::Duration;

use aggregator::ledger::ReportQuery;
use aggregator::report::IdlePolicy;
use aggregator::store::{Retention, RunFilter, SeriesBy, Store};
use proptest::prelude::*;
use wire::v1::{Batch, Rename, Workload, WorkloadKind};

use crate::batches::{batch, interval, received, sample, time, workload};
use crate::conformance::{assert_proved, on_each_store, run_key};

/// A container as it is told before anybody knows its pod.
pub(crate) fn unnamed(uid: &str) -> Workload {
    Workload {
        kind: WorkloadKind::Container.into(),
        pod_uid: uid.to_owned(),
        container_id: "0123456789ab".to_owned(),
        ..Workload::default()
    }
}

/// Ten seconds of `workloads`, each with 1 J, and nothing else.
pub(crate) fn of(node: &str, sequence: u64, workloads: Vec<Workload>) -> Batch {
    let count = workloads.len() as u32;
    let energies = vec![1_000_000; workloads.len()];
    Batch {
        sequence,
        workloads,
        zones: batch(node, 1, "").zones,
        intervals: vec![interval(
            sequence as i64 * 10_000,
            10,
            count,
            vec![sample(0, 600, 0, &energies)],
        )],
        ..batch(node, 1, "")
    }
}

/// Says who is who, by index; names are in the dictionary alone.
pub(crate) fn telling(mut batch: Batch, names: Vec<(Workload, Workload)>) -> Batch {
    for (was, is) in names {
        let first = batch.workloads.len() as u32;
        batch.workloads.extend([was, is]);
        batch.renames.push(Rename {
            was: first,
            is: first + 1,
        });
    }
    batch
}

fn write(store: &dyn Store, batch: Batch) {
    store.write_batch(&received(batch), "s").unwrap();
}

/// Active energy of run r1 by stage in joules, from its report; the sums of its summary are the same.
fn stages(store: &dyn Store) -> Vec<(String, f64)> {
    let Some(ledger) = store.run_ledger(&run_key("r1")).unwrap() else {
        return Vec::new();
    };
    let report = aggregator::report::build(
        &ledger,
        &ReportQuery {
            idle: IdlePolicy::None,
            ..ReportQuery::default()
        },
        &[],
        &Default::default(),
    );
    let of_cells: f64 = report.stages.iter().map(|stage| stage.energy_joules).sum();
    assert!((of_cells - ledger.summary.active_joules).abs() < 1e-9);
    let stages = report.stages.into_iter();
    stages
        .map(|stage| (stage.stage, stage.energy_joules))
        .collect()
}

fn train(joules: f64) -> Vec<(String, f64)> {
    vec![("train".to_owned(), joules)]
}

#[test]
fn a_name_that_comes_later_names_what_was_told_before_and_what_comes_late() {
    on_each_store(|store| {
        let named = || workload("r1", "train", "trainer-0");
        write(
            &*store,
            of("n1", 1, vec![unnamed("u1"), workload("", "", "web-0")]),
        );
        // In the same minute under both names.
        write(&*store, of("n1", 2, vec![named(), unnamed("u1")]));
        write(&*store, of("n2", 1, vec![unnamed("u1")]));
        assert_eq!(stages(&*store), train(1.0));
        assert_proved(&*store);

        let told = telling(
            of("n1", 4, vec![]),
            vec![
                (unnamed("u1"), named()),
                (unnamed("never-told"), workload("r9", "train", "other-0")),
            ],
        );
        write(&*store, told);
        assert_eq!(stages(&*store), train(3.0));
        assert_proved(&*store);
        let runs = store.runs(&RunFilter::default()).unwrap();
        assert_eq!(runs.len(), 1, "who was never told is nobody's");
        assert_eq!(runs[0].start, time(10_000));

        // One share of it in each cell, so that `equal` counts it once.
        let ledger = store.run_ledger(&run_key("r1")).unwrap().unwrap();
        let counts: Vec<usize> = ledger.cells.iter().map(|cell| cell.shares.len()).collect();
        assert_eq!(counts, [2], "of the trainer and web-0");

        // What waited in a spool under the old name, and the same name once more.
        write(&*store, of("n1", 3, vec![unnamed("u1")]));
        let again = telling(of("n1", 5, vec![]), vec![(unnamed("u1"), named())]);
        write(&*store, again);
        assert_eq!(stages(&*store), train(4.0));
        assert_proved(&*store);

        let series = store.series(SeriesBy::Run, time(0), time(600_000)).unwrap();
        let joules: f64 = series.iter().map(|point| point.joules).sum();
        assert!((joules - 4.0).abs() < 1e-9 && series[0].name == "c1/churn/r1");

        let retention = Retention {
            raw: Duration::from_secs(3_600),
            minutes: Duration::from_secs(7_200),
        };
        store.tidy(time(86_400_000), &retention).unwrap();
        assert_eq!(stages(&*store), train(4.0));
        assert_proved(&*store);
    });
}

#[test]
fn a_node_names_its_own_energy_alone() {
    on_each_store(|store| {
        write(&*store, of("n1", 1, vec![unnamed("u1")]));
        let told = telling(
            of("n2", 1, vec![]),
            vec![(unnamed("u1"), workload("r1", "train", "trainer-0"))],
        );
        write(&*store, told);
        assert_eq!(store.runs(&RunFilter::default()).unwrap(), []);
        assert_proved(&*store);
    });
}

#[test]
fn a_container_s_name_may_follow_its_pod_s() {
    on_each_store(|store| {
        let pod = Workload {
            container: String::new(),
            ..Workload {
                pod_uid: "u1".to_owned(),
                container_id: "0123456789ab".to_owned(),
                ..workload("r1", "train", "trainer-0")
            }
        };
        write(&*store, of("n1", 1, vec![pod.clone()]));
        let named = workload("r1", "train", "trainer-0");
        write(
            &*store,
            telling(of("n1", 2, vec![]), vec![(pod, named.clone())]),
        );
        assert_eq!(stages(&*store), train(1.0));
        let ledger = store.run_ledger(&run_key("r1")).unwrap().unwrap();
        assert_eq!(ledger.workloads[0].container, named.container);
        assert_proved(&*store);
    });
}

#[test]
fn what_was_reserved_is_kept_and_folded() {
    on_each_store(|store| {
        let mut asked = workload("r1", "train", "trainer-0");
        asked.cpu_request_millis = 1_500;
        write(&*store, of("n1", 1, vec![asked]));
        let reserved = || {
            let ledger = store.run_ledger(&run_key("r1")).unwrap().unwrap();
            let shares = ledger.cells.iter().flat_map(|cell| &cell.shares);
            shares.map(|share| share.request_us).sum::<u64>()
        };
        assert_eq!(reserved(), 15_000_000, "1.5 CPUs for 10 s");
        let retention = Retention {
            raw: Duration::from_secs(3_600),
            minutes: Duration::from_secs(7_200),
        };
        store.tidy(time(86_400_000), &retention).unwrap();
        assert_eq!(reserved(), 15_000_000);
        assert_proved(&*store);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Whatever is told when, and in whatever order it comes: each pod that is named at some time has all its energy.
    #[test]
    fn all_energy_of_a_pod_is_under_its_name(
        told in prop::collection::vec((0..3_usize, any::<bool>(), any::<bool>()), 1..12),
        order in any::<prop::sample::Index>(),
    ) {
        on_each_store(|store| {
            let uids = ["u0", "u1", "u2"];
            let pods = ["a-0", "b-0", "c-0"];
            let named = |pod: usize| workload("r1", pods[pod], pods[pod]);
            let mut batches: Vec<Batch> = told
                .iter()
                .enumerate()
                .map(|(index, &(pod, by_name, tells))| {
                    let ran = if by_name { named(pod) } else { unnamed(uids[pod]) };
                    let names = if tells { vec![(unnamed(uids[pod]), named(pod))] } else { vec![] };
                    telling(of("n1", index as u64 + 1, vec![ran]), names)
                })
                .collect();
            let middle = order.index(batches.len());
            batches.rotate_left(middle);
            // Each that ever ran under its uid is named once all is there.
            for (pod, uid) in uids.into_iter().enumerate() {
                let names = vec![(unnamed(uid), named(pod))];
                batches.push(telling(of("n1", 100 + pod as u64, vec![]), names));
            }
            for batch in batches {
                write(&*store, batch);
            }
            assert_proved(&*store);
            for (stage, joules) in stages(&*store) {
                let ran = told.iter().filter(|&&(pod, ..)| pods[pod] == stage).count();
                assert!((joules - ran as f64).abs() < 1e-9, "{stage} {joules} {ran}");
            }
            let sum: f64 = stages(&*store).iter().map(|(_, joules)| joules).sum();
            assert!((sum - told.len() as f64).abs() < 1e-9);
        });
    }
}
