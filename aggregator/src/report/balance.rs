//! The nodes' own books over a run's minutes: measured = run + other + system + idle.

use std::collections::BTreeMap;

use wire::Energy;

use super::ZoneBalance;
use super::stages::basis_name;
use crate::idle_policy::IdleSplit;
use crate::store::Cell;

/// Books by node, zone and whether they are modelled.
#[derive(Default)]
pub(super) struct Balances(BTreeMap<(String, String, bool), Balance>);

#[derive(Default)]
struct Balance {
    measured: Energy,
    run: Energy,
    other: Energy,
    system: Energy,
    idle: Energy,
}

impl Balances {
    /// `run`: what the run bears of the cell, its share of idle included.
    pub(super) fn add(&mut self, cell: &Cell, split: &IdleSplit, run: Energy) {
        let active: Energy = cell.shares.iter().map(|share| share.active).sum();
        let workloads = active + split.shares.iter().copied().sum();
        let key = (cell.node.node.clone(), cell.zone.clone(), cell.modelled);
        let balance = self.0.entry(key).or_default();
        balance.measured += cell.measured;
        balance.run += run;
        balance.other += workloads.checked_sub(run).unwrap_or_default();
        balance.system += cell.system + split.system;
        balance.idle += split.unshared;
    }

    pub(super) fn finish(self) -> Vec<ZoneBalance> {
        let row = |((node, zone, modelled), balance): (_, Balance)| ZoneBalance {
            node,
            zone,
            basis: basis_name(modelled).to_owned(),
            measured_microjoules: balance.measured.microjoules(),
            run_microjoules: balance.run.microjoules(),
            other_microjoules: balance.other.microjoules(),
            system_microjoules: balance.system.microjoules(),
            idle_microjoules: balance.idle.microjoules(),
        };
        self.0.into_iter().map(row).collect()
    }
}
