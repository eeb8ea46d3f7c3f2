//! Energy by process: those that use most by name, the others of each pod together.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use wire::v1::Workload;
use wire::{Energy, apportion};

use super::OTHER;
use super::table::{Entry, Table};
use super::top::Top;
use crate::parties::Use;
use crate::run::{Record, names};
use crate::usage::proc_stat::ProcessStat;

/// The labels of a series. A pid that is given again to a process of the same name in the same pod goes on with
/// the series of the one before it: the labels do not tell them apart, and a counter only goes up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProcessKey {
    pub(super) pid: String,
    pub(super) comm: String,
    pub(super) namespace: String,
    pub(super) pod: String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Processes {
    top: Top<ProcessKey>,
    others: Table<ProcessKey>,
    proc_root: PathBuf,
}

impl Processes {
    /// At most `max` by name, and as many pods' others.
    pub(super) fn new(max: usize, proc_root: PathBuf) -> Self {
        Self {
            top: Top::new(max),
            others: Table::new(max, other("", "")),
            proc_root,
        }
    }

    /// Bookings that found no place of their own, since start.
    pub(super) fn cut(&self) -> u64 {
        self.top.cut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ProcessKey, &Entry)> {
        self.top.iter().chain(self.others.iter())
    }

    /// Adds one interval: all that the workloads and the system were given.
    pub(super) fn book(&mut self, record: &Record, now_ns: u64) {
        let mut used: HashMap<ProcessKey, Vec<Energy>> = HashMap::new();
        for zone in 0..record.zones.len() {
            for (key, energy) in split(record, zone) {
                let energies = used.entry(key).or_default();
                energies.resize(energies.len().max(zone + 1), Energy::ZERO);
                energies[zone] += energy;
            }
        }
        let (named, mut unnamed): (HashMap<_, _>, Vec<_>) = {
            let (named, unnamed): (Vec<_>, Vec<_>) =
                used.into_iter().partition(|(key, _)| !key.pid.is_empty());
            (named.into_iter().collect(), unnamed)
        };
        let proc_root = &self.proc_root;
        let start = |key: &ProcessKey| Some(read(proc_root, key)?.start_ticks);
        unnamed.extend(self.top.book(named, record.duration_ns, now_ns, &start));
        for (key, used) in keys(record) {
            self.top.add_cpu(&key, used.cpu_ns);
        }
        for (key, energies) in unnamed {
            let key = other(&key.namespace, &key.pod);
            let energies = energies.into_iter().enumerate();
            for (zone, energy) in energies.filter(|(_, energy)| *energy > Energy::ZERO) {
                self.others.add_energy(&key, zone, energy, now_ns);
            }
        }
    }

    /// Whether a process has a series of its own.
    pub(super) fn is_shown(&self, key: &ProcessKey) -> bool {
        self.top.is_shown(key)
    }

    pub(super) fn has_expired(&self, before_ns: u64) -> bool {
        self.top.has_expired(before_ns) || self.others.has_expired(before_ns)
    }

    /// Gives up what has not been seen since `before_ns` and is no more; `has_pod` says of a namespace and pod
    /// whether it is there.
    pub(super) fn expire(
        &mut self,
        before_ns: u64,
        now_ns: u64,
        has_pod: &dyn Fn(&str, &str) -> bool,
    ) {
        let proc_root = &self.proc_root;
        let successor = |key: &ProcessKey, start_ticks| {
            let now = read(proc_root, key)?;
            let is_same = now.start_ticks == start_ticks || now.comm == key.comm;
            is_same.then_some(now.start_ticks)
        };
        self.top.expire(before_ns, now_ns, &successor);
        let lives = |key: &ProcessKey| has_pod(&key.namespace, &key.pod);
        self.others.expire(before_ns, now_ns, &lives);
    }
}

/// Every process that ran, and what it used; the same may come more than once.
pub(super) fn keys(record: &Record) -> impl Iterator<Item = (ProcessKey, &Use)> {
    let named = record.parties.uses().iter().filter(|used| used.tgid != 0);
    named.map(|used| {
        let workload = used
            .workload
            .map(|position| &*record.parties.workloads()[position]);
        (process_key(used, workload), used)
    })
}

/// The process that has the pid now; its start tells it from others that had it.
fn read(proc_root: &Path, key: &ProcessKey) -> Option<ProcessStat> {
    ProcessStat::read(&proc_root.join(&key.pid))
}

/// One zone's energy by process: each workload's processes sum to what it was given, and so do the system's.
fn split(record: &Record, zone: usize) -> Vec<(ProcessKey, Energy)> {
    let zone = &record.zones[zone];
    let Some(shares) = &zone.shares else {
        return Vec::new();
    };
    let mut by_workload: HashMap<Option<usize>, Vec<(&Use, u64)>> = HashMap::new();
    for (used, &weight) in record.parties.uses().iter().zip(&zone.weights) {
        let uses = by_workload.entry(used.workload).or_default();
        uses.push((used, weight));
    }
    let workloads = record.parties.workloads();
    let owners = shares.active.iter().copied().enumerate();
    let owners = owners.map(|(position, energy)| (Some(position), energy));
    let mut parts = Vec::new();
    for (position, total) in owners.chain([(None, shares.system)]) {
        let workload = position.map(|position| &*workloads[position]);
        let uses = by_workload.remove(&position).unwrap_or_default();
        let weights: Vec<u64> = uses.iter().map(|(_, weight)| *weight).collect();
        if let Some(split) = apportion(total, &weights) {
            let keys = uses.iter().map(|(used, _)| process_key(used, workload));
            parts.extend(keys.zip(split));
        } else if total > Energy::ZERO {
            // Nobody ran, such as in the time before readings failed.
            let (namespace, pod, _) = workload.map_or(("", "", ""), names);
            parts.push((other(namespace, pod), total));
        }
    }
    parts
}

fn process_key(used: &Use, workload: Option<&Workload>) -> ProcessKey {
    let (namespace, pod, _) = workload.map_or(("", "", ""), names);
    if used.tgid == 0 {
        return other(namespace, pod);
    }
    ProcessKey {
        pid: used.tgid.to_string(),
        comm: used.comm.clone(),
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
    }
}

fn other(namespace: &str, pod: &str) -> ProcessKey {
    ProcessKey {
        pid: String::new(),
        comm: OTHER.to_owned(),
        namespace: namespace.to_owned(),
        pod: pod.to_owned(),
    }
}

#[cfg(test)]
mod tests;
