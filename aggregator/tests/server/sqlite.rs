//! What only a ledger in a file can suffer: foreign, newer and damaged files, and rows that someone changed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aggregator::store::{Retention, RunFilter, SqliteStore, Store, StoreError, Written};
use rusqlite::Connection;

use crate::batches::{batch, received, time, workload};
use crate::names::{of, telling, unnamed};

/// A ledger with one batch, closed again.
fn ledger() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).unwrap();
    store
        .write_batch(&received(batch("n1", 1, "r1")), "s")
        .unwrap();
    directory
}

fn change(directory: &Path, sql: &str) {
    let connection = Connection::open(directory.join("ledger.db")).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[test]
fn a_ledger_is_there_again_after_closing() {
    let directory = ledger();
    let store = SqliteStore::open(directory.path()).unwrap();
    assert_eq!(store.nodes().unwrap().len(), 1);
    let reader = SqliteStore::open_existing(directory.path()).unwrap();
    assert_eq!(reader.nodes().unwrap(), store.nodes().unwrap());
    store
        .write_batch(&received(batch("n2", 1, "r1")), "s")
        .unwrap();
    assert_eq!(
        reader.nodes().unwrap().len(),
        2,
        "a reader sees what was committed"
    );
    let refused = reader
        .write_batch(&received(batch("n3", 1, "r1")), "s")
        .unwrap_err();
    assert!(refused.to_string().contains("opened for reading only"));
}

#[test]
fn closing_leaves_one_file() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).unwrap();
    store
        .write_batch(&received(batch("n1", 1, "r1")), "s")
        .unwrap();
    assert_eq!(store.nodes().unwrap().len(), 1);
    drop(store);
    let files: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(files, ["ledger.db"]);
}

#[test]
fn reading_makes_no_ledger() {
    let directory = tempfile::tempdir().unwrap();
    let missing = SqliteStore::open_existing(directory.path()).unwrap_err();
    assert!(matches!(missing, StoreError::Missing(_)));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn a_newer_ledger_is_refused_and_stays_as_it_is() {
    let directory = ledger();
    change(
        directory.path(),
        "PRAGMA user_version = 99; PRAGMA journal_mode = DELETE",
    );
    let before = fs::read(directory.path().join("ledger.db")).unwrap();
    for open in [SqliteStore::open, SqliteStore::open_existing] {
        let refused = open(directory.path()).unwrap_err();
        assert!(
            matches!(
                refused,
                StoreError::Newer {
                    found: 99,
                    known: 8,
                    ..
                }
            ),
            "{refused}"
        );
    }
    assert_eq!(
        fs::read(directory.path().join("ledger.db")).unwrap(),
        before
    );
}

#[test]
fn what_is_no_ledger_is_refused_in_one_line() {
    let garbage: &dyn Fn(&Path) = &|file| fs::write(file, vec![b'x'; 4096]).unwrap();
    let foreign: &dyn Fn(&Path) = &|file| {
        Connection::open(file)
            .unwrap()
            .execute_batch("CREATE TABLE t (a)")
            .unwrap();
    };
    let directory: &dyn Fn(&Path) = &|file| fs::create_dir(file).unwrap();
    for (make, expected) in [
        (garbage, "file is not a database"),
        (foreign, "database of another program"),
        (directory, "it is not a file"),
    ] {
        let temporary = tempfile::tempdir().unwrap();
        make(&temporary.path().join("ledger.db"));
        let message = SqliteStore::open(temporary.path()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(
            message.contains("ledger.db") && !message.contains('\n'),
            "{message}"
        );
    }
}

#[test]
fn the_check_finds_what_someone_changed() {
    for (sql, expected) in [
        (
            "UPDATE zone_minute SET measured_uj = measured_uj + 1 WHERE zone_id = 1",
            "zone_minute",
        ),
        (
            "UPDATE zone_minute SET measured_uj = measured_uj + 1 WHERE zone_id = 1",
            "workloads + system + idle",
        ),
        (
            "UPDATE share_minute SET active_uj = active_uj - 1",
            "share_minute",
        ),
        (
            "DELETE FROM share_minute WHERE minute = (SELECT min(minute) FROM share_minute)",
            "is missing",
        ),
        ("UPDATE zone_total SET idle_uj = 0", "zone_total"),
        ("UPDATE run_stage SET end_ms = end_ms + 1", "run_stage"),
        (
            "UPDATE run SET start_ms = start_ms + 1",
            "not those of its stages",
        ),
        ("DELETE FROM run_node", "run_node"),
        (
            "UPDATE batch SET bytes = x'00'",
            "are not those that were written",
        ),
        ("UPDATE batch SET sequence = 5", "another key"),
        ("DELETE FROM batch", "no batch makes this row"),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM workload WHERE pod = 'web-0'",
            "in no dictionary",
        ),
    ] {
        let directory = ledger();
        change(directory.path(), sql);
        let store = SqliteStore::open_existing(directory.path()).unwrap();
        let report = store.check(&mut |_, _| {}).unwrap();
        assert!(
            report.faults.iter().any(|fault| fault.contains(expected)),
            "{sql}: {:?}",
            report.faults
        );
    }
}

#[test]
fn the_check_tells_a_bounded_number_of_faults() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(directory.path()).unwrap();
    for sequence in 1..=60 {
        let mut batch = batch("n1", sequence, "r1");
        batch.intervals[0].start_unix_ms += 60_000 * sequence as i64;
        store.write_batch(&received(batch), "s").unwrap();
    }
    change(
        directory.path(),
        "UPDATE share_minute SET active_uj = active_uj + 1",
    );
    let faults = store.check(&mut |_, _| {}).unwrap().faults;
    assert_eq!((faults.len(), faults[50].as_str()), (51, "and more"));
}

#[test]
fn a_reader_does_not_wait_for_a_writer() {
    let directory = ledger();
    let store = SqliteStore::open(directory.path()).unwrap();
    let writer = Connection::open(directory.path().join("ledger.db")).unwrap();
    writer
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM share_minute")
        .unwrap();
    let runs = store.runs(&RunFilter::default()).unwrap();
    assert_eq!(runs.len(), 1, "what was committed is there to read");
}

/// As version 0.1.0 left it: of n1 the batches 1, 2 and 5, of n2 the batches 3 and 4.
const LEDGER_0001: &[u8] = include_bytes!("../../fixtures/ledger-0001.db.zst");

#[test]
fn a_ledger_of_the_first_schema_is_brought_forward() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = zstd::stream::decode_all(LEDGER_0001).unwrap();
    fs::write(directory.path().join("ledger.db"), bytes).unwrap();
    let refused = SqliteStore::open_existing(directory.path()).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("start `hxmlops serve` on it once")
    );

    let store = SqliteStore::open(directory.path()).unwrap();
    let report = store.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!((report.batches, report.missing), (5, 2 + 2));
    assert_eq!(report.measured.microjoules(), 5 * 4_750_000);

    // What was there is known, what was missing is welcome.
    let known = store.write_batch(&received(batch("n1", 1, "r1")), "paris");
    assert_eq!(known.unwrap(), Written::Duplicate);
    let other = store.write_batch(&received(batch("n1", 5, "r1")), "paris");
    assert!(matches!(
        other,
        Err(StoreError::Conflict { sequence: 5, .. })
    ));
    let late = store.write_batch(&received(batch("n1", 4, "r1")), "paris");
    assert_eq!(late.unwrap(), Written::New);

    // What it wrote can be forgotten, too.
    let retention = Retention {
        raw: Duration::from_secs(3_600),
        minutes: Duration::from_secs(7_200),
    };
    store.tidy(time(86_400_000), &retention).unwrap();
    let report = store.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    assert_eq!((report.batches, report.raw_forgotten), (0, true));
    assert_eq!(report.measured.microjoules(), 6 * 4_750_000);
}

#[test]
fn what_was_told_before_names_could_follow_keeps_its_uid() {
    let directory = tempfile::tempdir().unwrap();
    let write = |batch| {
        let store = SqliteStore::open(directory.path()).unwrap();
        store.write_batch(&received(batch), "s").unwrap();
    };
    write(of("n1", 1, vec![unnamed("u1")]));
    // As the schema that brings names finds a ledger.
    change(
        directory.path(),
        "UPDATE name_start SET workload_id = (SELECT max(id) FROM workload); DELETE FROM unnamed",
    );
    write(of("n1", 2, vec![unnamed("u1"), unnamed("u2")]));
    let named = |uid: &str| {
        (
            unnamed(uid),
            workload("r1", "train", &format!("pod-of-{uid}")),
        )
    };
    write(telling(of("n1", 3, vec![]), vec![named("u1"), named("u2")]));
    let store = SqliteStore::open(directory.path()).unwrap();
    let report = store.check(&mut |_, _| {}).unwrap();
    assert_eq!(report.faults, Vec::<String>::new());
    let runs = store.runs(&RunFilter::default()).unwrap();
    assert!(
        (runs[0].active_joules - 1.0).abs() < 1e-9,
        "u2's alone: {runs:?}"
    );
}
