//! The Carbon Intensity API of NESO, Great Britain's system operator: half-hourly, direct, imports counted. Needs no key; CC BY 4.0.
//!
//! API: <https://carbon-intensity.github.io/api-definitions/>. `GB` is the country, which has actual figures; `GB-1` to `GB-17` are its regions
//! by NESO's `regionid`, of which there are forecasts alone: for a time past they count as estimates.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::http::{Http, Request};
use super::pace::Limit;
use super::points::{Series, echoed, json, malformed, time, touching};
use super::{
    Answer, Coverage, IntensityProvider, ProviderError, ProviderKind, Rhythm, Settings, pages, tidy,
};
use crate::intensity::{IntensityBasis, Signal, Slot, normalized_zone};

const BASE: &str = "https://api.carbonintensity.org.uk";
const SOURCE: &str = "NESO v2";
const COUNTRY: &str = "GB";
const HALF_HOUR: SignedDuration = SignedDuration::from_mins(30);
/// No figure is published ("may be limited"): one a second.
const LIMIT: Limit = Limit {
    burst: 10,
    period: Duration::from_secs(1),
};
/// Actual figures come some minutes after a half-hour, and are settled within a day or two.
const RHYTHM: Rhythm = Rhythm {
    slot: HALF_HOUR,
    every: Duration::from_secs(10 * 60),
    forecast_every: Duration::from_secs(30 * 60),
    revised: SignedDuration::from_hours(48),
    back_fill: SignedDuration::from_hours(30 * 24),
    // "At most 14 days"; less by one half-hour, since both ends count.
    window: SignedDuration::from_mins(14 * 24 * 60 - 30),
};

/// How it is chosen.
pub const KIND: ProviderKind = ProviderKind {
    name: "neso",
    key: None,
    settings: &[],
    open,
};

/// Where figures are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Area {
    /// The whole country.
    Country,
    /// A region, 1 to 17.
    Region(u8),
}

impl Area {
    /// Of an intensity zone: `GB`, or `GB-1` to `GB-17`.
    #[must_use]
    pub fn of(zone: &str) -> Option<Self> {
        let zone = normalized_zone(zone);
        if zone == COUNTRY {
            return Some(Self::Country);
        }
        let id = zone.strip_prefix(COUNTRY)?.strip_prefix('-')?;
        let id: u8 = id.parse().ok().filter(|parsed| format!("{parsed}") == id)?;
        (1..=17).contains(&id).then_some(Self::Region(id))
    }
}

#[derive(Debug)]
struct Neso {
    http: Http,
    signal: Signal,
}

fn open(settings: &Settings) -> Result<Arc<dyn IntensityProvider>, String> {
    let http = settings.http(BASE, LIMIT)?;
    let signal = signal();
    Ok(Arc::new(Neso { http, signal }))
}

fn signal() -> Signal {
    let signal = "average-direct-consumption".parse();
    signal.expect("it is a signal (tested)")
}

impl IntensityProvider for Neso {
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
        match Area::of(zone) {
            Some(_) => Coverage::Has,
            None => Coverage::Lacks,
        }
    }

    fn history<'a>(&'a self, zone: &'a str, from: Timestamp, to: Timestamp) -> Answer<'a> {
        Box::pin(async move {
            let mut slots = Vec::new();
            for (start, end) in pages(from, to, HALF_HOUR, RHYTHM.window) {
                let (start, end) = (minute(start), minute(end));
                slots.extend(self.ask(zone, &start, &end, Some(to)).await?);
            }
            Ok(touching(tidy(slots), from, to))
        })
    }

    fn forecast<'a>(&'a self, zone: &'a str, now: Timestamp) -> Answer<'a> {
        Box::pin(async move { Ok(tidy(self.ask(zone, &minute(now), "fw48h", None).await?)) })
    }
}

impl Neso {
    /// `past`: until when what is told is history; `None` where all of it is a forecast.
    async fn ask(
        &self,
        zone: &str,
        from: &str,
        to: &str,
        past: Option<Timestamp>,
    ) -> Result<Vec<Slot>, ProviderError> {
        let unknown = || ProviderError::UnknownZone("it is neither GB nor GB-1 to GB-17".into());
        let area = Area::of(zone).ok_or_else(unknown)?;
        let id;
        let path = match area {
            Area::Country => &["intensity", from, to][..],
            Area::Region(region) => {
                id = region.to_string();
                &["regional", "intensity", from, to, "regionid", &id]
            }
        };
        let request = Request {
            path,
            query: &[],
            credentials: None,
            secret: None,
        };
        parse(&self.http.get(request).await?, area, past)
    }
}

/// As the API takes times: without seconds.
fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%MZ").to_string()
}

#[derive(Deserialize)]
struct Body<T> {
    data: T,
}

/// Of one region an object, of several a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Regions {
    One(Region),
    Several(Vec<Region>),
}

#[derive(Deserialize)]
struct Region {
    regionid: u8,
    data: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    from: String,
    to: String,
    intensity: Figures,
}

#[derive(Deserialize)]
struct Figures {
    #[serde(default)]
    forecast: Value,
    #[serde(default)]
    actual: Value,
}

/// The slots of an answer for an area. `past`: until when what is told is history; `None` where all of it is a forecast.
///
/// # Errors
/// Where it is none of theirs, or for another region.
pub fn parse(text: &str, area: Area, past: Option<Timestamp>) -> Result<Vec<Slot>, ProviderError> {
    let (zone, rows) = match area {
        Area::Country => (COUNTRY.to_owned(), json::<Body<Vec<Row>>>(text)?.data),
        Area::Region(id) => (format!("{COUNTRY}-{id}"), rows_of(text, id)?),
    };
    let series = Series {
        zone: &zone,
        kind: signal(),
        source: SOURCE,
        scale: 1.0,
    };
    let mut slots = Vec::with_capacity(rows.len());
    for row in rows {
        let (from, to) = (time(&row.from)?, time(&row.to)?);
        let is_past = past.is_some_and(|past| to <= past);
        let actual = || series.slot(from, to, &row.intensity.actual, IntensityBasis::Measured);
        let forecast = |basis| series.slot(from, to, &row.intensity.forecast, basis);
        slots.extend(match area {
            Area::Country if past.is_some() => {
                actual().or_else(|| forecast(IntensityBasis::Forecast))
            }
            Area::Region(_) if is_past => forecast(IntensityBasis::Estimated),
            _ => forecast(IntensityBasis::Forecast),
        });
    }
    Ok(slots)
}

fn rows_of(text: &str, id: u8) -> Result<Vec<Row>, ProviderError> {
    let regions = match json::<Body<Regions>>(text)?.data {
        Regions::One(region) => vec![region],
        Regions::Several(regions) => regions,
    };
    let first = regions.into_iter().next();
    let region = first.ok_or_else(|| malformed("no region is in it"))?;
    echoed("region", &id.to_string(), &region.regionid.to_string())?;
    Ok(region.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: &str = r#"[{"from":"2026-01-05T09:30Z","to":"2026-01-05T10:00Z","intensity":{"forecast":266,"actual":263,"index":"moderate"}},
        {"from":"2026-01-05T10:00Z","to":"2026-01-05T10:30Z","intensity":{"forecast":270,"actual":null,"index":"moderate"}},
        {"from":"2026-01-05T10:30Z","to":"2026-01-05T11:00Z","intensity":{"forecast":null,"actual":null,"index":null}}]"#;

    fn told(text: &str, area: Area, past: Option<&str>) -> Vec<(f64, IntensityBasis)> {
        let past = past.map(|past| past.parse().unwrap());
        let slots = parse(text, area, past).unwrap().into_iter();
        slots.map(|slot| (slot.g_per_kwh, slot.basis)).collect()
    }

    #[test]
    fn the_country_has_actual_figures() {
        use IntensityBasis::{Forecast, Measured};
        let text = format!(r#"{{"data":{ROWS}}}"#);
        let past = told(&text, Area::Country, Some("2026-01-05T10:30:00Z"));
        assert_eq!(past, [(263.0, Measured), (270.0, Forecast)]);
        assert_eq!(
            told(&text, Area::Country, None),
            [(266.0, Forecast), (270.0, Forecast)]
        );
    }

    #[test]
    fn a_region_has_estimates_of_the_past() {
        use IntensityBasis::{Estimated, Forecast};
        for text in [
            format!(r#"{{"data":{{"regionid":7,"shortname":"South Wales","data":{ROWS}}}}}"#),
            format!(r#"{{"data":[{{"regionid":7,"shortname":"South Wales","data":{ROWS}}}]}}"#),
        ] {
            let past = told(&text, Area::Region(7), Some("2026-01-05T10:10:00Z"));
            assert_eq!(past, [(266.0, Estimated), (270.0, Forecast)]);
            let other = parse(&text, Area::Region(8), None).unwrap_err();
            assert_eq!(other.name(), "unknown_zone");
        }
        assert!(parse(r#"{"data":[]}"#, Area::Region(7), None).is_err());
    }

    #[test]
    fn zones_are_the_country_and_its_regions() {
        let check =
            |zone: &str, expected: Option<Area>| assert_eq!(Area::of(zone), expected, "{zone}");
        check("gb", Some(Area::Country));
        check("GB-1", Some(Area::Region(1)));
        check(" gb-17", Some(Area::Region(17)));
        for zone in [
            "FR", "GB-0", "GB-18", "GB-07", "GB-", "GB7", "GB-+7", "GB-NIR",
        ] {
            check(zone, None);
        }
    }

    #[test]
    fn its_figures_are_direct() {
        assert_eq!(signal().as_str(), "average-direct-consumption");
    }
}
