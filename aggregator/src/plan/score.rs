//! What came of a plan: the intensity as it turned out to be, of the planned start, of starting at once, and of the best
//! start that there was.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::curve::{Curve, Mean};
use super::{Plan, Work};
use crate::carbon::grams;
use crate::intensity::{IntensityBasis, Slot};

/// A plan beside what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Score {
    /// The plan, by what was known when it was made.
    pub plan: Plan,
    /// The planned start, as it turned out.
    pub planned: Scored,
    /// Starting at once, as it turned out.
    pub start_now: Scored,
    /// The greenest start in hindsight.
    pub best: Scored,
    /// What the plan saved against starting at once: below 0 where that would have been greener.
    pub saving_ratio: f64,
    /// What of the planned start's intensity the best one would have saved, 0 to 1.
    pub regret_ratio: f64,
}

/// One start as it turned out.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Scored {
    /// Its time.
    #[schema(value_type = String, format = DateTime)]
    pub start: Timestamp,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub end: Timestamp,
    /// Mean gCO2e per kWh.
    pub g_per_kwh: f64,
    /// gCO2e; null where nobody said what the work uses.
    pub grams: Option<f64>,
}

/// Why a plan cannot be judged yet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoScore {
    /// Its window is not over.
    #[error("the window ends at {0}, and is not over; score it then")]
    NotOver(Timestamp),
    /// There are only forecasts, or less, of some of it.
    #[error(
        "zone {zone} has no measured or estimated intensity from {from} to {to}; score it when it is there"
    )]
    NotSettled {
        /// The zone.
        zone: String,
        /// Start of the first such time.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
    },
}

/// Judges a plan of `work` by the timeline of its window as it is known now.
///
/// # Errors
/// Where the window is not over, or some of it has neither a measured nor an estimated figure.
pub fn score(work: &Work, plan: Plan, timeline: &[Slot], now: Timestamp) -> Result<Score, NoScore> {
    if now < plan.window_end {
        return Err(NoScore::NotOver(plan.window_end));
    }
    let settled: Vec<Slot> = timeline
        .iter()
        .filter(|slot| is_settled(slot))
        .cloned()
        .collect();
    let curve = Curve::new(&settled);
    let unsettled = || {
        let (from, to) = first_gap(&settled, plan.now, plan.window_end);
        let zone = work.intensity_zone.clone();
        NoScore::NotSettled { zone, from, to }
    };
    curve
        .mean(plan.now, plan.window_end)
        .ok_or_else(unsettled)?;

    let of_start = |start| Some((start, curve.mean(start, start + work.duration)?));
    let last = plan.window_end - work.duration;
    let greenest = curve.greenest(plan.now, last, work.duration);
    // All of the window is covered, and each of the three lies in it.
    let three = [of_start(plan.start), of_start(plan.now), greenest];
    let [Some(planned), Some(start_now), Some(best)] = three else {
        return Err(unsettled());
    };
    let scored = |(start, mean): (Timestamp, Mean)| Scored {
        start,
        end: start + work.duration,
        g_per_kwh: mean.g_per_kwh,
        grams: work
            .usage
            .map(|usage| grams(usage.joules, usage.pue, mean.g_per_kwh)),
    };
    Ok(Score {
        saving_ratio: part_saved(start_now.1, planned.1),
        regret_ratio: part_saved(planned.1, best.1).max(0.0),
        planned: scored(planned),
        start_now: scored(start_now),
        best: scored(best),
        plan,
    })
}

fn is_settled(slot: &Slot) -> bool {
    matches!(
        slot.basis,
        IntensityBasis::Measured | IntensityBasis::Estimated
    )
}

fn part_saved(of: Mean, by: Mean) -> f64 {
    if of.g_per_kwh > 0.0 {
        1.0 - by.g_per_kwh / of.g_per_kwh
    } else {
        0.0
    }
}

/// The first time from `from` to `to` that no slot covers.
fn first_gap(slots: &[Slot], from: Timestamp, to: Timestamp) -> (Timestamp, Timestamp) {
    let mut covered_to = from;
    for slot in slots.iter().filter(|slot| slot.to > from) {
        if slot.from > covered_to {
            return (covered_to, slot.from.min(to));
        }
        covered_to = slot.to;
    }
    (covered_to, to)
}
