//! Sites: where nodes stand, what grid feeds them, what their building adds and what making them cost.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::intensity::Signal;
use crate::site_map::NodePattern;

/// One site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Site {
    /// Its name, `default` where none was given.
    pub name: String,
    /// Intensity zone of its grid, such as `FR`; `None` where nobody said: then there are no grams.
    pub intensity_zone: Option<String>,
    /// What its grams count.
    #[serde(default)]
    pub signal: Signal,
    /// Who is asked for its intensity, where it is another than for all sites.
    #[serde(default)]
    pub provider: Option<String>,
    /// Power usage effectiveness: facility energy over IT energy, 1 or more.
    pub pue: f64,
    /// The same of years (UTC) in which it was another.
    #[serde(default)]
    pub pue_by_year: BTreeMap<u16, f64>,
    /// Where `pue` is from, where it is not the site's own: such as a cloud's average.
    #[serde(default)]
    pub pue_source: Option<String>,
    /// What its contracts say of its electricity; `None` where nobody said.
    #[serde(default)]
    pub market: Option<MarketFactor>,
    /// What making its nodes cost; the first that fits a node counts.
    #[serde(default)]
    pub embodied: Vec<NodeType>,
    /// When its settings were recorded, up to the time that was asked for; empty of what comes from no ledger.
    #[serde(skip)]
    pub recorded: Vec<Timestamp>,
}

/// Emission factor of electricity as it was bought (GHG Protocol Scope 2, market-based).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MarketFactor {
    /// gCO2e per kWh, 0 or more.
    pub g_per_kwh: f64,
    /// The same of years (UTC) in which it was another.
    #[serde(default)]
    pub by_year: BTreeMap<u16, f64>,
    /// Contract or certificate that says so.
    pub source: String,
}

/// Nodes of one type, and the carbon of making one (SCI, ISO/IEC 21031:2024: TE, EL and ToR).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NodeType {
    /// Its nodes, by name, with `*` and `?`.
    #[schema(value_type = Vec<String>)]
    pub nodes: Vec<NodePattern>,
    /// kgCO2e of making one, without its GPUs where `gpu_kg` tells of them.
    pub total_kg: f64,
    /// Years that it is expected to be used.
    pub life_years: f64,
    /// Its CPUs, as the operating system counts them.
    pub cpus: u32,
    /// kgCO2e of making one of its GPUs; they are expected to last as long as the node.
    #[serde(default)]
    pub gpu_kg: f64,
    /// Watts that one of its GPUs draws at the most: what its active energy is held against.
    #[serde(default)]
    pub gpu_watts: f64,
    /// Who says so.
    #[serde(default)]
    pub source: String,
}

impl Site {
    /// A site of which nothing is known but its name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            intensity_zone: None,
            signal: Signal::default(),
            provider: None,
            pue: 1.0,
            pue_by_year: BTreeMap::new(),
            pue_source: None,
            market: None,
            embodied: Vec::new(),
            recorded: Vec::new(),
        }
    }

    /// Its PUE at a time.
    #[must_use]
    pub fn pue_at(&self, time: Timestamp) -> f64 {
        of_year(&self.pue_by_year, time).unwrap_or(self.pue)
    }

    /// The type of a node; `None` where it is of none.
    #[must_use]
    pub fn node_type(&self, node: &str) -> Option<&NodeType> {
        let fits = |known: &&NodeType| known.nodes.iter().any(|pattern| pattern.fits(node));
        self.embodied.iter().find(fits)
    }
}

impl MarketFactor {
    /// gCO2e per kWh at a time.
    #[must_use]
    pub fn at(&self, time: Timestamp) -> f64 {
        of_year(&self.by_year, time).unwrap_or(self.g_per_kwh)
    }
}

fn of_year(by_year: &BTreeMap<u16, f64>, time: Timestamp) -> Option<f64> {
    if by_year.is_empty() {
        return None;
    }
    let year = time.to_zoned(TimeZone::UTC).year();
    by_year.get(&u16::try_from(year).ok()?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_has_its_own_figure_from_its_first_moment_in_utc() {
        let site = Site {
            pue: 1.2,
            pue_by_year: BTreeMap::from([(2025, 1.5)]),
            ..Site::named("paris")
        };
        let check = |time: &str, expected: f64| {
            let pue = site.pue_at(time.parse().unwrap());
            assert!((pue - expected).abs() < f64::EPSILON, "{time}: {pue}");
        };
        check("2024-12-31T23:59:59.999Z", 1.2);
        check("2025-01-01T00:00:00Z", 1.5);
        check("2026-01-01T00:30:00+01:00", 1.5);
        check("2026-01-01T00:00:00Z", 1.2);
    }

    #[test]
    fn settings_of_an_older_program_are_read() {
        let old = r#"{"name":"a","intensity_zone":null,"pue":1.0}"#;
        let site: Site = serde_json::from_str(old).unwrap();
        assert_eq!(site, Site::named("a"));
    }
}
