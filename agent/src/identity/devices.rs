//! Whose processes use a device: by pid, since a driver knows of no cgroups.

use std::collections::HashMap;
use std::sync::Arc;

use wire::v1::Workload;

use super::{Identities, owner_in, workload};
use crate::cgroup::Owner;
use crate::parties::{DeviceTime, Parties};
use crate::sensor::activity::{Activity, DeviceUse};
use crate::usage::proc_stat::ProcessStat;

/// A process is remembered for this many intervals after the last that told of it: what it used before it ended is told
/// of once it has.
const REMEMBERED: u32 = 4;

/// Processes that use devices or did so lately, as they were seen alive.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<u32, Process>);

#[derive(Clone, Debug)]
struct Process {
    /// With the pid, its identity; `None` where it was not seen alive.
    start_ticks: Option<u64>,
    comm: String,
    workload: Option<Arc<Workload>>,
    /// Intervals since a device told of it.
    unseen: u32,
}

impl Identities {
    /// Adds to the parties who used devices: what each did, in the order of the node's zones. After [`Identities::group`],
    /// which finds out who is alive.
    pub fn add_devices<'a>(
        &mut self,
        activities: impl Iterator<Item = &'a Activity> + Clone,
        parties: &mut Parties,
    ) {
        for used in activities.clone().flat_map(|activity| &activity.uses) {
            self.refresh_device_user(used, parties);
        }
        for (zone, activity) in activities.enumerate() {
            for (pid, weight) in activity.weights() {
                let process = self.device_users.0.get(&pid);
                let (comm, workload) =
                    process.map_or(("", None), |known| (&*known.comm, known.workload.clone()));
                parties.add_device(pid, comm, DeviceTime { zone, weight }, workload);
            }
        }
        self.device_users.0.retain(|_, process| {
            process.unseen += 1;
            process.unseen <= REMEMBERED
        });
    }

    /// One that lives is whose it is now; one that has ended is whose it was, or whose the CPU time of the interval says.
    /// Whoever was given a pid again inherits nothing, and pays for nothing that was used before it came to the device.
    fn refresh_device_user(&mut self, used: &DeviceUse, parties: &Parties) {
        let known = self.device_users.0.get(&used.pid).cloned();
        let is_it = |living: &Process| {
            used.there_ns > 0
                || known
                    .as_ref()
                    .is_none_or(|known| known.start_ticks == living.start_ticks)
        };
        let living = self.living(used.pid).filter(is_it);
        let process = living.or(known).or_else(|| ended(used.pid, parties));
        if let Some(process) = process {
            self.device_users.0.insert(
                used.pid,
                Process {
                    unseen: 0,
                    ..process
                },
            );
        }
    }

    fn living(&self, pid: u32) -> Option<Process> {
        let directory = self.proc_root.join(pid.to_string());
        let stat = ProcessStat::read(&directory)?;
        let supervised = self
            .exec_trees
            .group_of_living(pid)
            .cloned()
            .map(Owner::Exec);
        let by_cgroup = || owner_in(&std::fs::read_to_string(directory.join("cgroup")).ok()?);
        let by_cgroup = supervised.or_else(by_cgroup);
        let owner = by_cgroup.or_else(|| self.machines.owner(pid));
        let mut pods = self.kube.as_ref().map(|kube| kube.pods.lock());
        Some(Process {
            start_ticks: Some(stat.start_ticks),
            comm: stat.comm,
            workload: owner.map(|owner| workload(owner, pods.as_deref_mut())),
            unseen: 0,
        })
    }
}

/// By what it used of the CPUs before it ended.
fn ended(pid: u32, parties: &Parties) -> Option<Process> {
    let used = parties
        .uses()
        .iter()
        .find(|used| used.tgid == pid && pid != 0)?;
    Some(Process {
        start_ticks: None,
        comm: used.comm.clone(),
        workload: used
            .workload
            .map(|position| parties.workloads()[position].clone()),
        unseen: 0,
    })
}

#[cfg(test)]
mod tests;
