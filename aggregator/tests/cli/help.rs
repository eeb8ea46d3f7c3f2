//! Help texts and usage.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use crate::program::{hxmlops, run};

#[test]
fn every_command_says_what_it_does() {
    let commands = [
        "",
        "runs",
        "report",
        "compare",
        "exec",
        "explain",
        "intensity",
        "budget",
        "budget set",
        "budget list",
        "budget remove",
        "budget check",
        "plan",
        "plan score",
        "import",
        "import energy",
        "import intensity",
        "serve",
        "token",
        "token create",
        "token list",
        "token revoke",
        "ledger",
        "ledger check",
        "ledger backup",
        "ledger export",
        "check",
        "check connection",
        "component",
        "component create",
        "component delete",
        "component status",
        "component diff",
        "component info",
        "component list",
        "component list-values",
        "link",
        "stage",
        "init",
        "init new-config",
        "init set-default-domain",
        "init show-config",
        "demo",
        "apply",
        "diff",
        "completion",
        "man",
    ];
    for command in commands {
        let ended = run(command.split_whitespace().chain(["--help"]));
        let name = format!("help {command}").trim_end().replace(' ', "_");
        insta::assert_snapshot!(name, ended.assert_done());
    }
}

#[test]
fn a_parent_without_a_command_prints_its_help() {
    for parent in [
        "",
        "budget",
        "check",
        "component",
        "import",
        "init",
        "ledger",
        "token",
    ] {
        run(parent.split_whitespace()).assert_usage("Commands:");
    }
}

#[test]
fn what_is_no_command_is_usage() {
    run(["frobnicate"]).assert_usage("unrecognized subcommand 'frobnicate'");
    run(["report", "r", "--idle", "requests"]).assert_usage("invalid value 'requests'");
    run(["report", "r", "--format", "pdf"]).assert_usage("invalid value 'pdf'");
    run(["runs", "--since", "soon"]).assert_usage("neither a time such as");
    run(["intensity"]).assert_usage("--zone <ZONE>|--list");
    run(["runs", "--server", "ftp://x"]).assert_usage("begins with http://");
    run(["intensity", "--zone", "FR", "--from", "1h", "--to", "2h"])
        .assert_usage("is not after --from");
    assert!(run(["--version"]).assert_done().starts_with("hxmlops "));
}

#[test]
fn the_yearly_table_needs_no_server() {
    let ended = run(["intensity", "--list"]);
    assert!(ended.assert_done().contains("France"));
    assert!(ended.stdout.contains("CC BY 4.0"));
    let json = run(["intensity", "--list", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(json.assert_done()).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 213);
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(ours);
    let child = hxmlops(["intensity", "--list"])
        .stdout(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.is_empty(), "{ended:?}");
}

#[test]
fn a_full_disk_is_a_failure() {
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut child = hxmlops(["intensity", "--list"])
        .stdout(full)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(
        stderr.starts_with("error: cannot write the output: "),
        "{stderr}"
    );
}
