//! Sites and intensity slots: what the ledger is told beside the batches.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

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
    // Deferred, it would read first, and fail at once where another process writes in between.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut changed = 0;
    for slot in last_of_each_key(slots) {
        let newest = newest_revision(&transaction, slot)?;
        let known = newest.as_ref().is_some_and(|(_, known)| {
            (known.g_per_kwh, &known.source) == (slot.g_per_kwh, &slot.source)
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

/// Of slots with the same key the last one stays, so that one call makes one revision of it.
fn last_of_each_key(slots: &[Slot]) -> impl Iterator<Item = &Slot> {
    let key = |slot: &Slot| {
        let (zone, kind) = (slot.intensity_zone.clone(), slot.kind.clone());
        (zone, slot.from, slot.to, kind, slot.basis)
    };
    let by_key: BTreeMap<_, _> = slots.iter().map(|slot| (key(slot), slot)).collect();
    by_key.into_values()
}

fn newest_revision(connection: &Connection, slot: &Slot) -> rusqlite::Result<Option<(i64, Slot)>> {
    let sql = "SELECT intensity_zone, from_ms, to_ms, g_per_kwh, kind, basis, source, revision
               FROM slot WHERE intensity_zone = ?1 AND from_ms = ?2 AND to_ms = ?3 AND kind = ?4
                 AND basis = ?5
               ORDER BY revision DESC LIMIT 1";
    let (from, to) = (slot.from.as_millisecond(), slot.to.as_millisecond());
    connection
        .prepare_cached(sql)?
        .query_row(
            params![
                slot.intensity_zone,
                from,
                to,
                slot.kind.as_str(),
                slot.basis.as_str()
            ],
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

/// Slots of a zone that touch a time. With max() SQLite takes the other columns from the row that has the
/// maximum. The index is named because the key leads SQLite to walk all that came before.
const SLOTS: &str = "
    SELECT intensity_zone, from_ms, to_ms, g_per_kwh, kind, basis, source, max(revision)
    FROM slot INDEXED BY slot_by_end WHERE intensity_zone = ?1 AND from_ms < ?3 AND to_ms > ?2
    GROUP BY from_ms, to_ms, kind, basis ORDER BY from_ms, to_ms, kind, basis";

pub(super) fn slots(
    connection: &Connection,
    intensity_zone: &str,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<Vec<Slot>> {
    connection
        .prepare_cached(SLOTS)?
        .query_map(
            params![intensity_zone, from.as_millisecond(), to.as_millisecond()],
            read_slot,
        )?
        .collect()
}

pub(super) fn has_slots(connection: &Connection, intensity_zone: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM slot WHERE intensity_zone = ?1)")?
        .query_row([intensity_zone], |row| row.get(0))
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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::Path;

    use super::*;
    use crate::intensity::IntensityBasis;
    use crate::store::sqlite::open;

    fn slot() -> Slot {
        Slot {
            intensity_zone: "FR".to_owned(),
            from: Timestamp::UNIX_EPOCH,
            to: Timestamp::from_second(3600).unwrap(),
            g_per_kwh: 40.0,
            kind: Signal::default(),
            basis: IntensityBasis::Measured,
            source: "a test".to_owned(),
        }
    }

    fn open(path: &Path) -> Connection {
        open::for_writing(path).unwrap()
    }

    thread_local! {
        /// A connection that holds the file until someone has to wait for it.
        static OTHER: RefCell<Option<Connection>> = const { RefCell::new(None) };
    }

    #[test]
    fn slots_wait_for_another_writer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        let (mut connection, other) = (open(&path), open(&path));
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        OTHER.set(Some(other));
        let let_go: fn(i32) -> bool = |_| OTHER.take().is_some();
        connection.busy_handler(Some(let_go)).unwrap();
        assert_eq!(put_slots(&mut connection, &[slot()]).unwrap(), 1);
    }

    #[test]
    fn slots_are_found_by_their_end() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("ledger.db"));
        let sql = format!("EXPLAIN QUERY PLAN {SLOTS}");
        let mut statement = connection.prepare(&sql).unwrap();
        let plan: Vec<String> = statement
            .query_map(params!["FR", 0, 1], |row| row.get("detail"))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(
            plan[0].contains("slot_by_end (intensity_zone=? AND to_ms>?)"),
            "{plan:?}"
        );
    }
}
