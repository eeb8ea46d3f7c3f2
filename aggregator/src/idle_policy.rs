//! Who bears the idle energy of one zone in one minute. Pure; every policy keeps
//! shares + system + unshared = idle, to the microjoule.

use wire::{Energy, apportion};

use crate::report::IdlePolicy;
use crate::store::{Cell, Share};

/// The idle energy of one cell, shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleSplit {
    /// What each of the cell's shares bears, in their order.
    pub shares: Vec<Energy>,
    /// What the system bears: all that belongs to no workload.
    pub system: Energy,
    /// What nobody bears.
    pub unshared: Energy,
}

/// The weights of a policy: one per share, and the system's.
type Weights = fn(&Cell) -> (Vec<u64>, u64);

/// Every policy with its weights; all 0: the idle energy stays unshared.
const POLICIES: [(IdlePolicy, Weights); 4] = [
    (IdlePolicy::None, |cell| (vec![0; cell.shares.len()], 0)),
    (IdlePolicy::Usage, usage),
    (IdlePolicy::Request, request),
    (IdlePolicy::Equal, equal),
];

fn is_gpu(cell: &Cell) -> bool {
    cell.zone.starts_with("gpu-")
}

/// What is not reserved for anybody weighs nothing: who has reserved pays for all.
fn request(cell: &Cell) -> (Vec<u64>, u64) {
    if is_gpu(cell) {
        return usage(cell);
    }
    let requests = cell.shares.iter().map(|share| share.request_us);
    (requests.collect(), 0)
}

/// A workload that was there with a CPU request, and no more, did not run.
fn equal(cell: &Cell) -> (Vec<u64>, u64) {
    let weight = |share: &Share| {
        let slept = share.usage_ns == 0 && share.active == Energy::ZERO && share.request_us > 0;
        u64::from(!slept)
    };
    (cell.shares.iter().map(weight).collect(), 0)
}

/// By CPU time; of a GPU, whose use that does not tell, by its active energy.
fn usage(cell: &Cell) -> (Vec<u64>, u64) {
    let is_gpu = is_gpu(cell);
    let weight = |share: &Share| {
        if is_gpu {
            share.active.microjoules()
        } else {
            share.usage_ns
        }
    };
    let system = if is_gpu {
        cell.system.microjoules()
    } else {
        cell.system_usage_ns
    };
    (cell.shares.iter().map(weight).collect(), system)
}

/// Shares out a cell's idle energy.
#[must_use]
pub fn share_idle(cell: &Cell, policy: IdlePolicy) -> IdleSplit {
    let (_, weights) = POLICIES
        .iter()
        .find(|(named, _)| *named == policy)
        .expect("every policy is in the table (tested)");
    let (mut weights, system) = weights(cell);
    weights.push(system);
    match apportion(cell.idle, &weights) {
        Some(mut shares) => {
            let system = shares.pop().unwrap_or_default();
            IdleSplit {
                shares,
                system,
                unshared: Energy::ZERO,
            }
        }
        None => IdleSplit {
            shares: vec![Energy::ZERO; cell.shares.len()],
            system: Energy::ZERO,
            unshared: cell.idle,
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::store::NodeKey;

    fn cell(idle: u64, usage_ns: &[u64], system_usage_ns: u64) -> Cell {
        let share = |(workload, &usage_ns)| Share {
            workload,
            active: Energy::ZERO,
            usage_ns,
            request_us: 0,
        };
        Cell {
            start: Timestamp::UNIX_EPOCH,
            length_ms: 60_000,
            node: NodeKey {
                cluster: "default".to_owned(),
                node: "n1".to_owned(),
            },
            site: "default".to_owned(),
            zone: "package-0".to_owned(),
            modelled: false,
            range_percent: None,
            measured: Energy::from_microjoules(idle),
            idle: Energy::from_microjoules(idle),
            system: Energy::ZERO,
            system_usage_ns,
            covered_ms: 60_000,
            idle_seeded: false,
            shares: usage_ns.iter().enumerate().map(share).collect(),
        }
    }

    fn check(policy: IdlePolicy, usage_ns: &[u64], system_ns: u64, expected: (&[u64], u64, u64)) {
        let split = share_idle(&cell(100, usage_ns, system_ns), policy);
        let shares: Vec<u64> = split
            .shares
            .iter()
            .map(|share| share.microjoules())
            .collect();
        let found = (
            &shares[..],
            split.system.microjoules(),
            split.unshared.microjoules(),
        );
        assert_eq!(found, expected, "{policy:?} {usage_ns:?} {system_ns}");
    }

    #[test]
    fn each_policy_has_its_weights() {
        check(IdlePolicy::None, &[5, 5], 10, (&[0, 0], 0, 100));
        check(IdlePolicy::Usage, &[5, 5], 10, (&[25, 25], 50, 0));
        check(IdlePolicy::Usage, &[], 10, (&[], 100, 0));
        check(IdlePolicy::Usage, &[0, 0], 0, (&[0, 0], 0, 100));
        check(IdlePolicy::Request, &[5, 5], 10, (&[0, 0], 0, 100));
        check(IdlePolicy::Equal, &[5, 0, 9], 10, (&[34, 33, 33], 0, 0));
        check(IdlePolicy::Equal, &[], 10, (&[], 0, 100));
    }

    #[test]
    fn who_has_reserved_pays_whether_it_ran_or_not() {
        let mut cell = cell(100, &[0, 9_000, 5], 70);
        cell.shares[0].request_us = 3_000;
        cell.shares[1].request_us = 1_000;
        let shares = |cell: &Cell, policy| {
            let split = share_idle(cell, policy);
            let shares = split.shares.iter().map(|share| share.microjoules());
            (shares.collect::<Vec<u64>>(), split.system.microjoules())
        };
        assert_eq!(shares(&cell, IdlePolicy::Request), (vec![75, 25, 0], 0));
        assert_eq!(shares(&cell, IdlePolicy::Equal), (vec![0, 50, 50], 0));
        cell.zone = "gpu-0".to_owned();
        cell.shares[2].active = Energy::from_microjoules(5);
        assert_eq!(shares(&cell, IdlePolicy::Request), (vec![0, 0, 100], 0));
    }

    #[test]
    fn a_gpu_s_idle_energy_goes_by_what_each_used_of_it() {
        let mut cell = cell(100, &[1, 9_000], 70);
        cell.zone = "gpu-0".to_owned();
        cell.shares[0].active = Energy::from_microjoules(30);
        cell.system = Energy::from_microjoules(10);
        let split = share_idle(&cell, IdlePolicy::Usage);
        let shares: Vec<u64> = split
            .shares
            .iter()
            .map(|share| share.microjoules())
            .collect();
        assert_eq!((shares, split.system.microjoules()), (vec![75, 0], 25));
    }

    /// More than any minute holds, so that sums of parts fit.
    const MOST: u64 = u64::MAX / 64;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn no_microjoule_is_lost(
            idle in any::<u64>(),
            usage_ns in prop::collection::vec(any::<u64>(), 0..12),
            system_ns in any::<u64>(),
            policy in 0_usize..4,
        ) {
            let policy = IdlePolicy::value_variants()[policy];
            let split = share_idle(&cell(idle, &usage_ns, system_ns), policy);
            prop_assert_eq!(split.shares.len(), usage_ns.len());
            let parts = split.shares.iter().chain([&split.system, &split.unshared]);
            let sum: u128 = parts.map(|part| u128::from(part.microjoules())).sum();
            prop_assert_eq!(sum, u128::from(idle));
        }

        #[test]
        fn after_sharing_every_level_sums_to_the_one_above(
            idle in 0..MOST,
            system in 0..MOST,
            shares in prop::collection::vec((0..MOST, any::<u64>(), 0..3_usize, 0..3_usize), 0..12),
            system_ns in any::<u64>(),
            policy in 0_usize..4,
        ) {
            let policy = IdlePolicy::value_variants()[policy];
            let usage_ns: Vec<u64> = shares.iter().map(|share| share.1).collect();
            let mut cell = cell(idle, &usage_ns, system_ns);
            for (share, (active, ..)) in cell.shares.iter_mut().zip(&shares) {
                share.active = Energy::from_microjoules(*active);
            }
            let active: u64 = shares.iter().map(|share| share.0).sum();
            let measured = idle + system + active;
            let split = share_idle(&cell, policy);

            // Containers sum to stages, stages to runs, runs and the rest to what was measured.
            let (mut stages, mut runs) = ([[0; 3]; 3], [0; 3]);
            for ((share, borne), (_, _, run, stage)) in cell.shares.iter().zip(&split.shares).zip(&shares) {
                let energy = (share.active + *borne).microjoules();
                stages[*run][*stage] += energy;
                runs[*run] += energy;
            }
            for (run, stages) in runs.iter().zip(stages) {
                prop_assert_eq!(stages.iter().sum::<u64>(), *run);
            }
            let rest = system + (split.system + split.unshared).microjoules();
            prop_assert_eq!(runs.iter().sum::<u64>() + rest, measured);
        }
    }

    #[test]
    fn every_policy_is_in_the_table() {
        for policy in IdlePolicy::value_variants() {
            assert!(
                POLICIES.iter().any(|(named, _)| named == policy),
                "{policy:?}"
            );
        }
    }
}
