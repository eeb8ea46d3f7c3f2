//! Two readings of a counter make a sample: energy, or the name of what stood in its way. Pure.

use std::time::Duration;

use wire::limits::MAX_UJ_PER_NS;
use wire::v1::Outcome;
use wire::{Energy, apportion};

use crate::sensor::{Reading, SensorError};

/// No RAPL zone draws more. A counter that stands lower than before has wrapped only if the energy which that
/// means stays below this power; else it has started again.
const MAX_PLAUSIBLE_WATTS: u64 = 4_000;

/// A counter with a range may be written as seldom as this (RAPL's every millisecond, one that a host publishes to
/// its guests every second): two readings close together may have that much time between them.
const COARSEST_NS: u64 = 1_000_000_000;

/// A zone draws [`MAX_PLAUSIBLE_WATTS`] no longer than this, and [`MAX_SUSTAINED_WATTS`] after it.
const PEAK_NS: u64 = 5_000_000_000;

/// No machine draws more: the bound for counters without a range, which may be those of a whole machine.
const MAX_MACHINE_WATTS: u64 = 100_000;

/// No zone draws more for minutes on end. Where a counter could have gone a whole turn at this power, turns
/// may be hidden and the difference proves nothing.
const MAX_SUSTAINED_WATTS: u64 = 800;

/// The longest time between two readings of a counter with this range after which their difference proves
/// something.
#[must_use]
pub fn longest_interval(range_uj: u64) -> Duration {
    Duration::from_micros(range_uj / MAX_SUSTAINED_WATTS)
}

/// What happened to a zone between two readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How the energy was found, or why there is none.
    pub outcome: Outcome,
    /// 0 unless the outcome is sampled or wrapped.
    pub energy: Energy,
    /// Time between the two readings; longer than an interval after readings that failed.
    pub elapsed_ns: u64,
}

impl Sample {
    fn without_energy(outcome: Outcome) -> Self {
        Self {
            outcome,
            energy: Energy::ZERO,
            elapsed_ns: 0,
        }
    }

    /// It, where an interval of that length may hold so much: after readings that failed for long, the energy of all that
    /// time may be more, and is not known then. The aggregator refuses it.
    #[must_use]
    pub fn within(self, interval_ns: u64) -> Self {
        if self.energy.microjoules() > interval_ns.saturating_mul(MAX_UJ_PER_NS) {
            return Self::without_energy(Outcome::Failed);
        }
        self
    }

    /// The sample's last `interval_ns`, and what was before that: energy evenly over the time. The second part
    /// is empty unless readings had failed.
    #[must_use]
    pub fn split_at(self, interval_ns: u64) -> (Self, Self) {
        let part = |energy, elapsed_ns| Self {
            energy,
            elapsed_ns,
            ..self
        };
        // Sensors are not read at exactly the same moment of every interval.
        if self.elapsed_ns <= interval_ns + interval_ns / 2 {
            return (self, part(Energy::ZERO, 0));
        }
        let earlier_ns = self.elapsed_ns - interval_ns;
        let parts = apportion(self.energy, &[interval_ns, earlier_ns]).unwrap_or_default();
        match parts[..] {
            [recent, earlier] => (part(recent, interval_ns), part(earlier, earlier_ns)),
            _ => (self, part(Energy::ZERO, 0)),
        }
    }

    /// This and the one that follows it as one. Where a part is not known, neither is the whole.
    fn then(self, next: Self) -> Self {
        match (self.is_known(), next.is_known()) {
            (true, true) => Self {
                outcome: if self.outcome == Outcome::Wrapped {
                    self.outcome
                } else {
                    next.outcome
                },
                energy: self.energy + next.energy,
                elapsed_ns: self.elapsed_ns.saturating_add(next.elapsed_ns),
            },
            (true, false) => next,
            (false, _) => self,
        }
    }

    /// Energy is known.
    #[must_use]
    pub fn is_known(self) -> bool {
        matches!(self.outcome, Outcome::Sampled | Outcome::Wrapped)
    }
}

/// Follows one counter.
#[derive(Clone, Debug, Default)]
pub struct Sampler {
    previous: Option<Reading>,
    /// The reading that the last sample ended with.
    sampled: Option<Reading>,
    /// What readings since the last sample came to.
    noted: Option<Sample>,
}

impl Sampler {
    /// The reading that the last sample ended with: energy before it was told, energy after it was not.
    #[must_use]
    pub fn last(&self) -> Option<Reading> {
        self.sampled
    }

    /// What became of the counter between a reading that an earlier process has told of and the first one here. Where
    /// there is none here yet, the next sample reaches back to the earlier one.
    pub fn resume(&mut self, earlier: Reading, range_uj: Option<u64>) -> Sample {
        match self.previous {
            Some(current) => difference(earlier, current, range_uj),
            None => {
                (self.previous, self.sampled) = (Some(earlier), Some(earlier));
                Sample::without_energy(Outcome::Failed)
            }
        }
    }

    /// A counter of which no earlier process has told.
    pub(crate) const FIRST: Sample = Sample {
        outcome: Outcome::First,
        energy: Energy::ZERO,
        elapsed_ns: 0,
    };

    /// Judges a reading at the end of an interval, of a counter that starts again at 0 after `range_uj`. The
    /// sample reaches back to the last one, over all that was [noted](Sampler::note) between.
    ///
    /// A failed reading keeps the last good one, so that the next good one covers the time between.
    pub fn sample(
        &mut self,
        reading: &Result<Reading, SensorError>,
        range_uj: Option<u64>,
    ) -> Sample {
        let sample = self.step(reading, range_uj);
        match sample.outcome {
            Outcome::Absent | Outcome::Failed => sample,
            _ => {
                self.sampled = self.previous;
                self.noted.take().map_or(sample, |noted| noted.then(sample))
            }
        }
    }

    /// Takes in a reading from within an interval, for a counter that may go a whole turn in one. One that
    /// failed is as if it had not been.
    pub fn note(&mut self, reading: &Result<Reading, SensorError>, range_uj: Option<u64>) {
        let sample = self.step(reading, range_uj);
        if !matches!(sample.outcome, Outcome::Absent | Outcome::Failed) {
            self.noted = Some(self.noted.map_or(sample, |noted| noted.then(sample)));
        }
    }

    fn step(&mut self, reading: &Result<Reading, SensorError>, range_uj: Option<u64>) -> Sample {
        let current = match reading {
            Ok(reading) => *reading,
            Err(SensorError::Absent(_)) => return Sample::without_energy(Outcome::Absent),
            Err(SensorError::Failed(_) | SensorError::NotPermitted(_)) => {
                return Sample::without_energy(Outcome::Failed);
            }
        };
        match self.previous.replace(current) {
            Some(previous) => difference(previous, current, range_uj),
            None => Sample::without_energy(Outcome::First),
        }
    }
}

fn difference(previous: Reading, current: Reading, range_uj: Option<u64>) -> Sample {
    let elapsed_ns = current.boottime_ns.saturating_sub(previous.boottime_ns);
    // A suspended machine draws next to nothing: its time is no room for turns.
    let awake_ns = current.awake_ns.saturating_sub(previous.awake_ns);
    let at_most = |watts: u64, ns: u64| u128::from(ns) * u128::from(watts) / 1000;
    if range_uj.is_some_and(|range_uj| longest_interval(range_uj).as_nanos() < u128::from(awake_ns))
    {
        return Sample::without_energy(Outcome::Reset);
    }
    let most = if range_uj.is_some() {
        // The one while a peak can last, the other after that: else any counter that starts again after a
        // minute would have wrapped.
        let peak_ns = awake_ns.clamp(COARSEST_NS, PEAK_NS);
        at_most(MAX_PLAUSIBLE_WATTS, peak_ns)
            + at_most(MAX_SUSTAINED_WATTS, awake_ns.saturating_sub(peak_ns))
    } else {
        at_most(MAX_MACHINE_WATTS, awake_ns)
    };
    let (outcome, microjoules) = match current.counter_uj.checked_sub(previous.counter_uj) {
        Some(forward) => (Outcome::Sampled, Some(forward)),
        None => (
            Outcome::Wrapped,
            across_the_end(previous.counter_uj, current.counter_uj, range_uj),
        ),
    };
    match microjoules {
        Some(microjoules) if u128::from(microjoules) <= most => Sample {
            outcome,
            energy: Energy::from_microjoules(microjoules),
            elapsed_ns,
        },
        _ => Sample::without_energy(Outcome::Reset),
    }
}

/// The way from `previous` over the end of the range to `current`; `None` where there is no such way.
fn across_the_end(previous: u64, current: u64, range_uj: Option<u64>) -> Option<u64> {
    range_uj?.checked_sub(previous)?.checked_add(current)
}

#[cfg(test)]
mod tests;
