//! A run's carbon: by basis, by grid, and the energy for which none can be told.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use wire::Energy;

use super::sites::{AtSite, Sites};
use super::{CarbonRange, IntensityShares, IntensityUsed, Scope2, Subtotal};
use crate::carbon::{Gap, grams, spread};
use crate::intensity::{IntensityBasis, Signal, Slot, normalized_zone};
use crate::store::Cell;

/// What the carbon of a cell came to.
#[derive(Clone, Copy, Default)]
pub(super) struct CellCarbon {
    pub(super) grams_at_pue_1: f64,
    pub(super) uncovered_joules: f64,
}

/// Sums over the cells of a run.
#[derive(Default)]
pub(super) struct Footprint {
    joules: f64,
    facility_joules: f64,
    uncovered_joules: f64,
    grams_by_basis: BTreeMap<IntensityBasis, f64>,
    joules_by_basis: BTreeMap<IntensityBasis, f64>,
    by_source: BTreeMap<(String, String, Signal), SourceSum>,
    by_other_signal: BTreeMap<Signal, SourceSum>,
    range: CarbonBounds,
    market_grams: f64,
    market_sources: BTreeSet<String>,
    revisions: BTreeSet<Timestamp>,
    sites: BTreeSet<String>,
    /// Intensity zones of the sites that took part.
    pub(super) asked_zones: BTreeSet<String>,
    /// Sites without an intensity zone that took part.
    pub(super) sites_without_zone: BTreeSet<String>,
    /// Intensity zones that lack a figure for some of the time, with the signal that lacks it.
    pub(super) zones_with_gaps: BTreeSet<(String, Signal)>,
    /// Sites whose PUE is 1 that took part.
    pub(super) sites_without_pue: BTreeSet<String>,
    /// Where PUEs are from that are not the sites' own.
    pub(super) pue_sources: BTreeSet<(String, String)>,
    /// Sites that took part without a market-based factor, where others have one.
    pub(super) sites_without_market: BTreeSet<String>,
}

/// Energy (IT side), its grams, and what they come to with PUE.
#[derive(Default)]
struct SourceSum {
    joules: f64,
    grams: f64,
    facility_grams: f64,
}

/// How far the grams may be off, as far as anything is known of it.
#[derive(Default)]
struct CarbonBounds {
    low_grams: f64,
    high_grams: f64,
    /// What is in them.
    covers: BTreeSet<&'static str>,
    /// What may be off too, and nobody knows how far.
    lacks: BTreeSet<&'static str>,
}

impl CarbonBounds {
    fn add(&mut self, cell: &Cell, grams: f64, basis: IntensityBasis, spread: Option<(f64, f64)>) {
        let energy = match cell.range_percent {
            Some((low, high)) => {
                self.covers.insert("the energy's model");
                (f64::from(low) / 100.0, f64::from(high) / 100.0)
            }
            None => {
                if cell.modelled {
                    self.lacks.insert("the energy's model");
                }
                (1.0, 1.0)
            }
        };
        let name = basis_name(basis);
        let intensity = match (spread, basis) {
            (Some(spread), _) => {
                self.covers.insert(name);
                spread
            }
            (None, IntensityBasis::Measured) => (1.0, 1.0),
            (None, _) => {
                self.lacks.insert(name);
                (1.0, 1.0)
            }
        };
        self.low_grams += grams * energy.0 * intensity.0;
        self.high_grams += grams * energy.1 * intensity.1;
    }
}

fn basis_name(basis: IntensityBasis) -> &'static str {
    match basis {
        IntensityBasis::Measured => "measured intensities",
        IntensityBasis::Estimated => "estimated intensities",
        IntensityBasis::Forecast => "forecasts of the intensity",
        IntensityBasis::Annual => "the yearly average",
    }
}

impl Footprint {
    pub(super) fn add(
        &mut self,
        sites: &Sites<'_>,
        cell: &Cell,
        energy: Energy,
        from: Timestamp,
        to: Timestamp,
    ) -> CellCarbon {
        let at = sites.of(cell);
        let pue = sites.pue(cell);
        let joules = energy.joules();
        self.joules += joules;
        self.facility_joules += joules * pue;
        self.note_site(at, cell, pue, joules);

        let spread = spread(joules, from, to, at.map_or(&[][..], |at| at.slots));
        let mut carbon = CellCarbon {
            uncovered_joules: spread.uncovered_joules(),
            ..CellCarbon::default()
        };
        self.uncovered_joules += carbon.uncovered_joules;
        for (slot, joules) in spread.parts {
            let grams_at_pue_1 = grams(joules, 1.0, slot.g_per_kwh);
            carbon.grams_at_pue_1 += grams_at_pue_1;
            self.add_part(at, cell, slot, joules, grams_at_pue_1 * pue, pue);
        }
        for gap in spread.gaps.iter().filter(|gap| gap.joules > 0.0) {
            self.add_gap(at, cell, gap, pue);
        }
        carbon
    }

    /// Energy without a figure of its site's signal: who tells nothing of it, and what other signals say.
    fn add_gap(&mut self, at: Option<AtSite<'_>>, cell: &Cell, gap: &Gap, pue: f64) {
        let site = at.map(|at| at.site);
        let Some((site, zone)) = site.and_then(|site| Some((site, site.intensity_zone.as_ref()?)))
        else {
            self.sites_without_zone.insert(cell.site.clone());
            return;
        };
        self.zones_with_gaps.insert((zone.clone(), site.signal));
        let grid = at.and_then(|at| at.grid);
        for (signal, slots) in grid.iter().flat_map(|grid| grid.others(site.signal)) {
            if !self.by_other_signal.contains_key(&signal) {
                let times = grid.iter().flat_map(|grid| grid.revisions(signal));
                self.revisions.extend(times);
            }
            let sum = self.by_other_signal.entry(signal).or_default();
            for (slot, joules) in spread(gap.joules, gap.from, gap.to, slots).parts {
                sum.joules += joules;
                sum.facility_grams += grams(joules, pue, slot.g_per_kwh);
            }
        }
    }

    fn note_site(&mut self, at: Option<AtSite<'_>>, cell: &Cell, pue: f64, joules: f64) {
        if self.sites.insert(cell.site.clone()) {
            self.note_new_site(at, cell);
        }
        if pue <= 1.0 {
            self.sites_without_pue.insert(cell.site.clone());
        }
        if let Some(market) = at.and_then(|at| at.site.market.as_ref()) {
            self.market_grams += grams(joules, pue, market.at(cell.start));
        }
    }

    /// What does not change from cell to cell.
    fn note_new_site(&mut self, at: Option<AtSite<'_>>, cell: &Cell) {
        let market = at.and_then(|at| at.site.market.as_ref());
        match market {
            Some(market) => self.market_sources.insert(market.source.clone()),
            None => self.sites_without_market.insert(cell.site.clone()),
        };
        let Some(AtSite { site, grid, .. }) = at else {
            return;
        };
        let recorded = grid.iter().flat_map(|grid| grid.revisions(site.signal));
        self.revisions.extend(recorded);
        self.revisions.extend(&site.recorded);
        self.asked_zones
            .extend(site.intensity_zone.as_deref().map(normalized_zone));
        let pue_source = site.pue_source.as_ref();
        self.pue_sources
            .extend(pue_source.map(|source| (site.name.clone(), source.clone())));
    }

    fn add_part(
        &mut self,
        at: Option<AtSite<'_>>,
        cell: &Cell,
        slot: &Slot,
        joules: f64,
        grams: f64,
        pue: f64,
    ) {
        *self.grams_by_basis.entry(slot.basis).or_default() += grams;
        *self.joules_by_basis.entry(slot.basis).or_default() += joules;
        let spread = at
            .and_then(|at| at.grid)
            .and_then(|grid| grid.spread(slot.kind, slot.basis));
        self.range.add(cell, grams, slot.basis, spread);
        let key = (slot.intensity_zone.clone(), slot.source.clone(), slot.kind);
        let sum = self.by_source.entry(key).or_default();
        sum.joules += joules;
        sum.grams += grams / pue;
        sum.facility_grams += grams;
    }

    /// Whether there is one figure for all of the energy: none of it lacks one, and all count the same.
    pub(super) fn is_complete(&self) -> bool {
        self.uncovered_joules <= 0.0 && self.signals().len() <= 1
    }

    /// Those that alone tell of some of the energy.
    pub(super) fn other_signals(&self) -> impl Iterator<Item = &Signal> {
        let told = self.by_other_signal.iter();
        told.filter(|(_, sum)| sum.joules > 0.0)
            .map(|(kind, _)| kind)
    }

    /// What the grams count.
    pub(super) fn signals(&self) -> BTreeSet<Signal> {
        self.by_source.keys().map(|(_, _, kind)| *kind).collect()
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

    pub(super) fn sites(&self) -> Vec<String> {
        self.sites.iter().cloned().collect()
    }

    pub(super) fn revisions(&self) -> &BTreeSet<Timestamp> {
        &self.revisions
    }

    /// By grams; by energy where there are none, and where they do not count the same.
    pub(super) fn shares_by_basis(&self) -> IntensityShares {
        let by_grams = self.grams() > 0.0 && self.signals().len() == 1;
        let parts = if by_grams {
            &self.grams_by_basis
        } else {
            &self.joules_by_basis
        };
        let total: f64 = parts.values().sum();
        let share = |basis| {
            let part = parts.get(&basis).copied().unwrap_or(0.0);
            if total > 0.0 { part / total } else { 0.0 }
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
                    kind: *kind,
                    g_per_kwh: rounded(sum.grams / grams(sum.joules, 1.0, 1.0)),
                })
            };
        self.by_source.iter().filter_map(used).collect()
    }

    /// What each signal says, where there is not one figure for all: other signals of the energy that has none of its
    /// site's own, and the sites' own where they differ.
    pub(super) fn subtotals(&self) -> Vec<Subtotal> {
        let mut sums = BTreeMap::<Signal, (f64, f64)>::new();
        let mut add = |kind: Signal, joules: f64, grams: f64| {
            let sum = sums.entry(kind).or_default();
            *sum = (sum.0 + joules, sum.1 + grams);
        };
        for (kind, sum) in &self.by_other_signal {
            add(*kind, sum.joules, sum.facility_grams);
        }
        if self.signals().len() > 1 {
            for ((_, _, kind), sum) in &self.by_source {
                add(*kind, sum.joules, sum.facility_grams);
            }
        }
        let subtotal = |(kind, (joules, grams))| Subtotal {
            kind,
            energy_joules: rounded(joules),
            carbon_grams: grams,
        };
        let told = sums.into_iter().filter(|(_, (joules, _))| *joules > 0.0);
        told.map(subtotal).collect()
    }

    /// `carbon_grams` as the report has them.
    pub(super) fn scope2(&self, carbon_grams: Option<f64>) -> Scope2 {
        let is_average = self.signals().iter().all(|kind| kind.is_average());
        let has_market = self.sites_without_market.is_empty() && !self.sites.is_empty();
        Scope2 {
            location_grams: carbon_grams.filter(|_| is_average),
            market_grams: has_market.then_some(self.market_grams),
            market_sources: self.market_sources.iter().cloned().collect(),
        }
    }

    /// `None` where nothing is known of how far the grams may be off, or not all are told.
    pub(super) fn range(&self, carbon_grams: Option<f64>) -> Option<CarbonRange> {
        let known = carbon_grams.is_some() && !self.range.covers.is_empty();
        known.then_some(CarbonRange {
            low_grams: self.range.low_grams,
            high_grams: self.range.high_grams,
        })
    }

    /// What the range covers, and what it does not.
    pub(super) fn range_covers(&self) -> (&BTreeSet<&'static str>, &BTreeSet<&'static str>) {
        (&self.range.covers, &self.range.lacks)
    }
}

/// Without what adding up many parts leaves beyond the ninth decimal: a mean of equal figures is that figure.
pub(super) fn rounded(mean: f64) -> f64 {
    (mean * 1e9).round() / 1e9
}
