//! Plans of the real server.

use aggregator::intensity::{IntensityBasis, Signal, Slot};
use aggregator::ledger::{Ledger, PlanQuery};
use aggregator::store::{SqliteStore, Store};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::path::Path;
use std::sync::Arc;

use crate::running::{Running, error_line};

const AT: &str = "2026-01-05T10:00:00Z";

/// A ledger of forecasts as they were known at [`AT`], and of what was measured later.
fn ledger_of_a_day(data_dir: &Path) -> Ledger {
    let store = SqliteStore::open(data_dir).unwrap();
    let at: Timestamp = AT.parse().unwrap();
    for (basis, recorded) in [
        (IntensityBasis::Forecast, at),
        (
            IntensityBasis::Measured,
            at + SignedDuration::from_hours(48),
        ),
    ] {
        let slot = |hour: i64| Slot {
            intensity_zone: "FR".to_owned(),
            from: at + SignedDuration::from_hours(hour),
            to: at + SignedDuration::from_hours(hour + 1),
            g_per_kwh: (50 + (hour * 7 + 20) % 24) as f64,
            kind: Signal::default(),
            basis,
            source: "a test".to_owned(),
        };
        let slots: Vec<Slot> = (0..24).map(slot).collect();
        store.put_slots(&slots, recorded).unwrap();
    }
    Ledger::new(Arc::new(store))
}

#[tokio::test]
async fn the_api_answers_what_the_ledger_says() {
    let directory = tempfile::tempdir().unwrap();
    let at: Timestamp = AT.parse().unwrap();
    let query = PlanQuery {
        intensity_zone: Some("FR".to_owned()),
        duration: Some(SignedDuration::from_hours(2)),
        within: SignedDuration::from_hours(24),
        watts: Some(500.0),
        at: Some(at),
        ..PlanQuery::default()
    };
    let ledger = ledger_of_a_day(directory.path());
    let plan = ledger.plan(&query, Timestamp::now()).unwrap();
    let score = ledger.plan_score(&query, Timestamp::now()).unwrap();
    assert!(plan.saving_ratio.is_some_and(|ratio| ratio > 0.0));
    assert_eq!(score.planned.start, score.best.start);
    drop(ledger);

    let server = Running::start(directory.path()).await;
    let question = format!("intensity_zone=FR&duration_s=7200&within_s=86400&watts=500&at={AT}");
    let answer = server.json(&format!("/api/v1/plan?{question}")).await;
    assert_eq!(answer, json!(plan));
    let answer = server.json(&format!("/api/v1/plan/score?{question}")).await;
    assert_eq!(answer, json!(score));
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_planned_has_a_status() {
    let directory = tempfile::tempdir().unwrap();
    drop(ledger_of_a_day(directory.path()));
    let server = Running::start(directory.path()).await;
    for (path, status, expected) in [
        ("plan", 400, "within_s"),
        ("plan?within_s=60&colour=red", 400, "colour"),
        (
            "plan?within_s=60&duration_s=60",
            400,
            "a plan needs --intensity-zone",
        ),
        (
            "plan?within_s=60&intensity_zone=FR",
            400,
            "a plan needs --duration",
        ),
        (
            "plan?within_s=60&duration_s=90&intensity_zone=FR",
            400,
            "does not fit within 1m",
        ),
        (
            "plan?within_s=60&duration_s=-5&intensity_zone=FR",
            400,
            "must be more than 0",
        ),
        (
            "plan?within_s=9000000000000000000&duration_s=5&intensity_zone=FR",
            400,
            "longer than",
        ),
        (
            "plan?within_s=60&duration_s=9&intensity_zone=FR&watts=NaN",
            400,
            "more than 0 watts",
        ),
        (
            "plan?within_s=60&duration_s=9&intensity_zone=XX",
            404,
            "unknown intensity zone 'XX'",
        ),
        (
            "plan?within_s=60&duration_s=9&intensity_zone=FR&signal=marginal-direct",
            404,
            "no marginal-direct",
        ),
        (
            "plan?within_s=60&duration_s=9&site=oslo",
            404,
            "no site 'oslo'",
        ),
        ("plan?within_s=60&run=r9", 404, "no run 'r9'"),
        (
            "plan/score?within_s=60&duration_s=9&intensity_zone=FR",
            409,
            "is not over",
        ),
    ] {
        let line = error_line(server.get(&format!("/api/v1/{path}")).await, status).await;
        assert!(line.contains(expected), "{path}: {line}");
    }
    server.stop().await;
}
