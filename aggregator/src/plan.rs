//! When to start: the time within a window at which work would draw the least carbon, what that saves, how sure it is,
//! and afterwards what came of it.
//!
//! Pure: timelines come in as values. What is known of a grid is the ledger's to look up.

mod curve;
mod notes;
mod score;
#[cfg(test)]
mod tests;
mod window;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::carbon::grams;
use crate::intensity::errors::ForecastErrors;
use crate::intensity::{Signal, Slot};
use curve::{Curve, Mean};
use notes::notes;

pub use score::{NoScore, Score, Scored, score};
pub use window::WindowStep;

/// The longest window that is planned in: no forecast reaches so far.
pub const MAX_WITHIN: SignedDuration = SignedDuration::from_hours(31 * 24);

/// What is to be planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Grid that feeds it.
    pub intensity_zone: String,
    /// What its intensity counts.
    pub signal: Signal,
    /// How long it takes, more than nothing.
    pub duration: SignedDuration,
    /// Time from now within which it is to be done, `duration` or more.
    pub within: SignedDuration,
    /// What it uses, where that is known.
    pub usage: Option<Usage>,
}

/// What some work uses, spread evenly over its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Usage {
    /// On the IT side.
    pub joules: f64,
    /// Power usage effectiveness of where it runs.
    pub pue: f64,
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPlan {
    /// It cannot be done in that time.
    #[error("work of {duration:#} does not fit within {within:#}")]
    TooLong {
        /// How long it takes.
        duration: SignedDuration,
        /// How long there is.
        within: SignedDuration,
    },
    /// It takes no time.
    #[error("the duration must be more than 0")]
    NoDuration,
    /// There is no such forecast.
    #[error("a window of {0:#} is longer than the {MAX_WITHIN:#} that can be planned in")]
    TooFar(SignedDuration),
    /// Of no start is the intensity known for all of its time.
    #[error(
        "no {signal} intensity of zone {zone} is known for {duration:#} on end from {from} to {to}; \
         `hxmlops import intensity` adds forecasts"
    )]
    NotCovered {
        /// The zone.
        zone: String,
        /// What was looked for.
        signal: Signal,
        /// How long it takes.
        duration: SignedDuration,
        /// Start of the window.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
    },
}

/// Shares of some time by the basis of its intensity, 0 to 1 each, 1 together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TimeShares {
    /// Settled by the grid's operator.
    pub measured: f64,
    /// A provider's estimate.
    pub estimated: f64,
    /// Made before its time came.
    pub forecast: f64,
    /// The average of a year.
    pub annual: f64,
}

/// The greenest start within a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// Grid.
    pub intensity_zone: String,
    /// What its intensity counts.
    pub signal: Signal,
    /// Start of the window: when the plan was made.
    #[schema(value_type = String, format = DateTime)]
    pub now: Timestamp,
    /// Its end.
    #[schema(value_type = String, format = DateTime)]
    pub window_end: Timestamp,
    /// When to start.
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    /// When it ends then.
    #[schema(value_type = String, format = DateTime)]
    pub end: Timestamp,
    /// Mean gCO2e per kWh from start to end.
    pub g_per_kwh: f64,
    /// How that is known.
    pub basis: TimeShares,
    /// Where the mean is thought to lie, by past errors of forecasts; null where too few are known.
    pub range: Option<IntensityRange>,
    /// What starting now would be; null where that is not known for all of its time.
    pub start_now: Option<StartNow>,
    /// What is saved against starting now, 0 to 1; null where the two cannot be compared.
    pub saving_ratio: Option<f64>,
    /// The same in grams; null where nobody said what the work uses.
    pub carbon: Option<PlanCarbon>,
    /// Past errors of forecasts of this zone and signal, over the 30 days before; null where fewer than 24 are known.
    pub forecast_errors: Option<ForecastErrors>,
    /// Who says so.
    pub sources: Vec<String>,
    /// The window in at most 25 steps, for a chart.
    pub window: Vec<WindowStep>,
    /// What a reader must know of the figures, one sentence each.
    pub notes: Vec<String>,
}

/// gCO2e per kWh, from the least to the most: eight of ten lie between.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct IntensityRange {
    /// At least.
    pub low_g_per_kwh: f64,
    /// At most.
    pub high_g_per_kwh: f64,
}

/// The same work, started at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StartNow {
    /// Mean gCO2e per kWh.
    pub g_per_kwh: f64,
    /// How that is known.
    pub basis: TimeShares,
}

/// A plan in grams.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlanCarbon {
    /// What the work uses, on the IT side.
    pub energy_joules: f64,
    /// Power usage effectiveness that was applied.
    pub pue: f64,
    /// gCO2e of the planned start.
    pub planned_grams: f64,
    /// gCO2e of starting now; null where that is not known.
    pub start_now_grams: Option<f64>,
    /// The difference; null where the two cannot be compared.
    pub saved_grams: Option<f64>,
}

/// Plans some work from `now` on, over the timeline of its zone and signal (by start, without overlaps). `errors` are
/// those of past forecasts of the same.
///
/// A start of which some time is not covered is none: a gap is never free. Starts that rest on yearly averages are weighed
/// only where there are no others.
///
/// # Errors
/// Where the work does not fit, or no start is covered.
pub fn plan(
    work: &Work,
    now: Timestamp,
    timeline: &[Slot],
    errors: Option<ForecastErrors>,
) -> Result<Plan, NoPlan> {
    let window_end = work.window_end(now)?;
    let curve = Curve::new(timeline);
    let last = window_end - work.duration;
    let greenest = curve.greenest(now, last, work.duration);
    let (start, mean) = greenest.ok_or_else(|| NoPlan::NotCovered {
        zone: work.intensity_zone.clone(),
        signal: work.signal,
        duration: work.duration,
        from: now,
        to: window_end,
    })?;
    let at_once = curve.mean(now, now + work.duration);
    let saving_ratio = at_once.and_then(|at_once| saving(&mean, &at_once));
    let mut plan = Plan {
        intensity_zone: work.intensity_zone.clone(),
        signal: work.signal,
        now,
        window_end,
        start,
        end: start + work.duration,
        g_per_kwh: mean.g_per_kwh,
        basis: mean.shares,
        range: errors.map(|errors| range(&mean, errors)),
        start_now: at_once.map(StartNow::from),
        saving_ratio,
        carbon: work
            .usage
            .map(|usage| usage.carbon(&mean, at_once, saving_ratio)),
        forecast_errors: errors,
        sources: sources(timeline),
        window: window::steps(&curve, now, window_end),
        notes: Vec::new(),
    };
    plan.notes = notes(&plan, timeline);
    Ok(plan)
}

impl Work {
    fn window_end(&self, now: Timestamp) -> Result<Timestamp, NoPlan> {
        let (duration, within) = (self.duration, self.within);
        if !duration.is_positive() {
            return Err(NoPlan::NoDuration);
        }
        if within > MAX_WITHIN {
            return Err(NoPlan::TooFar(within));
        }
        if duration > within {
            return Err(NoPlan::TooLong { duration, within });
        }
        now.checked_add(within).map_err(|_| NoPlan::TooFar(within))
    }
}

impl Usage {
    fn carbon(self, mean: &Mean, at_once: Option<Mean>, saving_ratio: Option<f64>) -> PlanCarbon {
        let planned_grams = grams(self.joules, self.pue, mean.g_per_kwh);
        let start_now_grams = at_once.map(|mean| grams(self.joules, self.pue, mean.g_per_kwh));
        PlanCarbon {
            energy_joules: self.joules,
            pue: self.pue,
            planned_grams,
            start_now_grams,
            saved_grams: saving_ratio
                .and(start_now_grams)
                .map(|now| now - planned_grams),
        }
    }
}

impl From<Mean> for StartNow {
    fn from(mean: Mean) -> Self {
        Self {
            g_per_kwh: mean.g_per_kwh,
            basis: mean.shares,
        }
    }
}

/// What of the intensity at once is saved; `None` where one of the two is a yearly average and the other is not, which
/// would not be a saving but a change of scale.
fn saving(mean: &Mean, at_once: &Mean) -> Option<f64> {
    if mean.is_annual() != at_once.is_annual() {
        return None;
    }
    if at_once.g_per_kwh <= 0.0 {
        return Some(0.0);
    }
    Some((1.0 - mean.g_per_kwh / at_once.g_per_kwh).max(0.0))
}

/// Only what was forecast is uncertain by the errors of forecasts.
fn range(mean: &Mean, errors: ForecastErrors) -> IntensityRange {
    let settled = mean.g_per_kwh - mean.forecast_g_per_kwh;
    IntensityRange {
        low_g_per_kwh: settled + mean.forecast_g_per_kwh * errors.low_ratio,
        high_g_per_kwh: settled + mean.forecast_g_per_kwh * errors.high_ratio,
    }
}

fn sources(timeline: &[Slot]) -> Vec<String> {
    let mut sources: Vec<String> = timeline.iter().map(|slot| slot.source.clone()).collect();
    sources.sort_unstable();
    sources.dedup();
    sources
}
