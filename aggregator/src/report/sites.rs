//! The sites of a run's cells: their buildings, their grids, and what energy makes of carbon there.

use std::collections::BTreeMap;

use jiff::Timestamp;
use wire::Energy;

use crate::carbon::{grams, spread};
use crate::intensity::{Grid, Grids, Slot, normalized_zone};
use crate::site::Site;
use crate::store::Cell;

/// Sites by name, each with its grid.
pub(super) struct Sites<'a>(BTreeMap<&'a str, AtSite<'a>>);

/// A site, and what is known of its grid.
#[derive(Clone, Copy)]
pub(super) struct AtSite<'a> {
    pub(super) site: &'a Site,
    pub(super) grid: Option<&'a Grid>,
    /// Of the site's own signal.
    pub(super) slots: &'a [Slot],
}

impl<'a> Sites<'a> {
    pub(super) fn new(sites: &'a [Site], grids: &'a Grids) -> Self {
        let entry = |site: &'a Site| {
            let zone = site.intensity_zone.as_deref().map(normalized_zone);
            let grid = zone.and_then(|zone| grids.get(&zone));
            let slots = grid.map_or(&[][..], |grid| grid.of(site.signal));
            (site.name.as_str(), AtSite { site, grid, slots })
        };
        Self(sites.iter().map(entry).collect())
    }

    /// `None` for a site that nobody configured: no grid, and nothing is known of its building.
    pub(super) fn of(&self, cell: &Cell) -> Option<AtSite<'a>> {
        self.0.get(cell.site.as_str()).copied()
    }

    /// What is known of a cell's site.
    pub(super) fn settings(&self, cell: &Cell) -> Option<&'a Site> {
        self.of(cell).map(|at| at.site)
    }

    pub(super) fn pue(&self, cell: &Cell) -> f64 {
        self.of(cell).map_or(1.0, |at| at.site.pue_at(cell.start))
    }

    /// What energy of a cell makes of carbon, spread evenly over some of its time.
    pub(super) fn rates(&self, cell: &Cell, from: Timestamp, to: Timestamp) -> Rates<'a> {
        let slots = self.of(cell).map_or(&[][..], |at| at.slots);
        Rates {
            parts: spread(1.0, from, to, slots).parts,
            pue: self.pue(cell),
        }
    }
}

/// The slots that some time falls in, each with its part of the time: found once for all who share a cell.
pub(super) struct Rates<'a> {
    parts: Vec<(&'a Slot, f64)>,
    pue: f64,
}

impl Rates<'_> {
    /// Power usage effectiveness of the site then.
    pub(super) const fn pue(&self) -> f64 {
        self.pue
    }

    /// gCO2e of the energy whose intensity is known.
    pub(super) fn grams(&self, energy: Energy) -> f64 {
        let joules = energy.joules();
        let part = |(slot, part): &(&Slot, f64)| grams(joules * part, self.pue, slot.g_per_kwh);
        self.parts.iter().map(part).sum()
    }
}
