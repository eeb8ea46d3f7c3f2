//! CPU time without eBPF: per container from the cgroups' own accounting, and per process from /proc, which
//! misses those that start and end between two reads. What /proc misses inside a container is the row of that
//! container's cgroup; what is in no container is the row of the root.
//!
//! The cgroups' own time is exact. One that is gone at a read counts with what it had used when its last process
//! ended (cgroup v2, see [`crate::cgroup::watch`]); what was not seen of it is in the time of its pod, and the
//! pod's. On v1 that is all of its last interval.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::{Energy, apportion};

use self::busy::BusySource;
use self::groups::{Groups, Used};
use self::processes::Processes;
use super::proc_stat::{BusyTime, ticks};
use super::{CgroupRef, Events, PackageTime, Usage, UsageError, UsageInterval, UsageRow};
use crate::cgroup::hierarchy::Hierarchies;
use crate::cgroup::watch::{CgroupWatch, Purpose};
use crate::cgroup::{Owner, owner};
use crate::sensor::boottime_ns;

mod busy;
mod groups;
pub mod processes;

/// See the module.
#[derive(Debug)]
pub struct Accounting {
    proc_root: PathBuf,
    cgroups: Arc<CgroupWatch>,
    busy: BusySource,
    last: Totals,
    groups: Groups,
    processes: Processes,
}

/// Counters of the whole node.
#[derive(Clone, Copy, Debug)]
struct Totals {
    boottime_ns: u64,
    busy_ns: u64,
    cpus: u32,
}

impl Accounting {
    /// Takes the counters as they are now for the start of the first interval, and begins to watch the cgroups.
    ///
    /// # Errors
    /// Where not even the node's own CPU time can be read.
    pub fn new(proc_root: &Path, hierarchies: Hierarchies) -> Result<Self, UsageError> {
        let busy = BusySource::find(proc_root, &hierarchies);
        let last = Totals::read(proc_root, &busy)?;
        let cgroups = Arc::new(CgroupWatch::start(hierarchies, Purpose::LastTimes));
        let mut groups = Groups::default();
        groups.read(&cgroups);
        Ok(Self {
            busy,
            last,
            groups,
            processes: Processes::find(proc_root),
            proc_root: proc_root.to_path_buf(),
            cgroups,
        })
    }

    /// The cgroups that it watches.
    #[must_use]
    pub fn cgroups(&self) -> Arc<CgroupWatch> {
        self.cgroups.clone()
    }
}

impl Usage for Accounting {
    fn name(&self) -> &'static str {
        "accounting"
    }

    fn read(&mut self) -> Result<UsageInterval, UsageError> {
        let totals = Totals::read(&self.proc_root, &self.busy)?;
        let used = self.groups.read(&self.cgroups);
        let processes = self.processes.read(ticks(self.last.boottime_ns));
        let busy_ns = totals.busy_ns.saturating_sub(self.last.busy_ns);
        let elapsed_ns =
            totals.boottime_ns.saturating_sub(self.last.boottime_ns) * u64::from(totals.cpus);
        self.last = totals;
        Ok(UsageInterval {
            rows: reconcile(busy_ns, used, processes),
            packages: vec![PackageTime {
                idle_ns: elapsed_ns.saturating_sub(busy_ns),
                ..PackageTime::default()
            }],
            by_package: false,
            has_events: false,
            unaccounted_ns: 0,
            is_late: false,
        })
    }
}

impl Totals {
    fn read(proc_root: &Path, busy: &BusySource) -> Result<Self, UsageError> {
        Ok(Self {
            boottime_ns: boottime_ns(),
            busy_ns: busy.read_ns()?,
            cpus: BusyTime::read(&proc_root.join("stat"))?.cpus,
        })
    }
}

/// Makes the processes' rows (in ticks) agree with the exact time of each owner: rows that sum to more are
/// scaled down, and what is missing is a row of the cgroup alone.
fn reconcile(busy_ns: u64, used: HashMap<Owner, Used>, processes: Vec<UsageRow>) -> Vec<UsageRow> {
    let mut by_owner: HashMap<Option<Owner>, Vec<UsageRow>> = HashMap::new();
    for row in processes {
        let CgroupRef::Path(path) = &row.cgroup else {
            continue;
        };
        let owner = owner(path).filter(|owner| used.contains_key(owner));
        by_owner.entry(owner).or_default().push(row);
    }
    let in_groups: u64 = used.values().map(|used| used.cpu_ns).sum();
    let mut rows = Vec::new();
    for (owner, used) in used {
        let inside = by_owner.remove(&Some(owner)).unwrap_or_default();
        rows.extend(fit(inside, used.path, used.cpu_ns));
    }
    let outside = by_owner.remove(&None).unwrap_or_default();
    rows.extend(fit(outside, "/".into(), busy_ns.saturating_sub(in_groups)));
    rows
}

fn fit(mut rows: Vec<UsageRow>, path: Arc<str>, cpu_ns: u64) -> Vec<UsageRow> {
    let sum: u64 = rows.iter().map(|row| row.cpu_ns).sum();
    if sum > cpu_ns {
        let weights: Vec<u64> = rows.iter().map(|row| row.cpu_ns).collect();
        // Apportioning is of integers, whatever they count.
        let scaled = apportion(Energy::from_microjoules(cpu_ns), &weights).unwrap_or_default();
        for (row, part) in rows.iter_mut().zip(scaled) {
            row.cpu_ns = part.microjoules();
        }
    } else if sum < cpu_ns {
        let cgroup = CgroupRef::Path(path);
        rows.push(UsageRow {
            tgid: 0,
            cgroup,
            package: 0,
            cpu_ns: cpu_ns - sum,
            events: Events::default(),
            comm: String::new(),
        });
    }
    rows
}

#[cfg(test)]
mod tests;
