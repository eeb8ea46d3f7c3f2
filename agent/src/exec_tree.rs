//! Commands under `hxmlops exec` that have no cgroup of their own: their supervisor carries the group's name
//! as `argv[0]`, and its descendants are the group.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::exec_group::{DIRECTORY, ExecGroup, SUPERVISOR_COMM};

use crate::usage::UsageRow;

/// Names under which a supervisor may be seen to run: the one that it gives itself, and the one that it has
/// until then, from executing /proc/self/exe.
const SUPERVISOR_NAMES: [&[u8]; 2] = [SUPERVISOR_COMM.to_bytes(), b"exe"];

/// Supervisors and who descends from them.
#[derive(Debug)]
pub struct ExecTrees {
    proc_root: PathBuf,
    supervisors: HashMap<u32, Arc<ExecGroup>>,
    members: HashMap<u32, Arc<ExecGroup>>,
    /// Members at the refresh before: what ended since has used CPU time all the same.
    ended: HashMap<u32, Arc<ExecGroup>>,
}

impl ExecTrees {
    /// Looks through all processes once, for supervisors older than this.
    #[must_use]
    pub fn find(proc_root: &Path) -> Self {
        let mut trees = Self {
            proc_root: proc_root.to_path_buf(),
            supervisors: HashMap::new(),
            members: HashMap::new(),
            ended: HashMap::new(),
        };
        let entries = fs::read_dir(proc_root).into_iter().flatten().flatten();
        for pid in entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()) {
            trees.add_supervisor(pid);
        }
        trees.follow();
        trees
    }

    /// Takes up the supervisors among those that ran, and follows all trees anew.
    pub fn refresh(&mut self, rows: &[UsageRow]) {
        let is_supervisor = |row: &&UsageRow| SUPERVISOR_NAMES.contains(&row.comm.as_bytes());
        for row in rows.iter().filter(is_supervisor) {
            self.add_supervisor(row.tgid);
        }
        self.follow();
    }

    /// The group of a process that lives or has ended since the last refresh; `None` where it is in none.
    #[must_use]
    pub fn group_of(&self, pid: u32) -> Option<&ExecGroup> {
        let group = self.members.get(&pid).or_else(|| self.ended.get(&pid));
        group.map(Arc::as_ref)
    }

    /// The group of a process that lived at the last refresh: one of that pid that has ended since is another.
    #[must_use]
    pub fn group_of_living(&self, pid: u32) -> Option<&ExecGroup> {
        self.members.get(&pid).map(Arc::as_ref)
    }

    fn follow(&mut self) {
        let proc_root = &self.proc_root;
        // A pid may have been given to another process meanwhile.
        self.supervisors
            .retain(|&pid, group| supervised_group(proc_root, pid).as_ref() == Some(&**group));
        self.ended = std::mem::take(&mut self.members);
        for (&supervisor, group) in &self.supervisors {
            let mut unvisited = vec![supervisor];
            while let Some(pid) = unvisited.pop() {
                self.members.insert(pid, group.clone());
                // A supervisor below this one has a group of its own.
                let children = children(proc_root, pid).into_iter();
                unvisited.extend(children.filter(|child| !self.supervisors.contains_key(child)));
            }
        }
    }

    /// The groups whose supervisors are alive.
    pub fn groups(&self) -> impl Iterator<Item = &ExecGroup> {
        self.supervisors.values().map(Arc::as_ref)
    }

    fn add_supervisor(&mut self, pid: u32) {
        if let Some(group) = supervised_group(&self.proc_root, pid) {
            self.supervisors.insert(pid, Arc::new(group));
        }
    }
}

/// The group that a supervisor names in its first argument.
fn supervised_group(proc_root: &Path, pid: u32) -> Option<ExecGroup> {
    let cmdline = fs::read(proc_root.join(format!("{pid}/cmdline"))).ok()?;
    group_in(&cmdline)
}

/// The same of the content of `/proc/PID/cmdline`.
#[must_use]
pub fn group_in(cmdline: &[u8]) -> Option<ExecGroup> {
    let name = cmdline.split(|&byte| byte == 0).next()?;
    str::from_utf8(name)
        .ok()?
        .strip_prefix(DIRECTORY)?
        .strip_prefix('/')?
        .parse()
        .ok()
}

fn children(proc_root: &Path, pid: u32) -> Vec<u32> {
    let tasks = fs::read_dir(proc_root.join(format!("{pid}/task")))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descendants_belong_to_the_supervisor_that_names_a_group() {
        let proc_root = tempfile::tempdir().unwrap();
        let process = |pid: u32, cmdline: &str, children: &str| {
            let task = proc_root.path().join(format!("{pid}/task/{pid}"));
            fs::create_dir_all(&task).unwrap();
            fs::write(task.join("children"), children).unwrap();
            fs::write(proc_root.path().join(format!("{pid}/cmdline")), cmdline).unwrap();
        };
        process(10, "hxmlops.exec/w:r:train:1\0sleep\09\0", "11 ");
        process(11, "sh\0", "12 13 ");
        process(12, "python\0", "");
        process(13, "python\0", "14");
        process(14, "hxmlops.exec/w:r:part:2\0true\0", "15");
        process(15, "true\0", "");
        process(20, "hxmlops.exec/../../x\0", "21");
        process(21, "sh\0", "");

        let mut trees = ExecTrees::find(proc_root.path());
        trees.refresh(&[]);
        for pid in [10, 11, 12, 13] {
            assert_eq!(
                trees.group_of(pid).map(ExecGroup::stage),
                Some("train"),
                "{pid}"
            );
        }
        let inner = trees.group_of(15).map(ExecGroup::stage);
        assert_eq!(inner, Some("part"), "a group within a group");
        assert_eq!(trees.group_of(21), None);
        fs::remove_dir_all(proc_root.path().join("10")).unwrap();
        trees.refresh(&[]);
        assert!(
            trees.group_of(12).is_some(),
            "what it used before it ended is the group's"
        );
        trees.refresh(&[]);
        assert_eq!(trees.group_of(12), None);
    }
}
