//! When something is recorded that can be asked for as of a time: after all that was recorded before, and not before it can be read.

use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use rusqlite::Connection;

/// The time of a call, which may have to wait for others.
#[derive(Clone, Copy)]
pub(super) struct Recording {
    asked: Timestamp,
    at: Instant,
}

impl Recording {
    /// Of a call that is made now.
    pub(super) fn asked_at(now: Timestamp) -> Self {
        Self {
            asked: now,
            at: Instant::now(),
        }
    }

    /// The time to record, in milliseconds, within the transaction that writes: as much later than the call as that waited.
    pub(super) fn ms(self, connection: &Connection) -> rusqlite::Result<i64> {
        let waited = SignedDuration::try_from(self.at.elapsed()).unwrap_or_default();
        let now = self.asked.checked_add(waited).unwrap_or(self.asked);
        let last: i64 = connection.query_row("SELECT ms FROM recorded", [], |row| row.get(0))?;
        Ok(now.as_millisecond().max(last + 1))
    }

    /// Keeps that something was recorded then.
    pub(super) fn keep(connection: &Connection, ms: i64) -> rusqlite::Result<()> {
        connection.execute("UPDATE recorded SET ms = ?1", [ms])?;
        Ok(())
    }
}
