//! The node as the agent sees it: its zones with what is known of each, and who runs on it.

mod counting;
mod other;
mod zone;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tracing::{info, warn};

use crate::cgroup::hierarchy::Hierarchies;
use crate::config::Config;
use crate::identity::Identities;
use crate::sample::{Sample, Sampler, longest_interval};
use crate::sensor::nvml::{self, Newcomers};
use crate::sensor::worker::{Readings, Worker, can_follow, read_all};
use crate::sensor::{Finding, Reading, Selection, Sensor, SensorError, select};
use crate::usage::UsageInterval;

use self::other::Other;

pub use self::counting::{Counting, CpuSums};
pub use self::zone::ZoneState;

/// GPUs that were not there are looked for once in so many intervals.
const LOOKED_FOR: u32 = 12;

/// Everything that is read on this node.
pub struct Node {
    /// Zones: those of the sensors there were at the start; where there is a platform meter, what it shows beyond the
    /// others; and those of devices that came later.
    pub zones: Vec<ZoneState>,
    /// Who counts CPU time.
    pub counting: Counting,
    /// Who the CPU time belongs to.
    pub identities: Identities,
    workers: Vec<Worker>,
    /// Where each worker's zones are among these.
    places: Vec<Vec<usize>>,
    other: Option<Other>,
    newcomers: Option<Newcomers>,
    /// For zones that come later.
    idle_watts: Vec<(String, f64)>,
    interval: Duration,
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
            bail!("no power source: {}", missing.unwrap_or_else(nothing));
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
        for error in selection.findings.iter().flat_map(|found| &found.left_out) {
            warn!("left out: {error}");
        }
        let newcomers = newcomers(&selection, config.interval);
        let mut node = Self {
            zones: Vec::new(),
            counting,
            identities: Identities::new(&config.proc_root, cgroups),
            workers: Vec::new(),
            places: Vec::new(),
            other: None,
            newcomers,
            idle_watts: config.idle_watts.clone(),
            interval: config.interval,
            sensor_timeout: (config.interval / 2).min(Duration::from_secs(2)),
        };
        for sensor in selection.sensors {
            node.add(sensor)?;
        }
        check_ranges(&node.zones)?;
        node.other = Other::find(&mut node.zones);
        configure_idle(&mut node.zones, &node.idle_watts, node.newcomers.is_some())?;
        node.sample();
        node.read_usage();
        Ok(node)
    }

    /// Has a thread read it from now on.
    fn add(&mut self, sensor: Box<dyn Sensor>) -> anyhow::Result<()> {
        let worker = Worker::start(sensor, self.interval);
        let worker = worker.context("cannot start a thread for a sensor")?;
        self.workers.push(worker);
        self.places.push(Vec::new());
        self.add_zones();
        Ok(())
    }

    /// Takes up zones of the workers that are not here yet.
    fn add_zones(&mut self) {
        for (worker, places) in self.workers.iter().zip(&mut self.places) {
            let has_started = !places.is_empty();
            for zone in &worker.zones()[places.len()..] {
                let mut state = ZoneState::new(zone.clone(), worker.name());
                let parent = self
                    .zones
                    .iter()
                    .find(|other| other.zone.name == zone.parent);
                let last = parent.and_then(ZoneState::last_reading);
                if let Some(last) = last.filter(|_| has_started) {
                    // A part that is new has used nothing when its parent was read last.
                    let nothing = Reading {
                        counter_uj: 0,
                        ..last
                    };
                    state.sample([Ok(nothing)].iter());
                }
                places.push(self.zones.len());
                self.zones.push(state);
            }
        }
    }

    /// Takes up devices that came since the last call.
    fn add_newcomers(&mut self) {
        let newcomers = self.newcomers.iter().flat_map(Newcomers::take);
        for sensor in newcomers.collect::<Vec<_>>() {
            if let Err(error) = self.add(sensor) {
                warn!("left out: {error:#}");
            }
        }
    }

    fn welcome(&mut self, index: usize) {
        let state = &mut self.zones[index];
        "it came after the agent had started".clone_into(&mut state.zone.reason);
        info!(zone = %state.zone, "power from {}", state.zone.source);
        if !state.zone.parent.is_empty() {
            return;
        }
        let name = &state.zone.name;
        if let Some((_, watts)) = self.idle_watts.iter().find(|(zone, _)| zone == name) {
            state.idle.configure(*watts);
        }
        if let Some(other) = &mut self.other {
            other.add(index, &mut self.zones);
        }
    }

    /// Reads every sensor and judges each zone's readings, in the order of [`Node::zones`].
    pub fn sample(&mut self) -> Vec<Sample> {
        let there = self.zones.len();
        self.add_newcomers();
        let answers = read_all(&mut self.workers, self.sensor_timeout);
        self.add_zones();
        (there..self.zones.len()).for_each(|index| self.welcome(index));
        let mut samples = vec![Sampler::FIRST; self.zones.len()];
        let workers = self.workers.iter().zip(&self.places).zip(answers);
        for ((worker, places), readings) in workers {
            for (index, &place) in places.iter().enumerate() {
                let state = &mut self.zones[place];
                state.activity = worker.activity().get(index).cloned().unwrap_or_default();
                samples[place] = state.sample(of_zone(&readings, index));
            }
        }
        if let Some(other) = &mut self.other {
            samples[other.zone()] = other.sample(&samples);
        }
        samples
    }

    /// CPU time since the last call; nothing where it cannot be read, so that all energy is the system's.
    pub fn read_usage(&mut self) -> UsageInterval {
        self.counting.read()
    }
}

/// Looks for GPUs that come later, where they would be read.
fn newcomers(selection: &Selection, interval: Duration) -> Option<Newcomers> {
    let mut tried = selection.findings.iter();
    tried.find(|finding| finding.source.name == nvml::NAME)?;
    let gpus = selection.sensors.iter();
    let gpus = gpus.filter(|sensor| sensor.name() == nvml::NAME);
    let known: HashMap<String, String> = gpus
        .filter_map(|gpu| Some((gpu.device()?.to_owned(), gpu.zones().first()?.name.clone())))
        .collect();
    Newcomers::watch(known, interval * LOOKED_FOR)
        .inspect_err(|error| warn!("no GPU is looked for that comes later: {error}"))
        .ok()
}

/// The trees that were named, or else found.
///
/// # Errors
/// Where there is none to be found.
pub fn hierarchies(config: &Config) -> anyhow::Result<Hierarchies> {
    match &config.cgroup_root {
        Some(root) => Hierarchies::at(root),
        None => Hierarchies::find(&config.proc_root, &config.sys_root),
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

/// Sets the idle power of zones that `--idle-watts` names. With `more_gpus`, a GPU that is not there may come.
fn configure_idle(
    zones: &mut [ZoneState],
    idle_watts: &[(String, f64)],
    more_gpus: bool,
) -> anyhow::Result<()> {
    let additive = |state: &ZoneState| state.zone.parent.is_empty();
    let names: Vec<&str> = zones
        .iter()
        .filter(|state| additive(state))
        .map(|state| &*state.zone.name)
        .collect();
    let names = names.join(", ");
    for (zone, watts) in idle_watts {
        let is_it = |state: &&mut ZoneState| additive(state) && state.zone.name == *zone;
        match zones.iter_mut().find(is_it) {
            Some(state) => state.idle.configure(*watts),
            None if more_gpus && nvml::is_zone_name(zone) => {
                warn!("--idle-watts {zone}: no such zone yet; there are {names}");
            }
            None => bail!("--idle-watts {zone}: no such zone; there are {names}"),
        }
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
