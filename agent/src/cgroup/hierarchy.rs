//! Where the cgroup trees are mounted, and what directories they hold.

use std::collections::HashMap;
use std::fs;
use std::io::BufReader;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use procfs_core::FromBufRead;
use procfs_core::process::MountInfos;

/// Deeper directories belong to whoever owns the one at this depth; a bound, so that no tree can hold the
/// walk for ever.
const MAX_DEPTH: usize = 16;

/// The trees of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// Mount point of the unified hierarchy (cgroup v2), whether it has controllers or not.
    pub unified: Option<PathBuf>,
    /// Mount point of the v1 hierarchy that accounts CPU time.
    pub cpuacct: Option<PathBuf>,
}

impl Hierarchies {
    /// From `proc_root`/self/mountinfo.
    ///
    /// # Errors
    /// Where it cannot be read or parsed.
    pub fn find(proc_root: &Path) -> anyhow::Result<Self> {
        use anyhow::Context;
        let path = proc_root.join("self/mountinfo");
        let file =
            fs::File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        let mounts = MountInfos::from_buf_read(BufReader::new(file))
            .map_err(|error| anyhow::anyhow!("cannot parse {}: {error}", path.display()))?;
        Ok(Self::from_mounts(&mounts))
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

    fn from_mounts(mounts: &MountInfos) -> Self {
        let find = |matches: &dyn Fn(&procfs_core::process::MountInfo) -> bool| {
            mounts
                .0
                .iter()
                .find(|mount| matches(mount))
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
/// walked, is left out.
pub fn walk(root: &Path, visit: &mut dyn FnMut(&str, u64)) {
    visit_below(root, &mut String::new(), 0, visit);
}

fn visit_below(
    directory: &Path,
    path: &mut String,
    depth: usize,
    visit: &mut dyn FnMut(&str, u64),
) {
    let Ok(entries) = fs::read_dir(directory) else {
        return;
    };
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
            visit_below(&directory.join(name), path, depth + 1, visit);
        }
        path.truncate(length);
    }
}

/// Paths of the unified tree by inode, which is the id that the kernel gives a cgroup.
#[derive(Debug, Default)]
pub struct Index {
    paths: HashMap<u64, Arc<str>>,
}

impl Index {
    /// Walks the tree again. Cgroups that are gone are forgotten.
    pub fn refresh(&mut self, root: &Path) {
        let mut paths = HashMap::with_capacity(self.paths.len());
        walk(root, &mut |path, inode| {
            let known = self.paths.remove(&inode).filter(|known| **known == *path);
            paths.insert(inode, known.unwrap_or_else(|| path.into()));
        });
        self.paths = paths;
    }

    /// The path of a cgroup.
    #[must_use]
    pub fn path(&self, cgroup_id: u64) -> Option<&Arc<str>> {
        self.paths.get(&cgroup_id)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn hierarchies(mountinfo: &str) -> Hierarchies {
        Hierarchies::from_mounts(&MountInfos::from_buf_read(Cursor::new(mountinfo)).unwrap())
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
    fn an_index_follows_the_tree() {
        let tree = tempfile::tempdir().unwrap();
        let pod = tree.path().join("a/b");
        fs::create_dir_all(&pod).unwrap();
        let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(&pod).unwrap());
        let mut index = Index::default();
        index.refresh(tree.path());
        assert_eq!(index.path(inode).map(|path| &**path), Some("/a/b"));
        fs::remove_dir(&pod).unwrap();
        index.refresh(tree.path());
        assert_eq!(index.path(inode), None);
    }
}
