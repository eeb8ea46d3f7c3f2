//! One zone as the agent follows it: its counter, and what was learned of it. Pure but for its log lines.

use tracing::{info, warn};
use wire::Energy;

use crate::fit::{CPU_TIME, Fit, Terms};
use crate::idle::IdlePower;
use crate::parties::Parties;
use crate::sample::{Sample, Sampler};
use crate::sensor::activity::Activity;
use crate::sensor::{Reading, SensorError, Zone};

/// One zone and what was learned of it.
#[derive(Clone, Debug)]
pub struct ZoneState {
    /// What it is.
    pub zone: Zone,
    /// Its sensor, as `--power` names it.
    pub sensor: &'static str,
    /// Its idle power.
    pub idle: IdlePower,
    /// What its active energy costs per event, where counters can tell.
    pub fit: Option<Fit>,
    /// Of a device: what it did in the interval of the last sample.
    pub activity: Activity,
    sampler: Sampler,
    failing: bool,
}

impl ZoneState {
    pub(crate) fn new(zone: Zone, sensor: &'static str) -> Self {
        Self {
            idle: IdlePower::new(zone.idle),
            fit: Terms::of(&zone).map(Fit::new),
            zone,
            sensor,
            activity: Activity::default(),
            sampler: Sampler::default(),
            failing: false,
        }
    }

    /// The reading that the last sample ended with.
    #[must_use]
    pub fn last_reading(&self) -> Option<Reading> {
        self.sampler.last()
    }

    /// What the counter shows of the time since a reading that an earlier process has told of, and how much of it is
    /// idle; `None`: it told of none.
    pub(crate) fn resume(&mut self, earlier: Option<Reading>) -> (Sample, Energy) {
        let Some(earlier) = earlier else {
            return (Sampler::FIRST, Energy::ZERO);
        };
        let sample = self.sampler.resume(earlier, self.zone.range_uj);
        let now = self.last_reading().unwrap_or(earlier);
        let awake_ns = now.awake_ns.saturating_sub(earlier.awake_ns);
        (sample, self.idle.idle_part(sample.energy, awake_ns))
    }

    /// Judges readings since the last call, the newest last: one sample.
    pub(crate) fn sample<'a>(
        &mut self,
        readings: impl Iterator<Item = &'a Result<Reading, SensorError>>,
    ) -> Sample {
        let mut readings = readings.peekable();
        while let Some(reading) = readings.next() {
            if readings.peek().is_some() {
                self.sampler.note(reading, self.zone.range_uj);
                continue;
            }
            match reading {
                Err(error) if !self.failing => warn!(zone = %self.zone, "no reading: {error}"),
                Ok(_) if self.failing => info!(zone = %self.zone, "readings are back"),
                _ => {}
            }
            self.failing = reading.is_err();
            return self.sampler.sample(reading, self.zone.range_uj);
        }
        let none = SensorError::Failed(format!("sensor {} gave no reading", self.sensor));
        self.sampler.sample(&Err(none), self.zone.range_uj)
    }

    /// By what the zone's active energy is split among the parties' uses, and its name. Learns what the energy
    /// `active` was used for, in that many `seconds`; `None`: it was not used for these alone.
    pub(crate) fn weigh(
        &mut self,
        parties: &Parties,
        active: Energy,
        seconds: Option<f64>,
    ) -> (Vec<u64>, &'static str) {
        let package = self.zone.package;
        let by_events = self.fit.as_mut().and_then(|fit| {
            if let Some(seconds) = seconds {
                fit.observe(parties, package, active.joules(), seconds);
            }
            let weights = fit.weights(parties, package)?;
            Some((weights, fit.terms().label))
        });
        by_events.unwrap_or_else(|| (parties.cpu_weights(package), CPU_TIME))
    }
}
