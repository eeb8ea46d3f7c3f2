//! A file of slots, for sites without a network: CSV as `hxmlops import intensity` takes it, or a JSON list. Read again when it changes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::points::{malformed, touching};
use super::{Answer, Coverage, IntensityProvider, ProviderError, Rhythm, tidy};
use crate::csv_file::name;
use crate::intensity::{IntensityBasis, Signal, Slot, csv, normalized_zone};

/// As it is called in metrics; the choice is `file:PATH`.
pub const NAME: &str = "file";
/// What a choice of a file begins with.
pub const PREFIX: &str = "file:";
/// Bytes of a file that is read: 20 zones' year of 5-minute slots.
const MAX_FILE_BYTES: u64 = 256 << 20;
const EVER: SignedDuration = SignedDuration::from_hours(200 * 365 * 24);
/// All of it counts, however old; it is looked at every minute.
const RHYTHM: Rhythm = Rhythm {
    slot: SignedDuration::from_secs(1),
    every: Duration::from_secs(60),
    forecast_every: Duration::from_secs(60),
    revised: EVER,
    back_fill: EVER,
    window: EVER,
};

/// Slots by zone.
type Zones = Arc<BTreeMap<String, Vec<Slot>>>;

/// Tells what is in a file.
#[derive(Debug)]
pub struct FileProvider(Arc<Content>);

struct Content {
    path: PathBuf,
    read: Mutex<Option<(Stamp, Zones)>>,
}

/// By what a change is seen.
type Stamp = (Option<SystemTime>, u64);

impl FileProvider {
    /// Reads the file.
    ///
    /// # Errors
    /// Where it cannot be read, or is none of slots.
    pub fn open(path: PathBuf) -> Result<Self, ProviderError> {
        let content = Content {
            path,
            read: Mutex::new(None),
        };
        content.zones()?;
        Ok(Self(Arc::new(content)))
    }

    async fn slots(&self, zone: &str) -> Result<Vec<Slot>, ProviderError> {
        let content = Arc::clone(&self.0);
        let zones = tokio::task::spawn_blocking(move || content.zones()).await;
        let zones = zones.unwrap_or_else(|error| Err(malformed(error.to_string())))?;
        Ok(zones
            .get(&normalized_zone(zone))
            .cloned()
            .unwrap_or_default())
    }
}

impl IntensityProvider for FileProvider {
    fn name(&self) -> &'static str {
        NAME
    }

    fn signal(&self) -> Option<Signal> {
        None
    }

    fn rhythm(&self) -> Rhythm {
        RHYTHM
    }

    fn coverage(&self, zone: &str) -> Coverage {
        let read = self.0.read.lock().unwrap_or_else(PoisonError::into_inner);
        let zones = read.as_ref().map(|(_, zones)| zones);
        if zones.is_some_and(|zones| zones.contains_key(&normalized_zone(zone))) {
            Coverage::Has
        } else {
            Coverage::NotYet
        }
    }

    fn history<'a>(&'a self, zone: &'a str, from: Timestamp, to: Timestamp) -> Answer<'a> {
        Box::pin(async move {
            let mut slots = self.slots(zone).await?;
            slots.retain(|slot| slot.basis != IntensityBasis::Forecast);
            Ok(touching(slots, from, to))
        })
    }

    fn forecast<'a>(&'a self, zone: &'a str, now: Timestamp) -> Answer<'a> {
        Box::pin(async move {
            let mut slots = self.slots(zone).await?;
            slots.retain(|slot| slot.basis == IntensityBasis::Forecast && slot.to > now);
            Ok(slots)
        })
    }
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.path.display())
    }
}

impl Content {
    /// What is in the file now.
    fn zones(&self) -> Result<Zones, ProviderError> {
        let unreadable = |error: std::io::Error| {
            ProviderError::Unreachable(format!("{}: {error}", self.path.display()))
        };
        let metadata = fs::metadata(&self.path).map_err(unreadable)?;
        let stamp = (metadata.modified().ok(), metadata.len());
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, zones)) = &*read
            && *seen == stamp
        {
            return Ok(Arc::clone(zones));
        }
        if stamp.1 > MAX_FILE_BYTES {
            let most = MAX_FILE_BYTES >> 20;
            return Err(malformed(format!(
                "{} is larger than {most} MiB",
                self.path.display()
            )));
        }
        let mut content = Vec::new();
        let file = File::open(&self.path).map_err(unreadable)?;
        file.take(MAX_FILE_BYTES)
            .read_to_end(&mut content)
            .map_err(unreadable)?;
        let zones = Arc::new(by_zone(parse(&self.path, &content)?));
        *read = Some((stamp, Arc::clone(&zones)));
        Ok(zones)
    }
}

fn by_zone(slots: Vec<Slot>) -> BTreeMap<String, Vec<Slot>> {
    let mut zones = BTreeMap::<String, Vec<Slot>>::new();
    for slot in slots {
        zones
            .entry(slot.intensity_zone.clone())
            .or_default()
            .push(slot);
    }
    for slots in zones.values_mut() {
        *slots = tidy(std::mem::take(slots));
    }
    zones
}

/// A slot as a person or a script writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    intensity_zone: String,
    from: Timestamp,
    to: Timestamp,
    g_per_kwh: f64,
    #[serde(default)]
    kind: Signal,
    basis: Option<IntensityBasis>,
    source: String,
}

/// The slots of a file: a list in JSON where it begins with `[`, else CSV.
///
/// # Errors
/// The first thing that is wrong with it; then none of its slots counts.
pub fn parse(path: &Path, content: &[u8]) -> Result<Vec<Slot>, ProviderError> {
    let file = path.display().to_string();
    if content.trim_ascii_start().first() != Some(&b'[') {
        return csv::parse(&file, content).map_err(|error| malformed(error.to_string()));
    }
    let wrong = |what: String| malformed(format!("{file}: {what}"));
    let entries: Vec<Entry> =
        serde_json::from_slice(content).map_err(|error| wrong(error.to_string()))?;
    let entries = entries.into_iter().enumerate();
    entries
        .map(|(index, entry)| {
            entry
                .slot()
                .map_err(|fault| wrong(format!("slot {index}: {fault}")))
        })
        .collect()
}

impl Entry {
    fn slot(self) -> Result<Slot, String> {
        let slot = Slot {
            intensity_zone: normalized_zone(&name("intensity_zone", &self.intensity_zone)?),
            from: self.from,
            to: self.to,
            g_per_kwh: self.g_per_kwh,
            kind: self.kind,
            basis: self.basis.unwrap_or(IntensityBasis::Measured),
            source: name("source", &self.source)?,
        };
        slot.validate().map_err(|fault| fault.to_string())?;
        Ok(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "intensity_zone,from,to,g_per_kwh,kind,source,basis
NO,2026-01-05T10:00:00Z,2026-01-05T11:00:00Z,28,,a meter,measured
NO,2026-01-05T11:00:00Z,2026-01-05T12:00:00Z,30,,a meter,forecast
";
    const JSON: &str = r#"
        [{"intensity_zone":"no","from":"2026-01-05T10:00:00Z","to":"2026-01-05T11:00:00Z","g_per_kwh":28,"source":"a meter"},
         {"intensity_zone":"NO","from":"2026-01-05T11:00:00Z","to":"2026-01-05T12:00:00Z","g_per_kwh":30,"source":"a meter",
          "kind":"average-lifecycle-production","basis":"forecast"}]"#;

    #[test]
    fn both_forms_say_the_same() {
        let path = Path::new("f");
        let slots = parse(path, CSV.as_bytes()).unwrap();
        assert_eq!(slots.len(), 2);
        assert_eq!(parse(path, JSON.as_bytes()), Ok(slots));
        assert_eq!(parse(path, b"[]"), Ok(vec![]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |content: &str, expected: &str| {
            let error = parse(Path::new("f.json"), content.as_bytes())
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("f.json") && error.contains(expected),
                "{error}"
            );
        };
        check(&JSON.replace("28", "-28"), "slot 0: g_per_kwh -28");
        check(
            &JSON.replace("T11:00:00Z\",\"to", "T13:00:00Z\",\"to"),
            "slot 1: to is not after from",
        );
        check(
            &JSON.replace("\"source\":\"a meter\",", ""),
            "missing field",
        );
        check(&JSON.replace("source", "sauce"), "sauce");
        check(&CSV.replace("28", "x"), "line 2");
    }
}
