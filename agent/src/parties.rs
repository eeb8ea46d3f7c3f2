//! Those among whom an interval's energy is split: workloads, and the system for all the rest. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use wire::v1::Workload;

use crate::usage::UsageRow;

/// CPU time by workload, package and process.
#[derive(Clone, Debug, Default)]
pub struct Parties {
    workloads: Vec<Arc<Workload>>,
    positions: HashMap<Arc<Workload>, usize>,
    uses: Vec<Use>,
    by_package: bool,
}

/// CPU time of one process (0: of a cgroup's unnamed rest) on one package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Index into [`Parties::workloads`]; `None`: the system's.
    pub workload: Option<usize>,
    /// The process, 0 where only the cgroup is known.
    pub tgid: u32,
    /// Its name.
    pub comm: String,
    package: u16,
    /// CPU time.
    pub cpu_ns: u64,
}

impl Parties {
    /// None yet. `by_package`: the rows to come say which package they ran on.
    #[must_use]
    pub fn new(by_package: bool) -> Self {
        Self {
            by_package,
            ..Self::default()
        }
    }

    /// Adds a row to its workload, or to the system.
    pub fn add(&mut self, row: &UsageRow, workload: Option<Arc<Workload>>) {
        let workload = workload.map(|workload| self.position(workload));
        self.uses.push(Use {
            workload,
            tgid: row.tgid,
            comm: row.comm.clone(),
            package: row.package,
            cpu_ns: row.cpu_ns,
        });
    }

    /// Adds CPU time that nobody could be found for to the system.
    pub fn add_lost(&mut self, cpu_ns: u64) {
        if cpu_ns > 0 {
            self.uses.push(Use {
                workload: None,
                tgid: 0,
                comm: String::new(),
                package: 0,
                cpu_ns,
            });
        }
    }

    /// In the order in which they were first added.
    #[must_use]
    pub fn workloads(&self) -> &[Arc<Workload>] {
        &self.workloads
    }

    /// CPU time of each workload, and of the system, on one package (on all: `None`, and also where the rows
    /// do not tell packages apart).
    #[must_use]
    pub fn cpu_ns(&self, package: Option<u16>) -> (Vec<u64>, u64) {
        let (mut workloads, mut system) = (vec![0; self.workloads.len()], 0);
        for used in self.on(package) {
            match used.workload {
                Some(position) => workloads[position] += used.cpu_ns,
                None => system += used.cpu_ns,
            }
        }
        (workloads, system)
    }

    /// What processes used on a package, as [`Parties::cpu_ns`] counts it.
    pub fn on(&self, package: Option<u16>) -> impl Iterator<Item = &Use> {
        let package = package.filter(|_| self.by_package);
        self.uses
            .iter()
            .filter(move |used| package.is_none_or(|package| used.package == package))
    }

    fn position(&mut self, workload: Arc<Workload>) -> usize {
        let next = self.workloads.len();
        *self
            .positions
            .entry(workload)
            .or_insert_with_key(|workload| {
                self.workloads.push(workload.clone());
                next
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::CgroupRef;

    #[test]
    fn a_package_is_paid_for_by_those_who_ran_on_it() {
        let row = |package, cpu_ns| UsageRow {
            tgid: 1,
            cgroup: CgroupRef::Id(1),
            package,
            cpu_ns,
            comm: String::new(),
        };
        let one = Some(Arc::new(Workload {
            run: "1".into(),
            ..Workload::default()
        }));
        let two = Some(Arc::new(Workload {
            run: "2".into(),
            ..Workload::default()
        }));
        let mut parties = Parties::new(true);
        parties.add(&row(0, 10), one.clone());
        parties.add(&row(1, 5), one);
        parties.add(&row(1, 7), two);
        parties.add(&row(1, 1), None);
        assert_eq!(parties.cpu_ns(Some(0)), (vec![10, 0], 0));
        assert_eq!(parties.cpu_ns(Some(1)), (vec![5, 7], 1));
        assert_eq!(parties.cpu_ns(None), (vec![15, 7], 1));
    }
}
