//! The sums behind the counters, by level. No level's numbers depend on who scrapes or how often.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use wire::Energy;
use wire::v1::{Basis, Outcome, Workload};

use super::OTHER;
use super::held::{Held, UNKNOWN, lacks_container, lacks_pod};
use super::kepler::Kepler;
use super::processes::Processes;
use super::table::Table;
use crate::cgroup::watch::Counts;
use crate::config::{Compat, Config, Level};
use crate::identity::Unresolved;
use crate::kube::{Kube, Who};
use crate::node::{CpuSums, Node, ZoneState};
use crate::run::{Record, names};
use crate::sensor::boottime_ns;

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

/// Sums of one zone.
#[derive(Clone, Debug)]
pub(super) struct ZoneSums {
    pub(super) name: String,
    pub(super) parent: String,
    pub(super) basis: &'static str,
    pub(super) sensor: &'static str,
    pub(super) source: String,
    pub(super) reason: String,
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
    pub(super) processes: Processes,
    /// Where Kepler's metrics are exported as well.
    pub(super) kepler: Option<Kepler>,
    pub(super) usage_source: &'static str,
    pub(super) usage_detail: String,
    pub(super) cpu: CpuSums,
    pub(super) unresolved: Unresolved,
    pub(super) cgroup_watch: Option<Counts>,
    /// Where pods' names come from; `None`: pods go by their uids.
    pub(super) kube: Option<Arc<Kube>>,
    /// By pod's uid.
    held_pods: Held<String>,
    /// By pod's uid and container id.
    held_containers: Held<(String, String)>,
    levels: Vec<Level>,
    linger: Duration,
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
        Self {
            zones: Vec::new(),
            pods: Table::new(max, pod),
            containers: Table::new(max, container),
            processes: Processes::new(max, config.proc_root.clone()),
            kepler: config
                .compat
                .contains(&Compat::Kepler)
                .then(|| Kepler::new(max, &config.proc_root)),
            usage_source: "none",
            usage_detail: String::new(),
            cpu: CpuSums::default(),
            unresolved: Unresolved::default(),
            cgroup_watch: None,
            kube: None,
            held_pods: Held::new(),
            held_containers: Held::new(),
            levels: config.metrics.clone(),
            linger: config.metrics_linger,
        }
    }

    /// Adds one interval.
    pub(super) fn book(&mut self, node: &Node, record: &Record) {
        let now_ns = boottime_ns();
        self.usage_source = node.counting.name();
        self.usage_detail = node.counting.detail();
        self.cpu = node.counting.sums();
        self.unresolved = node.identities.unresolved();
        self.cgroup_watch = Some(node.identities.watch_counts());
        self.kube = node.identities.kube().cloned();
        let new = node.zones.iter().skip(self.zones.len());
        self.zones.extend(new.map(zone_sums));
        for (sums, state) in self.zones.iter_mut().zip(&node.zones) {
            sums.source.clone_from(&state.zone.source);
        }
        self.book_cpu(record, now_ns);
        for zone in 0..record.zones.len() {
            self.book_zone(record, zone, now_ns);
        }
        self.take_held(now_ns);
        if self.has(Level::Process) {
            self.processes.book(record, now_ns);
        }
        if let Some(kepler) = &mut self.kepler {
            let alive = node.identities.alive();
            kepler.book(record, &self.processes, &alive, self.cpu, now_ns);
        }
        self.expire(node, now_ns);
    }

    fn has(&self, level: Level) -> bool {
        self.levels.contains(&level)
    }

    fn book_cpu(&mut self, record: &Record, now_ns: u64) {
        let (cpu_ns, _) = record.parties.cpu_ns();
        for (workload, cpu_ns) in record.parties.workloads().iter().zip(cpu_ns) {
            if self.kube.is_some() && lacks_pod(workload) {
                let uid = workload.pod_uid.clone();
                self.held_pods.add_cpu(uid, cpu_ns, now_ns);
            } else {
                self.pods.add_cpu(&pod_key(workload), cpu_ns, now_ns);
            }
        }
    }

    /// Joules of pods that wait for a name.
    pub(super) fn held_joules(&self) -> f64 {
        self.held_pods.joules()
    }

    /// Books what has waited for a name that has come, or not in time.
    fn take_held(&mut self, now_ns: u64) {
        let Some(kube) = &self.kube else {
            return;
        };
        let mut pods = kube.pods.lock();
        let held = self
            .held_pods
            .take(now_ns, |uid| match pods.who(Some(uid), "", now_ns) {
                Who::Named(workload) | Who::InPod(workload) => Some(pod_key(&workload)),
                Who::Unknown => None,
            });
        for (key, sum) in held {
            let key = key.unwrap_or_else(unknown_pod);
            self.pods.add_cpu(&key, sum.cpu_ns, now_ns);
            for (zone, energy) in sum.zones.into_iter().enumerate() {
                self.pods.add_energy(&key, zone, energy, now_ns);
            }
        }
        let held = self.held_containers.take(now_ns, |(uid, container_id)| {
            match pods.who(Some(uid), container_id, now_ns) {
                Who::Named(workload) => Some(container_key(&workload)),
                Who::InPod(_) | Who::Unknown => None,
            }
        });
        for (key, sum) in held {
            let key = key.unwrap_or_else(unknown_container);
            for (zone, energy) in sum.zones.into_iter().enumerate() {
                self.containers.add_energy(&key, zone, energy, now_ns);
            }
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
            let is_asked = self.kube.is_some();
            if is_asked && lacks_pod(workload) {
                let uid = workload.pod_uid.clone();
                self.held_pods.add_energy(uid, zone, energy, now_ns);
            } else {
                self.pods
                    .add_energy(&pod_key(workload), zone, energy, now_ns);
            }
            if !self.levels.contains(&Level::Container) {
                continue;
            }
            if is_asked && lacks_container(workload) {
                let id = (workload.pod_uid.clone(), workload.container_id.clone());
                self.held_containers.add_energy(id, zone, energy, now_ns);
            } else {
                self.containers
                    .add_energy(&container_key(workload), zone, energy, now_ns);
            }
        }
    }

    fn expire(&mut self, node: &Node, now_ns: u64) {
        let before_ns = now_ns.saturating_sub(self.linger.as_nanos() as u64);
        let any = self.pods.has_expired(before_ns)
            || self.containers.has_expired(before_ns)
            || self.processes.has_expired(before_ns)
            || self
                .kepler
                .as_ref()
                .is_some_and(|kepler| kepler.has_expired(before_ns));
        if !any {
            return;
        }
        let alive = node.identities.alive();
        let pods: HashSet<PodKey> = alive.iter().map(|workload| pod_key(workload)).collect();
        let containers: HashSet<ContainerKey> = alive
            .iter()
            .map(|workload| container_key(workload))
            .collect();
        self.pods.expire(before_ns, now_ns, &|key| {
            pods.contains(key) || *key == unknown_pod()
        });
        self.containers.expire(before_ns, now_ns, &|key| {
            containers.contains(key) || *key == unknown_container()
        });
        if let Some(kepler) = &mut self.kepler {
            kepler.expire(before_ns, now_ns);
        }
        self.processes.expire(before_ns, now_ns, &|namespace, pod| {
            pods.iter()
                .any(|key| key.namespace == namespace && key.pod == pod)
        });
    }
}

impl ZoneSums {
    /// Nothing yet, of a zone that is measured.
    pub(super) fn new(name: &str, parent: &str, source: &str) -> Self {
        Self {
            name: name.to_owned(),
            parent: parent.to_owned(),
            basis: "measured",
            sensor: "",
            source: source.to_owned(),
            reason: String::new(),
            up: true,
            measured: Energy::ZERO,
            idle: Energy::ZERO,
            system: Energy::ZERO,
            outcomes: BTreeMap::new(),
        }
    }

    /// As [`crate::sensor::Zone::kind`].
    pub(super) fn kind(&self) -> &str {
        self.name.split('-').next().unwrap_or_default()
    }
}

fn zone_sums(state: &ZoneState) -> ZoneSums {
    ZoneSums {
        basis: if state.zone.basis == Basis::Modelled {
            "modelled"
        } else {
            "measured"
        },
        sensor: state.sensor,
        reason: state.zone.reason.clone(),
        ..ZoneSums::new(&state.zone.name, &state.zone.parent, &state.zone.source)
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

/// What had no name in time; it stays.
fn unknown_pod() -> PodKey {
    PodKey {
        namespace: String::new(),
        pod: UNKNOWN.to_owned(),
        workflow: String::new(),
        stage: String::new(),
    }
}

fn unknown_container() -> ContainerKey {
    ContainerKey {
        namespace: String::new(),
        pod: UNKNOWN.to_owned(),
        container: UNKNOWN.to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_of_one_name_share_one_series() {
        let of = |uid: &str, pod: &str| Workload {
            namespace: "ns".into(),
            pod: pod.into(),
            pod_uid: uid.into(),
            container: "main".into(),
            container_id: format!("id-of-{uid}"),
            ..Workload::default()
        };
        let (before, after) = (of("1", "web-0"), of("2", "web-0"));
        assert_eq!(pod_key(&before), pod_key(&after));
        assert_eq!(container_key(&before), container_key(&after));
        assert_ne!(pod_key(&before), pod_key(&of("3", "web-1")));

        let mut pods = Table::new(9, pod_key(&of("", "other")));
        for (workload, microjoules) in [(&before, 5), (&after, 7)] {
            let energy = Energy::from_microjoules(microjoules);
            pods.add_energy(&pod_key(workload), 0, energy, 1);
        }
        let sums: Vec<u64> = pods
            .iter()
            .map(|(_, entry)| entry.zones[0].microjoules())
            .collect();
        assert_eq!(sums, [12]);
    }
}
