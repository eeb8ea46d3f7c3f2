//! The providers under test, each with what stands for its server.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use aggregator::provider::file::FileProvider;
use aggregator::provider::{IntensityProvider, Key, Secret, Settings, kind_named};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use crate::fake::{Answer, Fake, KEY};
use crate::{electricitymaps, neso, rte, watttime};

/// A provider as the suite sees it.
#[derive(Clone, Copy)]
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    pub(crate) zone: &'static str,
    /// A length of slot that it has.
    pub(crate) slot: SignedDuration,
    /// Its answers say for which zone they are.
    pub(crate) echoes: bool,
    /// Its forecast, where it makes one.
    pub(crate) forecasts: bool,
    /// What the requests for history end with; `None` where there are none.
    pub(crate) history: Option<&'static str>,
    answer: Option<Answer>,
}

const fn subject(name: &'static str, zone: &'static str, minutes: i64, answer: Answer) -> Subject {
    Subject {
        name,
        zone,
        slot: SignedDuration::from_mins(minutes),
        echoes: true,
        forecasts: true,
        history: None,
        answer: Some(answer),
    }
}

pub(crate) const SUBJECTS: [Subject; 6] = [
    Subject {
        history: Some("/carbon-intensity/past-range"),
        ..subject("electricitymaps", "DE", 60, electricitymaps::answer)
    },
    Subject {
        history: Some("/v3/historical"),
        ..subject("watttime", "CAISO_NORTH", 5, watttime::answer)
    },
    Subject {
        echoes: false,
        history: Some("Z"),
        ..subject("neso", "GB", 30, neso::answer)
    },
    Subject {
        history: Some("/regionid/7"),
        ..subject("neso", "GB-7", 30, neso::answer)
    },
    Subject {
        echoes: false,
        forecasts: false,
        history: Some("/records"),
        ..subject("rte", "FR", 15, rte::answer)
    },
    Subject {
        name: "file",
        zone: "NO",
        slot: SignedDuration::from_hours(1),
        echoes: false,
        forecasts: false,
        history: None,
        answer: None,
    },
];

/// The subjects that are asked over HTTP.
pub(crate) fn over_http() -> impl Iterator<Item = Subject> {
    SUBJECTS
        .into_iter()
        .filter(|subject| subject.answer.is_some())
}

/// A provider, and what it asks.
pub(crate) struct Running {
    pub(crate) provider: Arc<dyn IntensityProvider>,
    place: Place,
}

enum Place {
    Http(Fake),
    File(TempDir, AtomicU64),
}

impl Subject {
    pub(crate) async fn start(self) -> Running {
        self.start_with(Settings::default()).await
    }

    pub(crate) async fn start_with(self, settings: Settings) -> Running {
        let Some(answer) = self.answer else {
            return start_file();
        };
        let fake = Fake::start(answer).await;
        let kind = kind_named(self.name).unwrap();
        let key = Key::Given(Secret::new(KEY).unwrap());
        let settings = Settings {
            url: Some(fake.url.clone()),
            key: kind.key.map(|_| key),
            ..settings
        };
        Running {
            provider: (kind.open)(&settings).unwrap(),
            place: Place::Http(fake),
        }
    }
}

fn start_file() -> Running {
    let directory = TempDir::new().unwrap();
    let changes = AtomicU64::default();
    write(&path(&directory), 0, &BTreeMap::new());
    Running {
        provider: Arc::new(FileProvider::open(path(&directory)).unwrap()),
        place: Place::File(directory, changes),
    }
}

fn path(directory: &TempDir) -> PathBuf {
    directory.path().join("intensity.csv")
}

impl Running {
    pub(crate) fn fake(&self) -> &Fake {
        match &self.place {
            Place::Http(fake) => fake,
            Place::File(..) => panic!("a file has no server"),
        }
    }

    /// What the provider knows from now on.
    pub(crate) fn set(&self, points: BTreeMap<Timestamp, Option<f64>>) {
        match &self.place {
            Place::Http(fake) => fake.world().points = points,
            Place::File(directory, changes) => {
                write(&path(directory), changes.fetch_add(1, Relaxed) + 1, &points);
            }
        }
    }
}

/// As an operator's script would: gaps are left out. Each change has a time of its own.
fn write(path: &PathBuf, change: u64, points: &BTreeMap<Timestamp, Option<f64>>) {
    let mut text = String::from("intensity_zone,from,to,g_per_kwh,kind,source\n");
    for (&from, figure) in points {
        let to = from + SignedDuration::from_hours(1);
        if let Some(figure) = figure.filter(|figure| (0.0..5000.0).contains(figure)) {
            text += &format!("NO,{from},{to},{figure},,a meter\n");
        }
    }
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + change);
    file.set_modified(time).unwrap();
}
