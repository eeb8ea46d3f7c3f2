//! Simulated nodes whose energy per event is known.

use std::sync::Arc;

use proptest::prelude::*;
use wire::v1::{Basis, Workload};

use super::*;
use crate::attribution::attribute;
use crate::sensor::{IdleSource, Zone};
use crate::usage::{CgroupRef, Events, UsageRow};

const INTERVAL_S: f64 = 5.0;

/// What one nanosecond on a CPU does.
#[derive(Clone, Copy)]
struct Work {
    cycles: f64,
    instructions: f64,
    misses: f64,
}

const COMPUTE: Work = Work {
    cycles: 3.0,
    instructions: 7.5,
    misses: 0.001,
};
const MEMORY: Work = Work {
    cycles: 3.0,
    instructions: 0.9,
    misses: 0.03,
};

/// Nanojoules per event of a zone: (cycle, instruction, miss).
struct Physics(f64, f64, f64);
const PACKAGE: Physics = Physics(0.8, 0.7, 0.0);
const DRAM: Physics = Physics(0.05, 0.0, 60.0);

impl Physics {
    fn joules(&self, events: Events) -> f64 {
        let nanojoules = self.0 * events.cycles as f64
            + self.1 * events.instructions as f64
            + self.2 * events.misses as f64;
        nanojoules * 1e-9
    }
}

/// A uniform number from -1 to 1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    }
}

fn zone(name: &str) -> Zone {
    Zone {
        name: name.into(),
        parent: String::new(),
        basis: Basis::Measured,
        package: Some(0),
        range_uj: None,
        is_lasting: true,
        range_percent: None,
        idle: IdleSource::Exact(10.0),
        source: String::new(),
        reason: String::new(),
    }
}

fn fit(name: &str) -> Fit {
    Fit::new(Terms::of(&zone(name)).unwrap())
}

fn use_of(work: Work, cpu_seconds: f64, noise: &mut Noise) -> (u64, Events) {
    let ns = cpu_seconds * 1e9;
    let mut count = |rate: f64| (rate * ns * (1.0 + 0.02 * noise.next())) as u64;
    let events = Events {
        cycles: count(work.cycles),
        instructions: count(work.instructions),
        misses: count(work.misses),
    };
    (ns as u64, events)
}

/// One process in each of several workloads.
fn parties(uses: &[(u64, Events)]) -> Parties {
    let mut parties = Parties::new(true);
    for (index, (cpu_ns, events)) in uses.iter().enumerate() {
        let workload = Workload {
            run: index.to_string(),
            ..Workload::default()
        };
        let row = UsageRow {
            tgid: index as u32 + 1,
            cgroup: CgroupRef::Path("/".into()),
            package: 0,
            cpu_ns: *cpu_ns,
            events: *events,
            comm: String::new(),
        };
        parties.add(&row, Some(Arc::new(workload)));
    }
    parties
}

/// Each workload's part of the active energy, in per cent, by these weights.
fn percent(parties: &Parties, weights: &[u64]) -> Vec<f64> {
    let joules = wire::Energy::from_microjoules(1_000_000_000);
    let (workloads, system) = parties.by_workload(weights);
    let shares = attribute(joules, wire::Energy::ZERO, &workloads, system);
    let percent = |share: &wire::Energy| share.joules() / joules.joules() * 100.0;
    shares.active.iter().map(percent).collect()
}

/// Lets a zone learn for 20 minutes of mixes that vary, and then compares the shares of an even mix.
fn compare(name: &str, physics: &Physics) -> (Fit, f64, f64) {
    let (mut fit, mut noise) = (fit(name), Noise(7));
    for _ in 0..240 {
        let mut cpus = |work| use_of(work, 4.0 * INTERVAL_S * noise.next().abs(), &mut noise);
        let uses = [cpus(COMPUTE), cpus(MEMORY)];
        let joules: f64 = uses.iter().map(|used| physics.joules(used.1)).sum();
        let measured = joules * (1.0 + 0.01 * noise.next());
        fit.observe(&parties(&uses), Some(0), measured, INTERVAL_S);
    }
    let uses = [
        use_of(COMPUTE, 10.0, &mut noise),
        use_of(MEMORY, 10.0, &mut noise),
    ];
    let truth = uses.map(|used| physics.joules(used.1));
    let truth = truth.map(|joules| joules / (truth[0] + truth[1]) * 100.0);
    let parties = parties(&uses);
    let off = |weights: &[u64]| (percent(&parties, weights)[0] - truth[0]).abs();
    let by_cpu_time = off(&parties.cpu_weights(Some(0)));
    let weights = fit.weights(&parties, Some(0)).expect("it has learned");
    let by_events = off(&weights);
    println!("{name}: by CPU time {by_cpu_time:.2} points off, by events {by_events:.2}");
    (fit, by_cpu_time, by_events)
}

#[test]
fn fault_09_a_cpu_second_is_not_worth_the_same_to_all() {
    let (fit, by_cpu_time, by_events) = compare("package-0", &PACKAGE);
    assert!(by_cpu_time >= 15.0, "{by_cpu_time}");
    assert!(by_events <= 1.0, "{by_events}");
    let [cycle, instruction] = fit.joules_per_event().unwrap();
    assert!((cycle * 1e9 / PACKAGE.0 - 1.0).abs() < 0.05, "{cycle}");
    assert!(
        (instruction * 1e9 / PACKAGE.1 - 1.0).abs() < 0.05,
        "{instruction}"
    );
    let (by_events, by_cpu_time) = fit.error_ratios().unwrap();
    println!("error ratios: by events {by_events:.4}, by CPU time {by_cpu_time:.4}");
    assert!(by_events < 0.02 && by_cpu_time > 0.1);
}

#[test]
fn fault_11_dram_is_not_split_like_the_package() {
    let (_, by_cpu_time, by_events) = compare("dram-0", &DRAM);
    assert!(by_cpu_time >= 15.0, "{by_cpu_time}");
    assert!(by_events <= 1.0, "{by_events}");
    assert_ne!(fit("dram-0").terms().names, fit("package-0").terms().names);
}

#[test]
fn only_measured_additive_zones_of_a_package_are_fitted() {
    assert!(Terms::of(&zone("gpu-0")).is_none());
    for change in [
        |zone: &mut Zone| zone.parent = "platform".into(),
        |zone: &mut Zone| zone.basis = Basis::Modelled,
        |zone: &mut Zone| zone.package = None,
    ] {
        let mut zone = zone("package-0");
        change(&mut zone);
        assert!(Terms::of(&zone).is_none());
    }
}

#[test]
fn a_mix_that_never_changes_tells_nothing() {
    let (mut fit, mut noise) = (fit("package-0"), Noise(1));
    for _ in 0..500 {
        let cpu_seconds = 10.0 + 5.0 * noise.next();
        let uses = [COMPUTE, MEMORY].map(|work| use_of(work, cpu_seconds, &mut noise));
        let joules: f64 = uses.iter().map(|used| PACKAGE.joules(used.1)).sum();
        fit.observe(&parties(&uses), Some(0), joules, INTERVAL_S);
        assert!(fit.weights(&parties(&uses), Some(0)).is_none());
    }
}

#[test]
fn counters_that_say_nothing_of_energy_leave_it_at_cpu_time() {
    let (mut fit, mut noise) = (fit("package-0"), Noise(3));
    let mut used = 0;
    for _ in 0..1_000 {
        let mut cpus = || use_of(COMPUTE, 10.0 + 9.0 * noise.next(), &mut noise);
        let mut uses = [cpus(), cpus()];
        let joules = uses.iter().map(|used| used.0).sum::<u64>() as f64 * 6e-9;
        for (_, events) in &mut uses {
            events.cycles = (events.cycles as f64 * noise.next().abs()) as u64 + 1;
            events.instructions = (events.cycles as f64 * noise.next().abs()) as u64;
        }
        let parties = parties(&uses);
        fit.observe(&parties, Some(0), joules, INTERVAL_S);
        used += u32::from(fit.weights(&parties, Some(0)).is_some());
    }
    assert_eq!(used, 0, "CPU time explains this zone better");
}

#[test]
fn impossible_counts_are_neither_learned_from_nor_split_by() {
    let (mut fit, ..) = compare("package-0", &PACKAGE);
    let before = fit.joules_per_event();
    let nonsense = Events {
        cycles: u64::MAX,
        instructions: u64::MAX,
        misses: u64::MAX,
    };
    let uses = [(1_000_000_000, nonsense), (2_000_000_000, nonsense)];
    let mad = parties(&uses);
    fit.observe(&mad, Some(0), 100.0, INTERVAL_S);
    assert_eq!(fit.joules_per_event(), before);
    assert!(fit.weights(&mad, Some(0)).is_none());
}

#[test]
fn one_whose_counter_stopped_has_the_mean_of_its_cpu_time() {
    let (fit, ..) = compare("package-0", &PACKAGE);
    let mut noise = Noise(9);
    let mut uses = [COMPUTE, MEMORY, MEMORY].map(|work| use_of(work, 5.0, &mut noise));
    uses[2].1 = Events::default();
    let with_two = parties(&uses);
    let weights = fit.weights(&with_two, Some(0)).unwrap();
    assert!((percent(&with_two, &weights)[2] - 100.0 / 3.0).abs() < 0.01);
    // Of all: CPU time it is.
    let none = uses.map(|(cpu_ns, _)| (cpu_ns, Events::default()));
    assert!(fit.weights(&parties(&none), Some(0)).is_none());
}

#[test]
fn what_ran_elsewhere_has_no_part() {
    let (fit, ..) = compare("package-0", &PACKAGE);
    let uses = [use_of(COMPUTE, 5.0, &mut Noise(9))];
    assert!(fit.weights(&parties(&uses), Some(1)).is_none());
}

prop_compose! {
    /// CPU time, and counters that may be anything.
    pub(crate) fn any_use()(
        cpu_ns in prop_oneof![Just(0_u64), 1..1_000_u64, 0..60_000_000_000_u64],
        cycles in prop_oneof![Just(0_u64), 0..600_000_000_000_u64, any::<u64>()],
        instructions in prop_oneof![Just(0_u64), 0..900_000_000_000_u64, any::<u64>()],
        misses in prop_oneof![Just(0_u64), 0..1_000_000_000_u64, any::<u64>()],
    ) -> (u64, Events) {
        (cpu_ns, Events { cycles, instructions, misses })
    }
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn whatever_the_counters_say_shares_stay_within_the_bound(
        uses in prop::collection::vec(any_use(), 1..8),
        coefficients in [0.0..100.0, 0.0..100.0],
        dram in any::<bool>(),
    ) {
        let mut fit = fit(if dram { "dram-0" } else { "package-0" });
        fit.coefficients = Some(coefficients);
        fit.errors.predictions = MIN_PREDICTIONS;
        let parties = parties(&uses);
        let Some(weights) = fit.weights(&parties, Some(0)) else {
            return Ok(());
        };
        let all_cpu: u128 = uses.iter().map(|used| u128::from(used.0)).sum();
        let all_weight: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
        prop_assert!(all_weight < 1 << 61);
        for ((cpu_ns, _), weight) in uses.iter().zip(&weights) {
            prop_assert_eq!(*cpu_ns > 0, *weight > 0);
            let by_cpu = *cpu_ns as f64 / all_cpu as f64;
            let ratio = *weight as f64 / all_weight as f64 / by_cpu.max(f64::MIN_POSITIVE);
            let slack = 1.0 + 1e-6;
            let bound = fit.terms.bound * slack;
            prop_assert!(*cpu_ns == 0 || (1.0 / bound..=bound).contains(&ratio), "{}", ratio);
        }
    }

    #[test]
    fn no_sequence_of_intervals_breaks_the_fit(
        intervals in prop::collection::vec((prop::collection::vec(any_use(), 0..4), 0.0..1e6, 0.0..400.0), 0..60),
    ) {
        let mut fit = fit("package-0");
        for (uses, joules, seconds) in intervals {
            let parties = parties(&uses);
            fit.observe(&parties, Some(0), joules, seconds);
            if let Some(coefficients) = fit.joules_per_event() {
                prop_assert!(coefficients.iter().all(|each| each.is_finite() && *each >= 0.0));
            }
            if let Some(weights) = fit.weights(&parties, Some(0)) {
                prop_assert_eq!(weights.len(), uses.len());
            }
        }
    }
}
