//! The report on one run: what its energy and carbon were, by stage, component and zone.

mod balance;
mod build;
mod components;
mod course;
mod coverage;
mod embodied;
mod footprint;
mod notes;
mod pods;
mod sci;
mod sites;
mod stages;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Energy;

use crate::compare::Comparison;
use crate::equivalents::Equivalent;
use crate::intensity::Signal;
use crate::store::{LostBy, LostEnergy};

pub use build::build;
pub use components::{ComponentUse, component_uses, recent_minutes};
pub use sci::{FunctionalUnit, Sci};

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
    /// What each signal says, where there is not one figure for all: other signals of the energy that has none of its site's own, and
    /// the sites' own where they count different things. Never part of `carbon_grams`.
    #[serde(default)]
    pub subtotals: Vec<Subtotal>,
    /// Where the true `carbon_grams` is thought to lie, as far as that is known; the notes say how far. Null where
    /// nothing is known of it.
    #[serde(default)]
    pub carbon_range: Option<CarbonRange>,
    /// For the GHG Protocol's Scope 2: both figures side by side, which are never added.
    #[serde(default)]
    pub scope2: Scope2,
    /// Share of the carbon of making the nodes that it ran on; null where the inventory of one is not known.
    pub embodied_grams: Option<f64>,
    /// How that was shared out.
    #[serde(default)]
    pub embodied_by: EmbodiedPolicy,
    /// Software carbon intensity per functional unit, where one was declared.
    #[serde(default)]
    pub sci: Option<Sci>,
    /// Power usage effectiveness, weighted by energy where several sites took part.
    pub pue: f64,
    /// Sites that it ran at, by name.
    #[serde(default)]
    pub sites: Vec<String>,
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
    /// Which state of the intensities it was made with.
    #[serde(default)]
    pub revision: Revision,
    /// Where it was asked for: how the run differs from another, whose notes it has.
    #[serde(default)]
    pub baseline: Option<Comparison>,
    /// Where it was asked for: what `carbon_grams` compare to.
    #[serde(default)]
    pub equivalents: Vec<Equivalent>,
    /// Stages, in the order in which they first ran.
    pub stages: Vec<StageReport>,
    /// Pods, those with the most energy first; beyond 200, the others together under an empty name.
    #[serde(default)]
    pub pods: Vec<PodReport>,
    /// Where it was asked for: its power over time, with the intensity behind it, at most 240 parts of equal length.
    #[serde(default)]
    pub course: Vec<CoursePart>,
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

/// Energy that is in no figure for all, as one signal counts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Subtotal {
    /// What the grams count.
    pub kind: Signal,
    /// IT energy that this signal has figures for.
    pub energy_joules: f64,
    /// Its grams, PUE included.
    pub carbon_grams: f64,
}

/// Grams, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CarbonRange {
    /// At least.
    pub low_grams: f64,
    /// At most.
    pub high_grams: f64,
}

/// Purchased electricity, counted both ways.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scope2 {
    /// By the grid's average: `carbon_grams`; null where that is, and of marginal signals.
    pub location_grams: Option<f64>,
    /// By the sites' contracts; null where one has none.
    pub market_grams: Option<f64>,
    /// The contracts.
    pub market_sources: Vec<String>,
}

/// By what the carbon of making a node is shared among those who ran on it; what is left is nobody's. GPUs go by
/// the energy that each made them use.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum EmbodiedPolicy {
    /// CPU time used, of all the CPU time that the node has.
    #[default]
    Use,
    /// CPU that Kubernetes reserved, of all the CPU that the node has.
    Reservation,
}

impl EmbodiedPolicy {
    /// As it is written everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Reservation => "reservation",
        }
    }
}

/// A state of the intensities that concern a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Revision {
    /// How many times something of it was recorded: intensities of its time, or its sites' settings; 0 where there are no
    /// settings, and only the yearly table is known.
    pub number: u64,
    /// The last of these times: with `as_of` from then on until the next, the report is this one.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recorded: Option<Timestamp>,
    /// The time that was asked for; null for what is known now.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub as_of: Option<Timestamp>,
}

/// One pod's part of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PodReport {
    /// Its Kubernetes namespace.
    pub namespace: String,
    /// Its name; empty for what ran in none, and for all pods beyond the bound.
    pub pod: String,
    /// Active energy and the share of idle energy.
    pub energy_joules: f64,
    /// The part of it that is idle.
    pub idle_joules: f64,
    /// Its grams; null where the report's are.
    pub carbon_grams: Option<f64>,
}

/// A part of the run's time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CoursePart {
    /// Start, inclusive.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// End, exclusive.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// Active energy of each stage, in the order of the report's stages.
    pub active_joules: Vec<f64>,
    /// The run's share of idle energy.
    pub idle_joules: f64,
    /// Effective gCO2e per kWh of its energy; null where it used none, or not all of it has a figure.
    pub g_per_kwh: Option<f64>,
}

/// Shares of energy, 0 to 1 each, 1 together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EnergyBasis {
    /// Read from counters.
    pub measured: f64,
    /// From a model.
    pub modelled: f64,
}

impl EnergyBasis {
    /// Of energy, some of it modelled; all 0 where there is none.
    fn of(energy: Energy, modelled: Energy) -> Self {
        if energy == Energy::ZERO {
            return Self::default();
        }
        let modelled = modelled.joules() / energy.joules();
        Self {
            measured: 1.0 - modelled,
            modelled,
        }
    }
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
    /// Power usage effectiveness, weighted by its energy where it ran at several sites.
    #[serde(default = "pue_of_it_alone")]
    pub pue: f64,
    /// Its parts.
    pub components: Vec<ComponentReport>,
}

/// Of a report by a program that does not tell it by stage.
fn pue_of_it_alone() -> f64 {
    1.0
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
