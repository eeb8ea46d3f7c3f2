//! How long it is until a provider is asked again. Chance spreads zones and servers, so that they do not ask all at once.

use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(60);
/// However often it failed.
const LONGEST: Duration = Duration::from_secs(3600);

/// In the provider's rhythm, up to a tenth later; `chance` is 0 to 1.
pub(super) fn after_success(every: Duration, chance: f64) -> Duration {
    every.mul_f64(1.0 + chance / 10.0)
}

/// Twice as long after each failure, of which a half is by `chance`, 0 to 1.
pub(super) fn after_failure(failures: u32, chance: f64) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1));
    let pause = doubled.map_or(LONGEST, |doubled| FIRST.saturating_mul(doubled));
    pause.min(LONGEST).mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_double_the_pause_up_to_an_hour() {
        let check = |failures: u32, seconds: u64| {
            let longest = Duration::from_secs(seconds);
            assert_eq!(after_failure(failures, 1.0), longest, "{failures}");
            assert_eq!(after_failure(failures, 0.0), longest / 2, "{failures}");
        };
        check(1, 60);
        check(2, 120);
        check(5, 960);
        check(6, 1920);
        check(7, 3600);
        check(33, 3600);
        check(u32::MAX, 3600);
    }

    #[test]
    fn a_rhythm_is_kept_or_a_little_longer() {
        let every = Duration::from_secs(300);
        assert_eq!(after_success(every, 0.0), every);
        assert_eq!(after_success(every, 1.0), Duration::from_secs(330));
    }
}
