//! The node as the agent sees it: its zones with what is known of each, and who runs on it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tracing::{info, warn};

use crate::cgroup::hierarchy::Hierarchies;
use crate::cgroup::watch::{CgroupWatch, Purpose};
use crate::config::{Config, UsageSource};
use crate::identity::Identities;
use crate::idle::IdlePower;
use crate::sample::{Sample, Sampler, longest_interval};
use crate::sensor::worker::{Worker, read_all};
use crate::sensor::{Finding, Reading, SensorError, Zone, select};
use crate::usage::accounting::Accounting;
use crate::usage::ebpf::{EbpfUsage, Options};
use crate::usage::{Usage, UsageInterval};

/// One zone and what was learned of it.
#[derive(Debug)]
pub struct ZoneState {
    /// What it is.
    pub zone: Zone,
    /// Its sensor, as `--power` names it.
    pub sensor: &'static str,
    /// Its idle power.
    pub idle: IdlePower,
    sampler: Sampler,
    failing: bool,
}

impl ZoneState {
    fn new(zone: Zone, sensor: &'static str) -> Self {
        Self {
            idle: IdlePower::new(zone.idle),
            zone,
            sensor,
            sampler: Sampler::default(),
            failing: false,
        }
    }

    /// The counter as it was last read.
    #[must_use]
    pub fn last_reading(&self) -> Option<Reading> {
        self.sampler.last()
    }

    fn sample(&mut self, reading: &Result<Reading, SensorError>) -> Sample {
        match reading {
            Err(error) if !self.failing => warn!(zone = %self.zone, "no reading: {error}"),
            Ok(_) if self.failing => info!(zone = %self.zone, "readings are back"),
            _ => {}
        }
        self.failing = reading.is_err();
        self.sampler.sample(reading, self.zone.range_uj)
    }
}

/// Everything that is read on this node.
pub struct Node {
    /// Zones, in the order of their sensors.
    pub zones: Vec<ZoneState>,
    /// Who the CPU time belongs to.
    pub identities: Identities,
    workers: Vec<Worker>,
    usage: Box<dyn Usage>,
    usage_failing: bool,
    sensor_timeout: Duration,
}

impl Node {
    /// Finds sensors, a counter of CPU time and the cgroup trees, and takes the first readings.
    ///
    /// # Errors
    /// Where there is nothing to measure with: no power source, no CPU time.
    pub fn find(config: &Config) -> anyhow::Result<Self> {
        let hierarchies = hierarchies(config)?;
        let (usage, cgroups) = usage(config, hierarchies)?;
        let selection = select(&config.power, &config.proc_root, &config.sys_root);
        let missing = reasons(&selection.findings);
        if selection.sensors.is_empty() || !(missing.is_empty() || config.power.is_empty()) {
            anyhow::bail!("no power source: {missing}");
        }
        if selection.findings.iter().any(Finding::has_failed) {
            warn!("not used: {missing}");
        } else if !missing.is_empty() {
            info!("not used: {missing}");
        }
        let workers = selection
            .sensors
            .into_iter()
            .map(Worker::start)
            .collect::<Result<Vec<_>, _>>();
        let workers = workers.context("cannot start a thread for a sensor")?;
        let zones: Vec<ZoneState> = workers
            .iter()
            .flat_map(|worker| {
                worker
                    .zones()
                    .iter()
                    .map(|zone| ZoneState::new(zone.clone(), worker.name()))
            })
            .collect();
        check_interval(&zones, config.interval)?;
        let mut node = Self {
            zones: without_repeated(zones)?,
            identities: Identities::new(&config.proc_root, cgroups),
            workers,
            usage,
            usage_failing: false,
            sensor_timeout: (config.interval / 2).min(Duration::from_secs(2)),
        };
        node.sample();
        node.read_usage();
        Ok(node)
    }

    /// Who counts CPU time.
    #[must_use]
    pub fn usage_name(&self) -> &'static str {
        self.usage.name()
    }

    /// Reads every sensor and judges each zone's reading, in the order of [`Node::zones`].
    pub fn sample(&mut self) -> Vec<Sample> {
        let readings = read_all(&mut self.workers, self.sensor_timeout)
            .into_iter()
            .flatten();
        self.zones
            .iter_mut()
            .zip(readings)
            .map(|(zone, reading)| zone.sample(&reading))
            .collect()
    }

    /// CPU time since the last call; nothing where it cannot be read, so that all energy is the system's.
    pub fn read_usage(&mut self) -> UsageInterval {
        let usage = self.usage.read();
        if let Err(error) = &usage
            && !self.usage_failing
        {
            warn!("{error}; until it can, all active energy is booked to the system");
        }
        self.usage_failing = usage.is_err();
        usage.unwrap_or_default()
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

/// A counter of CPU time, and the cgroups watched for what it does not tell itself.
type UsageAndCgroups = (Box<dyn Usage>, Arc<CgroupWatch>);

fn usage(config: &Config, hierarchies: Hierarchies) -> anyhow::Result<UsageAndCgroups> {
    let accounting = |hierarchies| -> anyhow::Result<UsageAndCgroups> {
        let accounting = Accounting::new(&config.proc_root, hierarchies)?;
        let cgroups = accounting.cgroups();
        Ok((Box::new(accounting), cgroups))
    };
    if config.usage == UsageSource::Accounting {
        return accounting(hierarchies);
    }
    let options = Options {
        v1_cgroups: hierarchies.cpuacct.is_some(),
        ..Options::new(&config.sys_root)
    };
    match EbpfUsage::load(&options) {
        Ok(ebpf) => {
            let cgroups = CgroupWatch::start(hierarchies, Purpose::Names);
            Ok((Box::new(ebpf), Arc::new(cgroups)))
        }
        Err(error) if config.usage == UsageSource::Ebpf => Err(error).context("--usage ebpf"),
        Err(error) => {
            warn!(
                "no eBPF: {error}; CPU time comes from cgroup accounting and /proc, which misses short processes"
            );
            accounting(hierarchies)
        }
    }
}

/// A counter that may go a whole turn between two readings proves nothing.
fn check_interval(zones: &[ZoneState], interval: Duration) -> anyhow::Result<()> {
    for state in zones {
        let longest = state.zone.range_uj.map(longest_interval);
        if let Some(longest) = longest.filter(|longest| *longest < interval) {
            anyhow::bail!(
                "--interval {interval:?} is too long for zone {}, whose counter may go a whole turn in {} s; choose a shorter one",
                state.zone,
                longest.as_secs()
            );
        }
    }
    Ok(())
}

/// Two sensors for one zone would count its energy twice.
fn without_repeated(zones: Vec<ZoneState>) -> anyhow::Result<Vec<ZoneState>> {
    for (index, state) in zones.iter().enumerate() {
        if let Some(other) = zones[..index]
            .iter()
            .find(|other| other.zone.name == state.zone.name)
        {
            anyhow::bail!(
                "--power {},{} both give zone {}: its energy would count twice; choose one",
                other.sensor,
                state.sensor,
                state.zone
            );
        }
    }
    Ok(zones)
}

/// Why no source was found, for one line.
#[must_use]
pub fn reasons(findings: &[Finding]) -> String {
    let reason = |finding: &Finding| {
        let error = finding.found.as_ref().err()?;
        Some(format!("{}: {error}", finding.source.name()))
    };
    findings
        .iter()
        .filter_map(reason)
        .collect::<Vec<_>>()
        .join("; ")
}
