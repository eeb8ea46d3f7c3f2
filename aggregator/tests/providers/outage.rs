//! A provider that is away for an hour in the middle of a run: what the run's report says before, then, and afterwards.

use aggregator::intensity::{IntensityBasis, Slot};
use aggregator::ledger::ReportQuery;
use aggregator::provider::ProviderError;
use aggregator::report::Report;
use aggregator::site::Site;
use aggregator::store::{ReceivedBatch, Store};
use jiff::Timestamp;
use tokio::time::sleep;
use wire::v1::{Basis, Batch, Interval, Outcome, Workload, Zone, ZoneSample};

use crate::conformance::{at, hours};
use crate::feed::{Fed, down, feed, minutes, signal, slots, start};

const KWH_UJ: u64 = 3_600_000_000_000;
/// What the zone's year was, and what the provider says of every half hour.
const YEAR: f64 = 80.0;
const TOLD: f64 = 50.0;

/// The year of the same kind, as an operator has imported it.
fn year() -> Slot {
    Slot {
        from: at("2026-01-01T00:00:00Z"),
        to: at("2027-01-01T00:00:00Z"),
        ..slots(start(), start() + hours(1), YEAR, IntensityBasis::Annual)[0].clone()
    }
}

/// One kilowatt-hour in each of the run's half hours, from the feed's start on.
fn run_of(half_hours: u32) -> ReceivedBatch {
    let interval = |number: u32| Interval {
        start_unix_ms: start().as_millisecond() + i64::from(number) * 1_800_000,
        duration_ns: 1_800_000_000_000,
        workloads: vec![0],
        cpu_ns: vec![1],
        zones: vec![ZoneSample {
            outcome: Outcome::Sampled.into(),
            measured_uj: KWH_UJ,
            active_uj: vec![KWH_UJ],
            ..ZoneSample::default()
        }],
        ..Interval::default()
    };
    let batch = Batch {
        version: wire::VERSION,
        cluster: "c1".to_owned(),
        node: "n1".to_owned(),
        stream_id: vec![7; 16],
        sequence: 1,
        workloads: vec![Workload {
            workflow: "churn".to_owned(),
            run: "r1".to_owned(),
            stage: "train".to_owned(),
            ..Workload::default()
        }],
        zones: vec![Zone {
            name: "package-0".to_owned(),
            basis: Basis::Measured.into(),
            ..Zone::default()
        }],
        intervals: (0..half_hours).map(interval).collect(),
        ..Batch::default()
    };
    wire::validate(&batch).unwrap();
    ReceivedBatch {
        bytes: wire::encode(&batch),
        batch,
        received: start(),
    }
}

fn report(fed: &Fed, as_of: Option<Timestamp>) -> Report {
    let query = ReportQuery {
        run: "r1".to_owned(),
        as_of,
        ..ReportQuery::default()
    };
    fed.app.ledger.report(&query).unwrap()
}

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9 * expected.abs().max(1.0),
        "{found}, not {expected}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_report_over_an_outage_is_complete_and_restated() {
    let outage = start() + hours(1)..start() + hours(2);
    let no_forecast = Err(ProviderError::Refused("not in your plan".to_owned()));
    let fed = feed(&[year()], no_forecast, move |now| {
        if outage.contains(&now) {
            Err(down())
        } else {
            Ok(TOLD)
        }
    });
    let site = Site {
        intensity_zone: Some("X".to_owned()),
        signal: signal(),
        ..Site::named("lab")
    };
    fed.store.put_sites(&[site], start()).unwrap();
    // Three hours in all; they are there at once, since only what is known of the grid is to change.
    fed.store.write_batch(&run_of(6), "lab").unwrap();

    sleep(minutes(115)).await;
    let during = report(&fed, None);
    let told = during.carbon_grams.unwrap();
    let annual = during.intensity_basis.annual;
    near(during.intensity_basis.measured + annual, 1.0);
    // The grams of each basis are its half hours at its figure.
    let half_hours = annual * told / YEAR;
    near(half_hours, half_hours.round());
    assert!((3.0..=5.0).contains(&half_hours), "{during:?}");
    near(told, half_hours * YEAR + (6.0 - half_hours) * TOLD);
    assert_eq!(during.uncovered_joules.to_bits(), 0.0_f64.to_bits());
    let said = during.notes.join(" ");
    assert!(said.contains("From a yearly average"), "{said}");

    // Back again, and some hours later.
    sleep(minutes(5 * 60)).await;
    let after = report(&fed, None);
    near(after.carbon_grams.unwrap(), 6.0 * TOLD);
    near(after.intensity_basis.measured, 1.0);
    assert!(after.revision.number > during.revision.number);
    assert_eq!(
        after.energy_joules.to_bits(),
        during.energy_joules.to_bits()
    );

    // Both are still to be had.
    let mut then = report(&fed, during.revision.recorded);
    then.revision.as_of = None;
    assert_eq!(then, during);
    let mut now = report(&fed, after.revision.recorded);
    now.revision.as_of = None;
    assert_eq!(now, after);
}

#[tokio::test(start_paused = true)]
async fn without_a_year_of_its_kind_an_outage_leaves_energy_uncovered() {
    let gone = start() + hours(1);
    let no_forecast = Err(ProviderError::Refused("not in your plan".to_owned()));
    let fed = feed(&[], no_forecast, move |now| {
        if now < gone { Ok(TOLD) } else { Err(down()) }
    });
    let site = Site {
        intensity_zone: Some("X".to_owned()),
        signal: signal(),
        ..Site::named("lab")
    };
    fed.store.put_sites(&[site], start()).unwrap();
    let other = Slot {
        kind: "marginal-direct".parse().unwrap(),
        ..year()
    };
    fed.store.put_slots(&[other], start()).unwrap();
    fed.store.write_batch(&run_of(6), "lab").unwrap();
    sleep(minutes(3 * 60)).await;
    let report = report(&fed, None);
    assert_eq!(report.carbon_grams, None);
    let [other] = &report.subtotals[..] else {
        panic!("one subtotal, not {:?}", report.subtotals);
    };
    assert_eq!(other.kind.as_str(), "marginal-direct");
    near(other.energy_joules, report.uncovered_joules);
    near(other.carbon_grams, report.uncovered_joules / 3.6e6 * YEAR);
}
