//! The sums behind the counters, by level. No level's numbers depend on who scrapes or how often.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::time::Duration;

use wire::v1::{Basis, Outcome, Workload};
use wire::{Energy, apportion};

use super::table::Table;
use crate::config::{Config, Level};
use crate::node::{Node, ZoneState};
use crate::parties::Use;
use crate::run::{Record, names};
use crate::sensor::boottime_ns;

/// Name of the entry that all beyond a table's bound share.
const OTHER: &str = "other";

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PodKey {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) workflow: String,
    pub(super) stage: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ContainerKey {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProcessKey {
    pub(super) pid: String,
    pub(super) comm: String,
    pub(super) namespace: String,
    pub(super) pod: String,
}

/// Sums of one zone.
#[derive(Clone, Debug)]
pub(super) struct ZoneSums {
    pub(super) name: String,
    pub(super) parent: String,
    pub(super) basis: &'static str,
    pub(super) sensor: &'static str,
    pub(super) source: String,
    pub(super) up: bool,
    pub(super) measured: Energy,
    pub(super) idle: Energy,
    pub(super) system: Energy,
    pub(super) outcomes: BTreeMap<&'static str, u64>,
}

#[derive(Debug)]
pub(super) struct Books {
    pub(super) zones: Vec<ZoneSums>,
    pub(super) pods: Table<PodKey>,
    pub(super) containers: Table<ContainerKey>,
    pub(super) processes: Table<ProcessKey>,
    pub(super) usage_source: &'static str,
    pub(super) unresolved_cgroups: u64,
    levels: Vec<Level>,
    linger: Duration,
    proc_root: PathBuf,
}

impl Books {
    pub(super) fn new(config: &Config) -> Self {
        let other = || OTHER.to_owned();
        let none = String::new;
        let max = config.metrics_max_series;
        let pod = PodKey {
            namespace: none(),
            pod: other(),
            workflow: none(),
            stage: none(),
        };
        let container = ContainerKey {
            namespace: none(),
            pod: none(),
            container: other(),
        };
        let process = ProcessKey {
            pid: none(),
            comm: other(),
            namespace: none(),
            pod: none(),
        };
        Self {
            zones: Vec::new(),
            pods: Table::new(max, pod),
            containers: Table::new(max, container),
            processes: Table::new(max, process),
            usage_source: "none",
            unresolved_cgroups: 0,
            levels: config.metrics.clone(),
            linger: config.metrics_linger,
            proc_root: config.proc_root.clone(),
        }
    }

    /// Adds one interval.
    pub(super) fn book(&mut self, node: &Node, record: &Record) {
        let now_ns = boottime_ns();
        self.usage_source = node.usage_name();
        self.unresolved_cgroups = node.identities.unresolved().cgroups;
        if self.zones.is_empty() {
            self.zones = node.zones.iter().map(zone_sums).collect();
        }
        self.book_cpu(record, now_ns);
        for zone in 0..record.zones.len() {
            self.book_zone(record, zone, now_ns);
        }
        self.expire(node, now_ns);
    }

    fn has(&self, level: Level) -> bool {
        self.levels.contains(&level)
    }

    fn book_cpu(&mut self, record: &Record, now_ns: u64) {
        let (cpu_ns, _) = record.parties.cpu_ns();
        for (workload, cpu_ns) in record.parties.workloads().iter().zip(cpu_ns) {
            self.pods.add_cpu(&pod_key(workload), cpu_ns, now_ns);
        }
    }

    fn book_zone(&mut self, record: &Record, zone: usize, now_ns: u64) {
        let zone_record = &record.zones[zone];
        let sums = &mut self.zones[zone];
        sums.up = zone_record.sample.is_known() || zone_record.sample.outcome == Outcome::First;
        sums.measured += zone_record.sample.energy;
        *sums
            .outcomes
            .entry(outcome_name(zone_record.sample.outcome))
            .or_default() += 1;
        let Some(shares) = &zone_record.shares else {
            return;
        };
        sums.idle += shares.idle;
        sums.system += shares.system;
        for (workload, &energy) in record.parties.workloads().iter().zip(&shares.active) {
            self.pods
                .add_energy(&pod_key(workload), zone, energy, now_ns);
            if self.has(Level::Container) {
                self.containers
                    .add_energy(&container_key(workload), zone, energy, now_ns);
            }
        }
        if self.has(Level::Process) {
            self.book_processes(record, zone, now_ns);
        }
    }

    /// Splits each workload's energy, and the system's, among its processes: they sum to it exactly. Those
    /// that used most come first, so that they are the ones that find room.
    fn book_processes(&mut self, record: &Record, zone: usize, now_ns: u64) {
        let Some(shares) = &record.zones[zone].shares else {
            return;
        };
        let workloads = record.parties.workloads();
        let mut by_workload: HashMap<Option<usize>, Vec<(&Use, u64)>> = HashMap::new();
        for (used, &weight) in record
            .parties
            .uses()
            .iter()
            .zip(&record.zones[zone].weights)
        {
            let uses = by_workload.entry(used.workload).or_default();
            uses.push((used, weight));
        }
        let mut parts: Vec<(ProcessKey, Energy)> = Vec::new();
        for (workload, uses) in by_workload {
            let total = workload.map_or(shares.system, |workload| shares.active[workload]);
            let weights: Vec<u64> = uses.iter().map(|(_, weight)| *weight).collect();
            let split = apportion(total, &weights).unwrap_or_default();
            let workload = workload.map(|workload| &*workloads[workload]);
            parts.extend(
                uses.iter()
                    .zip(split)
                    .map(|((used, _), energy)| (process_key(used, workload), energy)),
            );
        }
        parts.sort_by(|(_, a), (_, b)| b.cmp(a));
        for (key, energy) in parts {
            // One that has ended already would only take up room.
            let lives = self.processes.contains(&key) || self.proc_root.join(&key.pid).exists();
            let key = if lives {
                key
            } else {
                ProcessKey {
                    pid: String::new(),
                    comm: OTHER.to_owned(),
                    ..key
                }
            };
            self.processes.add_energy(&key, zone, energy, now_ns);
        }
    }

    fn expire(&mut self, node: &Node, now_ns: u64) {
        let before_ns = now_ns.saturating_sub(self.linger.as_nanos() as u64);
        let any = self.pods.has_expired(before_ns)
            || self.containers.has_expired(before_ns)
            || self.processes.has_expired(before_ns);
        if !any {
            return;
        }
        let alive = node.identities.alive();
        let pods: HashSet<PodKey> = alive.iter().map(|workload| pod_key(workload)).collect();
        let containers: HashSet<ContainerKey> = alive
            .iter()
            .map(|workload| container_key(workload))
            .collect();
        self.pods
            .expire(before_ns, now_ns, &|key| pods.contains(key));
        self.containers
            .expire(before_ns, now_ns, &|key| containers.contains(key));
        let proc_root = &self.proc_root;
        let lives = |key: &ProcessKey| match key.pid.as_str() {
            "" => pods
                .iter()
                .any(|pod| pod.namespace == key.namespace && pod.pod == key.pod),
            pid => proc_root.join(pid).exists(),
        };
        self.processes.expire(before_ns, now_ns, &lives);
    }
}

fn zone_sums(state: &ZoneState) -> ZoneSums {
    ZoneSums {
        name: state.zone.name.clone(),
        parent: state.zone.parent.clone(),
        basis: if state.zone.basis == Basis::Modelled {
            "modelled"
        } else {
            "measured"
        },
        sensor: state.sensor,
        source: state.zone.source.clone(),
        up: true,
        measured: Energy::ZERO,
        idle: Energy::ZERO,
        system: Energy::ZERO,
        outcomes: BTreeMap::new(),
    }
}

fn pod_key(workload: &Workload) -> PodKey {
    let (namespace, pod, _) = names(workload);
    PodKey {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        workflow: workload.workflow.clone(),
        stage: workload.stage.clone(),
    }
}

fn container_key(workload: &Workload) -> ContainerKey {
    let (namespace, pod, container) = names(workload);
    ContainerKey {
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
        container: container.to_owned(),
    }
}

fn process_key(used: &Use, workload: Option<&Workload>) -> ProcessKey {
    let (namespace, pod, _) = workload.map_or(("", "", ""), names);
    let (pid, comm) = if used.tgid == 0 {
        (String::new(), OTHER)
    } else {
        (used.tgid.to_string(), &*used.comm)
    };
    ProcessKey {
        pid,
        comm: comm.to_owned(),
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
    }
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Sampled => "sampled",
        Outcome::Wrapped => "wrapped",
        Outcome::First => "first",
        Outcome::Reset => "reset",
        Outcome::Absent => "absent",
        Outcome::Failed | Outcome::Unspecified => "failed",
    }
}
