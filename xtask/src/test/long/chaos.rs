//! The chaos test of package e2e, many times over.

use super::Outcome;
use crate::run::{cargo, run as run_program};

const ROUNDS: u32 = 500;

/// Runs it, with its seed on standard output.
pub(super) fn run() -> Outcome {
    let mut test = cargo();
    // Not by nextest, which ends what takes long.
    test.args([
        "test",
        "--quiet",
        "--locked",
        "--package",
        "e2e",
        "--test",
        "chaos",
    ])
    .args(["--", "--nocapture"])
    .env("HXMLOPS_CHAOS_ROUNDS", ROUNDS.to_string());
    let (passed, failed) = match run_program(&mut test) {
        Ok(()) => (1, 0),
        Err(error) => {
            println!("chaos: failed: {error:#}");
            (0, 1)
        }
    };
    Outcome { passed, failed }
}
