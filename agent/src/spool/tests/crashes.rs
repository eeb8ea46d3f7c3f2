//! An end at any step: of the process, whose writes stay, or of the machine, which forgets what was not synced.

use std::collections::{HashMap, HashSet};
use std::io;

use proptest::prelude::*;

use self::disk::Disk;
use super::super::files::Found;
use super::*;

mod disk;

/// What the ledger does: each batch once, a loss where no batch is, no batch where a loss is.
#[derive(Default)]
struct Ledger {
    seen: HashMap<Key, Vec<u8>>,
    taken: HashMap<Key, u64>,
    lost: HashMap<Key, u64>,
    refused: HashSet<Key>,
}

impl Ledger {
    /// Whether it is taken.
    fn post(&mut self, outgoing: &Outgoing, refuse: bool) -> bool {
        let key = outgoing.key;
        let seen = self
            .seen
            .entry(key)
            .or_insert_with(|| outgoing.bytes.clone());
        assert_eq!(*seen, outgoing.bytes, "{key} has two contents");
        if self.taken.contains_key(&key) {
            return true;
        }
        if refuse || self.lost.contains_key(&key) || self.refused.contains(&key) {
            self.refused.insert(key);
            return false;
        }
        let batch = wire::decode(&outgoing.bytes).unwrap();
        for loss in &batch.losses {
            let lost = Key {
                stream_id: key.stream_id,
                sequence: loss.sequence,
            };
            let energy = loss.zones.iter().map(|zone| zone.measured_uj).sum();
            if !self.taken.contains_key(&lost) {
                self.lost.insert(lost, energy);
            }
        }
        self.taken.insert(key, measured_uj(&[batch]));
        true
    }

    fn energy_uj(&self) -> u64 {
        self.taken.values().chain(self.lost.values()).sum()
    }
}

#[derive(Clone, Debug)]
enum Act {
    Measure(u64),
    Seal,
    /// And whether its answer arrives.
    Send(bool),
    Refuse,
    /// The file operations fail from the given step on; then the process ends, or the machine.
    Crash(u64, bool, u64),
    /// One of the file operations to come fails.
    Fault(u64),
}

fn any_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        10 => (1..1_000_u64).prop_map(Act::Measure),
        1 => Just(Act::Seal),
        3 => any::<bool>().prop_map(Act::Send),
        1 => Just(Act::Refuse),
        3 => (1..20_u64).prop_map(Act::Fault),
        3 => (1..60_u64, any::<bool>(), any::<u64>()).prop_map(|(steps, machine, at)| Act::Crash(steps, machine, at)),
    ]
}

/// One node's counter, and the agents that follow it one after the other.
struct Node {
    disk: Disk,
    limits: Limits,
    spool: Spool,
    counter_uj: u64,
    /// What the agent has told of.
    told_uj: u64,
    boottime_s: u64,
    ledger: Ledger,
}

impl Node {
    fn new(limits: Limits) -> Self {
        let disk = Disk::default();
        disk.crash(true, 0, u64::MAX);
        let opened = Spool::over(
            Box::new(disk.clone()),
            true,
            origin("b"),
            limits,
            &standing(0, 0),
        );
        Self {
            disk,
            limits,
            spool: opened.unwrap().0,
            counter_uj: 0,
            told_uj: 0,
            boottime_s: 0,
            ledger: Ledger::default(),
        }
    }

    fn measure(&mut self, energy_uj: u64) {
        self.counter_uj += energy_uj;
        self.boottime_s += 5;
        let end = standing(self.counter_uj, self.boottime_s);
        self.spool
            .add(interval("r", self.counter_uj - self.told_uj, end));
        self.told_uj = self.counter_uj;
    }

    /// A new process, which books what was used since the last durable reading.
    fn restart(&mut self, of_machine: bool, fraction: u64, steps: u64) {
        self.disk.crash(of_machine, fraction, steps);
        let now = standing(self.counter_uj, self.boottime_s);
        let files = Box::new(self.disk.clone());
        let Ok((spool, stood)) = Spool::over(files, true, origin("b"), self.limits, &now) else {
            // It could not even begin; the next one can.
            return self.restart(false, fraction, u64::MAX);
        };
        self.spool = spool;
        let stood = stood.expect("the same boot");
        self.told_uj = stood.counters[0].counter_uj;
        assert!(self.told_uj <= self.counter_uj);
        self.measure(0);
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Measure(energy_uj) => self.measure(energy_uj),
            Act::Seal => self.spool.seal(),
            Act::Send(arrives) => {
                if let Some(outgoing) = self.spool.next() {
                    let taken = self.ledger.post(&outgoing, false);
                    match (arrives, taken) {
                        (false, _) => {}
                        (true, true) => self.spool.settle(outgoing.key),
                        (true, false) => self.spool.refuse(outgoing.key),
                    }
                }
            }
            Act::Refuse => {
                if let Some(outgoing) = self.spool.next()
                    && !self.ledger.post(&outgoing, true)
                {
                    self.spool.refuse(outgoing.key);
                }
            }
            Act::Fault(steps) => self.disk.fail_at(steps + 1),
            Act::Crash(steps, of_machine, fraction) => {
                // What happens until the end.
                self.disk.end_after(steps);
                for energy_uj in 0..fraction % 20 {
                    self.measure(energy_uj);
                    if energy_uj % 7 == 0 {
                        self.act(&Act::Send(true));
                    }
                }
                self.restart(of_machine, fraction, steps * 3);
                self.restart(of_machine, fraction / 3, u64::MAX);
            }
        }
    }

    /// Everything is told.
    fn finish(&mut self) {
        self.disk.fail_at(0);
        for _ in 0..3 {
            self.measure(1);
            self.spool.seal();
            while let Some(outgoing) = self.spool.next() {
                match self.ledger.post(&outgoing, false) {
                    true => self.spool.settle(outgoing.key),
                    false => self.spool.refuse(outgoing.key),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..crate::cases() })]
    #[test]
    fn whatever_ends_when_the_ledger_has_what_the_counter_says(
        acts in prop::collection::vec(any_act(), 1..60),
        is_small in any::<bool>(),
    ) {
        let limits = Limits {
            max_bytes: if is_small { 1_000 } else { 1 << 20 },
            max_waiting_bytes: if is_small { 600 } else { 1 << 20 },
            ..limits()
        };
        let mut node = Node::new(limits);
        node.act(&Act::Fault(0));
        for act in &acts {
            node.act(act);
        }
        node.finish();
        prop_assert_eq!(node.ledger.energy_uj(), node.counter_uj);
        let sequences = node.ledger.taken.keys().chain(node.ledger.lost.keys());
        let mut sequences: Vec<u64> = sequences.map(|key| key.sequence).collect();
        sequences.sort_unstable();
        let expected: Vec<u64> = (1..=sequences.len() as u64).collect();
        prop_assert_eq!(sequences, expected, "each once, and no gap");
    }
}

/// The same over a real directory, whose operations end at each step in turn.
struct Cut {
    files: Directory,
    left: u64,
}

impl Cut {
    fn step(&mut self) -> io::Result<()> {
        if self.left == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.left -= 1;
        Ok(())
    }
}

impl Files for Cut {
    fn list(&self, folder: &str) -> io::Result<Vec<Found>> {
        self.files.list(folder)
    }
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.files.read(name)
    }
    fn write_new(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let whole = self.step();
        let part = if whole.is_ok() {
            bytes.len()
        } else {
            bytes.len() / 2
        };
        self.files.write_new(name, &bytes[..part])?;
        whole
    }
    fn append(&mut self, name: &str, length: u64, bytes: &[u8]) -> io::Result<()> {
        let whole = self.step();
        let part = if whole.is_ok() {
            bytes.len()
        } else {
            bytes.len() / 2
        };
        self.files.append(name, length, &bytes[..part])?;
        whole
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.step()?;
        self.files.rename(from, to)
    }
    fn remove(&mut self, name: &str) -> io::Result<()> {
        self.step()?;
        self.files.remove(name)
    }
    fn sync_names(&mut self) -> io::Result<()> {
        self.step()?;
        self.files.sync_names()
    }
}

#[test]
fn a_process_that_ends_at_any_step_leaves_a_directory_to_go_on_from() {
    for steps in 0..45 {
        let directory = TempDir::new().unwrap();
        let files = |left| {
            let files = Directory::open(directory.path().to_owned()).unwrap();
            Box::new(Cut { files, left })
        };
        let small = Limits {
            max_bytes: 800,
            ..limits()
        };
        let open = |left, now: &Standing| Spool::over(files(left), true, origin("b"), small, now);
        let mut ledger = Ledger::default();
        let mut counter_uj = 0;
        // Measures until the end comes, or for long enough.
        let (spool, _) = open(steps, &standing(0, 0)).unwrap();
        for number in 1..=20 {
            counter_uj += number;
            spool.add(interval("r", number, standing(counter_uj, number * 5)));
            if number % 11 == 0
                && let Some(outgoing) = spool.next()
            {
                assert!(ledger.post(&outgoing, false));
                spool.settle(outgoing.key);
            }
        }
        drop(spool);
        counter_uj += 5;
        let (spool, stood) = open(u64::MAX, &standing(counter_uj, 105)).unwrap();
        // An end before the first file was there leaves a hole: nothing was ever told of that time.
        let stood_uj = stood.map_or(counter_uj, |stood| stood.counters[0].counter_uj);
        let hole_uj = if ledger.taken.is_empty() && stood_uj == counter_uj {
            counter_uj
        } else {
            0
        };
        spool.add(interval(
            "r",
            counter_uj - stood_uj,
            standing(counter_uj, 105),
        ));
        spool.seal();
        while let Some(outgoing) = spool.next() {
            match ledger.post(&outgoing, false) {
                true => spool.settle(outgoing.key),
                false => spool.refuse(outgoing.key),
            }
        }
        // What was lost on the way is told by one more.
        spool.add(interval("r", 0, standing(counter_uj, 110)));
        spool.seal();
        while let Some(outgoing) = spool.next() {
            assert!(ledger.post(&outgoing, false));
            spool.settle(outgoing.key);
        }
        assert_eq!(ledger.energy_uj() + hole_uj, counter_uj, "{steps} steps");
    }
}
