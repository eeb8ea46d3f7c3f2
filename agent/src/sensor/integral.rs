//! Power over time as a counter, for sources that tell watts and count nothing. Pure.

use super::Reading;

/// How often a source of watts is read: as often as most of them look themselves.
pub const PERIOD: std::time::Duration = std::time::Duration::from_secs(1);

/// Over a longer time between two readings nobody knows what the power was.
const LONGEST_NS: u64 = 60_000_000_000;

/// What the counter shows at first, in microjoules: it must be able to fall.
const FIRST: f64 = 1e6;

/// Energy since the first reading, by the trapezoidal rule. A suspended machine draws next to nothing: its time does not
/// count.
#[derive(Clone, Debug)]
pub struct Integral {
    last: Option<(f64, u64)>,
    microjoules: f64,
    /// What the counter showed when it began, or began anew.
    begun: f64,
}

impl Default for Integral {
    fn default() -> Self {
        Self {
            last: None,
            microjoules: FIRST,
            begun: FIRST,
        }
    }
}

impl Integral {
    /// Takes in a power reading and the time of it. After more than a minute without one the counter begins anew, below
    /// all that it has shown, so that the energy of that time is not known, and not nothing.
    pub fn add(&mut self, watts: f64, boottime_ns: u64, awake_ns: u64) -> Reading {
        let watts = watts.max(0.0);
        if let Some((before, since_ns)) = self.last.replace((watts, awake_ns)) {
            let ns = awake_ns.saturating_sub(since_ns);
            if ns > LONGEST_NS {
                self.begun -= 1.0;
                self.microjoules = self.begun;
            } else {
                self.microjoules += (before + watts) / 2.0 * ns as f64 / 1e3;
            }
        }
        self.reading(boottime_ns, awake_ns)
    }

    /// The power has been what it was last, up to this time; `None` where that was more than a minute ago, or never.
    pub fn hold(&mut self, boottime_ns: u64, awake_ns: u64) -> Option<Reading> {
        let (watts, since_ns) = self.last?;
        let ns = awake_ns.saturating_sub(since_ns);
        if ns > LONGEST_NS {
            return None;
        }
        Some(self.add(watts, boottime_ns, awake_ns))
    }

    fn reading(&self, boottime_ns: u64, awake_ns: u64) -> Reading {
        Reading {
            counter_uj: self.microjoules as u64,
            boottime_ns,
            awake_ns,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn energy_is_the_area_under_the_power() {
        let mut integral = Integral::default();
        for (watts, seconds, expected_uj) in [
            (100.0, 10, 0),
            (100.0, 11, 100_000_000),
            (300.0, 12, 300_000_000),
            // Read twice at once.
            (300.0, 12, 300_000_000),
            (-5.0, 13, 450_000_000),
            (f64::NAN, 14, 450_000_000),
            // A minute and a second without a reading.
            (60.0, 75, 0),
            (60.0, 76, 60_000_000),
        ] {
            let reading = integral.add(watts, (seconds + 100) * SECOND, seconds * SECOND);
            let counter_uj = reading.counter_uj as f64 - integral.begun;
            assert!(
                (counter_uj - f64::from(expected_uj)).abs() < 1.0,
                "{watts} W at {seconds} s"
            );
            assert_eq!(reading.boottime_ns, (seconds + 100) * SECOND);
        }
    }

    #[test]
    fn a_reset_of_the_counter_cannot_be_taken_for_energy() {
        use crate::sample::Sampler;
        let mut integral = Integral::default();
        let mut sampler = Sampler::default();
        let outcomes: Vec<_> = [0, 61, 200, 250, 400, 410]
            .into_iter()
            .map(|seconds| {
                let reading = integral.add(100.0, seconds * SECOND, seconds * SECOND);
                sampler.sample(&Ok(reading), None)
            })
            .map(|sample| (sample.outcome.as_str_name(), sample.energy.microjoules()))
            .collect();
        let expected = [
            ("OUTCOME_FIRST", 0),
            ("OUTCOME_RESET", 0),
            ("OUTCOME_RESET", 0),
            ("OUTCOME_SAMPLED", 5_000_000_000),
            ("OUTCOME_RESET", 0),
            ("OUTCOME_SAMPLED", 1_000_000_000),
        ];
        assert_eq!(outcomes, expected);
    }
}
