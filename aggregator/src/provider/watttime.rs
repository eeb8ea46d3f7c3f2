//! WattTime: 5-minute marginal (co2_moer) or average (co2_aoer) emissions of a region, direct.
//!
//! API: <https://docs.watttime.org>. A login gives a token for half an hour. Figures are made by a model, whose date is part of the source:
//! another model's figure for a slot is a new revision of it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::AUTHORIZATION;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::http::{Failed, Http, Request};
use super::pace::Limit;
use super::points::{Series, echoed, end, json, malformed, time, touching};
use super::settings::ZoneNames;
use super::{
    Answer, Coverage, IntensityProvider, Key, ProviderError, ProviderKind, Rhythm, Secret,
    Settings, pages, tidy,
};
use crate::intensity::{IntensityBasis, Signal, Slot, normalized_zone};

const BASE: &str = "https://api.watttime.org";
/// "Valid for 30 minutes"; let go of before that.
const TOKEN_LIFE: Duration = Duration::from_secs(29 * 60);
/// A pound (international, 1959) in kg: lb/MWh to g/kWh.
const G_PER_KWH_OF_LB_PER_MWH: f64 = 0.453_592_37;
const UNITS: &str = "lbs_co2_per_mwh";
const FIVE_MINUTES: SignedDuration = SignedDuration::from_mins(5);
const HORIZON_HOURS: &str = "24";
/// "3,000 calls in 5 minutes": 100 at once and 9 a second make 2,800.
const LIMIT: Limit = Limit {
    burst: 100,
    period: Duration::from_nanos(1_000_000_000 / 9),
};
const RHYTHM: Rhythm = Rhythm {
    slot: FIVE_MINUTES,
    every: Duration::from_secs(5 * 60),
    // A new one comes every five minutes, and differs little from the last.
    forecast_every: Duration::from_secs(3600),
    revised: SignedDuration::from_hours(24),
    back_fill: SignedDuration::from_hours(30 * 24),
    // "At most 32 days".
    window: SignedDuration::from_hours(32 * 24),
};

/// How it is chosen.
pub const KIND: ProviderKind = ProviderKind {
    name: "watttime",
    key: Some("USER:PASSWORD"),
    settings: &["signal", "zones"],
    open,
};

/// One of WattTime's signals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalType {
    /// `co2_moer`: what one more kWh emits.
    Marginal,
    /// `co2_aoer`: what all kWh emit, on average.
    Average,
}

impl SignalType {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Marginal => "co2_moer",
            Self::Average => "co2_aoer",
        }
    }

    /// What a figure of it counts.
    #[must_use]
    pub fn signal(self) -> Signal {
        let signal = match self {
            Self::Marginal => "marginal-direct",
            Self::Average => "average-direct-production",
        };
        signal.parse().expect("each of these is a signal (tested)")
    }
}

#[derive(Debug)]
struct WattTime {
    http: Http,
    key: Key,
    signal_type: SignalType,
    signal: Signal,
    zones: ZoneNames,
    login: Mutex<Option<Login>>,
}

/// A token, and until when it is used.
#[derive(Clone, Debug)]
struct Login {
    token: Secret,
    until: Instant,
}

#[derive(Deserialize)]
struct LoginBody {
    token: String,
}

fn open(settings: &Settings) -> Result<Arc<dyn IntensityProvider>, String> {
    let (http, key) = settings.http_with_key(BASE, LIMIT)?;
    if !key.read()?.expose().contains(':') {
        return Err("its key is no USER:PASSWORD".to_owned());
    }
    let choices =
        [SignalType::Marginal, SignalType::Average].map(|choice| (choice.as_str(), choice));
    let signal_type = Settings::choice("signal", settings.signal.as_deref(), &choices)?;
    Ok(Arc::new(WattTime {
        http,
        key,
        signal_type,
        signal: signal_type.signal(),
        zones: settings.zone_names(),
        login: Mutex::new(None),
    }))
}

impl IntensityProvider for WattTime {
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
            let mut slots = Vec::new();
            for (start, end) in pages(from, to, FIVE_MINUTES, RHYTHM.window) {
                let (start, end) = (start.to_string(), end.to_string());
                let query = [("start", start.as_str()), ("end", end.as_str())];
                let page = self.ask("historical", zone, &query, IntensityBasis::Estimated);
                slots.extend(page.await?);
            }
            Ok(touching(tidy(slots), from, to))
        })
    }

    fn forecast<'a>(&'a self, zone: &'a str, _: Timestamp) -> Answer<'a> {
        Box::pin(async move {
            let query = [("horizon_hours", HORIZON_HOURS)];
            let slots = self.ask("forecast", zone, &query, IntensityBasis::Forecast);
            Ok(tidy(slots.await?))
        })
    }
}

impl WattTime {
    async fn ask(
        &self,
        endpoint: &str,
        zone: &str,
        times: &[(&str, &str)],
        basis: IntensityBasis,
    ) -> Result<Vec<Slot>, ProviderError> {
        let region = self.zones.of(zone);
        let mut query = vec![
            ("region", region.as_str()),
            ("signal_type", self.signal_type.as_str()),
        ];
        query.extend(times);
        let path = ["v3", endpoint];
        let text = match self.get(&path, &query).await {
            // A token may end before its time: once, another one is asked for.
            Err(failed) if failed.status == Some(401) => {
                self.login.lock().await.take();
                self.get(&path, &query).await?
            }
            told => told?,
        };
        parse(&text, zone, &region, self.signal_type, basis)
    }

    async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<String, Failed> {
        let token = self.token().await?;
        let bearer = format!("Bearer {}", token.expose());
        let request = Request {
            path,
            query,
            credentials: Some((AUTHORIZATION, Secret::header(&bearer)?)),
            secret: Some(&token),
        };
        self.http.get(request).await
    }

    /// The token that there is, else a new one. Zones that ask at once wait for the same login.
    async fn token(&self) -> Result<Secret, ProviderError> {
        let mut login = self.login.lock().await;
        if let Some(login) = login.as_ref().filter(|login| Instant::now() < login.until) {
            return Ok(login.token.clone());
        }
        let secret = self.key.secret().await?;
        let basic = format!("Basic {}", STANDARD.encode(secret.expose()));
        let request = Request {
            path: &["login"],
            query: &[],
            credentials: Some((AUTHORIZATION, Secret::header(&basic)?)),
            secret: Some(&secret),
        };
        let LoginBody { token } = json(&self.http.get(request).await?)?;
        let token = Secret::new(&token).map_err(|_| malformed("its token is none"))?;
        *login = Some(Login {
            token: token.clone(),
            until: Instant::now() + TOKEN_LIFE,
        });
        Ok(token)
    }
}

#[derive(Deserialize)]
struct Body {
    data: Vec<Point>,
    meta: Meta,
}

#[derive(Deserialize)]
struct Point {
    point_time: String,
    #[serde(default)]
    value: Value,
}

#[derive(Deserialize)]
struct Meta {
    region: String,
    signal_type: String,
    units: String,
    data_point_period_seconds: Option<u32>,
    model: Option<Model>,
}

#[derive(Deserialize)]
struct Model {
    date: Option<String>,
}

/// The slots of an answer for `zone`, which WattTime calls `region`.
///
/// # Errors
/// Where it is none of theirs, for another region or signal, or in another unit.
pub fn parse(
    text: &str,
    zone: &str,
    region: &str,
    signal_type: SignalType,
    basis: IntensityBasis,
) -> Result<Vec<Slot>, ProviderError> {
    let Body { data, meta } = json(text)?;
    echoed("region", region, &meta.region)?;
    if meta.signal_type != signal_type.as_str() {
        return Err(malformed(format!("it is not of {}", signal_type.as_str())));
    }
    if meta.units != UNITS {
        return Err(malformed(format!("it is not in {UNITS}")));
    }
    let series = Series {
        zone: &normalized_zone(zone),
        kind: signal_type.signal(),
        source: &meta.source(),
        scale: G_PER_KWH_OF_LB_PER_MWH,
    };
    let length = meta.period()?;
    let mut slots = Vec::with_capacity(data.len());
    for point in data {
        let from = time(&point.point_time)?;
        slots.extend(series.slot(from, end(from, length)?, &point.value, basis));
    }
    Ok(slots)
}

impl Meta {
    /// With the model's date, where it is one.
    fn source(&self) -> String {
        let date = self.model.as_ref().and_then(|model| model.date.as_ref());
        match date.and_then(|date| date.parse::<Date>().ok()) {
            Some(date) => format!("WattTime v3, model {date}"),
            None => "WattTime v3".to_owned(),
        }
    }

    fn period(&self) -> Result<SignedDuration, ProviderError> {
        match self.data_point_period_seconds {
            None => Ok(FIVE_MINUTES),
            Some(seconds @ 1..=86_400) => Ok(SignedDuration::from_secs(seconds.into())),
            Some(seconds) => Err(malformed(format!("{seconds} s is no length of a slot"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"{"data":[{"point_time":"2026-04-01T00:00:00+00:00","value":412.5},
        {"point_time":"2026-04-01T00:05:00+00:00","value":null}],
        "meta":{"region":"CAISO_NORTH","signal_type":"co2_moer","units":"lbs_co2_per_mwh","data_point_period_seconds":300,
        "model":{"date":"2026-03-01"},"warnings":[]}}"#;

    fn check(text: &str) -> Result<Vec<Slot>, ProviderError> {
        parse(
            text,
            "us-cal",
            "CAISO_NORTH",
            SignalType::Marginal,
            IntensityBasis::Estimated,
        )
    }

    #[test]
    fn pounds_become_grams_and_the_model_is_named() {
        let slots = check(ANSWER).unwrap();
        let [slot] = &slots[..] else {
            panic!("{slots:?}")
        };
        assert_eq!(slot.g_per_kwh, 412.5 * 0.453_592_37);
        assert_eq!(slot.source, "WattTime v3, model 2026-03-01");
        assert_eq!(slot.intensity_zone, "US-CAL");
        assert_eq!(slot.to.to_string(), "2026-04-01T00:05:00Z");
        assert_eq!(
            check(&ANSWER.replace("2026-03-01", "x")).unwrap()[0].source,
            "WattTime v3"
        );
    }

    #[test]
    fn what_was_not_asked_for_is_not_taken() {
        for (from, to, name) in [
            ("CAISO_NORTH", "PJM_DC", "unknown_zone"),
            ("co2_moer", "co2_aoer", "malformed"),
            ("lbs_co2_per_mwh", "kg_co2_per_mwh", "malformed"),
            ("300", "0", "malformed"),
            ("+00:00", "", "malformed"),
            ("\"data\"", "\"points\"", "malformed"),
        ] {
            let text = ANSWER.replace(from, to);
            assert_eq!(check(&text).unwrap_err().name(), name, "{to}");
        }
    }

    #[test]
    fn signals_are_kinds() {
        assert_eq!(SignalType::Marginal.signal().as_str(), "marginal-direct");
        assert_eq!(
            SignalType::Average.signal().as_str(),
            "average-direct-production"
        );
    }
}
