//! Kepler's metrics, for dashboards that people already have (`--compat kepler`): the same figures under the names and
//! labels of Kepler 0.11, whose documentation is the source of both.
//!
//! Package and memory are summed over sockets, and GPUs over each other, everywhere but at the node. A workload is
//! `running` as long as it is there, and `terminated` until it is given up (`--metrics-linger`).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::Energy;
use wire::v1::Workload;

use self::levels::{LEVELS, Level, Values};
use self::processes::Details;
use super::OTHER;
use super::processes::Processes;
use super::table::Table;
use crate::node::CpuSums;
use crate::run::Record;

mod families;
mod levels;
mod processes;

/// See the module.
#[derive(Debug)]
pub(super) struct Kepler {
    levels: Vec<LevelBooks>,
    node: Vec<NodeWatts>,
    processes: Details,
    proc_root: PathBuf,
    cpu: CpuSums,
    /// CPU time used over CPU time there was, in the newest interval.
    usage_ratio: f64,
    /// When the newest interval was booked, and its length.
    newest_ns: u64,
    seconds: f64,
}

/// One of [`LEVELS`].
#[derive(Debug)]
struct LevelBooks {
    level: &'static Level,
    table: Table<Values>,
    alive: HashSet<Values>,
}

/// A zone's power in the newest interval.
#[derive(Clone, Copy, Debug, Default)]
struct NodeWatts {
    all: f64,
    idle: f64,
}

impl Kepler {
    /// At most `max` workloads of each level.
    pub(super) fn new(max: usize, proc_root: &Path) -> Self {
        let books = |level: &'static Level| LevelBooks {
            level,
            table: Table::new(max, level.others()),
            alive: HashSet::new(),
        };
        Self {
            levels: LEVELS.iter().map(books).collect(),
            node: Vec::new(),
            processes: Details::default(),
            proc_root: proc_root.to_path_buf(),
            cpu: CpuSums::default(),
            usage_ratio: 0.0,
            newest_ns: 0,
            seconds: 1.0,
        }
    }

    /// Adds one interval. `shown`: the processes that have series; `alive`: the workloads that are there, also those that
    /// sleep; `cpu`: CPU time since the start.
    pub(super) fn book(
        &mut self,
        record: &Record,
        shown: &Processes,
        alive: &HashSet<Arc<Workload>>,
        cpu: CpuSums,
        now_ns: u64,
    ) {
        self.newest_ns = now_ns;
        self.seconds = record.duration_ns.max(1) as f64 / 1e9;
        let watts = |energy: Energy| energy.joules() / self.seconds;
        let zones = record.zones.iter().map(|zone| NodeWatts {
            all: watts(zone.sample.energy),
            idle: zone
                .shares
                .as_ref()
                .map_or(0.0, |shares| watts(shares.idle)),
        });
        self.node = zones.collect();
        for books in &mut self.levels {
            let values = books.level.values;
            books.alive = alive
                .iter()
                .filter_map(|workload| values(workload))
                .collect();
            books.book(record, now_ns);
        }
        self.usage_ratio = usage_ratio(self.cpu, cpu);
        self.cpu = cpu;
        self.processes.book(&self.proc_root, record, shown);
    }

    /// Gives up what has not been seen since `before_ns` and is no more.
    pub(super) fn expire(&mut self, before_ns: u64, now_ns: u64) {
        for books in &mut self.levels {
            let alive = &books.alive;
            let lives = |values: &Values| alive.contains(values);
            books.table.expire(before_ns, now_ns, &lives);
        }
    }

    /// Whether there is something to give up.
    pub(super) fn has_expired(&self, before_ns: u64) -> bool {
        self.levels
            .iter()
            .any(|books| books.table.has_expired(before_ns))
    }
}

impl LevelBooks {
    fn book(&mut self, record: &Record, now_ns: u64) {
        for (position, workload) in record.parties.workloads().iter().enumerate() {
            let Some(values) = (self.level.values)(workload) else {
                continue;
            };
            for (zone, of_zone) in record.zones.iter().enumerate() {
                let shares = of_zone.shares.as_ref();
                if let Some(&energy) = shares.and_then(|shares| shares.active.get(position)) {
                    self.table.add_energy(&values, zone, energy, now_ns);
                }
            }
        }
    }
}

fn usage_ratio(before: CpuSums, now: CpuSums) -> f64 {
    let busy_ns = |sums: CpuSums| sums.tasks_ns + sums.lost_ns;
    let busy_ns = busy_ns(now).saturating_sub(busy_ns(before));
    let all_ns = busy_ns + now.idle_ns.saturating_sub(before.idle_ns);
    busy_ns as f64 / all_ns.max(1) as f64
}

#[cfg(test)]
mod tests;
