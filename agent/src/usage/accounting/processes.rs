//! CPU time of the processes that /proc shows.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::exec_group::SUPERVISOR_COMM;

use crate::cgroup::owner;
use crate::usage::proc_stat::ProcessStat;
use crate::usage::{CgroupRef, Events, UsageRow};

/// See the module.
#[derive(Debug)]
pub(super) struct Processes {
    proc_root: PathBuf,
    /// By pid; with its start, since a pid is given again.
    last: HashMap<u32, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    start_ticks: u64,
    cpu_ns: u64,
}

impl Processes {
    /// Those that are there now.
    pub(super) fn find(proc_root: &Path) -> Self {
        let mut processes = Self {
            proc_root: proc_root.to_path_buf(),
            last: HashMap::new(),
        };
        processes.read(u64::MAX);
        processes
    }

    /// Processes that used CPU time since the last call. One that was not seen before counts with its whole
    /// time if it did not start before `since_ticks`, and else from now on. One that cannot be read is left out, and
    /// counts when it can be again.
    pub(super) fn read(&mut self, since_ticks: u64) -> Vec<UsageRow> {
        let Ok(entries) = fs::read_dir(&self.proc_root) else {
            return Vec::new();
        };
        let mut seen = HashMap::with_capacity(self.last.len());
        let mut rows = Vec::new();
        for tgid in entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        {
            let last = self.last.get(&tgid).copied();
            let directory = self.proc_root.join(tgid.to_string());
            let Some(stat) = ProcessStat::read(&directory) else {
                seen.extend(last.map(|last| (tgid, last)));
                continue;
            };
            let last = last.filter(|last| last.start_ticks == stat.start_ticks);
            let is_new = stat.start_ticks >= since_ticks;
            let unseen = if is_new { 0 } else { stat.cpu_ns };
            let cpu_ns = stat
                .cpu_ns
                .saturating_sub(last.map_or(unseen, |last| last.cpu_ns));
            let now = Seen {
                start_ticks: stat.start_ticks,
                cpu_ns: stat.cpu_ns,
            };
            seen.insert(tgid, now);
            // A supervisor does next to nothing, and its descendants are known by it.
            if cpu_ns > 0 || stat.comm.as_bytes() == SUPERVISOR_COMM.to_bytes() {
                let cgroup = CgroupRef::Path(cgroup_path(&directory).unwrap_or_else(|| "/".into()));
                rows.push(UsageRow {
                    tgid,
                    cgroup,
                    package: 0,
                    cpu_ns,
                    events: Events::default(),
                    comm: stat.comm,
                });
            }
        }
        self.last = seen;
        rows
    }
}

/// The path that says most of a process: its owner's where one of its cgroups has one.
fn cgroup_path(process: &Path) -> Option<Arc<str>> {
    let text = fs::read_to_string(process.join("cgroup")).ok()?;
    path_in(&text).map(Arc::from)
}

/// The same of the text of `/proc/PID/cgroup`.
#[must_use]
pub fn path_in(text: &str) -> Option<&str> {
    let paths = || text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    let unified = || text.lines().find_map(|line| line.strip_prefix("0::"));
    paths()
        .find(|path| owner(path).is_some())
        .or_else(unified)
        .or_else(|| paths().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 ms in a tick, as on every common system.
    const TICK_NS: u64 = 10_000_000;

    fn write(proc_root: &Path, pid: u32, start_ticks: u64, cpu_ticks: u64) {
        let directory = proc_root.join(pid.to_string());
        fs::create_dir_all(&directory).unwrap();
        let stat = format!(
            "{pid} (x) S 1 1 1 0 -1 0 0 0 0 0 {cpu_ticks} 0 0 0 20 0 1 0 {start_ticks} 0 0"
        );
        fs::write(directory.join("stat"), stat).unwrap();
    }

    fn used(rows: &[UsageRow]) -> Vec<(u32, u64)> {
        let ticks = |row: &UsageRow| (row.tgid, row.cpu_ns / TICK_NS);
        let mut used: Vec<_> = rows.iter().map(ticks).collect();
        used.sort_unstable();
        used
    }

    #[test]
    fn fault_04_one_unreadable_process_costs_only_itself() {
        let proc_root = tempfile::tempdir().unwrap();
        let root = proc_root.path();
        write(root, 1, 10, 1000);
        write(root, 2, 10, 5000);
        let mut processes = Processes::find(root);

        write(root, 1, 10, 1003);
        fs::write(root.join("2/stat"), "unreadable").unwrap();
        assert_eq!(used(&processes.read(100)), [(1, 3)]);
        write(root, 1, 10, 1004);
        write(root, 2, 10, 5007);
        let back = used(&processes.read(200));
        assert_eq!(back, [(1, 1), (2, 7)], "not its whole life");
    }

    #[test]
    fn fault_05_a_reused_pid_inherits_nothing_and_gives_no_negative() {
        let proc_root = tempfile::tempdir().unwrap();
        let root = proc_root.path();
        write(root, 7, 10, 1000);
        let mut processes = Processes::find(root);
        // It ended, and another one with its number has used less, or more.
        write(root, 7, 150, 4);
        assert_eq!(used(&processes.read(100)), [(7, 4)]);
        write(root, 7, 250, 1500);
        assert_eq!(used(&processes.read(200)), [(7, 1500)]);
        // One that is older than the last read and was not seen then: nobody knows when it used its time.
        write(root, 7, 251, 9000);
        assert_eq!(used(&processes.read(300)), []);
        write(root, 7, 251, 8999);
        assert_eq!(used(&processes.read(400)), [], "a counter that fell");
    }
}
