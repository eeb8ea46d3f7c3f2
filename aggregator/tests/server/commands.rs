//! The commands as the command line calls them, by their exit codes.

use std::path::Path;
use std::process::ExitCode;

use aggregator::cli::LedgerArgs as Where;
use aggregator::client::Client;
use aggregator::commands::ledger::{self, LedgerArgs, LedgerCommand};
use aggregator::commands::serve;
use aggregator::config::ServeArgs;
use aggregator::store::{RunFilter, SqliteStore, Store};

use crate::batches::{batch, received};
use crate::running::{Running, args};

#[track_caller]
fn assert_exit(code: ExitCode, expected: u8) {
    assert_eq!(
        format!("{code:?}"),
        format!("{:?}", ExitCode::from(expected))
    );
}

fn check(data_dir: &Path) -> anyhow::Result<ExitCode> {
    ledger::run(&LedgerArgs {
        command: LedgerCommand::Check,
        data_dir: Some(data_dir.to_owned()),
    })
}

#[test]
fn the_check_says_yes_or_no_by_its_exit_code() {
    let directory = tempfile::tempdir().unwrap();
    let missing = check(directory.path()).unwrap_err().to_string();
    assert!(missing.starts_with("there is no ledger in "), "{missing}");

    let store = SqliteStore::open(directory.path()).unwrap();
    store
        .write_batch(&received(batch("n1", 1, "r1")), "s")
        .unwrap();
    assert_exit(check(directory.path()).unwrap(), 0);

    let connection = rusqlite::Connection::open(directory.path().join("ledger.db")).unwrap();
    connection
        .execute_batch("UPDATE share_minute SET active_uj = active_uj + 1")
        .unwrap();
    assert_exit(check(directory.path()).unwrap(), 3);
}

#[tokio::test]
async fn the_client_asks_for_one_run_where_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let server = Running::start(directory.path()).await;
    for (sequence, run) in [(1, "r1"), (2, "r2")] {
        let sent = server.send_batch(&batch("n1", sequence, run)).await;
        assert_eq!(sent.status(), 200);
    }
    let filter = RunFilter {
        run: Some("r2".to_owned()),
        ..RunFilter::default()
    };
    let client = Client::new(&Where {
        server: server.base.clone(),
        data_dir: None,
        token_file: None,
        ca_file: None,
        is_told: true,
    });
    let client = client.unwrap();
    let runs = client.runs(&filter).await.unwrap();
    let runs: Vec<&str> = runs.iter().map(|run| run.key.run.as_str()).collect();
    assert_eq!(runs, ["r2"]);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn what_is_impossible_to_serve_is_a_usage_error() {
    let directory = tempfile::tempdir().unwrap();
    let good = || args(directory.path());
    let beyond_loopback = ServeArgs {
        listen: Some("0.0.0.0:0".parse().unwrap()),
        ..good()
    };
    let unknown_zone = ServeArgs {
        intensity_zone: Some("ATLANTIS".to_owned()),
        ..good()
    };
    let low_pue = ServeArgs {
        pue: Some(0.5),
        ..good()
    };
    let no_file = ServeArgs {
        config: Some(directory.path().join("missing.yaml")),
        ..good()
    };
    for impossible in [beyond_loopback, unknown_zone, low_pue, no_file] {
        assert_exit(serve::run(impossible).await.unwrap(), 2);
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_ledger_of_an_older_program_is_brought_up_to_date_before_it_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ledger.db"), []).unwrap();
    let unknown_zone = ServeArgs {
        intensity_zone: Some("ATLANTIS".to_owned()),
        ..args(directory.path())
    };
    assert_exit(serve::run(unknown_zone).await.unwrap(), 2);
    let store = SqliteStore::open_existing(directory.path()).unwrap();
    assert!(!store.has_slots("ATLANTIS").unwrap());
}

#[tokio::test]
async fn a_ledger_that_cannot_be_used_is_a_failure() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("ledger.db"), vec![b'x'; 4096]).unwrap();
    let failed = serve::run(args(directory.path())).await.unwrap_err();
    assert!(
        failed.to_string().contains("file is not a database"),
        "{failed}"
    );
}
