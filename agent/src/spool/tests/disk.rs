//! A disk that is full, fails, or is mended, and memory that is bounded meanwhile.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::super::files::Found;
use super::*;

/// Memory that can be written only sometimes.
struct Failing {
    files: Memory,
    fails: Arc<AtomicBool>,
}

impl Failing {
    fn check(&self) -> io::Result<()> {
        match self.fails.load(Relaxed) {
            true => Err(io::ErrorKind::StorageFull.into()),
            false => Ok(()),
        }
    }
}

impl Files for Failing {
    fn list(&self, folder: &str) -> io::Result<Vec<Found>> {
        self.files.list(folder)
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.files.read(name)
    }
    fn write_new(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.check()?;
        self.files.write_new(name, bytes)
    }
    fn append(&mut self, name: &str, length: u64, bytes: &[u8]) -> io::Result<()> {
        // Part of it is there all the same.
        let part = if self.check().is_ok() {
            bytes.len()
        } else {
            bytes.len() / 2
        };
        self.files.append(name, length, &bytes[..part])?;
        self.check()
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.files.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.files.remove(name)
    }
    fn sync_names(&mut self) -> io::Result<()> {
        self.check()
    }
}

fn failing(limits: Limits) -> (Agent, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let files = Failing {
        files: Memory::default(),
        fails: fails.clone(),
    };
    let opened = Spool::over(Box::new(files), true, origin("b"), limits, &standing(0, 0));
    let agent = Agent {
        spool: opened.unwrap().0,
        intervals: 0,
    };
    (agent, fails)
}

#[test]
fn while_the_disk_is_full_intervals_wait_and_what_is_sealed_is_sent() {
    let (mut agent, fails) = failing(limits());
    agent.measure(7);
    fails.store(true, Relaxed);
    agent.measure(20);
    agent.spool.seal();
    let figures = agent.spool.figures();
    assert_eq!((figures.batches, figures.intervals), (1, 21));
    assert!(figures.counts.failures > 20 && figures.failing_since_ns.is_some());
    let mut batches = agent.deliver();
    assert_eq!(batches.len(), 1, "nothing is sent that is not durable");
    fails.store(false, Relaxed);
    agent.measure(1);
    agent.spool.seal();
    assert!(agent.spool.figures().failing_since_ns.is_none());
    batches.extend(agent.deliver());
    assert_eq!(measured_uj(&batches), 28_000_000);
    let sequences: Vec<u64> = batches.iter().map(|batch| batch.sequence).collect();
    assert_eq!(sequences, [1, 2, 3, 4, 5]);
}

#[test]
fn intervals_that_wait_too_long_lose_their_workloads_and_no_energy() {
    let small = Limits {
        max_waiting_bytes: 2_000,
        ..limits()
    };
    let (mut agent, fails) = failing(small);
    fails.store(true, Relaxed);
    agent.measure(1_000);
    let figures = agent.spool.figures();
    assert!(
        figures.intervals < 30 && figures.counts.forgotten > 900,
        "{figures:?}"
    );
    fails.store(false, Relaxed);
    agent.measure(1);
    agent.spool.seal();
    let batches = agent.deliver();
    assert_eq!(measured_uj(&batches), 1_001_000_000);
    let first = &batches[0].intervals[0];
    assert!(first.unwatched && first.workloads.is_empty());
    assert_eq!(first.start_unix_ms, NOW);
    assert_eq!(first.zones[0].system_uj, first.zones[0].measured_uj);
}

#[test]
fn a_refused_batch_waits_for_the_disk_and_does_not_stop_the_others() {
    let (mut agent, fails) = failing(limits());
    agent.measure(12);
    fails.store(true, Relaxed);
    agent.spool.refuse(agent.spool.next().unwrap().key);
    let mut batches = agent.deliver();
    assert_eq!(
        batches
            .iter()
            .map(|batch| batch.sequence)
            .collect::<Vec<_>>(),
        [2]
    );
    fails.store(false, Relaxed);
    agent.measure(12);
    batches.extend(agent.deliver());
    let lost = lost_uj(&batches, LossReason::Refused);
    assert_eq!((measured_uj(&batches), lost), (18_000_000, 6_000_000));
}
