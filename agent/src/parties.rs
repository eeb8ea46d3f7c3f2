//! Those among whom an interval's energy is split: workloads, and the system for all the rest. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use wire::v1::Workload;

use crate::usage::{Events, UsageRow};

/// CPU time by workload, package and process.
#[derive(Clone, Debug, Default)]
pub struct Parties {
    workloads: Vec<Arc<Workload>>,
    positions: HashMap<Arc<Workload>, usize>,
    uses: Vec<Use>,
    by_package: bool,
}

/// CPU time of one process (0: of a cgroup's unnamed rest) on one package, or its use of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// Index into [`Parties::workloads`]; `None`: the system's.
    pub workload: Option<usize>,
    /// The process, 0 where only the cgroup is known.
    pub tgid: u32,
    /// Its name.
    pub comm: String,
    /// The package.
    pub package: u16,
    /// CPU time.
    pub cpu_ns: u64,
    /// What it did in that time.
    pub events: Events,
    /// The device that it used instead, whose CPU time and package are 0 then.
    pub device: Option<DeviceTime>,
}

/// What a process used of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceTime {
    /// The device's zone, as an index into the node's.
    pub zone: usize,
    /// Its part, as a weight among those who used the same device.
    pub weight: u64,
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
            events: row.events,
            device: None,
        });
    }

    /// Adds a process's use of a device to its workload, or to the system.
    pub fn add_device(
        &mut self,
        tgid: u32,
        comm: &str,
        device: DeviceTime,
        workload: Option<Arc<Workload>>,
    ) {
        let workload = workload.map(|workload| self.position(workload));
        self.uses.push(Use {
            workload,
            tgid,
            comm: comm.to_owned(),
            package: 0,
            cpu_ns: 0,
            events: Events::default(),
            device: Some(device),
        });
    }

    /// Adds a workload that is there, whether it used anything or not.
    pub fn add_present(&mut self, workload: Arc<Workload>) {
        self.position(workload);
    }

    /// Adds CPU time on a package that nobody could be found for to the system.
    pub fn add_lost(&mut self, package: u16, cpu_ns: u64) {
        if cpu_ns > 0 {
            self.uses.push(Use {
                workload: None,
                tgid: 0,
                comm: String::new(),
                package,
                cpu_ns,
                events: Events::default(),
                device: None,
            });
        }
    }

    /// In the order in which they were first added.
    #[must_use]
    pub fn workloads(&self) -> &[Arc<Workload>] {
        &self.workloads
    }

    /// What each process used, in the order in which it was added.
    #[must_use]
    pub fn uses(&self) -> &[Use] {
        &self.uses
    }

    /// Whether a use was on this package (any: `None`, and also where the rows do not tell packages apart).
    #[must_use]
    pub fn is_on(&self, used: &Use, package: Option<u16>) -> bool {
        let package = package.filter(|_| self.by_package);
        package.is_none_or(|package| used.package == package)
    }

    /// The uses on one package, as [`Parties::is_on`] has it.
    pub fn on(&self, package: Option<u16>) -> impl Iterator<Item = &Use> {
        self.uses
            .iter()
            .filter(move |used| self.is_on(used, package))
    }

    /// CPU time as a weight for each of [`Parties::uses`]; 0 for what ran on another package.
    #[must_use]
    pub fn cpu_weights(&self, package: Option<u16>) -> Vec<u64> {
        let weight = |used: &Use| {
            if self.is_on(used, package) {
                used.cpu_ns
            } else {
                0
            }
        };
        self.uses.iter().map(weight).collect()
    }

    /// The weight of each of [`Parties::uses`] in the zone of a device; 0 for what used none or another.
    #[must_use]
    pub fn device_weights(&self, zone: usize) -> Vec<u64> {
        let of_zone = |device: DeviceTime| (device.zone == zone).then_some(device.weight);
        let weight = |used: &Use| used.device.and_then(of_zone).unwrap_or(0);
        self.uses.iter().map(weight).collect()
    }

    /// Adds up weights of [`Parties::uses`]: each workload's, and the system's.
    #[must_use]
    pub fn by_workload(&self, weights: &[u64]) -> (Vec<u64>, u64) {
        let (mut workloads, mut system) = (vec![0_u64; self.workloads.len()], 0_u64);
        for (used, weight) in self.uses.iter().zip(weights) {
            let sum = match used.workload {
                Some(position) => &mut workloads[position],
                None => &mut system,
            };
            *sum = sum.saturating_add(*weight);
        }
        (workloads, system)
    }

    /// CPU time of each workload, and of the system.
    #[must_use]
    pub fn cpu_ns(&self) -> (Vec<u64>, u64) {
        self.by_workload(&self.cpu_weights(None))
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
            cgroup: CgroupRef::Path("/".into()),
            package,
            cpu_ns,
            events: Events::default(),
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
        let on = |package| parties.by_workload(&parties.cpu_weights(package));
        assert_eq!(on(Some(0)), (vec![10, 0], 0));
        assert_eq!(on(Some(1)), (vec![5, 7], 1));
        assert_eq!(parties.cpu_ns(), (vec![15, 7], 1));
    }
}
