//! Kepler's levels of workloads: which of ours are one, and by what labels.

use wire::v1::{Workload, WorkloadKind};

use super::OTHER;

/// A series' labels, in the order of [`Level::labels`].
pub(super) type Values = Vec<String>;

/// One level.
#[derive(Debug)]
pub(super) struct Level {
    /// As metric names have it.
    pub(super) noun: &'static str,
    /// Labels that tell its workloads apart.
    pub(super) labels: &'static [&'static str],
    /// Kepler has GPU families of it.
    pub(super) has_gpu: bool,
    /// A workload's labels; `None`: it is none of this level.
    pub(super) values: fn(&Workload) -> Option<Values>,
}

/// All of them.
pub(super) static LEVELS: [Level; 3] = [
    Level {
        noun: "container",
        labels: &["container_id", "container_name", "runtime", "pod_id"],
        has_gpu: true,
        values: container,
    },
    Level {
        noun: "pod",
        labels: &["pod_id", "pod_name", "pod_namespace"],
        has_gpu: true,
        values: pod,
    },
    Level {
        noun: "vm",
        labels: &["vm_id", "vm_name", "hypervisor"],
        has_gpu: false,
        values: vm,
    },
];

impl Level {
    /// The labels of those that found no place of their own.
    pub(super) fn others(&self) -> Values {
        vec![OTHER.to_owned(); self.labels.len()]
    }
}

/// The runtime is not told: a container's identity here is its id, whoever made it.
fn container(workload: &Workload) -> Option<Values> {
    let is_one = workload.kind() == WorkloadKind::Container && !workload.container_id.is_empty();
    let (id, name) = (&workload.container_id, &workload.container);
    is_one.then(|| {
        vec![
            id.clone(),
            name.clone(),
            String::new(),
            workload.pod_uid.clone(),
        ]
    })
}

fn pod(workload: &Workload) -> Option<Values> {
    let is_one = workload.kind() == WorkloadKind::Container && !workload.pod_uid.is_empty();
    let (name, namespace) = (&workload.pod, &workload.namespace);
    is_one.then(|| vec![workload.pod_uid.clone(), name.clone(), namespace.clone()])
}

fn vm(workload: &Workload) -> Option<Values> {
    let name = &workload.pod;
    let is_one = workload.kind() == WorkloadKind::Vm;
    is_one.then(|| vec![name.clone(), name.clone(), "kvm".to_owned()])
}
