//! Two readings of a counter make a sample: energy, or the name of what stood in its way. Pure.

use std::time::Duration;

use wire::v1::Outcome;
use wire::{Energy, apportion};

use crate::sensor::{Reading, SensorError};

/// No RAPL zone draws more. A counter that stands lower than before has wrapped only if the energy which that
/// means stays below this power; else it has started again.
const MAX_PLAUSIBLE_WATTS: u64 = 4_000;

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
}

impl Sampler {
    /// The counter as it was last read.
    #[must_use]
    pub fn last(&self) -> Option<Reading> {
        self.previous
    }

    /// Judges the next reading of a counter that starts again at 0 after `range_uj`.
    ///
    /// A failed reading keeps the last good one, so that the next good one covers the time between.
    pub fn sample(
        &mut self,
        reading: &Result<Reading, SensorError>,
        range_uj: Option<u64>,
    ) -> Sample {
        let current = match reading {
            Ok(reading) => *reading,
            Err(SensorError::Absent(_)) => return Sample::without_energy(Outcome::Absent),
            Err(SensorError::Failed(_)) => return Sample::without_energy(Outcome::Failed),
        };
        let Some(previous) = self.previous.replace(current) else {
            return Sample::without_energy(Outcome::First);
        };
        difference(previous, current, range_uj)
    }
}

fn difference(previous: Reading, current: Reading, range_uj: Option<u64>) -> Sample {
    let elapsed_ns = current.boottime_ns.saturating_sub(previous.boottime_ns);
    let at_most = |watts: u64| u128::from(elapsed_ns) * u128::from(watts) / 1000;
    if range_uj
        .is_some_and(|range_uj| longest_interval(range_uj).as_nanos() < u128::from(elapsed_ns))
    {
        return Sample::without_energy(Outcome::Reset);
    }
    let most_watts = if range_uj.is_some() {
        MAX_PLAUSIBLE_WATTS
    } else {
        MAX_MACHINE_WATTS
    };
    let (outcome, microjoules) = match current.counter_uj.checked_sub(previous.counter_uj) {
        Some(forward) => (Outcome::Sampled, Some(forward)),
        None => (
            Outcome::Wrapped,
            across_the_end(previous.counter_uj, current.counter_uj, range_uj),
        ),
    };
    match microjoules {
        Some(microjoules) if u128::from(microjoules) <= at_most(most_watts) => Sample {
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const RANGE: u64 = 262_143_328_850;

    fn reading(counter_uj: u64, boottime_ns: u64) -> Reading {
        Reading {
            counter_uj,
            boottime_ns,
        }
    }

    fn check(
        previous: u64,
        current: u64,
        seconds: u64,
        range_uj: Option<u64>,
        expected: (Outcome, u64),
    ) {
        let mut sampler = Sampler::default();
        assert_eq!(
            sampler.sample(&Ok(reading(previous, 0)), range_uj).outcome,
            Outcome::First
        );
        let sample = sampler.sample(&Ok(reading(current, seconds * SECOND)), range_uj);
        assert_eq!(
            (sample.outcome, sample.energy.microjoules()),
            expected,
            "{previous} to {current}"
        );
    }

    #[test]
    fn a_counter_that_stands_lower_has_wrapped_or_started_again() {
        let range = Some(RANGE);
        check(
            1_000,
            501_000_000,
            5,
            range,
            (Outcome::Sampled, 500_999_000),
        );
        check(7, 7, 5, range, (Outcome::Sampled, 0));
        check(RANGE - 100, 400, 5, range, (Outcome::Wrapped, 500));
        // 200 W x 5 s behind it: no zone turns 160 kJ in 5 s.
        check(100_000_000_000, 0, 5, range, (Outcome::Reset, 0));
        check(500, 400, 5, None, (Outcome::Reset, 0));
        // A range that is wrong, smaller than what the counter shows.
        check(500, 400, 5, Some(450), (Outcome::Reset, 0));
        // Longer than a whole turn may take.
        check(100, 200, 600, range, (Outcome::Reset, 0));
        // A counter that jumps ahead.
        check(0, u64::MAX / 2, 5, None, (Outcome::Reset, 0));
    }

    #[test]
    fn after_failures_the_next_reading_covers_the_time_between() {
        let mut sampler = Sampler::default();
        sampler.sample(&Ok(reading(0, 0)), None);
        let failed = Err(SensorError::Failed("no".into()));
        assert_eq!(
            sampler.sample(&failed, None),
            Sample::without_energy(Outcome::Failed)
        );
        let sample = sampler.sample(&Ok(reading(9_000, 2 * SECOND)), None);
        assert_eq!(
            (sample.outcome, sample.energy.microjoules()),
            (Outcome::Sampled, 9_000)
        );
    }

    #[test]
    fn what_a_late_sample_reaches_back_to_is_told_apart() {
        let energy = Energy::from_microjoules;
        let sample = |elapsed_ns| Sample {
            outcome: Outcome::Sampled,
            energy: energy(700),
            elapsed_ns,
        };
        let (recent, earlier) = sample(5 * SECOND + 9).split_at(5 * SECOND);
        assert_eq!(
            (recent, earlier.energy),
            (sample(5 * SECOND + 9), Energy::ZERO)
        );
        let (recent, earlier) = sample(35 * SECOND).split_at(5 * SECOND);
        assert_eq!((recent.energy, earlier.energy), (energy(100), energy(600)));
        assert_eq!(
            (recent.elapsed_ns, earlier.elapsed_ns),
            (5 * SECOND, 30 * SECOND)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn samples_follow_a_wrapping_counter_exactly(
            start in 0..RANGE,
            steps in prop::collection::vec(0_u64..4_000_000_000, 1..50),
        ) {
            let mut sampler = Sampler::default();
            sampler.sample(&Ok(reading(start, 0)), Some(RANGE));
            let (mut truth, mut total) = (start, 0);
            for (index, step) in steps.iter().enumerate() {
                truth += step;
                let now = reading(truth % RANGE, (index as u64 + 1) * SECOND);
                let sample = sampler.sample(&Ok(now), Some(RANGE));
                prop_assert!(sample.is_known());
                total += sample.energy.microjoules();
            }
            prop_assert_eq!(total, truth - start);
        }
    }
}
