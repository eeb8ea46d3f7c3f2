//! What keeps the ledger: the seam behind which SQLite stands today and PostgreSQL later.
//!
//! The raw form of the ledger is the batch as it came; its rollups are rows per minute, sums of integers.
//! A store does no carbon and shares out no idle energy: that is done on read, from what it returns.

mod prepared;
mod sqlite;

use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::{Energy, StreamId};

use crate::intensity::Slot;
use crate::rollup::{MINUTE_MS, Unfit};
use crate::site::Site;

pub use prepared::Prepared;
pub use sqlite::SqliteStore;

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The same (node, stream, sequence) was written before with other content.
    #[error("batch {sequence} of stream {stream_id} was already written with other content")]
    Conflict {
        /// Stream of the batch.
        stream_id: StreamId,
        /// Its number in the stream.
        sequence: u64,
    },
    /// It was declared lost, and its energy is on record as such.
    #[error("batch {sequence} of stream {stream_id} was declared lost before")]
    DeclaredLost {
        /// Stream of the batch.
        stream_id: StreamId,
        /// Its number in the stream.
        sequence: u64,
    },
    /// More batches wait to be written than there may be.
    #[error("too many batches wait to be written; send it again later")]
    Busy,
    /// A valid batch that a ledger cannot hold; it never will.
    #[error("the batch does not fit the ledger: {0}")]
    Unfit(#[from] Unfit),
    /// A question whose answer is made from more rows than there may be.
    #[error(
        "the answer would be made from more than {0} rows and is not given; ask for less, or a shorter time"
    )]
    TooLarge(usize),
    /// The ledger was written by a newer program.
    #[error(
        "the ledger {path} has schema {found}, this program knows up to {known}; use a newer hxmlops"
    )]
    Newer {
        /// Where the ledger is.
        path: String,
        /// Its schema's number.
        found: i64,
        /// The newest schema that this program knows.
        known: i64,
    },
    /// No such ledger, and the caller did not want one made.
    #[error("there is no ledger in {0}: is it the data directory of a server?")]
    Missing(String),
    /// The store could not read or write.
    #[error("the ledger {path}: {message}")]
    Failed {
        /// Where the ledger is.
        path: String,
        /// What the database said.
        message: String,
    },
}

/// A batch that was decoded and found valid, with the bytes it came in.
#[derive(Clone, Debug)]
pub struct ReceivedBatch {
    /// The bytes as they came, kept as they are.
    pub bytes: Vec<u8>,
    /// What they say.
    pub batch: wire::v1::Batch,
    /// When they came.
    pub received: Timestamp,
}

/// What became of a batch that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is new, and durable now.
    New,
    /// It was there already, byte for byte.
    Duplicate,
}

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
fn labels(workload: &wire::v1::Workload) -> [&str; 7] {
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

/// Why a batch will never come.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum LostBy {
    /// The sender's spool was full.
    Dropped,
    /// The aggregator refused it for good.
    Refused,
    /// It could not be read from the spool any more.
    Damaged,
}

impl LostBy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Dropped, Self::Refused, Self::Damaged];

    /// As it is written everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Damaged => "damaged",
        }
    }
}

/// Energy of batches that will never come. It is in no other sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostEnergy {
    /// Why.
    pub by: LostBy,
    /// How many batches.
    pub batches: u64,
    /// Energy of their additive zones.
    pub energy: Energy,
}

/// What a ledger holds and lacks, as far as it is cheap to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// One entry for each reason for which there is a loss.
    pub losses: Vec<LostEnergy>,
    /// Sequences that are missing: neither written nor declared lost, and later ones are there.
    pub missing: u64,
    /// Batches that wait to be written.
    pub waiting: u64,
    /// Bytes of the file that are free to be used again.
    pub free_bytes: u64,
}

/// How long each form is kept at least; hours are kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Batches as they came, from when they came.
    pub raw: Duration,
    /// Rollups by the minute, from the minute on.
    pub minutes: Duration,
}

/// What one step of keeping the retention did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Batches whose raw form was forgotten.
    pub batches: u64,
    /// Zone-minutes that were folded into hours.
    pub minutes: u64,
    /// There is more to do.
    pub more: bool,
}

/// Told what became of a batch, once: on a thread of the store, which must not be kept. Dropped untold where the
/// store broke down.
pub type Answer = Box<dyn FnOnce(Result<Written, StoreError>) + Send>;

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

/// What `ledger check` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Raw batches that were read again.
    pub batches: u64,
    /// Zone-minutes and zone-hours whose parts were added up.
    pub cells: u64,
    /// All energy of additive zones.
    pub measured: Energy,
    /// What was lost; it is not in `measured`.
    pub losses: Vec<LostEnergy>,
    /// Sequences that are missing: neither written nor declared lost, and later ones are there.
    pub missing: u64,
    /// Whether the raw form of older batches was forgotten: rollups of their time are no longer held against
    /// it.
    pub raw_forgotten: bool,
    /// One line for each thing that does not hold; empty: conservation is proved.
    pub faults: Vec<String>,
}

/// A ledger's store. Calls block; servers make them on a thread for that.
pub trait Store: Send + Sync {
    /// Takes in a batch and its rollups, once, and returns before it is written; `answer` is called when it is
    /// durable, or why it is not: [`StoreError::Busy`] where too many wait, [`StoreError::Conflict`] where its
    /// key is taken by other content, [`StoreError::DeclaredLost`], or [`StoreError::Unfit`] where its sums
    /// would be too great. Batches that wait at the same time become durable together.
    fn submit(&self, batch: Prepared, answer: Answer);

    /// Writes a batch and its rollups: durable when it returns.
    ///
    /// # Errors
    /// As [`Store::submit`] says.
    fn write_batch(&self, batch: &ReceivedBatch, site: &str) -> Result<Written, StoreError> {
        let prepared = Prepared::new(Arc::new(batch.clone()), site)?;
        let (tell, told) = mpsc::sync_channel(1);
        let answer = move |written| {
            // Fails only where the caller is gone.
            let _ = tell.send(written);
        };
        self.submit(prepared, Box::new(answer));
        told.recv().unwrap_or_else(|_| {
            self.health()?;
            Err(StoreError::Busy)
        })
    }

    /// Whether all parts of the store are alive.
    ///
    /// # Errors
    /// Where one has broken down: the store has to be opened anew.
    fn health(&self) -> Result<(), StoreError>;

    /// What the ledger holds and lacks.
    ///
    /// # Errors
    /// Where the store fails.
    fn figures(&self) -> Result<Figures, StoreError>;

    /// Does one bounded step towards a retention: forgets raw batches, folds minutes into hours.
    ///
    /// # Errors
    /// Where the store fails.
    fn tidy(&self, now: Timestamp, retention: &Retention) -> Result<Tidied, StoreError>;

    /// Runs, the latest start first.
    ///
    /// # Errors
    /// Where the store fails.
    fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError>;

    /// What the report on a run is made from; `None` where there is no such run.
    ///
    /// # Errors
    /// Where the store fails.
    fn run_ledger(&self, key: &RunKey) -> Result<Option<RunLedger>, StoreError>;

    /// All stages, by cluster, workflow and name.
    ///
    /// # Errors
    /// Where the store fails.
    fn stages(&self) -> Result<Vec<StageSummary>, StoreError>;

    /// All nodes, by cluster and name.
    ///
    /// # Errors
    /// Where the store fails.
    fn nodes(&self) -> Result<Vec<NodeSummary>, StoreError>;

    /// Energy per minute from `from` (inclusive) to `to` (exclusive), in order of time and name.
    ///
    /// # Errors
    /// Where the store fails.
    fn series(
        &self,
        by: SeriesBy,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SeriesPoint>, StoreError>;

    /// Keeps the sites that a server was started with, so that the ledger can be read without it.
    ///
    /// # Errors
    /// Where the store fails.
    fn put_sites(&self, sites: &[Site]) -> Result<(), StoreError>;

    /// The sites that were kept.
    ///
    /// # Errors
    /// Where the store fails.
    fn sites(&self) -> Result<Vec<Site>, StoreError>;

    /// Writes intensity slots in one transaction. A slot of the same zone, start, end, signal and basis with
    /// another figure becomes a new revision; the old one stays. Of equal ones in one call the last counts.
    /// Returns how many were new or changed.
    ///
    /// # Errors
    /// Where the store fails.
    fn put_slots(&self, slots: &[Slot]) -> Result<usize, StoreError>;

    /// The newest revision of every slot of an intensity zone that touches `from` to `to`, by start; slots of
    /// different basis stand side by side.
    ///
    /// # Errors
    /// Where the store fails.
    fn slots(
        &self,
        intensity_zone: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Slot>, StoreError>;

    /// Whether there is any slot of an intensity zone.
    ///
    /// # Errors
    /// Where the store fails.
    fn has_slots(&self, intensity_zone: &str) -> Result<bool, StoreError>;

    /// Reads every raw batch again and proves that the rollups are their sums, and that each zone-minute's
    /// parts are what was measured. `progress` is called with (batches done, batches in all).
    ///
    /// # Errors
    /// Where the store fails; what does not hold is in the report, not an error.
    fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, StoreError>;
}
