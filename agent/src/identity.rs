//! Whose CPU time it is: from a cgroup, or a process, to a workload.

mod devices;
mod naming;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wire::v1::{Workload, WorkloadKind};

use self::devices::Known;
use self::naming::Naming;
use crate::cgroup::hierarchy::Hierarchy;
use crate::cgroup::watch::{CgroupWatch, Counts, Lookup, Names};
use crate::cgroup::{Owner, owner};
use crate::exec_tree::ExecTrees;
use crate::kube::{Directory, Kube, Who};
use crate::machines::Machines;
use crate::parties::Parties;
use crate::sensor::boottime_ns;
use crate::spool::Named;
use crate::usage::{CgroupRef, UsageInterval, UsageRow};

/// The workflow of all Slurm jobs; the job is its run, the step its stage.
const SLURM: &str = "slurm";

/// Resolves rows of usage.
#[derive(Debug)]
pub struct Identities {
    proc_root: PathBuf,
    cgroups: Arc<CgroupWatch>,
    exec_trees: ExecTrees,
    machines: Machines,
    unresolved: Unresolved,
    device_users: Known,
    kube: Option<Arc<Kube>>,
    naming: Naming,
}

/// What could not be named and went to `system`, since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unresolved {
    /// Cgroups that were gone before their path was known.
    pub cgroups: u64,
    /// CPU time used in them, and in those of processes that were gone where only they could have told.
    pub cpu_ns: u64,
}

/// Whose a row is.
enum Found {
    Owner(Owner),
    /// It belongs to no workload.
    Nobody,
    /// Nobody can tell any more.
    Unresolved {
        new_cgroup: bool,
    },
}

impl Identities {
    /// By the cgroups that are watched, and the processes in `proc_root`.
    #[must_use]
    pub fn new(proc_root: &Path, cgroups: Arc<CgroupWatch>) -> Self {
        Self {
            proc_root: proc_root.to_path_buf(),
            exec_trees: ExecTrees::find(proc_root),
            machines: Machines::new(proc_root),
            cgroups,
            unresolved: Unresolved::default(),
            device_users: Known::default(),
            kube: None,
            naming: Naming::default(),
        }
    }

    /// Names pods from now on, as `kube` has them.
    pub fn name_pods(&mut self, kube: Arc<Kube>) {
        self.kube = Some(kube);
    }

    /// Where pods' names come from.
    #[must_use]
    pub fn kube(&self) -> Option<&Arc<Kube>> {
        self.kube.as_ref()
    }

    /// What went to `system` for want of a name.
    #[must_use]
    pub fn unresolved(&self) -> Unresolved {
        self.unresolved
    }

    /// How the watching of the cgroups goes.
    #[must_use]
    pub fn watch_counts(&self) -> Counts {
        self.cgroups.counts()
    }

    /// Every workload that has a cgroup or a supervisor now, whether it runs or sleeps.
    #[must_use]
    pub fn alive(&self) -> HashSet<Arc<Workload>> {
        let supervised = self.exec_trees.groups().cloned().map(Owner::Exec);
        let owners = self
            .cgroups
            .owners()
            .into_iter()
            .chain(supervised)
            .chain(self.machines.owners());
        let mut pods = self.kube.as_ref().map(|kube| kube.pods.lock());
        let workload = |owner| workload(owner, pods.as_deref_mut());
        owners.map(workload).collect()
    }

    /// Names for what was told without one, now that they are known, at the end of an interval.
    pub fn take_names(&mut self, parties: &Parties) -> Vec<Named> {
        let Some(kube) = &self.kube else {
            return Vec::new();
        };
        let now_ns = boottime_ns();
        self.naming.note(parties, now_ns);
        let mut pods = kube.pods.lock();
        let names = self.naming.take(&mut pods, now_ns);
        let owners = self.cgroups.owners();
        let uids: HashSet<&str> = owners.iter().filter_map(pod_uid).collect();
        pods.forget(now_ns, |uid| uids.contains(uid));
        if self.naming.waits() {
            kube.wanted.notify_one();
        }
        names
    }

    /// Adds containers that are there with a CPU request, though they sleep: they bear idle energy by what is reserved.
    fn add_reserved(&self, pods: &mut Directory, parties: &mut Parties) {
        for owner in self.cgroups.owners() {
            let workload = workload(owner, Some(pods));
            if workload.cpu_request_millis > 0 {
                parties.add_present(workload);
            }
        }
    }

    /// Adds up the rows by the workload that they belong to.
    pub fn group(&mut self, usage: &UsageInterval) -> Parties {
        self.exec_trees.refresh(&usage.rows);
        self.machines.refresh(&usage.rows);
        let mut unresolved = self.unresolved;
        let mut names = self.cgroups.names();
        let mut pods = self.kube.as_ref().map(|kube| kube.pods.lock());
        let mut parties = Parties::new(usage.by_package);
        for row in &usage.rows {
            let owner = match self.find(row, &mut names) {
                Found::Owner(owner) => Some(owner),
                Found::Nobody => self.machines.owner(row.tgid),
                Found::Unresolved { new_cgroup } => {
                    unresolved.cgroups += u64::from(new_cgroup);
                    unresolved.cpu_ns += row.cpu_ns;
                    None
                }
            };
            let workload = owner.map(|owner| workload(owner, pods.as_deref_mut()));
            parties.add(row, workload);
        }
        for time in &usage.packages {
            parties.add_lost(time.package, time.lost_ns);
        }
        drop(names);
        if let Some(pods) = &mut pods {
            self.add_reserved(pods, &mut parties);
        }
        drop(pods);
        self.unresolved = unresolved;
        parties
    }

    fn find(&self, row: &UsageRow, names: &mut Names<'_>) -> Found {
        if let Some(group) = self.exec_trees.group_of(row.tgid) {
            return Found::Owner(Owner::Exec(group.clone()));
        }
        let (unified, v1) = match &row.cgroup {
            CgroupRef::Path(path) => return owner(path).map_or(Found::Nobody, Found::Owner),
            CgroupRef::Ids { unified, v1 } => (*unified, *v1),
        };
        let by_unified = names.look_up(Hierarchy::Unified, unified);
        let by_v1 = match &by_unified {
            Lookup::Known(Some(Owner::Exec(_))) => Lookup::Known(None),
            _ if v1 != 0 => names.look_up(Hierarchy::Cpuacct, v1),
            Lookup::Known(Some(_)) => Lookup::Known(None),
            _ if self.cgroups.hierarchies().cpuacct.is_some() => self.owner_by_process(row.tgid),
            _ => Lookup::Known(None),
        };
        choose(by_unified, by_v1)
    }

    /// On hosts with v1 trees a container may be in them alone.
    fn owner_by_process(&self, tgid: u32) -> Lookup {
        let path = self.proc_root.join(format!("{tgid}/cgroup"));
        let Ok(cgroups) = fs::read_to_string(path) else {
            return Lookup::Unknown { first: false };
        };
        Lookup::Known(owner_in(&cgroups))
    }
}

/// The owner by a `PID/cgroup`, whose lines are `number:controllers:path`: an exec group decides, and else the unified
/// hierarchy, whose line is the last.
fn owner_in(cgroups: &str) -> Option<Owner> {
    let paths = cgroups
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2));
    let owners: Vec<Owner> = paths.filter_map(owner).collect();
    let group = owners.iter().find(|owner| matches!(owner, Owner::Exec(_)));
    group.or(owners.last()).cloned()
}

/// An exec group decides over the container that it runs in, and else the unified hierarchy.
fn choose(by_unified: Lookup, by_v1: Lookup) -> Found {
    let is_new = |lookup: &Lookup| matches!(lookup, Lookup::Unknown { first: true });
    let new_cgroup = is_new(&by_unified) || is_new(&by_v1);
    match (by_unified, by_v1) {
        (_, Lookup::Known(Some(group @ Owner::Exec(_)))) => Found::Owner(group),
        (Lookup::Known(Some(owner)), _) | (_, Lookup::Known(Some(owner))) => Found::Owner(owner),
        (Lookup::Known(None), Lookup::Known(None)) => Found::Nobody,
        _ => Found::Unresolved { new_cgroup },
    }
}

/// The pod that an owner is of, where its cgroup tells.
fn pod_uid(owner: &Owner) -> Option<&str> {
    match owner {
        Owner::Container { pod_uid, .. } => pod_uid.as_deref(),
        Owner::Pod { pod_uid } => Some(pod_uid),
        _ => None,
    }
}

/// Who Kubernetes says that it is.
fn by_name(owner: &Owner, pods: &mut Directory) -> Option<Workload> {
    let container_id = match owner {
        Owner::Container { container_id, .. } => container_id,
        Owner::Pod { .. } => "",
        _ => return None,
    };
    let uid = pod_uid(owner);
    match pods.who(uid, container_id, boottime_ns()) {
        Who::Named(workload) | Who::InPod(workload) => Some(Workload {
            // As its cgroup has it, also where the API's object has another.
            pod_uid: uid.map_or(workload.pod_uid, str::to_owned),
            ..workload
        }),
        Who::Unknown => None,
    }
}

fn workload(owner: Owner, pods: Option<&mut Directory>) -> Arc<Workload> {
    if let Some(named) = pods.and_then(|pods| by_name(&owner, pods)) {
        return Arc::new(named);
    }
    let workload = match owner {
        Owner::Container {
            pod_uid,
            container_id,
        } => Workload {
            kind: WorkloadKind::Container.into(),
            pod_uid: pod_uid.unwrap_or_default(),
            container_id,
            ..Workload::default()
        },
        Owner::Pod { pod_uid } => Workload {
            kind: WorkloadKind::Container.into(),
            pod_uid,
            ..Workload::default()
        },
        Owner::Vm { name } => Workload {
            kind: WorkloadKind::Vm.into(),
            pod: name,
            ..Workload::default()
        },
        Owner::Slurm(step) => Workload {
            kind: WorkloadKind::Slurm.into(),
            workflow: SLURM.to_owned(),
            run: step.job,
            stage: step.step,
            ..Workload::default()
        },
        Owner::Exec(group) => Workload {
            kind: WorkloadKind::Exec.into(),
            container_id: group.id().to_owned(),
            workflow: group.workflow().to_owned(),
            run: group.run().to_owned(),
            stage: group.stage().to_owned(),
            ..Workload::default()
        },
    };
    Arc::new(workload)
}

#[cfg(test)]
mod tests;
