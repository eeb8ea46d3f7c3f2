//! Budgets, and how far runs use them up: by the report that everything else shows.

use jiff::{SignedDuration, Timestamp};

use super::{Ledger, LedgerError, ReportQuery, RunById, cells_time, took_part};
use crate::budget::{
    Amount, Budget, BudgetState, Counted, InvalidBudget, MAX_BUDGETS, MAX_RUNS, Period, Scope,
    state,
};
use crate::report;
use crate::store::{RunFilter, RunKey, RunLedger, RunSummary, SlotChanges, StoreError};

/// A budget of each run counts those that ran in so long a time before now, where no run is named.
const RECENT: SignedDuration = SignedDuration::from_hours(24);

/// Which budgets are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetQuery {
    /// Only this one.
    pub name: Option<String>,
    /// Only those that this run counts for: of the month in which it ended, or of it alone.
    pub run: Option<RunById>,
}

/// Why a budget is not set, or there is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BudgetError {
    /// It cannot be.
    #[error(transparent)]
    Invalid(#[from] InvalidBudget),
    /// There is no such budget.
    #[error("no budget '{0}' in the ledger; `hxmlops budget list` lists them")]
    NoSuchBudget(String),
    /// It is for others.
    #[error("budget '{budget}' is not for run '{run}'")]
    NotForRun {
        /// Which budget.
        budget: String,
        /// Which run.
        run: String,
    },
    /// There are as many as there may be.
    #[error("there are {MAX_BUDGETS} budgets already; remove one with `hxmlops budget remove`")]
    TooMany,
}

/// Tells what a run used, all of it or within a month.
pub type Meter<'a> = dyn Fn(&RunSummary, Option<Period>) -> Result<Amount, LedgerError> + 'a;

impl Ledger {
    /// Sets a budget, in place of one of the same name.
    ///
    /// # Errors
    /// [`LedgerError::Budget`] where it cannot be, or there are too many.
    pub fn put_budget(&self, budget: &Budget) -> Result<(), LedgerError> {
        budget.validate().map_err(BudgetError::from)?;
        let budgets = self.store.budgets()?;
        let is_new = budgets.iter().all(|known| known.name != budget.name);
        if is_new && budgets.len() >= MAX_BUDGETS {
            return Err(BudgetError::TooMany.into());
        }
        Ok(self.store.put_budget(budget)?)
    }

    /// Ends a budget.
    ///
    /// # Errors
    /// [`LedgerError::Budget`] where there is none of this name.
    pub fn remove_budget(&self, name: &str) -> Result<(), LedgerError> {
        if self.store.remove_budget(name)? {
            return Ok(());
        }
        Err(BudgetError::NoSuchBudget(name.to_owned()).into())
    }

    /// All budgets, by name.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn budgets(&self) -> Result<Vec<Budget>, LedgerError> {
        Ok(self.store.budgets()?)
    }

    /// The times of which slots were new or changed since one change.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn slot_changes(&self, after: i64) -> Result<SlotChanges, LedgerError> {
        Ok(self.store.slot_changes(after)?)
    }

    /// How budgets stand, by name. `meter` tells what a run used: [`Ledger::amount`], or what remembers it.
    ///
    /// Without a run, a budget of each run counts those that ran in the last 24 hours (one for a single run: it,
    /// whenever it ran), and one of a month the month of `now`.
    ///
    /// # Errors
    /// Where there is no such budget or run, or the budget is not for the run.
    pub fn budget_states(
        &self,
        query: &BudgetQuery,
        now: Timestamp,
        meter: &Meter<'_>,
    ) -> Result<Vec<BudgetState>, LedgerError> {
        let run = query.run.as_ref().map(|run| self.run_by_id(run));
        let run = run.transpose()?;
        let budgets = self.budgets_asked_for(query, run.as_ref())?;
        let state_of = |budget: &Budget| self.budget_state(budget, run.as_ref(), now, meter);
        budgets.iter().map(state_of).collect()
    }

    fn run_by_id(&self, run: &RunById) -> Result<RunSummary, LedgerError> {
        self.find_run(&run.query())
    }

    fn budgets_asked_for(
        &self,
        query: &BudgetQuery,
        run: Option<&RunSummary>,
    ) -> Result<Vec<Budget>, LedgerError> {
        let mut budgets = self.store.budgets()?;
        if let Some(name) = &query.name {
            budgets.retain(|budget| budget.name == *name);
            let budget = budgets.first();
            let budget = budget.ok_or_else(|| BudgetError::NoSuchBudget(name.clone()))?;
            if let Some(run) = run
                && !budget.fits(&run.key)
            {
                return Err(BudgetError::NotForRun {
                    budget: name.clone(),
                    run: run.key.run.clone(),
                }
                .into());
            }
        }
        budgets.retain(|budget| run.is_none_or(|run| budget.fits(&run.key)));
        Ok(budgets)
    }

    fn budget_state(
        &self,
        budget: &Budget,
        run: Option<&RunSummary>,
        now: Timestamp,
        meter: &Meter<'_>,
    ) -> Result<BudgetState, LedgerError> {
        let last_moment = |run: &RunSummary| run.end - SignedDuration::from_nanos(1);
        let month = Period::month(run.map_or(now, last_moment));
        let period = budget.rule.monthly.then_some(month);
        let (runs, cut) = match run {
            Some(run) if period.is_none() => (vec![run.clone()], false),
            _ => self.runs_of_budget(budget, period, now)?,
        };
        let counted = runs.iter().map(|run| {
            let amount = meter(run, period)?;
            let run = run.key.clone();
            Ok(Counted { run, amount })
        });
        let counted: Vec<Counted> = counted.collect::<Result<_, LedgerError>>()?;
        Ok(state(budget, period, &counted, cut))
    }

    /// The runs that count, and whether there are more.
    fn runs_of_budget(
        &self,
        budget: &Budget,
        period: Option<Period>,
        now: Timestamp,
    ) -> Result<(Vec<RunSummary>, bool), LedgerError> {
        let recent = now.checked_sub(RECENT).unwrap_or(Timestamp::MIN);
        let since = match (&budget.rule.scope, period) {
            (_, Some(period)) => Some(period.from),
            (Scope::Run(_), None) => None,
            (_, None) => Some(recent),
        };
        let mut runs = self.store.runs(&RunFilter {
            since,
            // One more tells whether there are more.
            limit: Some(MAX_RUNS + 1),
            ..budget.runs()
        })?;
        let cut = runs.len() > MAX_RUNS;
        runs.truncate(MAX_RUNS);
        runs.retain(|run| period.is_none_or(|period| period.touches(run.start, run.end)));
        Ok((runs, cut))
    }

    /// What a run used, all of it or within a period, with idle energy shared out by usage.
    ///
    /// # Errors
    /// Where the store fails. A run that is too large for a report has an amount that is not known.
    pub fn amount(&self, run: &RunKey, period: Option<Period>) -> Result<Amount, LedgerError> {
        let mut ledger = match self.store.run_ledger(run) {
            Ok(Some(ledger)) => ledger,
            Ok(None) => return Ok(Amount::NONE),
            Err(StoreError::TooLarge(_)) => return Ok(Amount::UNKNOWN),
            Err(error) => return Err(error.into()),
        };
        if let Some(period) = period {
            // Whole minutes and hours lie in one month.
            let is_within = |start: Timestamp| (period.from..period.to).contains(&start);
            ledger.cells.retain(|cell| is_within(cell.start));
        }
        if !has_part(&ledger) {
            return Ok(Amount::NONE);
        }
        let sites = self.store.sites(None)?;
        // How far the grams may be off is not asked.
        let grids = self.grids(&sites, &took_part(&ledger), cells_time(&ledger), None)?;
        let report = report::build(&ledger, &ReportQuery::default(), &sites, &grids);
        Ok(Amount {
            joules: Some(report.energy_joules),
            grams: report.carbon_grams,
            signal: report.intensity.first().map(|used| used.kind),
        })
    }
}

/// Whether the run has any part in the cells.
fn has_part(ledger: &RunLedger) -> bool {
    let key = &ledger.summary.key;
    ledger.cells.iter().any(|cell| {
        let mut shares = cell.shares.iter();
        cell.node.cluster == key.cluster
            && shares.any(|share| {
                let labels = ledger.workloads.get(share.workload);
                labels
                    .is_some_and(|labels| labels.run == key.run && labels.workflow == key.workflow)
            })
    })
}
