//! What is asked of the ledger. The API, the page and the command line all ask here, so that one question
//! has one answer.

mod budgets;
mod components;
mod planning;

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::compare::{CompareError, against};
use crate::intensity::errors::LOOK_BACK;
use crate::intensity::{
    Grid, Grids, Signal, Slot, Spreads, normalized_zone, timeline, yearly_nearest,
};
use crate::report::{self, EmbodiedPolicy, FunctionalUnit, IdlePolicy, Report};
use crate::scope2::{SiteHour, site_hours};
use crate::site::Site;
use crate::store::{
    NodeSummary, RunFilter, RunLedger, RunSummary, SeriesBy, SeriesPoint, Store, StoreError,
};

pub use budgets::{BudgetError, BudgetQuery, Meter};
pub use planning::{PlanError, PlanQuery};

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// No run has this id (with the filter that was given).
    #[error("no run '{0}' in the ledger; `hxmlops runs` lists them")]
    NoSuchRun(String),
    /// Several workflows or clusters have a run of this id.
    #[error("run '{run}' is in several places ({places}); say which with --workflow or --cluster")]
    Ambiguous {
        /// The id.
        run: String,
        /// cluster/workflow of each, with commas.
        places: String,
    },
    /// An intensity zone that neither the table nor the ledger knows.
    #[error(
        "unknown intensity zone '{0}'; `hxmlops intensity --list` names those of the yearly table"
    )]
    UnknownIntensityZone(String),
    /// A run and its baseline are not compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// There is no plan, or no score of one.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A budget is not set, or there is none.
    #[error(transparent)]
    Budget(#[from] BudgetError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Which report is asked for.
#[derive(Clone, Debug, Default)]
pub struct ReportQuery {
    /// The run's id.
    pub run: String,
    /// Its workflow, where the id alone does not tell.
    pub workflow: Option<String>,
    /// Its cluster, where the id alone does not tell.
    pub cluster: Option<String>,
    /// How idle energy is shared out.
    pub idle: IdlePolicy,
    /// How the carbon of making the nodes is shared out.
    pub embodied: EmbodiedPolicy,
    /// What the run made, for its software carbon intensity.
    pub unit: Option<FunctionalUnit>,
    /// Another run, to tell the difference from.
    pub baseline: Option<String>,
    /// Whether it is asked what its grams compare to.
    pub equivalents: bool,
    /// Whether its power over time is asked for.
    pub course: bool,
    /// With the intensities and the sites' settings that were known at this time; `None`: now.
    pub as_of: Option<Timestamp>,
}

/// A run by its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunById {
    /// Its id.
    pub run: String,
    /// Its workflow, where the id alone does not tell.
    pub workflow: Option<String>,
    /// Its cluster, where the id alone does not tell.
    pub cluster: Option<String>,
}

impl RunById {
    /// The question for its report.
    #[must_use]
    pub fn query(&self) -> ReportQuery {
        ReportQuery {
            run: self.run.clone(),
            workflow: self.workflow.clone(),
            cluster: self.cluster.clone(),
            ..ReportQuery::default()
        }
    }
}

/// Which intensity is asked for.
#[derive(Clone, Debug)]
pub struct IntensityQuery {
    /// Grid, such as `FR`.
    pub intensity_zone: String,
    /// What the figures are to count; `None`: what the sites of this zone use.
    pub signal: Option<Signal>,
    /// Start, inclusive.
    pub from: Timestamp,
    /// End, exclusive.
    pub to: Timestamp,
    /// What was known at this time; `None`: now.
    pub as_of: Option<Timestamp>,
}

/// The ledger, ready to be asked. Calls block.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<dyn Store>,
}

impl Ledger {
    /// Over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Runs, the latest first.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, LedgerError> {
        Ok(self.store.runs(filter)?)
    }

    /// The report on one run.
    ///
    /// # Errors
    /// Where there is no such run, or more than one; the same of its baseline, and where the two are not compared.
    pub fn report(&self, query: &ReportQuery) -> Result<Report, LedgerError> {
        let mut report = self.report_alone(query)?;
        if let Some(baseline) = &query.baseline {
            let baseline = self.report_alone(&ReportQuery {
                run: baseline.clone(),
                unit: None,
                course: false,
                ..query.clone()
            })?;
            report.baseline = Some(against(&baseline, &report)?);
        }
        Ok(report)
    }

    fn report_alone(&self, query: &ReportQuery) -> Result<Report, LedgerError> {
        let key = self.find_run(query)?.key;
        let ledger = self.store.run_ledger(&key)?;
        let ledger = ledger.ok_or_else(|| LedgerError::NoSuchRun(query.run.clone()))?;
        let sites = self.store.sites(query.as_of)?;
        let grids = self.grids_of_run(&sites, &ledger, query.as_of)?;
        Ok(report::build(&ledger, query, &sites, &grids))
    }

    fn find_run(&self, query: &ReportQuery) -> Result<RunSummary, LedgerError> {
        let mut runs = self.store.runs(&RunFilter {
            run: Some(query.run.clone()),
            workflow: query.workflow.clone(),
            cluster: query.cluster.clone(),
            ..RunFilter::default()
        })?;
        match runs.len() {
            0 => Err(LedgerError::NoSuchRun(query.run.clone())),
            1 => Ok(runs.remove(0)),
            _ => Err(LedgerError::Ambiguous {
                run: query.run.clone(),
                places: places(&runs),
            }),
        }
    }

    /// The sites, as they were known at a time (`None`: as they are).
    ///
    /// # Errors
    /// Where the store fails.
    pub fn sites(&self, as_of: Option<Timestamp>) -> Result<Vec<Site>, LedgerError> {
        Ok(self.store.sites(as_of)?)
    }

    /// All sites by the hour, of the hours that start from `from` (inclusive) to `to` (exclusive), with the intensities and
    /// settings that were known at `as_of`.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn site_hours(
        &self,
        from: Timestamp,
        to: Timestamp,
        as_of: Option<Timestamp>,
    ) -> Result<Vec<SiteHour>, LedgerError> {
        let energies = self.store.site_energy(from, to)?;
        let sites = self.store.sites(as_of)?;
        let sites_of = energies.iter().map(|energy| energy.site.as_str()).collect();
        let grids = self.grids(&sites, &sites_of, (from, to), as_of)?;
        Ok(site_hours(&energies, &sites, &grids))
    }

    /// The grid of each site that took part in a run, with what a report says of its figures: when they were recorded, and
    /// how far they may be off.
    fn grids_of_run(
        &self,
        sites: &[Site],
        ledger: &RunLedger,
        as_of: Option<Timestamp>,
    ) -> Result<Grids, StoreError> {
        let (from, to) = cells_time(ledger);
        let known = |(_, time): &(Signal, Timestamp)| as_of.is_none_or(|as_of| *time <= as_of);
        let told = |(zone, grid): (String, Grid)| {
            let revisions = self.store.slot_revisions(&zone, from, to)?;
            let grid = grid.with_revisions(revisions.into_iter().filter(known));
            let spreads = self.spreads(&grid, &zone, from, as_of)?;
            Ok((zone, grid.with_spreads(spreads)))
        };
        let grids = self.grids(sites, &took_part(ledger), (from, to), as_of)?;
        grids.into_iter().map(told).collect()
    }

    /// The grid of each site that took part, over a time.
    fn grids(
        &self,
        sites: &[Site],
        took_part: &BTreeSet<&str>,
        (from, to): (Timestamp, Timestamp),
        as_of: Option<Timestamp>,
    ) -> Result<Grids, StoreError> {
        let zones: BTreeSet<String> = sites
            .iter()
            .filter(|site| took_part.contains(site.name.as_str()))
            .filter_map(|site| site.intensity_zone.as_deref().map(normalized_zone))
            .collect();
        let grid = |zone: String| {
            let slots = self.store.slots(&zone, from, to, as_of)?;
            let grid = Grid::new(slots, &zone, from, to);
            Ok((zone, grid))
        };
        zones.into_iter().map(grid).collect()
    }

    /// How far figures that are not settled were off before a time, for the signals that have some in it.
    fn spreads(
        &self,
        grid: &Grid,
        zone: &str,
        from: Timestamp,
        as_of: Option<Timestamp>,
    ) -> Result<Spreads, StoreError> {
        // Where nothing but the yearly table is known there is nothing to hold it against.
        if grid.is_settled() || !self.store.has_slots(zone)? {
            return Ok(Spreads::new());
        }
        let past = from.checked_sub(LOOK_BACK).unwrap_or(Timestamp::MIN);
        let slots = self.store.slots(zone, past, from, as_of)?;
        Ok(grid.spreads_of(&slots))
    }

    /// All nodes.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn nodes(&self) -> Result<Vec<NodeSummary>, LedgerError> {
        Ok(self.store.nodes()?)
    }

    /// Energy per minute.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn series(
        &self,
        by: SeriesBy,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SeriesPoint>, LedgerError> {
        Ok(self.store.series(by, from, to)?)
    }

    /// Intensity of a zone over a time, gaps filled from the yearly table where that counts the same.
    ///
    /// # Errors
    /// Where the zone is unknown.
    pub fn intensity(&self, query: &IntensityQuery) -> Result<Vec<Slot>, LedgerError> {
        let zone = normalized_zone(&query.intensity_zone);
        let IntensityQuery {
            signal,
            from,
            to,
            as_of,
            ..
        } = *query;
        let signal = match signal {
            Some(signal) => signal,
            None => self.signal_of(&zone)?,
        };
        let slots = self.store.slots(&zone, from, to, as_of)?;
        let slots = timeline(slots, &zone, signal, from, to);
        if slots.is_empty() && !self.is_known(&zone)? {
            let zone = query.intensity_zone.clone();
            return Err(LedgerError::UnknownIntensityZone(zone));
        }
        Ok(slots)
    }

    /// What the sites of a zone use, where they agree; else what the yearly table counts.
    fn signal_of(&self, zone: &str) -> Result<Signal, StoreError> {
        let sites = self.store.sites(None)?.into_iter();
        let of_zone = sites.filter(|site| {
            site.intensity_zone
                .as_deref()
                .map(normalized_zone)
                .as_deref()
                == Some(zone)
        });
        let signals: BTreeSet<Signal> = of_zone.map(|site| site.signal).collect();
        let only = signals.first().filter(|_| signals.len() == 1);
        Ok(only.copied().unwrap_or_default())
    }

    fn is_known(&self, zone: &str) -> Result<bool, StoreError> {
        if yearly_nearest(zone).is_some() {
            return Ok(true);
        }
        self.store.has_slots(zone)
    }

    /// Adds intensity slots; returns how many were new or changed.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn put_slots(&self, slots: &[Slot], now: Timestamp) -> Result<usize, LedgerError> {
        Ok(self.store.put_slots(slots, now)?)
    }
}

/// The whole minutes of a run; hours, where minutes were folded into them.
fn cells_time(ledger: &RunLedger) -> (Timestamp, Timestamp) {
    let summary = &ledger.summary;
    let cells = ledger.cells.iter();
    cells.fold((summary.start, summary.end), |(from, to), cell| {
        (from.min(cell.start), to.max(cell.end()))
    })
}

/// The sites of a run's nodes.
fn took_part(ledger: &RunLedger) -> BTreeSet<&str> {
    ledger.cells.iter().map(|cell| cell.site.as_str()).collect()
}

fn places(runs: &[RunSummary]) -> String {
    let places: Vec<String> = runs
        .iter()
        .map(|run| format!("{}/{}", run.key.cluster, run.key.workflow))
        .collect();
    places.join(", ")
}
