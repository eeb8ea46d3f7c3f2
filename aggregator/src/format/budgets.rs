//! Budgets for a terminal.

use super::grid::{Align, table};
use super::units::{energy, mass, percent};
use crate::budget::{Budget, BudgetState, Scope, Standing, Unit};

/// One line per budget.
#[must_use]
pub fn list_table(budgets: &[Budget], width: Option<u16>) -> String {
    let columns = [
        ("BUDGET", Align::Left),
        ("FOR", Align::Left),
        ("LIMIT", Align::Right),
    ];
    let row = |budget: &Budget| vec![budget.name.clone(), scope(budget), limit(budget)];
    table(&columns, budgets.iter().map(row).collect(), width)
}

/// One line per budget, with how far it is used up.
#[must_use]
pub fn states_table(states: &[BudgetState], width: Option<u16>) -> String {
    let columns = [
        ("BUDGET", Align::Left),
        ("FOR", Align::Left),
        ("USED", Align::Right),
        ("LIMIT", Align::Right),
        ("PER CENT", Align::Right),
        ("STATE", Align::Whole),
    ];
    let row = |state: &BudgetState| {
        vec![
            state.budget.name.clone(),
            counted(state),
            amount(&state.budget, state.used),
            limit(&state.budget),
            percent(state.used_ratio),
            standing(state.standing).to_owned(),
        ]
    };
    table(&columns, states.iter().map(row).collect(), width)
}

/// Its limit, with a unit.
#[must_use]
pub fn limit(budget: &Budget) -> String {
    amount(budget, budget.rule.limit)
}

fn amount(budget: &Budget, amount: f64) -> String {
    match budget.rule.unit {
        Unit::Grams => mass(amount),
        Unit::Joules => energy(amount),
    }
}

/// What it is for, in words.
#[must_use]
pub fn scope(budget: &Budget) -> String {
    let whose = match &budget.rule.scope {
        Scope::Run(id) => return format!("run {id}"),
        Scope::Workflow(name) if !budget.rule.monthly => return format!("each run of {name}"),
        Scope::Workflow(name) => format!("workflow {name}"),
        Scope::Cluster(name) => format!("cluster {name}"),
        Scope::All => "all runs".to_owned(),
    };
    format!("{whose}, a month")
}

/// What it was counted over.
fn counted(state: &BudgetState) -> String {
    let Some(period) = state.period else {
        let run = state.run.as_ref();
        return run.map_or_else(
            || scope(&state.budget),
            |run| format!("run {} of {}", run.run, run.workflow),
        );
    };
    let whose = scope(&state.budget).replace(", a month", "");
    format!("{whose}, {}", period.from.strftime("%Y-%m"))
}

const fn standing(standing: Standing) -> &'static str {
    match standing {
        Standing::Kept => "kept",
        Standing::Over => "over",
        Standing::Unknown => "unknown",
    }
}

/// Why it is not known how a budget stands.
#[must_use]
pub fn unknown(state: &BudgetState) -> String {
    let name = &state.budget.name;
    let (unknown, runs) = (state.unknown_runs, state.runs);
    if unknown == 0 {
        return format!("budget {name} counts more than {runs} runs, which are not all counted");
    }
    let what = match state.budget.rule.unit {
        Unit::Grams => "grams",
        Unit::Joules => "energy",
    };
    format!(
        "budget {name}: the {what} of {unknown} of {runs} runs are not known; `hxmlops report` says why"
    )
}
