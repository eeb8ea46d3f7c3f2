//! Energy into grams: pure arithmetic over values that were read elsewhere.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wire::Energy;

use crate::intensity::{IntensityBasis, Slot};

/// The carbon of some energy, as far as it can be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Carbon {
    /// gCO2e, facility side, of the energy whose intensity is known.
    pub grams: f64,
    /// The same by basis of the intensity.
    pub grams_by_basis: BTreeMap<IntensityBasis, f64>,
    /// Energy (IT side) in times for which no slot was given.
    pub uncovered_joules: f64,
}

/// Spreads `energy` evenly over `from` to `to` and applies to each part the slot it falls in:
/// C = sum of (E / 3.6e6) x overlap / length x PUE x intensity.
///
/// `slots` are of one signal, by start, and do not overlap.
#[must_use]
pub fn carbon(energy: Energy, from: Timestamp, to: Timestamp, pue: f64, slots: &[Slot]) -> Carbon {
    let _ = (energy, from, to, pue, slots);
    unimplemented!()
}
