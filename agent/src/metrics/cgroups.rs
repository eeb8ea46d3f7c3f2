//! Families about the naming of cgroups.

use prometheus::proto::MetricFamily;

use super::families::{counter, gauge};
use crate::cgroup::watch::Counts;
use crate::identity::Unresolved;

pub(super) fn families(unresolved: Unresolved, watch: Option<Counts>) -> Vec<MetricFamily> {
    vec![
        counter(
            "hxmlops_agent_unresolved_cgroups_total",
            "Cgroups that were gone before their path was known; their energy is the system's.",
            [(vec![], unresolved.cgroups as f64)],
        ),
        counter(
            "hxmlops_agent_unresolved_cpu_seconds_total",
            "CPU time of which nobody can tell any more whose it was; its energy is the system's.",
            [(vec![], unresolved.cpu_ns as f64 / 1e9)],
        ),
        gauge(
            "hxmlops_agent_cgroup_watches",
            "Inotify watches of the cgroup trees.",
            watch.map(|watch| (vec![], watch.watches as f64)),
        ),
        counter(
            "hxmlops_agent_cgroup_watch_overflows_total",
            "Times that more changed in the cgroup trees than the kernel queues, and they were walked.",
            watch.map(|watch| (vec![], watch.overflows as f64)),
        ),
    ]
}
