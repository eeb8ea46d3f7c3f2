//! The loop of `power-truth`: reads the kernel's counts, writes the zones' files, does as it is told.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rustix::time::{ClockId, clock_gettime};

use super::command::{Command, Fault};
use super::counter::Counter;
use super::cpu_time::{Reader, Topology};
use super::ledger::{Ledger, Times};
use super::tree::Tree;
use crate::cgroups::Trees;

/// Time between two writes until it is told otherwise.
const EVERY: Duration = Duration::from_millis(5);

/// Serves a tree below `sys_root` until the input ends. Every line is answered by one: `ok`, `error: ...`, or, for
/// `sync`, the truth as JSON.
///
/// # Errors
/// Where the tree cannot be written.
pub fn serve(
    sys_root: &Path,
    input: impl BufRead + Send + 'static,
    mut output: impl Write,
) -> anyhow::Result<()> {
    let lines = lines_of(input);
    let mut server = Server::new(sys_root)?;
    let mut next = Instant::now();
    loop {
        match lines.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(line) if line.trim().is_empty() || line.starts_with('#') => {}
            Ok(line) => {
                let answer = match line.parse() {
                    Ok(Command::Quit) => break,
                    Ok(command) => server.obey(command),
                    Err(error) => Err(error),
                };
                let answer = answer.unwrap_or_else(|error| format!("error: {error:#}"));
                writeln!(output, "{answer}")?;
                output.flush()?;
            }
            Err(RecvTimeoutError::Timeout) => {
                server.tick()?;
                next = Instant::now() + server.every;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    // The final state, exact.
    server.tick()
}

fn lines_of(input: impl BufRead + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in input.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

struct Server {
    sys_root: PathBuf,
    trees: Trees,
    topology: Topology,
    ledger: Ledger,
    every: Duration,
    counters: Vec<Counter>,
    started: Option<Started>,
}

/// What is there once time counts.
struct Started {
    tree: Tree,
    start_ns: u64,
    node: Reader,
    groups: Vec<Group>,
}

struct Group {
    path: String,
    /// `None`: it has ended.
    reader: Option<Reader>,
    ns: Vec<u64>,
}

impl Server {
    fn new(sys_root: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            sys_root: sys_root.to_owned(),
            trees: Trees::find()?,
            topology: Topology::default(),
            ledger: Ledger::default(),
            every: EVERY,
            counters: Vec::new(),
            started: None,
        })
    }

    fn obey(&mut self, command: Command) -> anyhow::Result<String> {
        match command {
            Command::Every(ms) => self.every = Duration::from_millis(ms),
            Command::Cpu(cpu, package) => {
                self.before_start()?;
                self.topology.put(cpu, package);
            }
            Command::Zone(zone) => {
                self.before_start()?;
                self.counters.push(Counter::new(zone.range_uj));
                if let Err(error) = self.ledger.add_zone(zone) {
                    self.counters.pop();
                    return Err(error);
                }
            }
            Command::Start => self.start()?,
            Command::Group(line) => {
                let reader = Reader::of_group(&self.trees, &line.path, &self.topology)?;
                let started = self.started.as_mut().context("not started")?;
                let path = line.path.clone();
                self.ledger.add_group(line)?;
                started.groups.push(Group {
                    path,
                    reader: Some(reader),
                    ns: Vec::new(),
                });
                self.tick()?;
            }
            Command::End(path) => {
                self.tick()?;
                let started = self.started.as_mut().context("not started")?;
                let group = started.groups.iter_mut().find(|group| group.path == path);
                group.with_context(|| format!("no group {path}"))?.reader = None;
            }
            Command::Fault(zone, fault) => self.suffer(&zone, fault)?,
            Command::Sync => {
                self.tick()?;
                return Ok(self.ledger.truth().to_string());
            }
            Command::Quit => bail!("it ends the input"),
        }
        Ok("ok".to_owned())
    }

    fn before_start(&self) -> anyhow::Result<()> {
        ensure!(self.started.is_none(), "only before start");
        Ok(())
    }

    fn start(&mut self) -> anyhow::Result<()> {
        self.before_start()?;
        let tree = Tree::new(&self.sys_root, self.ledger.zones(), self.topology.cpus())?;
        self.started = Some(Started {
            tree,
            start_ns: boottime_ns(),
            node: Reader::of_node(&self.trees, &self.topology)?,
            groups: Vec::new(),
        });
        Ok(())
    }

    fn suffer(&mut self, zone: &str, fault: Fault) -> anyhow::Result<()> {
        self.tick()?;
        let position = self.ledger.zone(zone)?;
        let total_uj = self.ledger.total_uj(position);
        let counter = &mut self.counters[position];
        counter.suffer(fault, total_uj);
        let started = self.started.as_ref().context("not started")?;
        started
            .tree
            .change(zone, counter, total_uj)
            .with_context(|| format!("cannot do that to {zone}"))
    }

    /// Reads all counts and writes all zones.
    fn tick(&mut self) -> anyhow::Result<()> {
        let Some(started) = &mut self.started else {
            return Ok(());
        };
        // The node last: no group is then ahead of it.
        for group in &mut started.groups {
            if let Some(reader) = &mut group.reader {
                group.ns = reader.read(&self.topology).to_vec();
            }
        }
        let times = Times {
            groups: started
                .groups
                .iter()
                .map(|group| group.ns.clone())
                .collect(),
            busy: started.node.read(&self.topology).to_vec(),
            elapsed_ns: boottime_ns() - started.start_ns,
        };
        self.ledger.update(times);
        for (position, zone) in self.ledger.zones().enumerate() {
            let total_uj = self.ledger.total_uj(position);
            started
                .tree
                .show(&zone.directory, &self.counters[position], total_uj)
                .with_context(|| format!("cannot write zone {}", zone.directory))?;
        }
        Ok(())
    }
}

fn boottime_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
