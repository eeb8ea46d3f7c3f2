//! A run's power over time, and the intensity behind it.

use jiff::{SignedDuration, Timestamp};
use wire::Energy;

use super::CoursePart;
use crate::carbon::grams;
use crate::rollup::MINUTE_MS;

/// Parts of a course at most.
const MAX_PARTS: i64 = 240;

/// Parts of equal length, each a whole number of minutes, or of hours where minutes were folded.
pub(super) struct Course {
    start_ms: i64,
    part_ms: i64,
    parts: Vec<Part>,
}

#[derive(Clone, Default)]
struct Part {
    active: Vec<Energy>,
    idle: Energy,
    grams_at_pue_1: f64,
    uncovered_joules: f64,
}

impl Course {
    /// For cells that lie in a time; `longest_ms` is the length of the longest.
    pub(super) fn new(from: Timestamp, to: Timestamp, longest_ms: u32) -> Self {
        let unit_ms = i64::from(longest_ms).max(MINUTE_MS);
        let start_ms = from.as_millisecond().div_euclid(unit_ms) * unit_ms;
        let length_ms = (to.as_millisecond() - start_ms).max(1);
        let part_ms = ceil_div(ceil_div(length_ms, unit_ms), MAX_PARTS) * unit_ms;
        let parts = usize::try_from(ceil_div(length_ms, part_ms)).unwrap_or_default();
        Self {
            start_ms,
            part_ms,
            parts: vec![Part::default(); parts],
        }
    }

    /// Adds what one share of a cell is; `stage` is its place among the report's stages.
    pub(super) fn add(&mut self, at: Timestamp, stage: usize, active: Energy, idle: Energy) {
        let part = self.part(at);
        if part.active.len() <= stage {
            part.active.resize(stage + 1, Energy::ZERO);
        }
        part.active[stage] += active;
        part.idle += idle;
    }

    /// Adds the carbon of a cell at a PUE of 1, and its energy that has none.
    pub(super) fn add_carbon(&mut self, at: Timestamp, grams_at_pue_1: f64, uncovered_joules: f64) {
        let part = self.part(at);
        part.grams_at_pue_1 += grams_at_pue_1;
        part.uncovered_joules += uncovered_joules;
    }

    /// What begins before the time counts to its first part, and what lies after it to the last.
    fn part(&mut self, at: Timestamp) -> &mut Part {
        let number = (at.as_millisecond() - self.start_ms).div_euclid(self.part_ms);
        let last = self.parts.len() - 1;
        let number = usize::try_from(number).unwrap_or(0).min(last);
        &mut self.parts[number]
    }

    /// `is_one_signal`: all grams count the same.
    pub(super) fn finish(self, stages: usize, is_one_signal: bool) -> Vec<CoursePart> {
        let (start_ms, part_ms) = (self.start_ms, self.part_ms);
        let time = |ms| Timestamp::from_millisecond(ms).ok();
        let parts = self.parts.into_iter().zip(0..);
        parts
            .filter_map(|(part, number)| {
                let from = time(start_ms + number * part_ms)?;
                let to = from
                    .checked_add(SignedDuration::from_millis(part_ms))
                    .ok()?;
                let part = part.finish(from, to, stages);
                Some(CoursePart {
                    g_per_kwh: part.g_per_kwh.filter(|_| is_one_signal),
                    ..part
                })
            })
            .collect()
    }
}

impl Part {
    fn finish(self, from: Timestamp, to: Timestamp, stages: usize) -> CoursePart {
        let mut active_joules: Vec<f64> =
            self.active.iter().map(|energy| energy.joules()).collect();
        active_joules.resize(stages, 0.0);
        let joules = active_joules.iter().sum::<f64>() + self.idle.joules();
        let covered = joules > 0.0 && self.uncovered_joules <= 0.0;
        CoursePart {
            from,
            to,
            active_joules,
            idle_joules: self.idle.joules(),
            g_per_kwh: covered.then(|| self.grams_at_pue_1 / grams(joules, 1.0, 1.0)),
        }
    }
}

fn ceil_div(number: i64, by: i64) -> i64 {
    (number + by - 1).div_euclid(by)
}
