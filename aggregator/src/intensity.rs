//! Carbon intensity of the grid: slots, their kinds, and the tables that come with the program: yearly averages, and the
//! grids of cloud regions.

pub mod csv;
pub mod errors;
mod grid;
pub mod regions;
mod signal;
mod timeline;
mod yearly;

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use grid::{Grid, Grids, Spreads};
pub use signal::{Signal, UnknownSignal};
pub use timeline::timeline;
pub use yearly::{YearlyIntensity, citation, yearly, yearly_all, yearly_nearest};

/// The largest intensity that is believed, in gCO2e/kWh: over four times the dirtiest coal plant.
pub const MAX_G_PER_KWH: f64 = 5000.0;

/// How a figure came about, from the best to the coarsest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum IntensityBasis {
    /// Settled by the grid's operator.
    Measured,
    /// A provider's estimate for a time past.
    Estimated,
    /// Made before its time came.
    Forecast,
    /// The average of a year.
    Annual,
}

/// A word that names no basis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown basis '{0}': one of measured, estimated, forecast, annual")]
pub struct UnknownBasis(String);

impl IntensityBasis {
    /// All of them, from the best to the coarsest.
    pub const ALL: [Self; 4] = [
        Self::Measured,
        Self::Estimated,
        Self::Forecast,
        Self::Annual,
    ];

    /// As it is written everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Measured => "measured",
            Self::Estimated => "estimated",
            Self::Forecast => "forecast",
            Self::Annual => "annual",
        }
    }
}

impl fmt::Display for IntensityBasis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for IntensityBasis {
    type Err = UnknownBasis;

    fn from_str(text: &str) -> Result<Self, UnknownBasis> {
        Self::ALL
            .into_iter()
            .find(|basis| basis.as_str() == text)
            .ok_or_else(|| UnknownBasis(text.to_owned()))
    }
}

/// One slot of one intensity zone, half-open in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Slot {
    /// Grid, such as `FR`.
    pub intensity_zone: String,
    /// Start, inclusive.
    #[schema(value_type = String, format = DateTime)]
    pub from: Timestamp,
    /// End, exclusive.
    #[schema(value_type = String, format = DateTime)]
    pub to: Timestamp,
    /// gCO2e per kWh, 0 or more.
    pub g_per_kwh: f64,
    /// What the figure counts.
    pub kind: Signal,
    /// How it came about.
    pub basis: IntensityBasis,
    /// Who says so.
    pub source: String,
}

/// The first rule that a slot breaks.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum InvalidSlot {
    /// It is for no zone.
    #[error("intensity_zone is empty")]
    NoZone,
    /// It has no length, or less.
    #[error("to is not after from")]
    Times,
    /// It is shorter than a second.
    #[error("it is shorter than a second")]
    Short,
    /// It is no forecast, and not over.
    #[error("it is {0} and not over before {1}: say that its basis is forecast, or annual")]
    NotOver(IntensityBasis, Timestamp),
    /// Nobody says so.
    #[error("source is empty")]
    NoSource,
    /// Its figure is no intensity.
    #[error("g_per_kwh {0} is not within 0 to {MAX_G_PER_KWH}")]
    Figure(f64),
}

impl Slot {
    /// Checks what every slot must keep, wherever it comes from.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn validate(&self) -> Result<(), InvalidSlot> {
        if self.intensity_zone.is_empty() {
            return Err(InvalidSlot::NoZone);
        }
        if self.source.is_empty() {
            return Err(InvalidSlot::NoSource);
        }
        if self.to <= self.from {
            return Err(InvalidSlot::Times);
        }
        if self.from.duration_until(self.to) < SignedDuration::from_secs(1) {
            return Err(InvalidSlot::Short);
        }
        if !(0.0..=MAX_G_PER_KWH).contains(&self.g_per_kwh) {
            return Err(InvalidSlot::Figure(self.g_per_kwh));
        }
        Ok(())
    }
}

/// So much of what is under way may be told of as known.
const SOON: SignedDuration = SignedDuration::from_hours(24);

impl Slot {
    /// Checks that nobody claims to have measured or estimated what is to come. A slot that has begun, and ends within a day,
    /// may be told of.
    ///
    /// # Errors
    /// Where its basis says so.
    pub fn validate_at(&self, now: Timestamp) -> Result<(), InvalidSlot> {
        let is_told = matches!(
            self.basis,
            IntensityBasis::Measured | IntensityBasis::Estimated
        );
        let soon = now.checked_add(SOON).unwrap_or(now);
        if is_told && (self.from > now || self.to > soon) {
            return Err(InvalidSlot::NotOver(self.basis, self.to));
        }
        Ok(())
    }
}

/// An intensity zone as it is compared and kept: without spaces around it, in upper case.
#[must_use]
pub fn normalized_zone(intensity_zone: &str) -> String {
    intensity_zone.trim().to_ascii_uppercase()
}
