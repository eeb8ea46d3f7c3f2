//! How far figures that are not settled were off: what the ledger's own past slots say, and nothing where they are too few.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{IntensityBasis, Signal, Slot};

/// How far back slots are looked at.
pub const LOOK_BACK: SignedDuration = SignedDuration::from_hours(30 * 24);
/// With fewer pairs nothing is said: a day of hours.
const MIN_PAIRS: usize = 24;
/// The share of slots below the lower and the upper bound.
const PERCENTILES: [usize; 2] = [10, 90];

/// What was over what had been told, slot by slot: eight of ten lie between the two ratios.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ForecastErrors {
    /// Slots of which both are known.
    pub pairs: usize,
    /// The 10th percentile of known over told.
    pub low_ratio: f64,
    /// The 90th.
    pub high_ratio: f64,
}

/// When a slot is.
type Time = (Timestamp, Timestamp);

/// The errors of a signal's forecasts, from all slots of a zone over some time; `None` where fewer than 24 slots are
/// known both as forecast and as measured or estimated. What was measured counts before what was estimated. A forecast
/// of 0 has no ratio, and is left out.
#[must_use]
pub fn forecast_errors(slots: &[Slot], signal: Signal) -> Option<ForecastErrors> {
    let told = figures(slots, signal, &[IntensityBasis::Forecast]);
    let known = [IntensityBasis::Measured, IntensityBasis::Estimated];
    of_pairs(told, &figures(slots, signal, &known))
}

/// The same of estimates, against what was measured.
#[must_use]
pub fn estimate_errors(slots: &[Slot], signal: Signal) -> Option<ForecastErrors> {
    let told = figures(slots, signal, &[IntensityBasis::Estimated]);
    of_pairs(told, &figures(slots, signal, &[IntensityBasis::Measured]))
}

/// How far the slots of some time were from the average of a year.
#[must_use]
pub fn year_errors(slots: &[Slot], signal: Signal, year_g_per_kwh: f64) -> Option<ForecastErrors> {
    let known = [IntensityBasis::Measured, IntensityBasis::Estimated];
    let known = figures(slots, signal, &known);
    let told = known.keys().map(|time| (*time, year_g_per_kwh)).collect();
    of_pairs(told, &known)
}

/// Figures of these bases by their time; where one time has several, that of the better basis.
fn figures(slots: &[Slot], signal: Signal, bases: &[IntensityBasis]) -> BTreeMap<Time, f64> {
    let mut best = BTreeMap::<Time, &Slot>::new();
    let of_signal = slots.iter().filter(|slot| slot.kind == signal);
    for slot in of_signal.filter(|slot| bases.contains(&slot.basis)) {
        let known = best.entry((slot.from, slot.to)).or_insert(slot);
        if slot.basis < known.basis {
            *known = slot;
        }
    }
    best.into_iter()
        .map(|(time, slot)| (time, slot.g_per_kwh))
        .collect()
}

fn of_pairs(told: BTreeMap<Time, f64>, known: &BTreeMap<Time, f64>) -> Option<ForecastErrors> {
    let ratio = |(time, told): (Time, f64)| {
        let known = known.get(&time)?;
        (told > 0.0).then(|| known / told)
    };
    let mut ratios: Vec<f64> = told.into_iter().filter_map(ratio).collect();
    if ratios.len() < MIN_PAIRS {
        return None;
    }
    ratios.sort_by(f64::total_cmp);
    let [low_ratio, high_ratio] = PERCENTILES.map(|percent| nearest_rank(&ratios, percent));
    Some(ForecastErrors {
        pairs: ratios.len(),
        low_ratio,
        high_ratio,
    })
}

/// The least value that `percent` of all do not exceed.
fn nearest_rank(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted[rank.saturating_sub(1)]
}
