//! Opening the file: which ledgers are ours, how durable a commit is, and how an error of SQLite reads.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};

use crate::store::StoreError;

/// Every change of the schema, in order; its number is its place, from 1.
const SCHEMA: [&str; 8] = [
    include_str!("migrations/0001_ledger.sql"),
    include_str!("migrations/0002_once_only.sql"),
    include_str!("migrations/0003_tokens.sql"),
    include_str!("migrations/0004_model_range.sql"),
    include_str!("migrations/0005_names.sql"),
    include_str!("migrations/0006_revisions.sql"),
    include_str!("migrations/0007_budgets.sql"),
    include_str!("migrations/0008_questions.sql"),
];
/// `application_id` of a ledger, as the first migration sets it.
const APPLICATION_ID: i64 = 1_213_746_508;
/// How long a connection waits for another process that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 64;
/// KiB of pages that the connection that writes keeps in memory, as a negative number: the minutes of 2,000 nodes
/// that are being filled are some tens of MiB.
const WRITER_CACHE: i64 = -(48 << 10);
/// Pages of the write-ahead log (16 MiB) after which they are folded into the file.
const CHECKPOINT_PAGES: i64 = 4096;

static MIGRATIONS: LazyLock<Migrations<'static>> =
    LazyLock::new(|| Migrations::new(SCHEMA.map(M::up).to_vec()));

/// Opens for writing, durable at each commit, and brings the schema up to date.
pub(super) fn for_writing(path: &Path) -> Result<Connection, StoreError> {
    if path.exists() {
        // Looked at before anything is written, so that what is not ours stays as it is.
        let found = schema_of(path)?;
        refuse_newer(path, found)?;
    }
    write_ahead(path).map_err(|error| failed(path, &error))
}

/// Opens for reading only. Fails where there is no file, or none of this program's schema.
pub(super) fn for_reading(path: &Path) -> Result<Connection, StoreError> {
    let found = schema_of(path)?;
    refuse_newer(path, found)?;
    if found < SCHEMA.len() as i64 {
        let message = format!(
            "it has schema {found}, this program reads {}; start `hxmlops serve` on it once",
            SCHEMA.len()
        );
        return Err(failed(path, &message));
    }
    read_only(path).map_err(|error| failed(path, &error))
}

/// One line for whatever went wrong with the ledger at `path`.
pub(super) fn failed(path: &Path, error: &dyn ToString) -> StoreError {
    let message = error.to_string().replace(['\n', '\r'], " ");
    StoreError::Failed {
        path: path.display().to_string(),
        message,
    }
}

fn refuse_newer(path: &Path, found: i64) -> Result<(), StoreError> {
    let known = SCHEMA.len() as i64;
    if found > known {
        let path = path.display().to_string();
        return Err(StoreError::Newer { path, found, known });
    }
    Ok(())
}

/// Number of the schema in the file; 0 for a new one.
fn schema_of(path: &Path) -> Result<i64, StoreError> {
    if !path.is_file() {
        return Err(failed(path, &"it is not a file"));
    }
    let (found, application_id, tables) = identity(path).map_err(|error| failed(path, &error))?;
    let ours = if found == 0 {
        tables == 0
    } else {
        application_id == APPLICATION_ID
    };
    if ours {
        Ok(found)
    } else {
        Err(failed(path, &"it is a SQLite database of another program"))
    }
}

fn identity(path: &Path) -> rusqlite::Result<(i64, i64, i64)> {
    let connection = read_only(path)?;
    let number = |sql| connection.query_row(sql, [], |row| row.get(0));
    Ok((
        number("PRAGMA user_version")?,
        number("PRAGMA application_id")?,
        number("SELECT COUNT(*) FROM sqlite_schema")?,
    ))
}

fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn write_ahead(path: &Path) -> Result<Connection, rusqlite_migration::Error> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", WRITER_CACHE)?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    MIGRATIONS.to_latest(&mut connection)?;
    Ok(connection)
}
