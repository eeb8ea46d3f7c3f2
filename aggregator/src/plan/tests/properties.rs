//! What holds of every plan.

use proptest::prelude::*;

use super::*;

/// Some slots with some gaps, in seconds from the origin.
fn timelines() -> impl Strategy<Value = Vec<Slot>> {
    let basis = prop_oneof![8 => Just(Forecast), 1 => Just(Measured), 1 => Just(Annual)];
    let piece = (
        60_i64..5_000,
        prop_oneof![9 => Just(0_i64), 1 => 1_i64..900],
        0_u32..600,
        basis,
    );
    prop::collection::vec(piece, 1..40).prop_map(|pieces| {
        let mut from_s = -1_000;
        let slot = |(length_s, gap_s, figure, basis): (i64, i64, u32, IntensityBasis)| {
            let (start_s, end_s) = (from_s + gap_s, from_s + gap_s + length_s);
            from_s = end_s;
            slot(at(start_s), at(end_s), f64::from(figure), basis)
        };
        pieces.into_iter().map(slot).collect()
    })
}

fn shifted(timeline: &[Slot], by: SignedDuration) -> Vec<Slot> {
    let shift = |slot: &Slot| Slot {
        from: slot.from + by,
        to: slot.to + by,
        ..slot.clone()
    };
    timeline.iter().map(shift).collect()
}

proptest! {
    #[test]
    fn no_start_on_a_fine_grid_is_better(
        timeline in timelines(),
        duration_s in 30_i64..20_000,
        slack_s in 0_i64..60_000,
    ) {
        let duration = SignedDuration::from_secs(duration_s);
        let work = work(duration, SignedDuration::from_secs(duration_s + slack_s));
        let curve = Curve::new(&timeline);
        let grid: Vec<Mean> = (0..=slack_s)
            .step_by(97)
            .filter_map(|start_s| curve.mean(at(start_s), at(start_s + duration_s)))
            .collect();
        match plan(&work, at(0), &timeline, None) {
            Ok(plan) => {
                let found = curve.mean(plan.start, plan.end).unwrap();
                prop_assert!(plan.start >= at(0) && plan.end <= plan.window_end);
                for mean in grid {
                    // Averages come last, then the mean counts.
                    let is_better = match (mean.is_annual(), found.is_annual()) {
                        (false, true) => true,
                        (true, false) => false,
                        _ => mean.g_per_kwh < found.g_per_kwh - 1e-6,
                    };
                    prop_assert!(!is_better, "{found:?} {mean:?}");
                }
            }
            Err(_) => prop_assert!(grid.is_empty()),
        }
    }

    #[test]
    fn a_mean_is_the_sum_of_its_slots(timeline in timelines(), from_s in 0_i64..50_000, length_s in 1_i64..20_000) {
        let (from, to) = (at(from_s), at(from_s + length_s));
        let parts = timeline.iter().filter_map(|slot| {
            let seconds = slot.from.max(from).duration_until(slot.to.min(to)).as_secs_f64();
            (seconds > 0.0).then_some((seconds, slot.g_per_kwh * seconds))
        });
        let (covered, sum) = parts.fold((0.0, 0.0), |(a, b), (c, d)| (a + c, b + d));
        match Curve::new(&timeline).mean(from, to) {
            Some(mean) => prop_assert!(near(mean.g_per_kwh, sum / length_s as f64)),
            None => prop_assert!(covered < length_s as f64),
        }
    }

    #[test]
    fn cutting_slots_changes_nothing(timeline in timelines(), duration_s in 30_i64..20_000, cut in 0.01_f64..0.99) {
        let work = work(SignedDuration::from_secs(duration_s), hours(20.0));
        let halves = |whole: &Slot| {
            let length_s = whole.from.duration_until(whole.to).as_secs();
            let middle = whole.from + SignedDuration::from_secs((length_s as f64 * cut) as i64);
            [Slot { to: middle, ..whole.clone() }, Slot { from: middle, ..whole.clone() }]
        };
        let cut: Vec<Slot> = timeline.iter().flat_map(halves).filter(|slot| slot.from < slot.to).collect();
        match (plan(&work, at(0), &timeline, None), plan(&work, at(0), &cut, None)) {
            (Ok(whole), Ok(cut)) => {
                prop_assert!(near(whole.g_per_kwh, cut.g_per_kwh));
                prop_assert_eq!(whole.start, cut.start);
            }
            (whole, cut) => prop_assert_eq!(whole.is_err(), cut.is_err()),
        }
    }

    #[test]
    fn shifting_time_shifts_the_plan(timeline in timelines(), duration_s in 30_i64..20_000, by_s in -1_000_000_i64..1_000_000) {
        let work = work(SignedDuration::from_secs(duration_s), hours(20.0));
        let by = SignedDuration::from_secs(by_s);
        match (plan(&work, at(0), &timeline, None), plan(&work, at(by_s), &shifted(&timeline, by), None)) {
            (Ok(one), Ok(other)) => {
                prop_assert_eq!(one.start + by, other.start);
                prop_assert!(near(one.g_per_kwh, other.g_per_kwh));
            }
            (one, other) => prop_assert_eq!(one.is_err(), other.is_err()),
        }
    }
}
