//! Carbon intensity of the grid: slots, their kinds, and the yearly table that comes with the program.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

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

/// What a figure counts. Figures of two signals are never added or compared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String)]
pub struct Signal(String);

impl Signal {
    /// The signal's name, such as `average-lifecycle-production`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Signal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Ok(Self(text))
    }
}

impl From<Signal> for String {
    fn from(signal: Signal) -> Self {
        signal.0
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
