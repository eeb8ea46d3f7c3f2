//! Batches that will never come: each is one row that takes its sequence, and its energy stands beside the sums
//! of the ledger, never in them.

use jiff::Timestamp;
use rusqlite::{Connection, params};
use wire::StreamId;
use wire::v1::Loss;

use super::dictionary::{BatchIds, Dictionary};
use super::row::{amount, column, energy_sum};
use super::stream::{Place, take};
use super::write::Failure;
use crate::store::prepared::Prepared;
use crate::store::{LostBy, LostEnergy};

/// Notes what a batch says was lost. What has arrived after all is no loss, and what was told before is none
/// again.
pub(super) fn note(
    connection: &Connection,
    dictionary: &mut Dictionary,
    prepared: &Prepared,
    ids: &BatchIds,
) -> Result<(), Failure> {
    for loss in &prepared.batch().losses {
        let stream_id = StreamId::try_from(loss.stream_id.as_slice());
        // Empty: of the stream that tells it; the wire lets nothing else pass.
        let stream_id = stream_id.unwrap_or(prepared.stream_id);
        let stream = dictionary.stream(connection, ids.node, stream_id)?;
        let sequence = column(loss.sequence)?;
        let place = Place::of(connection, stream, sequence)?;
        if place != Place::Taken {
            take(connection, stream, sequence, place)?;
            insert(
                connection,
                stream,
                sequence,
                loss,
                ids,
                prepared.received.received,
            )?;
        }
    }
    Ok(())
}

fn insert(
    connection: &Connection,
    stream: i64,
    sequence: i64,
    loss: &Loss,
    ids: &BatchIds,
    received: Timestamp,
) -> Result<(), Failure> {
    let end_ms = loss.start_unix_ms + loss.duration_ns.div_ceil(1_000_000) as i64;
    connection
        .prepare_cached(
            "INSERT INTO loss (stream_id, sequence, reason, start_ms, end_ms, received_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            stream,
            sequence,
            loss.reason,
            loss.start_unix_ms,
            end_ms,
            received.as_millisecond(),
        ])?;
    let mut statement = connection.prepare_cached(
        "INSERT INTO lost_energy (stream_id, sequence, zone_id, measured_uj) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for lost in &loss.zones {
        let zone = ids.zones[lost.zone as usize];
        statement.execute(params![stream, sequence, zone, column(lost.measured_uj)?])?;
    }
    Ok(())
}

/// Whether a sequence was declared lost.
pub(super) fn is_lost(
    connection: &Connection,
    stream: i64,
    sequence: i64,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM loss WHERE stream_id = ?1 AND sequence = ?2)",
        )?
        .query_row([stream, sequence], |row| row.get(0))
}

/// All losses, by reason.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<LostEnergy>> {
    by_reason(connection, "1", [])
}

/// Losses of the nodes that a run ran on which touch its time, by reason. One that begins when the run's last
/// interval ends touches it: the run may have gone on.
pub(super) fn of_run(
    connection: &Connection,
    run_id: i64,
    start: Timestamp,
    end: Timestamp,
) -> rusqlite::Result<Vec<LostEnergy>> {
    let touches = "stream_id IN (SELECT stream.id FROM stream JOIN run_node USING (node_id) WHERE run_id = ?1)
                   AND end_ms >= ?2 AND start_ms <= ?3";
    let (start, end) = (start.as_millisecond(), end.as_millisecond());
    by_reason(connection, touches, [run_id, start, end])
}

fn by_reason(
    connection: &Connection,
    condition: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<Vec<LostEnergy>> {
    let sql = format!(
        "SELECT reason, count(*), coalesce(sum(joules), 0), coalesce(sum(rest), 0)
         FROM (SELECT reason,
                      (SELECT sum(measured_uj / 1000000) FROM lost_energy AS lost
                       WHERE lost.stream_id = loss.stream_id AND lost.sequence = loss.sequence) AS joules,
                      (SELECT sum(measured_uj % 1000000) FROM lost_energy AS lost
                       WHERE lost.stream_id = loss.stream_id AND lost.sequence = loss.sequence) AS rest
               FROM loss WHERE {condition})
         GROUP BY reason ORDER BY reason"
    );
    let lost = |row: &rusqlite::Row<'_>| {
        Ok(LostEnergy {
            by: reason(row.get(0)?),
            batches: amount(row, 1)?,
            energy: energy_sum(row, 2)?,
        })
    };
    connection
        .prepare_cached(&sql)?
        .query_map(params, lost)?
        .collect()
}

/// As the wire numbers it; the wire lets no other number pass.
fn reason(number: i64) -> LostBy {
    match number {
        2 => LostBy::Refused,
        3 => LostBy::Damaged,
        _ => LostBy::Dropped,
    }
}
