//! `cargo xtask bench`: measurements with the machine's facts beside them.
//!
//! To add one: a file in `bench/`, and a line in [`BENCHES`].

mod accuracy;
mod agent;
mod aggregator;
mod build_size;
mod ebpf;
mod figure;
mod machine;
pub(crate) mod ping_pong;

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::builder::PossibleValue;

use crate::run::output;
use crate::workspace;

use self::figure::Figure;
use self::machine::Machine;

/// One bench.
struct Bench {
    name: &'static str,
    about: &'static str,
    run: fn(&Args) -> Result<Vec<Figure>>,
}

const ACCURACY: &str = "accuracy";

const BENCHES: &[Bench] = &[
    Bench {
        name: "ebpf",
        about: "what the eBPF programs add to a task switch (as root)",
        run: |_| ebpf::run(),
    },
    Bench {
        name: ACCURACY,
        about: "how near the agent's figures come to a known truth (as root, 8 minutes, a quiet machine)",
        run: |args| accuracy::run(args.usage),
    },
    Bench {
        name: "agent",
        about: "what the agent costs: CPU time, memory, scrapes (as root, 6 minutes, a quiet machine)",
        run: |_| agent::run(),
    },
    Bench {
        name: "aggregator",
        about: "what a server takes in durably, how long it takes over it, and what it needs (2 minutes, a quiet machine)",
        run: |_| aggregator::run("aggregator"),
    },
    Bench {
        name: "query",
        about: "how long questions take in a ledger of 10 million rows (2 minutes)",
        run: |_| aggregator::run("query"),
    },
    Bench {
        name: "build-size",
        about: "sizes of the released programs, stripped",
        run: |_| build_size::run(),
    },
];

/// Measure something and keep the figures in target/bench.
#[derive(clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct Args {
    /// What to measure.
    #[arg(value_name = "NAME", value_parser = names())]
    name: String,
    /// For accuracy: who counts CPU time [default: each in turn].
    #[arg(long, value_enum)]
    usage: Option<accuracy::Usage>,
}

/// What a bench leaves behind.
#[derive(serde::Serialize)]
struct Report {
    bench: &'static str,
    command: String,
    git_revision: String,
    time: String,
    machine: Machine,
    figures: Vec<Figure>,
}

/// Runs one bench, writes its figures and prints them.
///
/// # Errors
/// Where the bench fails or its report cannot be written.
pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(bench) = BENCHES.iter().find(|bench| bench.name == args.name) else {
        bail!("there is no bench '{}'", args.name);
    };
    let mut command = format!("cargo xtask bench {}", bench.name);
    if let Some(usage) = args.usage {
        if bench.name != ACCURACY {
            bail!("--usage is for the bench '{ACCURACY}' alone");
        }
        command += &format!(" --usage {}", usage.name());
    }
    let time = jiff::Timestamp::now();
    let report = Report {
        bench: bench.name,
        command,
        git_revision: git_revision(),
        time: time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        machine: Machine::this()?,
        figures: (bench.run)(args)?,
    };
    print!("{}", figure::table(&report.figures));
    let name = format!("{}-{}.json", bench.name, time.strftime("%Y%m%dT%H%M%SZ"));
    let directory = workspace::target().join("bench");
    let path = directory.join(name);
    let json = serde_json::to_string_pretty(&report)?;
    fs::create_dir_all(&directory)
        .and_then(|()| fs::write(&path, json + "\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

fn names() -> Vec<PossibleValue> {
    let value = |bench: &Bench| PossibleValue::new(bench.name).help(bench.about);
    BENCHES.iter().map(value).collect()
}

/// The commit, with `-dirty` where the tree differs from it.
fn git_revision() -> String {
    let mut git = Command::new("git");
    git.current_dir(workspace::root());
    git.args([
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]);
    output(&mut git).unwrap_or_else(|_| "unknown".to_owned())
}
