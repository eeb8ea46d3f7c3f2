//! Where the cgroup trees are mounted, and what directories they hold.

use std::fs;
use std::io::BufReader;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

use procfs_core::FromBufRead;
use procfs_core::process::MountInfos;

/// Deeper directories belong to whoever owns the one at this depth; a bound, so that no tree can hold the
/// walk for ever.
pub(super) const MAX_DEPTH: usize = 16;

/// One of a node's trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hierarchy {
    /// Cgroup v2.
    Unified,
    /// The v1 hierarchy that accounts CPU time.
    Cpuacct,
}

impl Hierarchy {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Unified, Self::Cpuacct];

    /// CPU time of a cgroup and all below it, the ended processes and removed cgroups too; `None` where it
    /// cannot be read. Both files are there in every cgroup: `cpu.stat` also without the cpu controller.
    #[must_use]
    pub fn cpu_ns(self, directory: &Path) -> Option<u64> {
        match self {
            Self::Unified => {
                let text = fs::read_to_string(directory.join("cpu.stat")).ok()?;
                let mut lines = text.lines();
                let usec = lines.find_map(|line| line.strip_prefix("usage_usec "))?;
                usec.parse::<u64>().ok()?.checked_mul(1000)
            }
            Self::Cpuacct => {
                let text = fs::read_to_string(directory.join("cpuacct.usage")).ok()?;
                text.trim().parse().ok()
            }
        }
    }
}

/// The trees of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// Mount point of the unified hierarchy (cgroup v2), whether it has controllers or not.
    pub unified: Option<PathBuf>,
    /// Mount point of the v1 hierarchy that accounts CPU time.
    pub cpuacct: Option<PathBuf>,
}

impl Hierarchies {
    /// Where one of them is mounted.
    #[must_use]
    pub fn root(&self, hierarchy: Hierarchy) -> Option<&Path> {
        match hierarchy {
            Hierarchy::Unified => self.unified.as_deref(),
            Hierarchy::Cpuacct => self.cpuacct.as_deref(),
        }
    }

    /// From `proc_root`/self/mountinfo, below `sys_root` where there are some.
    ///
    /// # Errors
    /// Where it cannot be read or parsed.
    pub fn find(proc_root: &Path, sys_root: &Path) -> anyhow::Result<Self> {
        use anyhow::Context;
        let path = proc_root.join("self/mountinfo");
        let file =
            fs::File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let mounts = MountInfos::from_buf_read(BufReader::new(file))
            .map_err(|error| anyhow::anyhow!("cannot parse {}: {error}", path.display()))?;
        Ok(Self::from_mounts(&mounts, sys_root))
    }

    /// A tree that the user named: the unified hierarchy where it looks like one, else cpuacct's.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn at(root: &Path) -> anyhow::Result<Self> {
        let root = root.to_path_buf();
        if root.join("cgroup.controllers").exists() {
            return Ok(Self {
                unified: Some(root),
                cpuacct: None,
            });
        }
        if root.join("cpuacct.usage").exists() {
            return Ok(Self {
                unified: None,
                cpuacct: Some(root),
            });
        }
        anyhow::bail!(
            "--cgroup-root {} is no cgroup tree: neither cgroup.controllers nor cpuacct.usage is in it",
            root.display()
        )
    }

    /// The first of each kind among the mounts below `sys_root`, else among all: a container has a part of the tree at
    /// /sys, and the host's whole one where the host's /sys is mounted.
    #[must_use]
    pub fn from_mounts(mounts: &MountInfos, sys_root: &Path) -> Self {
        let find = |matches: &dyn Fn(&procfs_core::process::MountInfo) -> bool| {
            let found = || mounts.0.iter().filter(|mount| matches(mount));
            found()
                .find(|mount| mount.mount_point.starts_with(sys_root))
                .or_else(|| found().next())
                .map(|mount| mount.mount_point.clone())
        };
        Self {
            unified: find(&|mount| mount.fs_type == "cgroup2"),
            cpuacct: find(&|mount| {
                mount.fs_type == "cgroup" && mount.super_options.contains_key("cpuacct")
            }),
        }
    }
}

/// Every directory below `root`, as (path below it, inode). What cannot be listed, or goes away while it is
/// walked, is left out; false where something could not be listed that may be there.
pub fn walk(root: &Path, visit: &mut dyn FnMut(&str, u64)) -> bool {
    walk_below(root, "", visit)
}

/// As [`walk`], of the directories below the cgroup at `path`.
pub(super) fn walk_below(root: &Path, path: &str, visit: &mut dyn FnMut(&str, u64)) -> bool {
    let directory = root.join(path.trim_start_matches('/'));
    visit_below(&directory, &mut path.to_owned(), depth(path), visit)
}

/// 0 of the root, 1 of what is in it.
pub(super) fn depth(path: &str) -> usize {
    path.matches('/').count()
}

fn visit_below(
    directory: &Path,
    path: &mut String,
    depth: usize,
    visit: &mut dyn FnMut(&str, u64),
) -> bool {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        // It went away meanwhile, which is no fault.
        Err(error) => {
            return matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV));
        }
    };
    let mut is_whole = true;
    for entry in entries.flatten() {
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let length = path.len();
        path.push('/');
        path.push_str(name);
        visit(path, entry.ino());
        if depth < MAX_DEPTH {
            is_whole &= visit_below(&directory.join(name), path, depth + 1, visit);
        }
        path.truncate(length);
    }
    is_whole
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn below(sys_root: &str, mountinfo: &str) -> Hierarchies {
        let mounts = MountInfos::from_buf_read(Cursor::new(mountinfo)).unwrap();
        Hierarchies::from_mounts(&mounts, Path::new(sys_root))
    }

    fn hierarchies(mountinfo: &str) -> Hierarchies {
        below("/sys", mountinfo)
    }

    #[test]
    fn trees_are_found_in_mountinfo() {
        let unified =
            "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let expected = Hierarchies {
            unified: Some("/sys/fs/cgroup".into()),
            cpuacct: None,
        };
        assert_eq!(hierarchies(unified), expected);

        let hybrid = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                      41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let found = hierarchies(hybrid);
        assert_eq!(found.unified, Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(found.cpuacct, Some("/sys/fs/cgroup/cpu,cpuacct".into()));
        assert_eq!(
            hierarchies("1 1 8:1 / / rw - ext4 /dev/vda rw\n"),
            Hierarchies::default()
        );
    }

    #[test]
    fn the_host_s_tree_counts_where_its_sys_is_mounted() {
        let own = "30 24 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup rw,nsdelegate\n";
        let host = "41 24 0:26 /../../../.. /host/sys/fs/cgroup ro,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        for (sys_root, expected) in [
            ("/host/sys", "/host/sys/fs/cgroup"),
            ("/sys", "/sys/fs/cgroup"),
            ("/elsewhere", "/sys/fs/cgroup"),
        ] {
            let found = below(sys_root, &format!("{own}{host}"));
            assert_eq!(found.unified, Some(expected.into()), "{sys_root}");
        }
    }
}
