//! Batches into the ledger: their bytes and their sums, once, several in one transaction.

use std::path::Path;

use rusqlite::{
    Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior, params,
};
use wire::StreamId;

use super::dictionary::Dictionary;
use super::row::column;
use super::stream::{Place, take};
use super::{loss, names, open, sums};
use crate::rollup::Unfit;
use crate::store::prepared::Prepared;
use crate::store::{StoreError, Written};

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// SQLite could not.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// SQLite could not begin, or not make durable, what was to be written together.
    #[error("the transaction failed: {0}")]
    Transaction(String),
    /// The sums are too great.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The key is taken by other content.
    #[error("batch {1} of stream {0} is there with other content")]
    Conflict(StreamId, u64),
    /// The key was declared lost.
    #[error("batch {1} of stream {0} was declared lost")]
    DeclaredLost(StreamId, u64),
}

impl Failure {
    pub(super) fn into_store_error(self, path: &Path) -> StoreError {
        match self {
            Self::Sql(error) if is_overflow(&error) => Unfit::TooGreat.into(),
            Self::Sql(error) => open::failed(path, &error),
            Self::Transaction(_) => open::failed(path, &self),
            Self::Unfit(unfit) => unfit.into(),
            Self::Conflict(stream_id, sequence) => StoreError::Conflict {
                stream_id,
                sequence,
            },
            Self::DeclaredLost(stream_id, sequence) => StoreError::DeclaredLost {
                stream_id,
                sequence,
            },
        }
    }

    /// Whether it is the fault of the one batch, whatever else is written with it.
    fn is_of_the_batch(&self) -> bool {
        match self {
            Self::Sql(error) => is_overflow(error),
            Self::Transaction(_) => false,
            Self::Unfit(_) | Self::Conflict(..) | Self::DeclaredLost(..) => true,
        }
    }
}

/// A sum that overflows becomes a REAL, which a STRICT column refuses.
fn is_overflow(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(cause, _)
        if cause.code == ErrorCode::ConstraintViolation
            && cause.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_DATATYPE)
}

/// The connection that writes, with the dictionaries it has seen.
#[derive(Debug)]
pub(super) struct Writer {
    connection: Connection,
    dictionary: Dictionary,
}

impl Writer {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            dictionary: Dictionary::default(),
        }
    }

    /// Drops what is remembered of the dictionaries: it may have been rolled back.
    pub(super) fn forget(&mut self) {
        self.dictionary = Dictionary::default();
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Writes batches in one transaction and returns what became of each, in order. What is wrong with one spoils
    /// that one. Where the database fails in the midst, each is tried alone; where it fails to begin or to commit,
    /// none is written.
    pub(super) fn write_batches(&mut self, batches: &[&Prepared]) -> Vec<Result<Written, Failure>> {
        match self.write_together(batches) {
            Ok(results) => results,
            Err(Failure::Transaction(error)) => {
                let failed = |_| Err(Failure::Transaction(error.clone()));
                batches.iter().map(failed).collect()
            }
            Err(failure) if batches.len() == 1 => vec![Err(failure)],
            Err(_) => {
                let alone = |batch| {
                    let mut results = self.write_together(&[batch])?;
                    results.pop().expect("one batch has one result")
                };
                batches.iter().copied().map(alone).collect()
            }
        }
    }

    fn write_together(
        &mut self,
        batches: &[&Prepared],
    ) -> Result<Vec<Result<Written, Failure>>, Failure> {
        let written = self.write_in_transaction(batches);
        if written.is_err() {
            self.forget();
        }
        written
    }

    fn write_in_transaction(
        &mut self,
        batches: &[&Prepared],
    ) -> Result<Vec<Result<Written, Failure>>, Failure> {
        let Self {
            connection,
            dictionary,
        } = self;
        let failed = |error: rusqlite::Error| Failure::Transaction(error.to_string());
        let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let transaction = begun.map_err(failed)?;
        let mut results = Vec::with_capacity(batches.len());
        for batch in batches {
            let written = write_in_savepoint(&transaction, dictionary, batch);
            match written {
                Err(failure) if !failure.is_of_the_batch() => return Err(failure),
                written => results.push(written),
            }
        }
        transaction.commit().map_err(failed)?;
        Ok(results)
    }
}

fn write_in_savepoint(
    transaction: &Transaction<'_>,
    dictionary: &mut Dictionary,
    batch: &Prepared,
) -> Result<Written, Failure> {
    let run = |sql| transaction.prepare_cached(sql)?.execute([]);
    run("SAVEPOINT batch")?;
    let written = write(transaction, dictionary, batch);
    if let Err(Failure::Sql(_) | Failure::Unfit(_)) = &written {
        run("ROLLBACK TO batch")?;
        *dictionary = Dictionary::default();
    }
    run("RELEASE batch")?;
    written
}

/// A batch that is refused because of its key has changed nothing by then.
fn write(
    connection: &Connection,
    dictionary: &mut Dictionary,
    prepared: &Prepared,
) -> Result<Written, Failure> {
    let sequence = column(prepared.batch().sequence)?;
    let site = dictionary.site(connection, &prepared.site)?;
    let node = dictionary.node(connection, &prepared.node)?;
    let stream = dictionary.stream(connection, node, prepared.stream_id)?;
    let place = Place::of(connection, stream, sequence)?;
    if place == Place::Taken {
        return compare(connection, prepared, stream, sequence);
    }
    take(connection, stream, sequence, place)?;
    insert(connection, prepared, stream, sequence, site)?;
    touch_node(connection, node, site, prepared)?;
    let ids = dictionary.batch_ids(connection, prepared, node, site)?;
    sums::add(connection, &ids, prepared)?;
    names::add(connection, dictionary, &ids, prepared)?;
    loss::note(connection, dictionary, prepared, &ids)?;
    Ok(Written::New)
}

/// Whether a batch whose key is taken is the one that took it. Where that one's bytes are forgotten, it is
/// believed to be.
fn compare(
    connection: &Connection,
    prepared: &Prepared,
    stream: i64,
    sequence: i64,
) -> Result<Written, Failure> {
    let (stream_id, number) = (prepared.stream_id, prepared.batch().sequence);
    match find(connection, stream, sequence)? {
        Some(stored) if stored == prepared.sha256 => Ok(Written::Duplicate),
        Some(_) => Err(Failure::Conflict(stream_id, number)),
        None if loss::is_lost(connection, stream, sequence)? => {
            Err(Failure::DeclaredLost(stream_id, number))
        }
        None => Ok(Written::Duplicate),
    }
}

fn find(connection: &Connection, stream: i64, sequence: i64) -> rusqlite::Result<Option<Vec<u8>>> {
    connection
        .prepare_cached("SELECT sha256 FROM batch WHERE stream_id = ?1 AND sequence = ?2")?
        .query_row([stream, sequence], |row| row.get(0))
        .optional()
}

fn insert(
    connection: &Connection,
    prepared: &Prepared,
    stream: i64,
    sequence: i64,
    site: i64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO batch (stream_id, sequence, site_id, received_ms, end_ms, sha256, bytes)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let received = &prepared.received;
    connection.prepare_cached(sql)?.execute(params![
        stream,
        sequence,
        site,
        received.received.as_millisecond(),
        prepared.end_ms,
        prepared.sha256,
        received.bytes
    ])?;
    Ok(())
}

fn touch_node(
    connection: &Connection,
    node: i64,
    site: i64,
    prepared: &Prepared,
) -> rusqlite::Result<()> {
    let sql = "UPDATE node SET site_id = ?2, last_seen_ms = max(last_seen_ms, ?3) WHERE id = ?1";
    let received_ms = prepared.received.received.as_millisecond();
    connection
        .prepare_cached(sql)?
        .execute(params![node, site, received_ms])?;
    Ok(())
}
