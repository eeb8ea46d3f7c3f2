//! Busy time of the whole node: exact where the kernel counts it so, else in clock ticks, which miss work that
//! runs between them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::UsageError;
use super::super::proc_stat::BusyTime;
use crate::cgroup::hierarchy::{Hierarchies, Hierarchy};

/// Inode of a hierarchy's true root; what a cgroup namespace shows as the root has another.
const ROOT_INODE: u64 = 1;

/// Where it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum BusySource {
    /// The root of the v1 hierarchy that accounts CPU time.
    Cpuacct(PathBuf),
    /// `/proc/schedstat`: time that each CPU spent running tasks (the kernel's Documentation/scheduler/
    /// sched-stats), where the kernel was built with it.
    Schedstat(PathBuf),
    /// `/proc/stat`.
    Ticks(PathBuf),
}

impl BusySource {
    /// The most exact that is there and is the node's own, whichever cgroups can be seen.
    pub(super) fn find(proc_root: &Path, hierarchies: &Hierarchies) -> Self {
        let cpuacct = hierarchies
            .cpuacct
            .clone()
            .filter(|root| fs::metadata(root).is_ok_and(|metadata| metadata.ino() == ROOT_INODE));
        let schedstat = proc_root.join("schedstat");
        let found = [cpuacct.map(Self::Cpuacct), Some(Self::Schedstat(schedstat))];
        let mut found = found.into_iter().flatten();
        found
            .find(|source| source.read_ns().is_ok())
            .unwrap_or_else(|| Self::Ticks(proc_root.join("stat")))
    }

    /// All CPUs together, since boot, in nanoseconds of one CPU.
    pub(super) fn read_ns(&self) -> Result<u64, UsageError> {
        let fail = |path: &Path, what: &str| {
            UsageError::new("accounting", format!("{}: {what}", path.display()))
        };
        match self {
            Self::Cpuacct(root) => Hierarchy::Cpuacct
                .cpu_ns(root)
                .ok_or_else(|| fail(root, "cpuacct.usage cannot be read")),
            Self::Schedstat(path) => {
                let text = fs::read_to_string(path).map_err(|e| fail(path, &e.to_string()))?;
                schedstat_ns(&text).ok_or_else(|| fail(path, "no line of a CPU"))
            }
            Self::Ticks(path) => Ok(BusyTime::read(path)?.ns()),
        }
    }
}

/// The sum of the seventh number of the CPUs' lines. `None` where there is none.
fn schedstat_ns(text: &str) -> Option<u64> {
    let is_cpu = |line: &&str| {
        let number = line.strip_prefix("cpu").unwrap_or_default();
        number.starts_with(|c: char| c.is_ascii_digit())
    };
    let run_ns = |line: &str| line.split_whitespace().nth(7)?.parse::<u64>().ok();
    let mut cpus = text.lines().filter(is_cpu).peekable();
    cpus.peek()?;
    cpus.map(run_ns).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_s_run_time_is_summed_over_the_cpus() {
        let text = "version 17\ntimestamp 4294\ncpu0 0 0 0 0 0 0 700 9 3\ndomain0 MC 3 1 2\ncpu1 0 0 0 0 0 0 50 9 3\n";
        assert_eq!(schedstat_ns(text), Some(750));
        assert_eq!(schedstat_ns("version 17\n"), None);
        assert_eq!(schedstat_ns("cpu0 0 0\n"), None);
    }

    #[test]
    fn what_is_not_the_node_s_own_root_is_not_taken() {
        let tree = tempfile::tempdir().unwrap();
        fs::write(tree.path().join("cpuacct.usage"), "5\n").unwrap();
        fs::write(tree.path().join("stat"), "cpu  1 0 0 0 0 0 0\ncpu0 1\n").unwrap();
        let hierarchies = Hierarchies {
            unified: None,
            cpuacct: Some(tree.path().into()),
        };
        let find = || BusySource::find(tree.path(), &hierarchies);
        assert_eq!(find(), BusySource::Ticks(tree.path().join("stat")));
        let schedstat = tree.path().join("schedstat");
        fs::write(&schedstat, "cpu0 0 0 0 0 0 0 700 9 3\n").unwrap();
        assert_eq!(find(), BusySource::Schedstat(schedstat));
    }
}
