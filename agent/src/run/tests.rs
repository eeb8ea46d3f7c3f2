//! A whole node, simulated: whatever happens to its counters, clocks and processes, no joule is lost or made.

use std::sync::OnceLock;

use proptest::prelude::*;
use wire::Energy;
use wire::v1::{Basis, Outcome};

use super::*;
use crate::fit::tests::any_use;
use crate::parties::DeviceTime;
use crate::sensor::activity::{Activity, DeviceUse, GPU_PRESENCE, GPU_TIME};
use crate::sensor::{IdleSource, Reading, SensorError, Zone};
use crate::usage::{CgroupRef, Events, PackageTime, UsageRow};

const RANGE: u64 = 262_143_328_850;

/// Its counter goes a whole turn in 82 s at 800 W: it is read in between.
const SMALL_RANGE: u64 = 65_712_999_613;

/// How often counters are read within an interval.
const READ_EVERY_MS: u64 = 40_000;

/// Two packages with memory, a zone inside another, one of the whole node, and a GPU.
fn zones() -> Vec<ZoneState> {
    let zone = |name: &str, parent: &str, package, range_uj, basis, idle| {
        let zone = Zone {
            name: name.into(),
            parent: parent.into(),
            basis,
            package,
            range_uj,
            is_lasting: true,
            range_percent: None,
            idle,
            source: String::new(),
            reason: String::new(),
        };
        ZoneState::new(zone, "rapl")
    };
    let (measured, seed) = (Basis::Measured, IdleSource::Seed(30.0));
    vec![
        zone("package-0", "", Some(0), Some(RANGE), measured, seed),
        zone("core-0", "package-0", Some(0), Some(RANGE), measured, seed),
        zone("dram-0", "", Some(0), Some(SMALL_RANGE), measured, seed),
        zone("package-1", "", Some(1), Some(RANGE), measured, seed),
        zone("dram-1", "", Some(1), Some(SMALL_RANGE), measured, seed),
        zone(
            "other",
            "",
            None,
            None,
            Basis::Modelled,
            IdleSource::Exact(9.0),
        ),
        zone("gpu-0", "", None, None, measured, IdleSource::Seed(0.0)),
    ]
}

const ZONES: usize = 7;
const GPU: usize = 6;

/// What happens to a zone in an interval.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Good,
    Failed,
    Absent,
    /// The counter starts again at 0.
    Restart,
}

/// One interval.
#[derive(Clone, Debug)]
struct Step {
    awake_ms: u64,
    asleep_ms: u64,
    clock_step_ms: i64,
    zones: Vec<(u64, Fate)>,
    /// (workload, or the system's; package; CPU time; events)
    rows: Vec<(Option<u8>, u16, (u64, Events))>,
    /// (workload, or the system's; time that it kept the GPU busy, time that it was there)
    gpu_uses: Vec<(Option<u8>, u64, u64)>,
    lost_ns: [u64; 2],
    idle_ns: [u64; 2],
    by_package: bool,
    has_events: bool,
}

prop_compose! {
    fn any_step()(
        awake_ms in prop_oneof![3 => Just(5_000_u64), 1 => 1..300_000_u64],
        asleep_ms in prop_oneof![4 => Just(0_u64), 1 => 0..3_600_000_u64],
        clock_step_ms in prop_oneof![3 => Just(0_i64), 1 => -100_000_000..100_000_000_i64],
        zones in prop::collection::vec((0..=800_u64, prop_oneof![
            8 => Just(Fate::Good), 1 => Just(Fate::Failed), 1 => Just(Fate::Absent), 1 => Just(Fate::Restart),
        ]), ZONES),
        rows in prop::collection::vec((prop::option::of(0..4_u8), 0..2_u16, any_use()), 0..8),
        gpu_uses in prop::collection::vec((prop::option::of(0..6_u8), 0..5_u64, 0..5_u64), 0..6),
        lost_ns in [0..5_000_000_000_u64, 0..5_000_000_000_u64],
        idle_ns in [0..50_000_000_000_u64, 0..50_000_000_000_u64],
        by_package in prop::bool::weighted(0.8),
        has_events in prop::bool::weighted(0.8),
    ) -> Step {
        Step { awake_ms, asleep_ms, clock_step_ms, zones, rows, gpu_uses, lost_ns, idle_ns, by_package, has_events }
    }
}

impl Step {
    fn usage(&self) -> UsageInterval {
        let row =
            |(index, (_, package, (cpu_ns, events))): (usize, &(_, u16, (u64, Events)))| UsageRow {
                tgid: index as u32,
                cgroup: CgroupRef::Path("/".into()),
                package: *package,
                cpu_ns: *cpu_ns,
                events: *events,
                comm: String::new(),
            };
        let time = |package: u16| PackageTime {
            package,
            idle_ns: self.idle_ns[usize::from(package)],
            lost_ns: self.lost_ns[usize::from(package)],
        };
        UsageInterval {
            rows: self.rows.iter().enumerate().map(row).collect(),
            packages: vec![time(0), time(1)],
            by_package: self.by_package,
            has_events: self.has_events,
            unaccounted_ns: 0,
            is_late: false,
        }
    }

    fn activity(&self) -> Activity {
        let mut activity = Activity {
            watched_ns: self.awake_ms * 1_000_000,
            busy_ns: if self.gpu_uses.is_empty() {
                0
            } else {
                self.awake_ms * 500_000
            },
            uses: Vec::new(),
        };
        for (pid, &(_, busy_ns, there_ns)) in self.gpu_uses.iter().enumerate() {
            activity.add_use(DeviceUse {
                pid: pid as u32,
                busy_ns,
                there_ns,
            });
        }
        activity
    }

    fn parties(&self, usage: &UsageInterval) -> Parties {
        let mut parties = Parties::new(usage.by_package);
        let named = |run: u8| {
            let run = run.to_string();
            Arc::new(Workload {
                run,
                ..Workload::default()
            })
        };
        for (row, (workload, ..)) in usage.rows.iter().zip(&self.rows) {
            parties.add(row, workload.map(named));
        }
        for (pid, weight) in self.activity().weights() {
            let (workload, ..) = self.gpu_uses[pid as usize];
            parties.add_device(
                pid,
                "",
                DeviceTime { zone: GPU, weight },
                workload.map(named),
            );
        }
        for time in &usage.packages {
            parties.add_lost(time.package, time.lost_ns);
        }
        parties
    }
}

/// One zone's counter, and all the energy that went through it.
#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    shown_uj: u64,
    truth_uj: u64,
    /// The truth at the last good reading.
    read_uj: u64,
    restarted: bool,
}

#[derive(Clone)]
struct Simulation {
    zones: Vec<ZoneState>,
    counters: [Counter; ZONES],
    clock: Clock,
    boottime_ms: u64,
    awake_ms: u64,
    wall_offset_ms: i64,
    last: Moment,
}

impl Simulation {
    fn new() -> Self {
        let mut clock = Clock::default();
        let last = clock.moment(0, 0, 1_790_000_000_000);
        let mut simulation = Self {
            zones: zones(),
            counters: [Counter::default(); ZONES],
            clock,
            boottime_ms: 0,
            awake_ms: 0,
            wall_offset_ms: 1_790_000_000_000,
            last,
        };
        for zone in 0..ZONES {
            simulation.judge(zone, &[simulation.reading(zone, Fate::Good)]);
        }
        simulation
    }

    fn reading(&self, zone: usize, fate: Fate) -> Result<Reading, SensorError> {
        match fate {
            Fate::Failed => Err(SensorError::Failed("hangs".into())),
            Fate::Absent => Err(SensorError::Absent("it".into())),
            Fate::Good | Fate::Restart => Ok(Reading {
                counter_uj: self.counters[zone].shown_uj,
                boottime_ns: self.boottime_ms * 1_000_000,
                awake_ns: self.awake_ms * 1_000_000,
            }),
        }
    }

    fn judge(&mut self, zone: usize, readings: &[Result<Reading, SensorError>]) -> Sample {
        self.zones[zone].sample(readings.iter())
    }

    /// Sleeps first, then is awake, read as often as the counters need.
    fn step(&mut self, step: &Step) -> Record {
        self.boottime_ms += step.asleep_ms;
        for (counter, (_, fate)) in self.counters.iter_mut().zip(&step.zones) {
            if *fate == Fate::Restart {
                (counter.shown_uj, counter.restarted) = (0, true);
            }
        }
        let mut readings = vec![Vec::new(); ZONES];
        let mut left_ms = step.awake_ms;
        while left_ms > 0 {
            let part_ms = left_ms.min(READ_EVERY_MS);
            left_ms -= part_ms;
            self.boottime_ms += part_ms;
            self.awake_ms += part_ms;
            for (zone, (watts, fate)) in step.zones.iter().enumerate() {
                let range_uj = self.zones[zone].zone.range_uj;
                let counter = &mut self.counters[zone];
                counter.truth_uj += part_ms * watts * 1_000;
                counter.shown_uj += part_ms * watts * 1_000;
                counter.shown_uj =
                    range_uj.map_or(counter.shown_uj, |range| counter.shown_uj % range);
                if matches!(fate, Fate::Good | Fate::Restart) {
                    counter.read_uj = counter.truth_uj;
                }
                readings[zone].push(self.reading(zone, *fate));
            }
        }
        let samples: Vec<Sample> = readings
            .iter()
            .enumerate()
            .map(|(zone, readings)| self.judge(zone, readings))
            .collect();
        self.wall_offset_ms += step.clock_step_ms;
        let wall_ms = self.wall_offset_ms + self.boottime_ms as i64;
        let (boottime_ns, awake_ns) = (self.boottime_ms * 1_000_000, self.awake_ms * 1_000_000);
        let end = self.clock.moment(boottime_ns, awake_ns, wall_ms);
        let usage = step.usage();
        let parties = step.parties(&usage);
        self.zones[GPU].activity = step.activity();
        let record = settle(&mut self.zones, &samples, &usage, parties, self.last, end);
        self.last = end;
        record
    }
}

/// A node that has learned what events cost: mixes of computing and waiting for memory.
fn trained() -> &'static Simulation {
    static TRAINED: OnceLock<Simulation> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let mut simulation = Simulation::new();
        for round in 0..100_u64 {
            let used = |tenths: u64, instructions, misses| {
                let cpu_ns = tenths * 100_000_000;
                let events = Events {
                    cycles: cpu_ns * 3,
                    instructions: cpu_ns * instructions,
                    misses: cpu_ns * misses / 1_000,
                };
                (cpu_ns, events)
            };
            let (computing, waiting) = (1 + round * 7 % 40, 1 + round * 13 % 40);
            let rows = [0, 1].map(|package| {
                [
                    (Some(0), package, used(computing, 7, 1)),
                    (Some(1), package, used(waiting, 1, 30)),
                ]
            });
            let zones = (0..ZONES).map(|zone| {
                let of_dram = [2, 4].contains(&zone);
                let tenths = if of_dram {
                    computing + 9 * waiting
                } else {
                    6 * computing + 3 * waiting
                };
                (30 + tenths / 10, Fate::Good)
            });
            simulation.step(&Step {
                awake_ms: 5_000,
                asleep_ms: 0,
                clock_step_ms: 0,
                zones: zones.collect(),
                rows: rows.concat(),
                gpu_uses: vec![(Some(0), 1, 1)],
                lost_ns: [0; 2],
                idle_ns: [40_000_000_000; 2],
                by_package: true,
                has_events: true,
            });
        }
        simulation
    })
}

#[test]
fn a_gpu_s_idle_power_is_learned_by_its_own_use() {
    let idle_watts = |gpu_uses: &[(Option<u8>, u64, u64)]| {
        let mut simulation = Simulation::new();
        for _ in 0..50 {
            simulation.step(&Step {
                awake_ms: 5_000,
                asleep_ms: 0,
                clock_step_ms: 0,
                zones: vec![(60, Fate::Good); ZONES],
                // The CPUs never rest.
                rows: vec![(None, 0, (20_000_000_000, Events::default()))],
                gpu_uses: gpu_uses.to_vec(),
                lost_ns: [0; 2],
                idle_ns: [0; 2],
                by_package: false,
                has_events: false,
            });
        }
        let idle = [0, GPU].map(|zone| &simulation.zones[zone].idle);
        idle.map(|idle| (idle.origin(), idle.watts().round()))
    };
    let (seeded, learned) = (Origin::Seeded, Origin::Learned);
    assert_eq!(idle_watts(&[]), [(seeded, 30.0), (learned, 60.0)]);
    assert_eq!(
        idle_watts(&[(None, 1, 1)]),
        [(seeded, 30.0), (seeded, 0.0)],
        "it was never quiet"
    );
}

#[test]
fn the_trained_node_splits_by_events() {
    let zones = &trained().zones;
    let errors: Vec<_> = zones
        .iter()
        .map(|state| state.fit.as_ref()?.error_ratios())
        .collect();
    for (state, errors) in zones.iter().zip(&errors) {
        assert_eq!(
            errors.is_some(),
            ["package", "dram"]
                .iter()
                .any(|kind| state.zone.name.starts_with(kind))
        );
        if let Some((by_events, by_cpu_time)) = errors {
            assert!(by_events < by_cpu_time, "{}: {errors:?}", state.zone);
        }
    }
}

fn sum(energies: impl IntoIterator<Item = Energy>) -> u128 {
    energies
        .into_iter()
        .map(|energy| u128::from(energy.microjoules()))
        .sum()
}

fn check(state: &ZoneState, record: &Record, index: usize) -> Result<(), TestCaseError> {
    let zone = &record.zones[index];
    prop_assert!(zone.sample.is_known() || zone.sample.energy == Energy::ZERO);
    prop_assert_eq!(zone.shares.is_some(), state.zone.parent.is_empty());
    let Some(shares) = &zone.shares else {
        return Ok(());
    };
    let parts = shares
        .active
        .iter()
        .copied()
        .chain([shares.idle, shares.system]);
    prop_assert_eq!(sum(parts), u128::from(zone.sample.energy.microjoules()));
    prop_assert_eq!(shares.active.len(), record.parties.workloads().len());
    prop_assert_eq!(zone.weights.len(), record.parties.uses().len());
    for (used, weight) in record.parties.uses().iter().zip(&zone.weights) {
        let on_device = used
            .device
            .is_some_and(|device| device.zone == index && device.weight > 0);
        let on_cpu = used.cpu_ns > 0 && record.parties.is_on(used, state.zone.package);
        let ran_here = if index == GPU { on_device } else { on_cpu };
        prop_assert_eq!(*weight > 0, ran_here, "who ran counts, and nobody else");
    }
    Ok(())
}

proptest! {
    #![proptest_config(crate::cases())]

    #[test]
    fn workloads_system_and_idle_are_what_was_measured(
        steps in prop::collection::vec(any_step(), 1..6),
        is_trained in any::<bool>(),
    ) {
        let mut simulation = if is_trained { trained().clone() } else { Simulation::new() };
        for counter in &mut simulation.counters {
            (counter.truth_uj, counter.read_uj) = (0, 0);
        }
        let (mut measured, mut resets) = ([0_u128; ZONES], [false; ZONES]);
        for step in &steps {
            let start_ms = simulation.boottime_ms;
            let record = simulation.step(step);
            let elapsed_ms = step.awake_ms + step.asleep_ms;
            prop_assert_eq!(simulation.boottime_ms - start_ms, elapsed_ms);
            prop_assert_eq!(record.duration_ns, elapsed_ms * 1_000_000, "whatever the wall clock does");
            prop_assert_eq!(record.start_unix_ms + elapsed_ms as i64, simulation.last.unix_ms);
            for (index, (state, zone)) in simulation.zones.iter().zip(&record.zones).enumerate() {
                check(state, &record, index)?;
                measured[index] += sum([zone.sample.energy]);
                resets[index] |= zone.sample.outcome == Outcome::Reset;
                if index == GPU {
                    prop_assert!([GPU_TIME, GPU_PRESENCE].contains(&zone.weighed_by));
                } else if !step.has_events {
                    prop_assert!(zone.weighed_by == CPU_TIME || zone.weighed_by.is_empty());
                }
            }
        }
        for (index, counter) in simulation.counters.iter().enumerate() {
            if !counter.restarted && !resets[index] {
                prop_assert_eq!(measured[index], u128::from(counter.read_uj), "zone {}", index);
            } else if !counter.restarted {
                prop_assert!(measured[index] <= u128::from(counter.read_uj));
            }
        }
    }
}
