//! The ledger in one SQLite file: one connection writes, others read beside it (WAL), so that neither waits
//! for the other.

mod check;
mod dictionary;
mod open;
mod read;
mod row;
mod settings;
mod sums;
mod tokens;
mod write;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rusqlite::Connection;

use super::{
    CheckReport, NodeSummary, ReceivedBatch, RunFilter, RunKey, RunLedger, RunSummary, SeriesBy,
    SeriesPoint, StageSummary, Store, StoreError, Written,
};
use crate::intensity::Slot;
use crate::rollup::rollup;
use crate::site::Site;
use crate::token::TokenRecord;
use write::Writer;

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
    writer: Option<Mutex<Writer>>,
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
        Ok(Self {
            path,
            writer: Some(Mutex::new(Writer::new(connection))),
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

    /// Runs `task` on the one connection that writes.
    fn write<T>(
        &self,
        task: impl FnOnce(&mut Writer) -> Result<T, write::Failure>,
    ) -> Result<T, StoreError> {
        let Some(writer) = &self.writer else {
            return Err(open::failed(&self.path, &"it was opened for reading only"));
        };
        let mut writer = writer.lock().unwrap_or_else(|poisoned| {
            writer.clear_poison();
            let mut writer = poisoned.into_inner();
            writer.forget();
            writer
        });
        task(&mut writer).map_err(|failure| {
            // What the failed transaction had added to the dictionaries was rolled back with it.
            writer.forget();
            failure.into_store_error(&self.path)
        })
    }
}

impl Store for SqliteStore {
    fn write_batch(&self, batch: &ReceivedBatch, site: &str) -> Result<Written, StoreError> {
        let rollup = rollup(&batch.batch)?;
        let sha256 = write::sha256(&batch.bytes);
        self.write(|writer| writer.write_batch(batch, &sha256, &rollup, site))
    }

    fn runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        self.read(|connection| read::runs(connection, filter))
    }

    fn run_ledger(&self, key: &RunKey) -> Result<Option<RunLedger>, StoreError> {
        self.read(|connection| read::run_ledger(connection, key))
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
        self.read(|connection| read::series(connection, by, from, to))
    }

    fn put_sites(&self, sites: &[Site]) -> Result<(), StoreError> {
        self.write(|writer| Ok(settings::put_sites(writer.connection(), sites)?))
    }

    fn sites(&self) -> Result<Vec<Site>, StoreError> {
        self.read(settings::sites)
    }

    fn put_slots(&self, slots: &[Slot]) -> Result<usize, StoreError> {
        self.write(|writer| Ok(settings::put_slots(writer.connection(), slots)?))
    }

    fn slots(
        &self,
        intensity_zone: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Slot>, StoreError> {
        self.read(|connection| settings::slots(connection, intensity_zone, from, to))
    }

    fn has_slots(&self, intensity_zone: &str) -> Result<bool, StoreError> {
        self.read(|connection| settings::has_slots(connection, intensity_zone))
    }

    fn put_token(&self, token: &TokenRecord) -> Result<(), StoreError> {
        self.write(|writer| Ok(tokens::put(writer.connection(), token)?))
    }

    fn revoke_token(&self, id: &str, now: Timestamp) -> Result<bool, StoreError> {
        self.write(|writer| Ok(tokens::revoke(writer.connection(), id, now)?))
    }

    fn tokens(&self) -> Result<Vec<TokenRecord>, StoreError> {
        self.read(tokens::all)
    }

    fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, StoreError> {
        let connection = open::for_reading(&self.path)?;
        check::check(&connection, progress).map_err(|error| open::failed(&self.path, &error))
    }
}
