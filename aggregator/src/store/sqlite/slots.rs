//! Intensity slots: every revision of each, with the time at which it was recorded.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::recording::Recording;
use super::row::time;
use super::slot_changes;
use crate::intensity::{Signal, Slot};

pub(super) fn put_slots(
    connection: &mut Connection,
    slots: &[Slot],
    now: Recording,
) -> rusqlite::Result<usize> {
    // Deferred, it would read first, and fail at once where another process writes in between.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let recorded_ms = now.ms(&transaction)?;
    let mut changed = Vec::new();
    for slot in last_of_each_key(slots) {
        let newest = newest_revision(&transaction, slot)?;
        let known = newest
            .as_ref()
            .is_some_and(|known| known.says_the_same(slot));
        if !known {
            let number = newest.map_or(1, |newest| newest.number + 1);
            insert(&transaction, slot, number, recorded_ms)?;
            changed.push(slot);
        }
    }
    if !changed.is_empty() {
        Recording::keep(&transaction, recorded_ms)?;
    }
    slot_changes::note(&transaction, &changed)?;
    transaction.commit()?;
    Ok(changed.len())
}

/// Of slots with the same key the last one stays, so that one call makes one revision of it.
fn last_of_each_key(slots: &[Slot]) -> impl Iterator<Item = &Slot> {
    let key = |slot: &Slot| {
        let zone = slot.intensity_zone.clone();
        (zone, slot.from, slot.to, slot.kind, slot.basis)
    };
    let by_key: BTreeMap<_, _> = slots.iter().map(|slot| (key(slot), slot)).collect();
    by_key.into_values()
}

/// One revision of a slot.
struct Revision {
    number: i64,
    figure: f64,
    source: String,
}

impl Revision {
    fn says_the_same(&self, slot: &Slot) -> bool {
        (self.figure, &self.source) == (slot.g_per_kwh, &slot.source)
    }
}

fn newest_revision(connection: &Connection, slot: &Slot) -> rusqlite::Result<Option<Revision>> {
    let sql = "SELECT revision, g_per_kwh, source
               FROM slot WHERE intensity_zone = ?1 AND from_ms = ?2 AND to_ms = ?3 AND kind = ?4
                 AND basis = ?5
               ORDER BY revision DESC LIMIT 1";
    let (from, to) = (slot.from.as_millisecond(), slot.to.as_millisecond());
    let (kind, basis) = (slot.kind.as_str(), slot.basis.as_str());
    connection
        .prepare_cached(sql)?
        .query_row(params![slot.intensity_zone, from, to, kind, basis], |row| {
            Ok(Revision {
                number: row.get(0)?,
                figure: row.get(1)?,
                source: row.get(2)?,
            })
        })
        .optional()
}

fn insert(
    connection: &Connection,
    slot: &Slot,
    revision: i64,
    recorded_ms: i64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO slot (intensity_zone, from_ms, to_ms, kind, revision, g_per_kwh, basis, source,
                                 recorded_ms)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    connection.prepare_cached(sql)?.execute(params![
        slot.intensity_zone,
        slot.from.as_millisecond(),
        slot.to.as_millisecond(),
        slot.kind.as_str(),
        revision,
        slot.g_per_kwh,
        slot.basis.as_str(),
        slot.source,
        recorded_ms,
    ])?;
    Ok(())
}

/// The slots of a zone that touch a time: those of a day or less start within a day before it, and the few that are
/// longer are found by their end. No question walks what came long before the time, or what came after.
const TOUCHING: [&str; 2] = [
    "slot WHERE intensity_zone = ?1 AND from_ms > ?2 - 86400000 AND from_ms < ?3 AND to_ms > ?2
         AND to_ms - from_ms <= 86400000",
    "slot INDEXED BY slot_long WHERE intensity_zone = ?1 AND from_ms < ?3 AND to_ms > ?2
         AND to_ms - from_ms > 86400000",
];

/// The newest revision of each. With max() SQLite takes the other columns from the row that has the maximum.
static SLOTS: LazyLock<String> = LazyLock::new(|| {
    let newest = TOUCHING.map(|touching| {
        format!(
            "SELECT intensity_zone, from_ms, to_ms, g_per_kwh, kind, basis, source, max(revision)
             FROM {touching} AND recorded_ms <= ?4 GROUP BY from_ms, to_ms, kind, basis"
        )
    });
    newest.join(" UNION ALL ")
});

pub(super) fn slots(
    connection: &Connection,
    intensity_zone: &str,
    from: Timestamp,
    to: Timestamp,
    as_of: Option<Timestamp>,
) -> rusqlite::Result<Vec<Slot>> {
    let (from_ms, to_ms) = (from.as_millisecond(), to.as_millisecond());
    let as_of_ms = as_of.map_or(i64::MAX, Timestamp::as_millisecond);
    let mut slots: Vec<Slot> = connection
        .prepare_cached(&SLOTS)?
        .query_map(params![intensity_zone, from_ms, to_ms, as_of_ms], read_slot)?
        .collect::<rusqlite::Result<_>>()?;
    // Two runs that are in order already, which SQLite would sort from the ground.
    slots.sort_by_key(|slot| (slot.from, slot.to));
    Ok(slots)
}

static REVISIONS: LazyLock<String> = LazyLock::new(|| {
    let times = TOUCHING.map(|touching| format!("SELECT recorded_ms, kind FROM {touching}"));
    times.join(" UNION ") + " ORDER BY recorded_ms, kind"
});

pub(super) fn slot_revisions(
    connection: &Connection,
    intensity_zone: &str,
    from: Timestamp,
    to: Timestamp,
) -> rusqlite::Result<Vec<(Signal, Timestamp)>> {
    let times = params![intensity_zone, from.as_millisecond(), to.as_millisecond()];
    connection
        .prepare_cached(&REVISIONS)?
        .query_map(times, |row| Ok((read_kind(row, 1)?, time(row, 0)?)))?
        .collect()
}

pub(super) fn has_slots(connection: &Connection, intensity_zone: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM slot WHERE intensity_zone = ?1)")?
        .query_row([intensity_zone], |row| row.get(0))
}

fn read_slot(row: &Row<'_>) -> rusqlite::Result<Slot> {
    let basis: String = row.get(5)?;
    Ok(Slot {
        intensity_zone: row.get(0)?,
        from: time(row, 1)?,
        to: time(row, 2)?,
        g_per_kwh: row.get(3)?,
        kind: read_kind(row, 4)?,
        basis: basis.parse().map_err(|_| unknown(5, &basis))?,
        source: row.get(6)?,
    })
}

fn read_kind(row: &Row<'_>, column: usize) -> rusqlite::Result<Signal> {
    let kind: String = row.get(column)?;
    kind.parse().map_err(|_| unknown(column, &kind))
}

fn unknown(column: usize, text: &str) -> rusqlite::Error {
    let message = format!("unknown value '{text}' in a slot");
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, message.into())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::path::Path;

    use super::*;
    use crate::intensity::IntensityBasis;
    use crate::store::sqlite::open;
    use crate::store::sqlite::row::query_plan;

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
        assert_eq!(
            put_slots(
                &mut connection,
                &[slot()],
                Recording::asked_at(Timestamp::UNIX_EPOCH)
            )
            .unwrap(),
            1
        );
    }

    #[test]
    fn slots_are_found_by_their_start_and_long_ones_by_their_end() {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("ledger.db"));
        for (sql, parameters) in [
            (&SLOTS, params!["FR", 0, 1, 2]),
            (&REVISIONS, params!["FR", 0, 1]),
        ] {
            let plan = query_plan(&connection, sql, parameters);
            for expected in [
                "PRIMARY KEY (intensity_zone=? AND from_ms>? AND from_ms<?)",
                "slot_long (intensity_zone=? AND to_ms>?)",
            ] {
                let found = plan.iter().any(|step| step.contains(expected));
                assert!(found, "{expected}: {plan:?}");
            }
            assert!(
                !plan.iter().any(|step| step.contains("FOR GROUP BY")),
                "{plan:?}"
            );
        }
    }

    #[test]
    fn slots_of_any_length_are_found_where_they_touch_the_time() {
        let directory = tempfile::tempdir().unwrap();
        let mut connection = open(&directory.path().join("ledger.db"));
        let hour = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
        let slots_of_length = |hours: i64| {
            (-60..60).map(move |from| Slot {
                from: hour(from),
                to: hour(from + hours),
                ..slot()
            })
        };
        let all: Vec<Slot> = [1, 23, 24, 25, 50]
            .into_iter()
            .flat_map(slots_of_length)
            .collect();
        put_slots(
            &mut connection,
            &all,
            Recording::asked_at(Timestamp::UNIX_EPOCH),
        )
        .unwrap();
        let mut expected: Vec<Slot> = all
            .into_iter()
            .filter(|slot| slot.from < hour(3) && slot.to > hour(0))
            .collect();
        expected.sort_by_key(|slot| (slot.from, slot.to));
        let found = slots(&connection, "FR", hour(0), hour(3), None).unwrap();
        assert_eq!(found, expected);
        let revisions = slot_revisions(&connection, "FR", hour(0), hour(3)).unwrap();
        assert_eq!(revisions.len(), 1, "{revisions:?}");
    }
}
