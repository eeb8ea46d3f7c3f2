//! Idle power of a zone: what it draws when nothing runs. Pure.
//!
//! Learned as the lower envelope of power while the node is quiet, seeded from the model until then. It is
//! kept in memory alone: a restarted agent starts again from the seed, and says so.

use wire::Energy;

use crate::sensor::IdleSource;

/// The node counts as quiet below this utilisation, and its power then as idle power.
const QUIET_UTILISATION: f64 = 0.2;

/// What is known of one zone's idle power.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IdlePower {
    watts: f64,
    seeded: bool,
    learns: bool,
}

impl IdlePower {
    /// Before anything was seen.
    #[must_use]
    pub fn new(source: IdleSource) -> Self {
        match source {
            IdleSource::Exact(watts) => Self {
                watts,
                seeded: false,
                learns: false,
            },
            IdleSource::Seed(watts) => Self {
                watts,
                seeded: true,
                learns: true,
            },
        }
    }

    /// Still the model's figure.
    #[must_use]
    pub fn is_seeded(self) -> bool {
        self.seeded
    }

    /// Learns from an interval in which the zone used `measured` at a `utilisation` from 0 to 1; from one whose
    /// utilisation is not known, nothing.
    pub fn observe(&mut self, measured: Energy, duration_ns: u64, utilisation: Option<f64>) {
        let is_quiet = utilisation.is_some_and(|utilisation| utilisation < QUIET_UTILISATION);
        // A counter that stood still says nothing of the power.
        if !self.learns || !is_quiet || duration_ns == 0 || measured == Energy::ZERO {
            return;
        }
        let watts = measured.joules() / (duration_ns as f64 / 1e9);
        self.watts = if self.seeded {
            watts
        } else {
            self.watts.min(watts)
        };
        self.seeded = false;
    }

    /// The idle part of `measured`: idle power x time, never more than was measured.
    #[must_use]
    pub fn idle_part(self, measured: Energy, duration_ns: u64) -> Energy {
        let idle = self.watts * (duration_ns as f64 / 1e9);
        Energy::from_joules(idle)
            .unwrap_or(Energy::ZERO)
            .min(measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn joules(joules: f64) -> Energy {
        Energy::from_joules(joules).unwrap()
    }

    #[test]
    fn the_seed_gives_way_to_the_lowest_power_of_a_quiet_node() {
        let mut idle = IdlePower::new(IdleSource::Seed(50.0));
        idle.observe(joules(100.0), SECOND, Some(0.9));
        idle.observe(joules(100.0), SECOND, None);
        assert!(
            idle.is_seeded(),
            "a busy node teaches nothing, nor does an unknown one"
        );
        assert_eq!(idle.idle_part(joules(100.0), SECOND), joules(50.0));
        for (watts, learned) in [(30.0, 30.0), (25.0, 25.0), (28.0, 25.0)] {
            idle.observe(joules(watts), SECOND, Some(0.05));
            assert_eq!((idle.watts, idle.is_seeded()), (learned, false));
        }
        assert_eq!(
            idle.idle_part(joules(100.0), SECOND),
            joules(25.0),
            "at full load too"
        );
        assert_eq!(
            idle.idle_part(joules(10.0), SECOND),
            joules(10.0),
            "never more than measured"
        );
    }

    #[test]
    fn exact_idle_power_is_not_learned() {
        let mut idle = IdlePower::new(IdleSource::Exact(5.0));
        idle.observe(joules(1.0), SECOND, Some(0.0));
        assert_eq!((idle.watts, idle.is_seeded()), (5.0, false));
    }
}
