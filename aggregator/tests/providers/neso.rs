//! NESO's shapes.

use aggregator::intensity::IntensityBasis;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::conformance::{at, hours};
use crate::fake::{Asked, World, points};
use crate::subject::SUBJECTS;

/// What is known of a half-hour after it.
const NOW_IN_FORECASTS: &str = "fw48h";

pub(crate) fn answer(asked: &Asked, world: &World) -> (u16, Value) {
    let path: Vec<&str> = asked.path.trim_matches('/').split('/').collect();
    let (is_regional, path) = match path.split_first() {
        Some((&"regional", rest)) => (true, rest),
        _ => (false, &path[..]),
    };
    let (from, to) = (minute(path[1]), path[2]);
    let is_forecast = to == NOW_IN_FORECASTS;
    let to = if is_forecast {
        Timestamp::MAX
    } else {
        minute(to)
    };
    if !is_forecast && from.duration_until(to) > hours(14 * 24) {
        let message = "Please enter a date range of no more than 14 days";
        return (
            400,
            json!({"error": {"code": "400 Bad Request", "message": message}}),
        );
    }
    let row = |at: Timestamp, figure: Option<f64>| {
        let form = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%MZ").to_string();
        let figures = match (is_regional, is_forecast) {
            (false, false) => json!({"forecast": null, "actual": figure, "index": "moderate"}),
            (false, true) => json!({"forecast": figure, "actual": null, "index": "moderate"}),
            (true, _) => json!({"forecast": figure, "index": "moderate"}),
        };
        json!({"from": form(at), "to": form(at + hours(1) / 2), "intensity": figures})
    };
    let list = world.list(from, to, row);
    if !is_regional {
        return (200, json!({"data": list}));
    }
    let id: u8 = world.zone(path[4], "8").parse().unwrap();
    (
        200,
        json!({"data": {"regionid": id, "dnoregion": "x", "shortname": "y", "data": list}}),
    )
}

fn minute(text: &str) -> Timestamp {
    assert!(
        text.len() == "2026-01-05T10:00Z".len() && text.ends_with('Z'),
        "{text}"
    );
    text.parse().unwrap()
}

#[tokio::test]
async fn regions_are_estimated_and_the_country_is_measured() {
    for (subject, basis) in [
        (2, IntensityBasis::Measured),
        (3, IntensityBasis::Estimated),
    ] {
        let subject = SUBJECTS[subject];
        let running = subject.start().await;
        let from = at("2026-01-05T00:00:00Z");
        running.set(points(from, subject.slot, [Some(1.0), Some(2.0)]));
        let slots = running
            .provider
            .history(subject.zone, from, from + hours(1))
            .await
            .unwrap();
        assert!(slots.iter().all(|slot| slot.basis == basis), "{slots:?}");
        // The half-hour that is not over yet is still a forecast of a region.
        let now = from + hours(1) * 3 / 4;
        let slots = running
            .provider
            .history(subject.zone, from, now)
            .await
            .unwrap();
        let still = if subject.zone == "GB" {
            basis
        } else {
            IntensityBasis::Forecast
        };
        assert_eq!(slots.last().unwrap().basis, still);
    }
}
