//! How budgets stand, as a collector: a scrape shows what was told last.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

use super::family::Family;
use crate::budget::{BudgetState, Unit};

const USED: Family = Family {
    name: "hxmlops_budget_used_ratio",
    help: "What is used of a budget over its limit: more than 1 is over. Of a budget of each run, that of the run with the most.",
    kind: MetricType::GAUGE,
    labels: &["budget"],
};
const LIMIT_GRAMS: Family = Family {
    name: "hxmlops_budget_limit_grams",
    help: "Limit of a budget in gCO2e.",
    kind: MetricType::GAUGE,
    labels: &["budget"],
};
const LIMIT_JOULES: Family = Family {
    name: "hxmlops_budget_limit_joules",
    help: "Limit of a budget in joules on the IT side.",
    kind: MetricType::GAUGE,
    labels: &["budget"],
};
const UNKNOWN: Family = Family {
    name: "hxmlops_budget_unknown_runs",
    help: "Runs of a budget whose use is not known, and is in no other figure of it.",
    kind: MetricType::GAUGE,
    labels: &["budget"],
};

/// The states; clones share them.
#[derive(Clone, Debug)]
pub(super) struct Budgets {
    states: Arc<Mutex<Vec<BudgetState>>>,
    descriptions: Vec<Desc>,
}

impl Budgets {
    pub(super) fn new() -> Self {
        let families = [USED, LIMIT_GRAMS, LIMIT_JOULES, UNKNOWN];
        Self {
            states: Arc::default(),
            descriptions: families.iter().map(Family::describe).collect(),
        }
    }

    pub(super) fn show(&self, states: Vec<BudgetState>) {
        *self.states.lock().unwrap_or_else(PoisonError::into_inner) = states;
    }
}

impl Collector for Budgets {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = |figure: fn(&BudgetState) -> Option<f64>| {
            // Names are short enough for a label.
            let rows = states.iter();
            rows.filter_map(move |state| Some((vec![state.budget.name.as_str()], figure(state)?)))
        };
        let families = [
            USED.with(rows(|state| Some(state.used_ratio))),
            LIMIT_GRAMS.with(rows(|state| limit(state, Unit::Grams))),
            LIMIT_JOULES.with(rows(|state| limit(state, Unit::Joules))),
            UNKNOWN.with(rows(|state| Some(state.unknown_runs as f64))),
        ];
        // A family without metrics is none: the encoder refuses it.
        let has_metrics = |family: &MetricFamily| !family.get_metric().is_empty();
        families.into_iter().filter(has_metrics).collect()
    }
}

fn limit(state: &BudgetState, unit: Unit) -> Option<f64> {
    let rule = &state.budget.rule;
    (rule.unit == unit).then_some(rule.limit)
}
