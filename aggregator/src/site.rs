//! Sites: where nodes stand, what grid feeds them and what their building adds.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Site {
    /// Its name, `default` where none was given.
    pub name: String,
    /// Intensity zone of its grid, such as `FR`; `None` where nobody said: then there are no grams.
    pub intensity_zone: Option<String>,
    /// Power usage effectiveness: facility energy over IT energy, 1 or more.
    pub pue: f64,
}
