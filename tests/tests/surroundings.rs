//! Broken surroundings: one clear line and the right exit code.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::net::TcpListener;

use e2e::powercap::Tree;
use e2e::{Running, output, success, text};

/// Runs a program that must fail with this code and one line that says all of `parts`.
fn check(name: &str, args: &[&str], code: i32, parts: &[&str]) {
    let output = output(name, args).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(code),
        "{name} {args:?}: {stderr}"
    );
    let errors: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{name} {args:?} says one thing: {stderr}");
    for part in parts {
        assert!(
            errors[0].contains(part),
            "'{part}' is not in: {}",
            errors[0]
        );
    }
}

#[test]
fn a_taken_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    check(
        "hxmlops-agent",
        &["--listen", &address, "--power", "model"],
        1,
        &[&address, "in use"],
    );
    check(
        "hxmlops",
        &[
            "serve",
            "--listen",
            &address,
            "--data-dir",
            text(data.path()),
        ],
        1,
        &[&address, "in use"],
    );
}

#[test]
fn unreadable_roots() {
    check(
        "hxmlops-agent",
        &["--proc-root", "/nowhere"],
        2,
        &["--proc-root", "/nowhere"],
    );
    check(
        "hxmlops-agent",
        &["--cgroup-root", "/usr"],
        1,
        &["--cgroup-root /usr", "no cgroup tree"],
    );
    check(
        "hxmlops-agent",
        &["--power", "rapl", "--sys-root", "/usr"],
        1,
        &["no power source", "rapl", "intel-rapl"],
    );
    check(
        "hxmlops",
        &["runs", "--data-dir", "/nowhere"],
        1,
        &["/nowhere"],
    );
}

#[test]
fn a_server_beyond_loopback_is_refused_unless_it_is_asked_for() {
    let data = tempfile::tempdir().unwrap();
    check(
        "hxmlops",
        &[
            "serve",
            "--listen",
            "0.0.0.0:0",
            "--data-dir",
            text(data.path()),
        ],
        2,
        &["--insecure"],
    );
}

#[test]
fn an_unknown_intensity_zone() {
    let data = tempfile::tempdir().unwrap();
    let args = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        text(data.path()),
        "--intensity-zone",
        "XX",
    ];
    check("hxmlops", &args, 2, &["XX"]);
}

#[test]
fn what_the_agent_lacks_is_said_by_check_as_it_would_be_at_the_start() {
    let output = output(
        "hxmlops-agent",
        &["--check", "--power", "rapl", "--sys-root", "/usr"],
    )
    .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        said.contains("power rapl: absent") && said.contains("something needed is missing"),
        "{said}"
    );
}

#[test]
fn an_interval_longer_than_a_counters_turn_is_served_by_reading_in_between() {
    // In 82 s a whole turn of the first, in a millisecond one of the second: no one can follow that.
    for (range, code) in [(65_712_999_613, 0), (1_000_000, 3)] {
        let tree = Tree::new(&[("intel-rapl:0", "package-0", 0, range)]).unwrap();
        let root = text(tree.root());
        let args = ["--power", "rapl", "--interval", "5m", "--sys-root", root];
        let output = output("hxmlops-agent", &[&["--check"], &args[..]].concat()).unwrap();
        assert_eq!(output.status.code(), Some(code), "{range}: {output:?}");
        if code != 0 {
            check(
                "hxmlops-agent",
                &args,
                1,
                &["package-0", "too often to follow"],
            );
        }
    }
}

#[test]
fn idle_power_for_a_zone_that_is_not_there() {
    check(
        "hxmlops-agent",
        &["--power", "model", "--idle-watts", "package-0=5,gpu-7=30"],
        1,
        &["--idle-watts gpu-7", "package-0, dram-0"],
    );
    check(
        "hxmlops-agent",
        &["--power", "model", "--spool-dir", "/dev/null/nowhere"],
        1,
        &["--spool-dir /dev/null/nowhere", "cannot be written"],
    );
}

#[test]
fn what_was_learned_is_kept_and_a_broken_file_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("spool");
    let tree = Tree::new(&[("intel-rapl:0", "package-0", 0, 262_143_328_850)]).unwrap();
    let args = [
        "--power",
        "rapl",
        "--sys-root",
        text(tree.root()),
        "--spool-dir",
        text(&spool),
        "--listen",
        "127.0.0.1:0",
    ];
    success("hxmlops-agent", &[&["--check"], &args[..]].concat()).unwrap();
    assert!(!spool.exists(), "--check writes nothing");

    let (file, broken) = (spool.join("idle.json"), spool.join("idle.json.broken"));
    for _ in 0..2 {
        Running::start("hxmlops-agent", &args)
            .unwrap()
            .stop()
            .unwrap();
        assert!(file.exists() && !broken.exists());
    }
    fs::write(&file, "{\"version\":").unwrap();
    Running::start("hxmlops-agent", &args)
        .unwrap()
        .stop()
        .unwrap();
    assert_eq!(fs::read_to_string(broken).unwrap(), "{\"version\":");
    assert_ne!(fs::read_to_string(file).unwrap(), "{\"version\":");
}
