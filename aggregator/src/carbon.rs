//! Energy into grams: pure arithmetic over values that were read elsewhere.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use wire::Energy;

use crate::intensity::{IntensityBasis, Slot};

/// Joules in a kilowatt-hour.
pub const JOULES_PER_KWH: f64 = 3.6e6;

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
    let spread = spread(energy.joules(), from, to, slots);
    let mut carbon = Carbon {
        uncovered_joules: spread.uncovered_joules(),
        ..Carbon::default()
    };
    for (slot, joules) in spread.parts {
        let grams = grams(joules, pue, slot.g_per_kwh);
        carbon.grams += grams;
        *carbon.grams_by_basis.entry(slot.basis).or_default() += grams;
    }
    carbon
}

/// gCO2e of `joules` (IT side) at one intensity.
#[must_use]
pub fn grams(joules: f64, pue: f64, g_per_kwh: f64) -> f64 {
    joules / JOULES_PER_KWH * pue * g_per_kwh
}

/// Energy cut along the borders of intensity slots.
#[derive(Debug, PartialEq)]
pub struct Spread<'a> {
    /// Each slot that was touched, with the joules that fall in it.
    pub parts: Vec<(&'a Slot, f64)>,
    /// Times for which no slot was given, with the joules that fall in them.
    pub gaps: Vec<Gap>,
}

/// A time for which no slot was given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gap {
    /// Start, inclusive.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// Energy that falls in it.
    pub joules: f64,
}

impl Spread<'_> {
    /// Joules in times for which no slot was given.
    #[must_use]
    pub fn uncovered_joules(&self) -> f64 {
        self.gaps.iter().map(|gap| gap.joules).sum()
    }
}

/// Spreads `joules` evenly over `from` to `to` among the slots that it falls in. What has no length falls
/// in the slot of its start.
///
/// `slots` are of one signal, by start, and do not overlap.
#[must_use]
pub fn spread(joules: f64, from: Timestamp, to: Timestamp, slots: &[Slot]) -> Spread<'_> {
    // One nanosecond where there is no length, so that the energy falls somewhere.
    let to = to.max(
        from.saturating_add(SignedDuration::from_nanos(1))
            .unwrap_or(to),
    );
    let length = from.duration_until(to).as_nanos();
    let part = |from: Timestamp, to: Timestamp| {
        joules * (from.duration_until(to).as_nanos() as f64 / length as f64)
    };
    let first = slots.partition_point(|slot| slot.to <= from);

    let mut parts = Vec::new();
    let mut gaps = Vec::new();
    let mut at = from;
    for slot in &slots[first..] {
        if slot.from >= to {
            break;
        }
        if slot.from > at {
            gaps.push((at, slot.from));
        }
        let (start, end) = (slot.from.max(from), slot.to.min(to));
        parts.push((slot, part(start, end)));
        at = end;
    }
    if at < to {
        gaps.push((at, to));
    }
    let gap = |(from, to)| Gap {
        from,
        to,
        joules: part(from, to),
    };
    Spread {
        parts,
        gaps: gaps.into_iter().map(gap).collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::intensity::Signal;

    fn slot(from: &str, to: &str, g_per_kwh: f64, basis: IntensityBasis) -> Slot {
        Slot {
            intensity_zone: "FR".to_owned(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            g_per_kwh,
            kind: Signal::default(),
            basis,
            source: "a test".to_owned(),
        }
    }

    fn two_hours() -> Vec<Slot> {
        vec![
            slot(
                "2026-01-05T10:00:00Z",
                "2026-01-05T11:00:00Z",
                100.0,
                IntensityBasis::Measured,
            ),
            slot(
                "2026-01-05T11:00:00Z",
                "2026-01-05T12:00:00Z",
                300.0,
                IntensityBasis::Forecast,
            ),
        ]
    }

    fn check(joules: f64, from: &str, to: &str, pue: f64, grams: f64, uncovered_joules: f64) {
        let energy = Energy::from_joules(joules).unwrap();
        let carbon = carbon(
            energy,
            from.parse().unwrap(),
            to.parse().unwrap(),
            pue,
            &two_hours(),
        );
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(carbon.grams, grams), "{from} to {to}: {carbon:?}");
        assert!(
            near(carbon.uncovered_joules, uncovered_joules),
            "{from} to {to}: {carbon:?}"
        );
        let by_basis: f64 = carbon.grams_by_basis.values().sum();
        assert!(near(by_basis, carbon.grams), "{carbon:?}");
    }

    #[test]
    fn each_part_takes_the_intensity_of_its_slot() {
        let (ten_fifty, eleven_ten) = ("2026-01-05T10:50:00Z", "2026-01-05T11:10:00Z");
        check(3.6e6, ten_fifty, eleven_ten, 1.0, 200.0, 0.0);
        check(3.6e6, ten_fifty, eleven_ten, 1.5, 300.0, 0.0);
        check(0.0, ten_fifty, eleven_ten, 1.0, 0.0, 0.0);
        check(
            3.6e6,
            "2026-01-05T10:50:00Z",
            "2026-01-05T10:50:00Z",
            1.0,
            100.0,
            0.0,
        );
        // Times are half-open: a slot's end is the next one's start.
        check(
            3.6e6,
            "2026-01-05T11:00:00Z",
            "2026-01-05T11:00:00Z",
            1.0,
            300.0,
            0.0,
        );
        check(
            3.6e6,
            "2026-01-05T10:00:00Z",
            "2026-01-05T11:00:00Z",
            1.0,
            100.0,
            0.0,
        );
    }

    #[test]
    fn an_interval_over_three_slots_takes_its_part_of_each() {
        let quarter = |number: i64| {
            let start: Timestamp = "2025-12-31T23:45:00Z".parse().unwrap();
            start + SignedDuration::from_mins(15 * number)
        };
        // Over the end of a year, which is no border of its own.
        let slots: Vec<Slot> = [(0, 100.0), (1, 200.0), (2, 400.0)]
            .map(|(number, g_per_kwh)| Slot {
                from: quarter(number),
                to: quarter(number + 1),
                ..slot(
                    "2026-01-05T10:00:00Z",
                    "2026-01-05T11:00:00Z",
                    g_per_kwh,
                    IntensityBasis::Measured,
                )
            })
            .to_vec();
        let minutes = SignedDuration::from_mins;
        let energy = Energy::from_joules(3.6e6).unwrap();
        let (from, to) = (quarter(1) - minutes(5), quarter(2) + minutes(10));
        let carbon = carbon(energy, from, to, 1.0, &slots);
        let expected = (5.0 * 100.0 + 15.0 * 200.0 + 10.0 * 400.0) / 30.0;
        assert!((carbon.grams - expected).abs() < 1e-9, "{carbon:?}");
    }

    #[test]
    fn energy_without_a_slot_is_refused_and_not_free() {
        check(
            3.6e6,
            "2026-01-05T09:00:00Z",
            "2026-01-05T10:00:00Z",
            1.0,
            0.0,
            3.6e6,
        );
        check(
            3.6e6,
            "2026-01-05T11:30:00Z",
            "2026-01-05T12:30:00Z",
            1.0,
            150.0,
            1.8e6,
        );
        check(
            3.6e6,
            "2026-01-05T09:00:00Z",
            "2026-01-05T13:00:00Z",
            1.0,
            100.0,
            1.8e6,
        );
    }

    proptest! {
        #[test]
        fn splitting_an_interval_anywhere_changes_nothing(
            microjoules in 0_u64..1_000_000_000_000_000,
            start_s in -3_600_i64..7_200,
            length_s in 1_i64..20_000,
            cut in 0.0_f64..1.0,
        ) {
            let origin: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
            let at = |seconds: i64| Timestamp::from_second(origin.as_second() + seconds).unwrap();
            let cut_s = (length_s as f64 * cut) as i64;
            let energy = Energy::from_microjoules(microjoules);
            let whole = carbon(energy, at(start_s), at(start_s + length_s), 1.3, &two_hours());

            let seconds = [cut_s as u64, (length_s - cut_s) as u64];
            let halves = wire::apportion(energy, &seconds).unwrap();
            let one = carbon(halves[0], at(start_s), at(start_s + cut_s), 1.3, &two_hours());
            let two = carbon(halves[1], at(start_s + cut_s), at(start_s + length_s), 1.3, &two_hours());

            // Cutting rounds to the microjoule.
            let near = |a: f64, b: f64| (a - b).abs() < 1e-6 + 1e-9 * a.abs();
            prop_assert!(near(whole.grams, one.grams + two.grams));
            prop_assert!(near(whole.uncovered_joules, one.uncovered_joules + two.uncovered_joules));
        }
    }
}
