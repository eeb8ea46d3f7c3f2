//! The sites of a configuration: their grids, buildings, contracts and hardware, all of it checked.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::InvalidConfig;
use super::intensity::IntensityConfig;
use crate::intensity::regions::{self, Region};
use crate::intensity::{MAX_G_PER_KWH, Signal};
use crate::site::{MarketFactor, NodeType, Site};
use crate::site_map::{NodePattern, SiteMap};

const DEFAULT_SITE: &str = "default";
const DEFAULT_PUE: f64 = 1.0;
/// More than that no building adds.
const MAX_PUE: f64 = 10.0;

/// One site of the file, and the nodes that belong to it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteEntry {
    name: String,
    #[serde(alias = "intensity-zone")]
    intensity_zone: Option<String>,
    signal: Option<Signal>,
    intensity: Option<String>,
    pue: Option<f64>,
    #[serde(default, alias = "pue-by-year")]
    pue_by_year: BTreeMap<u16, f64>,
    market: Option<MarketEntry>,
    #[serde(default)]
    embodied: Vec<NodeTypeEntry>,
    #[serde(default)]
    nodes: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MarketEntry {
    #[serde(alias = "g-per-kwh")]
    g_per_kwh: f64,
    #[serde(default, alias = "by-year")]
    by_year: BTreeMap<u16, f64>,
    source: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeTypeEntry {
    nodes: Vec<String>,
    #[serde(alias = "total-kg")]
    total_kg: f64,
    #[serde(alias = "life-years")]
    life_years: f64,
    cpus: u32,
    #[serde(default, alias = "gpu-kg")]
    gpu_kg: f64,
    #[serde(default, alias = "gpu-watts")]
    gpu_watts: f64,
    #[serde(default)]
    source: String,
}

/// The site that `--site`, `--intensity-zone` and `--pue` speak of, as far as they do.
pub(super) struct OwnSite {
    pub(super) name: Option<String>,
    pub(super) intensity_zone: Option<String>,
    pub(super) pue: Option<f64>,
}

/// The file's sites and the server's own; where the file lists that one too, the flags win.
pub(super) fn site_map(
    own: OwnSite,
    entries: &[SiteEntry],
    intensity: &mut IntensityConfig,
) -> Result<SiteMap, InvalidConfig> {
    let own_name = own.name.unwrap_or_else(|| DEFAULT_SITE.to_owned());
    let listed = entries.iter().find(|entry| entry.name == own_name);
    let mut entry = listed.cloned().unwrap_or_default();
    entry.name = own_name;
    entry.intensity_zone = own.intensity_zone.or(entry.intensity_zone);
    entry.pue = own.pue.or(entry.pue);
    let mut sites = vec![site(entry, intensity)?];
    let mut patterns = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if entries[..index]
            .iter()
            .any(|other| other.name == entry.name)
        {
            let message = format!("site '{}' is listed twice", entry.name);
            return Err(InvalidConfig(message));
        }
        let position = if entry.name == sites[0].name {
            0
        } else {
            sites.push(site(entry.clone(), intensity)?);
            sites.len() - 1
        };
        let nodes = entry.nodes.iter().map(|glob| NodePattern::new(glob));
        patterns.extend(nodes.map(|pattern| (pattern, position)));
    }
    Ok(SiteMap::new(sites, patterns))
}

fn site(entry: SiteEntry, intensity: &mut IntensityConfig) -> Result<Site, InvalidConfig> {
    let name = entry.name;
    if name.is_empty()
        || name.len() > wire::limits::MAX_NAME_BYTES
        || name.contains(char::is_control)
    {
        let message = format!("site '{}' has no usable name", name.escape_debug());
        return Err(InvalidConfig(message));
    }
    let in_site = |message: String| InvalidConfig(format!("site '{name}' {message}"));
    // What its provider tells, unless told otherwise.
    let signal = match &entry.intensity_zone {
        Some(_) => intensity.signal(entry.intensity.as_deref())?,
        None => None,
    };
    let region = entry
        .intensity_zone
        .as_deref()
        .filter(|zone| zone.contains(':'));
    let region = region.map(regions::resolve).transpose();
    let region = region.map_err(|error| in_site(format!("has an {error}")))?;
    let (pue, pue_source) = pue(entry.pue, region);
    for pue in entry.pue_by_year.values().chain([&pue]) {
        check_pue(*pue).map_err(in_site)?;
    }
    let market = entry.market.map(market).transpose().map_err(in_site)?;
    let embodied = entry.embodied.into_iter().map(node_type);
    let embodied: Result<_, _> = embodied.collect();
    Ok(Site {
        intensity_zone: match region {
            Some(region) => Some(region.intensity_zone.to_owned()),
            None => entry.intensity_zone,
        },
        signal: entry.signal.or(signal).unwrap_or_default(),
        provider: entry.intensity,
        pue,
        pue_by_year: entry.pue_by_year,
        pue_source,
        market,
        recorded: Vec::new(),
        embodied: embodied.map_err(in_site)?,
        name,
    })
}

/// What is told, else the average of the cloud that the site is a region of, with its source.
fn pue(told: Option<f64>, region: Option<&Region>) -> (f64, Option<String>) {
    let average = || {
        let cloud = region?.cloud;
        let source = format!("the average of {cloud}'s data centres");
        Some((regions::average_pue(cloud)?, Some(source)))
    };
    match told {
        Some(pue) => (pue, None),
        None => average().unwrap_or((DEFAULT_PUE, None)),
    }
}

fn check_pue(pue: f64) -> Result<(), String> {
    if (1.0..=MAX_PUE).contains(&pue) {
        return Ok(());
    }
    Err(format!(
        "has a PUE of {pue}: facility energy over IT energy is 1 or more, and at most {MAX_PUE}"
    ))
}

fn market(entry: MarketEntry) -> Result<MarketFactor, String> {
    let factors = entry.by_year.values().chain([&entry.g_per_kwh]);
    for factor in factors {
        if !(0.0..=MAX_G_PER_KWH).contains(factor) {
            return Err(format!(
                "has a market-based factor of {factor} g/kWh: it is within 0 to {MAX_G_PER_KWH}"
            ));
        }
    }
    if entry.source.trim().is_empty() {
        let message =
            "has a market-based factor without a source: name the contract or certificate";
        return Err(message.to_owned());
    }
    Ok(MarketFactor {
        g_per_kwh: entry.g_per_kwh,
        by_year: entry.by_year,
        source: entry.source,
    })
}

fn node_type(entry: NodeTypeEntry) -> Result<NodeType, String> {
    let is_figure = |figure: f64| figure.is_finite() && figure >= 0.0;
    if !(is_figure(entry.total_kg) && is_figure(entry.gpu_kg)) {
        return Err(
            "has embodied carbon that is no figure: total_kg and gpu_kg are 0 or more".to_owned(),
        );
    }
    if !(entry.life_years.is_finite() && entry.life_years > 0.0) || entry.cpus == 0 {
        return Err(
            "has nodes that last no time or have no CPUs: life_years and cpus are above 0"
                .to_owned(),
        );
    }
    let is_power = entry.gpu_watts.is_finite() && entry.gpu_watts > 0.0;
    if entry.gpu_kg > 0.0 && !is_power {
        return Err(
            "has GPUs with gpu_kg and no gpu_watts: the most that one of them draws".to_owned(),
        );
    }
    Ok(NodeType {
        nodes: entry
            .nodes
            .iter()
            .map(|glob| NodePattern::new(glob))
            .collect(),
        total_kg: entry.total_kg,
        life_years: entry.life_years,
        cpus: entry.cpus,
        gpu_kg: entry.gpu_kg,
        gpu_watts: entry.gpu_watts,
        source: entry.source,
    })
}
