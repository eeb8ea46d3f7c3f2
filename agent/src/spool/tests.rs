//! What is measured is sent once, or told as lost, or in the gap, whatever ends the process.

use std::path::Path;

use tempfile::TempDir;
use wire::v1::{Basis, Batch, Interval, LossReason, Outcome, Workload, Zone, ZoneSample};

use super::*;

mod crashes;
mod disk;

const SECOND: u64 = 1_000_000_000;
const NOW: i64 = 1_790_000_000_000;

fn limits() -> Limits {
    Limits {
        max_bytes: 1 << 20,
        max_refused_bytes: 1 << 20,
        max_waiting_bytes: 1 << 20,
    }
}

fn origin(boot_id: &str) -> Origin {
    Origin {
        cluster: "c".into(),
        node: "n".into(),
        boot_id: boot_id.into(),
    }
}

/// A counter of one zone at a moment.
fn standing(counter_uj: u64, boottime_s: u64) -> Standing {
    Standing {
        counters: vec![Counter {
            zone: "package-0".into(),
            source: "/a".into(),
            counter_uj,
            boottime_ns: boottime_s * SECOND,
            awake_ns: boottime_s * SECOND,
        }],
        boottime_ns: boottime_s * SECOND,
        unix_ms: NOW + boottime_s as i64 * 1_000,
    }
}

/// Five seconds in which `run` used all of what the counter went on by.
fn interval(run: &str, energy_uj: u64, end: Standing) -> Measured {
    let workload = Workload {
        run: run.into(),
        ..Workload::default()
    };
    let zone = Zone {
        name: "package-0".into(),
        parent: String::new(),
        basis: Basis::Measured.into(),
        ..Zone::default()
    };
    let sample = ZoneSample {
        zone: 0,
        outcome: Outcome::Sampled.into(),
        measured_uj: energy_uj,
        active_uj: vec![energy_uj],
        ..ZoneSample::default()
    };
    Measured {
        site: String::new(),
        renames: Vec::new(),
        workloads: vec![workload],
        zones: vec![zone],
        interval: Interval {
            start_unix_ms: end.unix_ms - 5_000,
            duration_ns: 5 * SECOND,
            workloads: vec![0],
            cpu_ns: vec![1],
            zones: vec![sample],
            ..Interval::default()
        },
        end,
    }
}

/// So many, of names that no other `number` has.
fn workloads(count: u32, number: u64) -> Vec<Workload> {
    let workload = |workload| Workload {
        run: format!("{number}-{workload}"),
        ..Workload::default()
    };
    (0..count).map(workload).collect()
}

/// An agent of which the spool is all there is: its counter goes on by 1 J in each interval.
struct Agent {
    spool: Spool,
    intervals: u64,
}

impl Agent {
    fn open(directory: &Path, limits: Limits) -> Self {
        let files = Directory::open(directory.to_owned()).unwrap();
        let start = standing(0, 0);
        let (spool, _) = Spool::over(Box::new(files), true, origin("b"), limits, &start).unwrap();
        Self {
            spool,
            intervals: 0,
        }
    }

    fn measure(&mut self, times: u64) {
        for _ in 0..times {
            self.intervals += 1;
            let end = standing(self.intervals * 1_000_000, self.intervals * 5);
            let run = format!("r{}", self.intervals % 3);
            self.spool.add(interval(&run, 1_000_000, end));
        }
    }

    /// What is delivered where the server takes all.
    fn deliver(&self) -> Vec<Batch> {
        let mut batches = Vec::new();
        while let Some(outgoing) = self.spool.next() {
            batches.push(wire::decode(&outgoing.bytes).unwrap());
            self.spool.settle(outgoing.key);
        }
        batches
    }
}

fn measured_uj(batches: &[Batch]) -> u64 {
    let intervals = batches.iter().flat_map(|batch| &batch.intervals);
    let samples = intervals.flat_map(|interval| &interval.zones);
    samples.map(|sample| sample.measured_uj).sum()
}

fn lost_uj(batches: &[Batch], reason: LossReason) -> u64 {
    let losses = batches.iter().flat_map(|batch| &batch.losses);
    let losses = losses.filter(|loss| loss.reason() == reason);
    let zones = losses.flat_map(|loss| &loss.zones);
    zones.map(|zone| zone.measured_uj).sum()
}

fn sealed_files(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".batch")).collect();
    names.sort();
    names
}

#[test]
fn six_intervals_are_one_batch_with_one_dictionary_and_the_last_counters() {
    let directory = TempDir::new().unwrap();
    let mut agent = Agent::open(directory.path(), limits());
    agent.measure(5);
    assert!(agent.spool.next().is_none());
    agent.measure(7);
    let batches = agent.deliver();
    assert_eq!(batches.len(), 2);
    for (batch, sequence) in batches.iter().zip(1..) {
        assert_eq!(batch.sequence, sequence);
        assert_eq!((batch.intervals.len(), batch.workloads.len()), (6, 3));
        assert_eq!(batch.readings[0].counter_uj, sequence * 6_000_000);
        let starts = batch
            .intervals
            .iter()
            .map(|interval| interval.start_unix_ms);
        assert!(starts.is_sorted());
    }
    assert!(
        sealed_files(directory.path()).is_empty(),
        "what arrived is gone"
    );
}

#[test]
fn intervals_of_a_minute_are_sealed_at_once() {
    let directory = TempDir::new().unwrap();
    let mut agent = Agent::open(directory.path(), limits());
    let mut minute = interval("r", 1, standing(1, 60));
    minute.interval.duration_ns = 60 * SECOND;
    agent.spool.add(minute);
    assert_eq!(agent.deliver().len(), 1);
    agent.measure(0);
}

#[test]
fn a_batch_stays_within_what_the_wire_takes() {
    let directory = TempDir::new().unwrap();
    let agent = Agent::open(directory.path(), limits());
    for number in 1..=4 {
        let mut large = interval("r", 1, standing(number, number * 5));
        large.workloads = workloads(9_000, number);
        agent.spool.add(large);
    }
    agent.spool.seal();
    let intervals: Vec<usize> = agent
        .deliver()
        .iter()
        .map(|batch| batch.intervals.len())
        .collect();
    assert_eq!(intervals, [2, 2], "18,000 of 20,000 workloads");
}

#[test]
fn names_that_the_wire_does_not_take_cost_no_energy() {
    let directory = TempDir::new().unwrap();
    let agent = Agent::open(directory.path(), limits());
    let mut many = interval("r", 5, standing(5, 5));
    many.workloads = workloads(20_001, 0);
    agent.spool.add(many);
    agent.spool.add(interval("a\nb", 6, standing(11, 10)));
    agent.spool.add(interval("r", 7, standing(18, 15)));
    agent.spool.seal();
    let batches = agent.deliver();
    assert_eq!(measured_uj(&batches), 18);
    let unwatched = batches[0]
        .intervals
        .iter()
        .map(|interval| interval.unwatched);
    assert_eq!(unwatched.collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(agent.spool.figures().counts.forgotten, 2);
}

#[test]
fn beyond_the_cap_the_oldest_are_dropped_and_told_but_never_the_one_on_its_way() {
    let directory = TempDir::new().unwrap();
    let mut agent = Agent::open(directory.path(), limits());
    agent.measure(6);
    let size = agent.spool.figures().bytes;
    drop(agent);
    let three = Limits {
        max_bytes: size * 7 / 2,
        ..limits()
    };
    let mut agent = Agent::open(directory.path(), three);
    agent.intervals = 6;
    let on_its_way = agent.spool.next().unwrap();
    agent.measure(36);
    let figures = agent.spool.figures();
    assert!(figures.bytes <= three.max_bytes, "{figures:?}");
    assert!(figures.counts.dropped > 0);
    assert_eq!(agent.spool.next().unwrap().key, on_its_way.key);
    let mut batches = agent.deliver();
    assert_eq!(batches[0].sequence, 1);
    agent.measure(6);
    batches.extend(agent.deliver());
    let lost = lost_uj(&batches, LossReason::Dropped);
    assert_eq!(lost, figures.counts.dropped * 6_000_000);
    assert_eq!(measured_uj(&batches) + lost, 48_000_000);
}

#[test]
fn a_refused_batch_is_set_aside_within_bounds_and_told() {
    let directory = TempDir::new().unwrap();
    let mut agent = Agent::open(directory.path(), limits());
    agent.measure(18);
    let refused = agent.spool.next().unwrap();
    agent.spool.refuse(refused.key);
    let aside = directory
        .path()
        .join("refused")
        .join(refused.key.to_string());
    assert_eq!(std::fs::read(aside).unwrap(), refused.bytes);
    agent.measure(6);
    let batches = agent.deliver();
    assert_eq!(
        batches
            .iter()
            .map(|batch| batch.sequence)
            .collect::<Vec<_>>(),
        [2, 3, 4]
    );
    let loss = &batches[2].losses[0];
    assert_eq!((loss.sequence, loss.reason()), (1, LossReason::Refused));
    assert_eq!((loss.start_unix_ms, loss.duration_ns), (NOW, 30 * SECOND));
    assert_eq!(loss.zones[0].measured_uj, 6_000_000);

    drop(agent);
    let none = Limits {
        max_refused_bytes: 1,
        ..limits()
    };
    let mut agent = Agent::open(directory.path(), none);
    agent.measure(6);
    agent.spool.refuse(agent.spool.next().unwrap().key);
    assert!(sealed_files(&directory.path().join("refused")).is_empty());
}

#[test]
fn losses_of_a_refused_batch_are_handed_on() {
    let directory = TempDir::new().unwrap();
    let mut agent = Agent::open(directory.path(), limits());
    for _ in 0..3 {
        agent.measure(6);
        agent.spool.refuse(agent.spool.next().unwrap().key);
    }
    agent.measure(6);
    let batches = agent.deliver();
    let lost: Vec<u64> = batches[0].losses.iter().map(|loss| loss.sequence).collect();
    assert_eq!(lost.len(), 3);
    assert_eq!(lost_uj(&batches, LossReason::Refused), 18_000_000);
}

#[test]
fn a_damaged_batch_is_set_aside_and_told_and_the_others_go_on() {
    let directory = TempDir::new().unwrap();
    let mut agent = Agent::open(directory.path(), limits());
    agent.measure(18);
    let names = sealed_files(directory.path());
    std::fs::write(directory.path().join(&names[1]), "garbage").unwrap();
    std::fs::write(directory.path().join("stranger.batch"), "not ours").unwrap();
    agent.measure(6);
    let batches = agent.deliver();
    assert_eq!(
        batches
            .iter()
            .map(|batch| batch.sequence)
            .collect::<Vec<_>>(),
        [1, 3, 4]
    );
    agent.measure(6);
    let told = agent.deliver();
    assert_eq!(told[0].losses[0].sequence, 2);
    assert_eq!(told[0].losses[0].reason(), LossReason::Damaged);
    assert!(directory.path().join("refused").join(&names[1]).exists());
    assert!(directory.path().join("stranger.batch").exists());
}

#[test]
fn a_restart_in_the_same_boot_goes_on_and_another_boot_or_node_does_not() {
    let check = |origin: Origin, resumes: bool, same_stream: bool| {
        let directory = TempDir::new().unwrap();
        let mut agent = Agent::open(directory.path(), limits());
        agent.measure(8);
        drop(agent);
        let files = || Box::new(Directory::open(directory.path().to_owned()).unwrap());
        let (spool, stood) =
            Spool::over(files(), true, origin.clone(), limits(), &standing(5, 9)).unwrap();
        let expected = resumes.then(|| standing(8_000_000, 40));
        assert_eq!(stood, expected, "{origin:?}");
        // Before anything else: what was sealed, and what was not.
        spool.add(interval("new", 7, standing(12, 14)));
        spool.seal();
        let mut batches = Vec::new();
        while let Some(outgoing) = spool.next() {
            batches.push(wire::decode(&outgoing.bytes).unwrap());
            spool.settle(outgoing.key);
        }
        let counts: Vec<usize> = batches.iter().map(|batch| batch.intervals.len()).collect();
        assert_eq!(counts, [6, 2, 1]);
        assert_eq!((&*batches[1].node, &*batches[1].boot_id), ("n", "b"));
        assert_eq!(batches[2].node, origin.node);
        assert_eq!(batches[1].stream_id == batches[2].stream_id, same_stream);
        assert_eq!(batches[2].sequence, if same_stream { 3 } else { 1 });
    };
    check(origin("b"), true, true);
    check(origin("another boot"), false, true);
    let another = Origin {
        node: "m".into(),
        ..origin("b")
    };
    check(another, false, false);
}

#[test]
fn a_broken_open_file_is_set_aside_and_sealed_batches_are_sent_first() {
    let directory = TempDir::new().unwrap();
    let mut agent = Agent::open(directory.path(), limits());
    agent.measure(8);
    drop(agent);
    std::fs::write(directory.path().join("open.log"), "{}").unwrap();
    let files = Directory::open(directory.path().to_owned()).unwrap();
    let (spool, stood) = Spool::over(
        Box::new(files),
        true,
        origin("b"),
        limits(),
        &standing(5, 9),
    )
    .unwrap();
    assert_eq!(stood, None, "a hole");
    let broken = std::fs::read_to_string(directory.path().join("open.log.broken"));
    assert_eq!(broken.unwrap(), "{}");
    let mut agent = Agent {
        spool,
        intervals: 100,
    };
    agent.measure(6);
    let batches = agent.deliver();
    let numbers: Vec<u64> = batches.iter().map(|batch| batch.sequence).collect();
    assert_eq!(numbers, [1, 1]);
    assert_ne!(batches[0].stream_id, batches[1].stream_id);
}

#[test]
fn one_agent_per_directory() {
    let directory = TempDir::new().unwrap();
    let first = Lock::take(directory.path()).unwrap();
    for error in [
        Lock::take(directory.path()).unwrap_err(),
        lock::check(directory.path()).unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("in use by another agent"),
            "{error}"
        );
    }
    drop(first);
    lock::check(directory.path()).unwrap();
    Lock::take(directory.path()).unwrap();
}

#[test]
fn in_memory_the_same_is_done_and_nothing_is_set_aside() {
    let (spool, stood) = Spool::open(None, 1 << 30, origin("b"), &standing(0, 0)).unwrap();
    assert_eq!(stood, None);
    let mut agent = Agent {
        spool,
        intervals: 0,
    };
    agent.measure(12);
    agent.spool.refuse(agent.spool.next().unwrap().key);
    agent.measure(6);
    let batches = agent.deliver();
    assert_eq!(measured_uj(&batches), 12_000_000);
    assert_eq!(lost_uj(&batches, LossReason::Refused), 6_000_000);
}
