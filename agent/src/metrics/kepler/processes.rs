//! What Kepler's labels tell of a process and ours do not.

use std::collections::HashMap;
use std::path::Path;

use wire::v1::{Workload, WorkloadKind};

use crate::metrics::processes::{ProcessKey, Processes, keys};
use crate::run::Record;

/// Of the processes that have series of their own.
#[derive(Debug, Default)]
pub(super) struct Details(HashMap<ProcessKey, Detail>);

/// Of one process.
#[derive(Clone, Debug, Default)]
pub(super) struct Detail {
    pub(super) exe: String,
    pub(super) kind: &'static str,
    pub(super) container_id: String,
    pub(super) vm_id: String,
}

impl Details {
    /// Takes in who ran; `shown` are those that have series.
    pub(super) fn book(&mut self, proc_root: &Path, record: &Record, shown: &Processes) {
        self.0.retain(|key, _| shown.is_shown(key));
        for (key, used) in keys(record) {
            if shown.is_shown(&key) && !self.0.contains_key(&key) {
                let workload = used
                    .workload
                    .map(|position| &*record.parties.workloads()[position]);
                let detail = detail(&proc_root.join(&key.pid).join("exe"), workload);
                self.0.insert(key, detail);
            }
        }
    }

    /// Of one process; nothing of one that has none.
    pub(super) fn of(&self, key: &ProcessKey) -> Detail {
        self.0.get(key).cloned().unwrap_or_default()
    }
}

fn detail(exe: &Path, workload: Option<&Workload>) -> Detail {
    let kind = workload.map(Workload::kind);
    let of = |wanted, value: fn(&Workload) -> &String| {
        let workload = workload.filter(|_| kind == Some(wanted));
        workload.map(value).cloned().unwrap_or_default()
    };
    let exe = std::fs::read_link(exe).unwrap_or_default();
    Detail {
        exe: exe
            .to_string_lossy()
            .chars()
            .filter(|c| !c.is_control())
            .collect(),
        kind: match kind {
            Some(WorkloadKind::Container) => "container",
            Some(WorkloadKind::Vm) => "vm",
            _ => "regular",
        },
        container_id: of(WorkloadKind::Container, |workload| &workload.container_id),
        vm_id: of(WorkloadKind::Vm, |workload| &workload.pod),
    }
}
