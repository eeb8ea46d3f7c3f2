//! A copy of a ledger that may be in use: one snapshot, page by page, whole or not there at all.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::open;
use crate::store::StoreError;

/// Pages (4 MiB) between two calls of `progress`.
const PAGES: i32 = 1024;

/// Copies the ledger at `path` to `target`, where nothing may be yet. `progress` is called with (pages done,
/// pages in all).
pub(super) fn backup(
    path: &Path,
    target: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(), StoreError> {
    let source = open::for_reading(path)?;
    if target.exists() {
        return Err(taken(target));
    }
    let partial = partial(target);
    let failed = |error: &dyn ToString| open::failed(&partial, error);
    File::create_new(&partial).map_err(|error| failed(&error))?;
    let copied = copy(&source, &partial, progress).map_err(|error| failed(&error));
    let placed = copied.and_then(|()| place(&partial, target));
    if placed.is_err() {
        // What it was for has failed already.
        let _ = fs::remove_file(&partial);
    }
    placed
}

/// Where it is written before it is whole.
fn partial(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

fn copy(
    source: &Connection,
    target: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> rusqlite::Result<()> {
    // One snapshot for all steps: without it a writer would make the copy begin again and again.
    let snapshot = source.unchecked_transaction()?;
    snapshot.query_row("SELECT count(*) FROM fold", [], |_| Ok(()))?;
    let mut copy = Connection::open(target)?;
    {
        let backup = Backup::new(&snapshot, &mut copy)?;
        loop {
            let step = backup.step(PAGES)?;
            let pages = backup.progress();
            let (total, left) = (pages.pagecount as u64, pages.remaining as u64);
            progress(total.saturating_sub(left), total);
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => return Err(busy()),
            }
        }
    }
    // One file that needs no other beside it.
    copy.pragma_update(None, "journal_mode", "DELETE")
}

fn busy() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
    rusqlite::Error::SqliteFailure(code, None)
}

/// Gives the copy its name once it is durable.
fn place(partial: &Path, target: &Path) -> Result<(), StoreError> {
    let failed = |error: &dyn ToString| open::failed(target, error);
    let file = File::open(partial).map_err(|error| failed(&error))?;
    file.sync_all().map_err(|error| failed(&error))?;
    match renameat_with(CWD, partial, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken(target)),
        Err(error) => return Err(failed(&error)),
    }
    let directory = target
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))
        .and_then(|directory| directory.sync_all())
        .map_err(|error| failed(&error))
}

fn taken(target: &Path) -> StoreError {
    StoreError::Failed {
        path: target.display().to_string(),
        message: "it is there already and stays as it is; name another file".to_owned(),
    }
}
