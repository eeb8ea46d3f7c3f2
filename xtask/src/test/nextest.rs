//! The test runner: cargo-nextest.

use std::io::{BufRead as _, BufReader};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Part;
use crate::run::{cargo, run as run_program};
use crate::{install, workspace};

const VERSION: &str = "0.9.143";

/// How a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Tests that passed.
    pub(crate) passed: u32,
    /// Tests that failed, timed out or could not start.
    pub(crate) failed: u32,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

/// Installs it where it is not there.
///
/// # Errors
/// Where Cargo cannot install it.
pub(crate) fn install() -> Result<()> {
    if workspace::tool("cargo-nextest").is_some() {
        return Ok(());
    }
    install::from_crates_io("cargo-nextest", VERSION, |cargo| {
        // It only starts tests: optimising it would take longer than all of them.
        cargo.args([
            "--debug",
            "--no-default-features",
            "--features",
            "default-no-update",
        ]);
    })
}

/// Builds all tests.
///
/// # Errors
/// Where they do not build.
pub(crate) fn build(without: &[Part]) -> Result<()> {
    run_program(nextest(without).args(["--no-run", "--cargo-quiet"]))
}

/// Runs all tests but those of the parts left out.
///
/// # Errors
/// Where nextest ended without a result. Failed tests are no error here.
pub(crate) fn run(without: &[Part]) -> Result<Outcome> {
    let mut command = nextest(without);
    let mut child = command
        .args(["--cargo-quiet", "--no-fail-fast"])
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run cargo nextest")?;
    let stderr = child.stderr.take().expect("it is piped");
    let mut outcome = None;
    for line in BufReader::new(stderr).lines() {
        let line = line.context("cannot read what nextest says")?;
        eprintln!("{line}");
        outcome = summary(&line).or(outcome);
    }
    let status = child.wait().context("cannot wait for nextest")?;
    match outcome {
        Some(outcome) if status.success() == (outcome.failed == 0) => Ok(outcome),
        _ => bail!("cargo nextest ended without a result ({status})"),
    }
}

fn nextest(without: &[Part]) -> Command {
    let mut command = cargo();
    command.env("PATH", workspace::path_with_tools()).args([
        "nextest",
        "run",
        "--workspace",
        "--locked",
    ]);
    if let Some(filter) = filter(without) {
        command.args(["--filterset", &filter]);
    }
    command
}

/// Everything but the tests of these parts; `None` for everything.
fn filter(without: &[Part]) -> Option<String> {
    let tests = without.iter().filter_map(|part| part.tests());
    let excluded = tests.map(|tests| format!("not ({tests})"));
    let excluded: Vec<String> = excluded.collect();
    (!excluded.is_empty()).then(|| excluded.join(" & "))
}

/// The numbers of nextest's last line:
/// `Summary [ 1.2s] 9 tests run: 7 passed (1 slow, 1 leaky), 2 failed, 0 skipped`.
fn summary(line: &str) -> Option<Outcome> {
    let (begin, results) = line.split_once(" run: ")?;
    if !begin.trim_start().starts_with("Summary [") {
        return None;
    }
    let count = |names: &[&str]| {
        let parts = results
            .split([',', '('])
            .map(|part| part.trim().split_once(' '));
        let named = parts.flatten().filter(|(_, name)| names.contains(name));
        named
            .filter_map(|(number, _)| number.parse::<u32>().ok())
            .sum()
    };
    Some(Outcome {
        passed: count(&["passed"]),
        failed: count(&["failed", "timed out", "exec failed"]),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_nextest_s_summary_and_nothing_else() {
        for (line, expected) in [
            (
                "     Summary [   0.600s] 7 tests run: 7 passed, 0 skipped",
                Some((7, 0)),
            ),
            (
                "     Summary [   0.6s] 1 test run: 1 passed, 12 skipped",
                Some((1, 0)),
            ),
            (
                "Summary [ 9s] 9/12 tests run: 4 passed (1 slow, 2 leaky), 3 failed, 2 timed out, 0 skipped",
                Some((4, 5)),
            ),
            (
                "Summary [ 9s] 2 tests run: 1 passed, 1 exec failed, 0 skipped",
                Some((1, 1)),
            ),
            (
                "        PASS [   0.004s] agent usage::tests run: 3 passed",
                None,
            ),
            ("", None),
        ] {
            let outcome = summary(line).map(|outcome| (outcome.passed, outcome.failed));
            assert_eq!(outcome, expected, "{line}");
        }
    }

    #[test]
    fn only_the_tests_of_the_parts_left_out_are_left_out() {
        assert_eq!(filter(&[]), None);
        assert_eq!(filter(&[Part::Fuzz]), None);
        assert_eq!(
            filter(&[Part::Cluster]).as_deref(),
            Some("not (kind(test) & binary(cluster))")
        );
        assert_eq!(
            filter(&[Part::Ebpf, Part::Fuzz, Part::Promtool]).as_deref(),
            Some(
                "not (kind(test) & (binary(ebpf) | test(ebpf))) & not (kind(test) & test(promtool))"
            )
        );
    }
}
