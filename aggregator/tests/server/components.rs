//! What components used: in every store, and over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aggregator::ledger::{Ledger, ReportQuery};
use aggregator::report::IdlePolicy;
use aggregator::store::{ComponentEnergy, ComponentQuery, Retention, Store, ZoneUse};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use wire::Energy;
use wire::v1::{Basis, Batch, Outcome, Workload};

use crate::batches::{batch, interval, received, sample, time, workload, zone};
use crate::conformance::{assert_proved, on_each_store};
use crate::names::{telling, unnamed};
use crate::running::{Running, error_line};

const HOUR_MS: i64 = 3_600_000;

/// A pod of a component, in no run.
fn component(namespace: &str, name: &str) -> Workload {
    Workload {
        component: name.to_owned(),
        namespace: namespace.to_owned(),
        ..workload("", "", &format!("{name}-0"))
    }
}

/// A whole minute of some workloads' energy in microjoules, with a nested zone beside it.
fn minute(node: &str, sequence: u64, number: i64, shares: &[(Workload, u64)]) -> Batch {
    let (workloads, active): (Vec<_>, Vec<_>) = shares.iter().cloned().unzip();
    let nested = wire::v1::ZoneSample {
        zone: 1,
        outcome: Outcome::Sampled.into(),
        measured_uj: 7,
        ..Default::default()
    };
    let zones = vec![sample(0, 1_000, 500, &active), nested];
    let count = workloads.len() as u32;
    Batch {
        workloads,
        intervals: vec![interval(number * 60_000, 60, count, zones)],
        ..batch(node, sequence, "")
    }
}

fn write(store: &dyn Store, batch: Batch) {
    store.write_batch(&received(batch), "paris").unwrap();
}

fn query(from: i64, to: i64) -> ComponentQuery {
    ComponentQuery {
        cluster: None,
        namespace: None,
        from: time(from),
        to: time(to),
    }
}

fn ask(store: &dyn Store, query: &ComponentQuery) -> Vec<ComponentEnergy> {
    let recent = (query.to, query.to);
    store.component_energy(query, recent).unwrap()
}

/// Microjoules by name: `cluster/namespace/component`.
fn energies(store: &dyn Store, query: &ComponentQuery) -> BTreeMap<String, u64> {
    let energies = ask(store, query).into_iter();
    let named = energies.map(|energy| {
        let key = &energy.key;
        let name = format!("{}/{}/{}", key.cluster, key.namespace, key.component);
        let active: Energy = energy.parts.iter().map(|part| part.active).sum();
        (name, active.microjoules())
    });
    named.collect()
}

fn expected(energies: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let named = energies.iter();
    named
        .map(|(name, energy)| ((*name).to_owned(), *energy))
        .collect()
}

#[test]
fn components_have_their_energy_by_cluster_and_namespace() {
    on_each_store(|store| {
        let (db, other) = (component("ml", "db"), component("web", "db"));
        let trainer = workload("r1", "train", "trainer-0");
        let shares = [(db.clone(), 5), (other, 70), (trainer, 900)];
        write(&*store, minute("n1", 1, 0, &shares));
        write(&*store, minute("n2", 1, 1, &[(db.clone(), 30)]));
        let elsewhere = Batch {
            cluster: "c2".to_owned(),
            ..minute("n1", 1, 0, &[(db, 2)])
        };
        write(&*store, elsewhere);
        let check = |change: &dyn Fn(&mut ComponentQuery), named: &[(&str, u64)]| {
            let mut query = query(0, 120_000);
            change(&mut query);
            assert_eq!(energies(&*store, &query), expected(named), "{query:?}");
        };
        let all = [("c1/ml/db", 35), ("c1/web/db", 70), ("c2/ml/db", 2)];
        check(&|_| {}, &all);
        check(&|query| query.cluster = Some("c2".to_owned()), &all[2..]);
        check(
            &|query| query.namespace = Some("web".to_owned()),
            &all[1..2],
        );
        check(&|query| query.namespace = Some("none".to_owned()), &[]);
        check(&|query| query.from = time(60_000), &[("c1/ml/db", 30)]);
        check(&|query| query.from = time(1), &[("c1/ml/db", 30)]);
        check(
            &|query| query.to = time(60_000),
            &[("c1/ml/db", 5), ("c1/web/db", 70), ("c2/ml/db", 2)],
        );
        let parts = &ask(&*store, &query(0, 120_000))[0].parts;
        assert_eq!((parts.len(), parts[0].site.as_str()), (2, "paris"));
        assert_eq!((parts[0].start, parts[0].seconds), (time(0), 60));
    });
}

#[test]
fn a_name_that_comes_later_counts_and_folding_changes_nothing() {
    on_each_store(|store| {
        write(&*store, minute("n1", 1, 0, &[(unnamed("u1"), 4)]));
        assert_eq!(energies(&*store, &query(0, HOUR_MS)), expected(&[]));
        let db = component("ml", "db");
        let told = telling(
            minute("n1", 2, 1, &[(db.clone(), 3), (unnamed("u1"), 2)]),
            vec![(unnamed("u1"), db.clone())],
        );
        write(&*store, told);
        let nine = expected(&[("c1/ml/db", 9)]);
        assert_eq!(energies(&*store, &query(0, HOUR_MS)), nine);
        let retention = Retention {
            raw: Duration::from_secs(3_600),
            minutes: Duration::from_secs(7_200),
        };
        store.tidy(time(86_400_000), &retention).unwrap();
        assert_eq!(energies(&*store, &query(0, HOUR_MS)), nine);
        let folded = ask(&*store, &query(0, HOUR_MS));
        assert_eq!(folded[0].parts.len(), 1);
        assert_eq!(folded[0].parts[0].seconds, 3_600);
        // An hour belongs to the time in which it starts.
        assert_eq!(energies(&*store, &query(0, 60_000)), nine);
        assert_eq!(energies(&*store, &query(60_000, HOUR_MS)), expected(&[]));
        assert_proved(&*store);
    });
}

#[test]
fn a_zone_says_for_how_much_of_the_time_it_is_known() {
    on_each_store(|store| {
        let db = component("ml", "db");
        // Minutes 0, 2 and 4 are known, 1 is not told of, 3 is a hole; in 2 the database did nothing.
        write(&*store, minute("n1", 1, 0, &[(db.clone(), 60)]));
        write(&*store, minute("n1", 2, 2, &[(component("ml", "web"), 1)]));
        let mut hole = minute("n1", 3, 3, &[(db.clone(), 0)]);
        hole.intervals[0].zones = vec![sample(0, 0, 0, &[0])];
        hole.intervals[0].zones[0].outcome = Outcome::Failed.into();
        write(&*store, hole);
        write(&*store, minute("n1", 4, 4, &[(db, 30)]));
        let zones = |from: i64, to: i64, recent: (i64, i64)| {
            let recent = (time(recent.0 * 60_000), time(recent.1 * 60_000));
            let query = query(from * 60_000, to * 60_000);
            let all = store.component_energy(&query, recent).unwrap();
            let db = all.into_iter().find(|one| one.key.component == "db");
            let db = db.unwrap();
            let [zone] = db.zones[..] else {
                panic!("one zone, not {:?}", db.zones);
            };
            (db.parts.len(), zone)
        };
        let zone = |elapsed: u64, known: u64, recent, recent_known: u64| ZoneUse {
            elapsed_ms: elapsed * 60_000,
            known_ms: known * 60_000,
            recent: Energy::from_microjoules(recent),
            recent_known_ms: recent_known * 60_000,
        };
        assert_eq!(zones(0, 5, (0, 5)), (2, zone(5, 3, 90, 3)));
        assert_eq!(zones(2, 5, (2, 4)), (1, zone(2, 1, 0, 1)));
        // The recent minutes may lie before the time.
        assert_eq!(zones(3, 5, (0, 2)), (1, zone(2, 1, 60, 1)));
        assert_eq!(zones(1, 3, (0, 1)), (0, zone(0, 0, 60, 1)));
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// Over components whose pods are all the run's, the sum is the run's own; and splitting the time anywhere changes
    /// nothing.
    #[test]
    fn components_sum_up_to_what_runs_used(
        intervals in prop::collection::vec((0_i64..500_000, 1_u64..200, prop::array::uniform3(0_u64..1_000_000_000)), 1..8),
        cut_ms in 0_i64..800_000,
    ) {
        on_each_store(|store| {
            for (number, (offset_ms, seconds, [idle, a, b])) in intervals.iter().enumerate() {
                let pod = |stage, name: &str| Workload {
                    component: name.to_owned(),
                    ..workload("r1", stage, name)
                };
                let mut batch = batch("n1", number as u64 + 1, "");
                batch.workloads = vec![pod("serve", "model"), pod("store", "db"), workload("r2", "train", "t")];
                batch.zones[1] = zone("dram-0", "");
                batch.zones[1].basis = Basis::Modelled.into();
                let zones = vec![sample(0, *idle, *b, &[*a, *b, *idle]), sample(1, *a, 0, &[*b, *a, 1])];
                batch.intervals = vec![interval(*offset_ms, *seconds, 3, zones)];
                write(&*store, batch);
            }
            let whole = energies(&*store, &query(0, 900_000));
            let mut parts = energies(&*store, &query(0, cut_ms));
            for (name, energy) in energies(&*store, &query(cut_ms, 900_000)) {
                *parts.entry(name).or_default() += energy;
            }
            assert_eq!(parts, whole);

            let ledger = Ledger::new(Arc::clone(&store));
            let report = ledger.report(&ReportQuery {
                run: "r1".to_owned(),
                idle: IdlePolicy::None,
                ..ReportQuery::default()
            });
            let report = report.unwrap();
            let used = ledger.components(&query(0, 900_000)).unwrap();
            let sum: f64 = used.iter().map(|one| one.active_joules).sum();
            assert!((sum - report.energy_joules).abs() < 1e-6, "{sum}: {report:?}");
        });
    }
}

#[tokio::test]
async fn the_api_tells_joules_watts_and_grams_as_reports_do() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    // A database of a run: 10 W from 10:01 to 10:07.
    let pod = Workload {
        component: "db".to_owned(),
        ..workload("r1", "store", "db-0")
    };
    for number in 1..7 {
        let batch = minute("n1", number, number as i64, &[(pod.clone(), 600_000_000)]);
        assert_eq!(server.send_batch(&batch).await.status(), 200);
    }
    let path = "/api/v1/components?namespace=ml&cluster=c1&to=2026-01-05T10:08:30Z";
    let answer = server.json(path).await;
    insta::assert_json_snapshot!("components", answer);
    let report = server.json("/api/v1/runs/r1/report?idle=none").await;
    let number = |value: &Value| value.as_f64().unwrap();
    assert_eq!(answer[0]["active_joules"], report["energy_joules"]);
    let (told, grams) = (
        number(&answer[0]["carbon_grams"]),
        number(&report["carbon_grams"]),
    );
    assert!((told / grams - 1.0).abs() < 1e-9, "{told} and {grams}");
    assert_eq!(answer[0]["intensity"], report["intensity"]);

    let now = server.json("/api/v1/components").await;
    assert_eq!(now, Value::Array(Vec::new()), "nothing was told today");
    for (query, expected) in [
        (
            "?from=2026-01-05T00:00:00Z&to=2026-01-06T01:00:01Z",
            "longer than 25 hours",
        ),
        (
            "?from=2026-01-06T00:00:00Z&to=2026-01-06T00:00:00Z",
            "is not before",
        ),
        ("?name=db", "name"),
    ] {
        let answer = server.get(&format!("/api/v1/components{query}")).await;
        let line = error_line(answer, 400).await;
        assert!(line.contains(expected), "{query}: {line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn what_no_grid_is_known_of_has_joules_alone() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    let abroad = Batch {
        site: "abroad".to_owned(),
        ..minute("n1", 1, 0, &[(component("ml", "db"), 3_000_000)])
    };
    assert_eq!(server.send_batch(&abroad).await.status(), 200);
    let to: Timestamp = time(60_000);
    let answer = server.json(&format!("/api/v1/components?to={to}")).await;
    assert_eq!(answer[0]["carbon_grams"], Value::Null);
    assert_eq!(answer[0]["uncovered_joules"], 3.0);
    assert_eq!(answer[0]["active_joules"], 3.0);
    server.stop().await;
}
