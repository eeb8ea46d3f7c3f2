//! Tests of package e2e that go on for longer than in every run.

use super::{Outcome, Round};
use crate::run::{cargo, run as run_program};

/// One such test.
pub(super) struct Longer {
    pub(super) round: Round,
    /// The file that it is in, and its name.
    file: &'static str,
    test: &'static str,
    /// What says how long, and how long.
    variable: (&'static str, &'static str),
}

pub(super) const TESTS: [Longer; 3] = [
    Longer {
        round: Round::Chaos,
        file: "chaos",
        test: "whatever_is_killed_the_ledger_is_what_the_counters_say",
        variable: ("HXMLOPS_CHAOS_ROUNDS", "500"),
    },
    Longer {
        round: Round::Forks,
        file: "faults",
        test: "processes::fault_21_a_minute_of_forks_loses_nothing_ebpf",
        variable: ("HXMLOPS_FORK_SECONDS", "600"),
    },
    Longer {
        round: Round::Modules,
        file: "cluster",
        test: "deploy::every_module::every_module_is_created_changed_and_deleted",
        variable: ("HXMLOPS_HELMS_OF_A_MODULE", "2"),
    },
];

impl Longer {
    /// Runs it, with what it prints on standard output.
    pub(super) fn run(&self) -> Outcome {
        let (name, value) = self.variable;
        let mut test = cargo();
        // Not by nextest, which ends what takes long.
        test.args([
            "test",
            "--quiet",
            "--locked",
            "--package",
            "e2e",
            "--test",
            self.file,
        ])
        .args(["--", "--exact", self.test, "--nocapture"])
        .env(name, value);
        let (passed, failed) = match run_program(&mut test) {
            Ok(()) => (1, 0),
            Err(error) => {
                println!("{}: failed: {error:#}", self.round.name());
                (0, 1)
            }
        };
        Outcome { passed, failed }
    }
}
