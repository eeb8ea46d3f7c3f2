//! A run's energy and carbon by pod.

use std::collections::BTreeMap;

use wire::Energy;

use super::PodReport;
use crate::store::WorkloadLabels;

/// Pods that a report lists.
const MAX_PODS: usize = 200;

#[derive(Default)]
pub(super) struct Pods(BTreeMap<(String, String), Pod>);

#[derive(Clone, Copy, Default)]
struct Pod {
    active: Energy,
    idle: Energy,
    grams: f64,
}

impl Pods {
    pub(super) fn add(
        &mut self,
        labels: &WorkloadLabels,
        active: Energy,
        idle: Energy,
        grams: f64,
    ) {
        let key = (labels.namespace.clone(), labels.pod.clone());
        let pod = self.0.entry(key).or_default();
        pod.active += active;
        pod.idle += idle;
        pod.grams += grams;
    }

    /// `told`: the grams of the whole run are known.
    pub(super) fn finish(self, told: bool) -> Vec<PodReport> {
        let mut pods: Vec<_> = self.0.into_iter().collect();
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
