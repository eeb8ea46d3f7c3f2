//! The node as the agent sees it: its zones with what is known of each, and who runs on it.

mod counting;
mod other;
mod zone;

use std::time::Duration;

use anyhow::{Context, ensure};
use tracing::{info, warn};

use crate::cgroup::hierarchy::Hierarchies;
use crate::config::Config;
use crate::identity::Identities;
use crate::sample::{Sample, longest_interval};
use crate::sensor::worker::{Readings, Worker, can_follow, read_all};
use crate::sensor::{Finding, Reading, Selection, SensorError, select};
use crate::usage::UsageInterval;

use self::other::Other;

pub use self::counting::{Counting, CpuSums};
pub use self::zone::ZoneState;

/// Everything that is read on this node.
pub struct Node {
    /// Zones, in the order of their sensors; last, where there is a platform meter, what it shows beyond the others.
    pub zones: Vec<ZoneState>,
    /// Who counts CPU time.
    pub counting: Counting,
    /// Who the CPU time belongs to.
    pub identities: Identities,
    workers: Vec<Worker>,
    other: Option<Other>,
    sensor_timeout: Duration,
}

impl Node {
    /// Finds sensors, a counter of CPU time and the cgroup trees, and takes the first readings.
    ///
    /// # Errors
    /// Where there is nothing to measure with: no power source, no CPU time.
    pub fn find(config: &Config) -> anyhow::Result<Self> {
        let around = config.surroundings();
        let selection = select(&config.power, &around);
        Self::with(config, selection)
    }

    /// The same with sensors that were found already.
    ///
    /// # Errors
    /// As [`Node::find`].
    pub fn with(config: &Config, selection: Selection) -> anyhow::Result<Self> {
        let hierarchies = hierarchies(config)?;
        let (counting, cgroups) = Counting::find(config, hierarchies)?;
        let missing = reasons(&selection.findings);
        if selection.sensors.is_empty() {
            let missing = Some(missing).filter(|missing| !missing.is_empty());
            let nothing = || "what is there has no zone that adds up".to_owned();
            anyhow::bail!("no power source: {}", missing.unwrap_or_else(nothing));
        }
        let (failed, absent): (Vec<&Finding>, Vec<&Finding>) = selection
            .findings
            .iter()
            .filter(|finding| finding.found.is_err())
            .partition(|finding| finding.has_failed());
        if !failed.is_empty() {
            warn!("not used: {}", reasons(failed));
        }
        if !(absent.is_empty() || config.power.is_empty()) {
            warn!("--power names what is not there: {}", reasons(absent));
        } else if !absent.is_empty() {
            let names: Vec<&str> = absent.iter().map(|finding| finding.source.name).collect();
            info!("not there, as --check explains: {}", names.join(", "));
        }
        let workers = selection
            .sensors
            .into_iter()
            .map(|sensor| Worker::start(sensor, config.interval))
            .collect::<Result<Vec<_>, _>>();
        let workers = workers.context("cannot start a thread for a sensor")?;
        let mut zones: Vec<ZoneState> = workers
            .iter()
            .flat_map(|worker| {
                worker
                    .zones()
                    .iter()
                    .map(|zone| ZoneState::new(zone.clone(), worker.name()))
            })
            .collect();
        check_ranges(&zones)?;
        let other = Other::find(&mut zones);
        configure_idle(&mut zones, &config.idle_watts)?;
        let mut node = Self {
            zones,
            counting,
            identities: Identities::new(&config.proc_root, cgroups),
            workers,
            other,
            sensor_timeout: (config.interval / 2).min(Duration::from_secs(2)),
        };
        node.sample();
        node.read_usage();
        Ok(node)
    }

    /// Reads every sensor and judges each zone's readings, in the order of [`Node::zones`].
    pub fn sample(&mut self) -> Vec<Sample> {
        let mut zones = self.zones.iter_mut();
        let mut samples = Vec::with_capacity(zones.len());
        let answers = read_all(&mut self.workers, self.sensor_timeout);
        for (worker, readings) in self.workers.iter().zip(answers) {
            let own = zones.by_ref().take(worker.zones().len()).enumerate();
            samples.extend(own.map(|(index, state)| {
                state.activity = worker.activity().get(index).cloned().unwrap_or_default();
                state.sample(of_zone(&readings, index))
            }));
        }
        if let Some(other) = &mut self.other {
            samples.push(other.sample(&samples));
        }
        samples
    }

    /// CPU time since the last call; nothing where it cannot be read, so that all energy is the system's.
    pub fn read_usage(&mut self) -> UsageInterval {
        self.counting.read()
    }
}

/// The trees that were named, or else found.
///
/// # Errors
/// Where there is none to be found.
pub fn hierarchies(config: &Config) -> anyhow::Result<Hierarchies> {
    match &config.cgroup_root {
        Some(root) => Hierarchies::at(root),
        None => Hierarchies::find(&config.proc_root),
    }
}

/// One zone's readings.
fn of_zone(
    readings: &[Readings],
    index: usize,
) -> impl Iterator<Item = &Result<Reading, SensorError>> {
    readings.iter().filter_map(move |zones| zones.get(index))
}

/// A counter that may go a whole turn between two readings proves nothing.
fn check_ranges(zones: &[ZoneState]) -> anyhow::Result<()> {
    for state in zones {
        let longest = state
            .zone
            .range_uj
            .map(longest_interval)
            .unwrap_or_default();
        ensure!(
            can_follow(&state.zone),
            "the counter of zone {} may go a whole turn in {longest:?}, which is too often to follow; leave its source out of --power",
            state.zone,
        );
    }
    Ok(())
}

/// Sets the idle power of zones that `--idle-watts` names.
fn configure_idle(zones: &mut [ZoneState], idle_watts: &[(String, f64)]) -> anyhow::Result<()> {
    let additive = |state: &ZoneState| state.zone.parent.is_empty();
    let names: Vec<&str> = zones
        .iter()
        .filter(|state| additive(state))
        .map(|state| &*state.zone.name)
        .collect();
    let names = names.join(", ");
    for (zone, watts) in idle_watts {
        let state = zones
            .iter_mut()
            .find(|state| additive(state) && state.zone.name == *zone)
            .with_context(|| format!("--idle-watts {zone}: no such zone; there are {names}"))?;
        state.idle.configure(*watts);
    }
    Ok(())
}

/// Why no source was found, for one line.
#[must_use]
pub fn reasons<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> String {
    let reason = |finding: &Finding| {
        let error = finding.found.as_ref().err()?;
        Some(format!("{}: {error}", finding.source.name))
    };
    findings
        .into_iter()
        .filter_map(reason)
        .collect::<Vec<_>>()
        .join("; ")
}
