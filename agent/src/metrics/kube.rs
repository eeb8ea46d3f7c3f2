//! Families about Kubernetes: what was asked, and what is known.

use std::sync::atomic::Ordering::Relaxed;

use prometheus::proto::MetricFamily;

use super::families::{counter, gauge};
use crate::kube::Kube;

pub(super) fn families(kube: &Kube, held_joules: f64) -> Vec<MetricFamily> {
    let counts = &kube.counts;
    let requests = [("list", &counts.lists), ("watch", &counts.watches)];
    let (pods, is_up_to_date) = {
        let pods = kube.pods.lock();
        (pods.count(), pods.is_up_to_date())
    };
    vec![
        counter(
            "hxmlops_agent_kube_requests_total",
            "Requests for this node's pods, to the API server or the kubelet.",
            requests.map(|(verb, count)| (vec![("verb", verb)], count.load(Relaxed) as f64)),
        ),
        counter(
            "hxmlops_agent_kube_errors_total",
            "Requests for this node's pods that failed or broke off.",
            [(vec![], counts.errors.load(Relaxed) as f64)],
        ),
        gauge(
            "hxmlops_agent_kube_up",
            "Whether changes of this node's pods are told now.",
            [(vec![], f64::from(u8::from(is_up_to_date)))],
        ),
        gauge(
            "hxmlops_agent_kube_pods",
            "Pods of this node that are known.",
            [(vec![], pods as f64)],
        ),
        gauge(
            "hxmlops_agent_unnamed_energy_joules",
            "Energy of pods that waits for their names, ten minutes at most, and is in no pod's series yet.",
            [(vec![], held_joules)],
        ),
    ]
}
