//! The ledger in one SQLite file: one thread writes with a connection of its own, others read beside it (WAL), so
//! that neither waits for the other.

mod backup;
mod budgets;
mod check;
mod dictionary;
mod loss;
mod names;
mod open;
mod read;
mod recording;
mod retention;
mod row;
mod sites;
mod slot_changes;
mod slots;
mod stream;
mod sums;
mod tokens;
mod write;
mod writer;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::Connection;

use super::{
    Answer, CheckReport, ComponentEnergy, ComponentQuery, Figures, NodeSummary, Prepared,
    Retention, RunFilter, RunKey, RunLedger, RunSummary, SeriesBy, SeriesPoint, SiteEnergy,
    SlotChanges, StageSummary, Store, StoreError, Tidied,
};
use crate::budget::Budget;
use crate::intensity::{Signal, Slot};
use crate::site::Site;
use crate::token::TokenRecord;
use recording::Recording;
use write::Writer;
use writer::WriterThread;

/// Name of the ledger's file within a data directory.
const FILE_NAME: &str = "ledger.db";
/// Readers that are kept open between calls.
const MAX_IDLE_READERS: usize = 4;

/// A ledger in SQLite.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    // Dropped before the writer: the connection that closes last folds the write-ahead log into the file, and
    // a reader could not.
    idle_readers: Mutex<Vec<Connection>>,
    /// `None` where the ledger was opened for reading.
    writer: Option<WriterThread>,
}

impl SqliteStore {
    /// Opens the ledger of a data directory for writing; makes both where they are not there yet.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a ledger of a newer program, which stays as it is; [`StoreError::Failed`]
    /// where the directory or the file cannot be used.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE_NAME);
        fs::create_dir_all(data_dir).map_err(|error| open::failed(data_dir, &error))?;
        let connection = open::for_writing(&path)?;
        let writer = WriterThread::start(path.clone(), Writer::new(connection))?;
        Ok(Self {
            path,
            writer: Some(writer),
            idle_readers: Mutex::default(),
        })
    }

    /// Opens the ledger of a data directory for reading, beside a server that may be writing it.
    ///
    /// # Errors
    /// [`StoreError::Missing`] where there is none (none is made), else as [`SqliteStore::open`].
    pub fn open_existing(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE_NAME);
        if !path.is_file() {
            return Err(StoreError::Missing(data_dir.display().to_string()));
        }
        let reader = open::for_reading(&path)?;
        Ok(Self {
            path,
            writer: None,
            idle_readers: Mutex::new(vec![reader]),
        })
    }

    /// Whether there is a ledger, or something in its place, in a data directory.
    #[must_use]
    pub fn exists(data_dir: &Path) -> bool {
        data_dir.join(FILE_NAME).exists()
    }

    /// Copies the ledger to a file, as it is when the call begins, beside a server that may be writing it. The
    /// file is whole or not there. `progress` is called with (pages done, pages in all).
    ///
    /// # Errors
    /// [`StoreError::Failed`] where there is something at `target`, or it cannot be written.
    pub fn backup(
        &self,
        target: &Path,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(), StoreError> {
        backup::backup(&self.path, target, progress)
    }

    /// Bytes of the ledger's files on disk, 0 where they cannot be read.
    #[must_use]
    pub fn size_bytes(data_dir: &Path) -> u64 {
        let size = |suffix: &str| {
            let file = data_dir.join(format!("{FILE_NAME}{suffix}"));
            fs::metadata(file).map_or(0, |metadata| metadata.len())
        };
        size("") + size("-wal")
    }

    /// Runs `ask` on one snapshot of the ledger.
    fn read<T>(
        &self,
        ask: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let idle = self.readers().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => open::for_reading(&self.path)?,
        };
        let answer = connection
            .unchecked_transaction()
            .and_then(|snapshot| ask(&snapshot))
            .map_err(|error| open::failed(&self.path, &error))?;
        let mut idle = self.readers();
        if idle.len() < MAX_IDLE_READERS {
            idle.push(connection);
        }
        Ok(answer)
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle_readers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> Result<&WriterThread, StoreError> {
        let read_only = || open::failed(&self.path, &"it was opened for reading only");
        self.writer.as_ref().ok_or_else(read_only)
    }
}

impl Store for SqliteStore {
    fn submit(&self, batch: Prepared, answer: Answer) {
        match self.writer() {
            Ok(writer) => writer.submit(batch, answer),
            Err(error) => answer(Err(error)),
        }
    }

    fn health(&self) -> Result<(), StoreError> {
        self.writer.as_ref().map_or(Ok(()), WriterThread::health)
    }

    fn figures(&self) -> Result<Figures, StoreError> {
        let waiting = self.writer.as_ref().map_or(0, WriterThread::waiting);
        self.read(|connection| read::figures(connection, waiting))
    }

    fn tidy(&self, now: Timestamp, retention: &Retention) -> Result<Tidied, StoreError> {
        let retention = *retention;
        self.writer()?
            .run(move |writer| retention::tidy(writer.connection(), now, retention))
    }

    fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        self.read(|connection| read::runs(connection, filter))
    }

    fn run_ledger(&self, key: &RunKey) -> Result<Option<RunLedger>, StoreError> {
        let read = self.read(|connection| read::run_ledger(connection, key))?;
        read.transpose()
            .map_err(|read::TooMany(most)| StoreError::TooLarge(most))
    }

    fn stages(&self) -> Result<Vec<StageSummary>, StoreError> {
        self.read(read::stages)
    }

    fn nodes(&self) -> Result<Vec<NodeSummary>, StoreError> {
        self.read(read::nodes)
    }

    fn series(
        &self,
        by: SeriesBy,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<SeriesPoint>, StoreError> {
        self.read(|connection| read::series(connection, by, from, to))?
            .map_err(|read::TooMany(most)| StoreError::TooLarge(most))
    }

    fn site_energy(&self, from: Timestamp, to: Timestamp) -> Result<Vec<SiteEnergy>, StoreError> {
        self.read(|connection| read::site_energy(connection, from, to))
    }

    fn component_energy(
        &self,
        query: &ComponentQuery,
        recent: (Timestamp, Timestamp),
    ) -> Result<Vec<ComponentEnergy>, StoreError> {
        self.read(|connection| read::component_energy(connection, query, recent))?
            .map_err(|read::TooMany(most)| StoreError::TooLarge(most))
    }

    fn put_sites(&self, sites: &[Site], now: Timestamp) -> Result<(), StoreError> {
        let (sites, now) = (sites.to_vec(), Recording::asked_at(now));
        self.writer()?
            .run(move |writer| Ok(sites::put_sites(writer.connection(), &sites, now)?))
    }

    fn sites(&self, as_of: Option<Timestamp>) -> Result<Vec<Site>, StoreError> {
        self.read(|connection| sites::sites(connection, as_of))
    }

    fn put_slots(&self, slots: &[Slot], now: Timestamp) -> Result<usize, StoreError> {
        let (slots, now) = (slots.to_vec(), Recording::asked_at(now));
        self.writer()?
            .run(move |writer| Ok(slots::put_slots(writer.connection(), &slots, now)?))
    }

    fn slots(
        &self,
        intensity_zone: &str,
        from: Timestamp,
        to: Timestamp,
        as_of: Option<Timestamp>,
    ) -> Result<Vec<Slot>, StoreError> {
        self.read(|connection| slots::slots(connection, intensity_zone, from, to, as_of))
    }

    fn slot_revisions(
        &self,
        intensity_zone: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(Signal, Timestamp)>, StoreError> {
        self.read(|connection| slots::slot_revisions(connection, intensity_zone, from, to))
    }

    fn has_slots(&self, intensity_zone: &str) -> Result<bool, StoreError> {
        self.read(|connection| slots::has_slots(connection, intensity_zone))
    }

    fn slot_changes(&self, after: i64) -> Result<SlotChanges, StoreError> {
        self.read(|connection| slot_changes::after(connection, after))
    }

    fn put_budget(&self, budget: &Budget) -> Result<(), StoreError> {
        let budget = budget.clone();
        self.writer()?
            .run(move |writer| Ok(budgets::put(writer.connection(), &budget)?))
    }

    fn remove_budget(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.writer()?
            .run(move |writer| Ok(budgets::remove(writer.connection(), &name)?))
    }

    fn budgets(&self) -> Result<Vec<Budget>, StoreError> {
        self.read(budgets::all)
    }

    fn put_token(&self, token: &TokenRecord) -> Result<(), StoreError> {
        let token = token.clone();
        self.writer()?
            .run(move |writer| Ok(tokens::put(writer.connection(), &token)?))
    }

    fn revoke_token(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.writer()?
            .run(move |writer| Ok(tokens::revoke(writer.connection(), &id, now)?))
    }

    fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read(tokens::all)
    }

    fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, StoreError> {
        let connection = open::for_reading(&self.path)?;
        check::check(&connection, progress).map_err(|error| open::failed(&self.path, &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_that_broke_down_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path()).unwrap();
        store.health().unwrap();
        let writer = store.writer().unwrap();
        let broken = writer.run(|_| -> Result<(), write::Failure> { panic!("a test") });
        assert!(broken.unwrap_err().to_string().contains("has broken down"));
        let refused = store.put_sites(&[], Timestamp::now()).unwrap_err();
        assert!(refused.to_string().contains("start the server again"));
        // The thread ends a moment after the answer that it will never give.
        while store.health().is_ok() {
            std::thread::yield_now();
        }
        assert_eq!(store.nodes().unwrap(), [], "it can still be read");
    }
}
