//! Electricity Maps: hourly, consumption-based (imports are traced to where they were made), lifecycle or direct.
//!
//! API: <https://portal.electricitymaps.com/docs/api>. Plans differ in what may be asked: where past ranges are not in one, the last
//! 24 hours are asked for, which all of them have.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::Value;

use super::http::{Http, Request};
use super::pace::Limit;
use super::points::{self, Series, echoed, json, malformed, time, touching};
use super::settings::ZoneNames;
use super::{
    Answer, Coverage, IntensityProvider, Key, ProviderError, ProviderKind, Rhythm, Secret,
    Settings, pages, tidy,
};
use crate::intensity::{IntensityBasis, Signal, Slot, normalized_zone};

const BASE: &str = "https://api.electricitymaps.com";
const VERSION: &str = "v3";
const TOKEN_HEADER: HeaderName = HeaderName::from_static("auth-token");
const HOUR: SignedDuration = SignedDuration::from_hours(1);
/// No figure is published, and plans differ: 720 an hour, for two requests a zone in a quarter of an hour.
const LIMIT: Limit = Limit {
    burst: 10,
    period: Duration::from_secs(5),
};
/// Figures are estimates for some hours, and settled within two days.
const RHYTHM: Rhythm = Rhythm {
    slot: HOUR,
    every: Duration::from_secs(15 * 60),
    forecast_every: Duration::from_secs(3600),
    revised: SignedDuration::from_hours(48),
    back_fill: SignedDuration::from_hours(30 * 24),
    // "At most 10 days hourly", past-range.
    window: SignedDuration::from_hours(10 * 24),
};

/// How it is chosen.
pub const KIND: ProviderKind = ProviderKind {
    name: "electricitymaps",
    key: Some("TOKEN"),
    settings: &["version", "emissions", "zones"],
    open,
};

/// What a figure counts, as Electricity Maps calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emissions {
    /// Upstream included.
    Lifecycle,
    /// What leaves the stacks.
    Direct,
}

impl Emissions {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Lifecycle => "lifecycle",
            Self::Direct => "direct",
        }
    }

    /// What a figure of them counts.
    #[must_use]
    pub fn signal(self) -> Signal {
        let signal = format!("average-{}-consumption", self.as_str()).parse();
        signal.expect("each of these is a signal (tested)")
    }
}

#[derive(Debug)]
struct ElectricityMaps {
    http: Http,
    key: Key,
    version: String,
    source: String,
    emissions: Emissions,
    signal: Signal,
    zones: ZoneNames,
    /// Not in every plan.
    has_past_range: AtomicBool,
}

fn open(settings: &Settings) -> Result<Arc<dyn IntensityProvider>, String> {
    let (http, key) = settings.http_with_key(BASE, LIMIT)?;
    let version = settings.version.clone().unwrap_or_else(|| VERSION.into());
    let is_part = |char: char| char.is_ascii_alphanumeric() || char == '.';
    if version.is_empty() || version.len() > 16 || !version.chars().all(is_part) {
        return Err(format!(
            "version '{}' is none such as {VERSION}",
            version.escape_debug()
        ));
    }
    let choices = [Emissions::Lifecycle, Emissions::Direct].map(|choice| (choice.as_str(), choice));
    let emissions = Settings::choice("emissions", settings.emissions.as_deref(), &choices)?;
    Ok(Arc::new(ElectricityMaps {
        http,
        key,
        source: source(&version),
        version,
        emissions,
        signal: emissions.signal(),
        zones: settings.zone_names(),
        has_past_range: AtomicBool::new(true),
    }))
}

fn source(version: &str) -> String {
    format!("Electricity Maps {version}")
}

impl IntensityProvider for ElectricityMaps {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn signal(&self) -> Option<Signal> {
        Some(self.signal)
    }

    fn rhythm(&self) -> Rhythm {
        RHYTHM
    }

    fn coverage(&self, _: &str) -> Coverage {
        Coverage::Has
    }

    fn history<'a>(&'a self, zone: &'a str, from: Timestamp, to: Timestamp) -> Answer<'a> {
        Box::pin(async move {
            let slots = self.past(zone, from, to).await?;
            Ok(touching(tidy(slots), from, to))
        })
    }

    fn forecast<'a>(&'a self, zone: &'a str, _: Timestamp) -> Answer<'a> {
        Box::pin(async move { Ok(tidy(self.ask("forecast", zone, &[]).await?)) })
    }
}

impl ElectricityMaps {
    async fn past(
        &self,
        zone: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Slot>, ProviderError> {
        if self.has_past_range.load(Relaxed) {
            match self.past_range(zone, from, to).await {
                // A plan without it.
                Err(ProviderError::Refused(_)) => {}
                told => return told,
            }
        }
        let slots = self.ask("history", zone, &[]).await?;
        if self.has_past_range.swap(false, Relaxed) {
            tracing::warn!(
                "the plan at Electricity Maps has no past ranges: only the last 24 hours are asked for, and what an outage longer \
                 than that leaves out stays out"
            );
        }
        Ok(slots)
    }

    async fn past_range(
        &self,
        zone: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Slot>, ProviderError> {
        let mut slots = Vec::new();
        for (start, end) in pages(from, to, HOUR, RHYTHM.window) {
            let (start, end) = (start.to_string(), end.to_string());
            let query = [("start", start.as_str()), ("end", end.as_str())];
            slots.extend(self.ask("past-range", zone, &query).await?);
        }
        Ok(slots)
    }

    async fn ask(
        &self,
        endpoint: &str,
        zone: &str,
        times: &[(&str, &str)],
    ) -> Result<Vec<Slot>, ProviderError> {
        let secret = self.key.secret().await?;
        let theirs = self.zones.of(zone);
        let mut query = vec![
            ("zone", theirs.as_str()),
            ("emissionFactorType", self.emissions.as_str()),
            // Else an unknown zone silently becomes that of the caller's address.
            ("shouldUseFallbackCallerLookup", "false"),
        ];
        query.extend(times);
        let request = Request {
            path: &[&self.version, "carbon-intensity", endpoint],
            query: &query,
            credentials: Some((TOKEN_HEADER, Secret::header(secret.expose())?)),
            secret: Some(&secret),
        };
        let text = self.http.get(request).await?;
        parse(&text, zone, &theirs, self.emissions, &self.source)
    }
}

#[derive(Deserialize)]
struct Body {
    zone: Option<String>,
    history: Option<Vec<Point>>,
    data: Option<Vec<Point>>,
    forecast: Option<Vec<Point>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Point {
    zone: Option<String>,
    datetime: String,
    #[serde(default)]
    carbon_intensity: Value,
    is_estimated: Option<bool>,
    emission_factor_type: Option<String>,
}

/// The slots of an answer for `zone`, which Electricity Maps calls `theirs`.
///
/// # Errors
/// Where it is none of theirs, for another zone, or of other emissions.
pub fn parse(
    text: &str,
    zone: &str,
    theirs: &str,
    emissions: Emissions,
    source: &str,
) -> Result<Vec<Slot>, ProviderError> {
    let body: Body = json(text)?;
    let is_forecast = body.forecast.is_some();
    let lists = [body.history, body.data, body.forecast];
    let list = lists.into_iter().flatten().next();
    let list = list.ok_or_else(|| malformed("neither history, data nor forecast is in it"))?;
    if let Some(told) = &body.zone {
        echoed("zone", theirs, told)?;
    }
    let series = Series {
        zone: &normalized_zone(zone),
        kind: emissions.signal(),
        source,
        scale: 1.0,
    };
    let mut slots = Vec::with_capacity(list.len());
    for point in list {
        match &point.zone {
            Some(told) => echoed("zone", theirs, told)?,
            None if body.zone.is_none() => return Err(malformed("it does not say for which zone")),
            None => {}
        }
        slots.extend(slot(&point, series, emissions, is_forecast)?);
    }
    Ok(slots)
}

fn slot(
    point: &Point,
    series: Series<'_>,
    emissions: Emissions,
    is_forecast: bool,
) -> Result<Option<Slot>, ProviderError> {
    let told = point.emission_factor_type.as_deref();
    if told.is_some_and(|told| told != emissions.as_str()) {
        let asked = emissions.as_str();
        return Err(malformed(format!("it is not of {asked} emissions")));
    }
    let basis = match point.is_estimated {
        _ if is_forecast => IntensityBasis::Forecast,
        Some(false) => IntensityBasis::Measured,
        _ => IntensityBasis::Estimated,
    };
    let from = time(&point.datetime)?;
    let to = points::end(from, HOUR)?;
    Ok(series.slot(from, to, &point.carbon_intensity, basis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Vec<(String, f64, IntensityBasis)>, ProviderError> {
        let slots = parse(
            text,
            "de",
            "DE",
            Emissions::Lifecycle,
            "Electricity Maps v3",
        )?;
        assert!(
            slots.iter().all(
                |slot| slot.intensity_zone == "DE" && slot.from.duration_until(slot.to) == HOUR
            )
        );
        let told = slots.into_iter();
        Ok(told
            .map(|slot| (slot.from.to_string(), slot.g_per_kwh, slot.basis))
            .collect())
    }

    #[test]
    fn a_list_becomes_slots_and_null_a_gap() {
        let text = r#"{"zone":"DE","history":[
            {"zone":"DE","carbonIntensity":302,"datetime":"2026-01-05T10:00:00.000Z","updatedAt":"2026-01-05T10:40:00.000Z",
             "createdAt":"2026-01-02T10:00:00.000Z","emissionFactorType":"lifecycle","isEstimated":true,
             "estimationMethod":"TIME_SLICER_AVERAGE"},
            {"zone":"DE","carbonIntensity":null,"datetime":"2026-01-05T11:00:00.000Z","isEstimated":false},
            {"zone":"DE","carbonIntensity":299.5,"datetime":"2026-01-05T12:00:00.000Z","isEstimated":false}]}"#;
        let told = check(text).unwrap();
        assert_eq!(
            told,
            [
                (
                    "2026-01-05T10:00:00Z".to_owned(),
                    302.0,
                    IntensityBasis::Estimated
                ),
                (
                    "2026-01-05T12:00:00Z".to_owned(),
                    299.5,
                    IntensityBasis::Measured
                ),
            ]
        );
        let text =
            r#"{"zone":"DE","forecast":[{"carbonIntensity":5,"datetime":"2026-01-05T10:00:00Z"}]}"#;
        assert_eq!(check(text).unwrap()[0].2, IntensityBasis::Forecast);
    }

    #[test]
    fn what_was_not_asked_for_is_not_taken() {
        let point = |fields: &str| {
            format!(
                r#"{{"data":[{{"carbonIntensity":1,"datetime":"2026-01-05T10:00:00Z"{fields}}}]}}"#
            )
        };
        assert!(check(&point(r#","zone":"DE""#)).is_ok());
        for (text, name) in [
            (point(r#","zone":"FR""#), "unknown_zone"),
            (point(""), "malformed"),
            (point(r#","zone":"DE","emissionFactorType":"direct""#), "malformed"),
            (r#"{"zone":"FR","history":[]}"#.to_owned(), "unknown_zone"),
            (r#"{"zone":"DE"}"#.to_owned(), "malformed"),
            ("<html>".to_owned(), "malformed"),
            (r#"{"zone":"DE","history":[{"carbonIntensity":1,"datetime":"2026-01-05T10:00:00"}]}"#.to_owned(), "malformed"),
        ] {
            assert_eq!(check(&text).unwrap_err().name(), name, "{text}");
        }
    }

    #[test]
    fn emissions_are_kinds() {
        assert_eq!(
            Emissions::Lifecycle.signal().as_str(),
            "average-lifecycle-consumption"
        );
        assert_eq!(
            Emissions::Direct.signal().as_str(),
            "average-direct-consumption"
        );
    }
}
