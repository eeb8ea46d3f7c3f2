//! What a ledger lacks, how long it keeps what it has, and what its check found.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::Energy;

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
