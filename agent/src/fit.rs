//! What a zone's active energy costs per hardware event, fitted online against the zone's own counter. Pure.
//!
//! A CPU second of one workload is not worth that of another: one computes, one waits for memory. Where the
//! CPUs' counters say what was done, active power = a x (first rate) + b x (second rate), with a and b from
//! least squares weighted by age. The model is used only while it has seen enough different mixes to tell a
//! from b and predicts no worse than CPU time does; in any case it is bounded ([`Terms::bound`]).

mod share;
mod terms;
#[cfg(test)]
pub(crate) mod tests;

use crate::parties::Parties;

use self::share::{Load, bounded, energies, to_weights};
pub use self::terms::Terms;

/// Name of the split that needs no model.
pub const CPU_TIME: &str = "cpu_time";

/// After this long an interval counts half.
const HALF_LIFE_S: f64 = 600.0;

/// Intervals that must have been seen before there are coefficients.
const MIN_INTERVALS: u32 = 24;

/// Predictions that must have been compared with what came before the model is used.
const MIN_PREDICTIONS: u32 = 12;

/// The least 1 - r^2, r being the correlation (about 0) of the two rates: about the square of the relative
/// spread of their ratio, so 4.5 %. Below it the two cannot be told apart.
const MIN_SPREAD: f64 = 0.002;

/// The model of one zone, and how well it does beside CPU time.
#[derive(Clone, Debug)]
pub struct Fit {
    terms: &'static Terms,
    sums: Sums,
    errors: Errors,
    intervals: u32,
    coefficients: Option<[f64; 2]>,
}

/// Products of rates, weighted by seconds and age. Rates are per ns (10^9 events per second), power is in W.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    x11: f64,
    x12: f64,
    x22: f64,
    y1: f64,
    y2: f64,
    /// Of CPU seconds per second, for the model that is to be beaten.
    cpu_cpu: f64,
    cpu_y: f64,
}

/// Squares of one-step-ahead errors, weighted like [`Sums`].
#[derive(Clone, Copy, Debug, Default)]
struct Errors {
    predictions: u32,
    seconds: f64,
    watts: f64,
    events: f64,
    cpu_time: f64,
}

impl Fit {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(terms: &'static Terms) -> Self {
        Self {
            terms,
            sums: Sums::default(),
            errors: Errors::default(),
            intervals: 0,
            coefficients: None,
        }
    }

    /// Learns from an interval of `seconds` in which the zone used `active_joules` for what `parties` did on
    /// its package. One whose counters do not say enough teaches nothing.
    pub fn observe(
        &mut self,
        parties: &Parties,
        package: Option<u16>,
        active_joules: f64,
        seconds: f64,
    ) {
        let Some(load) = Load::of(self.terms, parties.on(package)).filter(|_| seconds > 0.0) else {
            return;
        };
        let rates = load.counts.map(|count| count / (seconds * 1e9));
        let cpus = load.cpu_seconds / seconds;
        let watts = active_joules / seconds;
        let decay = 0.5_f64.powf(seconds / HALF_LIFE_S);
        if let (Some([a, b]), Some(per_cpu)) = (self.coefficients, self.sums.watts_per_cpu()) {
            let by_events = a * rates[0] + b * rates[1] - watts;
            self.errors
                .add(decay, seconds, watts, by_events, per_cpu * cpus - watts);
        }
        self.sums.add(decay, seconds, rates, cpus, watts);
        self.intervals = self.intervals.saturating_add(1);
        self.coefficients = if self.intervals >= MIN_INTERVALS {
            self.sums.solve()
        } else {
            None
        };
    }

    /// A weight for each of the parties' uses, by the model (0 on other packages); `None` where CPU time does
    /// no worse, or the counters say nothing.
    #[must_use]
    pub fn weights(&self, parties: &Parties, package: Option<u16>) -> Option<Vec<u64>> {
        let coefficients = self.coefficients.filter(|_| self.is_better())?;
        let energies = energies(self.terms, coefficients, parties, package)?;
        Some(to_weights(&bounded(&energies, self.terms.bound)))
    }

    /// What the model splits by.
    #[must_use]
    pub fn terms(&self) -> &'static Terms {
        self.terms
    }

    /// Joules per event of each term, where they can be told.
    #[must_use]
    pub fn joules_per_event(&self) -> Option<[f64; 2]> {
        // Watts per (events per ns) are nanojoules per event.
        self.coefficients
            .map(|coefficients| coefficients.map(|nanojoules| nanojoules * 1e-9))
    }

    /// Root mean square of the one-step-ahead errors over the mean power: of this model, and of CPU time.
    #[must_use]
    pub fn error_ratios(&self) -> Option<(f64, f64)> {
        let Errors {
            seconds,
            watts,
            events,
            cpu_time,
            ..
        } = self.errors;
        let mean = watts / seconds;
        let ratio = |squares: f64| (squares / seconds).sqrt() / mean;
        (mean > 0.0).then(|| (ratio(events), ratio(cpu_time)))
    }

    fn is_better(&self) -> bool {
        self.errors.predictions >= MIN_PREDICTIONS && self.errors.events <= self.errors.cpu_time
    }
}

impl Sums {
    fn add(&mut self, decay: f64, seconds: f64, rates: [f64; 2], cpus: f64, watts: f64) {
        let add = |sum: &mut f64, product: f64| *sum = *sum * decay + seconds * product;
        add(&mut self.x11, rates[0] * rates[0]);
        add(&mut self.x12, rates[0] * rates[1]);
        add(&mut self.x22, rates[1] * rates[1]);
        add(&mut self.y1, rates[0] * watts);
        add(&mut self.y2, rates[1] * watts);
        add(&mut self.cpu_cpu, cpus * cpus);
        add(&mut self.cpu_y, cpus * watts);
    }

    fn watts_per_cpu(&self) -> Option<f64> {
        (self.cpu_cpu > 0.0).then(|| self.cpu_y / self.cpu_cpu)
    }

    /// Least squares with neither coefficient negative: where the free solution has a negative one, it is 0,
    /// and the other is solved for alone. `None` where the terms cannot be told apart.
    fn solve(&self) -> Option<[f64; 2]> {
        // Each term in units of its own root mean square, so that misses do not drown in cycles.
        let (scale1, scale2) = (self.x11.sqrt(), self.x22.sqrt());
        let r = self.x12 / (scale1 * scale2);
        let spread = 1.0 - r * r;
        // Not a number where a counter never counted.
        if spread.is_nan() || spread < MIN_SPREAD {
            return None;
        }
        let (q1, q2) = (self.y1 / scale1, self.y2 / scale2);
        let (mut a, mut b) = ((q1 - r * q2) / spread, (q2 - r * q1) / spread);
        if a < 0.0 {
            (a, b) = (0.0, q2);
        } else if b < 0.0 {
            (a, b) = (q1, 0.0);
        }
        let found = [a / scale1, b / scale2];
        (found.iter().all(|each| each.is_finite()) && a + b > 0.0).then_some(found)
    }
}

impl Errors {
    fn add(&mut self, decay: f64, seconds: f64, watts: f64, by_events: f64, by_cpu_time: f64) {
        let add = |sum: &mut f64, value: f64| *sum = *sum * decay + seconds * value;
        add(&mut self.seconds, 1.0);
        add(&mut self.watts, watts);
        add(&mut self.events, by_events * by_events);
        add(&mut self.cpu_time, by_cpu_time * by_cpu_time);
        self.predictions = self.predictions.saturating_add(1);
    }
}
