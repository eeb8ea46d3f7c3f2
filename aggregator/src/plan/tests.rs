//! Plans and their scores.

mod properties;

use super::*;
use crate::intensity::IntensityBasis;
use crate::intensity::errors::forecast_errors;
use IntensityBasis::{Annual, Estimated, Forecast, Measured};

/// An hour on a winter's day; the hours of the tests count from it.
const ORIGIN: &str = "2026-01-05T10:00:00Z";

fn at(seconds: i64) -> Timestamp {
    let origin: Timestamp = ORIGIN.parse().unwrap();
    origin + SignedDuration::from_secs(seconds)
}

fn hours(hours: f64) -> SignedDuration {
    SignedDuration::from_secs_f64(hours * 3600.0)
}

fn hour(hour: f64) -> Timestamp {
    at(0) + hours(hour)
}

fn slot(from: Timestamp, to: Timestamp, g_per_kwh: f64, basis: IntensityBasis) -> Slot {
    Slot {
        intensity_zone: "FR".to_owned(),
        from,
        to,
        g_per_kwh,
        kind: Signal::default(),
        basis,
        source: "a test".to_owned(),
    }
}

/// Slots of an hour each, one after the other.
fn hourly(figures: &[f64], basis: IntensityBasis) -> Vec<Slot> {
    let slot = |(index, figure): (usize, &f64)| {
        let start = index as f64;
        slot(hour(start), hour(start + 1.0), *figure, basis)
    };
    figures.iter().enumerate().map(slot).collect()
}

fn work(duration: SignedDuration, within: SignedDuration) -> Work {
    Work {
        intensity_zone: "FR".to_owned(),
        signal: Signal::default(),
        duration,
        within,
        usage: None,
    }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * (1.0 + a.abs())
}

fn check(
    figures: &[f64],
    duration_h: f64,
    within_h: f64,
    start_h: f64,
    g_per_kwh: f64,
    saving: f64,
) {
    let work = work(hours(duration_h), hours(within_h));
    let plan = plan(&work, at(0), &hourly(figures, Forecast), None).unwrap();
    assert_eq!(plan.start, hour(start_h), "{figures:?}");
    assert_eq!(plan.end, hour(start_h + duration_h), "{figures:?}");
    assert!(near(plan.g_per_kwh, g_per_kwh), "{figures:?}: {plan:?}");
    assert!(
        near(plan.saving_ratio.unwrap(), saving),
        "{figures:?}: {plan:?}"
    );
    assert_eq!(plan.basis.forecast, 1.0);
}

#[test]
fn the_greenest_start_is_where_the_mean_is_least() {
    check(&[60.0, 50.0, 30.0, 40.0], 1.0, 4.0, 2.0, 30.0, 0.5);
    check(
        &[60.0, 50.0, 30.0, 40.0],
        2.0,
        4.0,
        2.0,
        35.0,
        1.0 - 35.0 / 55.0,
    );
    // At the end of a slot, not at its start: half of the work in each of two.
    check(
        &[90.0, 30.0, 60.0, 90.0],
        1.5,
        4.0,
        1.0,
        40.0,
        1.0 - 40.0 / 70.0,
    );
    check(
        &[90.0, 60.0, 30.0, 90.0],
        1.5,
        4.0,
        1.5,
        40.0,
        1.0 - 40.0 / 80.0,
    );
    // Of equal ones the earliest, and now rather than later.
    check(&[30.0, 60.0, 30.0, 30.0], 1.0, 4.0, 0.0, 30.0, 0.0);
    check(&[50.0; 4], 1.7, 4.0, 0.0, 50.0, 0.0);
    // The window ends before the best hour does.
    check(
        &[60.0, 50.0, 20.0, 20.0],
        1.0,
        2.5,
        1.5,
        35.0,
        1.0 - 35.0 / 60.0,
    );
    check(&[60.0, 20.0], 1.0, 1.0, 0.0, 60.0, 0.0);
    check(&[0.0, 0.0, 5.0], 1.0, 3.0, 0.0, 0.0, 0.0);
}

#[test]
fn a_start_within_a_slot_counts_what_is_left_of_it() {
    let timeline = hourly(&[100.0, 40.0, 70.0], Forecast);
    let plan = plan(&work(hours(1.0), hours(2.0)), at(1800), &timeline, None).unwrap();
    assert_eq!(plan.start, hour(1.0));
    assert!(near(plan.start_now.unwrap().g_per_kwh, 70.0));
    assert!(near(plan.saving_ratio.unwrap(), 1.0 - 40.0 / 70.0));
}

#[test]
fn a_gap_is_never_free() {
    let mut timeline = hourly(&[60.0, 50.0, 10.0, 40.0, 45.0], Forecast);
    timeline.remove(2);
    let work = work(hours(2.0), hours(5.0));
    let planned = plan(&work, at(0), &timeline, None).unwrap();
    assert_eq!(planned.start, hour(3.0));
    assert!(
        planned.notes[0].starts_with("For 20.0 % of the window there is no forecast"),
        "{planned:?}"
    );

    // Where now is not covered there is a plan, and no saving.
    timeline.remove(0);
    let planned = plan(&work, at(0), &timeline, None).unwrap();
    assert_eq!((planned.start_now, planned.saving_ratio), (None, None));
    assert!(
        planned
            .notes
            .iter()
            .any(|note| note.contains("no saving can be told")),
        "{planned:?}"
    );

    timeline.remove(1);
    let refused = plan(&work, at(0), &timeline, None).unwrap_err();
    assert!(matches!(refused, NoPlan::NotCovered { .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("no average-lifecycle-production intensity of zone FR is known for 2h"),
        "{refused}"
    );
    assert!(plan(&work, at(0), &[], None).is_err());
}

#[test]
fn with_yearly_averages_alone_nothing_is_gained() {
    let timeline = [slot(hour(-5.0), hour(50.0), 44.0, Annual)];
    let plan = plan(&work(hours(2.0), hours(24.0)), at(0), &timeline, None).unwrap();
    assert_eq!((plan.start, plan.saving_ratio), (at(0), Some(0.0)));
    assert_eq!(plan.basis.annual, 1.0);
    assert_eq!(plan.notes.len(), 1, "{plan:?}");
    assert!(
        plan.notes[0].contains("nothing is to be gained"),
        "{plan:?}"
    );
}

#[test]
fn an_average_is_no_forecast() {
    let timeline = |figures: &[f64]| {
        let mut timeline = hourly(figures, Forecast);
        timeline.push(slot(hour(3.0), hour(50.0), 10.0, Annual));
        timeline
    };
    // It would be greener later by the average, which knows nothing of that hour.
    let planned = plan(
        &work(hours(1.0), hours(24.0)),
        at(0),
        &timeline(&[60.0, 50.0, 70.0]),
        None,
    )
    .unwrap();
    assert_eq!((planned.start, planned.basis.forecast), (hour(1.0), 1.0));
    assert!(
        planned.notes[0].starts_with("For 87.5 % of the window there is no forecast"),
        "{planned:?}"
    );
    // Where each start touches it, it has to do, and is told of.
    let planned = plan(
        &work(hours(6.0), hours(8.0)),
        at(0),
        &timeline(&[60.0, 50.0, 70.0]),
        None,
    )
    .unwrap();
    assert_eq!(planned.start, hour(2.0));
    assert!(
        planned.notes[0].starts_with("For 83 % of the planned time only the yearly average"),
        "{planned:?}"
    );
    // And an hour that is known is not compared with it.
    let timeline = [
        slot(hour(0.0), hour(2.0), 44.0, Annual),
        slot(hour(2.0), hour(3.0), 90.0, Forecast),
    ];
    let planned = plan(&work(hours(1.0), hours(3.0)), at(0), &timeline, None).unwrap();
    assert_eq!((planned.start, planned.saving_ratio), (hour(2.0), None));
}

#[test]
fn what_does_not_fit_is_refused() {
    let timeline = hourly(&[60.0; 5], Forecast);
    let check = |duration, within, expected: &str| {
        let refused = plan(&work(duration, within), at(0), &timeline, None).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    };
    check(hours(3.0), hours(2.0), "work of 3h does not fit within 2h");
    check(hours(0.0), hours(2.0), "the duration must be more than 0");
    check(hours(-1.0), hours(2.0), "the duration must be more than 0");
    check(
        hours(1.0),
        hours(800.0),
        "a window of 800h is longer than the 744h that can be planned in",
    );
}

#[test]
fn grams_are_energy_times_pue_times_intensity() {
    let mut work = work(hours(1.0), hours(3.0));
    work.usage = Some(Usage {
        joules: 7.2e6,
        pue: 1.5,
    });
    let plan = plan(&work, at(0), &hourly(&[60.0, 50.0, 30.0], Forecast), None).unwrap();
    let carbon = plan.carbon.unwrap();
    assert!(near(carbon.planned_grams, 90.0), "{carbon:?}");
    assert!(near(carbon.start_now_grams.unwrap(), 180.0), "{carbon:?}");
    assert!(near(carbon.saved_grams.unwrap(), 90.0), "{carbon:?}");
}

/// So many forecasts of 100, each with what it was.
fn past(pairs: usize, known: impl Fn(usize) -> f64) -> Vec<Slot> {
    let pair = |index: usize| {
        let (from, to) = (hour(index as f64 - 100.0), hour(index as f64 - 99.0));
        [
            slot(from, to, 100.0, Forecast),
            slot(from, to, known(index), Measured),
            slot(from, to, 900.0, Estimated),
        ]
    };
    (0..pairs).flat_map(pair).collect()
}

#[test]
fn errors_are_those_of_the_ledgers_own_forecasts() {
    let signal = Signal::default();
    let linear = |index: usize| 81.0 + index as f64;
    assert_eq!(forecast_errors(&past(23, linear), signal), None);
    let errors = forecast_errors(&past(40, linear), signal).unwrap();
    assert_eq!(
        (errors.pairs, errors.low_ratio, errors.high_ratio),
        (40, 0.84, 1.16)
    );

    let mut slots = past(24, |_| 100.0);
    slots[0].g_per_kwh = 0.0;
    assert_eq!(
        forecast_errors(&slots, signal),
        None,
        "one of 24 has no ratio"
    );
    let other: Signal = "marginal-direct".parse().unwrap();
    assert_eq!(forecast_errors(&past(40, linear), other), None);
    let forecasts = past(40, linear)
        .into_iter()
        .filter(|slot| slot.basis == Forecast);
    assert_eq!(
        forecast_errors(&forecasts.collect::<Vec<_>>(), signal),
        None
    );
}

#[test]
fn only_what_was_forecast_is_unsure() {
    let errors = ForecastErrors {
        pairs: 40,
        low_ratio: 0.8,
        high_ratio: 1.1,
    };
    let mut timeline = hourly(&[50.0, 100.0], Forecast);
    timeline[0].basis = Measured;
    let planned = plan(
        &work(hours(2.0), hours(2.0)),
        at(0),
        &timeline,
        Some(errors),
    )
    .unwrap();
    let range = planned.range.unwrap();
    assert!(
        near(range.low_g_per_kwh, 65.0) && near(range.high_g_per_kwh, 80.0),
        "{range:?}"
    );
    let planned = plan(&work(hours(2.0), hours(2.0)), at(0), &timeline, None).unwrap();
    assert_eq!((planned.range, planned.forecast_errors), (None, None));
    assert!(
        planned
            .notes
            .iter()
            .any(|note| note.contains("is not known")),
        "{planned:?}"
    );
}

#[test]
fn a_window_is_shown_in_steps_of_the_clock() {
    let timeline = hourly(&[60.0; 900], Forecast);
    let check = |minute: i64, within: SignedDuration, count: usize, first_s: i64, next_s: i64| {
        let plan = plan(&work(hours(0.1), within), at(minute * 60), &timeline, None).unwrap();
        let length = |index: usize| {
            plan.window[index]
                .from
                .duration_until(plan.window[index].to)
                .as_secs()
        };
        assert_eq!(plan.window.len(), count, "{within:#}");
        assert_eq!((length(0), length(1)), (first_s, next_s), "{within:#}");
        let whole: i64 = (0..count).map(length).sum();
        assert_eq!(whole, within.as_secs());
        assert!(
            plan.window
                .iter()
                .all(|step| step.g_per_kwh.is_some_and(|figure| near(figure, 60.0)))
        );
    };
    check(0, hours(24.0), 24, 3600, 3600);
    check(20, hours(24.0), 25, 2400, 3600);
    check(0, hours(2.0), 24, 300, 300);
    check(0, hours(31.0 * 24.0), 16, 38 * 3600, 172_800);
    check(0, hours(24.1), 13, 7200, 7200);
}

#[test]
fn a_score_says_what_it_was() {
    let mut work = work(hours(1.0), hours(3.0));
    work.usage = Some(Usage {
        joules: 3.6e6,
        pue: 1.0,
    });
    let planned = plan(&work, at(0), &hourly(&[60.0, 50.0, 30.0], Forecast), None).unwrap();
    let mut actual = hourly(&[80.0, 20.0, 40.0], Measured);
    actual[1].basis = Estimated;
    let scored = score(&work, planned.clone(), &actual, hour(3.0)).unwrap();
    let starts = [scored.planned, scored.start_now, scored.best].map(|scored| scored.start);
    assert_eq!(starts, [hour(2.0), hour(0.0), hour(1.0)]);
    assert!(
        near(scored.saving_ratio, 0.5) && near(scored.regret_ratio, 0.5),
        "{scored:?}"
    );
    assert_eq!(scored.best.grams, Some(20.0));
    // A plan may turn out worse than none.
    let worse = hourly(&[20.0, 50.0, 40.0], Measured);
    let scored = score(&work, planned, &worse, hour(3.0)).unwrap();
    assert!(
        near(scored.saving_ratio, -1.0) && near(scored.regret_ratio, 0.5),
        "{scored:?}"
    );
}

#[test]
fn a_score_waits_until_all_is_settled() {
    let work = work(hours(1.0), hours(3.0));
    let planned = plan(&work, at(0), &hourly(&[60.0, 50.0, 30.0], Forecast), None).unwrap();
    let check = |actual: &[Slot], now: Timestamp, expected: &str| {
        let refused = score(&work, planned.clone(), actual, now).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    };
    let mut actual = hourly(&[80.0, 20.0, 40.0], Measured);
    check(
        &actual,
        hour(2.9),
        "the window ends at 2026-01-05T13:00:00Z, and is not over",
    );
    actual[1].basis = Forecast;
    check(
        &actual,
        hour(9.0),
        "from 2026-01-05T11:00:00Z to 2026-01-05T12:00:00Z",
    );
    actual[1].basis = Annual;
    check(
        &actual,
        hour(9.0),
        "no measured or estimated intensity from 2026-01-05T11:00:00Z",
    );
    actual.truncate(1);
    check(
        &actual,
        hour(9.0),
        "from 2026-01-05T11:00:00Z to 2026-01-05T13:00:00Z",
    );
    check(
        &[],
        hour(9.0),
        "from 2026-01-05T10:00:00Z to 2026-01-05T13:00:00Z",
    );
}

#[test]
fn a_year_ends_and_a_clock_changes_without_a_trace() {
    // Summer time ends at 2026-10-25T01:00Z in Europe, the year at midnight.
    for start in ["2026-10-24T20:00:00Z", "2026-12-31T18:00:00Z"] {
        let start: Timestamp = start.parse().unwrap();
        let slots: Vec<Slot> = (0..24)
            .map(|index| {
                let from = start + hours(f64::from(index));
                slot(
                    from,
                    from + hours(1.0),
                    if index == 8 { 10.0 } else { 50.0 },
                    Forecast,
                )
            })
            .collect();
        let plan = plan(&work(hours(3.0), hours(24.0)), start, &slots, None).unwrap();
        assert_eq!(plan.start, start + hours(6.0));
        assert_eq!(plan.start.duration_until(plan.end), hours(3.0));
    }
}
