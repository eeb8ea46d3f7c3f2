//! What ran in an interval: CPU time per process and cgroup, whoever counted it.

use std::fmt;
use std::sync::Arc;

pub mod accounting;
pub mod ebpf;
pub mod proc_stat;

/// A process's cgroup, as a counter of CPU time names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CgroupRef {
    /// The directory's inode in each hierarchy.
    Ids {
        /// In the unified hierarchy.
        unified: u64,
        /// In the v1 hierarchy that accounts CPU time; 0 where there is none, or it is not told.
        v1: u64,
    },
    /// The path below the root of whichever hierarchy it was found in.
    Path(Arc<str>),
}

/// What a process had the CPUs do, by their performance counters; all 0 where nobody counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// CPU cycles, not halted.
    pub cycles: u64,
    /// Instructions retired.
    pub instructions: u64,
    /// Misses of the last level of cache.
    pub misses: u64,
}

/// CPU time of one process in one cgroup on one package, since the last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRow {
    /// The process (thread group) in the host's numbering; 0 where only the cgroup is known: then the row
    /// is the cgroup's remainder beside the processes that are.
    pub tgid: u32,
    /// Its cgroup.
    pub cgroup: CgroupRef,
    /// CPU package (socket) that it ran on; 0 where the source does not tell packages apart.
    pub package: u16,
    /// CPU time.
    pub cpu_ns: u64,
    /// What it did in that time.
    pub events: Events,
    /// The process's name, at most 15 bytes; empty where only the cgroup is known.
    pub comm: String,
}

/// All that ran between two reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageInterval {
    /// In no order; the same key may come more than once.
    pub rows: Vec<UsageRow>,
    /// CPU time that is in no row, by package; one entry for the whole node where packages are not told apart.
    pub packages: Vec<PackageTime>,
    /// Rows say which package they ran on.
    pub by_package: bool,
    /// Rows say what they did.
    pub has_events: bool,
    /// Time by which the counter's own parts do not add up to the time that passed, CPU by CPU; 0 unless it is
    /// wrong.
    pub unaccounted_ns: u64,
    /// Reads before this one failed: it may be of more time than the interval.
    pub is_late: bool,
}

/// CPU time of one package that is in no row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PackageTime {
    /// The package (socket).
    pub package: u16,
    /// CPU time of the idle tasks, all its CPUs together.
    pub idle_ns: u64,
    /// CPU time that was used and could not be given to a row.
    pub lost_ns: u64,
}

impl UsageInterval {
    /// CPU time used over CPU time there was, 0 to 1, of one package (of all: `None`, and also where packages
    /// are not told apart); `None` where nothing is known of either.
    #[must_use]
    pub fn utilisation(&self, package: Option<u16>) -> Option<f64> {
        let package = package.filter(|_| self.by_package);
        let is_meant = |other: u16| package.is_none_or(|package| package == other);
        let rows = self.rows.iter().filter(|row| is_meant(row.package));
        let others = self.packages.iter().filter(|time| is_meant(time.package));
        let (idle_ns, lost_ns) = others.fold((0, 0), |(idle_ns, lost_ns), time| {
            (idle_ns + time.idle_ns, lost_ns + time.lost_ns)
        });
        let busy_ns = rows.map(|row| row.cpu_ns).sum::<u64>() + lost_ns;
        let all_ns = busy_ns + idle_ns;
        (all_ns > 0).then(|| busy_ns as f64 / all_ns as f64)
    }
}

/// A counter of CPU time.
pub trait Usage: Send {
    /// As `--usage` names it: `ebpf` or `accounting`.
    fn name(&self) -> &'static str;

    /// What is counted and what could not be, for people; empty where there is nothing to say.
    fn detail(&self) -> String {
        String::new()
    }

    /// CPU time since the last call (since it was made, at the first).
    ///
    /// # Errors
    /// Where nothing at all could be read; a single process that could not is left out.
    fn read(&mut self) -> Result<UsageInterval, UsageError>;
}

/// Why CPU time could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read CPU time from {source_name}: {message}")]
pub struct UsageError {
    /// The source.
    pub source_name: &'static str,
    /// What went wrong.
    pub message: String,
}

impl UsageError {
    /// From anything that can be told.
    pub fn new(source_name: &'static str, message: impl fmt::Display) -> Self {
        Self {
            source_name,
            message: message.to_string(),
        }
    }
}
