//! The report on one run: what its energy and carbon were, by stage, component and zone.

mod balance;
mod build;
mod coverage;
mod footprint;
mod notes;
mod stages;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::intensity::Signal;
use crate::store::{LostBy, LostEnergy};

pub use build::build;

/// How a node's idle energy is shared among those who ran on it, per zone and minute. Every policy keeps
/// shares + unshared idle = idle, to the microjoule.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum IdlePolicy {
    /// It stays with the node.
    None,
    /// By CPU time, the system's own included as one party.
    #[default]
    Usage,
    /// By the CPU that Kubernetes reserved for them, whether they used it or not; of a GPU as `usage`.
    Request,
    /// Alike among the workloads that ran.
    Equal,
}

impl IdlePolicy {
    /// As it is written everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Usage => "usage",
            Self::Request => "request",
            Self::Equal => "equal",
        }
    }
}

/// The report on one run. Energies are on the IT side; all are exact to the microjoule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The run's id.
    pub run: String,
    /// Workflow that it is a run of.
    pub workflow: String,
    /// Cluster that it ran in.
    pub cluster: String,
    /// Start of the first interval that it ran in.
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    /// End of the last.
    #[schema(value_type = String, format = DateTime)]
    pub end: Timestamp,
    /// How idle energy was shared out.
    pub idle_policy: IdlePolicy,
    /// Active energy and the share of idle energy.
    pub energy_joules: f64,
    /// The part of `energy_joules` that is idle.
    pub idle_joules: f64,
    /// `energy_joules` x PUE x intensity; null where no intensity is known for some of it, or no energy at
    /// all.
    pub carbon_grams: Option<f64>,
    /// Energy (IT side) that `carbon_grams` could not be told for: no intensity zone, or none known.
    pub uncovered_joules: f64,
    /// Share of the hardware's own making; null until its inventory is known.
    pub embodied_grams: Option<f64>,
    /// Power usage effectiveness, weighted by energy where several sites took part.
    pub pue: f64,
    /// Known time over elapsed time, 0 to 1, over the nodes and zones that the run used.
    pub coverage_ratio: f64,
    /// Part of the energy by basis.
    pub energy_basis: EnergyBasis,
    /// Where the true `energy_joules` is thought to lie, by the models; null where all is measured, or nobody says of
    /// some of it.
    #[serde(default)]
    pub energy_range: Option<EnergyRange>,
    /// Some of the idle energy rests on the model's seed, not on what the nodes have shown.
    pub idle_seeded: bool,
    /// Part of the grams by basis.
    pub intensity_basis: IntensityShares,
    /// The grids that fed it.
    pub intensity: Vec<IntensityUsed>,
    /// Stages, in the order in which they first ran.
    pub stages: Vec<StageReport>,
    /// The nodes' own books over the run's minutes: where all the energy went, the run's and the rest.
    pub balance: Vec<ZoneBalance>,
    /// Energy of the nodes that was lost in the run's time. Who used it is not known, and it is in no other figure.
    #[serde(default)]
    pub lost: Vec<Lost>,
    /// Some of the idle energy was shared out by the hour: the minutes of so long ago are folded into hours.
    #[serde(default)]
    pub idle_by_hour: bool,
    /// What a reader must know of the figures, one sentence each.
    pub notes: Vec<String>,
}

/// Batches that never came, of the nodes that a run ran on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Lost {
    /// Why.
    pub reason: LostBy,
    /// How many.
    pub batches: u64,
    /// Energy of all that ran on the nodes.
    pub joules: f64,
}

impl From<&LostEnergy> for Lost {
    fn from(lost: &LostEnergy) -> Self {
        Self {
            reason: lost.by,
            batches: lost.batches,
            joules: lost.energy.joules(),
        }
    }
}

/// Shares of energy, 0 to 1 each, 1 together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnergyBasis {
    /// Read from counters.
    pub measured: f64,
    /// From a model.
    pub modelled: f64,
}

/// Joules, from the least to the most. What is measured counts as it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnergyRange {
    /// At least.
    pub low_joules: f64,
    /// At most.
    pub high_joules: f64,
}

/// Shares of grams, 0 to 1 each, 1 together (all 0 where there are no grams).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IntensityShares {
    /// Settled by the grid's operator.
    pub measured: f64,
    /// A provider's estimate.
    pub estimated: f64,
    /// Made before its time came.
    pub forecast: f64,
    /// The average of a year.
    pub annual: f64,
}

/// One grid's intensity, as it entered the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IntensityUsed {
    /// Grid, such as `FR`.
    pub intensity_zone: String,
    /// Who says so, with year or version.
    pub provider: String,
    /// What the figure counts.
    pub kind: Signal,
    /// Effective gCO2e per kWh: weighted by the energy that it was applied to.
    pub g_per_kwh: f64,
}

/// One stage of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageReport {
    /// Its name; empty for what carries the run's id and no stage.
    pub stage: String,
    /// Active energy and the share of idle energy.
    pub energy_joules: f64,
    /// Its grams; null where the report's are.
    pub carbon_grams: Option<f64>,
    /// Its parts.
    pub components: Vec<ComponentReport>,
}

/// One zone's part of a stage, by component.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ComponentReport {
    /// Long-lived module; mostly empty.
    pub component: String,
    /// package-0, dram-0, ...: always a power zone.
    pub zone: String,
    /// Active energy.
    pub active_joules: f64,
    /// Share of idle energy.
    pub idle_joules: f64,
    /// `measured` or `modelled`.
    pub basis: String,
}

/// One zone of one node over the run's minutes, in microjoules:
/// measured = stages + other workloads + system + idle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ZoneBalance {
    /// The node.
    pub node: String,
    /// package-0, dram-0, ...
    pub zone: String,
    /// `measured` or `modelled`.
    pub basis: String,
    /// All energy of the zone.
    pub measured_microjoules: u64,
    /// The run's own: active and its share of idle.
    pub run_microjoules: u64,
    /// Other workloads' active energy and their shares of idle.
    pub other_microjoules: u64,
    /// Active energy of what belongs to no workload, and its share of idle.
    pub system_microjoules: u64,
    /// Idle energy that no one took a share of.
    pub idle_microjoules: u64,
}
