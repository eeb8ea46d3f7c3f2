//! From what was counted to weights: each use's energy by the model, bounded per workload.

use std::collections::BTreeMap;

use crate::parties::{Parties, Use};

use super::Terms;

/// No CPU runs faster (10 GHz), retires more at once or misses more often than this; what counts beyond it is
/// not counted right.
const MAX_CYCLES_PER_NS: u64 = 10;
const MAX_INSTRUCTIONS_PER_CYCLE: u64 = 16;

/// The part of the CPU time whose counters must have run for an interval to teach anything.
const MIN_COUNTED: f64 = 0.8;

/// A use counts with no less than this part of the mean, so that there is something to scale up to the bound.
const LEAST: f64 = 1e-6;

/// Weights sum to about this: 60 of 64 bits, so that sums of them fit.
const WEIGHT_SUM: f64 = (1_u64 << 60) as f64;

/// All that ran on a zone's package in one interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Events of the two terms.
    pub(super) counts: [f64; 2],
    pub(super) cpu_seconds: f64,
}

impl Load {
    /// Counts of those whose counters ran stand for all; `None` where they are too few.
    pub(super) fn of<'a>(terms: &Terms, uses: impl Iterator<Item = &'a Use>) -> Option<Self> {
        let (mut counts, mut counted_ns, mut all_ns) = ([0.0; 2], 0.0, 0.0);
        for used in uses {
            all_ns += used.cpu_ns as f64;
            if is_counted(used) {
                counted_ns += used.cpu_ns as f64;
                let own = (terms.counts)(used.events);
                counts = [counts[0] + own[0] as f64, counts[1] + own[1] as f64];
            }
        }
        (counted_ns > 0.0 && counted_ns >= MIN_COUNTED * all_ns).then(|| Self {
            counts: counts.map(|count| count * all_ns / counted_ns),
            cpu_seconds: all_ns / 1e9,
        })
    }
}

/// One use's energy by the model, in no particular unit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Energy {
    workload: Option<usize>,
    cpu: f64,
    energy: f64,
}

/// The energy of each of the parties' uses, 0 on other packages. One whose counters did not run has the mean
/// energy of its CPU time; `None` where none did.
pub(super) fn energies(
    terms: &Terms,
    coefficients: [f64; 2],
    parties: &Parties,
    package: Option<u16>,
) -> Option<Vec<Energy>> {
    let by_model = |used: &Use| {
        let counts = (terms.counts)(used.events);
        coefficients[0] * counts[0] as f64 + coefficients[1] * counts[1] as f64
    };
    let counted = parties.on(package).filter(|used| is_counted(used));
    let (energy, cpu) = counted.fold((0.0, 0.0), |(energy, cpu), used| {
        (energy + by_model(used), cpu + used.cpu_ns as f64)
    });
    let mean = energy / cpu;
    if mean.is_nan() || mean <= 0.0 {
        return None;
    }
    let energy = |used: &Use| {
        let cpu = if parties.is_on(used, package) {
            used.cpu_ns as f64
        } else {
            0.0
        };
        let own = if is_counted(used) {
            by_model(used).max(LEAST * mean * used.cpu_ns as f64)
        } else {
            mean * cpu
        };
        Energy {
            workload: used.workload,
            cpu,
            energy: if cpu > 0.0 { own } else { 0.0 },
        }
    };
    Some(parties.uses().iter().map(energy).collect())
}

/// Scales the uses of each workload (and of the system) so that its energy per CPU time is within `bound` of
/// the mean of all, and the sum stays what it was.
pub(super) fn bounded(energies: &[Energy], bound: f64) -> Vec<f64> {
    let mut parties: BTreeMap<Option<usize>, (f64, f64)> = BTreeMap::new();
    for each in energies {
        let (cpu, energy) = parties.entry(each.workload).or_default();
        (*cpu, *energy) = (*cpu + each.cpu, *energy + each.energy);
    }
    let (cpu, energy) = parties
        .values()
        .fold((0.0, 0.0), |sum, party| (sum.0 + party.0, sum.1 + party.1));
    let mean = energy / cpu;
    // Those that are cut leave more to the others and the reverse: all others are scaled alike by a factor.
    let cut = |factor: f64, (cpu, energy): (f64, f64)| {
        (factor * energy).clamp(cpu * mean / bound, cpu * mean * bound)
    };
    let total = |factor: f64| -> f64 { parties.values().map(|party| cut(factor, *party)).sum() };
    // The total rises with the factor, from below the energy to above it.
    let (mut low, mut high) = (LEAST / bound, bound / LEAST);
    while high / low > 1.0 + 1e-12 {
        let middle = (low * high).sqrt();
        if middle <= low || middle >= high {
            break;
        }
        if total(middle) < energy {
            low = middle;
        } else {
            high = middle;
        }
    }
    let scale = |each: &Energy| {
        let party = parties[&each.workload];
        if party.1 > 0.0 {
            each.energy * cut(high, party) / party.1
        } else {
            0.0
        }
    };
    energies.iter().map(scale).collect()
}

/// In whole numbers, with as much of the precision as fits. None that is above 0 becomes 0.
pub(super) fn to_weights(energies: &[f64]) -> Vec<u64> {
    let sum: f64 = energies.iter().sum();
    let weight = |energy: &f64| {
        if *energy > 0.0 {
            ((energy / sum * WEIGHT_SUM) as u64).max(1)
        } else {
            0
        }
    };
    energies.iter().map(weight).collect()
}

/// Its counters ran, and say what a CPU can do.
fn is_counted(used: &Use) -> bool {
    let events = used.events;
    events.cycles > 0
        && events.cycles <= used.cpu_ns.saturating_mul(MAX_CYCLES_PER_NS)
        && events.instructions <= events.cycles.saturating_mul(MAX_INSTRUCTIONS_PER_CYCLE)
        && events.misses <= events.cycles
}
