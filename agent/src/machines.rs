//! Virtual machines that have no cgroup of their own: QEMU tells their names in its command line.

use std::collections::HashMap;
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

    /// Takes up those that ran, and forgets those that did not.
    pub fn refresh(&mut self, rows: &[UsageRow]) {
        let before = std::mem::take(&mut self.names);
        let is_qemus = |row: &&UsageRow| {
            let by_name = THREAD_NAMES.iter().any(|name| row.comm.starts_with(name));
            by_name || before.contains_key(&row.tgid)
        };
        for row in rows.iter().filter(is_qemus) {
            if self.names.contains_key(&row.tgid) {
                continue;
            }
            // One that has ended meanwhile is who it was.
            let name = match fs::read(self.proc_root.join(format!("{}/cmdline", row.tgid))) {
                Ok(cmdline) if !cmdline.is_empty() => name_in_command(&cmdline),
                _ => before.get(&row.tgid).cloned(),
            };
            self.names.extend(name.map(|name| (row.tgid, name)));
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
