//! Counters and reports: equal in joules always, and in grams but for what was restated.

use reqwest::StatusCode;
use serde_json::{Value, json};
use wire::v1::Batch;

use crate::batches::{batch, interval, sample};
use crate::running::Running;

/// Posts one slot of France, of 10:00 to 11:00 or a part of it.
async fn tell(server: &Running, from: &str, to: &str, g_per_kwh: f64) {
    let slot = json!([{
        "intensity_zone": "FR",
        "from": format!("2026-01-05T{from}Z"),
        "to": format!("2026-01-05T{to}Z"),
        "g_per_kwh": g_per_kwh,
        "kind": "average-lifecycle-production",
        "basis": "measured",
        "source": "operator",
    }]);
    let path = format!("{}/api/v1/intensity", server.base);
    let response = server.client.post(path).json(&slot).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

/// Five intervals of 17 s, so that minutes and the slots' border at 10:01 fall into them.
fn crossing(sequence: u64) -> Batch {
    let intervals = (0..5).map(|number| {
        let ms = (i64::try_from(sequence).unwrap() - 1) * 85_000 + number * 17_000;
        let active = [3_000_001 + 7 * number.unsigned_abs(), 250_000];
        interval(ms, 17, 2, vec![sample(0, 1_000_000, 500_000, &active)])
    });
    let mut batch = Batch {
        intervals: intervals.collect(),
        ..batch("n1", sequence, "r1")
    };
    batch.zones.truncate(1);
    batch
}

/// The sum of a family's series.
async fn counted(server: &Running, family: &str) -> f64 {
    let metrics = server.text("/metrics").await;
    let series = metrics
        .lines()
        .filter(|line| line.starts_with(&format!("{family}{{")));
    series
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

async fn report(server: &Running, as_of: Option<&str>) -> Value {
    let as_of = as_of
        .map(|time| format!("&as_of={time}"))
        .unwrap_or_default();
    server
        .json(&format!("/api/v1/runs/r1/report?idle=none{as_of}"))
        .await
}

fn grams(report: &Value) -> f64 {
    report["carbon_grams"].as_f64().unwrap()
}

fn assert_near(found: f64, expected: f64) {
    assert!(
        (found / expected - 1.0).abs() < 1e-9,
        "{found}, not {expected}"
    );
}

#[tokio::test]
async fn counters_differ_from_reports_by_the_restatement_alone() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    tell(&server, "10:00:00", "10:01:00", 100.0).await;
    tell(&server, "10:01:00", "10:30:00", 300.0).await;
    for sequence in 1..=3 {
        assert_eq!(server.send_batch(&crossing(sequence)).await.status(), 200);
    }
    let joules = counted(&server, "hxmlops_run_energy_joules_total").await;
    let booked = counted(&server, "hxmlops_run_carbon_grams_total").await;
    let first = report(&server, None).await;
    assert!(joules.to_bits() == first["energy_joules"].as_f64().unwrap().to_bits());
    assert_near(booked, grams(&first));
    let stages = counted(&server, "hxmlops_stage_carbon_grams_total").await;
    assert_near(stages, booked);

    let then = first["revision"]["recorded"].as_str().unwrap();
    tell(&server, "10:01:00", "10:30:00", 250.0).await;
    let second = report(&server, None).await;
    let again = report(&server, Some(then)).await;
    assert_eq!(again["carbon_grams"], first["carbon_grams"]);
    assert_eq!(second["energy_joules"], first["energy_joules"]);
    // The counter stays as it was booked; what it is off by is what the report was restated by.
    assert_eq!(
        counted(&server, "hxmlops_run_carbon_grams_total")
            .await
            .to_bits(),
        booked.to_bits()
    );
    assert!(grams(&second) < grams(&first));
    assert_near(booked - grams(&second), grams(&again) - grams(&second));

    // What comes later is booked at what is known by then.
    assert_eq!(server.send_batch(&crossing(4)).await.status(), 200);
    let third = report(&server, None).await;
    let later = counted(&server, "hxmlops_run_carbon_grams_total").await - booked;
    assert_near(later, grams(&third) - grams(&second));
    server.stop().await;
}
