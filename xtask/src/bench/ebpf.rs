//! What the eBPF programs add to a task switch.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::figure::Figure;
use super::ping_pong::ns_per_switch;
use crate::run::{cargo, run as run_program};
use crate::{ebpf, workspace};

/// Pairs of runs, with and without in turn: the machine's own drift falls on both alike.
const PAIRS: usize = 15;
const ROUNDS: u32 = 100_000;

/// The agent's counting, in a process of its own, for as long as this lives.
struct Counting {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Counting {
    fn start() -> Result<Self> {
        let program = workspace::target().join("release/examples/ebpf_usage");
        let mut process = Command::new(&program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let input = process.stdin.take();
        let output = process.stdout.take().context("it has no output")?;
        let mut counting = Self {
            process,
            input,
            output: BufReader::new(output),
        };
        if counting.line()? != "counting\n" {
            bail!("{} does not count", program.display());
        }
        Ok(counting)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.output.read_line(&mut line);
        read.context("cannot read what the counting process says")?;
        Ok(line)
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        // It ends with its input, after a last line that its output must still be there for.
        self.input.take();
        let _ = self.process.wait();
    }
}

/// Measures.
///
/// # Errors
/// Where the programs cannot be built or loaded.
pub(crate) fn run() -> Result<Vec<Figure>> {
    ebpf::run_installing()?;
    run_program(
        cargo()
            .args(["build", "--release", "--locked", "--package", "agent"])
            .args(["--example", "ebpf_usage"]),
    )?;
    let (mut without, mut with, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let first_counts = pair % 2 == 1;
        let a = measure(first_counts)?;
        let b = measure(!first_counts)?;
        let (base, counted) = if first_counts { (b, a) } else { (a, b) };
        without.push(base);
        with.push(counted);
        added.push(counted - base);
    }
    Ok(vec![
        Figure::new("task switch without eBPF", "ns", without),
        Figure::new("task switch with eBPF", "ns", with),
        Figure::new("added by eBPF", "ns", added),
    ])
}

fn measure(is_counting: bool) -> Result<f64> {
    let _counting = if is_counting {
        Some(Counting::start()?)
    } else {
        None
    };
    ns_per_switch(ROUNDS)
}
