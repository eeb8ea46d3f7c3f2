//! Electricity Maps: its shapes, and its plans.

use aggregator::intensity::IntensityBasis;
use aggregator::provider::Settings;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::conformance::{at, hours};
use crate::fake::{Asked, World, points};
use crate::subject::SUBJECTS;

pub(crate) fn answer(asked: &Asked, world: &World) -> (u16, Value) {
    assert_eq!(asked.query["shouldUseFallbackCallerLookup"], "false");
    assert_eq!(asked.headers["auth-token"], crate::fake::KEY);
    let zone = world.zone(&asked.query["zone"], "FR");
    let emissions = asked.query["emissionFactorType"].clone();
    let point = |at: Timestamp, figure: Option<f64>| {
        json!({"zone": zone, "carbonIntensity": figure, "datetime": at.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string(),
            "updatedAt": "2026-01-05T10:40:00.000Z", "createdAt": "2026-01-02T10:00:00.000Z", "emissionFactorType": emissions,
            "isEstimated": false, "estimationMethod": null})
    };
    let forecast = |at: Timestamp, figure: Option<f64>| json!({"carbonIntensity": figure, "datetime": at.to_string()});
    let all = (Timestamp::MIN, Timestamp::MAX);
    let body = match asked.path.rsplit('/').next().unwrap() {
        "past-range" => {
            let list = world.list(asked.time("start"), asked.time("end"), point);
            json!({"zone": zone, "data": list})
        }
        "history" => json!({"zone": zone, "history": world.list(all.0, all.1, point)}),
        "forecast" => json!({"zone": zone, "forecast": world.list(all.0, all.1, forecast)}),
        _ => return (404, json!({"error": "Not found"})),
    };
    (200, body)
}

#[tokio::test]
async fn a_plan_without_past_ranges_has_the_last_day() {
    let running = SUBJECTS[0].start().await;
    running.set(points(
        at("2026-01-05T00:00:00Z"),
        hours(1),
        [Some(1.0), Some(2.0)],
    ));
    running.fake().world().refused = vec![("past-range", 403), ("forecast", 403)];
    let (from, to) = (at("2026-01-04T00:00:00Z"), at("2026-01-06T00:00:00Z"));
    for asked in 1..=2 {
        let slots = running.provider.history("DE", from, to).await.unwrap();
        assert_eq!(slots.len(), 2);
        assert_eq!(
            running
                .fake()
                .asked("/v3/carbon-intensity/past-range")
                .len(),
            1
        );
        assert_eq!(
            running.fake().asked("/v3/carbon-intensity/history").len(),
            asked
        );
    }
    let error = running.provider.forecast("DE", to).await.unwrap_err();
    assert_eq!(
        (error.name(), error.to_string().as_str()),
        ("refused", "it refuses: not for you")
    );
}

#[tokio::test]
async fn settings_are_sent_and_make_the_source_and_the_kind() {
    let settings = Settings {
        version: Some("v4".to_owned()),
        emissions: Some("direct".to_owned()),
        zones: [("DE".to_owned(), "DE-LU".to_owned())].into(),
        ..Settings::default()
    };
    let running = SUBJECTS[0].start_with(settings).await;
    running.set(points(at("2026-01-05T00:00:00Z"), hours(1), [Some(1.0)]));
    let (from, to) = (at("2026-01-05T00:00:00Z"), at("2026-01-06T00:00:00Z"));
    let slots = running.provider.history("de", from, to).await.unwrap();
    let slot = &slots[0];
    assert_eq!(
        (slot.intensity_zone.as_str(), slot.source.as_str()),
        ("DE", "Electricity Maps v4")
    );
    assert_eq!(
        (slot.kind.as_str(), slot.basis),
        ("average-direct-consumption", IntensityBasis::Measured)
    );
    let asked = &running.fake().asked("/v4/carbon-intensity/past-range")[0];
    assert_eq!(
        (
            asked.query["zone"].as_str(),
            asked.query["emissionFactorType"].as_str()
        ),
        ("DE-LU", "direct")
    );
}
