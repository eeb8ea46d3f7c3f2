//! What is asked of the ledger. The API, the page and the command line all ask here, so that one question
//! has one answer.

use std::sync::Arc;

use jiff::Timestamp;

use crate::intensity::Slot;
use crate::report::{IdlePolicy, Report};
use crate::store::{NodeSummary, RunFilter, RunSummary, SeriesBy, SeriesPoint, Store, StoreError};

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
    pub fn report(&self, _query: &ReportQuery) -> Result<Report, LedgerError> {
        unimplemented!()
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
        _intensity_zone: &str,
        _from: Timestamp,
        _to: Timestamp,
    ) -> Result<Vec<Slot>, LedgerError> {
        unimplemented!()
    }

    /// Adds intensity slots; returns how many were new or changed.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn put_slots(&self, slots: &[Slot]) -> Result<usize, LedgerError> {
        Ok(self.store.put_slots(slots)?)
    }
}
