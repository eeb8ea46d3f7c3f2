//! What Kepler's labels tell of a process and ours do not.

use std::collections::HashMap;
use std::path::Path;

use wire::limits::MAX_NAME_BYTES;
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
    /// It ran in the newest interval, or sleeps.
    pub(super) is_alive: bool,
}

impl Details {
    /// Takes in who ran; `shown` are those that have series.
    pub(super) fn book(&mut self, proc_root: &Path, record: &Record, shown: &Processes) {
        self.0.retain(|key, _| shown.is_shown(key));
        for (key, detail) in &mut self.0 {
            detail.is_alive = proc_root.join(&key.pid).exists();
        }
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
    let exe: String = exe
        .to_string_lossy()
        .chars()
        .filter(|c| !c.is_control())
        .collect();
    Detail {
        exe: shortened(&exe),
        kind: match kind {
            Some(WorkloadKind::Container) => "container",
            Some(WorkloadKind::Vm) => "vm",
            _ => "regular",
        },
        container_id: of(WorkloadKind::Container, |workload| &workload.container_id),
        vm_id: of(WorkloadKind::Vm, |workload| &workload.pod),
        is_alive: true,
    }
}

/// Its end, which names the program, in as many bytes as a label may have.
fn shortened(path: &str) -> String {
    let cut = path.len().saturating_sub(MAX_NAME_BYTES);
    let begin = (cut..=path.len()).find(|&at| path.is_char_boundary(at));
    path[begin.unwrap_or(cut)..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_path_keeps_its_end() {
        let long = format!("/{}/é/bin/train", "deep/".repeat(100));
        let short = shortened(&long);
        assert!(short.len() <= MAX_NAME_BYTES && short.ends_with("/é/bin/train"));
        assert_eq!(shortened("/bin/true"), "/bin/true");
        assert_eq!(shortened(&"é".repeat(200)).len(), 252);
    }
}
