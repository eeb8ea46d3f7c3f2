//! A run's energy and carbon by stage, component and zone.

use std::collections::BTreeMap;

use wire::Energy;

use super::footprint::rounded;
use super::{ComponentReport, StageReport};
use crate::store::{Cell, WorkloadLabels};

/// Stages in the order in which they first ran.
pub(super) struct Stages {
    order: Vec<String>,
    stages: BTreeMap<String, Stage>,
}

#[derive(Default)]
struct Stage {
    grams: f64,
    joules: f64,
    facility_joules: f64,
    /// (active, idle) by component, zone and whether it is modelled.
    components: BTreeMap<(String, String, bool), (Energy, Energy)>,
}

impl Stages {
    /// `order`: as the ledger knows it; a stage that is not in it comes last.
    pub(super) fn new(order: &[String]) -> Self {
        let stages = order
            .iter()
            .map(|stage| (stage.clone(), Stage::default()))
            .collect();
        Self {
            order: order.to_vec(),
            stages,
        }
    }

    /// Returns the stage's place in the order.
    pub(super) fn add(
        &mut self,
        cell: &Cell,
        labels: &WorkloadLabels,
        active: Energy,
        idle: Energy,
        (grams, pue): (f64, f64),
    ) -> usize {
        let place = self.order.iter().position(|name| *name == labels.stage);
        let place = place.unwrap_or_else(|| {
            self.order.push(labels.stage.clone());
            self.order.len() - 1
        });
        let stage = self.stages.entry(labels.stage.clone()).or_default();
        stage.grams += grams;
        stage.joules += (active + idle).joules();
        stage.facility_joules += (active + idle).joules() * pue;
        let key = (labels.component.clone(), cell.zone.clone(), cell.modelled);
        let (sum_active, sum_idle) = stage.components.entry(key).or_default();
        *sum_active += active;
        *sum_idle += idle;
        place
    }

    /// `told`: the grams of the whole run are known.
    pub(super) fn finish(mut self, told: bool) -> Vec<StageReport> {
        let stages = self
            .order
            .into_iter()
            .filter_map(|name| self.stages.remove(&name).map(|stage| (name, stage)));
        stages
            .map(|(name, stage)| stage_report(name, stage, told))
            .collect()
    }
}

fn stage_report(name: String, stage: Stage, told: bool) -> StageReport {
    let energy: Energy = stage
        .components
        .values()
        .map(|&(active, idle)| active + idle)
        .sum();
    let component =
        |((component, zone, modelled), (active, idle)): (_, (Energy, Energy))| ComponentReport {
            component,
            zone,
            active_joules: active.joules(),
            idle_joules: idle.joules(),
            basis: basis_name(modelled).to_owned(),
        };
    StageReport {
        stage: name,
        energy_joules: energy.joules(),
        carbon_grams: told.then_some(stage.grams),
        pue: if stage.joules > 0.0 {
            rounded(stage.facility_joules / stage.joules)
        } else {
            1.0
        },
        components: stage.components.into_iter().map(component).collect(),
    }
}

pub(super) fn basis_name(modelled: bool) -> &'static str {
    if modelled { "modelled" } else { "measured" }
}
