//! How often one sender may ask, and all together.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Requests a second that one sender may make on end. An agent makes one in half a minute.
pub const SENDER_PER_SECOND: u32 = 50;
/// Requests that it may make at once: what an agent has to tell after four hours without the server.
pub const SENDER_BURST: u32 = 500;
/// Requests a second that all may make together, probes aside.
pub const EVERYBODY_PER_SECOND: u32 = 10_000;
/// Senders that are told apart; beyond, those that were quiet are forgotten.
const MAX_SENDERS: usize = 50_000;

/// Counts requests.
#[derive(Debug)]
pub(crate) struct Rates {
    each: DefaultKeyedRateLimiter<String>,
    all: DefaultDirectRateLimiter,
    clock: DefaultClock,
}

impl Rates {
    pub(super) fn new() -> Self {
        let per_second = |rate: u32| {
            Quota::per_second(NonZeroU32::new(rate).expect("each rate above is more than 0"))
        };
        let burst = NonZeroU32::new(SENDER_BURST).expect("it is more than 0");
        Self {
            each: RateLimiter::keyed(per_second(SENDER_PER_SECOND).allow_burst(burst)),
            all: RateLimiter::direct(per_second(EVERYBODY_PER_SECOND)),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a request of a sender, or of somebody who is not told apart.
    ///
    /// # Errors
    /// After how long it may come again.
    pub(super) fn check(&self, sender: Option<&String>) -> Result<(), Duration> {
        let now = self.clock.now();
        if let Some(sender) = sender {
            self.each
                .check_key(sender)
                .map_err(|not_until| not_until.wait_time_from(now))?;
        }
        self.all
            .check()
            .map_err(|not_until| not_until.wait_time_from(now))
    }

    /// Forgets senders that were quiet, where there are many.
    pub(super) fn forget_old(&self) {
        if self.each.len() > MAX_SENDERS {
            self.each.retain_recent();
            self.each.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sender_s_flood_is_its_own() {
        let rates = Rates::new();
        let (loud, quiet) = ("loud".to_owned(), "quiet".to_owned());
        let refused = (0..2 * SENDER_BURST).find_map(|_| rates.check(Some(&loud)).err());
        let wait = refused.expect("a burst has an end");
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert!(rates.check(Some(&quiet)).is_ok());
    }
}
