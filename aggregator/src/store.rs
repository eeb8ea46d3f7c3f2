//! What keeps the ledger: the seam behind which SQLite stands today and PostgreSQL later.
//!
//! The raw form of the ledger is the batch as it came; its rollups are rows per minute and hour, sums of integers.
//! A store does no carbon and shares out no idle energy: that is done on read, from what it returns.

mod answers;
mod cell;
mod component;
mod error;
mod prepared;
mod sqlite;
mod upkeep;

use std::sync::{Arc, mpsc};

use jiff::Timestamp;

use crate::budget::Budget;
use crate::intensity::{Signal, Slot};
use crate::site::Site;
use crate::token::TokenRecord;

pub use answers::{
    NodeKey, NodeSummary, RunFilter, RunKey, RunSummary, SeriesBy, SeriesPoint, SiteEnergy,
    SlotChanges, StageSummary, ZoneTotals,
};
pub use cell::{Cell, RunLedger, Share, WorkloadLabels};
pub use component::{ComponentEnergy, ComponentKey, ComponentPart, ComponentQuery, ZoneUse};
pub use error::StoreError;
pub use prepared::Prepared;
pub use sqlite::SqliteStore;
pub use upkeep::{CheckReport, Figures, LostBy, LostEnergy, Retention, Tidied};

use cell::labels;

/// A batch that was decoded and found valid, with the bytes it came in.
#[derive(Clone, Debug)]
pub struct ReceivedBatch {
    /// The bytes as they came, kept as they are.
    pub bytes: Vec<u8>,
    /// What they say.
    pub batch: wire::v1::Batch,
    /// When they came.
    pub received: Timestamp,
}

/// What became of a batch that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is new, and durable now.
    New,
    /// It was there already, byte for byte.
    Duplicate,
}

/// Told what became of a batch, once: on a thread of the store, which must not be kept. Dropped untold where the
/// store broke down.
pub type Answer = Box<dyn FnOnce(Result<Written, StoreError>) + Send>;

/// A ledger's store. Calls block; servers make them on a thread for that.
pub trait Store: Send + Sync {
    /// Takes in a batch and its rollups, once, and returns before it is written; `answer` is called when it is
    /// durable, or why it is not: [`StoreError::Busy`] where too many wait, [`StoreError::Conflict`] where its
    /// key is taken by other content, [`StoreError::DeclaredLost`], or [`StoreError::Unfit`] where its sums
    /// would be too great. Batches that wait at the same time become durable together.
    fn submit(&self, batch: Prepared, answer: Answer);

    /// Writes a batch and its rollups: durable when it returns.
    ///
    /// # Errors
    /// As [`Store::submit`] says.
    fn write_batch(&self, batch: &ReceivedBatch, site: &str) -> Result<Written, StoreError> {
        let prepared = Prepared::new(Arc::new(batch.clone()), site)?;
        let (tell, told) = mpsc::sync_channel(1);
        let answer = move |written| {
            // Fails only where the caller is gone.
            let _ = tell.send(written);
        };
        self.submit(prepared, Box::new(answer));
        told.recv().unwrap_or_else(|_| {
            self.health()?;
            Err(StoreError::Busy)
        })
    }

    /// Whether all parts of the store are alive.
    ///
    /// # Errors
    /// Where one has broken down: the store has to be opened anew.
    fn health(&self) -> Result<(), StoreError>;

    /// What the ledger holds and lacks.
    ///
    /// # Errors
    /// Where the store fails.
    fn figures(&self) -> Result<Figures, StoreError>;

    /// Does one bounded step towards a retention: forgets raw batches, folds minutes into hours.
    ///
    /// # Errors
    /// Where the store fails.
    fn tidy(&self, now: Timestamp, retention: &Retention) -> Result<Tidied, StoreError>;

    /// Runs, the latest start first.
    ///
    /// # Errors
    /// Where the store fails.
    fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError>;

    /// What the report on a run is made from; `None` where there is no such run.
    ///
    /// # Errors
    /// Where the store fails.
    fn run_ledger(&self, key: &RunKey) -> Result<Option<RunLedger>, StoreError>;

    /// All stages, by cluster, workflow and name.
    ///
    /// # Errors
    /// Where the store fails.
    fn stages(&self) -> Result<Vec<StageSummary>, StoreError>;

    /// All nodes, by cluster and name.
    ///
    /// # Errors
    /// Where the store fails.
    fn nodes(&self) -> Result<Vec<NodeSummary>, StoreError>;

    /// Energy per minute from `from` (inclusive) to `to` (exclusive), in order of time and name.
    ///
    /// # Errors
    /// Where the store fails.
    fn series(
        &self,
        by: SeriesBy,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SeriesPoint>, StoreError>;

    /// All energy of every site's nodes per minute (per hour, where minutes were folded) that starts from `from`
    /// (inclusive) to `to` (exclusive), in order of site and time.
    ///
    /// # Errors
    /// Where the store fails.
    fn site_energy(&self, from: Timestamp, to: Timestamp) -> Result<Vec<SiteEnergy>, StoreError>;

    /// What components used, by cluster, namespace and name: active energy per minute (per hour, where minutes were folded).
    /// `recent` are minutes, from the first (inclusive) to the last (exclusive), whose energy is told apart.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] where there is too much of it, or where the store fails.
    fn component_energy(
        &self,
        query: &ComponentQuery,
        recent: (Timestamp, Timestamp),
    ) -> Result<Vec<ComponentEnergy>, StoreError>;

    /// Keeps the sites that a server was started with, so that the ledger can be read without it. Settings that
    /// differ from those before become a new revision, recorded at `now`, or later where it had to wait.
    ///
    /// # Errors
    /// Where the store fails.
    fn put_sites(&self, sites: &[Site], now: Timestamp) -> Result<(), StoreError>;

    /// The sites that were kept, by name, as they were known at a time (`None`: as they are). Of one that was first told of
    /// later nothing is known but its name.
    ///
    /// # Errors
    /// Where the store fails.
    fn sites(&self, as_of: Option<Timestamp>) -> Result<Vec<Site>, StoreError>;

    /// Writes intensity slots in one transaction, recorded at `now`, or later where it had to wait: never before what was recorded
    /// already, nor at the same time. A slot of the same zone, start, end, signal and
    /// basis with another figure becomes a new revision; the old one stays. Of equal ones in one call the last
    /// counts. Returns how many were new or changed.
    ///
    /// # Errors
    /// Where the store fails.
    fn put_slots(&self, slots: &[Slot], now: Timestamp) -> Result<usize, StoreError>;

    /// The newest revision, of those that were known at `as_of` (`None`: of all), of every slot of an intensity zone
    /// that touches `from` to `to`, by start; slots of different signal or basis stand side by side.
    ///
    /// # Errors
    /// Where the store fails.
    fn slots(
        &self,
        intensity_zone: &str,
        from: Timestamp,
        to: Timestamp,
        as_of: Option<Timestamp>,
    ) -> Result<Vec<Slot>, StoreError>;

    /// When the slots of an intensity zone that touch `from` to `to` were recorded, by what they count, each time once, in order.
    /// What was written before times were kept is at 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// Where the store fails.
    fn slot_revisions(
        &self,
        intensity_zone: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Signal, Timestamp)>, StoreError>;

    /// Whether there is any slot of an intensity zone.
    ///
    /// # Errors
    /// Where the store fails.
    fn has_slots(&self, intensity_zone: &str) -> Result<bool, StoreError>;

    /// The times of which slots were new or changed since one change, by its number; 0 for all.
    ///
    /// # Errors
    /// Where the store fails.
    fn slot_changes(&self, after: i64) -> Result<SlotChanges, StoreError>;

    /// Keeps a budget, in place of one of the same name.
    ///
    /// # Errors
    /// Where the store fails.
    fn put_budget(&self, budget: &Budget) -> Result<(), StoreError>;

    /// Ends a budget; false where there is none of this name.
    ///
    /// # Errors
    /// Where the store fails.
    fn remove_budget(&self, name: &str) -> Result<bool, StoreError>;

    /// All budgets, by name.
    ///
    /// # Errors
    /// Where the store fails.
    fn budgets(&self) -> Result<Vec<Budget>, StoreError>;

    /// Keeps a new token; its id must be new.
    ///
    /// # Errors
    /// Where the store fails.
    fn put_token(&self, token: &TokenRecord) -> Result<(), StoreError>;

    /// Ends a token; false where there is none with this id.
    ///
    /// # Errors
    /// Where the store fails.
    fn revoke_token(&self, id: &str, now: Timestamp) -> Result<bool, StoreError>;

    /// All tokens that there ever were, the oldest first.
    ///
    /// # Errors
    /// Where the store fails.
    fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError>;

    /// Reads every raw batch again and proves that the rollups are their sums, and that each zone-minute's
    /// parts are what was measured. `progress` is called with (batches done, batches in all).
    ///
    /// # Errors
    /// Where the store fails; what does not hold is in the report, not an error.
    fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, StoreError>;
}
