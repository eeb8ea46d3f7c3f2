//! WattTime: its shapes, and its logins.

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time;

use crate::conformance::{at, hours};
use crate::fake::{Asked, World, points};
use crate::subject::SUBJECTS;

/// Base64 of the key of all providers here.
const BASIC: &str = "Basic c29tZW9uZTpzM2NyZXQtazN5";

pub(crate) fn answer(asked: &Asked, world: &World) -> (u16, Value) {
    let shown = asked.headers["authorization"].as_str();
    if asked.path == "/login" {
        let is_known = shown == BASIC;
        return if is_known {
            (200, json!({"token": "t0ken"}))
        } else {
            (401, json!({"error": "Unauthorized"}))
        };
    }
    assert_eq!(shown, "Bearer t0ken");
    let point = |at: Timestamp, figure: Option<f64>| {
        let pounds = figure.map(|figure| figure / 0.453_592_37);
        json!({"point_time": at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string(), "value": pounds})
    };
    let (from, to) = match asked.path.as_str() {
        "/v3/historical" => (asked.time("start"), asked.time("end")),
        "/v3/forecast" => (Timestamp::MIN, Timestamp::MAX),
        _ => return (404, json!({"error": "no such thing"})),
    };
    let meta = json!({"region": world.zone(&asked.query["region"], "PJM_DC"), "signal_type": asked.query["signal_type"],
        "units": "lbs_co2_per_mwh", "data_point_period_seconds": 300, "model": {"date": "2026-03-01"}, "warnings": []});
    (
        200,
        json!({"data": world.list(from, to, point), "meta": meta}),
    )
}

#[tokio::test]
async fn a_login_is_good_for_half_an_hour() {
    let running = SUBJECTS[1].start().await;
    let fake = running.fake();
    let from = at("2026-01-05T00:00:00Z");
    running.set(points(from, hours(1) / 12, [Some(1.0)]));
    for _ in 0..3 {
        let slots = running
            .provider
            .history("CAISO_NORTH", from, from + hours(1))
            .await
            .unwrap();
        assert_eq!(slots[0].source, "WattTime v3, model 2026-03-01");
    }
    assert_eq!(fake.asked("/login").len(), 1);
    // Only while nothing is under way: a clock that stands goes on by itself where all wait.
    time::pause();
    time::advance(time::Duration::from_secs(30 * 60)).await;
    time::resume();
    running
        .provider
        .forecast("CAISO_NORTH", from)
        .await
        .unwrap();
    assert_eq!(fake.asked("/login").len(), 2);
}

#[tokio::test]
async fn a_token_that_is_not_taken_is_made_anew_once() {
    let running = SUBJECTS[1].start().await;
    let fake = running.fake();
    let from = at("2026-01-05T00:00:00Z");
    running
        .provider
        .history("CAISO_NORTH", from, from + hours(1))
        .await
        .unwrap();
    fake.world().refused = vec![("/v3/historical", 401)];
    let error = running
        .provider
        .history("CAISO_NORTH", from, from + hours(1))
        .await;
    assert_eq!(error.unwrap_err().name(), "throttled");
    assert_eq!(
        (
            fake.asked("/login").len(),
            fake.asked("/v3/historical").len()
        ),
        (2, 3)
    );
}

#[tokio::test]
async fn a_throttled_request_brings_no_login() {
    let running = SUBJECTS[1].start().await;
    let fake = running.fake();
    fake.world().refused = vec![("/v3/historical", 429)];
    let from = at("2026-01-05T00:00:00Z");
    let error = running
        .provider
        .history("CAISO_NORTH", from, from + hours(1))
        .await;
    assert_eq!(error.unwrap_err().name(), "throttled");
    assert_eq!(fake.asked("").len(), 2);
}
