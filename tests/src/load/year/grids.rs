//! A year of 5-minute slots of each zone, as a provider tells them: measured, the last day estimated, with the forecasts that
//! were made for the last 30 days and are there for the next 7.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use super::ZONES;
use crate::load::ask::Asker;

const SLOT: SignedDuration = SignedDuration::from_mins(5);
const DAY: SignedDuration = SignedDuration::from_hours(24);
/// Slots of one request.
const CHUNK: usize = 10_000;
/// Every so manieth slot of the last 30 days is told anew.
const REVISED: usize = 10;

/// What one basis covers, in days from now.
struct Told {
    basis: &'static str,
    from: i32,
    to: i32,
}

const TOLD: [Told; 3] = [
    Told {
        basis: "measured",
        from: -365,
        to: -1,
    },
    Told {
        basis: "estimated",
        from: -1,
        to: 0,
    },
    Told {
        basis: "forecast",
        from: -30,
        to: 7,
    },
];

struct Slot {
    zone: usize,
    from: Timestamp,
    basis: &'static str,
    g_per_kwh: f64,
}

/// Writes all of them.
pub(super) async fn fill(asker: &Asker, now: Timestamp) -> anyhow::Result<()> {
    for zone in 0..ZONES.len() {
        let told = TOLD.iter().flat_map(|told| slots(zone, now, told));
        send(asker, &told.collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// Tells some of the last 30 days otherwise.
pub(super) async fn revise(asker: &Asker, now: Timestamp) -> anyhow::Result<()> {
    let told = Told {
        from: -30,
        ..TOLD[0]
    };
    for zone in 0..ZONES.len() {
        let mut revised: Vec<Slot> = slots(zone, now, &told).step_by(REVISED).collect();
        for slot in &mut revised {
            slot.g_per_kwh += 1.0;
        }
        send(asker, &revised).await?;
    }
    Ok(())
}

fn slots(zone: usize, now: Timestamp, told: &Told) -> impl Iterator<Item = Slot> + use<> {
    let basis = told.basis;
    // On the hour.
    let now = now.as_second() / 3600 * 3600;
    let second = |days: i32| now + i64::from(days) * DAY.as_secs();
    let starts = (second(told.from)..second(told.to)).step_by(SLOT.as_secs() as usize);
    let mut random = fastrand::Rng::with_seed(zone as u64);
    starts.filter_map(move |start| {
        let turn = (start % DAY.as_secs()) as f64 / DAY.as_secs() as f64;
        let g_per_kwh = 200.0 + 10.0 * zone as f64 - 80.0 * (turn * std::f64::consts::TAU).sin()
            + 20.0 * random.f64();
        Some(Slot {
            zone,
            from: Timestamp::from_second(start).ok()?,
            basis,
            g_per_kwh,
        })
    })
}

async fn send(asker: &Asker, slots: &[Slot]) -> anyhow::Result<()> {
    let url = format!("{}/api/v1/intensity", asker.url);
    for chunk in slots.chunks(CHUNK) {
        let mut body = String::new();
        for slot in chunk {
            let Slot {
                zone,
                from,
                basis,
                g_per_kwh,
            } = slot;
            write!(
                body,
                r#"{}{{"intensity_zone":"{}","from":"{from}","to":"{}","g_per_kwh":{g_per_kwh:.1},
                "kind":"average-lifecycle-production","basis":"{basis}","source":"a bench"}}"#,
                if body.is_empty() { '[' } else { ',' },
                ZONES[*zone],
                *from + SLOT,
            )?;
        }
        body.push(']');
        let request = asker.client.post(&url);
        let request = request.header("content-type", "application/json");
        asker.send(request.body(body)).await?;
    }
    Ok(())
}
