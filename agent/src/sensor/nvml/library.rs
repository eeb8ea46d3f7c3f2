//! The driver's library as one GPU's thread holds it: let go of after a failure, and opened again, with a back-off
//! that never gives up.
//!
//! The library counts who holds it, and finds a driver that was loaded anew only after all have let go.

use std::time::{Duration, Instant};

use nvml_wrapper::Nvml as Driver;

use super::errors::{Asked, told};
use crate::sensor::SensorError;

/// Longest time until it is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The library, open or closed.
pub(super) struct Library {
    driver: Option<Driver>,
    /// Why it is closed.
    error: Option<SensorError>,
    retries: Retries,
}

impl Library {
    /// Opens it.
    ///
    /// # Errors
    /// Where it or the driver is not there.
    pub(super) fn open() -> Result<Self, SensorError> {
        let driver = Some(init()?);
        Ok(Self {
            driver,
            error: None,
            retries: Retries::default(),
        })
    }

    /// What `call` finds out, or why it was not asked. After an error the library is closed.
    pub(super) fn ask<T>(
        &mut self,
        now: Instant,
        call: impl FnOnce(&Driver) -> Result<T, SensorError>,
    ) -> Result<T, SensorError> {
        if let Some(error) = &self.error
            && !self.retries.is_due(now)
        {
            return Err(error.clone());
        }
        let driver = self.driver.take().map_or_else(init, Ok);
        let answer = driver.and_then(|driver| {
            let answer = call(&driver)?;
            self.driver = Some(driver);
            Ok(answer)
        });
        self.error = answer.as_ref().err().cloned();
        self.retries = if answer.is_ok() {
            Retries::default()
        } else {
            self.retries.after_failure(now)
        };
        answer
    }
}

fn init() -> Result<Driver, SensorError> {
    Driver::init().map_err(|error| told(Asked::Driver, &error))
}

/// When to try again: at once, then after 1, 2, 4, ... seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Retries {
    failures: u32,
    next: Option<Instant>,
}

impl Retries {
    fn is_due(&self, now: Instant) -> bool {
        self.next.is_none_or(|next| now >= next)
    }

    fn after_failure(self, now: Instant) -> Self {
        let doublings = self.failures.saturating_sub(1).min(6);
        let seconds = if self.failures == 0 {
            0
        } else {
            1 << doublings
        };
        Self {
            failures: self.failures.saturating_add(1),
            next: Some(now + Duration::from_secs(seconds).min(LONGEST_WAIT)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_for_ever_and_ever_more_seldom() {
        let begin = Instant::now();
        let mut retries = Retries::default();
        assert!(retries.is_due(begin));
        for wait in [0, 1, 2, 4, 8, 16, 32, 60, 60, 60] {
            retries = retries.after_failure(begin);
            let at = |seconds| begin + Duration::from_secs(seconds);
            assert!(retries.is_due(at(wait)), "{wait} s");
            assert!(wait == 0 || !retries.is_due(at(wait - 1)), "{wait} s");
        }
        retries.failures = u32::MAX;
        assert!(retries.after_failure(begin).is_due(begin + LONGEST_WAIT));
    }
}
