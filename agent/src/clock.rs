//! Two clocks: intervals are measured by time since boot, and stamped with wall time.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::sensor::boottime_ns;

/// Wall time may drift this far from its anchor (by slewing) before the stamps follow. A step is followed at
/// once; either way the lengths of intervals are not touched.
const MAX_DRIFT_MS: i64 = 500;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// CLOCK_BOOTTIME.
    pub boottime_ns: u64,
    /// Milliseconds since 1970 by the wall clock.
    pub unix_ms: i64,
}

/// Gives moments whose stamps follow each other without gap or overlap while the wall clock is not set.
#[derive(Debug, Default)]
pub struct Clock {
    offset_ms: Option<i64>,
}

impl Clock {
    /// Now.
    pub fn now(&mut self) -> Moment {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.moment(boottime_ns(), unix.as_millis() as i64)
    }

    fn moment(&mut self, boottime_ns: u64, unix_ms: i64) -> Moment {
        let boottime_ms = (boottime_ns / 1_000_000) as i64;
        let offset = unix_ms - boottime_ms;
        let anchored = self
            .offset_ms
            .filter(|anchored| anchored.abs_diff(offset) <= MAX_DRIFT_MS as u64);
        let offset_ms = *self.offset_ms.insert(anchored.unwrap_or(offset));
        Moment {
            boottime_ns,
            unix_ms: boottime_ms + offset_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_follow_a_step_and_ignore_jitter() {
        let mut clock = Clock::default();
        let mut stamp =
            |boottime_ms: u64, unix_ms| clock.moment(boottime_ms * 1_000_000, unix_ms).unix_ms;
        assert_eq!(stamp(1_000, 500_000), 500_000);
        assert_eq!(stamp(2_000, 501_003), 501_000, "jitter");
        assert_eq!(stamp(3_000, 600_000), 600_000, "a step ahead");
        assert_eq!(stamp(4_000, 400_000), 400_000, "a step back");
        assert_eq!(stamp(5_000, 401_000), 401_000);
    }
}
