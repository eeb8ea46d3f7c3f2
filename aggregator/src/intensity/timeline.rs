//! One figure for each moment: slots that overlap are resolved, gaps are filled from the yearly table.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{IntensityBasis, Signal, Slot, normalized_zone, yearly_nearest};

/// The intensity of `intensity_zone` from `from` to `to`: by start, without overlaps, of one signal; slots of
/// other signals are left out.
///
/// Where slots overlap, the better basis wins (measured, estimated, forecast, annual), then the shorter slot,
/// then the later start. Where there is none, the yearly average that comes with the program stands, as
/// `annual`, where it is of the signal: of the zone, else of the country that a zone of the table of cloud regions is in,
/// whose name the slot then has. Where there is no such average either, the gap stays: no figure is ever made up.
#[must_use]
pub fn timeline(
    slots: Vec<Slot>,
    intensity_zone: &str,
    signal: Signal,
    from: Timestamp,
    to: Timestamp,
) -> Vec<Slot> {
    if from >= to {
        return Vec::new();
    }
    let zone = normalized_zone(intensity_zone);
    let mut slots: Vec<Slot> = slots
        .into_iter()
        .filter(|slot| slot.kind == signal && slot.from < slot.to)
        .filter(|slot| slot.from < to && from < slot.to)
        .collect();
    slots.sort_by(precedence);
    // Last, not by precedence: its length is that of the question, and the answer must not hang on that.
    if signal == Signal::default() {
        slots.extend(annual(&zone, from, to));
    }
    resolve(&slots, from, to)
}

fn annual(zone: &str, from: Timestamp, to: Timestamp) -> Option<Slot> {
    yearly_nearest(zone).map(|row| Slot {
        intensity_zone: row.zone.to_owned(),
        from,
        to,
        g_per_kwh: row.g_per_kwh,
        kind: Signal::default(),
        basis: IntensityBasis::Annual,
        source: row.source(),
    })
}

/// A total order, so that one set of slots has one timeline.
fn precedence(a: &Slot, b: &Slot) -> Ordering {
    let length = |slot: &Slot| slot.from.duration_until(slot.to);
    a.basis
        .cmp(&b.basis)
        .then_with(|| length(a).cmp(&length(b)))
        .then_with(|| b.from.cmp(&a.from))
        .then_with(|| a.source.cmp(&b.source))
        .then_with(|| a.g_per_kwh.total_cmp(&b.g_per_kwh))
}

/// Walks all borders in order of time, with the set of slots that are open at each.
fn resolve(slots: &[Slot], from: Timestamp, to: Timestamp) -> Vec<Slot> {
    let mut borders: Vec<(Timestamp, usize)> = Vec::with_capacity(slots.len() * 2);
    for (rank, slot) in slots.iter().enumerate() {
        borders.push((slot.from.max(from), rank));
        borders.push((slot.to.min(to), rank));
    }
    borders.sort_unstable();

    let mut pieces: Vec<(usize, Slot)> = Vec::new();
    let mut open = BTreeSet::new();
    let mut borders = borders.into_iter().peekable();
    while let Some((at, rank)) = borders.next() {
        // The first border of a slot opens it, the second closes it.
        if !open.remove(&rank) {
            open.insert(rank);
        }
        let Some(&(next, _)) = borders.peek() else {
            break;
        };
        if let Some(&best) = open.first()
            && at < next
        {
            extend(&mut pieces, best, &slots[best], at, next);
        }
    }
    pieces.into_iter().map(|(_, slot)| slot).collect()
}

fn extend(
    pieces: &mut Vec<(usize, Slot)>,
    rank: usize,
    slot: &Slot,
    from: Timestamp,
    to: Timestamp,
) {
    match pieces.last_mut() {
        Some((last, piece)) if *last == rank && piece.to == from => piece.to = to,
        _ => pieces.push((
            rank,
            Slot {
                from,
                to,
                ..slot.clone()
            },
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::intensity::yearly;

    const BASES: [IntensityBasis; 4] = IntensityBasis::ALL;

    fn hour(hour: i64) -> Timestamp {
        Timestamp::from_second(1_767_603_600 + hour * 3600).unwrap()
    }

    fn slot(zone: &str, from: i64, to: i64, g_per_kwh: f64, basis: IntensityBasis) -> Slot {
        Slot {
            intensity_zone: zone.to_owned(),
            from: hour(from),
            to: hour(to),
            g_per_kwh,
            kind: Signal::default(),
            basis,
            source: "a test".to_owned(),
        }
    }

    fn check(slots: Vec<Slot>, zone: &str, expected: &[(i64, i64, f64)]) {
        let found: Vec<_> = timeline(slots, zone, Signal::default(), hour(0), hour(10))
            .into_iter()
            .map(|slot| (slot.from, slot.to, slot.g_per_kwh))
            .collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|&(from, to, g)| (hour(from), hour(to), g))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn the_better_basis_wins_and_gaps_are_annual_or_stay() {
        use IntensityBasis::{Estimated, Forecast, Measured};
        let slots = || {
            vec![
                slot("X", 2, 8, 300.0, Forecast),
                slot("X", 4, 6, 200.0, Estimated),
                slot("X", 5, 7, 100.0, Measured),
            ]
        };
        let kept = [(2, 4, 300.0), (4, 5, 200.0), (5, 7, 100.0), (7, 8, 300.0)];
        check(slots(), "X", &kept);
        let france = yearly("FR").unwrap().g_per_kwh;
        let filled = [&[(0, 2, france)], &kept[..], &[(8, 10, france)]].concat();
        check(slots(), "fr", &filled);
        check(vec![], "FR", &[(0, 10, france)]);
        check(vec![], "X", &[]);
    }

    #[test]
    fn the_shorter_slot_wins_among_equals_and_ends_are_clipped() {
        let slots = vec![
            slot("X", -5, 20, 300.0, IntensityBasis::Measured),
            slot("X", 3, 4, 100.0, IntensityBasis::Measured),
        ];
        check(slots, "X", &[(0, 3, 300.0), (3, 4, 100.0), (4, 10, 300.0)]);
    }

    #[test]
    fn any_slot_wins_over_the_table_that_comes_with_the_program() {
        let own_year = || vec![slot("FR", -4000, 4000, 42.0, IntensityBasis::Annual)];
        check(own_year(), "FR", &[(0, 10, 42.0)]);
        let month = timeline(own_year(), "FR", Signal::default(), hour(0), hour(720));
        assert_eq!(month.len(), 1);
        let later = timeline(own_year(), "FR", Signal::default(), hour(3999), hour(4001));
        let figures: Vec<f64> = later.iter().map(|slot| slot.g_per_kwh).collect();
        assert_eq!(figures, [42.0, yearly("FR").unwrap().g_per_kwh]);
    }

    #[test]
    fn a_part_of_a_country_has_the_countrys_average_and_says_so() {
        let line = timeline(
            Vec::new(),
            "us-mida-pjm",
            Signal::default(),
            hour(0),
            hour(1),
        );
        assert_eq!(line.len(), 1);
        assert_eq!(line[0].intensity_zone, "US");
        assert_eq!(line[0].g_per_kwh, yearly("US").unwrap().g_per_kwh);
        check(Vec::new(), "US-TYPO", &[]);
    }

    #[test]
    fn another_signal_is_left_out() {
        let mut other = slot("X", 0, 10, 900.0, IntensityBasis::Measured);
        other.kind = "marginal-direct".parse().unwrap();
        check(vec![other], "X", &[]);
    }

    proptest! {
        #[test]
        fn slots_are_in_order_and_each_moment_has_its_best(
            raw in prop::collection::vec((0_i64..12, 1_i64..6, 0_u32..500, 0_usize..4), 0..12),
            reversed in any::<bool>(),
        ) {
            let mut slots: Vec<Slot> = raw.iter()
                .map(|&(from, length, g, basis)| slot("X", from, from + length, f64::from(g), BASES[basis]))
                .collect();
            let line = timeline(slots.clone(), "X", Signal::default(), hour(0), hour(10));
            if reversed { slots.reverse(); }
            prop_assert_eq!(&line, &timeline(slots.clone(), "X", Signal::default(), hour(0), hour(10)));
            prop_assert!(line.windows(2).all(|pair| pair[0].to <= pair[1].from));
            for moment in (0..10).map(hour) {
                let holds = |slot: &&Slot| slot.from <= moment && moment < slot.to;
                let best = slots.iter().filter(holds).map(|slot| slot.basis).min();
                prop_assert_eq!(line.iter().find(holds).map(|slot| slot.basis), best);
            }
        }
    }
}
