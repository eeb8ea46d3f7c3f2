//! `hxmlops plan` and `hxmlops plan score` over a data directory.

use aggregator::intensity::{IntensityBasis, Signal, Slot};
use aggregator::store::{SqliteStore, Store};
use jiff::{SignedDuration, Timestamp};

use crate::ledger::Fixture;
use crate::program::run;

/// Slots of an hour each from `start` on.
fn hourly(start: Timestamp, figures: &[f64], basis: IntensityBasis) -> Vec<Slot> {
    let hours = |hours: i64| SignedDuration::from_hours(hours);
    let slot = |(index, g_per_kwh): (i64, &f64)| Slot {
        intensity_zone: "FR".to_owned(),
        from: start + hours(index),
        to: start + hours(index + 1),
        g_per_kwh: *g_per_kwh,
        kind: Signal::default(),
        basis,
        source: "a test".to_owned(),
    };
    (0..).zip(figures).map(slot).collect()
}

fn put(ledger: &Fixture, slots: &[Slot], recorded: Timestamp) {
    let store = SqliteStore::open(ledger.dir.path()).unwrap();
    store.put_slots(slots, recorded).unwrap();
}

/// Start of the hour that has begun.
fn this_hour() -> Timestamp {
    let second = Timestamp::now().as_second();
    Timestamp::from_second(second - second % 3600).unwrap()
}

/// Forecasts from this hour on: dear now, cheap from the fourth hour to the sixth.
fn with_forecasts() -> (Fixture, Timestamp) {
    let ledger = Fixture::imported();
    let hour = this_hour();
    let mut figures = [100.0; 48];
    figures[4..6].fill(40.0);
    put(
        &ledger,
        &hourly(hour, &figures, IntensityBasis::Forecast),
        hour,
    );
    (ledger, hour)
}

#[test]
fn the_greenest_start_has_its_saving_in_grams() {
    let (ledger, hour) = with_forecasts();
    let args = [
        "plan",
        "--duration",
        "2h",
        "--within",
        "12h",
        "--site",
        "lab",
        "--watts",
        "1000",
        "--json",
    ];
    let plan = ledger.json(&args);
    let start = hour + SignedDuration::from_hours(4);
    assert_eq!(plan["start"], start.to_string());
    assert_eq!(
        (&plan["intensity_zone"], &plan["g_per_kwh"]),
        (&"FR".into(), &40.0.into())
    );
    let saving = plan["saving_ratio"].as_f64().unwrap();
    assert!((saving - 0.6).abs() < 1e-9, "{plan}");
    // 2 kWh, PUE 1.2, 60 g/kWh less.
    let saved = plan["carbon"]["saved_grams"].as_f64().unwrap();
    assert!((saved - 144.0).abs() < 1e-6, "{plan}");
    assert!(
        plan["forecast_errors"].is_null() && plan["range"].is_null(),
        "{plan}"
    );

    let text = ledger.run(&args[..args.len() - 1]);
    assert!(
        text.assert_done()
            .starts_with("Greenest start for 2 h 0 min in zone FR: "),
        "{text:?}"
    );
    assert!(
        text.stdout.lines().all(|line| line.len() <= 140),
        "{text:?}"
    );
}

#[test]
fn a_run_says_what_the_work_is_like() {
    let (ledger, _) = with_forecasts();
    let report = ledger.json(&["report", "r1", "--format", "json"]);
    let plan = ledger.json(&["plan", "--like", "r1", "--json"]);
    // r1 took half an hour, at the site lab.
    let start: Timestamp = plan["start"].as_str().unwrap().parse().unwrap();
    let end: Timestamp = plan["end"].as_str().unwrap().parse().unwrap();
    assert_eq!(start.duration_until(end), SignedDuration::from_mins(30));
    assert_eq!(plan["carbon"]["pue"], 1.2);
    let joules = plan["carbon"]["energy_joules"].as_f64().unwrap();
    assert!(
        (joules / report["energy_joules"].as_f64().unwrap() - 1.0).abs() < 1e-9,
        "{plan}"
    );
    // At the same power for four times as long.
    let longer = ledger.json(&["plan", "--like", "r1", "--duration", "2h", "--json"]);
    assert!((longer["carbon"]["energy_joules"].as_f64().unwrap() / joules - 4.0).abs() < 1e-9);
}

#[test]
fn past_errors_tell_how_sure_a_plan_is() {
    let (ledger, hour) = with_forecasts();
    let past = hour - SignedDuration::from_hours(30);
    put(
        &ledger,
        &hourly(past, &[100.0; 30], IntensityBasis::Forecast),
        past,
    );
    let known: Vec<f64> = (0..30).map(|index| 86.0 + f64::from(index)).collect();
    put(
        &ledger,
        &hourly(past, &known, IntensityBasis::Measured),
        hour,
    );
    let plan = ledger.json(&[
        "plan",
        "--duration",
        "2h",
        "--intensity-zone",
        "fr",
        "--json",
    ]);
    assert_eq!(plan["forecast_errors"]["pairs"], 30);
    let range = [
        &plan["range"]["low_g_per_kwh"],
        &plan["range"]["high_g_per_kwh"],
    ];
    let range = range.map(|bound| bound.as_f64().unwrap());
    assert!(
        (range[0] - 40.0 * 0.88).abs() < 1e-9 && (range[1] - 40.0 * 1.12).abs() < 1e-9,
        "{range:?}"
    );
}

#[test]
fn a_year_without_forecasts_has_nothing_to_gain() {
    let ledger = Fixture::new();
    let plan = ledger.json(&[
        "plan",
        "--duration",
        "2h",
        "--intensity-zone",
        "DE",
        "--json",
    ]);
    assert_eq!(
        (&plan["saving_ratio"], &plan["start"]),
        (&0.0.into(), &plan["now"])
    );
    let text = ledger.run(&["plan", "--duration", "2h", "--intensity-zone", "DE"]);
    assert!(
        text.assert_done()
            .contains("nothing is to be gained by waiting"),
        "{text:?}"
    );
}

#[test]
fn a_question_that_has_no_plan_says_why() {
    let (ledger, _) = with_forecasts();
    let check = |args: &[&str], message: &str| {
        let whole = [&["plan", "--duration", "2h"], args].concat();
        ledger.run(&whole).assert_failed(message);
    };
    check(
        &["--intensity-zone", "ATLANTIS"],
        "unknown intensity zone 'ATLANTIS'",
    );
    check(&["--site", "oslo"], "no site 'oslo' in the ledger");
    check(&["--like", "r9"], "no run 'r9' in the ledger");
    check(&["--like", "r2"], "say which with --workflow");
    check(
        &["--site", "lab", "--watts", "0"],
        "the power must be more than 0 watts",
    );
    check(
        &["--site", "lab", "--within", "32d"],
        "longer than the 744h that can be planned in",
    );
    check(
        &["--intensity-zone", "FR", "--signal", "marginal-direct"],
        "no marginal-direct intensity of zone FR is known for 2h on end",
    );
    let usage =
        |args: &[&str], message: &str| run([&["plan"], args].concat()).assert_usage(message);
    usage(&["--intensity-zone", "FR"], "--duration <TIME>");
    usage(&["--duration", "2h"], "--intensity-zone <ZONE>");
    usage(
        &["--duration", "soon", "--site", "s"],
        "not a length of time such as 90m",
    );
    usage(
        &["--duration", "2h", "--within", "1h", "--site", "s"],
        "--duration 2h is longer than --within 1h",
    );
    usage(
        &[
            "--duration",
            "2h",
            "--site",
            "s",
            "--watts",
            "5",
            "--like",
            "r",
        ],
        "cannot be used with",
    );
    usage(&["score", "--duration", "2h", "--site", "s"], "--at <TIME>");
}

#[test]
fn a_score_compares_a_plan_with_what_it_was() {
    let ledger = Fixture::new();
    let start: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
    put(
        &ledger,
        &hourly(start, &[80.0, 60.0, 40.0, 70.0], IntensityBasis::Forecast),
        start,
    );
    let args = [
        "plan",
        "score",
        "--at",
        "2026-01-05T10:00:00Z",
        "--duration",
        "1h",
        "--within",
        "4h",
        "--site",
        "lab",
        "--watts",
        "1000",
    ];
    ledger.run(&args).assert_failed(
        "has no measured or estimated intensity from 2026-01-05T10:00:00Z to 2026-01-05T14:00:00Z",
    );

    // What was known a day later; a forecast that was revised by then is none of the plan's.
    let later = start + SignedDuration::from_hours(24);
    put(
        &ledger,
        &hourly(start, &[80.0, 10.0, 90.0, 70.0], IntensityBasis::Forecast),
        later,
    );
    put(
        &ledger,
        &hourly(start, &[90.0, 30.0, 60.0, 50.0], IntensityBasis::Measured),
        later,
    );
    insta::assert_snapshot!("plan_score", ledger.run(&args).assert_done());
    let score = ledger.json(&[&args[..], &["--json"]].concat());
    assert_eq!(score["plan"]["start"], "2026-01-05T12:00:00Z");
    assert_eq!(score["best"]["start"], "2026-01-05T11:00:00Z");
    assert_eq!(score["regret_ratio"], 0.5);
    let grams = |start: &str| score[start]["grams"].as_f64().unwrap();
    assert!(
        (grams("planned") - 72.0).abs() < 1e-9 && (grams("start_now") - 108.0).abs() < 1e-9,
        "{score}"
    );
}

#[test]
fn a_window_that_is_not_over_has_no_score() {
    let (ledger, _) = with_forecasts();
    let args = [
        "plan",
        "score",
        "--at",
        "10m",
        "--duration",
        "2h",
        "--within",
        "12h",
        "--site",
        "lab",
    ];
    ledger
        .run(&args)
        .assert_failed("is not over; score it then");
}
