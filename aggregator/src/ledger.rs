//! What is asked of the ledger. The API, the page and the command line all ask here, so that one question
//! has one answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::intensity::{Slot, normalized_zone, timeline, yearly};
use crate::report::{self, IdlePolicy, Report};
use crate::site::Site;
use crate::store::{
    NodeSummary, RunFilter, RunKey, RunLedger, RunSummary, SeriesBy, SeriesPoint, Store, StoreError,
};

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
    /// Where there is no such run, or more than one.
    pub fn report(&self, query: &ReportQuery) -> Result<Report, LedgerError> {
        let key = self.find_run(query)?;
        let ledger = self.store.run_ledger(&key)?;
        let ledger = ledger.ok_or_else(|| LedgerError::NoSuchRun(query.run.clone()))?;
        let sites = self.store.sites()?;
        let timelines = self.timelines(&sites, &ledger)?;
        Ok(report::build(&ledger, query.idle, &sites, &timelines))
    }

    fn find_run(&self, query: &ReportQuery) -> Result<RunKey, LedgerError> {
        let mut runs = self.store.runs(&RunFilter {
            run: Some(query.run.clone()),
            workflow: query.workflow.clone(),
            cluster: query.cluster.clone(),
            ..RunFilter::default()
        })?;
        match runs.len() {
            0 => Err(LedgerError::NoSuchRun(query.run.clone())),
            1 => Ok(runs.remove(0).key),
            _ => Err(LedgerError::Ambiguous {
                run: query.run.clone(),
                places: places(&runs),
            }),
        }
    }

    /// The intensity of the grid of each site that took part, over the whole minutes of a run.
    fn timelines(
        &self,
        sites: &[Site],
        ledger: &RunLedger,
    ) -> Result<BTreeMap<String, Vec<Slot>>, StoreError> {
        let minute = SignedDuration::from_mins(1);
        let (from, to) = (ledger.summary.start - minute, ledger.summary.end + minute);
        let took_part: BTreeSet<&str> =
            ledger.cells.iter().map(|cell| cell.site.as_str()).collect();
        sites
            .iter()
            .filter(|site| took_part.contains(site.name.as_str()))
            .filter_map(|site| site.intensity_zone.as_deref().map(normalized_zone))
            .map(|zone| {
                let slots = self.store.slots(&zone, from, to)?;
                let slots = timeline(slots, &zone, from, to);
                Ok((zone, slots))
            })
            .collect()
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

    /// Intensity of a zone over a time, gaps filled from the yearly table.
    ///
    /// # Errors
    /// Where the zone is unknown.
    pub fn intensity(
        &self,
        intensity_zone: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Slot>, LedgerError> {
        let zone = normalized_zone(intensity_zone);
        let slots = timeline(self.store.slots(&zone, from, to)?, &zone, from, to);
        if slots.is_empty() && !self.is_known(&zone)? {
            return Err(LedgerError::UnknownIntensityZone(intensity_zone.to_owned()));
        }
        Ok(slots)
    }

    fn is_known(&self, zone: &str) -> Result<bool, StoreError> {
        if yearly(zone).is_some() {
            return Ok(true);
        }
        self.store.has_slots(zone)
    }

    /// Adds intensity slots; returns how many were new or changed.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn put_slots(&self, slots: &[Slot]) -> Result<usize, LedgerError> {
        Ok(self.store.put_slots(slots)?)
    }
}

fn places(runs: &[RunSummary]) -> String {
    let places: Vec<String> = runs
        .iter()
        .map(|run| format!("{}/{}", run.key.cluster, run.key.workflow))
        .collect();
    places.join(", ")
}
