//! What of a stream is there: a mark as high as its greatest sequence, and the gaps below it. So a batch is known
//! for a duplicate long after its bytes are forgotten.

use rusqlite::{Connection, OptionalExtension, params};

/// Where a sequence stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is there, or was declared lost.
    Taken,
    /// Above the mark, which is this.
    Above(i64),
    /// In the gap from the first to the last of these.
    Gap(i64, i64),
}

impl Place {
    /// Where a sequence (above 0) of a stream stands.
    pub(super) fn of(
        connection: &Connection,
        stream: i64,
        sequence: i64,
    ) -> rusqlite::Result<Self> {
        let high_water: i64 = connection
            .prepare_cached("SELECT high_water FROM stream WHERE id = ?1")?
            .query_row([stream], |row| row.get(0))?;
        if sequence > high_water {
            return Ok(Self::Above(high_water));
        }
        let gap: Option<(i64, i64)> = connection
            .prepare_cached(
                "SELECT first, last FROM gap WHERE stream_id = ?1 AND first <= ?2
                 ORDER BY first DESC LIMIT 1",
            )?
            .query_row([stream, sequence], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(match gap {
            Some((first, last)) if sequence <= last => Self::Gap(first, last),
            _ => Self::Taken,
        })
    }
}

/// Takes a sequence that stands at `place`.
pub(super) fn take(
    connection: &Connection,
    stream: i64,
    sequence: i64,
    place: Place,
) -> rusqlite::Result<()> {
    match place {
        Place::Taken => Ok(()),
        Place::Above(high_water) => {
            connection
                .prepare_cached("UPDATE stream SET high_water = ?2 WHERE id = ?1")?
                .execute([stream, sequence])?;
            add_gap(connection, stream, high_water + 1, sequence - 1)
        }
        Place::Gap(first, last) => {
            connection
                .prepare_cached("DELETE FROM gap WHERE stream_id = ?1 AND first = ?2")?
                .execute([stream, first])?;
            add_gap(connection, stream, first, sequence - 1)?;
            add_gap(connection, stream, sequence + 1, last)
        }
    }
}

fn add_gap(connection: &Connection, stream: i64, first: i64, last: i64) -> rusqlite::Result<()> {
    if first <= last {
        connection
            .prepare_cached("INSERT INTO gap (stream_id, first, last) VALUES (?1, ?2, ?3)")?
            .execute(params![stream, first, last])?;
    }
    Ok(())
}

/// Sequences that are missing, all streams together.
pub(super) fn missing(connection: &Connection) -> rusqlite::Result<u64> {
    // One gap may be as long as all numbers are; the sum of some is then no integer any more.
    let sql = "SELECT total(last - first + 1) FROM gap";
    let missing: f64 = connection
        .prepare_cached(sql)?
        .query_row([], |row| row.get(0))?;
    Ok(missing as u64)
}
