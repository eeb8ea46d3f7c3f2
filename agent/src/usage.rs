//! What ran in an interval: CPU time per process and cgroup, whoever counted it.

use std::fmt;
use std::sync::Arc;

pub mod accounting;
pub mod ebpf;
pub mod proc_stat;

/// A cgroup, as a counter of CPU time names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CgroupRef {
    /// The directory's inode in the unified hierarchy.
    Id(u64),
    /// The path below the root of whichever hierarchy it was found in.
    Path(Arc<str>),
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
    /// The process's name, at most 15 bytes; empty where only the cgroup is known.
    pub comm: String,
}

/// All that ran between two reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageInterval {
    /// In no order; the same key may come more than once.
    pub rows: Vec<UsageRow>,
    /// CPU time of the idle tasks, all CPUs together.
    pub idle_ns: u64,
    /// CPU time that was used and could not be given to a row.
    pub lost_ns: u64,
    /// Rows say which package they ran on.
    pub by_package: bool,
}

impl UsageInterval {
    /// CPU time used over CPU time there was, 0 to 1; `None` where nothing is known of either.
    #[must_use]
    pub fn utilisation(&self) -> Option<f64> {
        let busy = self.rows.iter().map(|row| row.cpu_ns).sum::<u64>() + self.lost_ns;
        let all = busy + self.idle_ns;
        (all > 0).then(|| busy as f64 / all as f64)
    }
}

/// A counter of CPU time.
pub trait Usage: Send {
    /// As `--usage` names it: `ebpf` or `accounting`.
    fn name(&self) -> &'static str;

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
