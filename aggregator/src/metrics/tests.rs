//! What is booked, what ends and what is cut.

use wire::v1::{Interval, Outcome, Workload, Zone, ZoneSample};

use super::*;
use crate::intensity::{IntensityBasis, Signal};
use crate::rollup::rollup;

const MINUTE: Duration = Duration::from_secs(60);

fn batch(run: &str, active_uj: u64) -> wire::v1::Batch {
    let workload = Workload {
        workflow: "churn".to_owned(),
        run: run.to_owned(),
        stage: "train".to_owned(),
        ..Workload::default()
    };
    wire::v1::Batch {
        cluster: "c1".to_owned(),
        workloads: vec![workload, Workload::default()],
        zones: vec![Zone {
            name: "package-0".to_owned(),
            basis: wire::v1::Basis::Modelled.into(),
            ..Zone::default()
        }],
        intervals: vec![Interval {
            duration_ns: 1_000_000_000,
            workloads: vec![0, 1],
            cpu_ns: vec![1, 1],
            zones: vec![ZoneSample {
                outcome: Outcome::Sampled.into(),
                measured_uj: active_uj + 5,
                active_uj: vec![active_uj, 5],
                ..ZoneSample::default()
            }],
            ..Interval::default()
        }],
        ..wire::v1::Batch::default()
    }
}

fn site(intensity_zone: Option<&str>) -> Site {
    Site {
        intensity_zone: intensity_zone.map(str::to_owned),
        pue: 1.5,
        ..Site::named("paris")
    }
}

fn slot() -> Slot {
    Slot {
        intensity_zone: "FR".to_owned(),
        from: Timestamp::UNIX_EPOCH,
        to: Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_hours(1),
        g_per_kwh: 40.0,
        kind: Signal::default(),
        basis: IntensityBasis::Annual,
        source: "test".to_owned(),
    }
}

#[track_caller]
fn assert_shows(text: &str, line: &str) {
    assert!(
        text.lines().any(|shown| shown == line),
        "no '{line}' in:\n{text}"
    );
}

#[test]
fn energy_is_counted_to_the_microjoule_and_grams_at_the_known_intensity() {
    let metrics = Metrics::new(MINUTE, &[site(Some("FR"))]);
    let now = Instant::now();
    for _ in 0..2 {
        let (batch, site, slots) = (batch("r1", 3_600_000), site(Some("FR")), [slot()]);
        metrics.book(
            &Booking::of(&batch, &rollup(&batch).unwrap(), &site, &slots),
            now,
        );
    }
    metrics.show_intensity(&[("paris".to_owned(), slot())]);
    let text = metrics.render(now).unwrap();
    for line in [
        r#"hxmlops_stage_energy_joules_total{cluster="c1",workflow="churn",stage="train",zone="package-0",basis="modelled"} 7.2"#,
        r#"hxmlops_run_energy_joules_total{cluster="c1",workflow="churn",run="r1",stage="train",zone="package-0",basis="modelled"} 7.2"#,
        r#"hxmlops_stage_carbon_grams_total{cluster="c1",workflow="churn",stage="train",site="paris",signal="average-lifecycle-production"} 0.00012"#,
        r#"hxmlops_run_carbon_grams_total{cluster="c1",workflow="churn",run="r1",stage="train",site="paris",signal="average-lifecycle-production"} 0.00012"#,
        r#"hxmlops_carbon_intensity_grams_per_kwh{basis="annual",intensity_zone="FR",provider="test",signal="average-lifecycle-production",site="paris"} 40"#,
        r#"hxmlops_site_pue_ratio{site="paris"} 1.5"#,
    ] {
        assert_shows(&text, line);
    }
}

#[test]
fn without_a_grid_there_are_no_grams() {
    let metrics = Metrics::new(MINUTE, &[site(None)]);
    let now = Instant::now();
    let (batch, site) = (batch("r1", 2_500_000), site(None));
    metrics.book(
        &Booking::of(&batch, &rollup(&batch).unwrap(), &site, &[]),
        now,
    );
    let text = metrics.render(now).unwrap();
    assert!(!text.contains("# TYPE hxmlops_run_carbon"), "{text}");
    assert!(!text.contains("# TYPE hxmlops_stage_carbon"), "{text}");
    assert_shows(
        &text,
        r#"hxmlops_carbon_uncovered_energy_joules_total{site="paris"} 2.5"#,
    );
}

#[test]
fn a_runs_series_end_and_its_stages_stay() {
    let metrics = Metrics::new(MINUTE, &[]);
    let now = Instant::now();
    for (run, at) in [("old", now), ("new", now + MINUTE / 2)] {
        let (batch, site, slots) = (batch(run, 1_000_000), site(Some("FR")), [slot()]);
        metrics.book(
            &Booking::of(&batch, &rollup(&batch).unwrap(), &site, &slots),
            at,
        );
    }
    let shown = |at| {
        let text = metrics.render(at).unwrap();
        ["run=\"old\"", "run=\"new\"", "hxmlops_stage_energy"].map(|part| text.contains(part))
    };
    assert_eq!(shown(now + MINUTE), [true, true, true]);
    assert_eq!(
        shown(now + MINUTE + Duration::from_secs(1)),
        [false, true, true]
    );
    assert_eq!(shown(now + MINUTE * 2), [false, false, true]);
}

#[test]
fn a_run_that_comes_back_goes_on_from_where_it_ended() {
    let metrics = Metrics::new(MINUTE, &[]);
    let now = Instant::now();
    for (at, expected) in [(now, 1), (now + MINUTE * 2, 2), (now + MINUTE * 4, 3)] {
        let gone = metrics.render(at).unwrap();
        assert!(!gone.contains("run=\"r1\""), "{gone}");
        let (batch, site, slots) = (batch("r1", 1_000_000), site(Some("FR")), [slot()]);
        metrics.book(
            &Booking::of(&batch, &rollup(&batch).unwrap(), &site, &slots),
            at,
        );
        let line = format!(
            r#"hxmlops_run_energy_joules_total{{cluster="c1",workflow="churn",run="r1",stage="train",zone="package-0",basis="modelled"}} {expected}"#
        );
        assert_shows(&metrics.render(at).unwrap(), &line);
    }
}

#[test]
fn of_ended_runs_those_of_long_ago_are_forgotten_first() {
    let books = Books::with_room(MINUTE, 2);
    let start = Instant::now();
    let mut at = start;
    let mut book = |run| {
        at += MINUTE * 2;
        books.expire(at);
        let (batch, site) = (batch(run, 1_000_000), site(None));
        books.book(
            &Booking::of(&batch, &rollup(&batch).unwrap(), &site, &[]),
            at,
        );
        let families = books.collect();
        let shown = &families[1].get_metric()[0];
        shown.get_counter().get_value()
    };
    for run in ["a", "b", "c", "d"] {
        assert_eq!(book(run), 1.0);
    }
    assert_eq!(book("c"), 2.0);
    assert_eq!(book("a"), 1.0, "a new start");
}

#[test]
fn what_has_no_room_goes_to_one_series_and_is_counted() {
    let books = Books::with_room(MINUTE, 2);
    let now = Instant::now();
    for number in 0..5 {
        let (batch, site) = (batch(&format!("r{number}"), 1_000_000), site(None));
        books.book(
            &Booking::of(&batch, &rollup(&batch).unwrap(), &site, &[]),
            now,
        );
    }
    let registry = Registry::new();
    add(&registry, books.clone());
    let text = || {
        TextEncoder::new()
            .encode_to_string(&registry.gather())
            .unwrap()
    };
    let other = r#"hxmlops_run_energy_joules_total{cluster="other",workflow="other",run="other",stage="other",zone="other",basis="other"} 3"#;
    assert_shows(&text(), other);
    let cut = r#"hxmlops_metrics_cut_bookings_total{family="hxmlops_run_energy_joules_total"} 3"#;
    assert_shows(&text(), cut);
    books.expire(now + MINUTE * 2);
    assert_shows(&text(), other);
    assert!(!text().contains("r1"), "{}", text());
}

#[test]
fn long_labels_are_cut_at_a_character() {
    assert_eq!(books::shorten("train"), "train");
    assert_eq!(books::shorten(&"é".repeat(100)), "é".repeat(64));
    assert_eq!(books::shorten(&format!("x{}", "é".repeat(100))).len(), 127);
}
