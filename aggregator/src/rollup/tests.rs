//! Cuts by hand, refusals, and conservation over random intervals.

use proptest::prelude::*;
use wire::v1::{Basis, Zone};

use super::*;

fn zone(name: &str, parent: &str) -> Zone {
    Zone {
        name: name.to_owned(),
        parent: parent.to_owned(),
        basis: Basis::Measured.into(),
        ..Zone::default()
    }
}

fn workload(run: &str) -> Workload {
    Workload {
        workflow: "churn".to_owned(),
        run: run.to_owned(),
        stage: "train".to_owned(),
        ..Workload::default()
    }
}

/// One interval of one additive zone with the shares of two workloads, one of them of a run.
fn batch(start_unix_ms: i64, duration_ns: u64, [idle, system, a, b]: [u64; 4]) -> Batch {
    Batch {
        workloads: vec![workload("r1"), Workload::default()],
        zones: vec![zone("package-0", ""), zone("core", "package-0")],
        intervals: vec![Interval {
            start_unix_ms,
            duration_ns,
            workloads: vec![0, 1],
            cpu_ns: vec![3, 5],
            system_cpu_ns: 7,
            unwatched: false,
            zones: vec![
                ZoneSample {
                    zone: 0,
                    outcome: Outcome::Sampled.into(),
                    measured_uj: idle + system + a + b,
                    idle_uj: idle,
                    system_uj: system,
                    active_uj: vec![a, b],
                    idle_seeded: false,
                },
                ZoneSample {
                    zone: 1,
                    outcome: Outcome::Wrapped.into(),
                    measured_uj: 99,
                    ..ZoneSample::default()
                },
            ],
        }],
        ..Batch::default()
    }
}

#[test]
fn an_interval_within_a_minute_stays_whole() {
    let batch = batch(MINUTE_MS, 5_000_000_000, [1, 2, 3, 4]);
    let rollup = rollup(&batch).unwrap();
    let expected = ZoneMinute {
        measured_uj: 10,
        idle_uj: 1,
        system_uj: 2,
        system_usage_ns: 7,
        covered_ns: 5_000_000_000,
        idle_seeded: false,
    };
    assert_eq!(rollup.zones[&(1, 0)], expected);
    assert_eq!(rollup.zones[&(1, 1)].measured_uj, 99);
    assert_eq!(rollup.shares.len(), 2, "a nested zone has no shares");
    let share = rollup.shares[&(1, 0, 1)];
    assert_eq!((share.active_uj, share.usage_ns), (4, 5));
    let (&workload, span) = rollup.stages.first_key_value().unwrap();
    assert_eq!((rollup.stages.len(), workload), (1, 0));
    assert_eq!((span.start_ms, span.end_ms), (60_000, 65_000));
    assert_eq!(span.active_uj, 3);
}

#[test]
fn an_interval_across_minutes_is_cut_by_time() {
    // 50 s before the boundary, 60 s between, 10 s after: 5/12, 6/12, 1/12.
    let batch = batch(10_000, 120_000_000_000, [12, 24, 120, 7]);
    let rollup = rollup(&batch).unwrap();
    let zone = |minute| {
        let zone = rollup.zones[&(minute, 0)];
        (zone.idle_uj, zone.system_uj, zone.measured_uj)
    };
    assert_eq!(zone(0), (5, 10, 5 + 10 + 50 + 2));
    assert_eq!(zone(1), (6, 12, 6 + 12 + 60 + 4));
    assert_eq!(zone(2), (1, 2, 1 + 2 + 10 + 1));
    assert_eq!(rollup.zones[&(1, 0)].covered_ns, MINUTE_NS);
    assert!(!rollup.zones.contains_key(&(3, 0)));
}

#[test]
fn a_sample_that_knows_no_energy_covers_no_time() {
    for outcome in [
        Outcome::First,
        Outcome::Reset,
        Outcome::Absent,
        Outcome::Failed,
    ] {
        let mut batch = batch(0, 1_000_000, [0, 0, 0, 0]);
        batch.intervals[0].zones.truncate(1);
        batch.intervals[0].zones[0].outcome = outcome.into();
        let rollup = rollup(&batch).unwrap();
        let zones: Vec<_> = rollup.zones.into_iter().collect();
        assert_eq!(zones, [((0, 0), ZoneMinute::default())]);
        let shares: Vec<_> = rollup.shares.into_values().collect();
        assert_eq!(shares, [ShareMinute::default(); 2]);
        assert_eq!(rollup.stages.len(), 1, "the run ran all the same");
    }
}

#[test]
fn what_the_ledger_cannot_hold_is_refused() {
    let check = |change: &dyn Fn(&mut Interval), expected: Unfit| {
        let mut batch = batch(0, 1_000_000_000, [1, 1, 1, 1]);
        change(&mut batch.intervals[0]);
        assert_eq!(rollup(&batch).unwrap_err(), expected);
    };
    check(
        &|interval| interval.start_unix_ms = i64::MAX,
        Unfit::TooLate(0),
    );
    check(
        &|interval| interval.cpu_ns[0] = u64::MAX,
        Unfit::TooMuchCpuTime(0),
    );
    check(
        &|interval| interval.system_cpu_ns = u64::MAX,
        Unfit::TooMuchCpuTime(0),
    );
    check(
        &|interval| interval.zones[0].measured_uj = 10_000_000_000_001,
        Unfit::TooMuchPower(0),
    );
    check(
        &|interval| interval.zones[1].measured_uj = 10_000_000_000_001,
        Unfit::TooMuchPower(0),
    );

    let mut long = batch(0, wire::limits::MAX_INTERVAL_NS, [1, 1, 1, 1]);
    long.intervals = vec![long.intervals[0].clone(); 100];
    assert!(matches!(rollup(&long), Err(Unfit::TooManyPieces(_))));

    let most = wire::limits::MAX_SAMPLE_UJ;
    let great = batch(0, 100_000_000_000, [0, 0, most, 0]);
    let mut together = great.clone();
    together.intervals = vec![great.intervals[0].clone(); 2];
    assert_eq!(rollup(&together), Err(Unfit::TooMuchPowerTogether));

    let mut in_turn = great.clone();
    let at = |number: i64| Interval {
        start_unix_ms: number * 100_000,
        ..great.intervals[0].clone()
    };
    in_turn.intervals = (0..10_000).map(at).collect();
    assert_eq!(rollup(&in_turn), Err(Unfit::TooGreat));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn every_minute_balances_and_no_microjoule_is_lost(
        start_unix_ms in 0_i64..10_000_000,
        duration_ns in 1_u64..1_000_000_000_000,
        parts in prop::array::uniform4(0_u64..250_000_000_000_000),
        cpu_ns in prop::array::uniform3(0_u64..65_536),
    ) {
        let parts = parts.map(|part| part.min(duration_ns * MAX_UJ_PER_NS / 4));
        let mut batch = batch(start_unix_ms, duration_ns, parts);
        batch.intervals[0].cpu_ns = cpu_ns[..2].to_vec();
        batch.intervals[0].system_cpu_ns = cpu_ns[2];
        let rollup = rollup(&batch).unwrap();

        for (&(minute, zone), sums) in rollup.zones.iter().filter(|((_, zone), _)| *zone == 0) {
            let shares: u64 = rollup
                .shares
                .range((minute, zone, 0)..=(minute, zone, usize::MAX))
                .map(|(_, share)| share.active_uj)
                .sum();
            prop_assert_eq!(sums.measured_uj, sums.idle_uj + sums.system_uj + shares);
            prop_assert!(sums.covered_ns <= MINUTE_NS);
        }
        let zones = |zone: usize| rollup.zones.iter().filter(move |((_, z), _)| *z == zone);
        let total = |zone, of: fn(&ZoneMinute) -> u64| zones(zone).map(|(_, sums)| of(sums)).sum::<u64>();
        let [idle, system, a, b] = parts;
        prop_assert_eq!(total(0, |sums| sums.measured_uj), idle + system + a + b);
        prop_assert_eq!(total(0, |sums| sums.idle_uj), idle);
        prop_assert_eq!(total(0, |sums| sums.system_uj), system);
        prop_assert_eq!(total(0, |sums| sums.system_usage_ns), cpu_ns[2]);
        prop_assert_eq!(total(0, |sums| sums.covered_ns), duration_ns);
        prop_assert_eq!(total(1, |sums| sums.measured_uj), 99);
        for (workload, (active, usage)) in [(a, cpu_ns[0]), (b, cpu_ns[1])].into_iter().enumerate() {
            let of = rollup.shares.iter().filter(|((_, _, w), _)| *w == workload);
            let sum = of.fold((0, 0), |sum, (_, share)| {
                (sum.0 + share.active_uj, sum.1 + share.usage_ns)
            });
            prop_assert_eq!(sum, (active, usage));
        }
    }
}
