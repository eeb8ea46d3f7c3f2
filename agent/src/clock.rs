//! Two clocks: intervals are measured by time since boot, and stamped with wall time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::sensor::{awake_ns, boottime_ns};

/// Wall time may drift this far from its anchor (by slewing) before the stamps follow. A step is followed at
/// once; either way the lengths of intervals are not touched.
const MAX_DRIFT_MS: i64 = 500;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// CLOCK_BOOTTIME.
    pub boottime_ns: u64,
    /// CLOCK_MONOTONIC: stands still while the machine is suspended.
    pub awake_ns: u64,
    /// Milliseconds since 1970 by the wall clock.
    pub unix_ms: i64,
}

/// Gives moments whose stamps follow each other without gap or overlap while the wall clock is not set.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    offset_ms: Option<i64>,
}

impl Clock {
    /// Goes on from a moment of an earlier process of this boot, so that its stamps are followed too.
    #[must_use]
    pub fn after(boottime_ns: u64, unix_ms: i64) -> Self {
        Self {
            offset_ms: Some(unix_ms - (boottime_ns / 1_000_000) as i64),
        }
    }

    /// Now.
    pub fn now(&mut self) -> Moment {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.moment(boottime_ns(), awake_ns(), unix.as_millis() as i64)
    }

    pub(crate) fn moment(&mut self, boottime_ns: u64, awake_ns: u64, unix_ms: i64) -> Moment {
        let boottime_ms = (boottime_ns / 1_000_000) as i64;
        let offset = unix_ms - boottime_ms;
        let anchored = self
            .offset_ms
            .filter(|anchored| anchored.abs_diff(offset) <= MAX_DRIFT_MS as u64);
        let offset_ms = *self.offset_ms.insert(anchored.unwrap_or(offset));
        Moment {
            boottime_ns,
            awake_ns,
            unix_ms: boottime_ms + offset_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stamps_follow_a_step_and_ignore_jitter() {
        let mut clock = Clock::default();
        let mut stamp =
            |boottime_ms: u64, unix_ms| clock.moment(boottime_ms * 1_000_000, 0, unix_ms).unix_ms;
        assert_eq!(stamp(1_000, 500_000), 500_000);
        assert_eq!(stamp(2_000, 501_003), 501_000, "jitter");
        assert_eq!(stamp(3_000, 600_000), 600_000, "a step ahead");
        assert_eq!(stamp(4_000, 400_000), 400_000, "a step back");
        assert_eq!(stamp(5_000, 401_000), 401_000);
    }

    proptest! {
        #![proptest_config(crate::cases())]
        #[test]
        fn clock_steps_move_stamps_and_no_interval(
            ticks in prop::collection::vec((1_u64..400_000, -20_000_000_i64..20_000_000), 1..40),
        ) {
            // The wall clock is set at every tick, by anything from nothing to hours.
            let (mut clock, mut boottime_ms, mut set_ms) = (Clock::default(), 1_000_u64, 1_790_000_000_000_i64);
            let mut last = clock.moment(boottime_ms * 1_000_000, 0, set_ms + 1_000);
            for (tick_ms, step_ms) in ticks {
                boottime_ms += tick_ms;
                let step_ms = if step_ms % 3 == 0 { 0 } else { step_ms };
                set_ms += step_ms;
                let wall_ms = set_ms + boottime_ms as i64;
                let moment = clock.moment(boottime_ms * 1_000_000, 0, wall_ms);
                prop_assert_eq!(moment.boottime_ns - last.boottime_ns, tick_ms * 1_000_000);
                prop_assert!(moment.unix_ms.abs_diff(wall_ms) <= MAX_DRIFT_MS as u64);
                if step_ms == 0 {
                    prop_assert_eq!(moment.unix_ms - last.unix_ms, tick_ms as i64, "no gap, no overlap");
                }
                last = moment;
            }
        }
    }
}
