//! The proof: every raw batch that is still there is read again and summed up anew, in temporary tables beside the
//! ledger's own, and the two are held against each other row by row in both directions. Where raw batches were
//! forgotten, the ledger must have at least what the others make. What sums up minutes and hours is held against
//! all of these, and each of them against its own parts, however old.
//!
//! The temporary tables bear the names of the ledger's, and SQLite finds a temporary table first: so the
//! statements that fill the ledger fill them, unchanged. Memory does not grow with the ledger.

mod compare;
mod streams;

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Connection, Row};
use wire::StreamId;

use super::dictionary::Dictionary;
use super::row::energy_sum;
use super::write::Failure;
use super::{loss, names, row, stream, sums};
use crate::store::prepared::Prepared;
use crate::store::{CheckReport, ReceivedBatch};

/// Faults that are told one by one.
const MAX_FAULTS: usize = 50;

pub(super) fn check(
    connection: &Connection,
    progress: &mut dyn FnMut(u64, u64),
) -> rusqlite::Result<CheckReport> {
    // The temporary rows point into the ledger's dictionaries, which a foreign key cannot do.
    connection.pragma_update(None, "foreign_keys", false)?;
    let snapshot = connection.unchecked_transaction()?;
    make_tables(&snapshot)?;

    let mut report = CheckReport::default();
    sum_up_again(&snapshot, &mut report, progress)?;
    report.raw_forgotten = snapshot.query_row(
        "SELECT EXISTS (SELECT 1 FROM node WHERE raw_from_minute > 0)",
        [],
        |row| row.get(0),
    )?;
    compare::with_batches(&snapshot, &mut report)?;
    compare::totals(&snapshot, &mut report)?;
    compare::parts(&snapshot, &mut report)?;
    streams::check(&snapshot, &mut report)?;
    (report.cells, report.measured) = snapshot.query_row(
        "SELECT count(*), coalesce(sum(measured_uj / 1000000), 0),
                coalesce(sum(measured_uj % 1000000), 0)
         FROM (SELECT zone_id, measured_uj FROM main.zone_minute
               UNION ALL SELECT zone_id, measured_uj FROM zone_hour)
         JOIN zone ON id = zone_id WHERE parent = ''",
        [],
        |row| Ok((row::amount(row, 0)?, energy_sum(row, 1)?)),
    )?;
    report.losses = loss::all(&snapshot)?;
    report.missing = stream::missing(&snapshot)?;
    Ok(report)
}

/// Empty copies of the tables that hold sums.
fn make_tables(connection: &Connection) -> rusqlite::Result<()> {
    for table in sums::TABLES {
        let sql: String = connection.query_row(
            "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1",
            [table],
            |row| row.get(0),
        )?;
        connection.execute_batch(&sql.replacen("CREATE TABLE", "CREATE TEMPORARY TABLE", 1))?;
    }
    Ok(())
}

/// A batch as the ledger keeps it.
struct Stored {
    cluster: String,
    node: String,
    stream_id: Vec<u8>,
    sequence: u64,
    site: i64,
    sha256: Vec<u8>,
    bytes: Vec<u8>,
}

fn sum_up_again(
    connection: &Connection,
    report: &mut CheckReport,
    progress: &mut dyn FnMut(u64, u64),
) -> rusqlite::Result<()> {
    let total =
        connection.query_row("SELECT count(*) FROM batch", [], |row| row::amount(row, 0))?;
    let mut dictionary = Dictionary::fixed();
    let mut statement = connection.prepare(
        "SELECT cluster, node, stream.stream_id, sequence, batch.site_id, sha256, bytes
         FROM batch JOIN stream ON stream.id = batch.stream_id JOIN node ON node.id = node_id
         ORDER BY batch.id",
    )?;
    let mut rows = statement.query([])?;
    progress(0, total);
    while let Some(row) = rows.next()? {
        let stored = read(row)?;
        let stream = hexadecimal(&stored.stream_id);
        let name = format!(
            "batch {} of stream {stream} from {}/{}",
            stored.sequence, stored.cluster, stored.node
        );
        if let Err(fault) = add_again(connection, &mut dictionary, stored) {
            add_fault(report, format!("{name}: {fault}"));
        }
        report.batches += 1;
        progress(report.batches, total);
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Stored> {
    Ok(Stored {
        cluster: row.get(0)?,
        node: row.get(1)?,
        stream_id: row.get(2)?,
        sequence: row::amount(row, 3)?,
        site: row.get(4)?,
        sha256: row.get(5)?,
        bytes: row.get(6)?,
    })
}

fn hexadecimal(stream_id: &[u8]) -> String {
    StreamId::try_from(stream_id).map_or_else(|error| error.to_string(), |id| id.to_string())
}

/// Sums up one stored batch; an error says what is wrong with it.
fn add_again(
    connection: &Connection,
    dictionary: &mut Dictionary,
    stored: Stored,
) -> Result<(), String> {
    let batch = wire::decode(&stored.bytes);
    let received = |batch| ReceivedBatch {
        bytes: stored.bytes,
        batch,
        received: Timestamp::UNIX_EPOCH,
    };
    let batch = batch.map(|batch| Arc::new(received(batch)));
    let batch =
        batch.map_err(|error| format!("its bytes are not those that were written: {error}"))?;
    let prepared = Prepared::new(batch, "").map_err(|error| error.to_string())?;
    if prepared.sha256 != stored.sha256.as_slice() {
        return Err("its bytes are not those that were written".to_owned());
    }
    let batch = prepared.batch();
    let key = (
        &batch.cluster,
        &batch.node,
        &batch.stream_id,
        batch.sequence,
    );
    let kept_under = (
        &stored.cluster,
        &stored.node,
        &stored.stream_id,
        stored.sequence,
    );
    if key != kept_under {
        return Err("it is kept under another key than its own".to_owned());
    }
    let ids = dictionary
        .node(connection, &prepared.node)
        .and_then(|node| dictionary.batch_ids(connection, &prepared, node, stored.site));
    let ids = ids.map_err(|error| match error {
        rusqlite::Error::QueryReturnedNoRows => "a name in it is in no dictionary".to_owned(),
        error => error.to_string(),
    })?;
    sums::add(connection, &ids, &prepared)
        .and_then(|()| names::add(connection, dictionary, &ids, &prepared))
        .map_err(|failure: Failure| failure.to_string())
}

/// Notes a fault, up to the number that is told.
fn add_fault(report: &mut CheckReport, fault: String) {
    if report.faults.len() < MAX_FAULTS {
        report.faults.push(fault);
    } else if report.faults.len() == MAX_FAULTS {
        report.faults.push("and more".to_owned());
    }
}
