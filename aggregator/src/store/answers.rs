//! What a store answers: runs, stages, nodes and charts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Energy;

/// Names a run: a run id is only unique within its workflow and cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct RunKey {
    /// Cluster that it ran in.
    pub cluster: String,
    /// Workflow that it is a run of.
    pub workflow: String,
    /// Its id.
    pub run: String,
}

/// One run, without its report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    /// Which run.
    #[serde(flatten)]
    pub key: RunKey,
    /// Start of the first interval that it ran in.
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    /// End of the last.
    #[schema(value_type = String, format = DateTime)]
    pub end: Timestamp,
    /// Its stages, in the order in which they first ran.
    pub stages: Vec<String>,
    /// Active energy in joules, exact to the microjoule; idle energy is shared out in reports only.
    pub active_joules: f64,
}

/// Which runs are asked for; an empty filter asks for all.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Only runs that ended at or after this time.
    pub since: Option<Timestamp>,
    /// Only runs of this cluster.
    pub cluster: Option<String>,
    /// Only runs of this workflow.
    pub workflow: Option<String>,
    /// Only runs with this id.
    pub run: Option<String>,
    /// Only runs that have this stage.
    pub stage: Option<String>,
    /// Only so many of them, the latest.
    pub limit: Option<usize>,
}

/// One stage of a workflow over all its runs, and over what it did in none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageSummary {
    /// Cluster that it ran in.
    pub cluster: String,
    /// Workflow that it is a stage of; empty where it belongs to none.
    pub workflow: String,
    /// Its name; empty for what carries a workflow or run and no stage.
    pub stage: String,
    /// Runs that have it.
    pub runs: u64,
    /// Start of the first interval that it ran in.
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    /// End of the last.
    #[schema(value_type = String, format = DateTime)]
    pub end: Timestamp,
    /// Active energy in joules, exact to the microjoule.
    pub active_joules: f64,
}

/// A node of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct NodeKey {
    /// Its cluster.
    pub cluster: String,
    /// Its name there.
    pub node: String,
}

/// What the ledger says of one node since its first batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeSummary {
    /// Which node.
    #[serde(flatten)]
    pub key: NodeKey,
    /// Site that its batches were booked to.
    pub site: String,
    /// When its last batch came.
    #[schema(value_type = String, format = DateTime)]
    pub last_seen: Timestamp,
    /// One entry per zone.
    pub zones: Vec<ZoneTotals>,
}

/// Sums of one zone of one node: measured = workloads + system + idle, in microjoules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ZoneTotals {
    /// package-0, dram-0, ...
    pub zone: String,
    /// The zone that it lies inside; empty where it is additive.
    pub parent: String,
    /// `measured` or `modelled`.
    pub basis: String,
    /// All energy of the zone.
    pub measured_microjoules: u64,
    /// Active energy of workloads.
    pub workload_microjoules: u64,
    /// Active energy of what belongs to no workload.
    pub system_microjoules: u64,
    /// Idle energy.
    pub idle_microjoules: u64,
}

/// What a series is split by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeriesBy {
    /// Whole nodes, as `cluster/node`: measured energy.
    Node,
    /// Stages, as `cluster/workflow/stage`: active energy.
    Stage,
    /// Runs, as `cluster/workflow/run`: active energy.
    Run,
}

/// One minute of one line of a chart; an hour where minutes were folded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SeriesPoint {
    /// Start of the minute or hour.
    #[schema(value_type = String, format = DateTime)]
    pub minute: Timestamp,
    /// 60, or 3,600 for an hour.
    pub seconds: u32,
    /// Name of the line.
    pub name: String,
    /// Energy of it in joules, additive zones together.
    pub joules: f64,
}

/// Energy of all nodes of a site in a minute, or in an hour where minutes were folded.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteEnergy {
    /// The site.
    pub site: String,
    /// Start.
    pub start: Timestamp,
    /// Length: 60 or 3,600.
    pub seconds: u32,
    /// All energy of the additive zones (IT side), whoever used it.
    pub measured: Energy,
    /// The part of it that is modelled.
    pub modelled: Energy,
    /// Known time over elapsed time of these zones, 0 to 1.
    pub coverage_ratio: f64,
}

/// Which times had their intensities changed since one change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotChanges {
    /// Number of the last change; that which was asked for where there was none since.
    pub last: i64,
    /// From and to of each; `None` where it was so long ago that not all are known any more.
    pub times: Option<Vec<(Timestamp, Timestamp)>>,
}
