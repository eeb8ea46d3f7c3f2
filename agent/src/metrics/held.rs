//! Energy of pods and containers whose names Kubernetes has not told yet: it waits, and is booked under the name when
//! that comes, so that one workload does not have two series. Who has no name for too long is `unknown` for good; the
//! ledger still restates it.

use std::collections::HashMap;
use std::hash::Hash;

use wire::Energy;
use wire::v1::{Workload, WorkloadKind};

/// How long energy waits for a name.
const PATIENCE_NS: u64 = 600_000_000_000;
/// Name of all that got none.
pub(super) const UNKNOWN: &str = "unknown";

/// Sums by what they wait under.
#[derive(Debug)]
pub(super) struct Held<I> {
    sums: HashMap<I, Sum>,
}

/// What waits.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    /// By zone, in the order of the node's zones.
    pub(super) zones: Vec<Energy>,
    pub(super) cpu_ns: u64,
    since_ns: u64,
}

/// Whether a workload's pod has no name yet where Kubernetes is asked for it.
pub(super) fn lacks_pod(workload: &Workload) -> bool {
    workload.kind() == WorkloadKind::Container
        && !workload.pod_uid.is_empty()
        && workload.pod.is_empty()
}

/// The same of its container.
pub(super) fn lacks_container(workload: &Workload) -> bool {
    let is_container = workload.kind() == WorkloadKind::Container && !workload.pod_uid.is_empty();
    is_container && !workload.container_id.is_empty() && workload.container.is_empty()
}

impl<I: Clone + Eq + Hash> Held<I> {
    pub(super) fn new() -> Self {
        Self {
            sums: HashMap::new(),
        }
    }

    pub(super) fn add_energy(&mut self, id: I, zone: usize, energy: Energy, now_ns: u64) {
        let sum = self.entry(id, now_ns);
        if sum.zones.len() <= zone {
            sum.zones.resize(zone + 1, Energy::ZERO);
        }
        sum.zones[zone] += energy;
    }

    pub(super) fn add_cpu(&mut self, id: I, cpu_ns: u64, now_ns: u64) {
        self.entry(id, now_ns).cpu_ns += cpu_ns;
    }

    /// Joules that wait.
    pub(super) fn joules(&self) -> f64 {
        let energies = self.sums.values().flat_map(|sum| &sum.zones);
        energies.map(|energy| energy.joules()).sum()
    }

    /// Takes what has a name now, and what has waited for too long and has none.
    pub(super) fn take<K>(
        &mut self,
        now_ns: u64,
        mut name: impl FnMut(&I) -> Option<K>,
    ) -> Vec<(Option<K>, Sum)> {
        let mut taken = Vec::new();
        self.sums.retain(|id, sum| {
            let key = name(id);
            let is_over = key.is_some() || now_ns >= sum.since_ns + PATIENCE_NS;
            if is_over {
                taken.push((key, std::mem::take(sum)));
            }
            !is_over
        });
        taken
    }

    fn entry(&mut self, id: I, now_ns: u64) -> &mut Sum {
        self.sums.entry(id).or_insert_with(|| Sum {
            since_ns: now_ns,
            ..Sum::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_goes_to_its_name_or_after_ten_minutes_to_none() {
        let energy = Energy::from_microjoules;
        let mut held = Held::new();
        held.add_energy("a", 1, energy(5), 1);
        held.add_energy("b", 0, energy(7), 2);
        held.add_cpu("b", 9, 3);
        assert!(held.take(3, |_| None::<&str>).is_empty());
        let taken = held.take(4, |id| (*id == "b").then_some("named"));
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].0, taken[0].1.cpu_ns), (Some("named"), 9));
        assert!(held.take(PATIENCE_NS, |_| None::<&str>).is_empty());
        let taken = held.take(1 + PATIENCE_NS, |_| None::<&str>);
        assert_eq!(taken[0].0, None);
        assert_eq!(taken[0].1.zones, [Energy::ZERO, energy(5)]);
        assert!(held.joules().abs() < f64::EPSILON);
    }
}
