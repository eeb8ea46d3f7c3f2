//! How far forecasts were off: what the ledger's own past slots say, and nothing where they are too few.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::intensity::{IntensityBasis, Signal, Slot};

/// How far back slots are looked at.
pub const LOOK_BACK: SignedDuration = SignedDuration::from_hours(30 * 24);
/// With fewer pairs nothing is said: a day of hours.
const MIN_PAIRS: usize = 24;
/// The share of slots below the lower and the upper bound.
const PERCENTILES: [usize; 2] = [10, 90];

/// What was over what had been forecast, slot by slot: eight of ten lie between the two ratios.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ForecastErrors {
    /// Slots of which both are known.
    pub pairs: usize,
    /// The 10th percentile of known over forecast.
    pub low_ratio: f64,
    /// The 90th.
    pub high_ratio: f64,
}

/// The errors of a signal's forecasts, from all slots of a zone over some time; `None` where fewer than 24 slots are
/// known both as forecast and as measured or estimated. What was measured counts before what was estimated. A forecast
/// of 0 has no ratio, and is left out.
#[must_use]
pub fn forecast_errors(slots: &[Slot], signal: Signal) -> Option<ForecastErrors> {
    let mut forecasts = BTreeMap::new();
    let mut known: BTreeMap<(Timestamp, Timestamp), &Slot> = BTreeMap::new();
    for slot in slots.iter().filter(|slot| slot.kind == signal) {
        let time = (slot.from, slot.to);
        match slot.basis {
            IntensityBasis::Forecast => {
                forecasts.insert(time, slot.g_per_kwh);
            }
            IntensityBasis::Measured | IntensityBasis::Estimated => {
                let best = known.entry(time).or_insert(slot);
                if slot.basis < best.basis {
                    *best = slot;
                }
            }
            IntensityBasis::Annual => {}
        }
    }
    let ratio = |(time, forecast): (_, f64)| {
        let known = known.get(&time)?;
        (forecast > 0.0).then(|| known.g_per_kwh / forecast)
    };
    let mut ratios: Vec<f64> = forecasts.into_iter().filter_map(ratio).collect();
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
