//! éCO2mix of RTE, France's system operator: quarter-hourly, direct, of what is produced in the country. Needs no key; Licence Ouverte.
//!
//! API: the national real-time data set of <https://reseaux-energies-rte.opendatasoft.com>. Real-time figures are estimates until the consolidated
//! ones are published. There is no forecast.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::http::{Http, Request};
use super::pace::Limit;
use super::points::{Series, end, json, malformed, time, touching};
use super::{
    Answer, Coverage, IntensityProvider, ProviderError, ProviderKind, Rhythm, Settings, pages, tidy,
};
use crate::intensity::{IntensityBasis, Signal, Slot, normalized_zone};

const BASE: &str = "https://reseaux-energies-rte.opendatasoft.com/api/explore/v2.1";
const DATA_SET: &str = "eco2mix-national-tr";
const SOURCE: &str = "RTE eCO2mix real-time";
const COUNTRY: &str = "FR";
const QUARTER: SignedDuration = SignedDuration::from_mins(15);
/// The most records of one request.
const MAX_RECORDS: &str = "100";
/// The portal counts by day and publishes no figure: one a second.
const LIMIT: Limit = Limit {
    burst: 10,
    period: Duration::from_secs(1),
};
const RHYTHM: Rhythm = Rhythm {
    slot: QUARTER,
    every: Duration::from_secs(15 * 60),
    forecast_every: Duration::from_secs(24 * 3600),
    revised: SignedDuration::from_hours(24),
    back_fill: SignedDuration::from_hours(30 * 24),
    // 96 records, of the 100 that one request may have.
    window: SignedDuration::from_hours(24),
};

/// How it is chosen.
pub const KIND: ProviderKind = ProviderKind {
    name: "rte",
    key: None,
    settings: &[],
    open,
};

#[derive(Debug)]
struct Rte {
    http: Http,
    signal: Signal,
}

fn open(settings: &Settings) -> Result<Arc<dyn IntensityProvider>, String> {
    let http = settings.http(BASE, LIMIT)?;
    let signal = signal();
    Ok(Arc::new(Rte { http, signal }))
}

fn signal() -> Signal {
    let signal = "average-direct-production".parse();
    signal.expect("it is a signal (tested)")
}

impl IntensityProvider for Rte {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn signal(&self) -> Option<Signal> {
        Some(self.signal)
    }

    fn rhythm(&self) -> Rhythm {
        RHYTHM
    }

    fn coverage(&self, zone: &str) -> Coverage {
        if normalized_zone(zone) == COUNTRY {
            Coverage::Has
        } else {
            Coverage::Lacks
        }
    }

    fn history<'a>(&'a self, zone: &'a str, from: Timestamp, to: Timestamp) -> Answer<'a> {
        Box::pin(async move {
            if self.coverage(zone) == Coverage::Lacks {
                return Err(ProviderError::UnknownZone("it is not FR".to_owned()));
            }
            let mut slots = Vec::new();
            for (start, end) in pages(from, to, QUARTER, RHYTHM.window) {
                slots.extend(self.day(start, end).await?);
            }
            Ok(touching(tidy(slots), from, to))
        })
    }

    fn forecast<'a>(&'a self, _: &'a str, _: Timestamp) -> Answer<'a> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

impl Rte {
    async fn day(&self, start: Timestamp, end: Timestamp) -> Result<Vec<Slot>, ProviderError> {
        let wanted = format!(
            "date_heure >= date'{start}' and date_heure < date'{end}' and taux_co2 is not null"
        );
        let request = Request {
            path: &["catalog", "datasets", DATA_SET, "records"],
            query: &[
                ("select", "taux_co2,date_heure"),
                ("where", &wanted),
                ("order_by", "date_heure"),
                ("limit", MAX_RECORDS),
                ("timezone", "UTC"),
            ],
            credentials: None,
            secret: None,
        };
        parse(&self.http.get(request).await?)
    }
}

#[derive(Deserialize)]
struct Body {
    total_count: usize,
    results: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    date_heure: String,
    #[serde(default)]
    taux_co2: Value,
}

/// The slots of an answer.
///
/// # Errors
/// Where it is none of theirs, or has not all that was asked for.
pub fn parse(text: &str) -> Result<Vec<Slot>, ProviderError> {
    let Body {
        total_count,
        results,
    } = json(text)?;
    if results.len() < total_count {
        let told = results.len();
        return Err(malformed(format!("it has {told} of {total_count} records")));
    }
    let series = Series {
        zone: COUNTRY,
        kind: signal(),
        source: SOURCE,
        scale: 1.0,
    };
    let mut slots = Vec::with_capacity(results.len());
    for record in results {
        let from = time(&record.date_heure)?;
        let to = end(from, QUARTER)?;
        slots.extend(series.slot(from, to, &record.taux_co2, IntensityBasis::Estimated));
    }
    Ok(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_slots() {
        let text = r#"{"total_count":2,"results":[{"taux_co2":21,"date_heure":"2026-01-05T11:00:00+01:00"},
            {"taux_co2":null,"date_heure":"2026-01-05T10:15:00+00:00"}]}"#;
        let slots = parse(text).unwrap();
        let [slot] = &slots[..] else {
            panic!("{slots:?}")
        };
        assert_eq!(
            (slot.g_per_kwh, slot.kind.as_str()),
            (21.0, "average-direct-production")
        );
        assert_eq!(slot.from.to_string(), "2026-01-05T10:00:00Z");
        assert_eq!(slot.to.to_string(), "2026-01-05T10:15:00Z");
    }

    #[test]
    fn a_part_of_an_answer_is_none() {
        let error = parse(r#"{"total_count":101,"results":[]}"#).unwrap_err();
        assert!(error.to_string().contains("0 of 101 records"), "{error}");
        assert!(parse(r#"{"results":[]}"#).is_err());
        assert_eq!(parse(r#"{"total_count":0,"results":[]}"#), Ok(vec![]));
    }
}
