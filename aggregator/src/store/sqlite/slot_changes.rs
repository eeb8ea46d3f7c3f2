//! Which times had their intensities changed: a short list, so that whoever remembers figures knows which to forget.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::row::time;
use crate::intensity::Slot;
use crate::store::SlotChanges;

/// Changes that are kept; who has missed more forgets all.
const KEPT: i64 = 1_000;

/// Notes that these slots were new or changed.
pub(super) fn note(connection: &Connection, slots: &[&Slot]) -> rusqlite::Result<()> {
    let from = slots.iter().map(|slot| slot.from).min();
    let to = slots.iter().map(|slot| slot.to).max();
    let (Some(from), Some(to)) = (from, to) else {
        return Ok(());
    };
    connection
        .prepare_cached("INSERT INTO slot_change (from_ms, to_ms) VALUES (?1, ?2)")?
        .execute(params![from.as_millisecond(), to.as_millisecond()])?;
    connection
        .prepare_cached("DELETE FROM slot_change WHERE number <= ?1")?
        .execute([connection.last_insert_rowid() - KEPT])?;
    Ok(())
}

/// The changes after one, by its number.
pub(super) fn after(connection: &Connection, number: i64) -> rusqlite::Result<SlotChanges> {
    let range = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, time(row, 1)?, time(row, 2)?));
    let changes: Vec<(i64, Timestamp, Timestamp)> = connection
        .prepare_cached(
            "SELECT number, from_ms, to_ms FROM slot_change WHERE number > ?1 ORDER BY number",
        )?
        .query_map([number], range)?
        .collect::<rusqlite::Result<_>>()?;
    let missed = changes
        .first()
        .is_some_and(|(first, ..)| *first > number + 1);
    let last = changes.last().map_or(number, |(last, ..)| *last);
    let times = changes.into_iter().map(|(_, from, to)| (from, to));
    Ok(SlotChanges {
        last,
        times: (!missed).then(|| times.collect()),
    })
}
