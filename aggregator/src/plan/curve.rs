//! The intensity of a grid as a function of time: means over any length of time, and the start whose mean is least.

use jiff::{SignedDuration, Timestamp};

use super::TimeShares;
use crate::intensity::{IntensityBasis, Slot};

/// Means that differ by less than this part of them are alike: they are sums of the same slots in another order.
const ALIKE: f64 = 1e-9;
/// How many bases there are.
const BASES: usize = IntensityBasis::ALL.len();

/// Slots by start, of one signal, without overlaps, with the sums of all that came before each.
pub(super) struct Curve<'a> {
    slots: &'a [Slot],
    /// Of the slots before each, and of all.
    sums: Vec<Sums>,
}

/// The mean intensity over some time, all of which is covered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mean {
    pub(super) g_per_kwh: f64,
    /// The forecast slots' part of `g_per_kwh`.
    pub(super) forecast_g_per_kwh: f64,
    pub(super) shares: TimeShares,
}

/// Integrals over time by basis, in the order of [`IntensityBasis::ALL`].
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    /// Nanoseconds that are covered.
    covered: [i128; BASES],
    /// Intensity times nanoseconds.
    intensity: [f64; BASES],
}

impl<'a> Curve<'a> {
    pub(super) fn new(slots: &'a [Slot]) -> Self {
        let mut sums = Vec::with_capacity(slots.len() + 1);
        let mut sum = Sums::default();
        sums.push(sum);
        for slot in slots {
            sum.add(slot, slot.to);
            sums.push(sum);
        }
        Self { slots, sums }
    }

    /// The mean over `from` to `to`; `None` where that has no length, or some of it is not covered.
    pub(super) fn mean(&self, from: Timestamp, to: Timestamp) -> Option<Mean> {
        let length = to.as_nanosecond() - from.as_nanosecond();
        let (start, end) = (self.until(from), self.until(to));
        let covered: [i128; BASES] = each(|basis| end.covered[basis] - start.covered[basis]);
        if length <= 0 || covered.iter().sum::<i128>() != length {
            return None;
        }
        // What no slot of a basis covers is 0, and not what rounding leaves.
        let part = |basis: usize| match covered[basis] {
            0 => 0.0,
            _ => (end.intensity[basis] - start.intensity[basis]) / length as f64,
        };
        let parts = each(part);
        let [measured, estimated, forecast, annual] =
            covered.map(|nanoseconds| nanoseconds as f64 / length as f64);
        Some(Mean {
            g_per_kwh: parts.iter().sum::<f64>().max(0.0),
            forecast_g_per_kwh: parts[IntensityBasis::Forecast as usize].max(0.0),
            shares: TimeShares {
                measured,
                estimated,
                forecast,
                annual,
            },
        })
    }

    /// The start from `first` to `last` whose mean over `duration` is least, the earliest of several. Starts that rest on
    /// yearly averages are weighed only where there are no others. `None` where none is wholly covered.
    ///
    /// The mean is linear between two starts that have no slot's border at their start or end, so that the least lies
    /// where there is one, or at `first` or `last`.
    pub(super) fn greenest(
        &self,
        first: Timestamp,
        last: Timestamp,
        duration: SignedDuration,
    ) -> Option<(Timestamp, Mean)> {
        let mut best: Option<(Timestamp, Mean)> = None;
        for start in self.candidates(first, last, duration) {
            let end = start.checked_add(duration).ok();
            let Some(mean) = end.and_then(|end| self.mean(start, end)) else {
                continue;
            };
            if best.is_none_or(|(_, best)| mean.is_greener_than(&best)) {
                best = Some((start, mean));
            }
        }
        best
    }

    fn candidates(
        &self,
        first: Timestamp,
        last: Timestamp,
        duration: SignedDuration,
    ) -> Vec<Timestamp> {
        let borders = self.slots.iter().flat_map(|slot| [slot.from, slot.to]);
        let starts = borders.flat_map(|border| [Some(border), border.checked_sub(duration).ok()]);
        let mut starts: Vec<Timestamp> = starts
            .flatten()
            .chain([first, last])
            .filter(|start| (first..=last).contains(start))
            .collect();
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// The integrals of all before `at`.
    fn until(&self, at: Timestamp) -> Sums {
        let begun = self.slots.partition_point(|slot| slot.from < at);
        let Some(last) = begun.checked_sub(1) else {
            return Sums::default();
        };
        let mut sums = self.sums[last];
        sums.add(&self.slots[last], at.min(self.slots[last].to));
        sums
    }
}

impl Sums {
    /// The part of a slot before `until`.
    fn add(&mut self, slot: &Slot, until: Timestamp) {
        let nanoseconds = until.as_nanosecond() - slot.from.as_nanosecond();
        let basis = slot.basis as usize;
        self.covered[basis] += nanoseconds;
        self.intensity[basis] += slot.g_per_kwh * nanoseconds as f64;
    }
}

impl Mean {
    /// Whether some of it is a yearly average: then it does not tell one hour from another.
    pub(super) fn is_annual(&self) -> bool {
        self.shares.annual > 0.0
    }

    fn is_greener_than(&self, other: &Self) -> bool {
        match (self.is_annual(), other.is_annual()) {
            (false, true) => true,
            (true, false) => false,
            _ => self.g_per_kwh < other.g_per_kwh * (1.0 - ALIKE),
        }
    }
}

fn each<T>(of_basis: impl Fn(usize) -> T) -> [T; BASES] {
    std::array::from_fn(of_basis)
}
