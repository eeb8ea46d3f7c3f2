//! One zone's energy of one interval, split among those who ran. Pure.
//!
//! Invariant: idle + system + sum(active) = measured, to the microjoule.

use wire::{Energy, apportion};

/// Where one zone's energy went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shares {
    /// What the zone uses when nothing runs.
    pub idle: Energy,
    /// Active energy of what belongs to no workload.
    pub system: Energy,
    /// Active energy of each workload, in the order of the weights given.
    pub active: Vec<Energy>,
}

/// Splits `measured`: first its `idle` part (at most all of it), then the rest in proportion to the weights
/// (CPU time, or energy by a model) of each workload and of the system. Where all are 0, the rest is the system's.
#[must_use]
pub fn attribute(
    measured: Energy,
    idle: Energy,
    workload_weights: &[u64],
    system_weight: u64,
) -> Shares {
    let idle = idle.min(measured);
    let rest = measured.checked_sub(idle).unwrap_or_default();
    let weights: Vec<u64> = workload_weights
        .iter()
        .copied()
        .chain([system_weight])
        .collect();
    let mut active = apportion(rest, &weights).unwrap_or_else(|| {
        let mut nobody = vec![Energy::ZERO; workload_weights.len()];
        nobody.push(rest);
        nobody
    });
    let system = active.pop().unwrap_or(rest);
    Shares {
        idle,
        system,
        active,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(
        measured: u64,
        idle: u64,
        weights: &[u64],
        system_weight: u64,
        expected: (u64, u64, &[u64]),
    ) {
        let energy = Energy::from_microjoules;
        let shares = attribute(energy(measured), energy(idle), weights, system_weight);
        let active: Vec<u64> = shares
            .active
            .iter()
            .map(|share| share.microjoules())
            .collect();
        assert_eq!(
            (
                shares.idle.microjoules(),
                shares.system.microjoules(),
                active.as_slice()
            ),
            expected
        );
    }

    #[test]
    fn active_energy_follows_cpu_time() {
        check(100, 40, &[1, 2], 3, (40, 30, &[10, 20]));
        check(100, 0, &[], 7, (0, 100, &[]));
        check(100, 0, &[], 0, (0, 100, &[]));
        check(100, 10, &[0, 0], 0, (10, 90, &[0, 0]));
        check(10, 50, &[1], 1, (10, 0, &[0]));
        check(0, 5, &[1], 1, (0, 0, &[0]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn nothing_is_lost_and_nothing_is_made(
            measured in any::<u64>(),
            idle in any::<u64>(),
            weights in prop::collection::vec(any::<u64>(), 0..30),
            system_weight in any::<u64>(),
        ) {
            let shares = attribute(Energy::from_microjoules(measured), Energy::from_microjoules(idle), &weights, system_weight);
            let parts = shares.active.iter().chain([&shares.idle, &shares.system]);
            let sum: u128 = parts.map(|part| u128::from(part.microjoules())).sum();
            prop_assert_eq!(sum, u128::from(measured));
            prop_assert_eq!(shares.active.len(), weights.len());
        }
    }
}
