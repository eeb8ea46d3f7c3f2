//! `hxmlops`: parses the command line, runs one command, and says in one line what failed.

use std::process::ExitCode;

use aggregator::cli;
use aggregator::commands::exec;

fn main() -> ExitCode {
    // A supervisor that follows its command's processes bears the exec group as its own name.
    if let Some(supervised) = exec::Supervised::from_args(std::env::args_os()) {
        return exec::supervise_tree(&supervised);
    }
    cli::main()
}
