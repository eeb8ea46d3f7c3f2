//! What a platform meter shows beyond the zones that are measured one by one: fans, disks, boards, losses of the power
//! supply. Pure.
//!
//! Invariant: over any time in which every counter was good, other + additive zones = the platform's, once the meter
//! has shown that time; `other` is never negative, and what the parts are ahead of the meter is taken from it later.

use wire::Energy;
use wire::v1::Outcome;

use crate::sample::Sample;

/// Carries what is still to be told, or was told too early.
#[derive(Clone, Copy, Debug, Default)]
pub struct Remainder {
    /// The platform's energy less its parts', less what was told of it, in microjoules.
    owed: i128,
}

impl Remainder {
    /// The platform's sample less those of the additive zones. Where one of them starts again, what is between them is not
    /// known any more.
    pub fn sample(&mut self, platform: Sample, parts: &[Sample]) -> Sample {
        let all = || parts.iter().chain([&platform]);
        let starts_again =
            |sample: &&Sample| matches!(sample.outcome, Outcome::First | Outcome::Reset);
        if let Some(again) = all().find(starts_again) {
            self.owed = 0;
            return unknown(again.outcome);
        }
        let signed = |sample: &Sample| i128::from(sample.energy.microjoules());
        self.owed += signed(&platform) - parts.iter().map(signed).sum::<i128>();
        // What comes after a reading that failed covers its time as well.
        if let Some(missing) = all().find(|sample| !sample.is_known()) {
            return unknown(missing.outcome);
        }
        let told = u64::try_from(self.owed.max(0)).unwrap_or(u64::MAX);
        self.owed -= i128::from(told);
        Sample {
            outcome: Outcome::Sampled,
            energy: Energy::from_microjoules(told),
            elapsed_ns: all()
                .map(|sample| sample.elapsed_ns)
                .max()
                .unwrap_or_default(),
        }
    }
}

fn unknown(outcome: Outcome) -> Sample {
    Sample {
        outcome,
        energy: Energy::ZERO,
        elapsed_ns: 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(microjoules: u64) -> Sample {
        Sample {
            outcome: Outcome::Sampled,
            energy: Energy::from_microjoules(microjoules),
            elapsed_ns: 5,
        }
    }

    fn told(sample: Sample) -> (Outcome, u64) {
        (sample.outcome, sample.energy.microjoules())
    }

    #[test]
    fn what_the_parts_are_ahead_is_taken_later() {
        let mut remainder = Remainder::default();
        let mut next = |platform, parts: &[Sample]| told(remainder.sample(platform, parts));
        let known = |microjoules| (Outcome::Sampled, microjoules);
        assert_eq!(next(sample(100), &[sample(30), sample(40)]), known(30));
        assert_eq!(
            next(sample(0), &[sample(30)]),
            known(0),
            "the meter is late"
        );
        assert_eq!(next(sample(120), &[sample(30)]), known(60));
        assert_eq!(
            next(unknown(Outcome::Failed), &[sample(7)]),
            (Outcome::Failed, 0)
        );
        assert_eq!(next(sample(20), &[sample(5)]), known(8), "two intervals");
        let reset = unknown(Outcome::Reset);
        assert_eq!(next(sample(50), &[sample(5), reset]), (Outcome::Reset, 0));
        assert_eq!(
            next(sample(9), &[sample(9)]),
            known(0),
            "nobody knows what was before"
        );
    }

    proptest! {
        #![proptest_config(crate::cases())]
        /// Sum of other = sum of platform - sum of parts, where the last interval owes nothing.
        #[test]
        fn other_and_the_parts_are_the_platform(
            intervals in prop::collection::vec((0..1000_u64, prop::collection::vec(0..300_u64, 0..4), any::<bool>()), 1..30),
        ) {
            let mut remainder = Remainder::default();
            let (mut platform_sum, mut parts_sum, mut other_sum, mut late) = (0, 0, 0, 0);
            for (platform, parts, fails) in intervals {
                platform_sum += platform;
                parts_sum += parts.iter().sum::<u64>();
                let parts: Vec<Sample> = parts.into_iter().map(sample).collect();
                let shown = if fails {
                    late += platform;
                    unknown(Outcome::Failed)
                } else {
                    sample(platform + std::mem::take(&mut late))
                };
                other_sum += remainder.sample(shown, &parts).energy.microjoules();
            }
            let end = parts_sum.saturating_sub(platform_sum);
            other_sum += remainder.sample(sample(late + end), &[]).energy.microjoules();
            prop_assert!(other_sum + parts_sum >= platform_sum);
            prop_assert_eq!(i128::from(other_sum) + i128::from(parts_sum), i128::from(platform_sum + end) - remainder.owed);
            prop_assert!(remainder.owed <= 0);
        }
    }
}
