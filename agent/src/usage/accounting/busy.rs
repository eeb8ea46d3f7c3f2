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
    /// `/proc/stat`. (/proc/schedstat is exact in another way: it counts a run when it is over, and only the CPUs
    /// that are online.)
    Ticks(PathBuf),
}

impl BusySource {
    /// The most exact that is there and is the node's own, whichever cgroups can be seen.
    pub(super) fn find(proc_root: &Path, hierarchies: &Hierarchies) -> Self {
        let cpuacct = hierarchies
            .cpuacct
            .clone()
            .filter(|root| fs::metadata(root).is_ok_and(|metadata| metadata.ino() == ROOT_INODE));
        let cpuacct = cpuacct.map(Self::Cpuacct);
        cpuacct
            .filter(|source| source.read_ns().is_ok())
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
            Self::Ticks(path) => Ok(BusyTime::read(path)?.ns()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    }
}
