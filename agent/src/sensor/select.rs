//! Which sensors a node gets: `--power` as a list, or `auto`.

use std::path::Path;

use super::model::{Machine, Model};
use super::powercap::Powercap;
use super::{Sensor, SensorError};
use crate::config::PowerSource;

/// The sensors that were chosen, and what was found of each that was tried.
pub struct Selection {
    /// To be read, each on a thread of its own.
    pub sensors: Vec<Box<dyn Sensor>>,
    /// In the order tried.
    pub findings: Vec<Finding>,
}

/// What was found of one source.
#[derive(Debug)]
pub struct Finding {
    /// As `--power` names it.
    pub source: PowerSource,
    /// Its zones, or why there is none.
    pub found: Result<Vec<super::Zone>, SensorError>,
}

impl Finding {
    /// The source is there and cannot be used, which somebody may want to mend.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        matches!(self.found, Err(SensorError::Failed(_)))
    }
}

/// Tries `wanted` in order; empty means auto: RAPL, else the model. What is not there is in the findings.
pub fn select(wanted: &[PowerSource], proc_root: &Path, sys_root: &Path) -> Selection {
    let auto = [PowerSource::Rapl, PowerSource::Model];
    let tried = if wanted.is_empty() { &auto } else { wanted };
    let mut selection = Selection {
        sensors: Vec::new(),
        findings: Vec::new(),
    };
    let machine = Machine::find(proc_root);
    for &source in tried {
        if wanted.is_empty() && !selection.sensors.is_empty() {
            break;
        }
        let sensor = machine
            .clone()
            .and_then(|machine| make(source, proc_root, sys_root, machine));
        let found = sensor.map(|sensor| {
            let zones = sensor.zones().to_vec();
            selection.sensors.push(sensor);
            zones
        });
        selection.findings.push(Finding { source, found });
    }
    selection
}

fn make(
    source: PowerSource,
    proc_root: &Path,
    sys_root: &Path,
    machine: Machine,
) -> Result<Box<dyn Sensor>, SensorError> {
    Ok(match source {
        PowerSource::Rapl => Box::new(Powercap::find(sys_root, &machine)?),
        PowerSource::Model => Box::new(Model::new(proc_root, machine)),
    })
}
