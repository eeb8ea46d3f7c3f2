//! How often one provider may be asked, by all zones together.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

use super::ProviderError;

/// Requests that a provider takes: so many at once, and on end one in each period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) burst: u32,
    pub(super) period: Duration,
}

/// tokio's clock, so that it can stand still in tests.
#[derive(Clone, Debug)]
struct TokioClock;

impl Clock for TokioClock {
    type Instant = std::time::Instant;

    fn now(&self) -> Self::Instant {
        Instant::now().into_std()
    }
}

/// Keeps to a limit, and to what a provider asks for beside it.
pub(super) struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock>,
    held_until: Mutex<Option<Instant>>,
}

impl Pace {
    pub(super) fn new(limit: Limit) -> Self {
        let burst = NonZeroU32::new(limit.burst).expect("each provider's burst is more than 0");
        let quota =
            Quota::with_period(limit.period).expect("each provider's period is more than 0");
        Self {
            limiter: RateLimiter::direct_with_clock(quota.allow_burst(burst), TokioClock),
            held_until: Mutex::new(None),
        }
    }

    /// Waits until a request may be made.
    ///
    /// # Errors
    /// Throttled, where the provider has asked for a pause that is not over: that is told at once, not waited for.
    pub(super) async fn turn(&self) -> Result<(), ProviderError> {
        if let Some(left) = self.held() {
            return Err(ProviderError::Throttled(Some(left)));
        }
        while let Err(not_until) = self.limiter.check() {
            tokio::time::sleep(not_until.wait_time_from(TokioClock.now())).await;
        }
        Ok(())
    }

    /// Nobody asks for so long.
    pub(super) fn hold(&self, pause: Duration) {
        let mut held = self
            .held_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *held = Some(Instant::now() + pause);
    }

    fn held(&self) -> Option<Duration> {
        let held = self
            .held_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let left = held.as_ref()?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_then_one_in_each_period() {
        let pace = Pace::new(Limit {
            burst: 3,
            period: Duration::from_secs(2),
        });
        let start = Instant::now();
        for expected in [0, 0, 0, 2, 4, 6] {
            pace.turn().await.unwrap();
            assert_eq!(start.elapsed().as_secs(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_told_at_once_to_everybody() {
        let pace = Pace::new(Limit {
            burst: 3,
            period: Duration::from_secs(1),
        });
        pace.hold(Duration::from_secs(60));
        let start = Instant::now();
        let error = pace.turn().await.unwrap_err();
        assert_eq!(
            error,
            ProviderError::Throttled(Some(Duration::from_secs(60)))
        );
        assert!(start.elapsed().is_zero());
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pace.turn().await, Ok(()));
    }
}
