//! One joule's way through the agent, and the loop that walks it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tracing::warn;
use wire::v1::{Workload, WorkloadKind};

use crate::attribution::{Shares, attribute};
use crate::batch;
use crate::clock::{Clock, Moment};
use crate::fit::CPU_TIME;
use crate::http::Health;
use crate::idle::Origin;
use crate::kube::node::SiteName;
use crate::metrics::Metrics;
use crate::node::{Node, ZoneState};
use crate::parties::Parties;
use crate::sample::Sample;
use crate::spool::{Measured, Named, Spool};
use crate::state::IdleFile;
use crate::usage::UsageInterval;

/// What became of each zone's energy in one interval.
#[derive(Debug)]
pub struct Record {
    /// Its start, by the wall clock.
    pub start_unix_ms: i64,
    /// Its length by time since boot.
    pub duration_ns: u64,
    /// Who ran.
    pub parties: Parties,
    /// Names of who ran, now or before, and was told without one.
    pub names: Vec<Named>,
    /// In the order of the node's zones.
    pub zones: Vec<ZoneRecord>,
}

/// One zone's part of a [`Record`].
#[derive(Debug)]
pub struct ZoneRecord {
    /// What was measured, or why nothing was.
    pub sample: Sample,
    /// Where it went; for a nested zone nowhere, since its energy is its parent's.
    pub shares: Option<Shares>,
    /// By what the active energy was split: a weight for each of the parties' uses. Empty without shares.
    pub weights: Vec<u64>,
    /// What the weights are, as exported.
    pub weighed_by: &'static str,
    /// The idle power is still the model's seed.
    pub idle_seeded: bool,
}

/// Measures one interval, from `start` to `end`.
pub fn measure(node: &mut Node, start: Moment, end: Moment) -> Record {
    // 1 and 2. Counters, and what each difference means.
    let duration_ns = end.boottime_ns - start.boottime_ns;
    let mut samples = node.sample();
    for (sample, state) in samples.iter_mut().zip(&node.zones) {
        let within = sample.within(duration_ns);
        if within != *sample {
            let energy = sample.energy;
            warn!(zone = %state.zone, "{energy} after readings that failed are more than an interval may hold, and left out");
        }
        *sample = within;
    }
    // 3. Who used the CPUs meanwhile.
    let usage = node.read_usage();
    // 5. Which workloads they are.
    let mut parties = node.identities.group(&usage);
    let activities = node.zones.iter().map(|state| &state.activity);
    node.identities.add_devices(activities, &mut parties);
    let names = node.identities.take_names(&parties);
    // 4. Each zone's energy, split among them.
    let record = settle(&mut node.zones, &samples, &usage, parties, start, end);
    Record { names, ..record }
}

/// Splits the energy of each zone's sample. Pure.
fn settle(
    zones: &mut [ZoneState],
    samples: &[Sample],
    usage: &UsageInterval,
    parties: Parties,
    start: Moment,
    end: Moment,
) -> Record {
    let duration_ns = end.boottime_ns - start.boottime_ns;
    let asleep_ns = duration_ns.saturating_sub(end.awake_ns - start.awake_ns);
    let split = |(index, (state, sample)): (usize, (&mut ZoneState, &Sample))| {
        split(
            index,
            state,
            *sample,
            usage,
            &parties,
            duration_ns,
            asleep_ns,
        )
    };
    Record {
        start_unix_ms: end.unix_ms - (duration_ns / 1_000_000) as i64,
        duration_ns,
        zones: zones
            .iter_mut()
            .zip(samples)
            .enumerate()
            .map(split)
            .collect(),
        parties,
        names: Vec::new(),
    }
}

fn split(
    index: usize,
    state: &mut ZoneState,
    sample: Sample,
    usage: &UsageInterval,
    parties: &Parties,
    duration_ns: u64,
    asleep_ns: u64,
) -> ZoneRecord {
    if !state.zone.parent.is_empty() {
        return ZoneRecord {
            sample,
            shares: None,
            weights: Vec::new(),
            weighed_by: "",
            idle_seeded: false,
        };
    }
    let package = state.zone.package;
    // After readings that failed, a sample reaches back to a time whose workloads are not known.
    let (recent, earlier) = sample.split_at(duration_ns);
    // A suspended machine draws next to nothing, and no idle power.
    let awake_ns = recent.elapsed_ns.saturating_sub(asleep_ns);
    let is_device = state.zone.is_device();
    let is_whole = recent.is_known()
        && earlier.elapsed_ns == 0
        && asleep_ns <= duration_ns / 100
        && (is_device || !usage.is_late);
    if is_whole {
        let utilisation = if is_device {
            state.activity.utilisation()
        } else {
            usage.utilisation(package)
        };
        state
            .idle
            .observe(recent.energy, recent.elapsed_ns, utilisation);
    }
    let recent_idle = state.idle.idle_part(recent.energy, awake_ns);
    let active = recent.energy.checked_sub(recent_idle).unwrap_or_default();
    let seconds = is_whole.then_some(awake_ns as f64 / 1e9);
    let (weights, weighed_by) = if is_device {
        (parties.device_weights(index), state.activity.weighed_by())
    } else if usage.has_events {
        state.weigh(parties, active, seconds)
    } else {
        (parties.cpu_weights(package), CPU_TIME)
    };
    let (workloads, system) = parties.by_workload(&weights);
    let mut shares = attribute(recent.energy, recent_idle, &workloads, system);
    let earlier_idle = state.idle.idle_part(earlier.energy, earlier.elapsed_ns);
    let nobody = attribute(earlier.energy, earlier_idle, &[], 0);
    shares.idle += nobody.idle;
    shares.system += nobody.system;
    ZoneRecord {
        sample,
        shares: Some(shares),
        weights,
        weighed_by,
        idle_seeded: state.idle.origin() == Origin::Seeded,
    }
}

/// What the loop goes on with.
pub struct Loop {
    /// What is measured.
    pub node: Node,
    /// How often.
    pub period: Duration,
    /// What gives moments.
    pub clock: Clock,
    /// From when energy is measured: about when the node's counters were read for the first time.
    pub start: Moment,
    /// What is exported.
    pub metrics: Arc<Metrics>,
    /// Whether it works.
    pub health: Arc<Health>,
    /// Where intervals go; `None`: nowhere.
    pub spool: Option<Arc<Spool>>,
    /// The site that the node names.
    pub site: Arc<SiteName>,
    /// Where what was learned of idle power goes.
    pub kept: Option<IdleFile>,
}

/// Measures every period until told to stop, and once more then, so that no energy is left behind.
///
/// # Errors
/// Where a step panicked.
pub async fn run(state: Loop, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Loop {
        mut node,
        period,
        mut clock,
        mut start,
        metrics,
        health,
        spool,
        site,
        mut kept,
    } = state;
    let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stopping = false;
    while !stopping {
        tokio::select! {
            _ = ticks.tick() => {}
            () = shutdown.cancelled() => stopping = true,
        }
        let end = clock.now();
        let record;
        let took;
        (node, record, took) = tokio::task::spawn_blocking(move || {
            let began = Instant::now();
            let record = measure(&mut node, start, end);
            let took = began.elapsed();
            (node, record, took)
        })
        .await?;
        start = end;
        metrics.book(&node, &record, took);
        health.tick();
        // Last: a slow disk is not to keep back what was measured.
        let (spool, site) = (spool.clone(), site.get());
        (node, kept) = tokio::task::spawn_blocking(move || {
            // 6. Packed, and durable; the uplink sends it: 7.
            if let Some(spool) = &spool {
                spool.add(Measured {
                    site,
                    ..batch::measured(&node.zones, &record, end)
                });
                if stopping {
                    spool.seal();
                }
            }
            if let Some(file) = &mut kept {
                file.keep(&mut node.zones, end.boottime_ns, stopping);
            }
            (node, kept)
        })
        .await?;
    }
    Ok(())
}

/// How /metrics names a workload: (namespace, pod, container). What has no name yet goes by its uid or id.
#[must_use]
pub fn names(workload: &Workload) -> (&str, &str, &str) {
    match workload.kind() {
        WorkloadKind::Exec => {
            let directory = wire::exec_group::DIRECTORY;
            return (directory, &workload.run, &workload.container_id);
        }
        WorkloadKind::Slurm => return (&workload.workflow, &workload.run, &workload.stage),
        WorkloadKind::Vm => return ("vm", &workload.pod, &workload.pod),
        _ => {}
    }
    let container = either(&workload.container, &workload.container_id);
    let pod = either(&workload.pod, &workload.pod_uid);
    (&workload.namespace, either(pod, container), container)
}

fn either<'a>(name: &'a str, id: &'a str) -> &'a str {
    if name.is_empty() { id } else { name }
}

#[cfg(test)]
mod tests;
