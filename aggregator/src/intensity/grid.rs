//! What is known of a grid over a time, by signal.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::errors::{estimate_errors, forecast_errors, year_errors};
use super::{IntensityBasis, Signal, Slot, timeline};

/// Grids by intensity zone.
pub type Grids = BTreeMap<String, Grid>;

/// The intensity of one zone over a time: a timeline for each signal of which something is known.
#[derive(Clone, Debug, Default)]
pub struct Grid {
    by_signal: BTreeMap<Signal, Vec<Slot>>,
    revisions: BTreeMap<Signal, BTreeSet<Timestamp>>,
    spreads: Spreads,
}

/// How far figures have been off, as factors from the least to the most.
pub type Spreads = BTreeMap<(Signal, IntensityBasis), (f64, f64)>;

impl Grid {
    /// From all slots of a zone that touch a time; see [`timeline`].
    #[must_use]
    pub fn new(slots: Vec<Slot>, intensity_zone: &str, from: Timestamp, to: Timestamp) -> Self {
        let mut by_signal: BTreeMap<Signal, Vec<Slot>> = BTreeMap::new();
        // Of this one there may be a yearly average.
        by_signal.insert(Signal::default(), Vec::new());
        for slot in slots {
            by_signal.entry(slot.kind).or_default().push(slot);
        }
        let line = |(signal, slots)| (signal, timeline(slots, intensity_zone, signal, from, to));
        Self {
            by_signal: by_signal.into_iter().map(line).collect(),
            ..Self::default()
        }
    }

    /// With the times at which its slots were recorded.
    #[must_use]
    pub fn with_revisions(self, recorded: impl IntoIterator<Item = (Signal, Timestamp)>) -> Self {
        let mut revisions = BTreeMap::<Signal, BTreeSet<Timestamp>>::new();
        for (signal, time) in recorded {
            revisions.entry(signal).or_default().insert(time);
        }
        Self { revisions, ..self }
    }

    /// Whether all that is known was measured.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let mut slots = self.by_signal.values().flatten();
        slots.all(|slot| slot.basis == IntensityBasis::Measured)
    }

    /// How far figures of the kinds that it has have been off, by the slots of a time before.
    #[must_use]
    pub fn spreads_of(&self, past: &[Slot]) -> Spreads {
        let mut spreads = Spreads::new();
        for slot in self.by_signal.values().flatten() {
            let (signal, basis) = (slot.kind, slot.basis);
            if spreads.contains_key(&(signal, basis)) {
                continue;
            }
            let errors = match basis {
                IntensityBasis::Measured => None,
                IntensityBasis::Estimated => estimate_errors(past, signal),
                IntensityBasis::Forecast => forecast_errors(past, signal),
                IntensityBasis::Annual => year_errors(past, signal, slot.g_per_kwh),
            };
            if let Some(errors) = errors {
                spreads.insert((signal, basis), (errors.low_ratio, errors.high_ratio));
            }
        }
        spreads
    }

    /// With how far figures of a basis have been off.
    #[must_use]
    pub fn with_spreads(self, spreads: Spreads) -> Self {
        Self { spreads, ..self }
    }

    /// How far figures of a basis have been off, as factors from the least to the most; `None` where nobody knows.
    #[must_use]
    pub fn spread(&self, signal: Signal, basis: IntensityBasis) -> Option<(f64, f64)> {
        self.spreads.get(&(signal, basis)).copied()
    }

    /// What is known of a signal: by start, without overlaps.
    #[must_use]
    pub fn of(&self, signal: Signal) -> &[Slot] {
        self.by_signal.get(&signal).map_or(&[], Vec::as_slice)
    }

    /// What is known of other signals than this one.
    pub fn others(&self, signal: Signal) -> impl Iterator<Item = (Signal, &[Slot])> {
        self.by_signal
            .iter()
            .filter(move |(other, slots)| **other != signal && !slots.is_empty())
            .map(|(other, slots)| (*other, slots.as_slice()))
    }

    /// The times at which its slots of a signal were recorded.
    pub fn revisions(&self, signal: Signal) -> impl Iterator<Item = Timestamp> {
        self.revisions.get(&signal).into_iter().flatten().copied()
    }
}
