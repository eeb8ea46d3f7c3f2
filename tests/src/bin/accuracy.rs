//! `accuracy USAGE [WORKLOAD...]`: how near the agent's figures come to the truth, as JSON; see `e2e::accuracy`.
//! `accuracy load KIND NUMBERS`: one of its loads.

use std::process::ExitCode;

use anyhow::Context;
use e2e::accuracy::{Programs, interrupt, load, run};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (usage, named) = args
        .split_first()
        .context("usage: accuracy ebpf|accounting [WORKLOAD...]")?;
    if usage == "load" {
        return load::run(named);
    }
    interrupt::watch()?;
    let own = std::env::current_exe()?;
    let directory = own.parent().context("a program lies in a folder")?;
    let programs = Programs {
        directory: directory.to_owned(),
    };
    let rows = run(&programs, usage, named)?;
    println!("{}", serde_json::to_string(&rows)?);
    Ok(())
}
