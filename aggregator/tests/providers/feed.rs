//! The task that feeds the ledger, on a clock that goes as fast as there is nothing to do.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aggregator::access::{Access, TokenFiles};
use aggregator::app::App;
use aggregator::config::{ServeArgs, ServeConfig};
use aggregator::feed::Feed;
use aggregator::intensity::{IntensityBasis, Signal, Slot};
use aggregator::provider::{Answer, Coverage, IntensityProvider, ProviderError, Rhythm};
use aggregator::store::{SqliteStore, Store};
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::conformance::{at, hours};

const RHYTHM: Rhythm = Rhythm {
    slot: SignedDuration::from_mins(30),
    every: Duration::from_secs(600),
    forecast_every: Duration::from_secs(3600),
    revised: SignedDuration::from_hours(2),
    back_fill: SignedDuration::from_hours(48),
    window: SignedDuration::from_hours(24),
};

/// What a provider says to a question about a time.
type Script = Box<dyn Fn(Timestamp) -> Result<f64, ProviderError> + Send + Sync>;

/// A provider that says what a test wants, and remembers what it was asked and when.
struct Scripted {
    signal: Signal,
    /// By the time at which it is asked.
    script: Script,
    forecast: Result<f64, ProviderError>,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    asked: Mutex<Vec<(Timestamp, Timestamp, Timestamp)>>,
    forecasts: Mutex<usize>,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("scripted")
    }
}

pub(crate) fn slots(
    from: Timestamp,
    to: Timestamp,
    figure: f64,
    basis: IntensityBasis,
) -> Vec<Slot> {
    let starts = std::iter::successors(Some(from), |&start| Some(start + RHYTHM.slot));
    let starts = starts.take_while(|&start| start < to);
    starts
        .map(|from| Slot {
            intensity_zone: "X".to_owned(),
            from,
            to: from + RHYTHM.slot,
            g_per_kwh: figure,
            kind: signal(),
            basis,
            source: "scripted".to_owned(),
        })
        .collect()
}

pub(crate) fn signal() -> Signal {
    "average-direct-consumption".parse().unwrap()
}

impl IntensityProvider for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
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

    fn history<'a>(&'a self, _: &'a str, from: Timestamp, to: Timestamp) -> Answer<'a> {
        let now = (self.clock)();
        self.asked.lock().unwrap().push((now, from, to));
        let told =
            (self.script)(now).map(|figure| slots(from, to, figure, IntensityBasis::Measured));
        Box::pin(async { told })
    }

    fn forecast<'a>(&'a self, _: &'a str, now: Timestamp) -> Answer<'a> {
        *self.forecasts.lock().unwrap() += 1;
        let told = self.forecast.clone();
        let told = told.map(|figure| slots(now, now + hours(1), figure, IntensityBasis::Forecast));
        Box::pin(async { told })
    }
}

/// A ledger, and a feed of it that runs since [`start`].
pub(crate) struct Fed {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) app: Arc<App>,
    provider: Arc<Scripted>,
    stop: CancellationToken,
    _directory: TempDir,
}

pub(crate) fn start() -> Timestamp {
    at("2026-01-05T12:00:00Z")
}

fn app() -> (TempDir, Arc<SqliteStore>, Arc<App>) {
    let directory = TempDir::new().unwrap();
    let args = ServeArgs {
        data_dir: Some(directory.path().to_owned()),
        ..ServeArgs::default()
    };
    let store = Arc::new(SqliteStore::open(directory.path()).unwrap());
    let access = Access::open(store.clone(), TokenFiles::default(), false).unwrap();
    let app = App::new(store.clone(), access, &ServeConfig::read(args).unwrap());
    (directory, store, Arc::new(app))
}

/// Feeds a ledger that knows some slots, with what `script` says.
pub(crate) fn feed(
    known: &[Slot],
    forecast: Result<f64, ProviderError>,
    script: impl Fn(Timestamp) -> Result<f64, ProviderError> + Send + Sync + 'static,
) -> Fed {
    let (directory, store, app) = app();
    store.put_slots(known, start()).unwrap();
    let begun = Instant::now();
    let clock = move || start() + SignedDuration::try_from(begun.elapsed()).unwrap();
    let provider = Arc::new(Scripted {
        signal: signal(),
        script: Box::new(script),
        forecast,
        clock: Arc::new(clock),
        asked: Mutex::default(),
        forecasts: Mutex::default(),
    });
    let stop = CancellationToken::new();
    let feed = Feed::new(provider.clone(), "X".to_owned()).by_clock(Arc::new(clock));
    tokio::spawn(feed.run(Arc::clone(&app), stop.clone()));
    Fed {
        store,
        app,
        provider,
        stop,
        _directory: directory,
    }
}

impl Fed {
    /// Times at which it was asked.
    fn asked(&self) -> Vec<Timestamp> {
        let asked = self.provider.asked.lock().unwrap();
        asked.iter().map(|(now, ..)| *now).collect()
    }

    /// The first time that it was asked for.
    fn first(&self) -> Timestamp {
        self.provider.asked.lock().unwrap()[0].1
    }

    fn told(&self, from: Timestamp, to: Timestamp, basis: IntensityBasis) -> Vec<(Timestamp, f64)> {
        let slots = self.store.slots("X", from, to, None).unwrap().into_iter();
        let told = slots.filter(|slot| slot.basis == basis);
        told.map(|slot| (slot.from, slot.g_per_kwh)).collect()
    }

    fn metrics(&self) -> String {
        self.app.metrics.render(std::time::Instant::now()).unwrap()
    }
}

pub(crate) fn down() -> ProviderError {
    ProviderError::Unreachable("nobody is there".to_owned())
}

pub(crate) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

#[tokio::test(start_paused = true)]
async fn after_an_outage_the_hole_is_filled() {
    // Longer than what is asked for each time.
    let outage = start() + hours(1)..start() + hours(8);
    let gone = outage.clone();
    let fed = feed(&[], Ok(7.0), move |now| {
        if gone.contains(&now) {
            Err(down())
        } else {
            Ok(50.0)
        }
    });
    sleep(minutes(7 * 60)).await;
    let during = fed.told(start(), start() + hours(7), IntensityBasis::Measured);
    assert!(during.len() <= 3, "{during:?}");
    let up = "hxmlops_intensity_provider_up{intensity_zone=\"X\",provider=\"scripted\"}";
    assert!(fed.metrics().contains(&format!("{up} 0")));

    sleep(minutes(3 * 60)).await;
    let (from, to) = (start() - RHYTHM.back_fill, start() + hours(9));
    let expected = slots(from, to, 50.0, IntensityBasis::Measured);
    let expected: Vec<_> = expected.iter().map(|slot| (slot.from, 50.0)).collect();
    assert_eq!(fed.told(from, to, IntensityBasis::Measured), expected);
    assert!(fed.metrics().contains(&format!("{up} 1")));
    assert!(!fed.told(from, to, IntensityBasis::Forecast).is_empty());
}

#[tokio::test(start_paused = true)]
async fn it_begins_where_the_ledger_ends() {
    let ago = |hours| start() - self::hours(hours);
    let known = |end| slots(ago(60), end, 1.0, IntensityBasis::Measured);
    let of_other_kind = || {
        let mut slots = known(ago(1));
        slots
            .iter_mut()
            .for_each(|slot| slot.kind = Signal::default());
        slots
    };
    let forecast = slots(ago(60), ago(1), 1.0, IntensityBasis::Forecast);
    for (known, expected) in [
        (vec![], ago(48)),
        (known(ago(5)), ago(5)),
        (known(ago(1)), ago(2)),
        (known(ago(55)), ago(48)),
        (of_other_kind(), ago(48)),
        (forecast, ago(48)),
    ] {
        let fed = feed(&known, Ok(1.0), |_| Ok(50.0));
        sleep(minutes(1)).await;
        assert_eq!(fed.first(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_followed_by_longer_and_longer_pauses() {
    let fed = feed(&[], Ok(1.0), |_| Err(down()));
    sleep(minutes(10 * 60)).await;
    let asked = fed.asked();
    let pauses: Vec<i64> = asked
        .windows(2)
        .map(|pair| pair[0].duration_until(pair[1]).as_secs())
        .collect();
    for (number, pause) in pauses.iter().enumerate() {
        let longest = (60 << number.min(10)).min(3600);
        assert!(
            (longest / 2..=longest).contains(pause),
            "{number}: {pauses:?}"
        );
    }
    assert!(pauses.len() >= 12, "{pauses:?}");
    assert_eq!(*fed.provider.forecasts.lock().unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn it_waits_as_long_as_it_is_told_to() {
    let after = Duration::from_secs(5 * 3600);
    let fed = feed(&[], Ok(1.0), move |_| {
        Err(ProviderError::Throttled(Some(after)))
    });
    sleep(minutes(11 * 60)).await;
    assert_eq!(fed.asked().len(), 3);
    let throttled =
        "hxmlops_intensity_provider_requests_total{provider=\"scripted\",result=\"throttled\"} 3";
    assert!(fed.metrics().contains(throttled));
}

#[tokio::test(start_paused = true)]
async fn a_revised_figure_is_told_within_what_is_revised() {
    let fed = feed(&[], Ok(1.0), |now| {
        Ok(if now < start() + hours(1) { 50.0 } else { 40.0 })
    });
    sleep(minutes(80)).await;
    let told = fed.told(
        start() - hours(3),
        start() + hours(1),
        IntensityBasis::Measured,
    );
    let mut before = told.iter().filter(|(_, figure)| *figure == 50.0);
    // Two hours before its second figure was first told, and no further.
    assert!(
        before.next_back().unwrap().0 < start() - SignedDuration::from_mins(50),
        "{told:?}"
    );
    assert_eq!(told.last().unwrap().1, 40.0);
}

#[tokio::test(start_paused = true)]
async fn a_forecast_that_is_not_in_the_plan_is_asked_for_once() {
    let fed = feed(
        &[],
        Err(ProviderError::Refused("not in your plan".to_owned())),
        |_| Ok(50.0),
    );
    sleep(minutes(5 * 60)).await;
    assert_eq!(*fed.provider.forecasts.lock().unwrap(), 1);
    assert!(fed.asked().len() > 20);
    let up = "hxmlops_intensity_provider_up{intensity_zone=\"X\",provider=\"scripted\"} 1";
    assert!(fed.metrics().contains(up));
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_it_is_told_to() {
    let fed = feed(&[], Ok(1.0), |_| Ok(50.0));
    sleep(minutes(15)).await;
    let asked = fed.asked().len();
    fed.stop.cancel();
    sleep(minutes(60)).await;
    assert_eq!(fed.asked().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_before_is_not_written_again() {
    let fed = feed(&[], Ok(1.0), |_| Ok(50.0));
    sleep(minutes(1)).await;
    let corrected = slots(start() - hours(1), start(), 45.0, IntensityBasis::Measured);
    fed.store.put_slots(&corrected, start()).unwrap();
    sleep(minutes(30)).await;
    let told = fed.told(start() - hours(2), start(), IntensityBasis::Measured);
    let figures: Vec<f64> = told.iter().map(|(_, figure)| *figure).collect();
    assert_eq!(figures, [50.0, 50.0, 45.0, 45.0]);
}
