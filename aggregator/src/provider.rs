//! Who tells the carbon intensity of a grid while the server runs: one trait, a file for each provider, one list.
//!
//! A provider asks, checks what it is answered and makes slots of it; when it is asked, and what becomes of the slots,
//! is [`crate::feed`]'s. Each has a function from text to slots that does no I/O; HTTP is in `http`. None reads a clock.

mod answer;
pub mod electricitymaps;
pub mod file;
mod http;
mod key;
pub mod neso;
mod pace;
mod points;
pub mod rte;
mod settings;
pub mod watttime;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::intensity::{Signal, Slot};

pub use key::{Key, Secret};
pub use points::{pages, tidy};
pub use settings::Settings;

pub(crate) use points::place;

/// The providers that are asked over the network. `static` (nobody is asked) and `file:PATH` stand beside them.
pub const KINDS: [ProviderKind; 4] = [electricitymaps::KIND, watttime::KIND, neso::KIND, rte::KIND];

/// A provider that can be chosen.
#[derive(Clone, Copy, Debug)]
pub struct ProviderKind {
    /// Its name in `--intensity`, in the config file and in metrics.
    pub name: &'static str,
    /// What its key is, such as `USER:PASSWORD`; `None` where it asks for none.
    pub key: Option<&'static str>,
    /// Settings that it has beside `url` and `key_file`.
    pub settings: &'static [&'static str],
    /// Makes it; says in words what is wrong with its settings.
    pub open: fn(&Settings) -> Result<Arc<dyn IntensityProvider>, String>,
}

/// Slots, or why there are none, some time later.
pub type Answer<'a> = Pin<Box<dyn Future<Output = Result<Vec<Slot>, ProviderError>> + Send + 'a>>;

/// Tells the intensity of zones. Times are UTC; slots are half-open, whole, in order and each there once.
pub trait IntensityProvider: fmt::Debug + Send + Sync {
    /// Its name, as in [`ProviderKind::name`].
    fn name(&self) -> &'static str;

    /// What its figures count; `None` where each slot says so for itself.
    fn signal(&self) -> Option<Signal>;

    /// When to ask for what.
    fn rhythm(&self) -> Rhythm;

    /// Whether it has a zone, as far as can be told without asking.
    fn coverage(&self, zone: &str) -> Coverage;

    /// The slots that touch `from` to `to`, which is not after now: measured and estimated, and forecasts where these are
    /// all that there is. What the provider does not know is a gap. Longer times than one request may have are
    /// asked for in several.
    ///
    /// # Errors
    /// [`ProviderError`]; then nothing is known of any part of the time.
    fn history<'a>(&'a self, zone: &'a str, from: Timestamp, to: Timestamp) -> Answer<'a>;

    /// The forecast from `now` on; empty from a provider that makes none.
    ///
    /// # Errors
    /// [`ProviderError`].
    fn forecast<'a>(&'a self, zone: &'a str, now: Timestamp) -> Answer<'a>;
}

/// When a provider has what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// Length of its slots, where they have one.
    pub slot: SignedDuration,
    /// How often there may be something new.
    pub every: Duration,
    /// How often there may be a new forecast.
    pub forecast_every: Duration,
    /// How far back figures are still revised: so far is asked for each time.
    pub revised: SignedDuration,
    /// How far back it is asked at the most, after an outage or for a ledger that knows nothing yet.
    pub back_fill: SignedDuration,
    /// The longest time of one request.
    pub window: SignedDuration,
}

/// Whether a provider has a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// It has, or only it can tell.
    Has,
    /// Not now, and perhaps later.
    NotYet,
    /// It never has.
    Lacks,
}

/// Why a provider gave no slots. No message has anything of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// It wants to be asked less often; after how long again, where it says so.
    #[error("it wants to be asked less often, or does not take the key any more")]
    Throttled(Option<Duration>),
    /// It does not take the key.
    #[error("it does not take the key: {0}")]
    Unauthorized(String),
    /// What was asked for is not in the plan that was paid for, or there is no such thing.
    #[error("it refuses: {0}")]
    Refused(String),
    /// It does not know the zone, or has answered for another one.
    #[error("it does not know the zone: {0}")]
    UnknownZone(String),
    /// It does not take the time that it was asked about.
    #[error("it does not take the request: {0}")]
    BadWindow(String),
    /// There was no whole answer.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It answers, and has no figure for a time of which it should have some.
    #[error("it tells of nothing since {0}")]
    Empty(Timestamp),
    /// The answer is none that this provider gives.
    #[error("its answer cannot be read: {0}")]
    Malformed(String),
}

impl ProviderError {
    /// Label values that [`ProviderError::name`] may have.
    pub const NAMES: [&str; 8] = [
        "throttled",
        "unauthorized",
        "refused",
        "unknown_zone",
        "bad_window",
        "unreachable",
        "malformed",
        "empty",
    ];

    /// Gives it another text, where it has one.
    fn change_text(&mut self, change: impl Fn(&str) -> String) {
        match self {
            Self::Throttled(_) | Self::Empty(_) => {}
            Self::Unauthorized(said)
            | Self::Refused(said)
            | Self::UnknownZone(said)
            | Self::BadWindow(said)
            | Self::Unreachable(said)
            | Self::Malformed(said) => *said = change(said),
        }
    }

    /// One word for it, as a label.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        let place = match self {
            Self::Throttled(_) => 0,
            Self::Unauthorized(_) => 1,
            Self::Refused(_) => 2,
            Self::UnknownZone(_) => 3,
            Self::BadWindow(_) => 4,
            Self::Unreachable(_) => 5,
            Self::Malformed(_) => 6,
            Self::Empty(_) => 7,
        };
        Self::NAMES[place]
    }
}

/// The provider of a name that is asked over the network.
#[must_use]
pub fn kind_named(name: &str) -> Option<&'static ProviderKind> {
    KINDS.iter().find(|kind| kind.name == name)
}
