//! A run's energy and carbon by stage, component and zone.

use std::collections::BTreeMap;

use wire::Energy;

use super::footprint::rounded;
use super::{ComponentReport, StageReport};
use crate::store::{Cell, WorkloadLabels};

/// Stages in the order in which they first ran.
pub(super) struct Stages(Vec<Stage>);

struct Stage {
    name: String,
    grams: f64,
    joules: f64,
    facility_joules: f64,
    /// By component and zone.
    components: BTreeMap<String, BTreeMap<String, Sums>>,
}

/// (active, idle), measured and modelled; `None` where there was none.
type Sums = [Option<(Energy, Energy)>; 2];

impl Stages {
    /// `order`: as the ledger knows it; a stage that is not in it comes last.
    pub(super) fn new(order: &[String]) -> Self {
        Self(order.iter().map(|name| Stage::new(name)).collect())
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
        let Self(stages) = self;
        let place = stages.iter().position(|stage| stage.name == labels.stage);
        let place = place.unwrap_or_else(|| {
            stages.push(Stage::new(&labels.stage));
            stages.len() - 1
        });
        let stage = &mut stages[place];
        stage.grams += grams;
        stage.joules += (active + idle).joules();
        stage.facility_joules += (active + idle).joules() * pue;
        let zones = match stage.components.get_mut(&labels.component) {
            Some(zones) => zones,
            None => stage
                .components
                .entry(labels.component.clone())
                .or_default(),
        };
        let sums = match zones.get_mut(&cell.zone) {
            Some(sums) => sums,
            None => zones.entry(cell.zone.clone()).or_default(),
        };
        let (sum_active, sum_idle) = sums[usize::from(cell.modelled)].get_or_insert_default();
        *sum_active += active;
        *sum_idle += idle;
        place
    }

    /// `told`: the grams of the whole run are known.
    pub(super) fn finish(self, told: bool) -> Vec<StageReport> {
        self.0.into_iter().map(|stage| stage.report(told)).collect()
    }
}

impl Stage {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            grams: 0.0,
            joules: 0.0,
            facility_joules: 0.0,
            components: BTreeMap::new(),
        }
    }

    fn report(self, told: bool) -> StageReport {
        let mut energy = Energy::ZERO;
        let mut components = Vec::new();
        for (component, zones) in self.components {
            for (zone, sums) in zones {
                for (sums, modelled) in sums.into_iter().zip([false, true]) {
                    let Some((active, idle)) = sums else { continue };
                    energy += active + idle;
                    components.push(ComponentReport {
                        component: component.clone(),
                        zone: zone.clone(),
                        active_joules: active.joules(),
                        idle_joules: idle.joules(),
                        basis: basis_name(modelled).to_owned(),
                    });
                }
            }
        }
        StageReport {
            stage: self.name,
            energy_joules: energy.joules(),
            carbon_grams: told.then_some(self.grams),
            pue: if self.joules > 0.0 {
                rounded(self.facility_joules / self.joules)
            } else {
                1.0
            },
            components,
        }
    }
}

pub(super) fn basis_name(modelled: bool) -> &'static str {
    if modelled { "modelled" } else { "measured" }
}
