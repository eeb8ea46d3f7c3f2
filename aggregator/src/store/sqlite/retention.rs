//! Old batches are forgotten, old minutes are folded into hours, in steps of bounded length between which other
//! writes have their turn. What is freed of the file is used again.

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

use super::row::amount;
use super::write::Failure;
use crate::rollup::{MINUTE_MS, last_end_ms};
use crate::store::{Retention, Tidied};

/// Minutes of an hour.
pub(super) const MINUTES: i64 = 60;
/// Batches that one step forgets.
const BATCHES: usize = 256;
/// Hours of nodes that one step folds: of 80 workloads in two zones, some ten thousand rows each.
const HOURS: usize = 2;

/// One step.
pub(super) fn tidy(
    connection: &mut Connection,
    now: Timestamp,
    retention: Retention,
) -> Result<Tidied, Failure> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let batches = forget(&transaction, before(now, retention.raw))?;
    let last_kept = before(now, retention.minutes).div_euclid(MINUTE_MS);
    let before_minute = last_kept.div_euclid(MINUTES) * MINUTES;
    let (hours, minutes) = fold(&transaction, before_minute)?;
    transaction.commit()?;
    Ok(Tidied {
        batches: batches as u64,
        minutes,
        more: batches == BATCHES || hours == HOURS,
    })
}

/// `length` before `now`, in milliseconds since 1970; 1970 where that is before it.
fn before(now: Timestamp, length: Duration) -> i64 {
    let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
    now.as_millisecond().saturating_sub(length).max(0)
}

struct Old {
    id: i64,
    node: i64,
    end_ms: Option<i64>,
    received_ms: i64,
}

/// Forgets batches that came before a time, the oldest first; returns how many.
fn forget(connection: &Connection, before_ms: i64) -> rusqlite::Result<usize> {
    let old = |row: &rusqlite::Row<'_>| {
        Ok(Old {
            id: row.get(0)?,
            node: row.get(1)?,
            end_ms: row.get(2)?,
            received_ms: row.get(3)?,
        })
    };
    let batches: Vec<Old> = connection
        .prepare_cached(
            "SELECT batch.id, node_id, end_ms, received_ms
             FROM batch JOIN stream ON stream.id = batch.stream_id
             WHERE received_ms < ?1 ORDER BY received_ms LIMIT ?2",
        )?
        .query_map(params![before_ms, BATCHES as i64], old)?
        .collect::<rusqlite::Result<_>>()?;
    let sql = "UPDATE node SET raw_from_minute = max(raw_from_minute, ?2) WHERE id = ?1";
    for batch in &batches {
        let end_ms = match batch.end_ms {
            Some(end_ms) => end_ms,
            None => read_end_ms(connection, batch)?,
        };
        let first_whole = (end_ms + MINUTE_MS - 1).div_euclid(MINUTE_MS);
        connection
            .prepare_cached(sql)?
            .execute([batch.node, first_whole])?;
        connection
            .prepare_cached("DELETE FROM batch WHERE id = ?1")?
            .execute([batch.id])?;
    }
    Ok(batches.len())
}

/// Of a batch that the first schema wrote. Where its bytes cannot be read, nothing that it may have made is
/// held against raw batches any more.
fn read_end_ms(connection: &Connection, batch: &Old) -> rusqlite::Result<i64> {
    let bytes: Vec<u8> = connection
        .prepare_cached("SELECT bytes FROM batch WHERE id = ?1")?
        .query_row([batch.id], |row| row.get(0))?;
    Ok(wire::decode(&bytes).map_or(batch.received_ms, |batch| last_end_ms(&batch)))
}

/// Folds minutes before one that begins an hour; returns how many hours and zone-minutes.
fn fold(connection: &Connection, before_minute: i64) -> rusqlite::Result<(usize, u64)> {
    let sql = "UPDATE fold SET before_minute = ?1 WHERE before_minute < ?1";
    connection.prepare_cached(sql)?.execute([before_minute])?;
    let mut minutes = 0;
    for hours in 0..HOURS {
        let Some((node, hour)) = oldest(connection, before_minute)? else {
            return Ok((hours, minutes));
        };
        minutes += fold_hour(connection, node, hour)?;
    }
    Ok((HOURS, minutes))
}

/// A node that has minutes before one, and its first hour of them.
fn oldest(connection: &Connection, before_minute: i64) -> rusqlite::Result<Option<(i64, i64)>> {
    let sql = "SELECT id, first / 60
               FROM (SELECT id, (SELECT minute FROM zone_minute WHERE node_id = node.id
                                 ORDER BY minute LIMIT 1) AS first FROM node)
               WHERE first < ?1 LIMIT 1";
    connection
        .prepare_cached(sql)?
        .query_row([before_minute], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()
}

/// Where a node moved to another site within the hour, all of the hour is the later site's.
const FOLD_ZONES: &str = "
    INSERT INTO zone_hour (node_id, hour, zone_id, site_id, measured_uj, idle_uj, system_uj,
                           system_usage_ns, covered_ns, idle_seeded)
    SELECT node_id, ?2 / 60, zone_id, max(site_id), sum(measured_uj), sum(idle_uj), sum(system_uj),
           sum(system_usage_ns), sum(covered_ns), max(idle_seeded)
    FROM zone_minute WHERE node_id = ?1 AND minute BETWEEN ?2 AND ?3 GROUP BY zone_id
    ON CONFLICT (node_id, hour, zone_id) DO UPDATE SET
        measured_uj = measured_uj + excluded.measured_uj,
        idle_uj = idle_uj + excluded.idle_uj,
        system_uj = system_uj + excluded.system_uj,
        system_usage_ns = system_usage_ns + excluded.system_usage_ns,
        covered_ns = covered_ns + excluded.covered_ns,
        idle_seeded = max(idle_seeded, excluded.idle_seeded)";
const FOLD_SHARES: &str = "
    INSERT INTO share_hour (node_id, hour, zone_id, workload_id, active_uj, usage_ns, request_us)
    SELECT node_id, ?2 / 60, zone_id, workload_id, sum(active_uj), sum(usage_ns), sum(request_us)
    FROM share_minute WHERE node_id = ?1 AND minute BETWEEN ?2 AND ?3 GROUP BY zone_id, workload_id
    ON CONFLICT (node_id, hour, zone_id, workload_id) DO UPDATE SET
        active_uj = active_uj + excluded.active_uj,
        usage_ns = usage_ns + excluded.usage_ns,
        request_us = request_us + excluded.request_us";

fn fold_hour(connection: &Connection, node: i64, hour: i64) -> rusqlite::Result<u64> {
    let (first, last) = (hour * MINUTES, hour * MINUTES + MINUTES - 1);
    let minutes = params![node, first, last];
    connection.prepare_cached(FOLD_ZONES)?.execute(minutes)?;
    connection.prepare_cached(FOLD_SHARES)?.execute(minutes)?;
    let delete = |sql| connection.prepare_cached(sql)?.execute(minutes);
    delete("DELETE FROM share_minute WHERE node_id = ?1 AND minute BETWEEN ?2 AND ?3")?;
    let folded = delete("DELETE FROM zone_minute WHERE node_id = ?1 AND minute BETWEEN ?2 AND ?3")?;
    Ok(folded as u64)
}

/// Bytes of the file that are free to be used again.
pub(super) fn free_bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let number = |sql| connection.query_row(sql, [], |row| amount(row, 0));
    Ok(number("PRAGMA freelist_count")? * number("PRAGMA page_size")?)
}
