//! A run's carbon: by basis, by grid, and the energy for which none can be told.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wire::Energy;

use super::build::Timelines;
use super::{IntensityShares, IntensityUsed};
use crate::carbon::{Carbon, carbon, grams, spread};
use crate::intensity::{IntensityBasis, Signal, Slot, normalized_zone};
use crate::site::Site;
use crate::store::Cell;

/// Sites by name, each with the timeline of its grid.
pub(super) struct Sites<'a>(BTreeMap<&'a str, SiteTimeline<'a>>);

#[derive(Clone, Copy)]
struct SiteTimeline<'a> {
    pue: f64,
    intensity_zone: Option<&'a str>,
    slots: &'a [Slot],
}

/// A site that nobody configured: no grid, and nothing is known of its building.
const UNKNOWN_SITE: SiteTimeline<'static> = SiteTimeline {
    pue: 1.0,
    intensity_zone: None,
    slots: &[],
};

impl<'a> Sites<'a> {
    pub(super) fn new(sites: &'a [Site], timelines: &'a Timelines) -> Self {
        let entry = |site: &'a Site| {
            let zone = site.intensity_zone.as_deref().map(normalized_zone);
            let slots = zone.and_then(|zone| timelines.get(&zone));
            let timeline = SiteTimeline {
                pue: site.pue,
                intensity_zone: site.intensity_zone.as_deref(),
                slots: slots.map_or(&[], Vec::as_slice),
            };
            (site.name.as_str(), timeline)
        };
        Self(sites.iter().map(entry).collect())
    }

    fn of(&self, cell: &Cell) -> SiteTimeline<'a> {
        let site = self.0.get(cell.site.as_str());
        site.copied().unwrap_or(UNKNOWN_SITE)
    }

    /// The carbon of some energy of a cell.
    pub(super) fn carbon(
        &self,
        cell: &Cell,
        energy: Energy,
        from: Timestamp,
        to: Timestamp,
    ) -> Carbon {
        let site = self.of(cell);
        carbon(energy, from, to, site.pue, site.slots)
    }
}

/// Sums over the cells of a run.
#[derive(Default)]
pub(super) struct Footprint {
    joules: f64,
    facility_joules: f64,
    uncovered_joules: f64,
    grams_by_basis: BTreeMap<IntensityBasis, f64>,
    by_source: BTreeMap<(String, String, Signal), SourceSum>,
    /// Sites without an intensity zone that took part.
    pub(super) sites_without_zone: BTreeSet<String>,
    /// Intensity zones that lack a figure for some of the time.
    pub(super) zones_with_gaps: BTreeSet<String>,
    /// Sites whose PUE is 1 that took part.
    pub(super) sites_without_pue: BTreeSet<String>,
}

#[derive(Default)]
struct SourceSum {
    joules: f64,
    grams_at_pue_1: f64,
}

impl Footprint {
    pub(super) fn add(
        &mut self,
        sites: &Sites<'_>,
        cell: &Cell,
        energy: Energy,
        from: Timestamp,
        to: Timestamp,
    ) {
        let site = sites.of(cell);
        self.joules += energy.joules();
        self.facility_joules += energy.joules() * site.pue;
        if site.pue <= 1.0 {
            self.sites_without_pue.insert(cell.site.clone());
        }

        let spread = spread(energy, from, to, site.slots);
        self.uncovered_joules += spread.uncovered_joules;
        if spread.uncovered_joules > 0.0 {
            match site.intensity_zone {
                None => self.sites_without_zone.insert(cell.site.clone()),
                Some(zone) => self.zones_with_gaps.insert(zone.to_owned()),
            };
        }
        for (slot, joules) in spread.parts {
            let grams_at_pue_1 = grams(joules, 1.0, slot.g_per_kwh);
            *self.grams_by_basis.entry(slot.basis).or_default() += grams_at_pue_1 * site.pue;
            let key = (
                slot.intensity_zone.clone(),
                slot.source.clone(),
                slot.kind.clone(),
            );
            let sum = self.by_source.entry(key).or_default();
            sum.joules += joules;
            sum.grams_at_pue_1 += grams_at_pue_1;
        }
    }

    /// Whether grams are known for all of the energy.
    pub(super) fn is_complete(&self) -> bool {
        self.uncovered_joules <= 0.0
    }

    pub(super) fn grams(&self) -> f64 {
        self.grams_by_basis.values().sum()
    }

    /// To the microjoule: what lies beyond comes from dividing at slots' borders.
    pub(super) fn uncovered_joules(&self) -> f64 {
        (self.uncovered_joules * 1e6).round() / 1e6
    }

    /// Weighted by energy; 1 where there is none.
    pub(super) fn pue(&self) -> f64 {
        if self.joules > 0.0 {
            rounded(self.facility_joules / self.joules)
        } else {
            1.0
        }
    }

    pub(super) fn shares_by_basis(&self) -> IntensityShares {
        let total = self.grams();
        let share = |basis| {
            let grams = self.grams_by_basis.get(&basis).copied().unwrap_or(0.0);
            if total > 0.0 { grams / total } else { 0.0 }
        };
        IntensityShares {
            measured: share(IntensityBasis::Measured),
            estimated: share(IntensityBasis::Estimated),
            forecast: share(IntensityBasis::Forecast),
            annual: share(IntensityBasis::Annual),
        }
    }

    /// Each grid and source with its mean over the energy that it was applied to.
    pub(super) fn intensity(&self) -> Vec<IntensityUsed> {
        let used =
            |((intensity_zone, provider, kind), sum): (&(String, String, Signal), &SourceSum)| {
                (sum.joules > 0.0).then(|| IntensityUsed {
                    intensity_zone: intensity_zone.clone(),
                    provider: provider.clone(),
                    kind: kind.clone(),
                    g_per_kwh: rounded(sum.grams_at_pue_1 / grams(sum.joules, 1.0, 1.0)),
                })
            };
        self.by_source.iter().filter_map(used).collect()
    }
}

/// Without what adding up many parts leaves beyond the ninth decimal: a mean of equal figures is that figure.
fn rounded(mean: f64) -> f64 {
    (mean * 1e9).round() / 1e9
}
