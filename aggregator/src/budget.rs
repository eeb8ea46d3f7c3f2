//! Budgets: how many grams or joules a run, or all runs of a month, may use, and how far that is used up.
//!
//! Pure: what each run used comes in as a value, from the same report as everything else.

mod state;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::civil::date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::{RunFilter, RunKey};

pub use state::{Amount, BudgetState, Counted, Standing, state};

/// Budgets that a ledger holds at most: each is a few series in /metrics.
pub const MAX_BUDGETS: usize = 100;
/// Bytes of a budget's name, which is a label in /metrics.
const MAX_NAME_BYTES: usize = 100;
/// Grams or joules that a budget may be: a microgram, and more than anybody uses.
const MIN_LIMIT: f64 = 1e-6;
const MAX_LIMIT: f64 = 1e18;
/// Runs that one budget is counted over at most.
pub const MAX_RUNS: usize = 10_000;

/// One budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Budget {
    /// Its name, by which it is set anew and removed.
    pub name: String,
    /// What it is for.
    #[serde(flatten)]
    pub rule: BudgetRule,
}

/// What a budget is for, and how much it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BudgetRule {
    /// Whose use counts.
    #[serde(flatten)]
    pub scope: Scope,
    /// Whether it is for all of its runs together in a calendar month (UTC), else for each of them alone.
    #[serde(default)]
    pub monthly: bool,
    /// What `limit` counts.
    pub unit: Unit,
    /// As much may be used, more than 0: gCO2e, or joules on the IT side.
    pub limit: f64,
}

/// Whose use counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "scope", content = "of", rename_all = "lowercase")]
pub enum Scope {
    /// The run with this id; where several workflows have one, each of them.
    Run(String),
    /// Runs of this workflow.
    Workflow(String),
    /// Runs of this cluster.
    Cluster(String),
    /// All runs.
    All,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// gCO2e of the energy, facility side.
    Grams,
    /// Energy on the IT side.
    Joules,
}

/// The first rule that a budget breaks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidBudget {
    /// No name, or one that cannot be kept.
    #[error(
        "a budget needs a name of 1 to {MAX_NAME_BYTES} bytes, and one of whom it is for, without control characters"
    )]
    Name,
    /// A limit that is none.
    #[error("a budget of {0} is none: it must be within {MIN_LIMIT} and {MAX_LIMIT:e}")]
    Limit(f64),
    /// Several runs, and nobody says of which time.
    #[error("a budget for a cluster or for all runs is one of a month")]
    NotMonthly,
    /// A run is not a month's.
    #[error("a budget for one run is not one of a month")]
    Monthly,
}

/// A time, half-open.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
pub struct Period {
    /// Start, inclusive.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// End, exclusive.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
}

impl Budget {
    /// Checks what every budget must keep.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn validate(&self) -> Result<(), InvalidBudget> {
        let BudgetRule {
            scope,
            monthly,
            limit,
            ..
        } = &self.rule;
        // A dot or two are steps within an address.
        let is_name = |name: &str| !["", ".", ".."].contains(&name) && wire::is_name(name);
        let is_short = self.name.len() <= MAX_NAME_BYTES;
        if !(is_short && is_name(&self.name)) || scope.of().is_some_and(|of| !is_name(of)) {
            return Err(InvalidBudget::Name);
        }
        if !(MIN_LIMIT..=MAX_LIMIT).contains(limit) {
            return Err(InvalidBudget::Limit(*limit));
        }
        match (scope, monthly) {
            (Scope::Run(_), true) => Err(InvalidBudget::Monthly),
            (Scope::Cluster(_) | Scope::All, false) => Err(InvalidBudget::NotMonthly),
            _ => Ok(()),
        }
    }

    /// Whether a run counts.
    #[must_use]
    pub fn fits(&self, run: &RunKey) -> bool {
        match &self.rule.scope {
            Scope::Run(id) => run.run == *id,
            Scope::Workflow(name) => run.workflow == *name,
            Scope::Cluster(name) => run.cluster == *name,
            Scope::All => true,
        }
    }

    /// Asks for the runs that count, of all times.
    #[must_use]
    pub fn runs(&self) -> RunFilter {
        let of = self.rule.scope.of().map(str::to_owned);
        let all = RunFilter::default();
        match self.rule.scope {
            Scope::Run(_) => RunFilter { run: of, ..all },
            Scope::Workflow(_) => RunFilter {
                workflow: of,
                ..all
            },
            Scope::Cluster(_) => RunFilter { cluster: of, ..all },
            Scope::All => all,
        }
    }
}

impl Scope {
    /// `run`, `workflow`, `cluster` or `all`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Workflow(_) => "workflow",
            Self::Cluster(_) => "cluster",
            Self::All => "all",
        }
    }

    /// The run's id, or the name; `None` for all runs.
    #[must_use]
    pub fn of(&self) -> Option<&str> {
        match self {
            Self::Run(of) | Self::Workflow(of) | Self::Cluster(of) => Some(of),
            Self::All => None,
        }
    }

    /// From its parts; `None` where there is no such kind.
    #[must_use]
    pub fn from_parts(kind: &str, of: String) -> Option<Self> {
        Some(match kind {
            "run" => Self::Run(of),
            "workflow" => Self::Workflow(of),
            "cluster" => Self::Cluster(of),
            "all" => Self::All,
            _ => return None,
        })
    }
}

impl Unit {
    /// As it is written everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grams => "grams",
            Self::Joules => "joules",
        }
    }
}

impl Period {
    /// The calendar month in UTC that has `time` in it.
    #[must_use]
    pub fn month(time: Timestamp) -> Self {
        let day = time.to_zoned(TimeZone::UTC).date();
        let first = date(day.year(), day.month(), 1);
        let start = |day: jiff::civil::Date| {
            let midnight = day.to_zoned(TimeZone::UTC);
            midnight.map(|midnight| midnight.timestamp())
        };
        let next = first.last_of_month().tomorrow();
        Self {
            from: start(first).unwrap_or(Timestamp::MIN),
            to: next.and_then(start).unwrap_or(Timestamp::MAX),
        }
    }

    /// Whether some of the time from `start` to `end` lies in it.
    #[must_use]
    pub fn touches(&self, start: Timestamp, end: Timestamp) -> bool {
        start < self.to && self.from < end
    }
}
