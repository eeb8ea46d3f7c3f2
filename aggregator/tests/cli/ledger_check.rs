//! `hxmlops ledger check`: which ledger it looks at, and what it says of one that does not hold.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use aggregator::store::SqliteStore;
use tempfile::TempDir;

use crate::ledger::ENERGY;
use crate::program::{Ended, hxmlops, run};

/// A ledger whose sums were changed behind its back, below a name that would harm a terminal.
fn changed() -> TempDir {
    let dir = TempDir::new().unwrap();
    let path = dir.path().to_str().unwrap();
    let file = dir.path().join("energy.csv");
    std::fs::write(&file, ENERGY).unwrap();
    run([
        "import",
        "energy",
        file.to_str().unwrap(),
        "--data-dir",
        path,
    ])
    .assert_done();
    let ledger = rusqlite::Connection::open(dir.path().join("ledger.db")).unwrap();
    ledger
        .execute_batch(
            "UPDATE share_minute SET active_uj = active_uj + 1;
             UPDATE node SET node = char(27) || '[31m' || node;",
        )
        .unwrap();
    dir
}

fn check(dir: &TempDir, stdout: impl Into<Stdio>) -> Ended {
    let path = dir.path().to_str().unwrap();
    let child = hxmlops(["ledger", "check", "--data-dir", path])
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn a_ledger_that_does_not_hold_is_told_in_harmless_text() {
    let ended = check(&changed(), Stdio::piped());
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert!(ended.stdout.contains("it does not hold"), "{ended:?}");
    assert!(ended.stderr.contains("\\u{1b}[31m"), "{ended:?}");
    assert!(!ended.stderr.contains('\x1b'), "{ended:?}");
}

#[test]
fn the_exit_code_says_no_whatever_became_of_the_output() {
    let dir = changed();
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    let closed = check(&dir, std::os::fd::OwnedFd::from(theirs));
    assert_eq!(closed.code, Some(3), "{closed:?}");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let full = check(&dir, full);
    assert_eq!(full.code, Some(3), "{full:?}");
    assert!(full.stderr.contains("cannot write the output"), "{full:?}");
}

#[test]
fn the_server_s_directory_is_found_by_its_variable_and_a_flag_wins() {
    let (dir, empty) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    SqliteStore::open(dir.path()).unwrap();
    let check = |args: &[&str], variable: &TempDir| -> Ended {
        let mut command = hxmlops(args);
        command.env("HXMLOPS_DATA_DIR", variable.path());
        command.output().unwrap().into()
    };
    let path = dir.path().to_str().unwrap();
    check(&["ledger", "check"], &dir).assert_done();
    check(&["ledger", "check"], &empty).assert_failed("there is no ledger in ");
    for flag_wins in [
        ["ledger", "check", "--data-dir", path],
        ["ledger", "--data-dir", path, "check"],
        ["--data-dir", path, "ledger", "check"],
    ] {
        check(&flag_wins, &empty).assert_done();
    }
}
