//! A batch into the ledger: its bytes and its sums in one transaction, once.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use wire::StreamId;

use super::dictionary::Dictionary;
use super::row::column;
use super::{open, sums};
use crate::rollup::{Rollup, Unfit};
use crate::store::{ReceivedBatch, StoreError, Written};

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// SQLite could not.
    #[error(transparent)]
    Sql(#[from] rusqlite::Error),
    /// The sums are too great.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The key is taken by other content.
    #[error("batch {1} of stream {0} is there with other content")]
    Conflict(StreamId, u64),
}

impl Failure {
    pub(super) fn into_store_error(self, path: &Path) -> StoreError {
        match self {
            Self::Sql(error) if is_overflow(&error) => Unfit::TooGreat.into(),
            Self::Sql(error) => open::failed(path, &error),
            Self::Unfit(unfit) => unfit.into(),
            Self::Conflict(stream_id, sequence) => StoreError::Conflict {
                stream_id,
                sequence,
            },
        }
    }
}

/// A sum that overflows becomes a REAL, which a STRICT column refuses.
fn is_overflow(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::SqliteFailure(cause, _)
        if cause.code == ErrorCode::ConstraintViolation
            && cause.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_DATATYPE)
}

/// Digest of a batch's bytes.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
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

    /// Drops what is remembered of the dictionaries.
    pub(super) fn forget(&mut self) {
        self.dictionary = Dictionary::default();
    }

    pub(super) fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    pub(super) fn write_batch(
        &mut self,
        received: &ReceivedBatch,
        sha256: &[u8; 32],
        rollup: &Rollup<'_>,
        site: &str,
    ) -> Result<Written, Failure> {
        let Self {
            connection,
            dictionary,
        } = self;
        let batch = &received.batch;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let site = dictionary.site(&transaction, site)?;
        let node = dictionary.node(&transaction, batch)?;
        let stream_id = StreamId::try_from(batch.stream_id.as_slice())
            .expect("a valid batch has a stream id of 16 bytes");
        let stream = dictionary.stream(&transaction, node, stream_id)?;
        let sequence = column(batch.sequence)?;

        if let Some(stored) = find(&transaction, stream, sequence)? {
            if stored != sha256 {
                return Err(Failure::Conflict(stream_id, batch.sequence));
            }
            // Keeps the dictionary in memory true: what it may have added is committed.
            transaction.commit()?;
            return Ok(Written::Duplicate);
        }
        insert(&transaction, received, stream, sequence, site, sha256)?;
        touch_node(&transaction, node, site, received)?;
        let ids = dictionary.batch_ids(&transaction, batch, rollup, node, site)?;
        sums::add(&transaction, &ids, rollup)?;
        transaction.commit()?;
        Ok(Written::New)
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
    received: &ReceivedBatch,
    stream: i64,
    sequence: i64,
    site: i64,
    sha256: &[u8; 32],
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO batch (stream_id, sequence, site_id, received_ms, sha256, bytes)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let received_ms = received.received.as_millisecond();
    connection.prepare_cached(sql)?.execute(params![
        stream,
        sequence,
        site,
        received_ms,
        sha256,
        received.bytes
    ])?;
    Ok(())
}

fn touch_node(
    connection: &Connection,
    node: i64,
    site: i64,
    received: &ReceivedBatch,
) -> rusqlite::Result<()> {
    let sql = "UPDATE node SET site_id = ?2, last_seen_ms = max(last_seen_ms, ?3) WHERE id = ?1";
    let received_ms = received.received.as_millisecond();
    connection
        .prepare_cached(sql)?
        .execute(params![node, site, received_ms])?;
    Ok(())
}
