//! What a report on a run is made from: cells of a zone and a minute or hour, with the shares of all who ran.

use jiff::{SignedDuration, Timestamp};
use wire::Energy;

use super::{LostEnergy, NodeKey, RunSummary};
use crate::rollup::MINUTE_MS;

/// Whose energy it is: what of a batch's workload the rollups keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadLabels {
    /// Empty where it belongs to no workflow.
    pub workflow: String,
    /// Empty where it belongs to no run.
    pub run: String,
    /// Empty where it has no stage.
    pub stage: String,
    /// Long-lived module (serving, storage, ...) that it is; mostly empty.
    pub component: String,
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod, by name or else by uid.
    pub pod: String,
    /// Container, by name or else by id.
    pub container: String,
}

/// What of a workload [`WorkloadLabels`] keeps, in the order of its fields.
pub(super) fn labels(workload: &wire::v1::Workload) -> [&str; 7] {
    fn first<'a>(name: &'a str, id: &'a str) -> &'a str {
        if name.is_empty() { id } else { name }
    }
    [
        &workload.workflow,
        &workload.run,
        &workload.stage,
        &workload.component,
        &workload.namespace,
        first(&workload.pod, &workload.pod_uid),
        first(&workload.container, &workload.container_id),
    ]
}

/// One workload's part of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Index into [`RunLedger::workloads`].
    pub workload: usize,
    /// Its active energy.
    pub active: Energy,
    /// What it used of the zone's resource (CPU time): the weight of the idle policy `usage`.
    pub usage_ns: u64,
    /// CPU time that Kubernetes reserved for it, in microseconds: the weight of the idle policy `request`.
    pub request_us: u64,
}

/// One minute of one additive zone of one node, or one hour where minutes were folded: measured = sum of shares +
/// system + idle.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Its start.
    pub start: Timestamp,
    /// Its length in milliseconds: a minute's or an hour's.
    pub length_ms: u32,
    /// Which node.
    pub node: NodeKey,
    /// Site that the node belongs to.
    pub site: String,
    /// package-0, dram-0, ...
    pub zone: String,
    /// Whether the energy was modelled (else measured).
    pub modelled: bool,
    /// Where it was: the true energy lies between so many per cent of it; `None`: nobody says.
    pub range_percent: Option<(u32, u32)>,
    /// All energy of the zone.
    pub measured: Energy,
    /// Its idle part.
    pub idle: Energy,
    /// Active energy of what belongs to no workload.
    pub system: Energy,
    /// CPU time of the same.
    pub system_usage_ns: u64,
    /// Milliseconds of it for which the energy is known, 0 to `length_ms`.
    pub covered_ms: u32,
    /// Some of the idle energy rests on the model's seed, not on what the node has shown.
    pub idle_seeded: bool,
    /// All workloads that ran in it, of whatever run.
    pub shares: Vec<Share>,
}

impl Cell {
    /// Its end.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.start + SignedDuration::from_millis(self.length_ms.into())
    }

    /// Whether minutes were folded into it.
    #[must_use]
    pub fn is_hour(&self) -> bool {
        i64::from(self.length_ms) > MINUTE_MS
    }
}

/// All that a report on one run is made from: every cell, within the run's minutes, of the nodes it ran on.
#[derive(Clone, Debug, PartialEq)]
pub struct RunLedger {
    /// The run.
    pub summary: RunSummary,
    /// Dictionary of the shares.
    pub workloads: Vec<WorkloadLabels>,
    /// In order of start, node, zone.
    pub cells: Vec<Cell>,
    /// What was lost of the nodes that it ran on, in its time.
    pub losses: Vec<LostEnergy>,
}
