//! Broken surroundings: one clear line and the right exit code.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;

use e2e::powercap::Tree;
use e2e::{output, text};

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
        said.contains("power rapl: none") && said.contains("something needed is missing"),
        "{said}"
    );

    // A counter of this range may go a whole turn in 82 s.
    let tree = Tree::new(&[("intel-rapl:0", "package-0", 0, 65_712_999_613)]).unwrap();
    for (interval, code) in [("80s", 0), ("2m", 3)] {
        let args = [
            "--check",
            "--power",
            "rapl",
            "--interval",
            interval,
            "--sys-root",
            text(tree.root()),
        ];
        let output = e2e::output("hxmlops-agent", &args).unwrap();
        assert_eq!(output.status.code(), Some(code), "{interval}: {output:?}");
    }
}
