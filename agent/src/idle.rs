//! Idle power of a zone: what it draws when nothing runs. Pure.
//!
//! Learned as the lower envelope of power against utilisation over days ([`envelope`]), seeded from the model
//! until the node was seen quiet often enough; or configured; or, for a modelled zone, known.

pub mod envelope;

use wire::Energy;

use self::envelope::Envelope;
use crate::sensor::IdleSource;

/// Where an idle power comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The model's figure for this machine.
    Seeded,
    /// What the node has shown.
    Learned,
    /// `--idle-watts`.
    Configured,
    /// The same model that gives the zone's energy.
    Exact,
}

impl Origin {
    /// As it is exported.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seeded => "seeded",
            Self::Learned => "learned",
            Self::Configured => "configured",
            Self::Exact => "exact",
        }
    }
}

/// What is known of one zone's idle power.
#[derive(Clone, Debug, PartialEq)]
pub struct IdlePower {
    watts: f64,
    origin: Origin,
    seed_watts: f64,
    envelope: Envelope,
    /// The counter stood still: what it shows next is of a longer time.
    stalled: bool,
}

impl IdlePower {
    /// Before anything was seen.
    #[must_use]
    pub fn new(source: IdleSource) -> Self {
        let (watts, origin) = match source {
            IdleSource::Exact(watts) => (watts, Origin::Exact),
            IdleSource::Seed(watts) => (watts, Origin::Seeded),
        };
        Self {
            watts,
            origin,
            seed_watts: watts,
            envelope: Envelope::default(),
            stalled: false,
        }
    }

    /// Says what it is, for good.
    pub fn configure(&mut self, watts: f64) {
        (self.watts, self.origin) = (watts, Origin::Configured);
    }

    /// Goes on from what was learned before.
    pub fn restore(&mut self, envelope: Envelope) {
        if self.learns() {
            self.envelope = envelope;
            self.update();
        }
    }

    /// What was learned, to be kept; `None` where nothing is.
    #[must_use]
    pub fn learned(&self) -> Option<&Envelope> {
        self.learns().then_some(&self.envelope)
    }

    /// In watts.
    #[must_use]
    pub fn watts(&self) -> f64 {
        self.watts
    }

    /// Where [`IdlePower::watts`] comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Learns from an interval in which the zone used `measured` at a `utilisation` from 0 to 1; from one whose
    /// utilisation is not known, nothing.
    pub fn observe(&mut self, measured: Energy, duration_ns: u64, utilisation: Option<f64>) {
        if !self.learns() || duration_ns == 0 {
            return;
        }
        let after_stall = self.stalled;
        self.stalled = measured == Energy::ZERO;
        let watts = measured.joules() / (duration_ns as f64 / 1e9);
        // A counter that stood still says nothing of the power, nor does its next step.
        let seen = utilisation.filter(|_| !after_stall && !self.stalled);
        self.envelope
            .observe(duration_ns, seen.map(|utilisation| (watts, utilisation)));
        self.update();
    }

    /// The idle part of `measured`: idle power x time, never more than was measured.
    #[must_use]
    pub fn idle_part(&self, measured: Energy, duration_ns: u64) -> Energy {
        let idle = self.watts * (duration_ns as f64 / 1e9);
        Energy::from_joules(idle)
            .unwrap_or(Energy::ZERO)
            .min(measured)
    }

    fn learns(&self) -> bool {
        matches!(self.origin, Origin::Seeded | Origin::Learned)
    }

    fn update(&mut self) {
        (self.watts, self.origin) = match self.envelope.idle_watts() {
            Some(watts) => (watts, Origin::Learned),
            // The model may be wrong, but nothing draws more idle than it did at all. What was learned once stays
            // after a week that was never quiet.
            None => {
                let (known, lowest) = match self.origin {
                    Origin::Learned => (self.watts, self.envelope.lowest_watts()),
                    _ => (self.seed_watts, self.envelope.lowest_seen_watts()),
                };
                (known.min(lowest.unwrap_or(f64::INFINITY)), self.origin)
            }
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn joules(joules: f64) -> Energy {
        Energy::from_joules(joules).unwrap()
    }

    fn observe(idle: &mut IdlePower, times: u32, watts: f64, utilisation: impl Into<Option<f64>>) {
        let utilisation = utilisation.into();
        for _ in 0..times {
            idle.observe(joules(watts), SECOND, utilisation);
        }
    }

    #[test]
    fn the_seed_gives_way_once_the_node_was_quiet_often_enough() {
        let mut idle = IdlePower::new(IdleSource::Seed(50.0));
        observe(&mut idle, 100, 100.0, 0.9);
        observe(&mut idle, 100, 100.0, None);
        assert_eq!(
            idle.origin(),
            Origin::Seeded,
            "a busy node teaches nothing, nor does an unknown one"
        );
        assert_eq!(idle.idle_part(joules(100.0), SECOND), joules(50.0));
        observe(&mut idle, 11, 30.0, 0.01);
        assert_eq!(
            (idle.watts(), idle.origin()),
            (30.0, Origin::Seeded),
            "the seed is above what was seen"
        );
        observe(&mut idle, 1, 30.0, 0.01);
        assert_eq!(idle.origin(), Origin::Learned);
        assert!((29.0..=30.0).contains(&idle.watts()), "{idle:?}");
        let at_full_load = idle.idle_part(joules(100.0), SECOND);
        assert!(at_full_load >= joules(29.0), "idle is there at full load");
        assert_eq!(
            idle.idle_part(joules(10.0), SECOND),
            joules(10.0),
            "never more than measured"
        );
    }

    #[test]
    fn a_counter_that_stands_still_at_times_teaches_nothing() {
        let mut idle = IdlePower::new(IdleSource::Seed(50.0));
        for _ in 0..1_000 {
            // It moves every 10 s and is read every 5.
            idle.observe(Energy::ZERO, 5 * SECOND, Some(0.01));
            idle.observe(joules(600.0), 5 * SECOND, Some(0.01));
        }
        assert_eq!((idle.watts(), idle.origin()), (50.0, Origin::Seeded));
    }

    #[test]
    fn exact_and_configured_idle_power_are_not_learned() {
        let mut exact = IdlePower::new(IdleSource::Exact(5.0));
        observe(&mut exact, 1_000, 1.0, 0.0);
        assert_eq!((exact.watts(), exact.origin()), (5.0, Origin::Exact));
        let mut configured = IdlePower::new(IdleSource::Seed(5.0));
        configured.configure(7.0);
        observe(&mut configured, 1_000, 1.0, 0.0);
        assert_eq!(
            (configured.watts(), configured.origin()),
            (7.0, Origin::Configured)
        );
        assert!(configured.learned().is_none());
    }
}
