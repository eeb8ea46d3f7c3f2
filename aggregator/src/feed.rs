//! Feeds the ledger with the intensity of one zone from one provider, as long as the server runs.
//!
//! Owns when a provider is asked for what, what is done when it fails, and that holes are filled afterwards. How it is asked is the
//! provider's, how often all zones together may ask too ([`crate::provider`]); revisions are the store's.

mod pause;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::error::ApiError;
use crate::intensity::{IntensityBasis, Slot};
use crate::provider::{IntensityProvider, ProviderError, Rhythm, pages, place};
use crate::serve::show_current;

/// Slots of one transaction: agents' batches have their turn in between.
const SLOTS_PER_WRITE: usize = 2_000;

/// Tells the time of day.
type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One zone, and who is asked about it.
pub struct Feed {
    provider: Arc<dyn IntensityProvider>,
    zone: String,
    clock: Clock,
}

/// What is remembered from round to round.
#[derive(Debug, Default)]
struct State {
    /// Until when the ledger has what the provider had; `None` before the first answer.
    known_until: Option<Timestamp>,
    /// What was told last, which need not be written again: a file of a year is told whole each time.
    history: Vec<Slot>,
    forecast: Vec<Slot>,
    /// When a forecast is asked for again; `None`: now.
    forecast_due: Option<Timestamp>,
    /// The provider makes none for us.
    has_no_forecast: bool,
    /// Rounds that failed one after the other.
    failures: u32,
    /// What was said last about how it goes.
    said: Option<&'static str>,
    said_of_forecast: Option<&'static str>,
}

/// Why a round came to nothing.
enum Failure {
    Provider(ProviderError),
    Ledger(ApiError),
}

impl Feed {
    /// For one zone, as it is kept.
    #[must_use]
    pub fn new(provider: Arc<dyn IntensityProvider>, zone: String) -> Self {
        Self {
            provider,
            zone,
            clock: Arc::new(Timestamp::now),
        }
    }

    /// By another clock, which goes as fast as tokio's.
    #[must_use]
    pub fn by_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
    }

    /// Asks until `stop`: first for what the ledger lacks, then as often as there may be something new.
    pub async fn run(self, app: Arc<App>, stop: CancellationToken) {
        let mut state = State::default();
        loop {
            let pause = tokio::select! {
                () = stop.cancelled() => return,
                pause = self.round(&app, &mut state) => pause,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// One round of questions; returns the time until the next.
    async fn round(&self, app: &Arc<App>, state: &mut State) -> Duration {
        let now = (self.clock)();
        let told = self.history(app, state, now).await;
        if told.is_ok() {
            self.forecast(app, state, now).await;
        }
        self.note(app, state, told.as_ref().err(), now);
        match told {
            Ok(()) => pause::after_success(self.provider.rhythm().every, fastrand::f64()),
            Err(Failure::Provider(ProviderError::Throttled(Some(after)))) => {
                pause::after_failure(state.failures, fastrand::f64()).max(after)
            }
            Err(_) => pause::after_failure(state.failures, fastrand::f64()),
        }
    }

    /// Asks for the past that is still revised, and for what the ledger lacks before it; each piece is written when it is there.
    async fn history(
        &self,
        app: &Arc<App>,
        state: &mut State,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let rhythm = self.provider.rhythm();
        let from = self.start(app, state, now).await?;
        for (from, to) in pages(from, now, rhythm.slot, rhythm.window) {
            let told = self.provider.history(&self.zone, from, to).await;
            let told = told.and_then(|slots| not_empty(slots, &rhythm, from, to, now));
            let slots = self.counted(app, told).map_err(Failure::Provider)?;
            self.write(app, slots, &mut state.history).await?;
            state.known_until = Some(to);
        }
        Ok(())
    }

    /// From when on history is asked for.
    async fn start(
        &self,
        app: &Arc<App>,
        state: &State,
        now: Timestamp,
    ) -> Result<Timestamp, Failure> {
        let rhythm = self.provider.rhythm();
        let ago = |length| now.checked_sub(length).unwrap_or(Timestamp::MIN);
        let (earliest, revised) = (ago(rhythm.back_fill), ago(rhythm.revised));
        if revised <= earliest {
            return Ok(earliest);
        }
        let known_until = match state.known_until {
            Some(known_until) => Some(known_until),
            None => self.known_until(app, earliest, now).await?,
        };
        Ok(known_until.unwrap_or(earliest).clamp(earliest, revised))
    }

    /// Where the first gap begins in what the ledger has of the provider's kind since a time, forecasts aside.
    async fn known_until(
        &self,
        app: &Arc<App>,
        from: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Failure> {
        let (zone, signal) = (self.zone.clone(), self.provider.signal());
        let slots = app.read(move |app| Ok(app.store.slots(&zone, from, now, None)?));
        let slots = slots.await.map_err(Failure::Ledger)?;
        let is_history = |slot: &&Slot| {
            let is_told = slot.basis <= IntensityBasis::Estimated;
            is_told && signal.is_none_or(|signal| signal == slot.kind)
        };
        let mut known_until = from;
        for slot in slots.iter().filter(is_history) {
            if slot.from > known_until {
                break;
            }
            known_until = known_until.max(slot.to);
        }
        Ok((known_until > from).then_some(known_until))
    }

    /// Asks for a forecast where it is time for one. What becomes of it is no failure of the round.
    async fn forecast(&self, app: &Arc<App>, state: &mut State, now: Timestamp) {
        if state.has_no_forecast || state.forecast_due.is_some_and(|due| now < due) {
            return;
        }
        let told = self.provider.forecast(&self.zone, now).await;
        let written = match self.counted(app, told) {
            Ok(slots) => self.write(app, slots, &mut state.forecast).await,
            Err(error) => Err(Failure::Provider(error)),
        };
        let (provider, zone) = (self.provider.name(), &self.zone);
        match &written {
            Ok(()) => {
                let due = now.checked_add(self.provider.rhythm().forecast_every);
                state.forecast_due = due.ok();
            }
            Err(Failure::Provider(ProviderError::Refused(reason))) => {
                state.has_no_forecast = true;
                tracing::warn!(
                    provider,
                    intensity_zone = zone,
                    "{provider} is asked for no forecast of {zone} any more: {reason}"
                );
            }
            Err(failure) if state.said_of_forecast != Some(failure.name()) => {
                tracing::warn!(
                    provider,
                    intensity_zone = zone,
                    "there is no new forecast of {zone} from {provider}: {failure}"
                );
            }
            Err(_) => {}
        }
        state.said_of_forecast = written.err().map(|failure| failure.name());
    }

    fn counted(
        &self,
        app: &App,
        told: Result<Vec<Slot>, ProviderError>,
    ) -> Result<Vec<Slot>, ProviderError> {
        let error = told.as_ref().err();
        app.metrics
            .count_provider_answer(self.provider.name(), error);
        told
    }

    /// Writes those slots that are not among those written last, and shows the intensity that they make.
    async fn write(
        &self,
        app: &Arc<App>,
        slots: Vec<Slot>,
        last: &mut Vec<Slot>,
    ) -> Result<(), Failure> {
        let now = (self.clock)();
        for chunk in unknown(&slots, last).chunks(SLOTS_PER_WRITE) {
            let chunk = chunk.to_vec();
            let write = move |app: &App| {
                if app.ledger.put_slots(&chunk, now)? > 0 {
                    show_current(app, now);
                }
                Ok(())
            };
            app.ingest(write).await.map_err(Failure::Ledger)?;
        }
        *last = slots;
        Ok(())
    }

    /// Shows how it went, and says so where that has changed.
    fn note(&self, app: &App, state: &mut State, failure: Option<&Failure>, now: Timestamp) {
        let (provider, zone) = (self.provider.name(), &self.zone);
        match failure {
            None => {
                app.metrics.show_provider(provider, zone, Some(now));
                if state.said != Some(OK) {
                    tracing::info!(
                        provider,
                        intensity_zone = zone,
                        "{provider} tells the intensity of {zone}"
                    );
                }
                state.failures = 0;
            }
            Some(failure) => {
                if matches!(failure, Failure::Provider(_)) {
                    app.metrics.show_provider(provider, zone, None);
                }
                if state.said != Some(failure.name()) {
                    tracing::warn!(
                        provider,
                        intensity_zone = zone,
                        "the intensity of {zone} cannot be had from {provider} now, and will be asked for again: {failure}"
                    );
                }
                state.failures = state.failures.saturating_add(1);
            }
        }
        state.said = Some(failure.map_or(OK, Failure::name));
    }
}

/// What was told, where it has anything of the end of a time that ends now: what lies further back may be a gap of the provider's.
fn not_empty(
    slots: Vec<Slot>,
    rhythm: &Rhythm,
    from: Timestamp,
    to: Timestamp,
    now: Timestamp,
) -> Result<Vec<Slot>, ProviderError> {
    let since = now.checked_sub(rhythm.revised).unwrap_or(from).max(from);
    let is_recent = |slot: &Slot| slot.to > since;
    if to < now || since + rhythm.slot >= now || slots.iter().any(is_recent) {
        return Ok(slots);
    }
    Err(ProviderError::Empty(since))
}

/// The slots that are not, or are others, among those that are known; both are in order.
fn unknown(slots: &[Slot], known: &[Slot]) -> Vec<Slot> {
    let is_known = |slot: &Slot| {
        let at = known.binary_search_by_key(&place(slot), place);
        at.is_ok_and(|at| known[at] == *slot)
    };
    let slots = slots.iter().filter(|slot| !is_known(slot));
    slots.cloned().collect()
}

/// Stands among the names of failures for none.
const OK: &str = "ok";

impl Failure {
    const fn name(&self) -> &'static str {
        match self {
            Self::Provider(error) => error.name(),
            Self::Ledger(_) => "ledger",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(error) => error.fmt(f),
            Self::Ledger(error) => write!(f, "the ledger does not take it: {}", error.message),
        }
    }
}
