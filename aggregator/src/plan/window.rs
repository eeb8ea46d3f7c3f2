//! A window in a few steps, for a chart.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::curve::Curve;

/// Lengths of a step in seconds: those that a clock knows.
const LENGTHS_S: [i64; 10] = [
    300, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800,
];
/// The longest window has at most so many of the longest steps, and every other one of its own.
const MAX_STEPS: i64 = 24;

/// The mean intensity over one step of a window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WindowStep {
    /// Start, inclusive.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// End, exclusive.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// gCO2e per kWh; null where it is not known for all of the step.
    pub g_per_kwh: Option<f64>,
}

/// Steps of one length from `from` to `to`, with borders where a UTC clock has them; the first and the last may be
/// shorter. At most one more than 24.
pub(super) fn steps(curve: &Curve<'_>, from: Timestamp, to: Timestamp) -> Vec<WindowStep> {
    let length_s = length_s(from.duration_until(to));
    let mut steps = Vec::new();
    let mut start = from;
    while start < to {
        let next_s = (start.as_second().div_euclid(length_s) + 1) * length_s;
        let end = Timestamp::from_second(next_s).map_or(to, |next| next.min(to));
        steps.push(WindowStep {
            from: start,
            to: end,
            g_per_kwh: curve.mean(start, end).map(|mean| mean.g_per_kwh),
        });
        start = end;
    }
    steps
}

fn length_s(window: SignedDuration) -> i64 {
    let fits = |length_s: &&i64| window.as_secs() <= **length_s * MAX_STEPS;
    let [.., longest] = LENGTHS_S;
    LENGTHS_S.iter().find(fits).copied().unwrap_or(longest)
}
