//! A run's energy and carbon by pod.

use std::collections::{BTreeMap, HashMap};

use wire::Energy;

use super::PodReport;
use crate::store::WorkloadLabels;

/// Pods that a report lists.
const MAX_PODS: usize = 200;

#[derive(Default)]
pub(super) struct Pods {
    /// Places of pods, by namespace and name.
    names: BTreeMap<(String, String), usize>,
    /// The same by workload, which is how they are asked for.
    workloads: HashMap<usize, usize>,
    sums: Vec<Pod>,
}

#[derive(Clone, Copy, Default)]
struct Pod {
    active: Energy,
    idle: Energy,
    grams: f64,
}

impl Pods {
    /// Adds energy of a workload of the run, by its index in the ledger's dictionary.
    pub(super) fn add(
        &mut self,
        workload: usize,
        labels: &WorkloadLabels,
        active: Energy,
        idle: Energy,
        grams: f64,
    ) {
        let Self {
            names,
            workloads,
            sums,
        } = self;
        let place = *workloads.entry(workload).or_insert_with(|| {
            let key = (labels.namespace.clone(), labels.pod.clone());
            *names.entry(key).or_insert_with(|| {
                sums.push(Pod::default());
                sums.len() - 1
            })
        });
        let pod = &mut sums[place];
        pod.active += active;
        pod.idle += idle;
        pod.grams += grams;
    }

    /// `told`: the grams of the whole run are known.
    pub(super) fn finish(self, told: bool) -> Vec<PodReport> {
        let sums = self.sums;
        let named = |(name, place): ((String, String), usize)| (name, sums[place]);
        let mut pods: Vec<_> = self.names.into_iter().map(named).collect();
        let energy = |pod: &Pod| pod.active + pod.idle;
        pods.sort_by_key(|(_, pod)| std::cmp::Reverse(energy(pod)));
        let rest = pods.split_off(pods.len().min(MAX_PODS));
        if !rest.is_empty() {
            let sum = |sum: Pod, (_, pod): ((String, String), Pod)| Pod {
                active: sum.active + pod.active,
                idle: sum.idle + pod.idle,
                grams: sum.grams + pod.grams,
            };
            let rest = rest.into_iter().fold(Pod::default(), sum);
            pods.push(((String::new(), String::new()), rest));
        }
        let report = |((namespace, pod), sums): ((String, String), Pod)| PodReport {
            namespace,
            pod,
            energy_joules: energy(&sums).joules(),
            idle_joules: sums.idle.joules(),
            carbon_grams: told.then_some(sums.grams),
        };
        pods.into_iter().map(report).collect()
    }
}
