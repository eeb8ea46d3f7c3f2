//! Software carbon intensity (SCI, ISO/IEC 21031:2024): (E x I + M) per R.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a run made, as its user declares it: R.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionalUnit {
    /// Its name, such as `1000 inferences`.
    pub unit: String,
    /// How many of them the run made.
    pub count: NonZeroU64,
}

/// Software carbon intensity of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Sci {
    /// The functional unit.
    pub unit: String,
    /// How many of them the run made.
    pub count: u64,
    /// E x I, per unit; null where the grams are not known.
    pub operational_grams_per_unit: Option<f64>,
    /// M, per unit; null where the nodes' inventory is not known.
    pub embodied_grams_per_unit: Option<f64>,
    /// Both together; null where one of them is not known, since it would not be an SCI.
    pub grams_per_unit: Option<f64>,
}

impl FunctionalUnit {
    /// The SCI of a run that made these units.
    #[must_use]
    pub fn sci(&self, operational: Option<f64>, embodied: Option<f64>) -> Sci {
        let per_unit = |grams: f64| grams / self.count.get() as f64;
        let both = operational.zip(embodied);
        Sci {
            unit: self.unit.clone(),
            count: self.count.get(),
            operational_grams_per_unit: operational.map(per_unit),
            embodied_grams_per_unit: embodied.map(per_unit),
            grams_per_unit: both.map(|(operational, embodied)| per_unit(operational + embodied)),
        }
    }
}
