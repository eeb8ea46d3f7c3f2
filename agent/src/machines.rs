//! Virtual machines that have no cgroup of their own: QEMU tells their names in its command line.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup::Owner;
use crate::cgroup::vm::name_in_command;
use crate::usage::UsageRow;

/// How the names of QEMU's threads begin; a row bears that of any of a process's threads.
const THREAD_NAMES: [&str; 4] = ["qemu-", "kvm", "CPU ", "IO "];

/// Virtual machines by the process that runs each.
#[derive(Debug)]
pub struct Machines {
    proc_root: PathBuf,
    names: HashMap<u32, String>,
}

impl Machines {
    /// None yet.
    #[must_use]
    pub fn new(proc_root: &Path) -> Self {
        Self {
            proc_root: proc_root.to_path_buf(),
            names: HashMap::new(),
        }
    }

    /// Takes up those that ran, and forgets those that have ended and did not.
    pub fn refresh(&mut self, rows: &[UsageRow]) {
        let before = std::mem::take(&mut self.names);
        let is_qemus = |row: &&UsageRow| THREAD_NAMES.iter().any(|name| row.comm.starts_with(name));
        let ran: HashSet<u32> = rows.iter().map(|row| row.tgid).collect();
        let new = rows.iter().filter(is_qemus).map(|row| row.tgid);
        let pids: HashSet<u32> = new.chain(before.keys().copied()).collect();
        for pid in pids {
            let name = match fs::read(self.proc_root.join(format!("{pid}/cmdline"))) {
                Ok(cmdline) if !cmdline.is_empty() => name_in_command(&cmdline),
                // One that has ended meanwhile is who it was.
                _ => before.get(&pid).filter(|_| ran.contains(&pid)).cloned(),
            };
            self.names.extend(name.map(|name| (pid, name)));
        }
    }

    /// All of them.
    pub fn owners(&self) -> impl Iterator<Item = Owner> {
        self.names
            .values()
            .map(|name| Owner::Vm { name: name.clone() })
    }

    /// Whose this process is; `None`: it runs no virtual machine.
    #[must_use]
    pub fn owner(&self, tgid: u32) -> Option<Owner> {
        let name = self.names.get(&tgid)?.clone();
        Some(Owner::Vm { name })
    }
}
