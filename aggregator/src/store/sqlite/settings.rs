//! Sites and intensity slots: what the ledger is told beside the batches.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::time;
use crate::intensity::{Signal, Slot};
use crate::site::Site;

pub(super) fn put_sites(connection: &mut Connection, sites: &[Site]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for site in sites {
        transaction.execute(
            "INSERT INTO site (name, intensity_zone, pue) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET intensity_zone = excluded.intensity_zone, pue = excluded.pue",
            params![site.name, site.intensity_zone, site.pue],
        )?;
    }
    transaction.commit()
}

pub(super) fn sites(connection: &Connection) -> rusqlite::Result<Vec<Site>> {
    let site = |row: &Row<'_>| {
        Ok(Site {
            name: row.get(0)?,
            intensity_zone: row.get(1)?,
            pue: row.get(2)?,
        })
    };
    connection
        .prepare_cached("SELECT name, intensity_zone, pue FROM site ORDER BY name")?
        .query_map([], site)?
        .collect()
}

pub(super) fn put_slots(connection: &mut Connection, slots: &[Slot]) -> rusqlite::Result<usize> {
    let transaction = connection.transaction()?;
    let mut changed = 0;
    for slot in slots {
        let newest = newest_revision(&transaction, slot)?;
        let known = newest.as_ref().is_some_and(|(_, known)| {
            (known.g_per_kwh, known.basis, &known.source)
                == (slot.g_per_kwh, slot.basis, &slot.source)
        });
        if !known {
            let revision = newest.map_or(1, |(revision, _)| revision + 1);
            insert(&transaction, slot, revision)?;
            changed += 1;
        }
    }
    transaction.commit()?;
    Ok(changed)
}

fn newest_revision(connection: &Connection, slot: &Slot) -> rusqlite::Result<Option<(i64, Slot)>> {
    let sql = "SELECT intensity_zone, from_ms, to_ms, g_per_kwh, kind, basis, source, revision
               FROM slot WHERE intensity_zone = ?1 AND from_ms = ?2 AND to_ms = ?3 AND kind = ?4
               ORDER BY revision DESC LIMIT 1";
    let (from, to) = (slot.from.as_millisecond(), slot.to.as_millisecond());
    connection
        .prepare_cached(sql)?
        .query_row(
            params![slot.intensity_zone, from, to, slot.kind.as_str()],
            |row| Ok((row.get(7)?, read_slot(row)?)),
        )
        .optional()
}

fn insert(connection: &Connection, slot: &Slot, revision: i64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO slot (intensity_zone, from_ms, to_ms, kind, revision, g_per_kwh, basis, source)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
    connection.prepare_cached(sql)?.execute(params![
        slot.intensity_zone,
        slot.from.as_millisecond(),
        slot.to.as_millisecond(),
        slot.kind.as_str(),
        revision,
        slot.g_per_kwh,
        slot.basis.as_str(),
        slot.source,
    ])?;
    Ok(())
}

pub(super) fn slots(
    connection: &Connection,
    intensity_zone: &str,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<Vec<Slot>> {
    // With max() SQLite takes the other columns from the row that has the maximum.
    let sql = "SELECT intensity_zone, from_ms, to_ms, g_per_kwh, kind, basis, source, max(revision)
               FROM slot WHERE intensity_zone = ?1 AND from_ms < ?3 AND to_ms > ?2
               GROUP BY from_ms, to_ms, kind ORDER BY from_ms, to_ms, kind";
    connection
        .prepare_cached(sql)?
        .query_map(
            params![intensity_zone, from.as_millisecond(), to.as_millisecond()],
            read_slot,
        )?
        .collect()
}

fn read_slot(row: &Row<'_>) -> rusqlite::Result<Slot> {
    let (kind, basis): (String, String) = (row.get(4)?, row.get(5)?);
    let unknown = |index, text: &str| {
        let message = format!("unknown value '{text}' in a slot");
        rusqlite::Error::FromSqlConversionFailure(
            index,
            rusqlite::types::Type::Text,
            message.into(),
        )
    };
    Ok(Slot {
        intensity_zone: row.get(0)?,
        from: time(row, 1)?,
        to: time(row, 2)?,
        g_per_kwh: row.get(3)?,
        kind: Signal::try_from(kind.clone()).map_err(|_| unknown(4, &kind))?,
        basis: basis.parse().map_err(|_| unknown(5, &basis))?,
        source: row.get(6)?,
    })
}
