//! How far a budget is used up.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Budget, Period, Scope, Unit};
use crate::intensity::Signal;
use crate::store::RunKey;

/// What one run used, within a budget's period.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Amount {
    /// On the IT side; `None` where the run is too large to be counted.
    pub joules: Option<f64>,
    /// gCO2e; `None` where the intensity of some of it is not known.
    pub grams: Option<f64>,
    /// What the grams count; `None` where there are none.
    pub signal: Option<Signal>,
}

impl Amount {
    /// Of a run that had no part in the time.
    pub const NONE: Self = Self {
        joules: Some(0.0),
        grams: Some(0.0),
        signal: None,
    };
    /// Of a run that cannot be counted.
    pub const UNKNOWN: Self = Self {
        joules: None,
        grams: None,
        signal: None,
    };
}

/// A run that counts, and what it used.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// Which run.
    pub run: RunKey,
    /// What it used.
    pub amount: Amount,
}

/// How a budget stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// No more was used than there is.
    Kept,
    /// More was used.
    Over,
    /// What is known is within it, and some is not known.
    Unknown,
}

/// A budget, and how far it is used up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct BudgetState {
    /// Which budget.
    #[serde(flatten)]
    pub budget: Budget,
    /// How it stands.
    pub standing: Standing,
    /// What was used, in the budget's unit, as far as it is known: by all runs of the month, or by that one which used
    /// the most. Grams of runs that count different things are not added: those of which there are most.
    pub used: f64,
    /// The same over the limit.
    pub used_ratio: f64,
    /// The month; null for a budget of each run.
    pub period: Option<Period>,
    /// Of a budget of each run: which used the most; null where there is none.
    pub run: Option<RunKey>,
    /// Runs that were counted.
    pub runs: u64,
    /// Those of them whose use is not known.
    pub unknown_runs: u64,
    /// There are more runs than one budget is counted over.
    pub cut: bool,
}

/// How a budget stands with the runs that count. `cut`: there are more of them.
#[must_use]
pub fn state(
    budget: &Budget,
    period: Option<Period>,
    counted: &[Counted],
    cut: bool,
) -> BudgetState {
    let used_by = |counted: &Counted| match budget.rule.unit {
        Unit::Grams => counted.amount.grams,
        Unit::Joules => counted.amount.joules,
    };
    let known = counted
        .iter()
        .filter_map(|counted| Some((&counted.run, used_by(counted)?)));
    let most = known.clone().max_by(|(_, a), (_, b)| a.total_cmp(b));
    let sums = match budget.rule.unit {
        Unit::Grams => sums_by_signal(counted, used_by),
        Unit::Joules => BTreeMap::from([(None, known.clone().map(|(_, used)| used).sum())]),
    };
    let (used, run) = if budget.rule.monthly {
        (sums.values().copied().fold(0.0, f64::max), None)
    } else {
        most.map_or((0.0, None), |(run, used)| (used, Some(run.clone())))
    };
    // Of a run that the ledger does not know nothing is known.
    let is_missing = counted.is_empty() && matches!(budget.rule.scope, Scope::Run(_));
    let unknown_runs = (counted.len() - known.count()) as u64;
    let standing = if used > budget.rule.limit {
        Standing::Over
    } else if unknown_runs > 0 || cut || is_missing || (budget.rule.monthly && sums.len() > 1) {
        Standing::Unknown
    } else {
        Standing::Kept
    };
    BudgetState {
        budget: budget.clone(),
        standing,
        used,
        used_ratio: used / budget.rule.limit,
        period,
        run,
        runs: counted.len() as u64,
        unknown_runs,
        cut,
    }
}

/// What was used, by what the grams count.
fn sums_by_signal(
    counted: &[Counted],
    used_by: impl Fn(&Counted) -> Option<f64>,
) -> BTreeMap<Option<Signal>, f64> {
    let mut sums = BTreeMap::new();
    for run in counted {
        if let Some(used) = used_by(run).filter(|used| *used > 0.0) {
            *sums.entry(run.amount.signal).or_default() += used;
        }
    }
    sums
}
